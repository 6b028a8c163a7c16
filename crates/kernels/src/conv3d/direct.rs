//! Convolution of stride one on AMX: tiles are loaded from the input itself.
//!
//! The input is rounded to bf16 once, into `[B, F̂, Ĥ, Ŵ, C]` with its padding. Under the taps of one row of the kernel lie
//! `Kw·C` neighbouring values, and those of the next position begin `C` further on: 16 positions and 32 of these depths are
//! one tile, whatever the tap. Where `Kw·C` is no multiple of 32, the last tile reads on, and meets weights of zero.
//! Positions run over whole padded rows, and what the last `Kw − 1` of a row give is left out.

use std::borrow::Cow;
use std::cell::RefCell;

use rayon::prelude::*;

use super::Conv3dShape;
use crate::gemm::amx::{Rows, multiply_rows};
use crate::gemm::{DepthMajor, Epilogue, Tiles, narrow};
use crate::isa::{Isa, Precision};
use crate::threads::{Fresh, SharedMut};

/// Positions of one call of the kernel, and columns.
const SIDE: usize = 32;
/// Blocks of positions that a task takes at most: so many read weights before they are left, each asking for as many of the
/// next ones.
const BLOCKS: usize = 8;
/// Bytes of a panel of weights that are multiplied at once, about.
const PART_BYTES: usize = 256 << 10;
/// Values of bf16 in a line of the cache.
const LINE: usize = 32;

