//! The oracle: whole rows of scores, one query at a time, sums in f64.

use super::{AttentionShape, Keys, ScoreTable};

/// `softmax(scale · Q Kᵀ) V`, layouts as in [`super::forward`].
pub fn forward(q: &[f32], k: &[f32], v: &[f32], shape: AttentionShape, which: Keys) -> Vec<f32> {
    forward_with_table(q, k, v, shape, which, None)
}

/// The same with a table that is added to scaled scores.
pub fn forward_with_table(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    which: Keys,
    table: Option<ScoreTable>,
) -> Vec<f32> {
    let AttentionShape { batch, heads, head_dim, queries, keys } = shape;
    let width = heads * head_dim;
    let mut out = vec![0.0; q.len()];
    for b in 0..batch {
        let length = which.length(b, keys);
        for n in 0..heads {
            for i in 0..queries {
                let at = (b * queries + i) * width + n * head_dim;
                let key = |j: usize| (b * keys + j) * width + n * head_dim;
                let bias = which.bias_of(&shape, b, i, 0);
                let plane = table.map(|table| table.plane(&shape, b, n));
                let scores: Vec<f64> = (0..length)
                    .map(|j| {
                        let dot: f64 = (0..head_dim).map(|d| q[at + d] as f64 * k[key(j) + d] as f64).sum();
                        dot * shape.scale() as f64
                            + bias.map_or(0.0, |bias| bias[j] as f64)
                            + plane.map_or(0.0, |plane| plane[j * queries + i] as f64)
                    })
                    .collect();
                let maximum = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - maximum).exp()).sum();
                for d in 0..head_dim {
                    let sum: f64 =
                        (0..length).map(|j| (scores[j] - maximum).exp() * v[key(j) + d] as f64).sum();
                    out[at + d] = (sum / total) as f32;
                }
            }
        }
    }
    out
}
