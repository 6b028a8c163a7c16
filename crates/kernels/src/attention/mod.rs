//! Attention `softmax(scale · Q Kᵀ) V` by tiles of queries and keys: the `Lq × Lk` matrix never exists.
//!
//! Layout: `q [B, Lq, N·Dh]`, `k, v [B, Lk, N·Dh]`, heads side by side in a row, as the projections write them.
//! Online softmax (Milakov & Gimelshein 2018), tiles and backward as in FlashAttention-2 (Dao 2023): the forward keeps the
//! log-sum-exp of each row, the backward recomputes the probabilities of a tile from it.

use rayon::prelude::*;

use crate::gemm::{DepthMajor, Into, LaneMajor, Plain, gemm_serial};
use crate::isa::Precision;
use crate::pointwise::exp_shifted_sum;
use crate::threads::SharedMut;

/// Queries of one tile.
const QUERIES: usize = 96;
/// Keys of one tile.
const KEYS: usize = 128;

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

    fn check(&self, q: &[f32], k: &[f32], v: &[f32], key_lengths: Option<&[usize]>) {
        let keys = self.batch * self.keys * self.width();
        assert_eq!(q.len(), self.batch * self.queries * self.width(), "q is not [B, Lq, N·Dh] of {self:?}");
        assert_eq!(k.len(), keys, "k is not [B, Lk, N·Dh] of {self:?}");
        assert_eq!(v.len(), keys, "v is not [B, Lk, N·Dh] of {self:?}");
        if let Some(lengths) = key_lengths {
            assert_eq!(lengths.len(), self.batch, "one key length a sample");
            assert!(
                lengths.iter().all(|&l| l >= 1 && l <= self.keys),
                "key lengths lie in 1..=Lk: {lengths:?}"
            );
        }
    }
}

/// Attention output and what the backward pass needs.
pub struct Attended {
    /// `[B, Lq, N·Dh]`.
    pub out: Vec<f32>,
    /// Log of the sum of exponentials of each row of scaled scores, `[B, N, Lq]`.
    pub log_sum_exp: Vec<f32>,
}

/// The forward pass. Sample `b` attends to its first `key_lengths[b]` keys, or to all.
pub fn forward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    key_lengths: Option<&[usize]>,
    precision: Precision,
) -> Attended {
    shape.check(q, k, v, key_lengths);
    let AttentionShape { batch, heads, head_dim, queries, keys } = shape;
    let width = shape.width();
    let scale = shape.scale();
    let mut out = vec![0.0; q.len()];
    let mut log_sum_exp = vec![0.0; batch * heads * queries];
    let (out_shared, lse_shared) = (SharedMut::new(&mut out), SharedMut::new(&mut log_sum_exp));
    let blocks = queries.div_ceil(QUERIES);
    (0..batch * heads * blocks).into_par_iter().for_each(|task| {
        let (b, n, block) = (task / (heads * blocks), task / blocks % heads, task % blocks);
        let q0 = block * QUERIES;
        let rows = QUERIES.min(queries - q0);
        let length = key_lengths.map_or(keys, |lengths| lengths[b]);
        let head = n * head_dim;
        let q = LaneMajor { data: &q[(b * queries + q0) * width + head..], stride: width };
        let mut scores = vec![0.0; rows * KEYS];
        let mut sums = vec![0.0; rows * head_dim];
        let mut maxima = vec![f32::NEG_INFINITY; rows];
        let mut totals = vec![0.0f32; rows];
        for k0 in (0..length).step_by(KEYS) {
            let cols = KEYS.min(length - k0);
            let offset = (b * keys + k0) * width + head;
            let (k, v) = (LaneMajor { data: &k[offset..], stride: width }, &v[offset..]);
            let scores = &mut scores[..rows * cols];
            gemm_serial([rows, cols, head_dim], &q, &k, scores, cols, Into::Overwrite, &Plain, precision);
            for (r, row) in scores.chunks_exact_mut(cols).enumerate() {
                let above = maxima[r];
                let maximum = row.iter().fold(above, |m, &s| if s * scale > m { s * scale } else { m });
                let sum = exp_shifted_sum(row, scale, maximum);
                if maximum > above && k0 > 0 {
                    let shrink = (above - maximum).exp();
                    totals[r] *= shrink;
                    sums[r * head_dim..][..head_dim].iter_mut().for_each(|s| *s *= shrink);
                }
                maxima[r] = maximum;
                totals[r] += sum;
            }
            let p = LaneMajor { data: scores, stride: cols };
            let v = DepthMajor { data: v, stride: width };
            gemm_serial(
                [rows, head_dim, cols],
                &p,
                &v,
                &mut sums,
                head_dim,
                Into::Accumulate,
                &Plain,
                precision,
            );
        }
        for r in 0..rows {
            let inverse = 1.0 / totals[r];
            // SAFETY: this task alone writes head `n` of its rows.
            let to = unsafe { out_shared.slice((b * queries + q0 + r) * width + head, head_dim) };
            for (to, sum) in to.iter_mut().zip(&sums[r * head_dim..]) {
                *to = sum * inverse;
            }
        }
        // SAFETY: this task alone writes its rows.
        let lse = unsafe { lse_shared.slice((b * heads + n) * queries + q0, rows) };
        for r in 0..rows {
            lse[r] = maxima[r] + totals[r].ln();
        }
    });
    Attended { out, log_sum_exp }
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
    key_lengths: Option<&[usize]>,
    precision: Precision,
) -> AttentionGradients {
    shape.check(q, k, v, key_lengths);
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
        let length = key_lengths.map_or(keys, |lengths| lengths[b]);
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
                    exp_shifted_sum(p, scale, lse[q0 + r]);
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
