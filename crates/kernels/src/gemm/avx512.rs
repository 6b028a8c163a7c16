//! AVX-512: 12 × 32 sums in 24 registers; f32, bf16 widened to f32, and bf16 pairs by `vdpbf16ps`.

use std::arch::x86_64::*;

use super::micro::Call;

type Sums = [[__m512; 2]; 12];

/// `C[12, 32]`, panels `[depth, 12]` and `[depth, 32]` of f32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn kernel_12x32(call: &Call) {
    // SAFETY: `b` holds depth × 32 values; the rest is the caller's promise.
    unsafe {
        product(call, |d| {
            let b = call.b.add(d * 32);
            [_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16))]
        });
    }
}

/// `C[12, 32]`, panels `[depth, 12]` of f32 and `[depth, 16]` of words of two bf16.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn kernel_widen_12x32(call: &Call) {
    let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    // SAFETY: `b` holds depth × 16 words; the rest is the caller's promise.
    unsafe {
        product(call, |d| {
            let words = _mm512_loadu_si512(call.b.add(d * 16).cast());
            [
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)),
                _mm512_castsi512_ps(_mm512_and_si512(words, high)),
            ]
        });
    }
}

/// # Safety
/// `a` holds depth × 12 values, `c` 12 rows of 32.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn product(call: &Call, row_of_b: impl Fn(usize) -> [__m512; 2]) {
    let &Call { depth, a, .. } = call;
    let ahead = call.ahead(depth.div_ceil(4));
    let mut sums: Sums = [[_mm512_setzero_ps(); 2]; 12];
    let step = |sums: &mut Sums, d: usize| {
        // SAFETY: the caller's promise; `d < depth`.
        unsafe {
            let a = a.add(d * 12);
            let [b0, b1] = row_of_b(d);
            for (r, row) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*a.add(r));
                row[0] = _mm512_fmadd_ps(x, b0, row[0]);
                row[1] = _mm512_fmadd_ps(x, b1, row[1]);
            }
        }
    };
    // SAFETY: the caller's promise.
    unsafe {
        fetch(call);
        for four in 0..depth / 4 {
            ahead(four);
            for d in 0..4 {
                step(&mut sums, four * 4 + d);
            }
        }
        for d in depth / 4 * 4..depth {
            step(&mut sums, d);
        }
        store(&sums, call);
    }
}

/// Asks for the block of C while its sums are made: it lies in the third-level cache, or further.
///
/// # Safety
/// `c` holds 12 rows of 32 values.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn fetch(&Call { c, ldc, .. }: &Call) {
    for r in 0..12 {
        // SAFETY: the caller's promise; the last value of a row is in the last line that it touches.
        unsafe {
            let row = c.add(r * ldc);
            _mm_prefetch::<_MM_HINT_T0>(row.cast());
            _mm_prefetch::<_MM_HINT_T0>(row.add(16).cast());
            _mm_prefetch::<_MM_HINT_T0>(row.add(31).cast());
        }
    }
}

/// # Safety
/// `c` holds 12 rows of 32 values.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store(sums: &Sums, &Call { c, ldc, add, .. }: &Call) {
    for (r, [mut left, mut right]) in sums.iter().copied().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let c = c.add(r * ldc);
            if add {
                left = _mm512_add_ps(_mm512_loadu_ps(c), left);
                right = _mm512_add_ps(_mm512_loadu_ps(c.add(16)), right);
            }
            _mm512_storeu_ps(c, left);
            _mm512_storeu_ps(c.add(16), right);
        }
    }
}

/// `C[12, 32]`, panels `[depth/32, 12, 32]` and `[depth/2, 32, 2]` of bf16; `depth` is a multiple of 32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX-512 F and BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn kernel_bf16_12x32(call: &Call) {
    let &Call { depth, a, b, .. } = call;
    let ahead = call.ahead(depth / 8);
    let mut sums: Sums = [[_mm512_setzero_ps(); 2]; 12];
    // One f32 of storage is one pair of bf16.
    // SAFETY: `a` holds depth/32 × 12 × 16 pairs, `b` depth/2 × 32 pairs, `c` 12 rows of 32 values.
    unsafe {
        fetch(call);
        for chunk in 0..depth / 32 {
            for pair in 0..16 {
                if pair % 4 == 0 {
                    ahead(chunk * 4 + pair / 4);
                }
                let a = a.add(chunk * 12 * 16 + pair);
                let b = b.add((chunk * 16 + pair) * 32);
                let b0: __m512bh = std::mem::transmute(_mm512_loadu_ps(b));
                let b1: __m512bh = std::mem::transmute(_mm512_loadu_ps(b.add(16)));
                for (r, row) in sums.iter_mut().enumerate() {
                    let x: __m512bh = std::mem::transmute(_mm512_set1_ps(*a.add(r * 16)));
                    row[0] = _mm512_dpbf16_ps(row[0], x, b0);
                    row[1] = _mm512_dpbf16_ps(row[1], x, b1);
                }
            }
        }
        store(&sums, call);
    }
}
