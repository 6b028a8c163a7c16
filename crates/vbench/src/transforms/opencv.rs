//! OpenCV's `INTER_LINEAR` on bytes: 11 bits of weight a pass.

use rayon::prelude::*;

use super::Window;
use crate::pixels::RgbFrame;

/// Weights add up to this.
const ONE: f32 = 2048.0;

/// Resizes to `size` (height, width) and returns the part in `window`.
///
/// # Panics
/// If the window does not lie in the result: a bug of the caller.
pub fn resize_linear(frame: &RgbFrame, size: (usize, usize), window: Window) -> Vec<u8> {
    let (bottom, right) = (window.top + window.height, window.left + window.width);
    assert!(bottom <= size.0 && right <= size.1, "{window:?} in {size:?}");
    if (frame.height, frame.width) == (size.0 * 2, size.1 * 2) {
        return halve(frame, window);
    }
    let columns: Vec<_> = (window.left..right).map(|at| Taps::column(at, frame.width, size.1)).collect();
    let width = window.width * 3;
    let across = |row: usize, to: &mut [i32]| {
        let pixels = frame.rgb[row * frame.width * 3..][..frame.width * 3].as_chunks::<3>().0;
        for (to, taps) in to.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
            let [left, right] = taps.at.map(|at| pixels[at].map(i32::from));
            *to = std::array::from_fn(|c| left[c] * taps.weights[0] + right[c] * taps.weights[1]);
        }
    };
    let mut values = vec![0u8; window.height * width];
    values.par_chunks_mut(width).enumerate().for_each_init(
        || (vec![0; width], vec![0; width]),
        |(above, below), (row, to)| {
            let taps = Taps::row(window.top + row, frame.height, size.0);
            across(taps.at[0], above);
            across(taps.at[1], below);
            for ((to, above), below) in to.iter_mut().zip(&*above).zip(&*below) {
                // Each product loses 4 and 16 of its 22 bits; the last 2 are rounded off.
                let part = |sum: i32, weight: i32| (weight * (sum >> 4)) >> 16;
                *to = ((part(*above, taps.weights[0]) + part(*below, taps.weights[1]) + 2) >> 2) as u8;
            }
        },
    );
    values
}

/// Half the size is the mean of four: OpenCV takes its kernel for areas then.
fn halve(frame: &RgbFrame, window: Window) -> Vec<u8> {
    let row_bytes = frame.width * 3;
    let mut values = vec![0u8; window.height * window.width * 3];
    values.par_chunks_mut(window.width * 3).enumerate().for_each(|(row, to)| {
        let start = (window.top + row) * 2 * row_bytes + window.left * 6;
        let above = frame.rgb[start..].as_chunks::<6>().0;
        let below = frame.rgb[start + row_bytes..].as_chunks::<6>().0;
        for ((to, above), below) in to.as_chunks_mut::<3>().0.iter_mut().zip(above).zip(below) {
            *to = std::array::from_fn(|c| {
                let sum = [above[c], above[c + 3], below[c], below[c + 3]].map(u16::from).iter().sum::<u16>();
                ((sum + 2) >> 2) as u8
            });
        }
    });
    values
}

struct Taps {
    at: [usize; 2],
    weights: [i32; 2],
}

impl Taps {
    /// Beyond the middle of the outer pixels, columns take one sample.
    fn column(at: usize, from: usize, to: usize) -> Self {
        let (index, beyond) = source(at, from, to);
        match index {
            ..0 => Self::clamped(0, 0.0, from),
            _ if index + 1 >= from as isize => Self::clamped(from as isize - 1, 0.0, from),
            _ => Self::clamped(index, beyond, from),
        }
    }

    /// Rows take the same sample twice, which rounds otherwise.
    fn row(at: usize, from: usize, to: usize) -> Self {
        let (index, beyond) = source(at, from, to);
        Self::clamped(index, beyond, from)
    }

    fn clamped(index: isize, beyond: f32, from: usize) -> Self {
        let fixed = |weight: f32| (weight * ONE).round_ties_even() as i32;
        let inside = |index: isize| index.clamp(0, from as isize - 1) as usize;
        Self { at: [inside(index), inside(index + 1)], weights: [fixed(1.0 - beyond), fixed(beyond)] }
    }
}

/// The sample before the middle of a pixel, and how far behind it that lies.
fn source(at: usize, from: usize, to: usize) -> (isize, f32) {
    let scale = 1.0 / (to as f64 / from as f64);
    let source = ((at as f64 + 0.5) * scale - 0.5) as f32;
    (source.floor() as isize, source - source.floor())
}