thread_local! {
    /// Sums of one task, `[panels][blocks]`; packed weights.
    static SUMS: RefCell<Vec<Tile>> = const { RefCell::new(Vec::new()) };
    static WEIGHTS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Whether [`forward`] can be asked.
pub fn fits(shape: &Conv3dShape, precision: Precision) -> bool {
    Isa::current() == Isa::Amx
        && precision == Precision::Bf16
        && shape.stride == [1, 1, 1]
        && 2 * row_depth(shape) <= 3 * shape.kernel[2] * shape.channels_in
        && shape.positions_out() * shape.depth() * shape.channels_out > 0
}

/// Depth under a row of the kernel, in whole tiles: a third of them may meet zeros, then copies of patches cost more.
fn row_depth(shape: &Conv3dShape) -> usize {
    (shape.kernel[2] * shape.channels_in).next_multiple_of(LINE)
}

/// As [`super::forward`]. What is not finite reaches, where tiles read on, the position beside its own, too, as NaN.
pub fn forward(x: &[f32], weights: &[f32], shape: Conv3dShape, epilogue: &impl Epilogue) -> Vec<f32> {
    assert!(fits(&shape, Precision::Bf16));
    let (c, n, row_depth) = (shape.channels_in, shape.channels_out, row_depth(&shape));
    let [frames, height, width] = shape.output();
    let [kt, kh, kw] = shape.kernel;
    let [padded_frames, padded_height, padded_width] =
        [0, 1, 2].map(|axis| shape.input[axis] + shape.padding[axis] * if axis == 0 { 1 } else { 2 });
    let mut packed = WEIGHTS.with(RefCell::take);

    // The last block of a plane reads up to 31 positions beyond it, and its last tile up to 31 values; the first value lies
    // on a line of the cache.
    let (rows, row_len, slack) =
        (shape.batch * padded_frames * padded_height, padded_width * c, SIDE * c + LINE);
    let padded = Fresh::<u16>::new(rows * row_len + slack + LINE);
    // SAFETY: there is room for a line, which nobody else has yet.
    let offset = unsafe { padded.slice(0, LINE) }.as_ptr().align_offset(2 * LINE).min(LINE);
    (0..rows).into_par_iter().for_each(|row| {
        // SAFETY: each task has its own row.
        let to = unsafe { padded.slice(offset + row * row_len, row_len) };
        let (volume, y) = (row / padded_height, row % padded_height);
        let (sample, f) = (volume / padded_frames, volume % padded_frames);
        let inside =
            |at: usize, axis: usize| at.checked_sub(shape.padding[axis]).filter(|at| *at < shape.input[axis]);
        if let (Some(f), Some(y)) = (inside(f, 0), inside(y, 1)) {
            let count = shape.input[2] * c;
            let from = ((sample * shape.input[0] + f) * shape.input[1] + y) * count;
            // SAFETY: AMX is there, and AVX-512 BF16 with it.
            unsafe { narrow::round(&x[from..from + count], &mut to[shape.padding[2] * c..][..count]) };
        }
    });
    let len = offset + rows * row_len;
    // SAFETY: there is room for so many, which no task has; with them everything up to there was written.
    let padded = unsafe {
        padded.slice(len, slack);
        padded.finish(len + slack)
    };
    let padded = &padded[offset..];

    let depth = kt * kh * row_depth;
    let weights = in_whole_tiles(weights, kw * c * n, row_depth * n); // [Kt·Kh, rows of tiles, N]
    let tiles = Tiles::select(Precision::Bf16);
    tiles.pack_right_whole(&DepthMajor { data: &weights, stride: n }, n, depth, &mut packed);
    let panel = depth * SIDE / 2;
    let panels = n.div_ceil(SIDE);

    // Where the rows of the kernel begin, seen from a position.
    let offsets: Vec<usize> = (0..kt * kh)
        .map(|row| (row / kh * padded_height + row % kh) * padded_width * c * size_of::<u16>())
        .collect();
    let rows_at_once = (PART_BYTES / (row_depth * SIDE * size_of::<u16>())).clamp(1, kt * kh);
    let positions = (height - 1) * padded_width + width;
    let blocks = positions.div_ceil(SIDE);
    let planes = shape.batch * frames;
    let at_once = (planes * blocks / (4 * rayon::current_num_threads())).clamp(1, BLOCKS.min(blocks));
    let tasks = blocks.div_ceil(at_once);
    let out = Fresh::new(shape.positions_out() * n);
    let pointer: SharedMut<f32> = out.pointer();
    (0..planes * tasks).into_par_iter().for_each(|task| {
        let (plane, first) = (task / tasks, task % tasks * at_once);
        let (sample, frame) = (plane / frames, plane % frames);
        let origin = (sample * padded_frames + frame) * padded_height * padded_width;
        let count = at_once.min(blocks - first);
        // Output rows of the positions from `position` on that are some.
        let outputs = |position: usize| {
            (position..positions.min(position + SIDE)).enumerate().filter_map(move |(i, position)| {
                let (y, x) = (position / padded_width, position % padded_width);
                (x < width).then_some((i, (plane * height + y) * width + x))
            })
        };
        SUMS.with_borrow_mut(|sums| {
            sums.resize_with(panels * count, || Tile([0.0; SIDE * SIDE]));
            // Some rows of the kernel at a time: their weights, and the input under them, stay in the second-level cache.
            let segment = row_depth / LINE;
            for (part, offsets) in offsets.chunks(rows_at_once).enumerate() {
                let from = part * rows_at_once * segment * LINE * SIDE / 2;
                let len = offsets.len() * segment * LINE * SIDE / 2;
                for p in 0..panels {
                    let weights = &packed[p * panel + from..][..len];
                    // What follows: the next panel of these rows, or the first of the next ones.
                    let next = if p + 1 < panels {
                        weights.as_ptr().wrapping_add(panel)
                    } else {
                        packed[from..].as_ptr().wrapping_add(len)
                    };
                    for block in 0..count {
                        let a = &padded[(origin + (first + block) * SIDE) * c..];
                        let last = offsets[offsets.len() - 1] / size_of::<u16>();
                        assert!(a.len() >= last + (SIDE - 1) * c + row_depth);
                        let rows = Rows {
                            a: a.as_ptr(),
                            stride_bytes: c * size_of::<u16>(),
                            offsets,
                            chunks: segment,
                            b: weights.as_ptr(),
                            next: next.wrapping_add(block * len / BLOCKS),
                        };
                        // SAFETY: the last value of the last row of the kernel that any of 32 positions reads lies inside `a`,
                        // asserted; `weights` holds the depth of these rows; AMX is there.
                        unsafe { multiply_rows(&rows, &mut sums[p * count + block].0, part > 0) };
                    }
                }
            }
            for block in 0..count {
                for (i, row) in outputs((first + block) * SIDE) {
                    for p in 0..panels {
                        let columns = SIDE.min(n - p * SIDE);
                        // SAFETY: this task alone writes these rows of the output, which lie inside it.
                        unsafe {
                            pointer.pointer(row * n + p * SIDE).copy_from_nonoverlapping(
                                sums[p * count + block].0[i * SIDE..].as_ptr(),
                                columns,
                            );
                        }
                    }
                    // SAFETY: as above; all of the row was written.
                    epilogue.finish(row, 0, unsafe { pointer.slice(row * n, n) });
                }
            }
        });
    });
    WEIGHTS.set(packed);
    // SAFETY: tasks cover every position.
    unsafe { out.finish(shape.positions_out() * n) }
}

/// Runs of `len` values, each followed by zeros up to `whole`.
fn in_whole_tiles(values: &[f32], len: usize, whole: usize) -> Cow<'_, [f32]> {
    if len == whole {
        return Cow::Borrowed(values);
    }
    let mut out = vec![0.0; values.len() / len * whole];
    for (out, values) in out.chunks_exact_mut(whole).zip(values.chunks_exact(len)) {
        out[..len].copy_from_slice(values);
    }
    Cow::Owned(out)
}

/// One block of sums.
#[repr(align(64))]
struct Tile([f32; SIDE * SIDE]);
