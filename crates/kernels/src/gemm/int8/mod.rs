//! Products of bytes: each row of A and each column of B has a scale of its own, sums are exact integers.
//!
//! A value is `scale · q` with `q` a whole number within ±127 and `scale` the largest magnitude of its row or column / 127.
//! Weights are rounded once when they are packed, activations at every product. Whatever the instruction set and the number
//! of threads, the result is the same to the bit, as long as the epilogue's is.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod scalar;

use rayon::prelude::*;

use super::micro::{Micro, NEAREST};
use super::{
    DepthMajor, Epilogue, Into, LaneMajor, Operand, Packed, Right, Run, Threads, new_product, product,
};

/// A right-hand matrix `[K, N]` in bytes: weights, rounded and packed once when loaded.
pub struct PackedInt8 {
    bytes: Packed,
    /// `[N]`: the value of one step of each column.
    scales: Vec<f32>,
    /// `[N]`: what a column's steps add up to, times what A has added to each of its own.
    excess: Vec<i32>,
}

impl PackedInt8 {
    /// Rows that the kernel multiplies at once.
    pub(crate) fn panel_rows(&self) -> usize {
        self.bytes.micro.mr
    }

    /// Rounds and packs `weights [k, n]` for the current instruction set.
    ///
    /// # Panics
    /// If the length is another.
    pub fn new(weights: &[f32], n: usize, k: usize) -> Self {
        Self::with(Micro::int8(), weights, n, k)
    }

    fn with(micro: &'static Micro, weights: &[f32], n: usize, k: usize) -> Self {
        assert_eq!(weights.len(), k * n, "weights are not [{k}, {n}]");
        let mut largest = vec![Magnitude::default(); n];
        for row in weights.chunks_exact(n.max(1)) {
            largest.iter_mut().zip(row).for_each(|(largest, value)| largest.see(*value));
        }
        let scales: Vec<f32> = largest.iter().map(Magnitude::scale).collect();
        let inverse: Vec<f32> = scales.iter().map(|scale| inverse(*scale)).collect();
        let mut excess = vec![0; n];
        for row in weights.chunks_exact(n.max(1)) {
            for ((sum, value), inverse) in excess.iter_mut().zip(row).zip(&inverse) {
                *sum += nearest(value * inverse) * micro.offset() as i32;
            }
        }
        let scaled = Scaled { inner: DepthMajor { data: weights, stride: n }, factors: &inverse };
        Self { bytes: Packed::with(micro, &scaled, n, k), scales, excess }
    }

    /// Columns, `N`.
    pub fn columns(&self) -> usize {
        self.bytes.n
    }

    /// Depth, `K`.
    pub fn depth(&self) -> usize {
        self.bytes.k
    }
}

/// `epilogue(A[m, k] · B)` as a new matrix `[m, N]`, on all threads.
///
/// Rows with a value that is not finite come out not finite as a whole.
pub fn gemm_int8_new<E: Epilogue>(m: usize, a: LaneMajor, b: &PackedInt8, epilogue: &E) -> Vec<f32> {
    let scales: Vec<f32> = (0..m).into_par_iter().with_min_len(16).map(|row| row_scale(a, row, b)).collect();
    let factors: Vec<f32> = scales.iter().map(|scale| inverse(*scale)).collect();
    let left = Scaled { inner: a, factors: &factors };
    new_product(
        [m, b.columns(), b.depth()],
        &left,
        &Right::packed(&b.bytes),
        &dequantise(b, &scales, epilogue),
    )
}

/// [`gemm_int8_new`] into `c`, rows `ldc` apart, on the calling thread alone.
///
/// # Panics
/// If `c` is too short or `ldc < N`: a bug of the caller.
pub fn gemm_int8_serial<E: Epilogue>(
    m: usize,
    a: LaneMajor,
    b: &PackedInt8,
    c: &mut [f32],
    ldc: usize,
    epilogue: &E,
) {
    let scales: Vec<f32> = (0..m).map(|row| row_scale(a, row, b)).collect();
    let factors: Vec<f32> = scales.iter().map(|scale| inverse(*scale)).collect();
    let left = Scaled { inner: a, factors: &factors };
    let all = dequantise(b, &scales, epilogue);
    let size = [m, b.columns(), b.depth()];
    product(size, &left, &Right::packed(&b.bytes), c, ldc, Into::Overwrite, &all, Threads::One);
}

fn row_scale(a: LaneMajor, row: usize, b: &PackedInt8) -> f32 {
    magnitude(&a.data[row * a.stride..][..b.depth()]).scale()
}

/// The epilogue that makes values of sums.
fn dequantise<'a, E: Epilogue>(b: &'a PackedInt8, rows: &'a [f32], then: &'a E) -> impl Epilogue + 'a {
    move |row: usize, column: usize, segment: &mut [f32]| {
        values(segment, &b.excess[column..], &b.scales[column..], rows[row]);
        then.finish(row, column, segment);
    }
}

crate::isa::multiversion! {
    /// Bits of i32 sums → values.
    fn values(segment: &mut [f32], excess: &[i32], scales: &[f32], row: f32) {
        for ((value, excess), scale) in segment.iter_mut().zip(excess).zip(scales) {
            let sum = value.to_bits() as i32 - excess;
            *value = sum as f32 * (row * scale);
        }
    }
}

/// A matrix whose lanes are multiplied as they are packed.
struct Scaled<'a, O> {
    inner: O,
    factors: &'a [f32],
}

impl<O: Operand> Operand for Scaled<'_, O> {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        self.inner.pack(lane0, lanes, width, depth0, depth, out);
        scale_lanes(&mut out[..depth * width], width, &self.factors[lane0..lane0 + lanes]);
    }

    fn each_run(
        &self,
        lane0: usize,
        lanes: usize,
        depth0: usize,
        depth: usize,
        mut take: impl FnMut(Run),
    ) -> bool {
        self.inner.each_run(lane0, lanes, depth0, depth, |run| {
            take(Run { factor: run.factor * self.factors[lane0 + run.lane], ..run });
        })
    }
}

crate::isa::multiversion! {
    fn scale_lanes(out: &mut [f32], width: usize, factors: &[f32]) {
        for row in out.chunks_exact_mut(width) {
            for (value, factor) in row.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }
}

/// Steps of a row or column lie within this.
const STEPS: f32 = 127.0;

/// The largest magnitude of some values, and NaN once one of them is not finite.
#[derive(Clone, Copy, Default)]
struct Magnitude {
    largest: f32,
    /// 0 while all are finite.
    poison: f32,
}

impl Magnitude {
    #[inline(always)]
    fn see(&mut self, value: f32) {
        self.largest = self.largest.max(value.abs());
        self.poison += value * 0.0;
    }

    fn scale(&self) -> f32 {
        self.largest / STEPS + self.poison
    }
}

crate::isa::multiversion! {
    fn magnitude(values: &[f32]) -> Magnitude {
        let (chunks, rest) = values.as_chunks::<16>();
        let mut lanes = [Magnitude::default(); 16];
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                lane.see(*value);
            }
        }
        let mut all = Magnitude::default();
        for lane in lanes {
            all.see(lane.largest);
            all.poison += lane.poison;
        }
        for value in rest {
            all.see(*value);
        }
        all
    }
}

/// Steps a unit; 0 where every value is 0.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The whole number nearest to `x`, ties to even, for |x| < 2²²: as panels have it.
fn nearest(x: f32) -> i32 {
    (x + NEAREST).to_bits() as i8 as i32
}

#[cfg(test)]
mod tests;
