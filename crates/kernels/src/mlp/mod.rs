//! The feed-forward branch of a transformer block in one op: `residual + gate ∘ (act(x · up + b₁) · down + b₂)`.
//!
//! A task takes some rows, and of the hidden activations one block of columns at a time: it makes them, multiplies them by the
//! rows of the second weights that they meet, and forgets them. They stay in the second-level cache, with the rows' input and
//! output, and never exist as a whole (six times the width in Wan). Both weights are packed once. Bytes need the largest value
//! of a whole row of hidden activations before they are rounded: there a task keeps all of its rows.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::gemm::{
    BiasActivate, BiasGate, DepthMajor, Epilogue, Into, LaneMajor, Packed, PackedInt8, Plain, Tiles,
    WeightFormat, gemm_int8_serial,
};
use crate::isa::Precision;
use crate::pointwise::{Activation, rows_per_group};
use crate::threads::Fresh;

/// Rows of one task at most where weights are bytes, which are otherwise read too often.
const ROWS_INT8: usize = 192;

thread_local! {
    /// Hidden activations of one task; its packed input; its packed hidden activations.
    static INNER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PACKED_INPUT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PACKED_INNER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
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
    weights: Both,
    up_bias: Vec<f32>,
    down_bias: Vec<f32>,
    activation: Activation,
}

enum Both {
    /// Blocks of columns of the first, each as long as a block of depths of the second.
    Float {
        up: Vec<Packed>,
        down: Packed,
    },
    Int8 {
        up: PackedInt8,
        down: PackedInt8,
    },
}

impl Both {
    fn float(weights: &MlpWeights, width: usize, hidden: usize, precision: Precision) -> Self {
        let down = Packed::new(&DepthMajor { data: weights.down, stride: width }, width, hidden, precision);
        let block = Tiles::of(&down).depth_block();
        let up = (0..hidden).step_by(block).map(|from| {
            let columns = DepthMajor { data: &weights.up[from..], stride: hidden };
            Packed::new(&columns, block.min(hidden - from), width, precision)
        });
        Self::Float { up: up.collect(), down }
    }
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
        let both = match format.precision() {
            Some(precision) => Both::float(&weights, width, hidden, precision),
            None => Both::Int8 {
                up: PackedInt8::new(weights.up, hidden, width),
                down: PackedInt8::new(weights.down, width, hidden),
            },
        };
        Self {
            weights: both,
            up_bias: weights.up_bias.to_vec(),
            down_bias: weights.down_bias.to_vec(),
            activation,
        }
    }

    /// `x, residual [R, D]`, `gate [G, D]`, each for `R/G` consecutive rows → `[R, D]`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn forward(&self, x: &[f32], residual: &[f32], gate: &[f32]) -> Vec<f32> {
        let width = self.down_bias.len();
        assert_eq!(x.len(), residual.len(), "x and residual are both [R, {width}]");
        if x.is_empty() {
            return Vec::new();
        }
        let rows_per_gate = rows_per_group(x.len(), gate.len(), width);
        let rows = x.len() / width;
        let fresh = Fresh::new(x.len());
        // As many tasks for each thread, of as many rows.
        let (rows_max, panel) = match &self.weights {
            Both::Float { down, .. } => (Tiles::of(down).row_block(), Tiles::of(down).rows()),
            Both::Int8 { down, .. } => (ROWS_INT8, down.panel_rows()),
        };
        let tasks = rows.div_ceil(rows_max).next_multiple_of(rayon::current_num_threads());
        let height = rows.div_ceil(tasks).next_multiple_of(panel);
        (0..rows.div_ceil(height)).into_par_iter().for_each(|task| {
            let from = task * height;
            let count = height.min(rows - from);
            // SAFETY: each task writes its own rows.
            let out = unsafe { fresh.slice(from * width, count * width) };
            let all = BiasGate { bias: &self.down_bias, residual, gate, rows_per_gate };
            let gated =
                |row: usize, column: usize, segment: &mut [f32]| all.finish(from + row, column, segment);
            let input = LaneMajor { data: &x[from * width..], stride: width };
            let mut inner = INNER.with(RefCell::take);
            match &self.weights {
                Both::Float { up, down } => self.float(up, down, count, input, &mut inner, out, &gated),
                Both::Int8 { up, down } => {
                    let hidden = self.up_bias.len();
                    inner.resize(count * hidden, 0.0);
                    let activate = BiasActivate { bias: &self.up_bias, activation: self.activation };
                    gemm_int8_serial(count, input, up, &mut inner, hidden, &activate);
                    let input = LaneMajor { data: &inner, stride: hidden };
                    gemm_int8_serial(count, input, down, out, width, &gated);
                }
            }
            INNER.set(inner);
        });
        // SAFETY: tasks cover every row.
        unsafe { fresh.finish(x.len()) }
    }

    /// `input [rows, D]` → `out [rows, D]`, one block of hidden columns at a time.
    fn float(
        &self,
        up: &[Packed],
        down: &Packed,
        rows: usize,
        input: LaneMajor,
        inner: &mut Vec<f32>,
        out: &mut [f32],
        finish: &impl Epilogue,
    ) {
        let (width, tiles) = (down.columns(), Tiles::of(down));
        let mut packed_input = PACKED_INPUT.with(RefCell::take);
        let mut packed_inner = PACKED_INNER.with(RefCell::take);
        packed_input.resize(tiles.left_len(rows, width), 0.0);
        tiles.pack_left(&input, rows, width, &mut packed_input);
        let mut done = 0;
        for (b, up) in up.iter().enumerate() {
            let columns = up.columns();
            inner.resize(rows * columns, 0.0);
            let activate =
                BiasActivate { bias: &self.up_bias[done..done + columns], activation: self.activation };
            let shape = [rows, columns, width];
            tiles.multiply(shape, &packed_input, up.panels_from(0), inner, Into::Overwrite, &activate);
            let hidden = LaneMajor { data: inner, stride: columns };
            packed_inner.resize(tiles.left_len(rows, columns), 0.0);
            tiles.pack_left(&hidden, rows, columns, &mut packed_inner);
            let into = if b == 0 { Into::Overwrite } else { Into::Accumulate };
            let (shape, right) = ([rows, width, columns], down.panels_from(done));
            done += columns;
            if done == down.depth() {
                tiles.multiply(shape, &packed_inner, right, out, into, finish);
            } else {
                tiles.multiply(shape, &packed_inner, right, out, into, &Plain);
            }
        }
        PACKED_INPUT.set(packed_input);
        PACKED_INNER.set(packed_inner);
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
        // Hidden columns of more than two blocks, the last one short.
        let (rows, width, hidden) = (390, 36, 3300);
        let mut random = Lcg::new(4);
        let (x, residual, gate) =
            (random.normal(rows * width), random.normal(rows * width), random.normal(3 * width));
        let (up, up_bias) = (random.normal(width * hidden), random.normal(hidden));
        let (down, down_bias) = (random.normal(hidden * width), random.normal(width));
        let weights = MlpWeights { up: &up, up_bias: &up_bias, down: &down, down_bias: &down_bias };
        force_each_isa(|isa| {
            for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::TwoParts, WeightFormat::Int8]
            {
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
