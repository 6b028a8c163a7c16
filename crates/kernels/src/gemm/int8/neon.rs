//! NEON: 8 × 12 sums by `sdot` where it is there, 4 × 8 by widening products where it is not.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::gemm::micro::Call;

/// `C[8, 12]` of i32, panels `[depth/64, 8, 64]` and `[depth/4, 12, 4]` of i8; `depth` is a multiple of 64.
///
/// # Safety
/// See [`crate::gemm::micro::Kernel`]; needs NEON with dot products.
#[target_feature(enable = "neon,dotprod")]
pub(in crate::gemm) unsafe fn kernel_dot_8x12(&Call { depth, a, b, c, ldc, add, .. }: &Call) {
    let mut sums = [[vdupq_n_s32(0); 3]; 8];
    // SAFETY: `a` holds depth/64 × 8 × 16 words, `b` depth/4 × 12 words, `c` 8 rows of 12 values.
    unsafe {
        for chunk in 0..depth / 64 {
            for four in 0..16 {
                let a = a.add(chunk * 8 * 16 + four).cast::<i32>();
                let b = b.add((chunk * 16 + four) * 12).cast::<i8>();
                let b = [vld1q_s8(b), vld1q_s8(b.add(16)), vld1q_s8(b.add(32))];
                for (r, row) in sums.iter_mut().enumerate() {
                    let x = vreinterpretq_s8_s32(vld1q_dup_s32(a.add(r * 16)));
                    for (sum, b) in row.iter_mut().zip(b) {
                        // Four products and their sum a lane.
                        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) *sum, in(vreg) x, in(vreg) b,
                            options(pure, nomem, nostack, preserves_flags));
                    }
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (i, sum) in row.iter().enumerate() {
                let c = c.add(r * ldc + i * 4).cast::<i32>();
                vst1q_s32(c, if add { vaddq_s32(vld1q_s32(c), *sum) } else { *sum });
            }
        }
    }
}

/// `C[4, 8]` of i32, panels `[depth/64, 4, 64]` and `[depth/4, 8, 4]` of i8; `depth` is a multiple of 64.
///
/// # Safety
/// See [`crate::gemm::micro::Kernel`]; needs NEON, which every AArch64 has.
#[target_feature(enable = "neon")]
pub(in crate::gemm) unsafe fn kernel_4x8(&Call { depth, a, b, c, ldc, add, .. }: &Call) {
    // Of each vector of four columns, the sums of the first two and of the last two columns, two lanes a column.
    let mut sums = [[[vdupq_n_s32(0); 2]; 2]; 4];
    // SAFETY: `a` holds depth/64 × 4 × 16 words, `b` depth/4 × 8 words, `c` 4 rows of 8 values.
    unsafe {
        for chunk in 0..depth / 64 {
            for four in 0..16 {
                let a = a.add(chunk * 4 * 16 + four).cast::<i32>();
                let b = b.add((chunk * 16 + four) * 8).cast::<i8>();
                let b = [vld1q_s8(b), vld1q_s8(b.add(16))];
                for (r, row) in sums.iter_mut().enumerate() {
                    let x = vreinterpretq_s8_s32(vld1q_dup_s32(a.add(r * 16)));
                    for (sums, b) in row.iter_mut().zip(b) {
                        // One product of two bytes within ±127 fits into 16 bits, and so does the sum of two.
                        sums[0] = vpadalq_s16(sums[0], vmull_s8(vget_low_s8(x), vget_low_s8(b)));
                        sums[1] = vpadalq_s16(sums[1], vmull_high_s8(x, b));
                    }
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (i, sums) in row.iter().enumerate() {
                let sum = vpaddq_s32(sums[0], sums[1]);
                let c = c.add(r * ldc + i * 4).cast::<i32>();
                vst1q_s32(c, if add { vaddq_s32(vld1q_s32(c), sum) } else { sum });
            }
        }
    }
}
