//! Convolution of 3 × 3 taps in height and width with a quarter of the multiplications (Winograd 1980; Lavin & Gray 2016): four
//! outputs of a row come from six inputs by six products, where the definition takes twelve.
//!
//! Six values under a row are a polynomial known at six points, and so are the taps; products of values at points are values of the
//! product. The points are `0, ±p, ±q, ∞` with `p = 2/3`, `q = 3/2`: that `p·q = 1` keeps all factors near one, and errors at
//! a third of what the usual `±1, ±2` leave (measured: 1.4e-6 against 3.1e-6 rms, outputs of variance one; 0.25e-6 by the definition).
//!
//! In two dimensions a tile of 4 × 4 outputs comes from 6 × 6 inputs by 36 products, each with its own matrix `[C, O]` for every
//! frame of the kernel: sums over channels and over frames are made before they are turned back. An input that is infinite
//! or NaN makes all 16 outputs of its tiles NaN.

use std::cell::RefCell;

use rayon::prelude::*;

use super::Conv3dShape;
use crate::gemm::{Epilogue, Into, LaneMajor, Packed, Plain, Tiles};
use crate::isa::{Isa, Precision, multiversion};
use crate::threads::{Fresh, SharedMut};

/// Taps along an axis, outputs of a tile, inputs of a tile.
const TAPS: usize = 3;
const OUT: usize = 4;
const IN: usize = OUT + TAPS - 1;
/// Products of a tile.
const POINTS: usize = IN * IN;

const P: f32 = 2.0 / 3.0;
const Q: f32 = 3.0 / 2.0;
const PP: f32 = 4.0 / 9.0;
const QQ: f32 = 9.0 / 4.0;
/// `p² + q²`.
const S: f32 = 97.0 / 36.0;
/// `1 / ∏ (a − b)` over the other finite points `b`, for `a = ±p` and `±q`.
const OVER_P: f32 = 1.0 / (2.0 * PP * (PP - QQ));
const OVER_Q: f32 = 1.0 / (2.0 * QQ * (QQ - PP));

/// Tiles of a task, but where there are few: each matrix of weights is read once for all tiles of a task, so that wide ones, which come
/// from far away, want many; of narrow ones more tiles would only leave the second-level cache.
fn tiles_of_a_task([c, o]: [usize; 2]) -> usize {
    ((c * o).isqrt() / 4).clamp(TILES_MIN, TILES_MAX)
}
const TILES_MIN: usize = 24;
const TILES_MAX: usize = 96;
/// Channels from which on the products outweigh what is done to values before and after them.
const CHANNELS_FROM: usize = 24;
/// Most channels: a row of zeros is as long.
const CHANNELS_TO: usize = 1024;
/// Output positions from which on it pays to transform the weights for one call.
const POSITIONS_FROM: usize = 1024;
/// Channels of a panel of tiles that are transformed before they are packed: they stay in the first-level cache between.
const PIECE: usize = 64;
/// Channels that are transformed at once: one or two registers.
const LANES: usize = 16;

static ZEROS: [f32; CHANNELS_TO] = [0.0; CHANNELS_TO];

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// What a task works in.
struct Scratch {
    /// Values at points of one panel of tiles, `[POINTS, mr, PIECE]`.
    values: Vec<f32>,
    /// The same of all tiles, packed, for as many input frames as the kernel has, `[Kt, POINTS]` left sides.
    frames: Vec<f32>,
    /// `[POINTS, tiles, O]`.
    sums: Vec<f32>,
    /// `[OUT², O]`.
    tile: Vec<f32>,
}

impl Scratch {
    const fn new() -> Self {
        Self { values: Vec::new(), frames: Vec::new(), sums: Vec::new(), tile: Vec::new() }
    }
}

/// Whether weights of these sizes are kept as [`Weights`].
pub fn suits(kernel: [usize; 3], stride: [usize; 3], channels: [usize; 2], precision: Precision) -> bool {
    precision == Precision::F32
        && Isa::current() != Isa::Scalar
        && kernel[1..] == [TAPS; 2]
        && stride == [1; 3]
        && channels.iter().all(|channels| (CHANNELS_FROM..=CHANNELS_TO).contains(channels))
}

