//! `softmax` over rows: each is read from memory once, and written once.

use crate::isa::multiversion;
use crate::norm::{dot, grain, sum};
use crate::pointwise::exp;
use crate::threads::{Fresh, for_ranges};

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
    for_ranges(x.len() / width, grain(width), |range| {
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
    for_ranges(y.len() / width, grain(width), |range| {
        for row in range {
            // SAFETY: rows are disjoint.
            let dx = unsafe { dx.slice(row * width, width) };
            backward_row(&y[row * width..][..width], &d_out[row * width..][..width], dx);
        }
    });
    // SAFETY: every row was written.
    unsafe { dx.finish(y.len()) }
}

multiversion! {
    fn forward_row(x: &[f32], out: &mut [f32]) {
        let top = largest(x);
        for (out, x) in out.iter_mut().zip(x) {
            let below = x - top;
            // No NaN compares.
            *out = if below < NOTHING { 0.0 } else { exp(below) };
        }
        let scale = 1.0 / sum(out);
        for out in out {
            *out *= scale;
        }
    }
}

/// The largest value that is a number.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    const LANES: usize = 16;
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
        let mean = dot(y, d_out);
        for ((dx, y), d) in dx.iter_mut().zip(y).zip(d_out) {
            *dx = y * (d - mean);
        }
    }
}

#[cfg(test)]
mod tests;
