//! Attention `softmax(scale · Q Kᵀ) V` by tiles of queries and keys: the `Lq × Lk` matrix never exists.
//!
//! Layout: `q [B, Lq, N·Dh]`, `k, v [B, Lk, N·Dh]`, heads side by side in a row, as the projections write them.
//! Online softmax (Milakov & Gimelshein 2018), tiles and backward as in FlashAttention-2 (Dao 2023): the forward keeps the
//! log-sum-exp of each row, the backward recomputes the probabilities of a tile from it.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::gemm::{DepthMajor, Into, LaneMajor, Plain, Tiles, gemm_serial};
use crate::isa::Precision;
use crate::pointwise::{exp_shifted_sum, scale_and_add, scaled_maximum};
use crate::threads::{Fresh, SharedMut};

/// Queries of one tile.
const QUERIES: usize = 96;
/// Keys of one tile.
const KEYS: usize = 256;
/// Keys and values that are packed at once, all threads together: 32 MiB of f32.
const PACKED_VALUES: usize = 8 << 20;

/// Sizes of one attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Batch, `B`.
    pub batch: usize,
    /// Heads, `N`.
    pub heads: usize,
    /// Width of a head, `Dh`.
    pub head_dim: usize,
    /// Query tokens, `Lq`.
    pub queries: usize,
    /// Key tokens, `Lk`.
    pub keys: usize,
}

impl AttentionShape {
    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// The usual scale of scores, `1/√Dh`.
    pub fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn check(&self, q: &[f32], k: &[f32], v: &[f32]) {
        let keys = self.batch * self.keys * self.width();
        assert_eq!(q.len(), self.batch * self.queries * self.width(), "q is not [B, Lq, N·Dh] of {self:?}");
        assert_eq!(k.len(), keys, "k is not [B, Lk, N·Dh] of {self:?}");
        assert_eq!(v.len(), keys, "v is not [B, Lk, N·Dh] of {self:?}");
    }
}

/// Attention output and what the backward pass needs.
pub struct Attended {
    /// `[B, Lq, N·Dh]`.
    pub out: Vec<f32>,
    /// Log of the sum of exponentials of each row of scaled scores, `[B, N, Lq]`.
    pub log_sum_exp: Vec<f32>,
}

/// Which keys count, and how much.
#[derive(Clone, Copy, Default)]
pub struct Keys<'a> {
    /// Sample `b` attends to its first `lengths[b]` keys; absent: to all.
    pub lengths: Option<&'a [usize]>,
    /// What is added to scaled scores; absent: nothing.
    pub bias: Option<KeyBias<'a>>,
}

/// Additive bias of keys, the same for each of `G` groups of consecutive queries: `-∞` hides a key, `ln 2` doubles its
/// weight. Boxes steer with it: the queries inside a box see the words of their object more.
#[derive(Clone, Copy)]
pub struct KeyBias<'a> {
    /// `[B, G, Lk]`.
    pub values: &'a [f32],
    /// `G`, which divides the number of queries.
    pub groups: usize,
}

impl<'a> Keys<'a> {
    fn check(&self, shape: &AttentionShape) {
        if let Some(lengths) = self.lengths {
            assert_eq!(lengths.len(), shape.batch, "one key length a sample");
            assert!(
                lengths.iter().all(|&l| l >= 1 && l <= shape.keys),
                "key lengths lie in 1..=Lk: {lengths:?}"
            );
        }
        if let Some(KeyBias { values, groups }) = self.bias {
            assert!(
                groups > 0 && shape.queries % groups == 0,
                "{groups} groups do not divide {} queries",
                shape.queries
            );
            assert_eq!(values.len(), shape.batch * groups * shape.keys, "bias is not [B, G, Lk]");
        }
    }

    fn length(&self, sample: usize, keys: usize) -> usize {
        self.lengths.map_or(keys, |lengths| lengths[sample])
    }