/// Whether it pays to make [`Weights`] for this call alone.
pub fn fits(shape: &Conv3dShape, precision: Precision) -> bool {
    suits(shape.kernel, shape.stride, [shape.channels_in, shape.channels_out], precision)
        && shape.positions_out() >= POSITIONS_FROM
}

/// The taps of a kernel at the points, packed.
pub struct Weights {
    /// `[Kt, POINTS]` matrices `[C, O]`.
    matrices: Vec<Packed>,
}

impl Weights {
    /// Of `weights [Kt·3·3·C, O]`.
    pub fn new(weights: &[f32], frames: usize, [c, o]: [usize; 2]) -> Self {
        let each = TAPS * TAPS * c * o;
        Self::each_frame(frames, [c, o], |frame| &weights[frame * each..][..each])
    }

    /// Of the convolution that gives the gradient of the input, `weights` as above: taps in reverse, `[O, C]` matrices.
    pub fn transposed(weights: &[f32], frames: usize, [c, o]: [usize; 2]) -> Self {
        let each = TAPS * TAPS * c * o;
        Self::each_frame(frames, [o, c], |frame| {
            let weights = &weights[frame * each..][..each];
            let mut turned = vec![0.0; each];
            turned.par_chunks_mut(c).enumerate().for_each(|(row, turned)| {
                let (tap, from) = (TAPS * TAPS - 1 - row / o, row % o);
                let column = weights[tap * c * o + from..].iter().step_by(o);
                turned.iter_mut().zip(column).for_each(|(to, value)| *to = *value);
            });
            turned
        })
    }

    /// `weights` of a frame of the kernel are `[3·3·C, O]`.
    fn each_frame<W: AsRef<[f32]> + Sync>(
        frames: usize,
        [c, o]: [usize; 2],
        weights: impl Fn(usize) -> W,
    ) -> Self {
        let of_frame = |frame| {
            let weights = weights(frame);
            Packed::together(POINTS, o, c, |channel, lane, out| {
                let taps: [&[f32]; TAPS * TAPS] =
                    std::array::from_fn(|tap| &weights.as_ref()[(tap * c + channel) * o..][lane..o]);
                taps_at_points(&taps, out);
            })
        };
        Self { matrices: (0..frames).flat_map(of_frame).collect() }
    }

    /// Multiplies each output channel by its factor, `[O]`.
    pub fn scale_columns(&mut self, factors: &[f32]) {
        self.matrices.iter_mut().for_each(|matrix| matrix.scale_columns(factors));
    }

    /// Frames of the kernel, input channels, output channels.
    pub fn sizes(&self) -> [usize; 3] {
        let first = &self.matrices[0];
        [self.matrices.len() / POINTS, first.depth(), first.columns()]
    }
}

/// As [`super::forward`].
pub fn forward(x: &[f32], weights: &Weights, shape: Conv3dShape, epilogue: &impl Epilogue) -> Vec<f32> {
    let pad = shape.padding[0];
    let job = Job {
        x,
        weights,
        batch: shape.batch,
        input: shape.input,
        output: shape.output(),
        padding: [shape.padding[1], shape.padding[2]],
        source: &|frame, tap| (frame + tap).checked_sub(pad).filter(|from| *from < shape.input[0]),
        tiles: Tiles::of(&weights.matrices[0]),
    };
    job.run(epilogue)
}

/// As [`super::backward_input`]; `weights` are the transposed ones.
pub fn backward_input(weights: &Weights, d_out: &[f32], shape: Conv3dShape) -> Vec<f32> {
    let output = shape.output();
    let pad = shape.padding[0];
    let job = Job {
        x: d_out,
        weights,
        batch: shape.batch,
        input: output,
        output: shape.input,
        padding: [TAPS - 1 - shape.padding[1], TAPS - 1 - shape.padding[2]],
        source: &|frame, tap| (frame + pad).checked_sub(tap).filter(|from| *from < output[0]),
        tiles: Tiles::of(&weights.matrices[0]),
    };
    job.run(&Plain)
}

/// One convolution.
struct Job<'a> {
    /// `[B, F, H, W, C]`
    x: &'a [f32],
    weights: &'a Weights,
    batch: usize,
    /// `F, H, W`.
    input: [usize; 3],
    /// `F', H', W'`.
    output: [usize; 3],
    /// Zeros before each row, and before each column.
    padding: [usize; 2],
    /// The input frame under a frame of the kernel at an output frame.
    source: &'a (dyn Fn(usize, usize) -> Option<usize> + Sync),
    tiles: Tiles,
}

