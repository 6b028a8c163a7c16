use vidit_kernels::Precision;
use vidit_kernels::attention::{AttentionShape, KeyBias, Keys, backward, forward, scalar};

use crate::{Random, for_each};

struct Case {
    shape: AttentionShape,
    precision: Precision,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// `[B]`, for half of the cases.
    lengths: Option<Vec<usize>>,
    /// `[B, groups, Lk]`, for half of the cases.
    bias: Option<Vec<f32>>,
    groups: usize,
}

impl Case {
    fn new(random: &mut Random, [queries, keys]: [usize; 2]) -> Self {
        let shape = AttentionShape {
            batch: random.between(1, 3),
            heads: random.between(1, 3),
            head_dim: 8 * random.between(1, 12),
            queries: random.size(queries),
            keys: random.size(keys),
        };
        let precision = random.precision();
        let rows = [shape.queries, shape.keys, shape.keys];
        let [q, k, v] =
            rows.map(|rows| random.operand(shape.batch * rows * shape.heads * shape.head_dim, precision));
        let lengths: Vec<usize> = (0..shape.batch).map(|_| random.between(1, shape.keys)).collect();
        let lengths = (random.bits() % 2 == 0).then_some(lengths);
        let groups = if shape.queries % 2 == 0 { 2 } else { 1 };
        let bias = random.values(shape.batch * groups * shape.keys);
        let bias = (random.bits() % 2 == 0).then_some(bias);
        Self { shape, precision, q, k, v, lengths, bias, groups }
    }

    fn keys(&self) -> Keys<'_> {
        let bias = self.bias.as_deref().map(|values| KeyBias { values, groups: self.groups });
        Keys { lengths: self.lengths.as_deref(), bias }
    }

    /// Scaled queries and probabilities are rounded once more: eight bits, or sixteen in two parts.
    fn tolerance(&self) -> f32 {
        match self.precision {
            Precision::F32 => 1e-5,
            Precision::TwoParts => 2e-4,
            Precision::Bf16 => 3e-2,
        }
    }
}

#[test]
fn attention_of_any_size_mask_and_precision() {
    for_each(60, |random, what| {
        let mut case = Case::new(random, [220, 600]);
        let hidden = case.bias.iter_mut().flatten().skip(1).step_by(5);
        hidden.for_each(|value| *value = f32::NEG_INFINITY);
        let Case { shape, precision, q, k, v, .. } = &case;
        let expected = scalar::forward(q, k, v, *shape, case.keys());
        let found = forward(q, k, v, *shape, case.keys(), *precision);
        let tolerance = case.tolerance();
        for (i, (found, expected)) in found.out.iter().zip(&expected).enumerate() {
            // A query that sees no key is not a number on both sides.
            let same = (found - expected).abs() < tolerance || (found.is_nan() && expected.is_nan());
            assert!(same, "{what}: {precision:?} {shape:?} [{i}]: {found} ≠ {expected}");
        }
    });
}

/// Gradients of q, k and v by whole matrices of probabilities, in f64.
fn dense(
    [q, k, v, d_out]: [&[f32]; 4],
    shape: &AttentionShape,
    length: impl Fn(usize) -> usize,
    bias: impl Fn(usize, usize, usize) -> f64,
) -> [Vec<f64>; 3] {
    let AttentionShape { batch, heads, head_dim, queries, keys } = *shape;
    let width = heads * head_dim;
    let mut d = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    for (b, head) in (0..batch).flat_map(|b| (0..heads).map(move |head| (b, head * head_dim))) {
        let at = |rows: usize, row: usize| (b * rows + row) * width + head;
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        for row in 0..queries {
            let (query, grad) = (&q[at(queries, row)..][..head_dim], &d_out[at(queries, row)..][..head_dim]);
            let seen = 0..length(b);
            let scores: Vec<f64> = seen
                .clone()
                .map(|key| {
                    dot(query, &k[at(keys, key)..][..head_dim]) * f64::from(shape.scale()) + bias(b, row, key)
                })
                .collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            let p: Vec<f64> = scores.iter().map(|score| (score - most).exp() / sum).collect();
            let dp: Vec<f64> = seen.clone().map(|key| dot(grad, &v[at(keys, key)..][..head_dim])).collect();
            let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            for key in seen {
                let ds = p[key] * (dp[key] - mean) * f64::from(shape.scale());
                for c in 0..head_dim {
                    let (of_query, of_key) = (at(queries, row) + c, at(keys, key) + c);
                    d[0][of_query] += ds * f64::from(k[of_key]);
                    d[1][of_key] += ds * f64::from(q[of_query]);
                    d[2][of_key] += p[key] * f64::from(grad[c]);
                }
            }
        }
    }
    d
}

#[test]
fn gradients_of_attention_of_any_size_mask_and_precision() {
    for_each(24, |random, what| {
        let case = Case::new(random, [60, 90]);
        let Case { shape, precision, q, k, v, lengths, bias, groups } = &case;
        let forward = forward(q, k, v, *shape, case.keys(), *precision);
        let d_out = random.values(q.len());
        let (out, sums) = (&forward.out, &forward.log_sum_exp);
        let found = backward(q, k, v, out, sums, &d_out, *shape, case.keys(), *precision);
        let expected = dense(
            [q, k, v, &d_out],
            shape,
            |b| lengths.as_ref().map_or(shape.keys, |lengths| lengths[b]),
            |b, row, key| {
                let group = b * groups + row / (shape.queries / groups);
                bias.as_ref().map_or(0.0, |bias| f64::from(bias[group * shape.keys + key]))
            },
        );
        let tolerance = f64::from(case.tolerance());
        for (name, found, expected) in
            [("q", found.q, &expected[0]), ("k", found.k, &expected[1]), ("v", found.v, &expected[2])]
        {
            let largest = expected.iter().fold(1.0f64, |most, value| most.max(value.abs()));
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert!(
                    (f64::from(*found) - expected).abs() < tolerance * largest,
                    "{what}: {precision:?} {shape:?} d{name}[{i}]: {found} ≠ {expected}"
                );
            }
        }
    });
}
