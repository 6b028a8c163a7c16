//! torch's `interpolate` with antialiasing: the kernel widens by as much as the image shrinks.

use rayon::prelude::*;

use super::interpolate::fused;
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
            for (tap, (pixel, weight)) in pixels[run.start..].iter().zip(&run.weights).enumerate() {
                let pixel = pixel.map(f32::from);
                run.add(to, &pixel, tap, *weight);
            }
        }
    });
    let mut values = vec![0.0; window.height * width];
    values.par_chunks_mut(width).zip(&rows).for_each(|(to, run)| {
        let from = across[(run.start - first) * width..].chunks_exact(width);
        for (tap, (from, weight)) in from.zip(&run.weights).enumerate() {
            run.add(to, from, tap, *weight);
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
        // torch's halves are doubles.
        let start = ((f64::from(centre - support) + 0.5) as isize).max(0) as usize;
        let end = ((f64::from(centre + support) + 0.5) as usize).min(from);
        let inverse = 1.0 / widening;
        let distance = |sample: usize| (f64::from(sample as f32 - centre) + 0.5) * f64::from(inverse);
        let weight = |sample: usize| shape(kernel, distance(sample) as f32);
        let weights: Vec<f32> = (start..end).map(weight).collect();
        let sum: f32 = weights.iter().sum();
        Self { start, weights: weights.iter().map(|weight| weight / sum).collect() }
    }

    /// Adds a tap to sums as torch's CPU build for x86 does: after the first product, fours of products are rounded before they are
    /// added, and what is left of them is fused. Found by comparing results bit by bit.
    fn add(&self, sums: &mut [f32], samples: &[f32], tap: usize, weight: f32) {
        let in_fours = 1 + (self.weights.len() - 1) / 4 * 4;
        let pairs = sums.iter_mut().zip(samples);
        match tap < in_fours {
            true => pairs.for_each(|(sum, sample)| *sum += sample * weight),
            false => pairs.for_each(|(sum, sample)| *sum = fused(*sample, weight, *sum)),
        }
    }
}

/// Every product but those by the distance alone is fused with the sum behind it.
fn shape(kernel: Kernel, distance: f32) -> f32 {
    const A: f32 = -0.5;
    let x = distance.abs();
    match kernel {
        Kernel::Bilinear => (1.0 - x).max(0.0),
        Kernel::Bicubic if x < 1.0 => ((A + 2.0).mul_add(x, -(A + 3.0)) * x).mul_add(x, 1.0),
        Kernel::Bicubic if x < 2.0 => A.mul_add(x, -5.0 * A).mul_add(x, 8.0 * A).mul_add(x, -4.0 * A),
        Kernel::Bicubic => 0.0,
    }
}
