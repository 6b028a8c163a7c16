//! Keys on a grid, with a bias for each query's distance along either axis.

use std::ops::Range;

use super::{Added, AttentionShape, Keys, attend};
use crate::isa::{Precision, multiversion};

/// What each query adds to the scaled scores of keys that lie on a grid, row by row: a value for the key's row and one for its
/// column. Decomposed relative positions (Li et al. 2022, MViTv2) are such.
#[derive(Clone, Copy)]
pub struct GridBias<'a> {
    /// `[B, N, H + W, Lq]`: of rows, then of columns.
    pub values: &'a [f32],
    /// Rows and columns, `H` and `W`.
    pub size: [usize; 2],
}

/// `softmax(scale · Q Kᵀ + bias) V` without a bias of size `Lq × Lk`; layouts as in [`super::forward`], `Lk = H · W`.
///
/// # Panics
/// If lengths do not fit `shape`.
pub fn forward_on_grid(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    bias: GridBias,
    precision: Precision,
) -> Vec<f32> {
    let [rows, columns] = bias.size;
    assert_eq!(shape.keys, rows * columns, "keys are not a grid of {rows}×{columns}");
    let len = shape.batch * shape.heads * (rows + columns) * shape.queries;
    assert_eq!(bias.values.len(), len, "bias is not [B, N, H + W, Lq]");
    attend(q, k, v, shape, Keys::default(), Added::Grid(bias), precision).out
}

impl<'a> GridBias<'a> {
    /// The part of one of the `B · N` pairs of sample and head.
    pub(super) fn of(self, shape: &AttentionShape, pair: usize) -> Self {
        let len = self.size.iter().sum::<usize>() * shape.queries;
        Self { values: &self.values[pair * len..][..len], ..self }
    }

    /// Scales scores `[keys, width]` of these queries with keys `key..` and adds the bias; `self` is one head's.
    pub(super) fn scale_and_add(
        self,
        scores: &mut [f32],
        width: usize,
        scale: f32,
        queries: Range<usize>,
        key: usize,
    ) {
        let all = self.values.len() / self.size.iter().sum::<usize>();
        let place = Place { all, first: queries.start, key, size: self.size };
        scale_and_add(scores, width, queries.len(), scale, self.values, place);
    }
}

/// Where a panel of scores lies.
struct Place {
    /// All queries.
    all: usize,
    /// The panel's first query.
    first: usize,
    /// Its first key.
    key: usize,
    size: [usize; 2],
}

multiversion! {
    fn scale_and_add(scores: &mut [f32], width: usize, count: usize, scale: f32, bias: &[f32], place: Place) {
        // A width that the compiler knows keeps a row in registers.
        match (width, count) {
            (32, 32) => add_to_whole::<32>(scores, scale, bias, place),
            (16, 16) => add_to_whole::<16>(scores, scale, bias, place),
            _ => each_key(scores, width, count, bias, place, |scores, row, column| {
                for ((score, row), column) in scores.iter_mut().zip(row).zip(column) {
                    *score = *score * scale + (row + column);
                }
            }),
        }
    }
}

#[inline(always)]
fn add_to_whole<const W: usize>(scores: &mut [f32], scale: f32, bias: &[f32], place: Place) {
    each_key(scores, W, W, bias, place, |scores, row, column| {
        let (scores, row, column) = (&mut scores[..W], &row[..W], &column[..W]);
        for i in 0..W {
            scores[i] = scores[i] * scale + (row[i] + column[i]);
        }
    });
}

/// Calls `add` with a key's scores and what its row and its column add.
#[inline(always)]
fn each_key(
    scores: &mut [f32],
    width: usize,
    count: usize,
    bias: &[f32],
    place: Place,
    add: impl Fn(&mut [f32], &[f32], &[f32]),
) {
    let [rows, columns] = place.size;
    let (mut y, mut x) = (place.key / columns, place.key % columns);
    let of = |axis: usize| &bias[axis * place.all + place.first..][..count];
    for scores in scores.chunks_exact_mut(width) {
        add(&mut scores[..count], of(y), of(rows + x));
        x += 1;
        if x == columns {
            (x, y) = (0, y + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KeyBias, scalar};
    use super::*;
    use crate::testing::{Lcg, force_each_isa};

    /// exp by polynomial (2e-7 relative) and sums in another order.
    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn agrees_with_the_oracle_under_the_whole_bias_at_every_isa() {
        let (batch, heads, head_dim, size) = (2, 3, 8, [13, 23]);
        for queries in [1, 50, 299] {
            let shape = AttentionShape { batch, heads, head_dim, queries, keys: size[0] * size[1] };
            let mut random = Lcg::new(queries as u64);
            let q = random.normal(batch * queries * heads * head_dim);
            let (k, v) = (random.normal(batch * 299 * 24), random.normal(batch * 299 * 24));
            let values = random.normal(batch * heads * (13 + 23) * queries);
            let expected: Vec<Vec<f32>> = (0..batch * heads)
                .map(|pair| {
                    let (b, n) = (pair / heads, pair % heads);
                    let head = |x: &[f32], rows: usize| -> Vec<f32> {
                        (0..rows).flat_map(|l| &x[(b * rows + l) * 24 + n * 8..][..8]).copied().collect()
                    };
                    let part = &values[pair * 36 * queries..];
                    let whole: Vec<f32> = (0..queries * 299)
                        .map(|i| (i / 299, i % 299))
                        .map(|(i, j)| part[j / 23 * queries + i] + part[(13 + j % 23) * queries + i])
                        .collect();
                    let bias = Some(KeyBias { values: &whole, groups: queries });
                    let alone = AttentionShape { batch: 1, heads: 1, ..shape };
                    let (q, k, v) = (head(&q, queries), head(&k, 299), head(&v, 299));
                    scalar::forward(&q, &k, &v, alone, Keys { lengths: None, bias })
                })
                .collect();
            force_each_isa(|isa| {
                let bias = GridBias { values: &values, size };
                let found = forward_on_grid(&q, &k, &v, shape, bias, Precision::F32);
                for (i, found) in found.iter().enumerate() {
                    let (token, n) = (i / 24, i % 24 / 8);
                    let expected = expected[token / queries * heads + n][token % queries * 8 + i % 8];
                    assert!(
                        (found - expected).abs() < TOLERANCE,
                        "{isa} {queries} [{i}]: {found} ≠ {expected}"
                    );
                }
            });
        }
    }
}