/// A tile: its sample, and its first output row and column.
#[derive(Clone, Copy)]
struct Tile {
    sample: usize,
    y: usize,
    x: usize,
}

impl Job<'_> {
    fn run(&self, epilogue: &impl Epilogue) -> Vec<f32> {
        let [frames, height, width] = self.output;
        let [_, c, o] = self.weights.sizes();
        let count = self.batch * height.div_ceil(OUT) * width.div_ceil(OUT);
        let len = self.batch * frames * height * width * o;
        let out = Fresh::new(len);
        // Enough tasks for all threads: fewer tiles each, then runs of frames, whose first ones read frames that the run before reads
        // too. Every output is the same sum whatever the tasks are.
        let threads = rayon::current_num_threads();
        let wanted = 4 * threads;
        let side = self.tiles.rows();
        let few = TILES_MIN.min(count.div_ceil(threads));
        let at_once = count.div_ceil(wanted).clamp(few, tiles_of_a_task([c, o])).next_multiple_of(side);
        let groups = count.div_ceil(at_once);
        let runs = wanted.div_ceil(groups).min(frames.div_ceil(2)).max(1);
        (0..groups * runs).into_par_iter().for_each(|task| {
            let (group, run) = (task / runs, task % runs);
            let tiles: Vec<Tile> =
                (group * at_once..count.min((group + 1) * at_once)).map(|tile| self.tile(tile)).collect();
            let frames = run * frames / runs..(run + 1) * frames / runs;
            SCRATCH.with_borrow_mut(|scratch| {
                self.task(&tiles, frames, scratch, out.pointer(), epilogue);
            });
        });
        // SAFETY: tiles cover every position of every frame.
        unsafe { out.finish(len) }
    }

    fn tile(&self, number: usize) -> Tile {
        let [_, height, width] = self.output;
        let (rows, columns) = (height.div_ceil(OUT), width.div_ceil(OUT));
        Tile {
            sample: number / (rows * columns),
            y: number / columns % rows * OUT,
            x: number % columns * OUT,
        }
    }

    /// These tiles of these output frames.
    fn task(
        &self,
        tiles: &[Tile],
        frames: std::ops::Range<usize>,
        scratch: &mut Scratch,
        out: SharedMut<f32>,
        epilogue: &impl Epilogue,
    ) {
        let [kt, c, o] = self.weights.sizes();
        let left = self.tiles.left_len(tiles.len(), c);
        let Scratch { values, frames: held, sums, tile } = scratch;
        let grow = |vector: &mut Vec<f32>, len: usize| vector.resize(vector.len().max(len), 0.0);
        grow(values, POINTS * self.tiles.rows() * PIECE);
        grow(held, kt * POINTS * left);
        grow(sums, POINTS * tiles.len() * o);
        grow(tile, OUT * OUT * o);
        // Which input frame each place holds.
        let mut holds = vec![None; kt];
        for frame in frames {
            let sources: Vec<(usize, usize)> =
                (0..kt).filter_map(|tap| Some((tap, (self.source)(frame, tap)?))).collect();
            for &(_, from) in &sources {
                if holds[from % kt] != Some(from) {
                    self.at_points(tiles, from, values, &mut held[from % kt * POINTS * left..]);
                    holds[from % kt] = Some(from);
                }
            }
            for (point, sums) in sums.chunks_exact_mut(tiles.len() * o).take(POINTS).enumerate() {
                for (i, &(tap, from)) in sources.iter().enumerate() {
                    let left = &held[(from % kt * POINTS + point) * left..][..left];
                    let right = self.weights.matrices[tap * POINTS + point].panels_from(0);
                    let into = if i == 0 { Into::Overwrite } else { Into::Accumulate };
                    self.tiles.multiply([tiles.len(), o, c], left, right, sums, into, &Plain);
                }
                if sources.is_empty() {
                    sums.fill(0.0);
                }
            }
            for (number, at) in tiles.iter().enumerate() {
                let rows: [&[f32]; POINTS] =
                    std::array::from_fn(|point| &sums[(point * tiles.len() + number) * o..][..o]);
                from_points(&rows, tile);
                self.write(*at, frame, &tile[..OUT * OUT * o], out, epilogue);
            }
        }
    }

    /// The tiles of an input frame at all points, as left sides one after another.
    fn at_points(&self, tiles: &[Tile], frame: usize, values: &mut [f32], out: &mut [f32]) {
        let [frames, height, width] = self.input;
        let [_, c, _] = self.weights.sizes();
        let side = self.tiles.rows();
        let (left, panel) = (self.tiles.left_len(tiles.len(), c), self.tiles.left_len(side, c));
        let inside = |at: usize, axis: usize| {
            at.checked_sub(self.padding[axis]).filter(|at| *at < self.input[axis + 1])
        };
        let rows_under = |tile: &Tile| -> [&[f32]; POINTS] {
            std::array::from_fn(|i| match (inside(tile.y + i / IN, 0), inside(tile.x + i % IN, 1)) {
                (Some(y), Some(x)) => {
                    let at = ((tile.sample * frames + frame) * height + y) * width + x;
                    &self.x[at * c..][..c]
                }
                _ => &ZEROS[..c],
            })
        };
        for (number, tiles) in tiles.chunks(side).enumerate() {
            let rows: Vec<_> = tiles.iter().map(rows_under).collect();
            for from in (0..c).step_by(PIECE) {
                let to = c.min(from + PIECE);
                for (lane, rows) in rows.iter().enumerate() {
                    inputs_at_points(
                        &rows.map(|row| &row[from..to]),
                        &mut values[lane * PIECE..],
                        side * PIECE,
                    );
                }
                for point in 0..POINTS {
                    let lanes = LaneMajor { data: &values[point * side * PIECE..], stride: PIECE };
                    let start = point * left + number * panel + self.tiles.left_len(side, from);
                    let out = &mut out[start..][..self.tiles.left_len(side, to - from)];
                    self.tiles.pack_left(&lanes, tiles.len(), to - from, out);
                }
            }
        }
    }

    /// What of a tile `[OUT, OUT, O]` lies inside the frame.
    fn write(&self, at: Tile, frame: usize, tile: &[f32], out: SharedMut<f32>, epilogue: &impl Epilogue) {
        let [frames, height, width] = self.output;
        let o = tile.len() / (OUT * OUT);
        for (i, from) in tile.chunks_exact(o).enumerate() {
            let (y, x) = (at.y + i / OUT, at.x + i % OUT);
            if y >= height || x >= width {
                continue;
            }
            let row = ((at.sample * frames + frame) * height + y) * width + x;
            // SAFETY: the output has room for all rows, and this one belongs to this tile alone; it is written through the
            // pointer before a reference to it exists.
            let segment = unsafe {
                out.pointer(row * o).copy_from_nonoverlapping(from.as_ptr(), o);
                out.slice(row * o, o)
            };
            epilogue.finish(row, 0, segment);
        }
    }
}

