//! Matrix product `C[M, N] = epilogue(A[M, K] · B[K, N])`, one macro loop for every instruction set.
//!
//! Operands are described by how they pack ([`Operand`]), so that transposes and the patches of a convolution cost no
//! copy of their own. The sum over `K` runs in the same order whatever the number of threads: results are equal to the
//! bit for 1 and for 64 threads.

mod epilogue;
mod int8;
mod micro;
mod operand;
mod scalar;
mod weights;

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

pub use epilogue::{
    Bias, BiasActivate, BiasActivateResidual, BiasGate, BiasPrelu, BiasResidual, Epilogue, Plain,
};
pub use int8::{PackedInt8, gemm_int8_new, gemm_int8_serial};
pub(crate) use operand::interleave;
pub use operand::{DepthMajor, LaneMajor, Operand, Run};
pub use weights::{WeightFormat, Weights};

use crate::isa::Precision;
use crate::threads::{Fresh, SharedMut};
use micro::Micro;

/// Depth of one block for the smallest kernels; see [`Micro::depth_block`].
const KC: usize = 256;
/// Columns that a task takes at once: with 96 rows 384 KiB of C, which stay near while depths go by; see
/// [`Micro::columns_at_once`].
const NC: usize = 1024;
/// Values of B that are packed at once, where they were not before: 4 MiB of f32.
const B_VALUES: usize = 1 << 20;

