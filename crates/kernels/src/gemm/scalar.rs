//! The oracle: the micro kernel in plain Rust.

/// `tile[4, 8]`, panels `[depth, 4]` and `[depth, 8]` of f32.
///
/// # Safety
/// See [`super::micro::Kernel`].
pub(super) unsafe fn kernel_4x8(depth: usize, a: *const f32, b: *const f32, tile: *mut f32) {
    // SAFETY: the caller's promise.
    let (a, b, tile) = unsafe {
        (
            std::slice::from_raw_parts(a, depth * 4),
            std::slice::from_raw_parts(b, depth * 8),
            std::slice::from_raw_parts_mut(tile, 32),
        )
    };
    let mut sums = [[0.0f32; 8]; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(8)) {
        for (row, a) in sums.iter_mut().zip(a) {
            for (sum, b) in row.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    tile.copy_from_slice(sums.as_flattened());
}
