//! One pool for all kernels: rayon's global one. No kernel starts a parallel loop inside another.

use std::ops::Range;

use rayon::prelude::*;

/// Stack of a worker: whole programs run on one, see [`on_pool`].
const STACK_BYTES: usize = 8 << 20;

/// Runs `work` on a thread of the pool. A parallel loop that begins there shares its work with the others at once; one that
/// begins elsewhere has to wake a worker and to sleep until it is done, which costs more than a small op takes.
pub fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// Starts the pool with so many worker threads, 0 for as many as there are cores; only the first call in a process counts.
///
/// # Errors
/// If the pool was already started.
pub fn init_threads(count: usize) -> Result<(), String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .stack_size(STACK_BYTES)
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
    /// `start` lies inside the slice given to `new`; what is done with the pointer stays inside it and in a range that no
    /// other task touches.
    pub unsafe fn pointer(&self, start: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(start) }
    }

    /// # Safety
    /// `start..start + len` lies inside the slice given to `new`, which outlives the use, and no other task touches it.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// A vector that tasks fill, each its own ranges, so that no thread writes zeros over the whole beforehand: an output
/// is then touched where it is made.
pub(crate) struct Fresh<T>(Vec<T>, SharedMut<T>);

impl<T: Copy + Default> Fresh<T> {
    /// Room for `len` values.
    pub fn new(len: usize) -> Self {
        let mut values = Vec::with_capacity(len);
        let pointer = SharedMut(values.as_mut_ptr());
        Self(values, pointer)
    }

    /// `len` zeros from `start` on, to be changed in place.
    ///
    /// # Safety
    /// The range lies inside the room, which outlives the use, and no other task touches it meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        debug_assert!(start + len <= self.0.capacity());
        // SAFETY: the caller's promise; values are written before a reference to them exists.
        unsafe {
            let pointer = self.1.pointer(start);
            for i in 0..len {
                pointer.add(i).write(T::default());
            }
            std::slice::from_raw_parts_mut(pointer, len)
        }
    }

    /// Where the values begin, for writing them by hand.
    pub fn pointer(&self) -> SharedMut<T> {
        self.1
    }

    /// The vector.
    ///
    /// # Safety
    /// All of `0..len` was written.
    pub unsafe fn finish(mut self, len: usize) -> Vec<T> {
        assert!(len <= self.0.capacity());
        // SAFETY: the caller's promise.
        unsafe { self.0.set_len(len) };
        self.0
    }
}

/// Values of a piece: what is written twice, as by [`Fresh::slice`], is then in the first-level cache the second time.
const PIECE: usize = 4096;

/// Like [`for_ranges`], but no range is longer than a piece.
pub(crate) fn for_pieces(count: usize, grain: usize, task: impl Fn(Range<usize>) + Sync) {
    for_ranges(count, grain, |range| {
        for start in range.clone().step_by(PIECE) {
            task(start..range.end.min(start + PIECE));
        }
    });
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