thread_local! {
    /// Rows that several tasks read; columns that all of them read; the rows of one task.
    static PACKED_A: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PACKED_B: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PACKED_ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Whether `C` is overwritten or added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Into {
    /// `C = A·B`.
    Overwrite,
    /// `C += A·B`, the old values first in the order of sums.
    Accumulate,
}

/// `C[m, n] = epilogue(A[m, k] · B[k, n])` on all threads; rows of `c` are `ldc` apart.
///
/// `a` packs rows as lanes, `b` packs columns as lanes; both have depth `k`.
///
/// # Panics
/// If `c` is too short or `ldc < n`: a bug of the caller.
pub fn gemm<A: Operand, B: Operand, E: Epilogue>(
    [m, n, k]: [usize; 3],
    a: &A,
    b: &B,
    c: &mut [f32],
    ldc: usize,
    into: Into,
    epilogue: &E,
    precision: Precision,
) {
    product([m, n, k], a, &Right::operand(b, precision), c, ldc, into, epilogue, Threads::All);
}

/// The product as a new matrix `[m, n]`; see [`gemm`].
pub fn gemm_new<A: Operand, B: Operand, E: Epilogue>(
    [m, n, k]: [usize; 3],
    a: &A,
    b: &B,
    epilogue: &E,
    precision: Precision,
) -> Vec<f32> {
    new_product([m, n, k], a, &Right::operand(b, precision), epilogue)
}

/// The product with a packed right-hand side as a new matrix `[m, N]`; see [`gemm_packed`].
pub fn gemm_packed_new<A: Operand, E: Epilogue>(m: usize, a: &A, b: &Packed, epilogue: &E) -> Vec<f32> {
    new_product([m, b.n, b.k], a, &Right::packed(b), epilogue)
}

/// The same product on the calling thread alone, for use inside a parallel loop.
///
/// # Panics
/// As [`gemm`].
pub fn gemm_serial<A: Operand, B: Operand, E: Epilogue>(
    [m, n, k]: [usize; 3],
    a: &A,
    b: &B,
    c: &mut [f32],
    ldc: usize,
    into: Into,
    epilogue: &E,
    precision: Precision,
) {
    product([m, n, k], a, &Right::operand(b, precision), c, ldc, into, epilogue, Threads::One);
}

/// `C[m, n] = epilogue(A[m, k] · B)` with a right-hand side that was packed before; see [`gemm`].
///
/// # Panics
/// If `c` is too short or `ldc < n`: a bug of the caller.
pub fn gemm_packed<A: Operand, E: Epilogue>(
    m: usize,
    a: &A,
    b: &Packed,
    c: &mut [f32],
    ldc: usize,
    into: Into,
    epilogue: &E,
) {
    product([m, b.n, b.k], a, &Right::packed(b), c, ldc, into, epilogue, Threads::All);
}

/// A right-hand matrix `[K, N]` in the panels of the instruction set that packed it: weights, packed once when loaded.
///
/// bf16 takes half the bytes of f32 on every instruction set but NEON and scalar, which keep rounded f32.
pub struct Packed {
    n: usize,
    k: usize,
    micro: &'static Micro,
    /// Blocks of depths, in each all panels of `nr` columns.
    panels: Vec<f32>,
}

impl Packed {
    /// Packs `b`, which has `n` columns as lanes and depth `k`, for the current instruction set.
    pub fn new(b: &impl Operand, n: usize, k: usize, precision: Precision) -> Self {
        Self::with(Micro::select(precision), b, n, k)
    }

    /// `count` matrices in f32 whose rows are made together: `rows(depth, lane0, out)` writes lanes from `lane0` on of a depth of all of
    /// them to `out [count, nr]`, zeros beyond the last lane.
    pub(crate) fn together(
        count: usize,
        n: usize,
        k: usize,
        rows: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) -> Vec<Self> {
        let micro = Micro::select(Precision::F32);
        let (nr, len) = (micro.nr, right_len(micro, n, k));
        let fresh: Vec<Fresh<f32>> = (0..count).map(|_| Fresh::new(len)).collect();
        let pointers: Vec<SharedMut<f32>> = fresh.iter().map(Fresh::pointer).collect();
        (0..n.div_ceil(nr)).into_par_iter().for_each(|panel| {
            let mut values = vec![0.0; count * nr];
            for block in depth_blocks(0..k, micro) {
                let at = right_len(micro, n, block.start) + panel * micro.b_panel_len(block.len());
                for (i, depth) in block.enumerate() {
                    rows(depth, panel * nr, &mut values);
                    for (pointer, row) in pointers.iter().zip(values.chunks_exact(nr)) {
                        // SAFETY: each panel belongs to one task; a panel in f32 is a row of `nr` values a depth.
                        unsafe { pointer.pointer(at + i * nr).copy_from_nonoverlapping(row.as_ptr(), nr) };
                    }
                }
            }
        });
        // SAFETY: the panels of all blocks of depths are the whole of a matrix.
        let finish = |fresh: Fresh<f32>| Self { n, k, micro, panels: unsafe { fresh.finish(len) } };
        fresh.into_iter().map(finish).collect()
    }

    fn with(micro: &'static Micro, b: &impl Operand, n: usize, k: usize) -> Self {
        let mut panels = vec![0.0; right_len(micro, n, k)];
        pack_right(&mut panels, b, n, 0..k, micro, rayon::current_num_threads());
        Self { n, k, micro, panels }
    }

    /// Columns, `N`.
    pub fn columns(&self) -> usize {
        self.n
    }

    /// Depth, `K`.
    pub fn depth(&self) -> usize {
        self.k
    }

    /// Multiplies each column by its factor, `[N]`.
    ///
    /// # Panics
    /// If the matrix was not packed in f32, or there are other than `N` factors.
    pub fn scale_columns(&mut self, factors: &[f32]) {
        assert!(self.micro.is_f32(), "only columns in f32 can be scaled");
        assert_eq!(factors.len(), self.n, "there is one factor a column");
        let (micro, nr) = (self.micro, self.micro.nr);
        let mut rest = &mut self.panels[..];
        for depths in depth_blocks(0..self.k, micro) {
            let block;
            (block, rest) = rest.split_at_mut(right_len(micro, self.n, depths.len()));
            let panels = block.chunks_exact_mut(micro.b_panel_len(depths.len()));
            for (panel, factors) in panels.zip(factors.chunks(nr)) {
                for row in panel.chunks_exact_mut(nr) {
                    row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
                }
            }
        }
    }

    /// Panels of the blocks of depths from `depth` on, which begins one; see [`Tiles`].
    pub(crate) fn panels_from(&self, depth: usize) -> &[f32] {
        debug_assert_eq!(depth % self.micro.depth_block(), 0);
        &self.panels[right_len(self.micro, self.n, depth)..]
    }
}

/// Where panels of B come from, and the kernel that reads them.
struct Right<'a, B> {
    source: Source<'a, B>,
    micro: &'static Micro,
}