    /// The bias of keys `from..` for one query, if there is any.
    fn bias_of(&self, shape: &AttentionShape, sample: usize, query: usize, from: usize) -> Option<&'a [f32]> {
        self.bias.map(|KeyBias { values, groups }| {
            let group = query / (shape.queries / groups);
            &values[(sample * groups + group) * shape.keys + from..]
        })
    }
}

thread_local! {
    /// Packed queries, scores, packed probabilities, sums of one task.
    static SCRATCH: RefCell<[Vec<f32>; 4]> = const { RefCell::new([const { Vec::new() }; 4]) };
}

/// The forward pass. A query whose keys are all hidden gets NaN, as 0/0 does.
///
/// Keys and values are packed once for all queries of a head, as many heads at a time as [`PACKED_VALUES`] hold.
///
/// # Panics
/// If lengths do not fit `shape`.
pub fn forward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    which: Keys,
    precision: Precision,
) -> Attended {
    shape.check(q, k, v);
    which.check(&shape);
    let AttentionShape { batch, heads, head_dim, queries, keys } = shape;
    let width = shape.width();
    let (out, log_sum_exp) = (Fresh::new(q.len()), Fresh::new(batch * heads * queries));
    let tiles = Tiles::select(precision);
    let (k_tile, v_tile) = (tiles.right_len(KEYS, head_dim), tiles.right_len(head_dim, KEYS));
    let (tile, tiles_per_head) = (k_tile + v_tile, keys.div_ceil(KEYS));
    let per_head = tiles_per_head * tile;
    let at_once = (PACKED_VALUES / per_head).clamp(1, batch * heads);
    let mut packed = vec![0.0; at_once * per_head];
    for first in (0..batch * heads).step_by(at_once) {
        let count = at_once.min(batch * heads - first);
        packed[..count * per_head].par_chunks_mut(tile).enumerate().for_each(|(i, to)| {
            let (pair, k0) = (first + i / tiles_per_head, i % tiles_per_head * KEYS);
            let (b, n) = (pair / heads, pair % heads);
            let length = which.length(b, keys);
            if k0 >= length {
                return;
            }
            let cols = KEYS.min(length - k0);
            let offset = (b * keys + k0) * width + n * head_dim;
            let (k_to, v_to) = to.split_at_mut(k_tile);
            tiles.pack_right(&LaneMajor { data: &k[offset..], stride: width }, cols, head_dim, k_to);
            tiles.pack_right(&DepthMajor { data: &v[offset..], stride: width }, head_dim, cols, v_to);
        });
        let blocks = queries.div_ceil(QUERIES);
        (0..count * blocks).into_par_iter().for_each(|task| {
            let (pair, q0) = (first + task / blocks, task % blocks * QUERIES);
            let rows = QUERIES.min(queries - q0);
            let (b, n) = (pair / heads, pair % heads);
            let packed = &packed[task / blocks * per_head..][..per_head];
            // SAFETY: this task alone writes its rows of head `n`.
            let lse = unsafe { log_sum_exp.slice(pair * queries + q0, rows) };
            SCRATCH.with_borrow_mut(|scratch| {
                let [left, scores, probabilities, sums] = scratch;
                let offset = (b * queries + q0) * width + n * head_dim;
                tiles.pack_left(&LaneMajor { data: &q[offset..], stride: width }, rows, head_dim, left);
                sums.clear();
                sums.resize(rows * head_dim, 0.0);
                scores.resize(rows * KEYS, 0.0);
                let mut totals = [0.0f32; QUERIES];
                let mut maxima = [f32::NEG_INFINITY; QUERIES];
                let length = which.length(b, keys);
                for (k0, packed) in (0..length).step_by(KEYS).zip(packed.chunks_exact(tile)) {
                    let cols = KEYS.min(length - k0);
                    let (k_tile, v_tile) = packed.split_at(k_tile);
                    let scores = &mut scores[..rows * cols];
                    tiles.multiply([rows, cols, head_dim], left, k_tile, scores, Into::Overwrite, &Plain);
                    for (r, row) in scores.chunks_exact_mut(cols).enumerate() {
                        let bias = which.bias_of(&shape, b, q0 + r, k0);
                        let sums = &mut sums[r * head_dim..][..head_dim];
                        soften(row, bias, shape.scale(), &mut maxima[r], &mut totals[r], sums);
                    }
                    tiles.pack_left(&LaneMajor { data: scores, stride: cols }, rows, cols, probabilities);
                    tiles.multiply(
                        [rows, head_dim, cols],
                        probabilities,
                        v_tile,
                        sums,
                        Into::Accumulate,
                        &Plain,
                    );
                }
                for r in 0..rows {
                    let inverse = 1.0 / totals[r];
                    // SAFETY: as above.
                    let to = unsafe { out.slice(offset + r * width, head_dim) };
                    for (to, sum) in to.iter_mut().zip(&sums[r * head_dim..]) {
                        *to = sum * inverse;
                    }
                    lse[r] = maxima[r] + totals[r].ln();
                }
            });
        });
    }
    // SAFETY: tasks cover every head of every query.
    unsafe { Attended { out: out.finish(q.len()), log_sum_exp: log_sum_exp.finish(batch * heads * queries) } }
}

