//! Matrix product `C[M, N] = epilogue(A[M, K] · B[K, N])`, one macro loop for every instruction set.
//!
//! Operands are described by how they pack ([`Operand`]), so that transposes and the patches of a convolution cost no
//! copy of their own. The sum over `K` runs in the same order whatever the number of threads: results are equal to the
//! bit for 1 and for 64 threads.

mod micro;
mod operand;
mod scalar;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::cell::RefCell;

use rayon::prelude::*;

pub(crate) use operand::interleave;
pub use operand::{DepthMajor, LaneMajor, Operand};

use crate::isa::Precision;
use crate::threads::SharedMut;
use micro::Micro;

/// Depth of one block: a B panel of `KC × nr` f32 stays in the first-level cache.
const KC: usize = 256;
/// Rows of one A block: `MC × KC` f32 is 96 KiB, a part of the second-level cache.
const MC: usize = 96;
/// Columns of one packed B block: `KC × NC` f32 is 1 MiB.
const NC: usize = 1024;

thread_local! {
    static PACKED_A: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PACKED_B: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// What happens to a finished row segment before it is left in `C`.
///
/// `finish(row, column, segment)` sees the sums of `C[row, column..column + segment.len()]` and changes them in place;
/// it runs once per element, after the last block of `K`, while the segment is in the first-level cache.
pub trait Epilogue: Sync {
    /// Changes a finished segment.
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]);
}

/// Leaves the product as it is.
pub struct Plain;

impl Epilogue for Plain {
    #[inline(always)]
    fn finish(&self, _: usize, _: usize, _: &mut [f32]) {}
}

/// Adds `bias[N]` to every row.
pub struct Bias<'a>(
    /// One value a column.
    pub &'a [f32],
);

impl Epilogue for Bias<'_> {
    #[inline(always)]
    fn finish(&self, _: usize, column: usize, segment: &mut [f32]) {
        for (value, bias) in segment.iter_mut().zip(&self.0[column..]) {
            *value += bias;
        }
    }
}

/// Adds `bias[N]` and a residual of the same shape as `C`, row stride `N`.
pub struct BiasResidual<'a> {
    /// One value a column.
    pub bias: &'a [f32],
    /// `[M, N]`, contiguous.
    pub residual: &'a [f32],
}

impl Epilogue for BiasResidual<'_> {
    #[inline(always)]
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        let n = self.bias.len();
        let residual = &self.residual[row * n + column..];
        for ((value, bias), residual) in segment.iter_mut().zip(&self.bias[column..]).zip(residual) {
            *value += bias + residual;
        }
    }
}

impl<F: Fn(usize, usize, &mut [f32]) + Sync> Epilogue for F {
    #[inline(always)]
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        self(row, column, segment);
    }
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
    check(m, n, c, ldc);
    let micro = Micro::select(precision);
    let c = SharedMut::new(c);
    let threads = rayon::current_num_threads();
    if k == 0 || threads == 1 || m * n * k < 32 * 32 * 256 {
        // SAFETY: this thread alone holds `c`; bounds were checked.
        unsafe { serial([m, n, k], a, b, c, ldc, into, epilogue, micro) };
        return;
    }
    let mut packed_b = PACKED_B.with(RefCell::take);
    for n0 in (0..n).step_by(NC) {
        let nc = NC.min(n - n0);
        for k0 in (0..k).step_by(KC) {
            let kc = KC.min(k - k0);
            let panels = nc.div_ceil(micro.nr);
            let panel = micro.b_panel_len(kc);
            packed_b.resize(panels * panel, 0.0);
            packed_b.par_chunks_mut(panel).enumerate().for_each(|(p, out)| {
                let lane = n0 + p * micro.nr;
                micro.pack_b(b, lane, micro.nr.min(n0 + nc - lane), k0, kc, out);
            });
            // Blocks of rows, shorter when there would be too few; then blocks of columns.
            let rows = MC.min(m.div_ceil(threads * 2).next_multiple_of(micro.mr)).max(micro.mr);
            let row_blocks = m.div_ceil(rows);
            let column_blocks = (threads * 2).div_ceil(row_blocks).clamp(1, panels);
            let packed_b = &packed_b;
            (0..row_blocks * column_blocks).into_par_iter().for_each(|task| {
                let (row_block, column_block) = (task / column_blocks, task % column_blocks);
                let m0 = row_block * rows;
                let mc = rows.min(m - m0);
                let p0 = column_block * panels / column_blocks;
                let p1 = (column_block + 1) * panels / column_blocks;
                PACKED_A.with_borrow_mut(|packed_a| {
                    let step = Step { m0, mc, n0, nc, k0, kc, panels: p0..p1, k };
                    // SAFETY: tasks cover disjoint rows × columns of `c`; bounds were checked.
                    unsafe { block(&step, a, packed_a, packed_b, c, ldc, into, epilogue, micro) };
                });
            });
        }
    }
    PACKED_B.set(packed_b);
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
    check(m, n, c, ldc);
    // SAFETY: this thread alone holds `c`; bounds were checked.
    unsafe { serial([m, n, k], a, b, SharedMut::new(c), ldc, into, epilogue, Micro::select(precision)) };
}