type Lanes = [f32; LANES];

/// Six inputs at the points.
#[inline(always)]
fn input_points(d: &[Lanes; IN]) -> [Lanes; IN] {
    let mut v = [[0.0; LANES]; IN];
    for l in 0..LANES {
        let (even_p, odd_p) = (d[4][l] - QQ * d[2][l], P * d[3][l] - Q * d[1][l]);
        let (even_q, odd_q) = (d[4][l] - PP * d[2][l], Q * d[3][l] - P * d[1][l]);
        v[0][l] = d[0][l] - S * d[2][l] + d[4][l];
        v[1][l] = even_p + odd_p;
        v[2][l] = even_p - odd_p;
        v[3][l] = even_q + odd_q;
        v[4][l] = even_q - odd_q;
        v[5][l] = d[1][l] - S * d[3][l] + d[5][l];
    }
    v
}

/// Three taps at the points, each over what the polynomial of the inputs is too large by there.
#[inline(always)]
fn tap_points(g: &[Lanes; TAPS]) -> [Lanes; IN] {
    let mut u = [[0.0; LANES]; IN];
    for l in 0..LANES {
        let (even_p, odd_p) = (g[0][l] + PP * g[2][l], P * g[1][l]);
        let (even_q, odd_q) = (g[0][l] + QQ * g[2][l], Q * g[1][l]);
        u[0][l] = g[0][l];
        u[1][l] = OVER_P * (even_p + odd_p);
        u[2][l] = OVER_P * (even_p - odd_p);
        u[3][l] = OVER_Q * (even_q + odd_q);
        u[4][l] = OVER_Q * (even_q - odd_q);
        u[5][l] = g[2][l];
    }
    u
}

