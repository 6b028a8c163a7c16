//! Online softmax of a panel of queries, one a lane, down its keys (Milakov & Gimelshein 2018).

use std::f32::consts::LOG2_E;

use crate::isa::multiversion;
use crate::pointwise::exp2;

/// Most queries of a panel.
const LANES: usize = 32;

/// What is known of each query after some tiles of keys.
pub(super) struct Softmax {
    /// Largest scaled score, in powers of two; -∞ where every key was hidden, or not a number.
    maxima: [f32; LANES],
    /// Sum of exponentials below it.
    totals: [f32; LANES],
    /// What sums below the maximum before are to be multiplied by.
    shrink: [f32; LANES],
}

impl Softmax {
    pub const fn new() -> Self {
        Self { maxima: [f32::NEG_INFINITY; LANES], totals: [0.0; LANES], shrink: [1.0; LANES] }
    }

    /// `scores [keys, lanes]` become `exp(scale · score − maximum)`.
    pub fn step(&mut self, scores: &mut [f32], lanes: usize, scale: f32) {
        step(self, scores, lanes, scale);
    }

    /// Shrinks sums `[rows, lanes]` as the last step asks for.
    pub fn shrink(&self, sums: &mut [f32], lanes: usize) {
        if self.shrink[..lanes].iter().any(|shrink| *shrink != 1.0) {
            scale_rows(sums, &self.shrink[..lanes]);
        }
    }

    /// Divides sums `[rows, lanes]` by the totals; queries without any key become NaN.
    pub fn finish(&mut self, sums: &mut [f32], lanes: usize) {
        let mut inverse = [f32::NAN; LANES];
        for ((inverse, total), maximum) in inverse.iter_mut().zip(self.totals).zip(self.maxima) {
            if maximum > f32::NEG_INFINITY {
                *inverse = 1.0 / total;
            }
        }
        scale_rows(sums, &inverse[..lanes]);
    }

    /// Logarithm of the sum of exponentials of scaled scores of one query.
    pub fn log_sum_exp(&self, lane: usize) -> f32 {
        self.maxima[lane] / LOG2_E + self.totals[lane].ln()
    }
}

multiversion! {
    fn scale_rows(rows: &mut [f32], factors: &[f32]) {
        for row in rows.chunks_exact_mut(factors.len()) {
            for (value, factor) in row.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }
}

multiversion! {
    fn step(softmax: &mut Softmax, scores: &mut [f32], lanes: usize, scale: f32) {
        // A width that the compiler knows keeps a row in registers.
        match lanes {
            32 => step_of::<32>(softmax, scores, scale),
            16 => step_of::<16>(softmax, scores, scale),
            12 => step_of::<12>(softmax, scores, scale),
            8 => step_of::<8>(softmax, scores, scale),
            _ => unreachable!("no kernel has {lanes} columns"),
        }
    }
}

#[inline(always)]
fn step_of<const W: usize>(softmax: &mut Softmax, scores: &mut [f32], scale: f32) {
    let scores = scores.as_chunks_mut::<W>().0;
    let scale = scale * LOG2_E;
    let mut highest = [f32::NEG_INFINITY; W];
    for row in scores.iter() {
        for (highest, score) in highest.iter_mut().zip(row) {
            *highest = if *score > *highest { *score } else { *highest };
        }
    }
    let mut shift = [0.0; W];
    for lane in 0..W {
        let before = softmax.maxima[lane];
        let highest = highest[lane] * scale;
        let maximum = if highest > before { highest } else { before };
        softmax.maxima[lane] = maximum;
        // Nothing is above -∞: exponentials of such scores are next to nothing, and `finish` knows.
        let hidden = maximum == f32::NEG_INFINITY;
        shift[lane] = if hidden { 0.0 } else { maximum };
        softmax.shrink[lane] = if hidden { 1.0 } else { exp2(before - maximum) };
    }
    let mut totals = [0.0; W];
    for row in scores.iter_mut() {
        for ((score, shift), total) in row.iter_mut().zip(&shift).zip(&mut totals) {
            *score = exp2(*score * scale - shift);
            *total += *score;
        }
    }
    for lane in 0..W {
        softmax.totals[lane] = softmax.totals[lane] * softmax.shrink[lane] + totals[lane];
    }
}