enum Source<'a, B> {
    /// Packed block by block, as the product goes.
    Operand(&'a B),
    /// Packed before, as [`Packed`] says.
    Packed(&'a [f32]),
}

impl<'a, B> Right<'a, B> {
    fn operand(b: &'a B, precision: Precision) -> Self {
        Self { source: Source::Operand(b), micro: Micro::select(precision) }
    }
}

impl<'a> Right<'a, DepthMajor<'a>> {
    /// The type of operand is any: none is read.
    fn packed(b: &'a Packed) -> Self {
        Self { source: Source::Packed(&b.panels), micro: b.micro }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    One,
    All,
}

fn check(m: usize, n: usize, c: &[f32], ldc: usize) {
    assert!(ldc >= n, "rows of C overlap: {ldc} < {n}");
    assert!(
        m == 0 || c.len() >= (m - 1) * ldc + n,
        "C has {} values, [{m}, {n}] with stride {ldc} needs more",
        c.len()
    );
}

/// Products with fewer multiplications than this stay on one thread.
const PARALLEL_FROM: usize = 32 * 32 * 256;

fn product<A: Operand, B: Operand, E: Epilogue>(
    [m, n, k]: [usize; 3],
    a: &A,
    b: &Right<B>,
    c: &mut [f32],
    ldc: usize,
    into: Into,
    epilogue: &E,
    threads: Threads,
) {
    check(m, n, c, ldc);
    // SAFETY: this call alone holds C; its length was checked.
    unsafe { product_at([m, n, k], a, b, SharedMut::new(c), ldc, into, epilogue, threads) };
}

fn new_product<A: Operand, B: Operand, E: Epilogue>(
    [m, n, k]: [usize; 3],
    a: &A,
    b: &Right<B>,
    epilogue: &E,
) -> Vec<f32> {
    let c = Fresh::new(m * n);
    // SAFETY: C has room for [m, n]; every value is written before it is read, the first block of depths does not add.
    unsafe { product_at([m, n, k], a, b, c.pointer(), n, Into::Overwrite, epilogue, Threads::All) };
    // SAFETY: the product writes all of C.
    unsafe { c.finish(m * n) }
}

/// # Safety
/// `c` has room for `m` rows of `n` values, `ldc` apart, that nobody else uses meanwhile; they were written before unless
/// `into` overwrites.
unsafe fn product_at<A: Operand, B: Operand, E: Epilogue>(
    [m, n, k]: [usize; 3],
    a: &A,
    b: &Right<B>,
    c: SharedMut<f32>,
    ldc: usize,
    into: Into,
    epilogue: &E,
    threads: Threads,
) {
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        for row in 0..m {
            // SAFETY: the caller's promise; zeros are written before a reference exists.
            let segment = unsafe {
                if into == Into::Overwrite {
                    c.pointer(row * ldc).write_bytes(0, n);
                }
                c.slice(row * ldc, n)
            };
            epilogue.finish(row, 0, segment);
        }
        return;
    }
    let threads = match threads {
        Threads::All if m * n * k >= PARALLEL_FROM => rayon::current_num_threads(),
        _ => 1,
    };
    let micro = b.micro;
    let walk = Walk { n, k, c, ldc, into, epilogue, micro };
    match b.source {
        Source::Packed(panels) => rows(&walk, m, a, 0..k, panels, threads),
        Source::Operand(b) => {
            // As many whole blocks of depths at a time as memory is set aside for.
            let block = micro.depth_block();
            let at_once = (B_VALUES / n.next_multiple_of(micro.nr) / block).max(1) * block;
            let mut panels = PACKED_B.with(RefCell::take);
            for from in (0..k).step_by(at_once) {
                let depths = from..k.min(from + at_once);
                let len = right_len(micro, n, depths.len());
                if panels.len() < len {
                    panels.resize(len, 0.0);
                }
                pack_right(&mut panels[..len], b, n, depths.clone(), micro, threads);
                rows(&walk, m, a, depths, &panels, threads);
            }
            PACKED_B.set(panels);
        }
    }
}

