//! Packing to bf16 and to bytes by AVX-512, sixteen or thirty-two values at a time. Denormals become zeros in bf16, as they are
//! to the units that multiply.

use std::arch::x86_64::*;

/// Words of the low and the high half of a register in turn.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn alternate(halves: __m512i) -> __m512i {
    let order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18,
        2, 17, 1, 16, 0,
    );
    _mm512_permutexvar_epi16(order, halves)
}

/// Sixteen words, each a value of `low` and one of `high`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[inline]
pub(crate) fn pair(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both are 64 bytes without invalid values.
    alternate(unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) })
}

/// Walks `values`, depths `depth..` of one lane of a panel whose lanes hold 32 depths a chunk of `chunk` f32 values, by up to
/// `STEP` at a time that end where `STEP` depths do: `store` is told where they begin, which of the `STEP` are meant, and
/// where their first half word goes; `out` is where the lane's first chunk begins.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
fn walk<const STEP: usize>(
    values: &[f32],
    depth: usize,
    chunk: usize,
    out: *mut f32,
    store: impl Fn(*const f32, u32, *mut i16),
) {
    let (mut done, count) = (0, values.len());
    while done < count {
        let at = depth + done;
        let now = (STEP - at % STEP).min(count - done);
        let to = out.wrapping_add(at / 32 * chunk).cast::<i16>().wrapping_add(at % 32);
        store(values.as_ptr().wrapping_add(done), u32::MAX >> (32 - now), to);
        done += now;
    }
}

/// Writes `values`, each times `factor`, as depths `depth..` of one lane of a panel whose lanes hold 32 depths a chunk of
/// `chunk` f32 values; `out` is where the lane's first chunk begins.
///
/// # Safety
/// The panel has room for these depths.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn write_run(values: &[f32], factor: f32, depth: usize, chunk: usize, out: *mut f32) {
    let scale = _mm512_set1_ps(factor);
    walk::<32>(values, depth, chunk, out, |from, mask, to| {
        // SAFETY: as many values as `mask` has bits are left from `from` on, and as many halves of the line at `to`, the
        // caller promised.
        unsafe {
            if mask == u32::MAX {
                let low = _mm512_mul_ps(_mm512_loadu_ps(from), scale);
                let high = _mm512_mul_ps(_mm512_loadu_ps(from.add(16)), scale);
                let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(to.cast(), both);
            } else {
                let low = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask as u16, from), scale);
                let high =
                    _mm512_mul_ps(_mm512_maskz_loadu_ps((mask >> 16) as u16, from.wrapping_add(16)), scale);
                let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_mask_storeu_epi16(to, mask, both);
            }
        }
    });
}

/// As [`write_run`], in two parts: each chunk is what bf16 holds of the values, for all lanes, then what it holds of the rest.
///
/// # Safety
/// As [`write_run`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn write_two_parts(values: &[f32], factor: f32, depth: usize, chunk: usize, out: *mut f32) {
    let scale = _mm512_set1_ps(factor);
    walk::<16>(values, depth, chunk, out, |from, mask, to| {
        let mask = mask as u16;
        // SAFETY: as in [`write_run`].
        unsafe {
            let x = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from), scale);
            let [first, second] = parts(x);
            _mm256_mask_storeu_epi16(to, mask, first);
            _mm256_mask_storeu_epi16(to.add(chunk), mask, second);
        }
    });
}

/// What bf16 holds of `x`, and what it holds of the rest: zero where that is not finite.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
fn parts(x: __m512) -> [__m256i; 2] {
    // SAFETY: both are 32 bytes without invalid values.
    let round = |x| unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x)) };
    let first = round(x);
    let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(first))));
    let magnitude = _mm512_abs_ps(rest);
    let finite = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(magnitude, _mm512_set1_ps(f32::INFINITY));
    [first, round(_mm512_maskz_mov_ps(finite, rest))]
}

