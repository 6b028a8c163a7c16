//! AdamW, orthogonalised momentum and exponential moving averages over flat slices.

use crate::gemm::{DepthMajor, Into, LaneMajor, Plain, gemm_serial};
use crate::isa::{Precision, multiversion};
use crate::threads::{SharedMut, for_ranges};

/// Constants of one AdamW step (Loshchilov & Hutter 2019), decoupled weight decay.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate of this step.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f32,
    /// The step's number, from 1, for the bias corrections.
    pub step: u64,
    /// Factor on every gradient: global-norm clipping and averaging over accumulated batches.
    pub gradient_scale: f32,
}

/// One step on a parameter, in place.
pub fn adamw(config: &AdamW, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    let n = weights.len();
    assert!(gradient.len() == n && first.len() == n && second.len() == n, "AdamW slices differ in length");
    let step = config.step.min(i32::MAX as u64) as i32;
    let correction1 = 1.0 / (1.0 - config.beta1.powi(step));
    let correction2 = 1.0 / (1.0 - config.beta2.powi(step));
    let (w, m, v) = (SharedMut::new(weights), SharedMut::new(first), SharedMut::new(second));
    for_ranges(n, 32 * 1024, |range| {
        // SAFETY: ranges are disjoint.
        let (w, m, v) = unsafe {
            let (start, len) = (range.start, range.len());
            (w.slice(start, len), m.slice(start, len), v.slice(start, len))
        };
        adamw_slice(config, [correction1, correction2], [w, m, v], &gradient[range]);
    });
}

multiversion! {
    /// One step on weights, first and second moments.
    fn adamw_slice(config: &AdamW, corrections: [f32; 2], state: [&mut [f32]; 3], gradient: &[f32]) {
        let keep = 1.0 - config.learning_rate * config.weight_decay;
        let [w, m, v] = state;
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(gradient) {
            let g = g * config.gradient_scale;
            *m += (1.0 - config.beta1) * (g - *m);
            *v += (1.0 - config.beta2) * (g * g - *v);
            let update = *m * corrections[0] / ((*v * corrections[1]).sqrt() + config.epsilon);
            *w = *w * keep - config.learning_rate * update;
        }
    }
}

/// Constants of one step with orthogonalised momentum (Jordan et al. 2024, "Muon"), its length matched to that of AdamW
/// (Liu et al. 2025) so that both share a learning rate.
#[derive(Clone, Copy, Debug)]
pub struct Muon {
    /// Learning rate of this step.
    pub learning_rate: f32,
    /// Decay of the momentum.
    pub momentum: f32,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f32,
    /// Factor on every gradient.
    pub gradient_scale: f32,
}

/// One step on a matrix `[rows, columns]`, in place, on the calling thread: callers run matrices in parallel.
pub fn muon(
    config: &Muon,
    [rows, columns]: [usize; 2],
    weights: &mut [f32],
    gradient: &[f32],
    momentum: &mut [f32],
) {
    let n = rows * columns;
    assert!(weights.len() == n && gradient.len() == n && momentum.len() == n, "Muon slices differ in length");
    let mut update = Vec::with_capacity(n);
    for (m, g) in momentum.iter_mut().zip(gradient) {
        let g = g * config.gradient_scale;
        *m += (1.0 - config.momentum) * (g - *m);
        update.push(g + config.momentum * (*m - g)); // Nesterov's look ahead
    }
    let update = orthogonalised([rows, columns], update);
    let rate = config.learning_rate * 0.2 * (rows.max(columns) as f32).sqrt();
    let keep = 1.0 - config.learning_rate * config.weight_decay;
    for (w, u) in weights.iter_mut().zip(&update) {
        *w = *w * keep - rate * u;
    }
}

