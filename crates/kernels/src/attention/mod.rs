//! Attention `softmax(scale · Q Kᵀ) V` by tiles of queries and keys: the `Lq × Lk` matrix never exists.
//!
//! Layout: `q [B, Lq, N·Dh]`, `k, v [B, Lk, N·Dh]`, heads side by side in a row, as the projections write them.
//! Online softmax (Milakov & Gimelshein 2018), tiles and backward as in FlashAttention-2 (Dao 2023): the forward keeps the
//! log-sum-exp of each row, the backward recomputes the probabilities of a tile from it.

mod cached;
mod grid;
mod softmax;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use crate::gemm::{DepthMajor, Into, LaneMajor, Plain, Tiles, gemm_serial, interleave};
use crate::isa::{Precision, multiversion};
use crate::pointwise::{exp_shifted_sum, scale_and_add};
use crate::threads::{Fresh, SharedMut};
pub use cached::{CachedKeys, one_query};
pub use grid::{GridBias, forward_on_grid};
use softmax::Softmax;

/// Queries of one tile of the backward pass.
const QUERIES: usize = 96;
/// Keys of one tile, about.
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
        assert!(keys > 0 && self.queries > 0, "there is nothing to attend to, or nobody who does: {self:?}");
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
/// weight.
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

/// What is added to the scaled score of each query with each key, `-∞` to hide it: positions relative to one another, windows.
#[derive(Clone, Copy)]
pub struct ScoreTable<'a> {
    /// `[B', N', Lk, Lq]`, transposed, as scores are made.
    pub values: &'a [f32],
    /// `B'`: sample `b` takes plane `b mod B'`.
    pub samples: usize,
    /// `N'`: head `n` takes plane `n mod N'`.
    pub heads: usize,
}

impl<'a> ScoreTable<'a> {
    fn check(&self, shape: &AttentionShape) {
        let planes = self.samples * self.heads;
        assert!(planes > 0 || shape.batch * shape.heads == 0, "a table of scores has planes");
        assert_eq!(
            self.values.len(),
            planes * shape.keys * shape.queries,
            "a table of scores is not [B', N', Lk, Lq]"
        );
    }

    /// The plane of one head of one sample, `[Lk, Lq]`.
    fn plane(&self, shape: &AttentionShape, sample: usize, head: usize) -> &'a [f32] {
        let plane = sample % self.samples * self.heads + head % self.heads;
        &self.values[plane * shape.keys * shape.queries..][..shape.keys * shape.queries]
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What one task needs. A panel is as many queries as the kernel has columns, `nr`.
#[derive(Default)]
struct Scratch {
    /// Packed queries, panel by panel.
    queries: Vec<f32>,
    /// Scores of one panel with one tile of keys, then their exponentials, `[keys, nr]`.
    scores: Vec<f32>,
    /// The same in the kernel's format, where that is another.
    probabilities: Vec<f32>,
    /// Sums of values, `[panel][Dh, nr]`, `Dh` up to a multiple of the kernel's rows.
    sums: Vec<f32>,
    /// One panel's result, `[nr, Dh]`.
    rows: Vec<f32>,
    /// One a panel.
    softmax: Vec<Softmax>,
}

/// The forward pass. A query whose keys are all hidden gets NaN, as 0/0 does.
///
/// Keys and values are packed once for all queries of a head, as many heads at a time as [`PACKED_VALUES`] hold. Scores are made
/// transposed, `[keys, queries]`: the softmax then goes along registers, and what it leaves is a packed right side as it is.
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
    attend(q, k, v, shape, which, Added::Nothing, precision)
}

/// [`forward`] with a table that is added to scaled scores; there is no backward pass of it.
///
/// # Panics
/// If lengths or the table do not fit `shape`.
pub fn forward_with_table(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    which: Keys,
    table: ScoreTable,
    precision: Precision,
) -> Attended {
    table.check(&shape);
    attend(q, k, v, shape, which, Added::Table(table), precision)
}

