//! One query a sample against keys and values that were kept: a step of a text decoder.

use rayon::prelude::*;

use crate::isa::multiversion;
use crate::pointwise::exp_shifted_sum;

/// A stretch of the keys and values of every sample: a prefix, or what was decoded so far.
#[derive(Clone, Copy)]
pub struct CachedKeys<'a> {
    /// `[B, capacity, N·Dh]`.
    pub k: &'a [f32],
    /// As the keys.
    pub v: &'a [f32],
    /// Rows that a sample has room for.
    pub capacity: usize,
    /// Rows that count, from the first.
    pub length: usize,
}

/// `softmax(Q Kᵀ / √Dh) V` for one query of each of some samples, `q [S, N·Dh]`, over the keys of all stretches one after another;
/// `samples [S]` says which rows of the caches are whose.
///
/// # Panics
/// If lengths do not fit.
pub fn one_query(q: &[f32], samples: &[usize], stretches: &[CachedKeys], heads: usize) -> Vec<f32> {
    let width = q.len() / samples.len().max(1);
    assert!(q.len() == samples.len() * width && width % heads == 0, "q is not [S, N·Dh] of {heads} heads");
    let keys: usize = stretches.iter().map(|stretch| stretch.length).sum();
    assert!(keys > 0, "a query without keys");
    for CachedKeys { k, v, capacity, length } in stretches {
        let needed = samples.iter().max().map_or(0, |last| (last + 1) * capacity * width);
        assert!(
            length <= capacity && k.len() >= needed && v.len() >= needed,
            "k and v are not [B, capacity, N·Dh]"
        );
    }
    let head_dim = width / heads;
    let mut out = vec![0.0; q.len()];
    out.par_chunks_mut(head_dim.max(1)).enumerate().for_each_init(
        || vec![0.0; keys],
        |scores, (i, out)| {
            let (sample, n) = (samples[i / heads], i % heads);
            let query = &q[i * head_dim..][..head_dim];
            let mut rest = &mut scores[..];
            for stretch in stretches {
                let (now, after) = rest.split_at_mut(stretch.length);
                let from = sample * stretch.capacity * width + n * head_dim;
                if !now.is_empty() {
                    dots(query, &stretch.k[from..], width, now);
                }
                rest = after;
            }
            let scale = 1.0 / (head_dim as f32).sqrt();
            let highest = scores.iter().fold(f32::NEG_INFINITY, |most, score| most.max(*score));
            let total = exp_shifted_sum(scores, scale, highest * scale);
            let mut rest = &scores[..];
            for stretch in stretches {
                let (now, after) = rest.split_at(stretch.length);
                let from = sample * stretch.capacity * width + n * head_dim;
                if !now.is_empty() {
                    add_weighted(out, now, &stretch.v[from..], width);
                }
                rest = after;
            }
            out.iter_mut().for_each(|out| *out /= total);
        },
    );
    out
}

multiversion! {
    /// `scores[j] = query · rows[j · stride..]`.
    fn dots(query: &[f32], rows: &[f32], stride: usize, scores: &mut [f32]) {
        for (score, row) in scores.iter_mut().zip(rows.chunks(stride)) {
            let mut lanes = [0.0f32; 16];
            let (q, r) = (query.chunks_exact(16), row[..query.len()].chunks_exact(16));
            let rest: f32 = q.remainder().iter().zip(r.remainder()).map(|(q, r)| q * r).sum();
            for (q, r) in q.zip(r) {
                for ((lane, q), r) in lanes.iter_mut().zip(q).zip(r) {
                    *lane += q * r;
                }
            }
            *score = lanes.iter().sum::<f32>() + rest;
        }
    }
}

multiversion! {
    /// `out += Σ weights[j] · rows[j · stride..]`.
    fn add_weighted(out: &mut [f32], weights: &[f32], rows: &[f32], stride: usize) {
        for (weight, row) in weights.iter().zip(rows.chunks(stride)) {
            for (out, value) in out.iter_mut().zip(row) {
                *out += weight * value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AttentionShape, Keys, scalar};
    use super::*;
    use crate::testing::{Lcg, force_each_isa};

    /// exp by polynomial (2e-7 relative) and sums in another order.
    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn two_stretches_are_one_sequence_to_some_of_the_samples_at_every_isa() {
        let (heads, head_dim, lengths, capacities) = (3, 20, [17, 5], [17, 9]);
        let (width, samples) = (heads * head_dim, [3, 0]);
        let mut random = Lcg::new(11);
        let q = random.normal(samples.len() * width);
        let caches =
            capacities.map(|rows| [random.normal(4 * rows * width), random.normal(4 * rows * width)]);
        let whole = |which: usize| -> Vec<f32> {
            let rows = |sample: usize, part: usize| {
                &caches[part][which][sample * capacities[part] * width..][..lengths[part] * width]
            };
            samples.iter().flat_map(|s| [rows(*s, 0), rows(*s, 1)].concat()).collect()
        };
        let shape = AttentionShape { batch: 2, heads, head_dim, queries: 1, keys: 22 };
        let expected = scalar::forward(&q, &whole(0), &whole(1), shape, Keys::default());
        let stretches: [CachedKeys; 2] = std::array::from_fn(|i| CachedKeys {
            k: &caches[i][0],
            v: &caches[i][1],
            capacity: capacities[i],
            length: lengths[i],
        });
        force_each_isa(|isa| {
            let found = one_query(&q, &samples, &stretches, heads);
            for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                assert!((f - e).abs() < TOLERANCE, "{isa}[{i}]: {f} ≠ {e}");
            }
        });
    }
}
