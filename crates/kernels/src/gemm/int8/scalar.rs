//! The oracle: the micro kernel in plain Rust.

use crate::gemm::micro::Call;

/// `C[4, 8]` of i32, panels `[depth/64, 4, 64]` and `[depth/4, 8, 4]` of i8; `depth` is a multiple of 64.
///
/// # Safety
/// See [`crate::gemm::micro::Kernel`].
pub(in crate::gemm) unsafe fn kernel_4x8(&Call { depth, a, b, c, ldc, add, .. }: &Call) {
    // SAFETY: the caller's promise; any bits are bytes.
    let (a, b) = unsafe {
        (
            std::slice::from_raw_parts(a.cast::<[[i8; 64]; 4]>(), depth / 64),
            std::slice::from_raw_parts(b.cast::<[[[i8; 4]; 8]; 16]>(), depth / 64),
        )
    };
    let mut sums = [[0i32; 8]; 4];
    for (a, b) in a.iter().zip(b) {
        for (fours_of_a, columns) in (0..64).step_by(4).zip(b) {
            for (row, sums) in a.iter().zip(&mut sums) {
                for (column, sum) in columns.iter().zip(sums) {
                    *sum += (0..4).map(|d| row[fours_of_a + d] as i32 * column[d] as i32).sum::<i32>();
                }
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: row `r` of the four, 8 values.
        let row = unsafe { std::slice::from_raw_parts_mut(c.add(r * ldc).cast::<i32>(), 8) };
        for (value, sum) in row.iter_mut().zip(sums) {
            *value = if add { *value + sum } else { *sum };
        }
    }
}