/// Fills panels of `panel` values, `pack(p, out)` the one of number `p`.
fn each_panel(out: &mut [f32], panel: usize, threads: usize, pack: impl Fn(usize, &mut [f32]) + Sync) {
    match threads {
        1 => out.chunks_mut(panel).enumerate().for_each(|(p, out)| pack(p, out)),
        _ => out.par_chunks_mut(panel).enumerate().for_each(|(p, out)| pack(p, out)),
    }
}

/// Blocks of as many depths as a kernel takes at once.
fn depth_blocks(depths: Range<usize>, micro: &Micro) -> impl Iterator<Item = Range<usize>> + use<> {
    let (end, block) = (depths.end, micro.depth_block());
    depths.step_by(block).map(move |k0| k0..end.min(k0 + block))
}

/// Panels of `mr` of these rows, one after another, each over all of these depths, block by block.
fn pack_left(
    out: &mut Vec<f32>,
    a: &impl Operand,
    rows: Range<usize>,
    depths: Range<usize>,
    micro: &Micro,
    threads: usize,
) {
    let panel = micro.a_panel_len(depths.len());
    let len = rows.len().div_ceil(micro.mr) * panel;
    if out.len() < len {
        out.resize(len, 0.0);
    }
    each_panel(&mut out[..len], panel, threads, |p, out| {
        let lane = rows.start + p * micro.mr;
        let mut rest = out;
        for block in depth_blocks(depths.clone(), micro) {
            let panel;
            (panel, rest) = rest.split_at_mut(micro.a_panel_len(block.len()));
            micro.pack_a(a, lane, micro.mr.min(rows.end - lane), block.start, block.len(), panel);
        }
    });
}

/// f32 values of storage that `lanes` columns of `depth` take.
fn right_len(micro: &Micro, lanes: usize, depth: usize) -> usize {
    lanes.div_ceil(micro.nr) * micro.b_panel_len(depth)
}

/// Blocks of these depths, in each all panels of `nr` columns.
fn pack_right(
    out: &mut [f32],
    b: &impl Operand,
    lanes: usize,
    depths: Range<usize>,
    micro: &Micro,
    threads: usize,
) {
    let mut rest = out;
    for depths in depth_blocks(depths, micro) {
        let block;
        (block, rest) = rest.split_at_mut(right_len(micro, lanes, depths.len()));
        each_panel(block, micro.b_panel_len(depths.len()), threads, |p, out| {
            let lane = p * micro.nr;
            micro.pack_b(b, lane, micro.nr.min(lanes - lane), depths.start, depths.len(), out);
        });
    }
}

/// What every step of one product knows.
struct Walk<'a, E> {
    n: usize,
    k: usize,
    c: SharedMut<f32>,
    ldc: usize,
    into: Into,
    epilogue: &'a E,
    micro: &'static Micro,
}

