use rayon::prelude::*;

use crate::Grid;

/// Between which pixels, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Two pixels an axis; a corner pixel's middle is its corner where `true`.
    Bilinear {
        /// PyTorch's `align_corners`.
        align_corners: bool,
    },
    /// Four pixels an axis, a = −0.75 (Keys 1981), as PyTorch has it, without antialiasing.
    Bicubic,
}

/// Pixels and their weights for each place of one axis.
fn taps(from: usize, to: usize, scale: Option<f64>, filter: Filter) -> Vec<[(usize, f32); 4]> {
    // PyTorch computes places in f32.
    let ratio = match (scale, filter) {
        (_, Filter::Bilinear { align_corners: true }) if to > 1 => (from - 1) as f32 / (to - 1) as f32,
        (_, Filter::Bilinear { align_corners: true }) => 0.0,
        (Some(scale), _) => (1.0 / scale) as f32,
        (None, _) => from as f32 / to as f32,
    };
    let pixel = |i: isize| i.clamp(0, from as isize - 1) as usize;
    (0..to)
        .map(|i| match filter {
            Filter::Bilinear { align_corners } => {
                let place =
                    if align_corners { ratio * i as f32 } else { (ratio * (i as f32 + 0.5) - 0.5).max(0.0) };
                let low = (place as usize).min(from - 1);
                let weight = place - low as f32;
                [(low, 1.0 - weight), (pixel(low as isize + 1), weight), (0, 0.0), (0, 0.0)]
            }
            Filter::Bicubic => {
                let place = ratio * (i as f32 + 0.5) - 0.5;
                let low = place.floor();
                let t = place - low;
                let weights = [outer(t + 1.0), inner(t), inner(1.0 - t), outer(2.0 - t)];
                std::array::from_fn(|k| (pixel(low as isize + k as isize - 1), weights[k]))
            }
        })
        .collect()
}

const A: f32 = -0.75;

/// Keys' kernel within one pixel.
fn inner(x: f32) -> f32 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// Keys' kernel from one to two pixels.
fn outer(x: f32) -> f32 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}

/// `[B, H, W, C]` → `[B, H', W', C]`. `scales` of height and width override the ratio of sizes, as PyTorch does when it is asked for a
/// scale and not for a size.
pub fn interpolate(x: &Grid, [height, width]: [usize; 2], scales: Option<[f64; 2]>, filter: Filter) -> Grid {
    let (rows, columns) = (
        taps(x.height, height, scales.map(|s| s[0]), filter),
        taps(x.width, width, scales.map(|s| s[1]), filter),
    );
    let c = x.channels;
    let mut out = Grid::zeros([x.batch, height, width, c]);
    out.data.par_chunks_mut((width * c).max(1)).enumerate().for_each_init(
        || vec![0.0; x.width * c],
        |blended, (i, out)| {
            let (b, y) = (i / height, i % height);
            blended.fill(0.0);
            for (row, weight) in rows[y].iter().filter(|tap| tap.1 != 0.0) {
                let from = &x.data[(b * x.height + row) * x.width * c..][..x.width * c];
                blended.iter_mut().zip(from).for_each(|(sum, from)| *sum += weight * from);
            }
            for (out, taps) in out.chunks_exact_mut(c).zip(&columns) {
                for (column, weight) in taps.iter().filter(|tap| tap.1 != 0.0) {
                    out.iter_mut().zip(&blended[column * c..]).for_each(|(sum, from)| *sum += weight * from);
                }
            }
        },
    );
    out
}
