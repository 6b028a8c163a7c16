//! A global allocator that aligns and keeps big blocks.
//!
//! Two costs go away: vector and tile loads that cross cache lines (the system hands out big blocks at 16 modulo 64),
//! and page faults (a fresh 4 KiB page costs about a microsecond, and "one buffer per op" pays it for every op). The largest
//! blocks ask for huge pages (Linux), of which there are fewer to fault and to look up.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Blocks of at least this many bytes start on a cache line.
const ALIGN_FROM_BYTES: usize = 1024;
/// Blocks of at least this many bytes are kept for reuse when freed.
const KEEP_FROM_BYTES: usize = 64 * 1024;
const LINE_BYTES: usize = 64;
const PAGE_BYTES: usize = 4096;
/// Blocks of at least this many bytes start on a huge page.
const HUGE_FROM_BYTES: usize = 4 << 20;
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Four size classes per power of two, from 64 KiB to 8 GiB.
const CLASSES: usize = 17 * 4 + 1;
/// Freed blocks kept per class.
const SLOTS: usize = 2048;

/// Install with `#[global_allocator] static ALLOC: CachingAllocator = CachingAllocator::new();`.
pub struct CachingAllocator {
    classes: [Mutex<Class>; CLASSES],
    kept_bytes: AtomicUsize,
    kept_bytes_max: AtomicUsize,
    used_bytes: AtomicUsize,
    used_bytes_peak: AtomicUsize,
    taken: AtomicUsize,
}

/// What passed through an allocator, big blocks (64 KiB and more) alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use now.
    pub used_bytes: usize,
    /// Most bytes in use at once since [`CachingAllocator::restart_peak`].
    pub used_bytes_peak: usize,
    /// Blocks taken from the system since the program began; those that came back from earlier use do not count.
    pub taken: usize,
}

struct Class {
    free: [usize; SLOTS],
    len: usize,
}

/// Default limit of bytes kept in freed blocks.
pub const KEPT_BYTES_MAX: usize = 192 << 20;

impl CachingAllocator {
    /// An allocator that keeps at most [`KEPT_BYTES_MAX`].
    pub const fn new() -> Self {
        Self {
            classes: [const { Mutex::new(Class { free: [0; SLOTS], len: 0 }) }; CLASSES],
            kept_bytes: AtomicUsize::new(0),
            kept_bytes_max: AtomicUsize::new(KEPT_BYTES_MAX),
            used_bytes: AtomicUsize::new(0),
            used_bytes_peak: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        }
    }

    /// What big blocks take.
    pub fn usage(&self) -> Usage {
        Usage {
            used_bytes: self.used_bytes.load(Ordering::Relaxed),
            used_bytes_peak: self.used_bytes_peak.load(Ordering::Relaxed),
            taken: self.taken.load(Ordering::Relaxed),
        }
    }