/// All rows of the product over some depths, whose columns were packed: `panels` are blocks of these depths.
///
/// Tasks are blocks of rows, which need nothing of one another. Where these would be too few to keep all threads busy, each is
/// cut into parts of its columns, and rows are packed for all of them beforehand.
fn rows<A: Operand, E: Epilogue>(
    walk: &Walk<E>,
    m: usize,
    a: &A,
    depths: Range<usize>,
    panels: &[f32],
    threads: usize,
) {
    let micro = walk.micro;
    let height = match threads {
        1 => micro.row_block(),
        _ => micro.row_block().min(m.div_ceil(threads * 2).next_multiple_of(micro.mr)),
    };
    let row_blocks = m.div_ceil(height);
    let column_panels = walk.n.div_ceil(micro.nr);
    let parts = if threads == 1 { 1 } else { (threads * 4).div_ceil(row_blocks).clamp(1, column_panels) };
    // `a` holds these rows over depths `packed`.
    let wide = micro.columns_at_once() / micro.nr;
    // The panel of a block of depths for these columns.
    let panel_of = |block: Range<usize>, panel: usize| {
        let len = micro.b_panel_len(block.len());
        &panels[right_len(micro, walk.n, block.start - depths.start) + panel * len..][..len]
    };
    let multiply = |rows: &Range<usize>, columns: &Range<usize>, a: &[f32], packed: &Range<usize>| {
        for from in columns.clone().step_by(wide) {
            let columns = from..columns.end.min(from + wide);
            for block in depth_blocks(packed.clone(), micro) {
                let a = &a[micro.a_panel_len(block.start - packed.start)..];
                let b = &panels[right_len(micro, walk.n, block.start - depths.start)..];
                let after = match depth_blocks(block.end..packed.end, micro).next() {
                    Some(block) => panel_of(block, columns.start),
                    None if columns.end < column_panels => depth_blocks(packed.clone(), micro)
                        .next()
                        .map_or(&[][..], |first| panel_of(first, columns.end)),
                    None => &[],
                };
                let step = Step { rows: rows.clone(), depths: block, panels: columns.clone(), after };
                // SAFETY: tasks cover disjoint rows × columns of C, which has room for all of them.
                unsafe { self::block(walk, &step, a, micro.a_panel_len(packed.len()), b) };
            }
        }
    };
    let rows_of = |block: usize| block * height..m.min((block + 1) * height);
    if parts == 1 {
        // Rows are packed for one block of depths, unless columns come in several goes and would need them again.
        // With AMX these are as many as the second-level cache takes.
        let at_once = if walk.n <= NC || micro.is_tiles() { micro.depth_block() } else { depths.len() };
        let task = |block: usize| {
            PACKED_ROWS.with_borrow_mut(|a_panels| {
                for from in depths.clone().step_by(at_once) {
                    let packed = from..depths.end.min(from + at_once);
                    pack_left(a_panels, a, rows_of(block), packed.clone(), micro, 1);
                    multiply(&rows_of(block), &(0..column_panels), a_panels, &packed);
                }
            });
        };
        match threads {
            1 => (0..row_blocks).for_each(task),
            _ => (0..row_blocks).into_par_iter().for_each(task),
        }
        return;
    }
    let mut packed = PACKED_A.with(RefCell::take);
    pack_left(&mut packed, a, 0..m, depths.clone(), micro, threads);
    (0..row_blocks * parts).into_par_iter().for_each(|task| {
        let (block, part) = (task / parts, task % parts);
        let columns = part * column_panels / parts..(part + 1) * column_panels / parts;
        let a = &packed[block * height / micro.mr * micro.a_panel_len(depths.len())..];
        multiply(&rows_of(block), &columns, a, &depths);
    });
    PACKED_A.set(packed);
}

/// One A block times some packed B panels.
struct Step<'a> {
    rows: Range<usize>,
    depths: Range<usize>,
    /// Those of the panels of B that this step multiplies.
    panels: Range<usize>,
    /// The panel of B that the step after this one begins with.
    after: &'a [f32],
}

