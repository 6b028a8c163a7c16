//! Pillow's `resize`: antialiased, in two passes of 8-bit fixed point.

use rayon::prelude::*;

use super::{Kernel, Window};
use crate::pixels::RgbFrame;

/// Bits behind the point of a weight: 32 less 8 of a sample and 2 for sums above one.
const BITS: u32 = 22;

/// Resizes to `size` (height, width) and returns the part in `window`.
///
/// Across first, then down: as Pillow up to 11.3 always does, and 13 unless rows shrink while columns grow.
///
/// # Panics
/// If the window does not lie in the result: a bug of the caller.
pub fn resize_pillow(frame: &RgbFrame, size: (usize, usize), window: Window, kernel: Kernel) -> Vec<u8> {
    let (bottom, right) = (window.top + window.height, window.left + window.width);
    assert!(bottom <= size.0 && right <= size.1, "{window:?} in {size:?}");
    let columns: Vec<_> = (window.left..right).map(|at| Run::at(at, frame.width, size.1, kernel)).collect();
    let rows: Vec<_> = (window.top..bottom).map(|at| Run::at(at, frame.height, size.0, kernel)).collect();
    let first = rows.iter().map(|run| run.start).min().unwrap_or(0);
    let end = rows.iter().map(|run| run.start + run.weights.len()).max().unwrap_or(0);
    let width = window.width * 3;
    // A pass whose side keeps its length is left out, which is what weights of one amount to.
    let mut across = vec![0u8; (end - first) * width];
    across.par_chunks_mut(width).enumerate().for_each(|(row, to)| {
        let pixels = &frame.rgb[(first + row) * frame.width * 3..][..frame.width * 3];
        let pixels = pixels.as_chunks::<3>().0;
        for (to, run) in to.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
            let mut sums = [HALF; 3];
            for (pixel, weight) in pixels[run.start..].iter().zip(&run.weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
            }
            *to = sums.map(byte);
        }
    });
    let mut values = vec![0u8; window.height * width];
    values.par_chunks_mut(width).zip(&rows).for_each_init(
        || vec![HALF; width],
        |sums, (to, run)| {
            sums.fill(HALF);
            let from = across[(run.start - first) * width..].chunks_exact(width);
            for (from, weight) in from.zip(&run.weights) {
                sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
            }
            to.iter_mut().zip(&*sums).for_each(|(to, sum)| *to = byte(*sum));
        },
    );
    values
}

const HALF: i32 = 1 << (BITS - 1);

fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Consecutive samples and their weights in fixed point.
struct Run {
    start: usize,
    weights: Vec<i32>,
}

impl Run {
    fn at(at: usize, from: usize, to: usize, kernel: Kernel) -> Self {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let support = kernel.reach() * widening;
        let centre = (at as f64 + 0.5) * scale;
        let start = ((centre - support + 0.5) as isize).max(0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let inverse = 1.0 / widening;
        let weight = |sample: usize| shape(kernel, (sample as f64 - centre + 0.5) * inverse);
        let weights: Vec<f64> = (start..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        // Rounded away from zero.
        let fixed = |weight: &f64| (weight / sum * f64::from(1 << BITS)).round() as i32;
        Self { start, weights: weights.iter().map(fixed).collect() }
    }
}

fn shape(kernel: Kernel, distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    match kernel {
        Kernel::Bilinear => (1.0 - x).max(0.0),
        Kernel::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Kernel::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Kernel::Bicubic => 0.0,
    }
}
