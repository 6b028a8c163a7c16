//! The oracle: the micro kernel in plain Rust.

use super::micro::Call;

/// `C[4, 8]`, panels `[depth, 4]` and `[depth, 8]` of f32.
///
/// # Safety
/// See [`super::micro::Kernel`].
pub(super) unsafe fn kernel_4x8(&Call { depth, a, b, c, ldc, add, .. }: &Call) {
    // SAFETY: the caller's promise.
    let (a, b) =
        unsafe { (std::slice::from_raw_parts(a, depth * 4), std::slice::from_raw_parts(b, depth * 8)) };
    let mut sums = [[0.0f32; 8]; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(8)) {
        for (row, a) in sums.iter_mut().zip(a) {
            for (sum, b) in row.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: row `r` of the four, 8 values.
        let row = unsafe { std::slice::from_raw_parts_mut(c.add(r * ldc), 8) };
        for (value, sum) in row.iter_mut().zip(sums) {
            *value = if add { *value + sum } else { *sum };
        }
    }
}
