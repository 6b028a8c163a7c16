//! The gates of a convolutional GRU (Cho et al. 2014; Ballas et al. 2016), at the ends of the products that they are made of.

use crate::gemm::Epilogue;
use crate::isa::multiversion;
use crate::pointwise::{sigmoid, tanh};

/// Of a product with `2C` columns: `z = σ(sum + context)` in the first half, `σ(sum + context) ∘ hidden` in the second, which is
/// `r ∘ h`.
pub struct GruGates<'a> {
    /// `[M, 2C]`: what does not change from step to step, biases included.
    pub context: &'a [f32],
    /// `[M, C]`.
    pub hidden: &'a [f32],
    /// `C`.
    pub channels: usize,
}

impl Epilogue for GruGates<'_> {
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        let c = self.channels;
        let context = &self.context[row * 2 * c + column..][..segment.len()];
        let hidden = &self.hidden[row * c..][..c];
        let (update, reset) = segment.split_at_mut(c.saturating_sub(column).min(segment.len()));
        let (of_update, of_reset) = context.split_at(update.len());
        gate(update, of_update);
        if !reset.is_empty() {
            gate_hidden(reset, of_reset, &hidden[column.max(c) - c..]);
        }
    }
}

/// Of a product with `C` columns: `(1 − z) ∘ h + z ∘ tanh(sum + context)`, the next hidden state.
pub struct GruUpdate<'a> {
    /// `[M, C]`, as in [`GruGates`].
    pub context: &'a [f32],
    /// What [`GruGates`] left, `[M, 2C]`.
    pub gates: &'a [f32],
    /// `[M, C]`.
    pub hidden: &'a [f32],
    /// `C`.
    pub channels: usize,
}

impl Epilogue for GruUpdate<'_> {
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        let (c, len) = (self.channels, segment.len());
        let context = &self.context[row * c + column..][..len];
        let gates = &self.gates[row * 2 * c + column..][..len];
        update(segment, context, gates, &self.hidden[row * c + column..][..len]);
    }
}

multiversion! {
    fn gate(sums: &mut [f32], context: &[f32]) {
        for (sum, context) in sums.iter_mut().zip(context) {
            *sum = sigmoid(*sum + context);
        }
    }
}

multiversion! {
    fn gate_hidden(sums: &mut [f32], context: &[f32], hidden: &[f32]) {
        for ((sum, context), hidden) in sums.iter_mut().zip(context).zip(hidden) {
            *sum = sigmoid(*sum + context) * hidden;
        }
    }
}

multiversion! {
    fn update(sums: &mut [f32], context: &[f32], gates: &[f32], hidden: &[f32]) {
        for (((sum, context), z), h) in sums.iter_mut().zip(context).zip(gates).zip(hidden) {
            *sum = (1.0 - z) * h + z * tanh(*sum + context);
        }
    }
}
