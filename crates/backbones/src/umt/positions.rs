//! Where a token is: sines and cosines (Vaswani et al. 2017) of its place among the 8·14·14 that UMT was pretrained on, stretched to
//! other grids and numbers of frames.

use crate::Grid;
use crate::layers::{Filter, interpolate};

const FRAMES: usize = 8;
const SIDE: usize = 14;

/// Whether a network of `frames` of `side × side` patches has the table fixed; any other learns it further, and keeps it among its
/// weights.
pub(super) fn is_fixed(frames: usize, side: usize) -> bool {
    frames * side * side == FRAMES * SIDE * SIDE
}

/// The table `[frames, side, side, width]`.
pub(super) fn table(frames: usize, side: usize, width: usize) -> Vec<f32> {
    let mut grid = Grid::new(sinusoids(width), [FRAMES, SIDE, SIDE, width]);
    if side != SIDE {
        grid = interpolate(&grid, [side; 2], None, Filter::Bicubic); // [8, side, side, D]
    }
    if frames != FRAMES {
        // Time goes where a map has its rows.
        let rows = Grid::new(grid.data, [1, FRAMES, side * side, width]);
        let filter = Filter::Bilinear { align_corners: false };
        grid = interpolate(&rows, [frames, side * side], None, filter); // [1, frames, side², D]
    }
    grid.data
}

/// `sin(p / 10000^(2i/D))` at channel 2i, the cosine at 2i + 1, for every place p.
fn sinusoids(width: usize) -> Vec<f32> {
    let angle = |p: usize, d: usize| p as f64 / 10_000f64.powf((2 * (d / 2)) as f64 / width as f64);
    (0..FRAMES * SIDE * SIDE)
        .flat_map(|p| (0..width).map(move |d| if d % 2 == 0 { angle(p, d).sin() } else { angle(p, d).cos() }))
        .map(|value| value as f32)
        .collect()
}
