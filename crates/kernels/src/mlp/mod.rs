//! The feed-forward branch of a transformer block in one op: `residual + gate ∘ (act(x · up + b₁) · down + b₂)`.
//!
//! A task takes some rows through both products, so the hidden activations (six times the width in Wan) stay in its
//! cache and never exist as a whole. Both weights are packed once.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::gemm::{BiasActivate, BiasGate, LaneMajor, WeightFormat, Weights};
use crate::pointwise::{Activation, rows_per_group};
use crate::threads::Fresh;

/// Rows of one task at most: weights are read once for so many, and `ROWS × hidden` has to stay near.
const ROWS: usize = 192;

thread_local! {
    /// Hidden activations of one task.
    static INNER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Weights as a checkpoint has them.
#[derive(Clone, Copy)]
pub struct MlpWeights<'a> {
    /// `[D, hidden]`.
    pub up: &'a [f32],
    /// `[hidden]`.
    pub up_bias: &'a [f32],
    /// `[hidden, D]`.
    pub down: &'a [f32],
    /// `[D]`.
    pub down_bias: &'a [f32],
}

/// Packed weights of one feed-forward branch.
pub struct Mlp {
    up: Weights,
    up_bias: Vec<f32>,
    down: Weights,
    down_bias: Vec<f32>,
    activation: Activation,
}

impl std::fmt::Debug for Mlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "packed [{}, {}]", self.down_bias.len(), self.up_bias.len())
    }
}

impl Mlp {
    /// Packs weights for the current instruction set.
    ///
    /// # Panics
    /// If the weights' lengths do not fit together.
    pub fn new(weights: MlpWeights, activation: Activation, format: WeightFormat) -> Self {
        let (width, hidden) = (weights.down_bias.len(), weights.up_bias.len());
        assert_eq!(weights.up.len(), width * hidden, "up is not [{width}, {hidden}]");
        assert_eq!(weights.down.len(), width * hidden, "down is not [{hidden}, {width}]");
        Self {
            up: Weights::new(weights.up, hidden, width, format),
            up_bias: weights.up_bias.to_vec(),
            down: Weights::new(weights.down, width, hidden, format),
            down_bias: weights.down_bias.to_vec(),
            activation,
        }
    }

    /// `x, residual [R, D]`, `gate [G, D]`, each for `R/G` consecutive rows → `[R, D]`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn forward(&self, x: &[f32], residual: &[f32], gate: &[f32]) -> Vec<f32> {
        let (width, hidden) = (self.down_bias.len(), self.up_bias.len());
        assert_eq!(x.len(), residual.len(), "x and residual are both [R, {width}]");
        let rows_per_gate = rows_per_group(x.len(), gate.len(), width);
        let rows = x.len() / width;
        let fresh = Fresh::new(x.len());
        // As many tasks for each thread, of as many rows.
        let threads = rayon::current_num_threads();
        let tasks = rows.div_ceil(ROWS).next_multiple_of(threads);
        let height = rows.div_ceil(tasks).next_multiple_of(12);
        (0..rows.div_ceil(height)).into_par_iter().for_each(|task| {
            let from = task * height;
            let count = height.min(rows - from);
            let mut inner = INNER.with(RefCell::take);
            inner.resize(count * hidden, 0.0);
            let input = LaneMajor { data: &x[from * width..], stride: width };
            let activate = BiasActivate { bias: &self.up_bias, activation: self.activation };
            self.up.product_serial(count, input, &mut inner, &activate);
            // SAFETY: each task writes its own rows.
            let out = unsafe { fresh.slice(from * width, count * width) };
            let input = LaneMajor { data: &inner, stride: hidden };
            let all = BiasGate { bias: &self.down_bias, residual, gate, rows_per_gate };
            let gated = |row: usize, column: usize, segment: &mut [f32]| {
                crate::gemm::Epilogue::finish(&all, from + row, column, segment);
            };
            self.down.product_serial(count, input, out, &gated);
            INNER.set(inner);
        });
        // SAFETY: tasks cover every row.
        unsafe { fresh.finish(x.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Bias, Weights};
    use crate::pointwise::{activate, gated_residual};
    use crate::testing::{Lcg, force_each_isa};

    #[test]
    fn agrees_with_its_parts_at_every_isa_and_any_number_of_threads() {
        let (rows, width, hidden) = (390, 36, 100);
        let mut random = Lcg::new(4);
        let (x, residual, gate) =
            (random.normal(rows * width), random.normal(rows * width), random.normal(3 * width));
        let (up, up_bias) = (random.normal(width * hidden), random.normal(hidden));
        let (down, down_bias) = (random.normal(hidden * width), random.normal(width));
        let weights = MlpWeights { up: &up, up_bias: &up_bias, down: &down, down_bias: &down_bias };
        force_each_isa(|isa| {
            for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8] {
                let linear = |x: &[f32], w: &[f32], b: &[f32], k: usize, n: usize| {
                    Weights::new(w, n, k, format).product(rows, LaneMajor { data: x, stride: k }, &Bias(b))
                };
                let inner = activate(&linear(&x, &up, &up_bias, width, hidden), Activation::GeluTanh);
                let y = linear(&inner, &down, &down_bias, hidden, width);
                let expected = gated_residual(&residual, &y, &gate, width);
                let mlp = Mlp::new(weights, Activation::GeluTanh, format);
                let with = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| mlp.forward(&x, &residual, &gate))
                };
                let found = with(1);
                assert!(found == with(2) && found == with(7), "{isa} {format:?}: threads matter");
                for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                    // Sums in the same order: only fused multiply-adds of the epilogue may differ.
                    assert!((f - e).abs() <= 1e-4 * (1.0 + e.abs()), "{isa} {format:?}[{i}]: {f} ≠ {e}");
                }
            }
        });
    }
}
