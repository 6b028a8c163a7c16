//! AVX2 + FMA: 6 × 16 sums in twelve registers, two vectors of B, broadcasts of A.

use std::arch::x86_64::*;

/// `tile[6, 16]`, panels `[depth, 6]` and `[depth, 16]` of f32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn kernel_6x16(depth: usize, a: *const f32, b: *const f32, tile: *mut f32) {
    let mut sums = [[_mm256_setzero_ps(); 2]; 6];
    // SAFETY: `a` holds depth × 6, `b` depth × 16, `tile` 6 × 16 values.
    unsafe {
        for d in 0..depth {
            let (a, b) = (a.add(d * 6), b.add(d * 16));
            let (b0, b1) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for (r, row) in sums.iter_mut().enumerate() {
                let x = _mm256_broadcast_ss(&*a.add(r));
                row[0] = _mm256_fmadd_ps(x, b0, row[0]);
                row[1] = _mm256_fmadd_ps(x, b1, row[1]);
            }
        }
        for (r, row) in sums.iter().enumerate() {
            _mm256_storeu_ps(tile.add(r * 16), row[0]);
            _mm256_storeu_ps(tile.add(r * 16 + 8), row[1]);
        }
    }
}