    /// Begins to look for the peak anew.
    pub fn restart_peak(&self) {
        self.used_bytes_peak.store(self.used_bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Changes the limit of kept bytes: training wants more than one generation does.
    pub fn set_kept_bytes_max(&self, bytes: usize) {
        self.kept_bytes_max.store(bytes, Ordering::Relaxed);
    }
}

impl Default for CachingAllocator {
    fn default() -> Self {
        Self::new()
    }
}

/// The layout of a class of blocks.
fn block_layout(bytes: usize) -> Layout {
    layout_of(bytes, if bytes >= HUGE_FROM_BYTES { HUGE_PAGE_BYTES } else { PAGE_BYTES })
}

/// Asks for huge pages under the whole ones of the first `bytes` of a block, which lie on such a page. A system that has none
/// leaves it as it is.
fn advise_huge_pages(block: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= HUGE_FROM_BYTES && !block.is_null() {
        let whole = bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        // SAFETY: the block is as long; the advice changes nothing that a program can read.
        unsafe { libc::madvise(block.cast(), whole, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (block, bytes);
}

/// The class of a size, and the bytes that blocks of this class have.
fn class_of(bytes: usize) -> Option<(usize, usize)> {
    if bytes < KEEP_FROM_BYTES {
        return None;
    }
    let power = usize::BITS - 1 - bytes.leading_zeros(); // 2^power ≤ bytes
    let quarter = 1usize << (power - 2);
    let steps = (bytes - (1 << power)).div_ceil(quarter); // 0..=4
    let class = (power as usize - 16) * 4 + steps;
    (class < CLASSES).then_some((class, (1 << power) + steps * quarter))
}

fn layout_of(bytes: usize, align: usize) -> Layout {
    // SAFETY: `align` is a power of two; `bytes` came from a valid layout, rounded up by at most a quarter.
    unsafe { Layout::from_size_align_unchecked(bytes, align) }
}

// SAFETY: memory comes from `System` with a layout that is a function of the caller's layout alone (same in `alloc` and
// `dealloc`); a kept block is handed out to one caller only, under the class' lock.
unsafe impl GlobalAlloc for CachingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout.size()).filter(|_| layout.align() <= PAGE_BYTES) {
            Some((class, bytes)) => {
                let used = self.used_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
                self.used_bytes_peak.fetch_max(used, Ordering::Relaxed);
                if let Ok(mut class) = self.classes[class].lock()
                    && class.len > 0
                {
                    class.len -= 1;
                    self.kept_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    return class.free[class.len] as *mut u8;
                }
                self.taken.fetch_add(1, Ordering::Relaxed);
                // SAFETY: a valid, non-zero layout.
                let block = unsafe { System.alloc(block_layout(bytes)) };
                advise_huge_pages(block, bytes);
                block
            }
            // SAFETY: as above.
            None => unsafe { System.alloc(small_layout(layout)) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match class_of(layout.size()).filter(|_| layout.align() <= PAGE_BYTES) {
            Some((class, bytes)) => {
                self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
                if self.kept_bytes.load(Ordering::Relaxed) + bytes
                    <= self.kept_bytes_max.load(Ordering::Relaxed)
                    && let Ok(mut class) = self.classes[class].lock()
                    && class.len < SLOTS
                {
                    let len = class.len;
                    class.free[len] = pointer as usize;
                    class.len += 1;
                    self.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
                    return;
                }
                // SAFETY: allocated in `alloc` with this layout.
                unsafe { System.dealloc(pointer, block_layout(bytes)) }
            }
            // SAFETY: as above.
            None => unsafe { System.dealloc(pointer, small_layout(layout)) },
        }
    }
}

fn small_layout(layout: Layout) -> Layout {
    let align =
        if layout.size() >= ALIGN_FROM_BYTES { layout.align().max(LINE_BYTES) } else { layout.align() };
    layout_of(layout.size(), align)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_their_sizes_without_much_waste() {
        for bytes in [65_536, 65_537, 100_000, 1 << 20, (1 << 20) + 1, 12_345_678, 1 << 32] {
            let (class, block) = class_of(bytes).unwrap();
            assert!(class < CLASSES && block >= bytes && block <= bytes + bytes / 4 + 1, "{bytes}: {block}");
        }
        assert!(class_of(65_535).is_none());
    }

    #[test]
    fn the_largest_blocks_lie_on_huge_pages_and_can_be_written_and_freed() {
        let alloc = CachingAllocator::new();
        alloc.set_kept_bytes_max(0);
        for bytes in [HUGE_FROM_BYTES, HUGE_FROM_BYTES + 1, 11 << 20] {
            let layout = Layout::from_size_align(bytes, 8).unwrap();
            // SAFETY: a valid layout; the block is as long, and freed once.
            unsafe {
                let block = alloc.alloc(layout);
                assert_eq!(block as usize % HUGE_PAGE_BYTES, 0);
                block.write_bytes(7, bytes);
                assert_eq!([*block, *block.add(bytes - 1)], [7, 7]);
                alloc.dealloc(block, layout);
            }
        }
        assert_eq!(alloc.usage().used_bytes, 0);
    }

    #[test]
    fn a_freed_block_is_aligned_and_comes_back() {
        let alloc = CachingAllocator::new();
        let layout = Layout::from_size_align(1 << 20, 16).unwrap();
        // SAFETY: a valid layout; each block is freed once with the layout it was made with.
        unsafe {
            let first = alloc.alloc(layout);
            assert_eq!(first as usize % PAGE_BYTES, 0);
            alloc.dealloc(first, layout);
            let second = alloc.alloc(layout);
            assert_eq!(first, second);
            let third = alloc.alloc(layout);
            alloc.dealloc(third, layout);
            assert_eq!(alloc.usage(), Usage { used_bytes: 1 << 20, used_bytes_peak: 2 << 20, taken: 2 });
            alloc.dealloc(second, layout);
            alloc.restart_peak();
            assert_eq!(alloc.usage(), Usage { used_bytes: 0, used_bytes_peak: 0, taken: 2 });
            alloc.set_kept_bytes_max(0);
            assert_eq!(alloc.kept_bytes.load(Ordering::Relaxed), 2 << 20);
        }
    }
}