/// What is added to scaled scores beside the bias of keys.
#[derive(Clone, Copy)]
enum Added<'a> {
    Nothing,
    Table(ScoreTable<'a>),
    Grid(GridBias<'a>),
}

impl<'a> Added<'a> {
    /// Of a table, the plane of one head.
    fn plane(self, shape: &AttentionShape, sample: usize, head: usize) -> Option<&'a [f32]> {
        match self {
            Self::Table(table) => Some(table.plane(shape, sample, head)),
            _ => None,
        }
    }

    /// Of values by row and column, those of one head.
    fn grid(self, shape: &AttentionShape, pair: usize) -> Option<GridBias<'a>> {
        match self {
            Self::Grid(grid) => Some(grid.of(shape, pair)),
            _ => None,
        }
    }
}

fn attend(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    which: Keys,
    added: Added,
    precision: Precision,
) -> Attended {
    shape.check(q, k, v);
    which.check(&shape);
    let AttentionShape { batch, heads, head_dim, queries, keys } = shape;
    let width = shape.width();
    let (out, log_sum_exp) = (Fresh::new(q.len()), Fresh::new(batch * heads * queries));
    let tiles = Tiles::select(precision);
    let tile_keys = keys_of_tile(keys, tiles.rows());
    let k_len = tiles.left_len(tile_keys, head_dim);
    let tile_len = k_len + tiles.left_len(head_dim, tile_keys);
    let tiles_per_head = keys.div_ceil(tile_keys);
    let per_head = tiles_per_head * tile_len;
    let at_once = (PACKED_VALUES / per_head).clamp(1, batch * heads);
    let mut packed = vec![0.0; at_once * per_head];
    for first in (0..batch * heads).step_by(at_once) {
        let count = at_once.min(batch * heads - first);
        packed[..count * per_head].par_chunks_mut(tile_len).enumerate().for_each(|(i, to)| {
            let (pair, k0) = (first + i / tiles_per_head, i % tiles_per_head * tile_keys);
            let (b, n) = (pair / heads, pair % heads);
            let length = which.length(b, keys);
            if k0 >= length {
                return;
            }
            let count = tile_keys.min(length - k0);
            let offset = (b * keys + k0) * width + n * head_dim;
            let (k_to, v_to) = to.split_at_mut(k_len);
            tiles.pack_left(&LaneMajor { data: &k[offset..], stride: width }, count, head_dim, k_to);
            tiles.pack_left(&DepthMajor { data: &v[offset..], stride: width }, head_dim, count, v_to);
        });
        // Whole panels, and a few tasks for each thread; what a query gets does not depend on its neighbours.
        let some =
            (count * queries).div_ceil(4 * rayon::current_num_threads()).next_multiple_of(tiles.columns());
        let height = some.min(tiles.row_block());
        let blocks = queries.div_ceil(height);
        (0..count * blocks).into_par_iter().for_each(|task| {
            let (pair, q0) = (first + task / blocks, task % blocks * height);
            let (b, n) = (pair / heads, pair % heads);
            let block = Block {
                shape,
                which,
                plane: added.plane(&shape, b, n),
                grid: added.grid(&shape, pair),
                tiles,
                sample: b,
                queries: q0..queries.min(q0 + height),
                packed: &packed[task / blocks * per_head..][..per_head],
                tile_keys,
            };
            let at = |r: usize| (b * queries + q0 + r) * width + n * head_dim;
            // SAFETY: this task alone writes its rows of head `n`.
            let lse = unsafe { log_sum_exp.slice(pair * queries + q0, block.queries.len()) };
            // SAFETY: as above.
            let row = |r: usize| unsafe { out.slice(at(r), head_dim) };
            SCRATCH.with_borrow_mut(|scratch| block.attend(&q[at(0)..], row, lse, scratch));
        });
    }
    // SAFETY: tasks cover every head of every query.
    unsafe { Attended { out: out.finish(q.len()), log_sum_exp: log_sum_exp.finish(batch * heads * queries) } }
}

