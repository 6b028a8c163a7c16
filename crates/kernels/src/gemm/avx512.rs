//! AVX-512: 12 × 32 sums in 24 registers; f32, and bf16 pairs by `vdpbf16ps`.

use std::arch::x86_64::*;

/// `tile[12, 32]`, panels `[depth, 12]` and `[depth, 32]` of f32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn kernel_12x32(depth: usize, a: *const f32, b: *const f32, tile: *mut f32) {
    let mut sums = [[_mm512_setzero_ps(); 2]; 12];
    // SAFETY: `a` holds depth × 12, `b` depth × 32, `tile` 12 × 32 values.
    unsafe {
        for d in 0..depth {
            let (a, b) = (a.add(d * 12), b.add(d * 32));
            let (b0, b1) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
            for (r, row) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*a.add(r));
                row[0] = _mm512_fmadd_ps(x, b0, row[0]);
                row[1] = _mm512_fmadd_ps(x, b1, row[1]);
            }
        }
        for (r, row) in sums.iter().enumerate() {
            _mm512_storeu_ps(tile.add(r * 32), row[0]);
            _mm512_storeu_ps(tile.add(r * 32 + 16), row[1]);
        }
    }
}

/// `tile[12, 32]`, panels `[depth/32, 12, 32]` and `[depth/2, 32, 2]` of bf16; `depth` is a multiple of 32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX-512 F and BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn kernel_bf16_12x32(depth: usize, a: *const f32, b: *const f32, tile: *mut f32) {
    let mut sums = [[_mm512_setzero_ps(); 2]; 12];
    // One f32 of storage is one pair of bf16.
    // SAFETY: `a` holds depth/32 × 12 × 16 pairs, `b` depth/2 × 32 pairs, `tile` 12 × 32 values.
    unsafe {
        for chunk in 0..depth / 32 {
            for pair in 0..16 {
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
        for (r, row) in sums.iter().enumerate() {
            _mm512_storeu_ps(tile.add(r * 32), row[0]);
            _mm512_storeu_ps(tile.add(r * 32 + 16), row[1]);
        }
    }
}
