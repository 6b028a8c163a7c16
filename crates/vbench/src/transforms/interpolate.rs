//! torch's `interpolate` without antialiasing: 2 or 4 samples a side, however much the image shrinks.

use rayon::prelude::*;

use super::{Kernel, Window};
use crate::pixels::RgbFrame;

/// Where the middle of a pixel of the result lies in the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coordinates {
    /// Half-pixel centres, scaled by the ratio of the sizes: `align_corners=False`.
    HalfPixel,
    /// The same with given scales of height and width, as `interpolate(scale_factor=…)` keeps them.
    Scaled(f64, f64),
    /// Corner pixels on corner pixels: `align_corners=True`.
    Corners,
}

/// Resizes to `size` (height, width) and returns the part in `window`, neither clamped nor rounded, on the scale 0–255.
///
/// # Panics
/// If the window does not lie in the result: a bug of the caller.
pub fn resize_floats(
    frame: &RgbFrame,
    size: (usize, usize),
    window: Window,
    kernel: Kernel,
    coordinates: Coordinates,
) -> Vec<f32> {
    let scales = match coordinates {
        Coordinates::Scaled(height, width) => [Some(height), Some(width)],
        _ => [None, None],
    };
    let corners = coordinates == Coordinates::Corners;
    let axis = |from: usize, to: usize, scale| Axis { from, to, corners, scale };
    let rows = axis(frame.height, size.0, scales[0]);
    let columns = axis(frame.width, size.1, scales[1]);
    let (row_range, column_range) =
        (window.top..window.top + window.height, window.left..window.left + window.width);
    assert!(row_range.end <= size.0 && column_range.end <= size.1, "{window:?} in {size:?}");
    match kernel {
        Kernel::Bilinear => {
            let rows: Vec<_> = row_range.map(|at| rows.linear(at)).collect();
            let columns: Vec<_> = column_range.map(|at| columns.linear(at)).collect();
            blend(frame, &rows, &columns)
        }
        Kernel::Bicubic => {
            let rows: Vec<_> = row_range.map(|at| rows.cubic(at)).collect();
            let columns: Vec<_> = column_range.map(|at| columns.cubic(at)).collect();
            separate(frame, &rows, &columns)
        }
    }
}

/// The same on bytes, as torchvision does it: in f32, then clamped and rounded to the nearest, halves to even.
///
/// torchvision 0.29's `transforms.Resize` still goes through f32; its `transforms.v2` would use another kernel.
pub fn resize_bytes(frame: &RgbFrame, size: (usize, usize), window: Window, kernel: Kernel) -> Vec<u8> {
    let values = resize_floats(frame, size, window, kernel, Coordinates::HalfPixel);
    values.into_iter().map(|value| value.clamp(0.0, 255.0).round_ties_even() as u8).collect()
}

/// The samples that one row or column of the result is made of.
#[derive(Clone, Copy, Debug)]
struct Taps<const T: usize> {
    at: [usize; T],
    weights: [f32; T],
}

struct Axis {
    from: usize,
    to: usize,
    corners: bool,
    scale: Option<f64>,
}

impl Axis {
    fn source(&self, at: usize) -> f32 {
        let (from, to, at) = (self.from as f32, self.to as f32, at as f32);
        if self.corners {
            let step = if self.to > 1 { (from - 1.0) / (to - 1.0) } else { 0.0 };
            return step * at;
        }
        let step = self.scale.map_or(from / to, |scale| (1.0 / scale) as f32);
        // Fused here, in one place of the kernel and in the sums, as torch's CPU build for x86 fuses them: found by
        // comparing weights and sums bit by bit. At sample 1,000 it moves the point by up to 6e-5 of a sample.
        step.mul_add(at + 0.5, -0.5)
    }

    /// Index of the sample before `source`, and how far behind it that lies.
    fn split(&self, source: f32) -> (isize, f32) {
        let index = (source.floor() as isize).min(self.from as isize - 1);
        (index, (source - index as f32).clamp(0.0, 1.0))
    }

