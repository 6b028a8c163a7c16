//! torch's `interpolate` with antialiasing: the kernel widens by as much as the image shrinks.

use rayon::prelude::*;

use super::interpolate::{cubic_far, cubic_near};
use super::{Kernel, Window};
use crate::pixels::RgbFrame;

/// Resizes to `size` (height, width) and returns the part in `window`, neither clamped nor rounded, on the scale 0–255.
///
/// What torchvision's `Resize` does to float tensors since version 0.17 unless it is told otherwise.
///
/// # Panics
/// If the window does not lie in the result: a bug of the caller.
pub fn resize_antialiased(
    frame: &RgbFrame,
    size: (usize, usize),
    window: Window,
    kernel: Kernel,
) -> Vec<f32> {
    let (bottom, right) = (window.top + window.height, window.left + window.width);
    assert!(bottom <= size.0 && right <= size.1, "{window:?} in {size:?}");
    let columns: Vec<_> = (window.left..right).map(|at| Run::at(at, frame.width, size.1, kernel)).collect();
    let rows: Vec<_> = (window.top..bottom).map(|at| Run::at(at, frame.height, size.0, kernel)).collect();
    let first = rows.iter().map(|run| run.start).min().unwrap_or(0);
    let end = rows.iter().map(|run| run.start + run.weights.len()).max().unwrap_or(0);
    let width = window.width * 3;
    let mut across = vec![0.0; (end - first) * width];
    across.par_chunks_mut(width).enumerate().for_each(|(row, to)| {
        let pixels = &frame.rgb[(first + row) * frame.width * 3..][..frame.width * 3];
        let pixels = pixels.as_chunks::<3>().0;
        for (to, run) in to.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
            *to = [0.0; 3];
            for (pixel, weight) in pixels[run.start..].iter().zip(&run.weights) {
                to.iter_mut().zip(pixel).for_each(|(to, value)| *to += f32::from(*value) * weight);
            }
        }
    });
    let mut values = vec![0.0; window.height * width];
    values.par_chunks_mut(width).zip(&rows).for_each(|(to, run)| {
        let from = across[(run.start - first) * width..].chunks_exact(width);
        for (from, weight) in from.zip(&run.weights) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from * weight);
        }
    });
    values
}

/// Consecutive samples and their weights, which add up to one.
struct Run {
    start: usize,
    weights: Vec<f32>,
}

impl Run {
    fn at(at: usize, from: usize, to: usize, kernel: Kernel) -> Self {
        let scale = from as f32 / to as f32;
        let widening = scale.max(1.0);
        let support = kernel.reach() as f32 * widening;
        let centre = scale * (at as f32 + 0.5);
        let start = ((centre - support + 0.5) as isize).max(0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let inverse = 1.0 / widening;
        let weight = |sample: usize| shape(kernel, (sample as f32 - centre + 0.5) * inverse);
        let weights: Vec<f32> = (start..end).map(weight).collect();
        let sum: f32 = weights.iter().sum();
        Self { start, weights: weights.iter().map(|weight| weight / sum).collect() }
    }
}

fn shape(kernel: Kernel, distance: f32) -> f32 {
    const A: f32 = -0.5;
    let x = distance.abs();
    match kernel {
        Kernel::Bilinear => (1.0 - x).max(0.0),
        Kernel::Bicubic if x < 1.0 => cubic_near(A, x),
        Kernel::Bicubic if x < 2.0 => cubic_far(A, x),
        Kernel::Bicubic => 0.0,
    }
}