/// `a` holds panels of `mr` rows, `stride` apart; `packed_b` begins with all panels of the block of depths.
///
/// # Safety
/// C holds the rows and columns of `step`, and nobody else uses those meanwhile.
unsafe fn block<E: Epilogue>(walk: &Walk<E>, step: &Step, a: &[f32], stride: usize, packed_b: &[f32]) {
    let Walk { n, k, c, ldc, into, epilogue, micro } = *walk;
    let (mr, nr) = (micro.mr, micro.nr);
    let kc = step.depths.len();
    let (a_panel, b_panel) = (micro.a_panel_len(kc), micro.b_panel_len(kc));
    let add = step.depths.start > 0 || into == Into::Accumulate;
    let row_panels = step.rows.len().div_ceil(mr);
    let mut tile = micro::Tile::new();
    for panel in step.panels.clone() {
        let column = panel * nr;
        let width = nr.min(n - column);
        let b = &packed_b[panel * b_panel..][..b_panel];
        // The panel after this one, a part with each panel of A: else the first call that reads it would wait for all of it.
        let next_b = if panel + 1 < step.panels.end {
            &packed_b[(panel + 1) * b_panel..][..b_panel]
        } else {
            step.after
        };
        for (p, row) in step.rows.clone().step_by(mr).enumerate() {
            let a = &a[p * stride..][..a_panel];
            let next = &next_b[p * next_b.len() / row_panels..(p + 1) * next_b.len() / row_panels];
            let height = mr.min(step.rows.end - row);
            if (height, width) == (mr, nr) {
                // SAFETY: the caller's promise; these rows and columns belong to this step alone.
                unsafe { micro.multiply(kc, a, b, c.pointer(row * ldc + column), ldc, add, next) };
                continue;
            }
            // At the edge of C the same sums are made in a tile of full size.
            if add {
                for r in 0..height {
                    // SAFETY: as above; an earlier block, or the caller, wrote these values.
                    let segment = unsafe { c.slice((row + r) * ldc + column, width) };
                    tile.0[r * nr..][..width].copy_from_slice(segment);
                }
            }
            // SAFETY: the tile holds mr × nr values.
            unsafe { micro.multiply(kc, a, b, tile.0.as_mut_ptr(), nr, add, next) };
            for r in 0..height {
                let sums = &tile.0[r * nr..][..width];
                // SAFETY: as above; written through the pointer, as C may be fresh memory.
                unsafe {
                    c.pointer((row + r) * ldc + column).copy_from_nonoverlapping(sums.as_ptr(), width);
                }
            }
        }
    }
    if step.depths.end == k {
        let (from, to) = (step.panels.start * nr, n.min(step.panels.end * nr));
        for row in step.rows.clone() {
            // SAFETY: as above.
            epilogue.finish(row, from, unsafe { c.slice(row * ldc + from, to - from) });
        }
    }
}

