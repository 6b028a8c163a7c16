//! What happens to rows of a product while they are in the cache: one pass over memory less for each.

use crate::isa::multiversion;
use crate::pointwise::{Activation, add_and_map};

/// What happens to a finished row segment before it is left in `C`.
///
/// `finish(row, column, segment)` sees the sums of `C[row, column..column + segment.len()]` and changes them in place;
/// it runs once per element, after the last block of `K`, while the segment is in the second-level cache.
pub trait Epilogue: Sync {
    /// Changes a finished segment.
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]);
}

impl<F: Fn(usize, usize, &mut [f32]) + Sync> Epilogue for F {
    #[inline(always)]
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        self(row, column, segment);
    }
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
    fn finish(&self, _: usize, column: usize, segment: &mut [f32]) {
        add(segment, &self.0[column..]);
    }
}

/// `activation(sum + bias)`.
pub struct BiasActivate<'a> {
    /// One value a column.
    pub bias: &'a [f32],
    /// What follows.
    pub activation: Activation,
}

impl Epilogue for BiasActivate<'_> {
    fn finish(&self, _: usize, column: usize, segment: &mut [f32]) {
        add_and_map(segment, &self.bias[column..], self.activation);
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
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        let n = self.bias.len();
        add_two(segment, &self.bias[column..], &self.residual[row * n + column..]);
    }
}

/// `activation(residual + activation(sum + bias))`: how a block of RAFT's encoders ends.
pub struct BiasActivateResidual<'a> {
    /// One value a column.
    pub bias: &'a [f32],
    /// `[M, N]`, contiguous.
    pub residual: &'a [f32],
    /// What follows each sum.
    pub activation: Activation,
}

impl Epilogue for BiasActivateResidual<'_> {
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        let n = self.bias.len();
        add_and_map(segment, &self.bias[column..], self.activation);
        add_and_map(segment, &self.residual[row * n + column..], self.activation);
    }
}

/// `prelu(sum + bias)` or `prelu(sum + bias + residual)`: what is below zero is multiplied by its column's slope (He et al. 2015).
pub struct BiasPrelu<'a> {
    /// One value a column.
    pub bias: &'a [f32],
    /// One value a column.
    pub slope: &'a [f32],
    /// `[M, N]`, contiguous.
    pub residual: Option<&'a [f32]>,
}

impl Epilogue for BiasPrelu<'_> {
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        let n = self.bias.len();
        let (bias, slope) = (&self.bias[column..], &self.slope[column..]);
        match self.residual {
            None => prelu(segment, bias, slope),
            Some(residual) => prelu_residual(segment, bias, slope, &residual[row * n + column..]),
        }
    }
}

/// `residual + gate ∘ (sum + bias)`: how adaLN ends a branch.
pub struct BiasGate<'a> {
    /// One value a column.
    pub bias: &'a [f32],
    /// `[M, N]`, contiguous.
    pub residual: &'a [f32],
    /// `[G, N]`: one row for each `rows_per_gate` consecutive rows of `C`.
    pub gate: &'a [f32],
    /// `M / G`.
    pub rows_per_gate: usize,
}

impl Epilogue for BiasGate<'_> {
    fn finish(&self, row: usize, column: usize, segment: &mut [f32]) {
        let n = self.bias.len();
        let gate = &self.gate[row / self.rows_per_gate * n + column..];
        gated(segment, &self.bias[column..], gate, &self.residual[row * n + column..]);
    }
}

multiversion! {
    fn add(segment: &mut [f32], bias: &[f32]) {
        for (value, bias) in segment.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

multiversion! {
    fn add_two(segment: &mut [f32], bias: &[f32], residual: &[f32]) {
        for ((value, bias), residual) in segment.iter_mut().zip(bias).zip(residual) {
            *value += bias + residual;
        }
    }
}

multiversion! {
    fn prelu(segment: &mut [f32], bias: &[f32], slope: &[f32]) {
        for ((value, bias), slope) in segment.iter_mut().zip(bias).zip(slope) {
            let sum = *value + bias;
            *value = if sum < 0.0 { sum * slope } else { sum };
        }
    }
}

multiversion! {
    fn prelu_residual(segment: &mut [f32], bias: &[f32], slope: &[f32], residual: &[f32]) {
        for (((value, bias), slope), residual) in segment.iter_mut().zip(bias).zip(slope).zip(residual) {
            let sum = *value + bias + residual;
            *value = if sum < 0.0 { sum * slope } else { sum };
        }
    }
}

multiversion! {
    fn gated(segment: &mut [f32], bias: &[f32], gate: &[f32], residual: &[f32]) {
        for (((value, bias), gate), residual) in segment.iter_mut().zip(bias).zip(gate).zip(residual) {
            *value = residual + gate * (*value + bias);
        }
    }
}
