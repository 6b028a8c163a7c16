//! Online softmax of a panel of queries, one a lane, down its keys (Milakov & Gimelshein 2018).

use std::f32::consts::LOG2_E;

use crate::isa::multiversion;
use crate::pointwise::exp2;

/// Most queries of a panel.
const LANES: usize = 32;

/// What is known of each query after some tiles of keys.
pub(super) struct Softmax {
    /// Largest scaled score, in powers of two; -∞ where every key was hidden, or not a number.
    maxima: [f32; LANES],
    /// Sum of exponentials below it.
    totals: [f32; LANES],
    /// What sums below the maximum before are to be multiplied by.
    shrink: [f32; LANES],
}

impl Softmax {
    pub const fn new() -> Self {
        Self { maxima: [f32::NEG_INFINITY; LANES], totals: [0.0; LANES], shrink: [1.0; LANES] }
    }

    /// `scores [keys, lanes]` become `exp(scale · score − maximum)`.
    pub fn step(&mut self, scores: &mut [f32], lanes: usize, scale: f32) {
        step(self, scores, lanes, scale);
    }

    /// The same for scores `[keys, 32]`, leaving them as they are; exponentials go to `out [⌈keys/2⌉, 32, 2]` in bf16.
    ///
    /// # Safety
    /// The machine has AVX-512 BW and BF16.
    #[cfg(target_arch = "x86_64")]
    pub unsafe fn step_to_bf16(&mut self, scores: &[f32], scale: f32, out: &mut [f32]) {
        // SAFETY: the caller's promise.
        unsafe { step_to_bf16(self, scores, scale, out) };
    }

    /// Shrinks sums `[rows, lanes]` as the last step asks for.
    pub fn shrink(&self, sums: &mut [f32], lanes: usize) {
        if self.shrink[..lanes].iter().any(|shrink| *shrink != 1.0) {
            scale_rows(sums, &self.shrink[..lanes]);
        }
    }

    /// Divides sums `[rows, lanes]` by the totals; queries without any key become NaN.
    pub fn finish(&mut self, sums: &mut [f32], lanes: usize) {
        let mut inverse = [f32::NAN; LANES];
        for ((inverse, total), maximum) in inverse.iter_mut().zip(self.totals).zip(self.maxima) {
            if maximum > f32::NEG_INFINITY {
                *inverse = 1.0 / total;
            }
        }
        scale_rows(sums, &inverse[..lanes]);
    }

    /// Logarithm of the sum of exponentials of scaled scores of one query.
    pub fn log_sum_exp(&self, lane: usize) -> f32 {
        self.maxima[lane] / LOG2_E + self.totals[lane].ln()
    }
}