/// Keys of one tile: about [`KEYS`], so that no tile is a small rest, and whole panels.
fn keys_of_tile(keys: usize, panel: usize) -> usize {
    keys.div_ceil(keys.div_ceil(KEYS).max(1)).next_multiple_of(panel).max(panel)
}

/// Some queries of one head, and all its keys.
struct Block<'a> {
    shape: AttentionShape,
    which: Keys<'a>,
    /// What is added to scaled scores of this head, `[Lk, Lq]`.
    plane: Option<&'a [f32]>,
    /// Of this head, `[1, 1, H + W, Lq]`.
    grid: Option<GridBias<'a>>,
    tiles: Tiles,
    sample: usize,
    queries: Range<usize>,
    /// Tiles of packed keys `[keys, Dh]` and values `[Dh, keys]`.
    packed: &'a [f32],
    tile_keys: usize,
}

impl Block<'_> {
    /// `q` begins with this head of the first query; `out(r)` is where the result of query `r` goes, `lse` where the logarithm of
    /// its sum does.
    fn attend<'o>(
        &self,
        q: &[f32],
        out: impl Fn(usize) -> &'o mut [f32],
        lse: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Self { shape, which, tiles, sample, tile_keys, .. } = *self;
        let AttentionShape { head_dim, keys, .. } = shape;
        let (nr, count) = (tiles.columns(), self.queries.len());
        let (k_len, v_len) = (tiles.left_len(tile_keys, head_dim), tiles.left_len(head_dim, tile_keys));
        let q_len = tiles.right_len(1, head_dim);
        let sums_len = head_dim.next_multiple_of(tiles.rows()) * nr;
        let panels = count.div_ceil(nr);
        let Scratch { queries, scores, probabilities, sums, rows, softmax } = scratch;
        queries.resize(panels * q_len, 0.0);
        tiles.pack_right(&LaneMajor { data: q, stride: shape.width() }, count, head_dim, queries);
        scores.resize(tiles.padded_depth(tile_keys) * nr, 0.0);
        sums.resize(panels * sums_len, 0.0);
        softmax.clear();
        softmax.resize_with(panels, Softmax::new);
        let length = which.length(sample, keys);
        for (tile, k0) in (0..length).step_by(tile_keys).enumerate() {
            let [(k, v), (next_k, next_v)] = [tile, tile + 1].map(|tile| {
                let tile = self.packed.chunks_exact(k_len + v_len).nth(tile).unwrap_or_default();
                tile.split_at(k_len.min(tile.len()))
            });
            let now = tile_keys.min(length - k0);
            for (p, softmax) in softmax.iter_mut().enumerate() {
                let (q, sums) = (&queries[p * q_len..][..q_len], &mut sums[p * sums_len..][..sums_len]);
                // Each panel of queries asks for its part of the next tile.
                let part = |next: &'_ [f32]| p * next.len() / panels..(p + 1) * next.len() / panels;
                let next = &next_k[part(next_k)];
                tiles.multiply_panel([now, head_dim], k, q, scores, Into::Overwrite, next);
                let scale = self.add_bias(p * nr, k0, &mut scores[..now * nr]);
                let probabilities = self.exponentials(softmax, scores, now, scale, probabilities);
                let into = if k0 == 0 { Into::Overwrite } else { Into::Accumulate };
                if k0 > 0 {
                    softmax.shrink(sums, nr);
                }
                let next = &next_v[part(next_v)];
                tiles.multiply_panel([head_dim, now], v, probabilities, sums, into, next);
            }
        }
        rows.resize(nr * head_dim, 0.0);
        for (p, softmax) in softmax.iter_mut().enumerate() {
            let sums = &mut sums[p * sums_len..][..head_dim * nr];
            softmax.finish(sums, nr);
            for (group, sums) in sums.chunks(8 * nr).enumerate() {
                let mut lanes = [&[][..]; 8];
                let count = sums.len() / nr;
                lanes.iter_mut().zip(sums.chunks_exact(nr)).for_each(|(lane, row)| *lane = row);
                interleave(&lanes[..count], group * 8, head_dim, rows);
            }
            for (r, row) in (p * nr..count.min((p + 1) * nr)).zip(rows.chunks_exact(head_dim)) {
                out(r).copy_from_slice(row);
                lse[r] = softmax.log_sum_exp(r - p * nr);
            }
        }
    }

    /// Scores `[keys, nr]` → exponentials, as the right side of the product with values.
    fn exponentials<'s>(
        &self,
        softmax: &mut Softmax,
        scores: &'s mut [f32],
        keys: usize,
        scale: f32,
        room: &'s mut Vec<f32>,
    ) -> &'s [f32] {
        let nr = self.tiles.columns();
        #[cfg(target_arch = "x86_64")]
        if self.tiles.takes_pairs() {
            room.resize(self.tiles.padded_depth(keys) * nr / 2, 0.0);
            room[keys.div_ceil(2) * nr..].fill(0.0);
            // SAFETY: pairs of bf16 are taken where AVX-512 BF16 is.
            unsafe { softmax.step_to_bf16(&scores[..keys * nr], scale, room) };
            return room;
        }
        softmax.step(&mut scores[..keys * nr], nr, scale);
        self.tiles.right_of_rows(scores, keys, room)
    }

    /// Adds the table and the bias of keys `k0..`, if there are such, to scaled scores `[keys, nr]` of queries `first..` of this
    /// block. Returns what is left to scale by.
    fn add_bias(&self, first: usize, k0: usize, scores: &mut [f32]) -> f32 {
        if let Some(grid) = self.grid {
            let (nr, from) = (self.tiles.columns(), self.queries.start + first);
            let count = nr.min(self.queries.end - from);
            grid.scale_and_add(scores, nr, self.shape.scale(), from..from + count, k0);
            return 1.0;
        }
        let nr = self.tiles.columns();
        let (from, to) = (self.queries.start + first, self.queries.end.min(self.queries.start + first + nr));
        let mut scale = self.shape.scale();
        if let Some(plane) = self.plane {
            let table = &plane[k0 * self.shape.queries + from..];
            scale_and_add_rows(scores, nr, to - from, scale, table, self.shape.queries);
            scale = 1.0;
        }
        let Some(KeyBias { groups, .. }) = self.which.bias else { return scale };
        let group = self.shape.queries / groups;
        let mut query = from;
        while query < to {
            let end = to.min((query / group + 1) * group);
            let bias = self.which.bias_of(&self.shape, self.sample, query, k0).unwrap_or_default();
            scale_and_add_down(scores, nr, query - from..end - from, scale, bias);
            query = end;
        }
        1.0
    }
}

multiversion! {
    /// `scores[k, j] = scale · scores[k, j] + bias[k]` for some of the `width` columns `j`.
    fn scale_and_add_down(scores: &mut [f32], width: usize, columns: Range<usize>, scale: f32, bias: &[f32]) {
        for (row, bias) in scores.chunks_exact_mut(width).zip(bias) {
            for score in &mut row[columns.clone()] {
                *score = *score * scale + bias;
            }
        }
    }
}

multiversion! {
    /// `scores[k, j] = scale · scores[k, j] + table[k, j]` for the first `count` of the `width` columns; rows of the table are `stride`
    /// apart.
    fn scale_and_add_rows(
        scores: &mut [f32],
        width: usize,
        count: usize,
        scale: f32,
        table: &[f32],
        stride: usize,
    ) {
        for (row, table) in scores.chunks_exact_mut(width).zip(table.chunks(stride)) {
            for (score, table) in row[..count].iter_mut().zip(&table[..count]) {
                *score = *score * scale + table;
            }
        }
    }
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