/// Five Newton–Schulz steps towards the nearest matrix whose singular values are about 1.
fn orthogonalised([rows, columns]: [usize; 2], x: Vec<f32>) -> Vec<f32> {
    const COEFFICIENTS: [f32; 3] = [3.4445, -4.775, 2.0315];
    let transposed = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        (0..rows * columns).map(|i| x[(i % rows) * columns + i / rows]).collect()
    };
    let tall = rows > columns;
    let (r, c) = if tall { (columns, rows) } else { (rows, columns) };
    let mut x = if tall { transposed(&x, rows, columns) } else { x }; // [r, c], r ≤ c
    let norm = sum_of_squares(&x).sqrt() as f32 + 1e-7;
    x.iter_mut().for_each(|v| *v /= norm);
    let [a, b, d] = COEFFICIENTS;
    let (mut gram, mut square, mut next) = (vec![0.0; r * r], vec![0.0; r * r], vec![0.0; r * c]);
    for _ in 0..5 {
        let by_row = LaneMajor { data: &x, stride: c };
        gemm_serial([r, r, c], &by_row, &by_row, &mut gram, r, Into::Overwrite, &Plain, Precision::F32); // X Xᵀ
        let (lhs, rhs) = (LaneMajor { data: &gram, stride: r }, DepthMajor { data: &gram, stride: r });
        gemm_serial([r, r, r], &lhs, &rhs, &mut square, r, Into::Overwrite, &Plain, Precision::F32);
        for (s, g) in square.iter_mut().zip(&gram) {
            *s = b * g + d * *s;
        }
        next.iter_mut().zip(&x).for_each(|(n, x)| *n = a * x);
        let (lhs, rhs) = (LaneMajor { data: &square, stride: r }, DepthMajor { data: &x, stride: c });
        gemm_serial([r, c, r], &lhs, &rhs, &mut next, c, Into::Accumulate, &Plain, Precision::F32);
        std::mem::swap(&mut x, &mut next);
    }
    if tall { transposed(&x, c.min(r), c.max(r)) } else { x }
}

/// `average += (1 − decay) · (weights − average)`.
pub fn ema(average: &mut [f32], weights: &[f32], decay: f32) {
    assert_eq!(average.len(), weights.len());
    let shared = SharedMut::new(average);
    for_ranges(weights.len(), 32 * 1024, |range| {
        // SAFETY: ranges are disjoint.
        let average = unsafe { shared.slice(range.start, range.len()) };
        ema_slice(average, &weights[range], decay);
    });
}

multiversion! {
    fn ema_slice(average: &mut [f32], weights: &[f32], decay: f32) {
        for (a, w) in average.iter_mut().zip(weights) {
            *a += (1.0 - decay) * (w - *a);
        }
    }
}

/// Sum of squares in f64, in blocks of fixed length so that the order never depends on the threads.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.chunks(4096).map(sum_of_squares_of_block).sum()
}

multiversion! {
    /// In eight lanes, so that the compiler can vectorise it without reordering on its own.
    fn sum_of_squares_of_block(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let chunks = x.chunks_exact(8);
        let rest: f64 = chunks.remainder().iter().map(|v| (v * v) as f64).sum();
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane += (v * v) as f64;
            }
        }
        lanes.iter().sum::<f64>() + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_moves_by_the_learning_rate_against_the_gradient() {
        let config = AdamW {
            learning_rate: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.5,
            step: 1,
            gradient_scale: 0.25,
        };
        let (mut w, mut m, mut v) = (vec![1.0, -2.0], vec![0.0; 2], vec![0.0; 2]);
        adamw(&config, &mut w, &[4.0, -8.0], &mut m, &mut v);
        // decay by 1 − 0.1·0.5, then ∓0.1 whatever the gradient's size
        assert!((w[0] - (0.95 - 0.1)).abs() < 1e-6 && (w[1] - (-1.9 + 0.1)).abs() < 1e-6, "{w:?}");
        assert!((m[0] - 0.1).abs() < 1e-6 && (v[1] - 0.04).abs() < 1e-6);
    }

    #[test]
    fn orthogonalised_matrices_have_singular_values_near_one() {
        for [rows, columns] in [[8, 8], [6, 20], [20, 6]] {
            let x = crate::testing::Lcg::new(4).normal(rows * columns);
            let y = orthogonalised([rows, columns], x.clone());
            let small = rows.min(columns);
            // Gram matrix of the shorter side: about the identity.
            for i in 0..small {
                for j in 0..small {
                    let dot: f32 = (0..rows.max(columns))
                        .map(|k| {
                            if rows < columns {
                                y[i * columns + k] * y[j * columns + k]
                            } else {
                                y[k * columns + i] * y[k * columns + j]
                            }
                        })
                        .sum();
                    let expected = if i == j { 1.0 } else { 0.0 };
                    // Five steps bring singular values into 0.7..1.2, not to 1.
                    assert!((dot - expected).abs() < 0.55, "{rows}x{columns} [{i}, {j}]: {dot}");
                }
            }
            let along: f32 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
            assert!(along > 0.0, "the step points away from the gradient");
        }
    }

    #[test]
    fn average_walks_towards_the_weights() {
        let mut average = vec![0.0; 3];
        ema(&mut average, &[1.0, 2.0, 3.0], 0.9);
        ema(&mut average, &[1.0, 2.0, 3.0], 0.9);
        assert!((average[2] - 3.0 * 0.19).abs() < 1e-6);
        assert_eq!(sum_of_squares(&[3.0, 4.0]), 25.0);
    }
}