    fn linear(&self, at: usize) -> Taps<2> {
        if self.from == self.to {
            return Taps { at: [at; 2], weights: [1.0, 0.0] };
        }
        let (index, beyond) = self.split(self.source(at).max(0.0));
        let index = index as usize;
        Taps { at: [index, (index + 1).min(self.from - 1)], weights: [1.0 - beyond, beyond] }
    }

    fn cubic(&self, at: usize) -> Taps<4> {
        const A: f32 = -0.75;
        let (near, far) = (|x| cubic_near(A, x), |x| cubic_far(A, x));
        let (index, t) = self.split(self.source(at));
        let last = self.from as isize - 1;
        Taps {
            at: [-1, 0, 1, 2].map(|offset| (index + offset).clamp(0, last) as usize),
            weights: [far(t + 1.0), near(t), near(1.0 - t), far((1.0 - t) + 1.0)],
        }
    }
}

/// Keys' cubic at distances up to 1.
fn cubic_near(a: f32, x: f32) -> f32 {
    (a + 2.0).mul_add(x, -(a + 3.0)) * x * x + 1.0
}

/// Keys' cubic at distances from 1 to 2.
fn cubic_far(a: f32, x: f32) -> f32 {
    a.mul_add(x, -5.0 * a).mul_add(x, 8.0 * a) * x - 4.0 * a
}

/// Across, then down; across only for the rows that are needed. `[rows, columns, 3]`
fn separate(frame: &RgbFrame, rows: &[Taps<4>], columns: &[Taps<4>]) -> Vec<f32> {
    let mut needed: Vec<usize> = rows.iter().flat_map(|taps| taps.at).collect();
    needed.sort_unstable();
    needed.dedup();
    let mut place = vec![0; frame.height];
    needed.iter().enumerate().for_each(|(index, &row)| place[row] = index);
    let width = columns.len() * 3;
    let mut across = vec![0.0; needed.len() * width];
    across.par_chunks_mut(width).zip(&needed).for_each(|(to, &row)| {
        let (pixels, _) = frame.rgb[row * frame.width * 3..][..frame.width * 3].as_chunks::<3>();
        for (to, taps) in to.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
            let samples = taps.at.map(|at| pixels[at]);
            for (channel, to) in to.iter_mut().enumerate() {
                *to = weighted(samples.map(|sample| f32::from(sample[channel])), taps.weights);
            }
        }
    });
    let mut values = vec![0.0; rows.len() * width];
    values.par_chunks_mut(width).zip(rows).for_each(|(to, taps)| {
        let from = taps.at.map(|at| &across[place[at] * width..][..width]);
        for (index, to) in to.iter_mut().enumerate() {
            *to = weighted(from.map(|row| row[index]), taps.weights);
        }
    });
    values
}

/// Four neighbours at once, weighted by products of weights. `[rows, columns, 3]`
fn blend(frame: &RgbFrame, rows: &[Taps<2>], columns: &[Taps<2>]) -> Vec<f32> {
    let width = columns.len() * 3;
    let mut values = vec![0.0; rows.len() * width];
    values.par_chunks_mut(width).zip(rows).for_each(|(to, row)| {
        let [above, below] =
            row.at.map(|at| frame.rgb[at * frame.width * 3..][..frame.width * 3].as_chunks::<3>().0);
        for (to, column) in to.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
            let ([a, b], [c, d]) = (column.at.map(|at| above[at]), column.at.map(|at| below[at]));
            let ([left, right], [up, down]) = (column.weights, row.weights);
            let weights = [up * left, up * right, down * left, down * right];
            *to = std::array::from_fn(|i| weighted([a[i], b[i], c[i], d[i]].map(f32::from), weights));
        }
    });
    values
}

/// The sum in torch's order: the second product first.
fn weighted(values: [f32; 4], weights: [f32; 4]) -> f32 {
    let two = fused(values[0], weights[0], values[1] * weights[1]);
    fused(values[3], weights[3], fused(values[2], weights[2], two))
}

/// `a · b + c` with one rounding, as torch's loops have it on x86. The product is exact in f64, so that this differs from
/// a fused instruction only where the sum is a tie of f32 to within 2⁻⁵³; unlike that, it is fast on every machine.
pub(super) fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}
