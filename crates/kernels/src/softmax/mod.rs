//! `softmax` over rows: each is read from memory once, and written once.

use crate::isa::multiversion;
use crate::pointwise::exp;
use crate::threads::{Fresh, for_ranges};

/// Values of a task at least.
const GRAIN: usize = 8 * 1024;
/// Below `e` to this power a share is nothing.
const NOTHING: f32 = -87.0;

/// `out[r, i] = exp(x[r, i]) / Σⱼ exp(x[r, j])`, `x [R, width]`. What is −∞, or 87 below the largest of its row, is 0; a row with a
/// NaN or +∞, or of −∞ alone, is NaN.
///
/// # Panics
/// If `x` is not of whole rows.
pub fn softmax(x: &[f32], width: usize) -> Vec<f32> {
    assert!(width > 0 && x.len() % width == 0, "x is not [R, {width}]");
    let out = Fresh::new(x.len());
    for_ranges(x.len() / width, GRAIN / width + 1, |range| {
        for row in range {
            // SAFETY: rows are disjoint.
            let out = unsafe { out.slice(row * width, width) };
            forward_row(&x[row * width..][..width], out);
        }
    });
    // SAFETY: every row was written.
    unsafe { out.finish(x.len()) }
}

/// `dx = y ∘ (d_out − Σⱼ d_outⱼ yⱼ)`, from the result `y` of [`softmax`].
///
/// # Panics
/// If `y` is not of whole rows, or `d_out` not as long.
pub fn softmax_backward(y: &[f32], d_out: &[f32], width: usize) -> Vec<f32> {
    assert!(width > 0 && y.len() % width == 0, "y is not [R, {width}]");
    assert_eq!(y.len(), d_out.len());
    let dx = Fresh::new(y.len());
    for_ranges(y.len() / width, GRAIN / width + 1, |range| {
        for row in range {
            // SAFETY: rows are disjoint.
            let dx = unsafe { dx.slice(row * width, width) };
            backward_row(&y[row * width..][..width], &d_out[row * width..][..width], dx);
        }
    });
    // SAFETY: every row was written.
    unsafe { dx.finish(y.len()) }
}

const LANES: usize = 16;

multiversion! {
    fn forward_row(x: &[f32], out: &mut [f32]) {
        let top = largest(x);
        let share = |x: f32| {
            let below = x - top;
            // No NaN compares.
            if below < NOTHING { 0.0 } else { exp(below) }
        };
        let mut sums = [0.0f32; LANES];
        let (whole, rest) = x.as_chunks::<LANES>();
        let (out_whole, out_rest) = out.as_chunks_mut::<LANES>();
        for (out, x) in out_whole.iter_mut().zip(whole) {
            for ((out, x), sum) in out.iter_mut().zip(x).zip(&mut sums) {
                *out = share(*x);
                *sum += *out;
            }
        }
        let mut sum = sums.iter().sum::<f32>();
        for (out, x) in out_rest.iter_mut().zip(rest) {
            *out = share(*x);
            sum += *out;
        }
        let scale = 1.0 / sum;
        for out in out {
            *out *= scale;
        }
    }
}

/// The largest value that is a number.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for x in whole {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = larger(*lane, *x);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |top, x| larger(top, *x))
}

multiversion! {
    fn backward_row(y: &[f32], d_out: &[f32], dx: &mut [f32]) {
        let mut sums = [0.0f32; LANES];
        let ((y_whole, y_rest), (d_whole, d_rest)) = (y.as_chunks::<LANES>(), d_out.as_chunks::<LANES>());
        for (y, d) in y_whole.iter().zip(d_whole) {
            for ((sum, y), d) in sums.iter_mut().zip(y).zip(d) {
                *sum += y * d;
            }
        }
        let rest: f32 = y_rest.iter().zip(d_rest).map(|(y, d)| y * d).sum();
        let mean = sums.iter().sum::<f32>() + rest;
        for ((dx, y), d) in dx.iter_mut().zip(y).zip(d_out) {
            *dx = y * (d - mean);
        }
    }
}

#[cfg(test)]
mod tests;
