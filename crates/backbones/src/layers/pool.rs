use rayon::prelude::*;

use crate::Grid;

/// One position's result from the positions under its window; what lies outside the map is left out.
fn windows(
    x: &Grid,
    kernel: usize,
    stride: usize,
    padding: usize,
    start: f32,
    take: impl Fn(&mut [f32], &[f32]) + Sync,
) -> Grid {
    let size = |n: usize| (n + 2 * padding - kernel) / stride + 1;
    let (height, width, channels) = (size(x.height), size(x.width), x.channels);
    let mut out =
        Grid::new(vec![start; x.batch * height * width * channels], [x.batch, height, width, channels]);
    out.data.par_chunks_mut((width * channels).max(1)).enumerate().for_each(|(row, out)| {
        let (b, y0) = (row / height, row % height * stride);
        for (column, out) in out.chunks_exact_mut(channels).enumerate() {
            let x0 = column * stride;
            for y in y0.max(padding)..(y0 + kernel).min(x.height + padding) {
                for column in x0.max(padding)..(x0 + kernel).min(x.width + padding) {
                    take(out, x.at(b, y - padding, column - padding));
                }
            }
        }
    });
    out
}

/// The largest value under each window.
pub fn max_pool(x: &Grid, kernel: usize, stride: usize, padding: usize) -> Grid {
    windows(x, kernel, stride, padding, f32::NEG_INFINITY, |out, x| {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = if *x > *out || x.is_nan() { *x } else { *out });
    })
}

/// The mean under each window of `kernel × kernel`, side by side; rows and columns that fill none are left out.
pub fn average_pool(x: &Grid, kernel: usize) -> Grid {
    let mut out = windows(x, kernel, kernel, 0, 0.0, |out, x| {
        out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
    });
    let share = 1.0 / (kernel * kernel) as f32;
    out.data.iter_mut().for_each(|value| *value *= share);
    out
}