/// Four outputs of six products.
#[inline(always)]
fn output_points(m: &[Lanes; IN]) -> [Lanes; OUT] {
    let mut y = [[0.0; LANES]; OUT];
    for l in 0..LANES {
        let (sum_p, difference_p) = (m[1][l] + m[2][l], m[1][l] - m[2][l]);
        let (sum_q, difference_q) = (m[3][l] + m[4][l], m[3][l] - m[4][l]);
        y[0][l] = m[0][l] + (sum_p + sum_q);
        y[1][l] = P * difference_p + Q * difference_q;
        y[2][l] = PP * sum_p + QQ * sum_q;
        y[3][l] = P * PP * difference_p + Q * QQ * difference_q + m[5][l];
    }
    y
}

/// A step along columns, then along rows: `rows` are `FROM × FROM` rows of lanes, the result's row of number `i` goes to
/// `out[i · stride..]`, of which `width` values are written; zeros stand where no lanes are left.
#[inline(always)]
fn along_both_axes<const FROM: usize, const TO: usize>(
    rows: &[&[f32]],
    width: usize,
    out: &mut [f32],
    stride: usize,
    step: impl Fn(&[Lanes; FROM]) -> [Lanes; TO],
) {
    let lanes = rows[0].len();
    let whole = lanes.min(width) / LANES * LANES;
    // Whole lanes have code of their own: lengths known to the compiler are moved by registers, others by calls of `memcpy`.
    for from in (0..whole).step_by(LANES) {
        let load = |row: &[f32]| *row[from..].first_chunk().expect("whole lanes");
        both_axes(rows, out, stride, &step, load, |value, out| {
            *out[from..].first_chunk_mut().expect("whole lanes") = value;
        });
    }
    for from in (whole..width).step_by(LANES) {
        let load = |row: &[f32]| {
            let mut value = [0.0; LANES];
            let row = &row[from.min(lanes)..(from + LANES).min(lanes)];
            value[..row.len()].copy_from_slice(row);
            value
        };
        both_axes(rows, out, stride, &step, load, |value, out| {
            let out = &mut out[from..(from + LANES).min(width)];
            out.copy_from_slice(&value[..out.len()]);
        });
    }
}

/// The same of a few lanes, which `load` takes from a row and `store` puts into one.
#[inline(always)]
fn both_axes<const FROM: usize, const TO: usize>(
    rows: &[&[f32]],
    out: &mut [f32],
    stride: usize,
    step: &impl Fn(&[Lanes; FROM]) -> [Lanes; TO],
    load: impl Fn(&[f32]) -> Lanes,
    store: impl Fn(Lanes, &mut [f32]),
) {
    let mut half = [[[0.0; LANES]; FROM]; TO];
    for j in 0..FROM {
        let mut column = [[0.0; LANES]; FROM];
        for i in 0..FROM {
            column[i] = load(rows[i * FROM + j]);
        }
        let column = step(&column);
        for i in 0..TO {
            half[i][j] = column[i];
        }
    }
    for (i, row) in half.iter().enumerate() {
        let row = step(row);
        for j in 0..TO {
            store(row[j], &mut out[(i * TO + j) * stride..]);
        }
    }
}

multiversion! {
    /// `rows` are the values under 6 × 6 positions, `[C]` each; the point of number `i` goes to `out[i · stride..]`.
    fn inputs_at_points(rows: &[&[f32]; POINTS], out: &mut [f32], stride: usize) {
        along_both_axes(rows, rows[0].len(), out, stride, input_points);
    }
}

multiversion! {
    /// `taps` are 3 × 3 rows of lanes; `out` is `[POINTS, nr]`, zeros where no lanes are left.
    fn taps_at_points(taps: &[&[f32]; TAPS * TAPS], out: &mut [f32]) {
        let width = out.len() / POINTS;
        along_both_axes(taps, width, out, width, tap_points);
    }
}

multiversion! {
    /// `rows` are the products of a tile, `[O]` each; `out` is `[OUT, OUT, O]`.
    fn from_points(rows: &[&[f32]; POINTS], out: &mut [f32]) {
        let width = rows[0].len();
        along_both_axes(rows, width, out, width, output_points);
    }
}
