//! One pool for all kernels: rayon's global one. No kernel starts a parallel loop inside another.

use std::ops::Range;

use rayon::prelude::*;

/// Sets the number of worker threads; only the first call in a process counts.
///
/// # Errors
/// If the pool was already started with another count.
pub fn init_threads(count: usize) -> Result<(), String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build_global()
        .map_err(|error| format!("cannot set the number of threads to `{count}`: {error}"))
}

/// Worker threads in use.
pub fn thread_count() -> usize {
    rayon::current_num_threads()
}

/// A raw pointer that tasks on disjoint ranges may share.
#[derive(Clone, Copy)]
pub(crate) struct SharedMut<T>(*mut T);

// SAFETY: every user hands each task its own disjoint range, see `slice`.
unsafe impl<T: Send> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    pub fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// # Safety
    /// `start..start + len` lies inside the slice given to `new`, which outlives the use, and no other task touches it.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// Runs `task` on consecutive ranges of `0..count`, each at least `grain` long (but the last), in parallel.
///
/// The ranges depend on the number of threads: a task must not carry sums across items, or results would too.
pub(crate) fn for_ranges(count: usize, grain: usize, task: impl Fn(Range<usize>) + Sync) {
    let threads = rayon::current_num_threads();
    let tasks = (count / grain.max(1)).clamp(1, threads * 4);
    if tasks == 1 || threads == 1 {
        task(0..count);
        return;
    }
    (0..tasks).into_par_iter().for_each(|t| task(t * count / tasks..(t + 1) * count / tasks));
}