/// One row's step of the online softmax: scores become exponentials below the new maximum, and what was summed below the
/// old one shrinks.
fn soften(
    row: &mut [f32],
    bias: Option<&[f32]>,
    scale: f32,
    maximum: &mut f32,
    total: &mut f32,
    sums: &mut [f32],
) {
    let above = *maximum;
    let scale = match bias {
        None => scale,
        Some(bias) => {
            scale_and_add(row, scale, bias);
            1.0
        }
    };
    *maximum = scaled_maximum(row, scale, above);
    if *maximum == f32::NEG_INFINITY {
        // Every key so far is hidden, or not a number.
        row.iter_mut().for_each(|score| *score = if score.is_nan() { *score } else { 0.0 });
        *total += row.iter().sum::<f32>();
        return;
    }
    let sum = exp_shifted_sum(row, scale, *maximum);
    if *maximum > above && above > f32::NEG_INFINITY {
        let shrink = (above - *maximum).exp();
        *total *= shrink;
        sums.iter_mut().for_each(|sum| *sum *= shrink);
    }
    *total += sum;
}

/// Gradients of q, k and v, shaped as they are.
pub struct AttentionGradients {
    /// `[B, Lq, N·Dh]`.
    pub q: Vec<f32>,
    /// `[B, Lk, N·Dh]`.
    pub k: Vec<f32>,
    /// `[B, Lk, N·Dh]`.
    pub v: Vec<f32>,
}