fn check(m: usize, n: usize, c: &[f32], ldc: usize) {
    assert!(ldc >= n, "rows of C overlap: {ldc} < {n}");
    assert!(
        m == 0 || c.len() >= (m - 1) * ldc + n,
        "C has {} values, [{m}, {n}] with stride {ldc} needs more",
        c.len()
    );
}

/// # Safety
/// `c` holds `[m, n]` with row stride `ldc`, and nobody else uses it meanwhile.
unsafe fn serial<A: Operand, B: Operand, E: Epilogue>(
    [m, n, k]: [usize; 3],
    a: &A,
    b: &B,
    c: SharedMut<f32>,
    ldc: usize,
    into: Into,
    epilogue: &E,
    micro: &Micro,
) {
    if k == 0 {
        for row in 0..m {
            // SAFETY: the caller's promise.
            let segment = unsafe { c.slice(row * ldc, n) };
            if into == Into::Overwrite {
                segment.fill(0.0);
            }
            epilogue.finish(row, 0, segment);
        }
        return;
    }
    let mut packed_a = PACKED_A.with(RefCell::take);
    let mut packed_b = PACKED_B.with(RefCell::take);
    for n0 in (0..n).step_by(NC) {
        let nc = NC.min(n - n0);
        for k0 in (0..k).step_by(KC) {
            let kc = KC.min(k - k0);
            let panels = nc.div_ceil(micro.nr);
            let panel = micro.b_panel_len(kc);
            packed_b.resize(panels * panel, 0.0);
            for (p, out) in packed_b.chunks_mut(panel).enumerate() {
                let lane = n0 + p * micro.nr;
                micro.pack_b(b, lane, micro.nr.min(n0 + nc - lane), k0, kc, out);
            }
            for m0 in (0..m).step_by(MC) {
                let step = Step { m0, mc: MC.min(m - m0), n0, nc, k0, kc, panels: 0..panels, k };
                // SAFETY: the caller's promise.
                unsafe { block(&step, a, &mut packed_a, &packed_b, c, ldc, into, epilogue, micro) };
            }
        }
    }
    PACKED_A.set(packed_a);
    PACKED_B.set(packed_b);
}

/// One A block times some packed B panels.
struct Step {
    m0: usize,
    mc: usize,
    n0: usize,
    nc: usize,
    k0: usize,
    kc: usize,
    panels: std::ops::Range<usize>,
    /// Whole depth, to know which block is the last.
    k: usize,
}

/// # Safety
/// `c` holds the rows and columns of `step`, and nobody else uses those meanwhile.
unsafe fn block<A: Operand, E: Epilogue>(
    step: &Step,
    a: &A,
    packed_a: &mut Vec<f32>,
    packed_b: &[f32],
    c: SharedMut<f32>,
    ldc: usize,
    into: Into,
    epilogue: &E,
    micro: &Micro,
) {
    let Step { m0, mc, n0, nc, k0, kc, k, .. } = *step;
    let (mr, nr) = (micro.mr, micro.nr);
    let (a_panel, b_panel) = (micro.a_panel_len(kc), micro.b_panel_len(kc));
    let a_panels = mc.div_ceil(mr);
    packed_a.resize(a_panels * a_panel, 0.0);
    for (p, out) in packed_a.chunks_mut(a_panel).enumerate() {
        let lane = p * mr;
        micro.pack_a(a, m0 + lane, mr.min(mc - lane), k0, kc, out);
    }
    let first = k0 == 0 && into == Into::Overwrite;
    let last = k0 + kc == k;
    let mut tile = micro::Tile::new();
    for panel in step.panels.clone() {
        let column = panel * nr;
        let columns = nr.min(nc - column);
        let b = &packed_b[panel * b_panel..][..b_panel];
        for (p, a) in packed_a.chunks(a_panel).enumerate() {
            micro.multiply(kc, a, b, &mut tile); // tile [mr, nr]
            let rows = mr.min(mc - p * mr);
            for r in 0..rows {
                let row = m0 + p * mr + r;
                let sums = &tile.values()[r * nr..][..columns];
                // SAFETY: the caller's promise; this row segment belongs to this step alone.
                let segment = unsafe { c.slice(row * ldc + n0 + column, columns) };
                if first {
                    segment.copy_from_slice(sums);
                } else {
                    for (value, sum) in segment.iter_mut().zip(sums) {
                        *value += sum;
                    }
                }
                if last {
                    epilogue.finish(row, n0 + column, segment);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
