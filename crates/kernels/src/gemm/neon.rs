//! NEON: 8 × 12 sums in 24 registers, three vectors of B, lanes of A.

use std::arch::aarch64::*;

use super::micro::Call;

/// `C[8, 12]`, panels `[depth, 8]` and `[depth, 12]` of f32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs NEON, which every AArch64 has.
#[target_feature(enable = "neon")]
pub(super) unsafe fn kernel_8x12(&Call { depth, a, b, c, ldc, add, .. }: &Call) {
    let mut sums = [[vdupq_n_f32(0.0); 3]; 8];
    // SAFETY: `a` holds depth × 8, `b` depth × 12, `c` 8 rows of 12 values.
    unsafe {
        for d in 0..depth {
            let (a, b) = (a.add(d * 8), b.add(d * 12));
            let b = [vld1q_f32(b), vld1q_f32(b.add(4)), vld1q_f32(b.add(8))];
            for (r, row) in sums.iter_mut().enumerate() {
                let x = vdupq_n_f32(*a.add(r));
                for (sum, b) in row.iter_mut().zip(b) {
                    *sum = vfmaq_f32(*sum, x, b);
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (i, sum) in row.iter().enumerate() {
                let c = c.add(r * ldc + i * 4);
                vst1q_f32(c, if add { vaddq_f32(vld1q_f32(c), *sum) } else { *sum });
            }
        }
    }
}