/// The backward pass for the gradient `d_out [B, Lq, N·Dh]` of the output; `out` and `log_sum_exp` are the forward's.
///
/// One task a head, so the sums over queries keep their order whatever the number of threads.
pub fn backward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &[f32],
    log_sum_exp: &[f32],
    d_out: &[f32],
    shape: AttentionShape,
    which: Keys,
    precision: Precision,
) -> AttentionGradients {
    shape.check(q, k, v);
    which.check(&shape);
    assert_eq!(d_out.len(), q.len(), "d_out is not shaped as q");
    let AttentionShape { batch, heads, head_dim, queries, keys } = shape;
    let width = shape.width();
    let scale = shape.scale();
    let mut gradients =
        AttentionGradients { q: vec![0.0; q.len()], k: vec![0.0; k.len()], v: vec![0.0; v.len()] };
    let dq_shared = SharedMut::new(&mut gradients.q);
    let dk_shared = SharedMut::new(&mut gradients.k);
    let dv_shared = SharedMut::new(&mut gradients.v);
    (0..batch * heads).into_par_iter().for_each(|task| {
        let (b, n) = (task / heads, task % heads);
        let head = n * head_dim;
        let length = which.length(b, keys);
        let query_row = |r: usize| (b * queries + r) * width + head;
        let key_row = |r: usize| (b * keys + r) * width + head;
        let lse = &log_sum_exp[(b * heads + n) * queries..][..queries];
        // Row sums of out ∘ d_out, the softmax' own term.
        let deltas: Vec<f32> = (0..queries)
            .map(|r| {
                let at = query_row(r)..query_row(r) + head_dim;
                out[at.clone()].iter().zip(&d_out[at]).map(|(o, d)| o * d).sum()
            })
            .collect();
        let mut dq = vec![0.0; queries * head_dim];
        let mut dk = vec![0.0; KEYS * head_dim];
        let mut dv = vec![0.0; KEYS * head_dim];
        let mut p = vec![0.0; QUERIES * KEYS];
        let mut ds = vec![0.0; QUERIES * KEYS];
        for k0 in (0..length).step_by(KEYS) {
            let cols = KEYS.min(length - k0);
            let (k, v) = (&k[key_row(k0)..], &v[key_row(k0)..]);
            let (dk, dv) = (&mut dk[..cols * head_dim], &mut dv[..cols * head_dim]);
            dk.fill(0.0);
            dv.fill(0.0);
            for q0 in (0..queries).step_by(QUERIES) {
                let rows = QUERIES.min(queries - q0);
                let (q, d_out) = (&q[query_row(q0)..], &d_out[query_row(q0)..]);
                let (p, ds) = (&mut p[..rows * cols], &mut ds[..rows * cols]);
                let by_row = |data| LaneMajor { data, stride: width };
                let by_depth = |data| DepthMajor { data, stride: width };
                let product = [rows, cols, head_dim];
                gemm_serial(product, &by_row(q), &by_row(k), p, cols, Into::Overwrite, &Plain, precision);
                gemm_serial(
                    product,
                    &by_row(d_out),
                    &by_row(v),
                    ds,
                    cols,
                    Into::Overwrite,
                    &Plain,
                    precision,
                );
                for r in 0..rows {
                    let p = &mut p[r * cols..][..cols];
                    match which.bias_of(&shape, b, q0 + r, k0) {
                        None => exp_shifted_sum(p, scale, lse[q0 + r]),
                        Some(bias) => {
                            scale_and_add(p, scale, bias);
                            exp_shifted_sum(p, 1.0, lse[q0 + r])
                        }
                    };
                    let delta = deltas[q0 + r];
                    for (ds, p) in ds[r * cols..][..cols].iter_mut().zip(p) {
                        *ds = *p * (*ds - delta) * scale;
                    }
                }
                let (p_t, ds_t) =
                    (DepthMajor { data: p, stride: cols }, DepthMajor { data: ds, stride: cols });
                let product = [cols, head_dim, rows];
                gemm_serial(
                    product,
                    &p_t,
                    &by_depth(d_out),
                    dv,
                    head_dim,
                    Into::Accumulate,
                    &Plain,
                    precision,
                );
                gemm_serial(product, &ds_t, &by_depth(q), dk, head_dim, Into::Accumulate, &Plain, precision);
                let ds = LaneMajor { data: ds, stride: cols };
                let dq = &mut dq[q0 * head_dim..][..rows * head_dim];
                let product = [rows, head_dim, cols];
                gemm_serial(product, &ds, &by_depth(k), dq, head_dim, Into::Accumulate, &Plain, precision);
            }
            for r in 0..cols {
                // SAFETY: this task alone writes head `n` of sample `b`.
                unsafe {
                    dk_shared
                        .slice(key_row(k0 + r), head_dim)
                        .copy_from_slice(&dk[r * head_dim..][..head_dim]);
                    dv_shared
                        .slice(key_row(k0 + r), head_dim)
                        .copy_from_slice(&dv[r * head_dim..][..head_dim]);
                }
            }
        }
        for r in 0..queries {
            // SAFETY: as above.
            let to = unsafe { dq_shared.slice(query_row(r), head_dim) };
            to.copy_from_slice(&dq[r * head_dim..][..head_dim]);
        }
    });
    gradients
}

pub mod scalar;
#[cfg(test)]
mod tests;