/// Products whose sides were both packed before and serve several times, on the calling thread: tiles of attention, and of a
/// feed-forward branch.
#[derive(Clone, Copy)]
pub(crate) struct Tiles(&'static Micro);

impl Tiles {
    /// For the current instruction set.
    pub fn select(precision: Precision) -> Self {
        Self(Micro::select(precision))
    }

    /// Rows of a panel of the left side.
    pub fn rows(self) -> usize {
        self.0.mr
    }

    /// Rows that a task multiplies at once; see [`Micro::row_block`].
    pub fn row_block(self) -> usize {
        self.0.row_block()
    }

    /// Columns of a panel of the right side.
    pub fn columns(self) -> usize {
        self.0.nr
    }

    /// Depth that a panel of so much depth has room for.
    pub fn padded_depth(self, depth: usize) -> usize {
        self.0.padded_depth(depth)
    }

    /// f32 values of storage that `lanes` of `depth` take on the left side.
    pub fn left_len(self, lanes: usize, depth: usize) -> usize {
        lanes.div_ceil(self.0.mr) * self.0.a_panel_len(depth)
    }

    /// Packs `lanes` of `depth` for the left side, [`Self::left_len`] values, each panel over all of the depth.
    pub fn pack_left(self, a: &impl Operand, lanes: usize, depth: usize, out: &mut [f32]) {
        let micro = self.0;
        for (p, out) in
            out[..self.left_len(lanes, depth)].chunks_exact_mut(micro.a_panel_len(depth)).enumerate()
        {
            let lane = p * micro.mr;
            micro.pack_a(a, lane, micro.mr.min(lanes - lane), 0, depth, out);
        }
    }

    /// f32 values of storage that `lanes` of `depth` take on the right side.
    pub fn right_len(self, lanes: usize, depth: usize) -> usize {
        right_len(self.0, lanes, depth)
    }

    /// Packs `lanes` of `depth` for the right side, [`Self::right_len`] values.
    pub fn pack_right(self, b: &impl Operand, lanes: usize, depth: usize, out: &mut [f32]) {
        pack_right(&mut out[..self.right_len(lanes, depth)], b, lanes, 0..depth, self.0, 1);
    }

    /// Packs `lanes` of `depth` for the right side on all threads, each panel over all of the depth.
    pub fn pack_right_whole(self, b: &impl Operand, lanes: usize, depth: usize, out: &mut Vec<f32>) {
        let micro = self.0;
        let (panel, len) = (micro.b_panel_len(depth), self.right_len(lanes, depth));
        if out.len() < len {
            out.resize(len, 0.0);
        }
        each_panel(&mut out[..len], panel, rayon::current_num_threads(), |p, out| {
            let lane = p * micro.nr;
            micro.pack_b(b, lane, micro.nr.min(lanes - lane), 0, depth, out);
        });
    }

    /// Whether a panel of the right side is pairs of bf16, `[depth/2, 32, 2]`.
    pub fn takes_pairs(self) -> bool {
        self.0.takes_pairs()
    }

    /// Rows `[depth, columns]` as one panel of the right side: they themselves where the kernel takes them so, else packed to `out`.
    pub fn right_of_rows<'a>(self, rows: &'a mut [f32], depth: usize, out: &'a mut Vec<f32>) -> &'a [f32] {
        self.0.b_of_rows(rows, depth, out)
    }

    /// `C[m, columns] = left · right panel`, or `+=`, over the whole of a depth `k`; `c` has room for whole panels of rows. `next`
    /// is what will be read after this.
    pub fn multiply_panel(
        self,
        [m, k]: [usize; 2],
        left: &[f32],
        right: &[f32],
        c: &mut [f32],
        into: Into,
        next: &[f32],
    ) {
        let micro = self.0;
        let (panels, panel) = (m.div_ceil(micro.mr), micro.a_panel_len(k));
        let c = c.chunks_exact_mut(micro.mr * micro.nr).take(panels);
        assert_eq!(c.len(), panels, "C has no room for {m} rows");
        for (p, (left, c)) in left.chunks_exact(panel).zip(c).enumerate() {
            let next = &next[p * next.len() / panels..(p + 1) * next.len() / panels];
            // SAFETY: `c` is mr rows of nr values.
            unsafe {
                micro.multiply(k, left, right, c.as_mut_ptr(), micro.nr, into == Into::Accumulate, next)
            };
        }
    }

    /// Of the kernel that packed these weights.
    pub fn of(weights: &Packed) -> Self {
        Self(weights.micro)
    }

    /// Depth of one block of the right side, which is packed on its own.
    pub fn depth_block(self) -> usize {
        self.0.depth_block()
    }

    /// `C[m, n] = epilogue(left · right)`, or `+=`; both were packed for depth `k`, rows of `c` are `n` apart.
    pub fn multiply(
        self,
        [m, n, k]: [usize; 3],
        left: &[f32],
        right: &[f32],
        c: &mut [f32],
        into: Into,
        epilogue: &impl Epilogue,
    ) {
        check(m, n, c, n);
        let micro = self.0;
        let walk = Walk { n, k, c: SharedMut::new(c), ldc: n, into, epilogue, micro };
        let panels = n.div_ceil(micro.nr);
        for depths in depth_blocks(0..k, micro) {
            let right = &right[right_len(micro, n, depths.start)..];
            let left = &left[micro.a_panel_len(depths.start)..];
            let step = Step { rows: 0..m, depths, panels: 0..panels, after: &[] };
            // SAFETY: this thread alone holds `c`; its length was checked.
            unsafe { block(&walk, &step, left, micro.a_panel_len(k), right) };
        }
    }
}

#[cfg(test)]
mod tests;