/// `values` → `out`.
///
/// # Panics
/// If the lengths differ.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(crate) fn round(values: &[f32], out: &mut [u16]) {
    assert_eq!(values.len(), out.len());
    // SAFETY: chunks of sixteen words side by side are the values in their order, which `out` has room for.
    unsafe { write_run(values, 1.0, 0, 16, out.as_mut_ptr().cast()) }
}

/// `square [32, width]` f32 → `[16, width, 2]` bf16, two to a word; `width` is a multiple of 16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pairs(square: &[f32], width: usize, out: &mut [f32]) {
    assert!(width % 16 == 0);
    for (rows, out) in square.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        for column in (0..width).step_by(16) {
            // SAFETY: sixteen columns are left in both rows, and in `out`.
            unsafe {
                let low = _mm512_loadu_ps(rows.as_ptr().add(column));
                let high = _mm512_loadu_ps(rows.as_ptr().add(width + column));
                _mm512_storeu_si512(out.as_mut_ptr().add(column).cast(), pair(low, high));
            }
        }
    }
}

/// `square [32, width]` f32 → `[width, 32]` bf16, two to a word; `width` is a multiple of 16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn rows_of_32(square: &[f32], width: usize, out: &mut [f32]) {
    assert!(width % 16 == 0 && square.len() >= 32 * width && out.len() >= 16 * width);
    for column in (0..width).step_by(16) {
        let row = |r: usize| {
            // SAFETY: sixteen columns are left in each of 32 rows.
            let load = |r: usize| unsafe { _mm512_loadu_ps(square.as_ptr().add(r * width + column)) };
            pair(load(2 * r), load(2 * r + 1))
        };
        let mut x: [__m512i; 16] = [_mm512_setzero_si512(); 16];
        for (r, x) in x.iter_mut().enumerate() {
            *x = row(r);
        }
        for (r, line) in transpose(x).into_iter().enumerate() {
            // SAFETY: lane `column + r` has sixteen words.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().add((column + r) * 16).cast(), line) };
        }
    }
}

/// A square of 16 × 16 words.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose(x: [__m512i; 16]) -> [__m512i; 16] {
    let zero = _mm512_setzero_si512();
    let (mut a, mut b, mut c) = ([zero; 16], [zero; 16], [zero; 16]);
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
    }
    // b[4g + j] holds, of rows 4g.., the columns 4q + j in its 128-bit lane q.
    for g in 0..4 {
        let i = 4 * g;
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for j in 0..4 {
        let low = _mm512_shuffle_i32x4::<0x88>(b[j], b[4 + j]); // lanes 0, 2 of groups 0 and 1
        let odd = _mm512_shuffle_i32x4::<0xdd>(b[j], b[4 + j]);
        let low2 = _mm512_shuffle_i32x4::<0x88>(b[8 + j], b[12 + j]);
        let odd2 = _mm512_shuffle_i32x4::<0xdd>(b[8 + j], b[12 + j]);
        c[j] = _mm512_shuffle_i32x4::<0x88>(low, low2);
        c[8 + j] = _mm512_shuffle_i32x4::<0xdd>(low, low2);
        c[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd, odd2);
        c[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd, odd2);
    }
    c
}

/// `values`, each times `factor` a number within ±127, rounded, → the same number of bytes with an offset, at `out`.
///
/// # Safety
/// `out` has room for them.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn write_bytes(values: &[f32], factor: f32, offset: u8, out: *mut u8) {
    let (scale, nearest) = (_mm512_set1_ps(factor), _mm512_set1_ps(super::micro::NEAREST));
    let offset = _mm512_set1_epi32(offset as i32);
    for from in (0..values.len()).step_by(16) {
        let mask = ((1u32 << (values.len() - from).min(16)) - 1) as u16;
        // SAFETY: the mask leaves what is not there alone.
        unsafe {
            let x = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, values.as_ptr().add(from)), scale);
            let steps = _mm512_castps_si512(_mm512_add_ps(x, nearest));
            _mm512_mask_cvtepi32_storeu_epi8(out.add(from).cast(), mask, _mm512_xor_si512(steps, offset));
        }
    }
}