multiversion! {
    fn scale_rows(rows: &mut [f32], factors: &[f32]) {
        for row in rows.chunks_exact_mut(factors.len()) {
            for (value, factor) in row.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }
}

multiversion! {
    fn step(softmax: &mut Softmax, scores: &mut [f32], lanes: usize, scale: f32) {
        // A width that the compiler knows keeps a row in registers.
        match lanes {
            32 => step_of::<32>(softmax, scores, scale),
            16 => step_of::<16>(softmax, scores, scale),
            12 => step_of::<12>(softmax, scores, scale),
            8 => step_of::<8>(softmax, scores, scale),
            _ => unreachable!("no kernel has {lanes} columns"),
        }
    }
}

/// Takes note of the highest scores of a tile; returns what to subtract from scaled ones.
#[inline(always)]
fn rise<const W: usize>(softmax: &mut Softmax, highest: &[f32; W], scale: f32) -> [f32; W] {
    let mut shift = [0.0; W];
    for lane in 0..W {
        let before = softmax.maxima[lane];
        let highest = highest[lane] * scale;
        let maximum = if highest > before { highest } else { before };
        softmax.maxima[lane] = maximum;
        // Nothing is above -∞: exponentials of such scores are next to nothing, and `finish` knows.
        let hidden = maximum == f32::NEG_INFINITY;
        shift[lane] = if hidden { 0.0 } else { maximum };
        softmax.shrink[lane] = if hidden { 1.0 } else { exp2(before - maximum) };
    }
    shift
}

#[inline(always)]
fn step_of<const W: usize>(softmax: &mut Softmax, scores: &mut [f32], scale: f32) {
    let scores = scores.as_chunks_mut::<W>().0;
    let scale = scale * LOG2_E;
    let mut highest = [f32::NEG_INFINITY; W];
    for row in scores.iter() {
        for (highest, score) in highest.iter_mut().zip(row) {
            *highest = if *score > *highest { *score } else { *highest };
        }
    }
    let shift = rise(softmax, &highest, scale);
    let mut totals = [0.0; W];
    for row in scores.iter_mut() {
        for ((score, shift), total) in row.iter_mut().zip(&shift).zip(&mut totals) {
            *score = exp2(*score * scale - shift);
            *total += *score;
        }
    }
    for lane in 0..W {
        softmax.totals[lane] = softmax.totals[lane] * softmax.shrink[lane] + totals[lane];
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn step_to_bf16(softmax: &mut Softmax, scores: &[f32], scale: f32, out: &mut [f32]) {
    use std::arch::x86_64::*;
    const W: usize = LANES;
    let scores = scores.as_chunks::<W>().0;
    let scale = scale * LOG2_E;
    // SAFETY: sixteen values are left from lane 0 and from lane 16 on.
    let halves =
        |row: &[f32; W]| unsafe { [_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row.as_ptr().add(16))] };
    // Two rows at a time: four chains of maxima.
    let mut tops = [_mm512_set1_ps(f32::NEG_INFINITY); 4];
    let (twos, rest) = scores.as_chunks::<2>();
    for [first, second] in twos {
        let ([a, b], [c, d]) = (halves(first), halves(second));
        tops = [
            _mm512_max_ps(a, tops[0]),
            _mm512_max_ps(b, tops[1]),
            _mm512_max_ps(c, tops[2]),
            _mm512_max_ps(d, tops[3]),
        ];
    }
    for row in rest {
        let [a, b] = halves(row);
        (tops[0], tops[1]) = (_mm512_max_ps(a, tops[0]), _mm512_max_ps(b, tops[1]));
    }
    let mut highest = [0.0; W];
    // SAFETY: as above.
    unsafe {
        _mm512_storeu_ps(highest.as_mut_ptr(), _mm512_max_ps(tops[0], tops[2]));
        _mm512_storeu_ps(highest.as_mut_ptr().add(16), _mm512_max_ps(tops[1], tops[3]));
    }
    let shift = halves(&rise(softmax, &highest, scale));
    let factor = _mm512_set1_ps(scale);
    let mut totals = [_mm512_setzero_ps(); 4];
    assert!(out.len() >= scores.len().div_ceil(2) * W);
    let pairs = out.as_chunks_mut::<W>().0;
    for ([first, second], pairs) in twos.iter().zip(pairs.iter_mut()) {
        let (first, second) = (halves(first), halves(second));
        for half in 0..2 {
            let low = exp2_for_bf16(_mm512_fmsub_ps(first[half], factor, shift[half]));
            let high = exp2_for_bf16(_mm512_fmsub_ps(second[half], factor, shift[half]));
            totals[half] = _mm512_add_ps(totals[half], low);
            totals[2 + half] = _mm512_add_ps(totals[2 + half], high);
            // SAFETY: as above.
            unsafe {
                _mm512_storeu_si512(
                    pairs.as_mut_ptr().add(16 * half).cast(),
                    crate::gemm::narrow::pair(low, high),
                );
            }
        }
    }
    if let ([row], pairs) = (rest, &mut pairs[twos.len()..]) {
        let row = halves(row);
        for half in 0..2 {
            let low = exp2_for_bf16(_mm512_fmsub_ps(row[half], factor, shift[half]));
            totals[half] = _mm512_add_ps(totals[half], low);
            let both = crate::gemm::narrow::pair(low, _mm512_setzero_ps());
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(pairs[0].as_mut_ptr().add(16 * half).cast(), both) };
        }
    }
    let mut sums = [0.0; W];
    // SAFETY: as above.
    unsafe {
        _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_add_ps(totals[0], totals[2]));
        _mm512_storeu_ps(sums.as_mut_ptr().add(16), _mm512_add_ps(totals[1], totals[3]));
    }
    for lane in 0..W {
        softmax.totals[lane] = softmax.totals[lane] * softmax.shrink[lane] + sums[lane];
    }
}

/// [`exp2`] with a polynomial of degree 3, relative error 7.5e-5: a bf16 is rounded by up to 2e-3. At or below zero alone.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
fn exp2_for_bf16(t: std::arch::x86_64::__m512) -> std::arch::x86_64::__m512 {
    use std::arch::x86_64::*;
    const SHIFT: f32 = 12_582_912.0 + 127.0;
    let t = _mm512_max_ps(_mm512_set1_ps(-126.0), t); // a NaN stays
    let shifted = _mm512_add_ps(t, _mm512_set1_ps(SHIFT));
    let r = _mm512_sub_ps(t, _mm512_sub_ps(shifted, _mm512_set1_ps(SHIFT)));
    let p = _mm512_fmadd_ps(_mm512_set1_ps(5.517_167e-2), r, _mm512_set1_ps(0.242_611_12));
    let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693_260_99));
    let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.999_928_07));
    _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(shifted))))
}
