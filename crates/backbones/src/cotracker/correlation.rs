use rayon::prelude::*;

use crate::BackboneError;
use crate::layers::{CORRELATION_LEVELS, Pyramid};

/// Reach of a window in pixels of its level.
const RADIUS: usize = 3;
const ACROSS: usize = 2 * RADIUS + 1;
/// Correlations of one place.
pub const CORRELATIONS: usize = CORRELATION_LEVELS * ACROSS * ACROSS;
/// A window reaches no more pixels of a side: rounding moves its ends by less than one.
const PIXELS: usize = ACROSS + 2;
/// The least side of a map of which every scale has a pixel.
const SIDE_MIN: usize = 1 << (CORRELATION_LEVELS - 1);

/// How a track's `feature [C]` agrees with the map around `place` (x and y in its pixels), over √C: `[4, 7, 7]`, each window column by
/// column. What lies outside is the nearest pixel inside.
fn look_up(scales: &Pyramid, feature: &[f32], place: [f32; 2], out: &mut [f32]) {
    let root = (feature.len() as f32).sqrt();
    for (level, (map, out)) in scales.levels().iter().zip(out.chunks_exact_mut(ACROSS * ACROSS)).enumerate() {
        let shrunk = place.map(|place| place / (1 << level) as f32);
        let columns = Axis::new(shrunk[0], map.width);
        let rows = Axis::new(shrunk[1], map.height);
        let (Some(columns), Some(rows)) = (columns, rows) else {
            out.fill(f32::NAN);
            continue;
        };
        let mut products = [0.0; PIXELS * PIXELS];
        for y in 0..rows.count {
            for x in 0..columns.count {
                let pixel = map.at(0, rows.first + y, columns.first + x);
                products[y * PIXELS + x] = product(feature, pixel) / root;
            }
        }
        for (out, &(x, right)) in out.chunks_exact_mut(ACROSS).zip(&columns.samples) {
            for (out, &(y, below)) in out.iter_mut().zip(&rows.samples) {
                let at = |dy: usize, dx: usize| products[(y + dy) * PIXELS + x + dx];
                // Weights of nothing are of pixels that need not be there.
                *out = (1.0 - below) * ((1.0 - right) * at(0, 0) + right * at(0, 1))
                    + below * ((1.0 - right) * at(1, 0) + right * at(1, 1));
            }
        }
    }
}

/// The pixels that a window reaches along an axis, and between which of these each of its places lies.
struct Axis {
    first: usize,
    count: usize,
    /// The pixel before, counted from `first`, and the share of the one after.
    samples: [(usize, f32); ACROSS],
}

impl Axis {
    /// `None` if the middle is not finite.
    fn new(middle: f32, size: usize) -> Option<Self> {
        if !middle.is_finite() {
            return None;
        }
        let places: [f32; ACROSS] =
            std::array::from_fn(|i| within(middle + (i as f32 - RADIUS as f32), size));
        let pixels = places.map(|place| place as usize);
        let (first, last) = (pixels[0], pixels[ACROSS - 1]);
        let samples = std::array::from_fn(|i| (pixels[i] - first, places[i] - pixels[i] as f32));
        Some(Self { first, count: (last + 2).min(size) - first, samples })
    }
}

/// A place in pixels as PyTorch's `grid_sample` sees it, which has it as a share of the side from −1 to 1 in between, and moves it inside.
pub fn within(place: f32, size: usize) -> f32 {
    let last = size.saturating_sub(1);
    let share = place * (2.0 / last.max(1) as f64) as f32 - 1.0;
    ((share + 1.0) * (last as f32 / 2.0)).clamp(0.0, last as f32)
}

/// In eight sums, as registers hold them.
fn product(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Correlations of tracks with a window of frames: `features [N, S, C]`, `places [N, S, 2]` in pixels of the maps → `[N, S, 196]`.
pub fn correlations(frames: &[&Pyramid], features: &[f32], places: &[[f32; 2]]) -> Vec<f32> {
    let channels = frames[0].map().channels;
    let mut out = vec![0.0; places.len() * CORRELATIONS];
    let each = out.par_chunks_mut(CORRELATIONS).zip(features.par_chunks(channels).zip(places));
    each.enumerate().for_each(|(i, (out, (feature, place)))| {
        look_up(frames[i % frames.len()], feature, *place, out);
    });
    out
}

/// Sides of frames of which all scales have a pixel.
pub fn check_sides(network: &'static str, [height, width]: [usize; 2]) -> Result<(), BackboneError> {
    if height.min(width) >= SIDE_MIN {
        return Ok(());
    }
    let reason =
        format!("`pos_emb` has {height} × {width} positions, expected {} or more each way", SIDE_MIN);
    Err(BackboneError::Config { network, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grid;

    fn map(height: usize, width: usize) -> Grid {
        let data = (0..height * width * 3).map(|i| ((i * 37 % 101) as f32 - 50.0) / 20.0).collect();
        Grid::new(data, [1, height, width, 3])
    }

    /// The definition: each place of a window by itself.
    fn sampled(map: &Grid, feature: &[f32], x: f32, y: f32) -> f64 {
        let (x, y) = (x.clamp(0.0, map.width as f32 - 1.0), y.clamp(0.0, map.height as f32 - 1.0));
        let mut sum = 0.0;
        for (row, wy) in [(y.floor(), 1.0 - y.fract()), (y.floor() + 1.0, y.fract())] {
            for (column, wx) in [(x.floor(), 1.0 - x.fract()), (x.floor() + 1.0, x.fract())] {
                if wy * wx > 0.0 {
                    let pixel = map.at(0, row as usize, column as usize);
                    let dot: f64 = feature.iter().zip(pixel).map(|(a, b)| f64::from(a * b)).sum();
                    sum += f64::from(wy * wx) * dot / (feature.len() as f64).sqrt();
                }
            }
        }
        sum
    }

    /// Places round by 1e-6 of a pixel on their way through shares of a side, and neighbours differ by some tens.
    const TOLERANCE: f64 = 1e-4;

    #[test]
    fn windows_are_sampled_place_by_place_and_end_at_the_border() {
        let scales = Pyramid::new(map(9, 17));
        let feature = [0.5, -1.25, 2.0];
        for place in [[8.3, 4.7], [0.0, 0.0], [-6.5, 3.0], [16.0, 8.0], [40.25, -90.0], [2.0, 5.0]] {
            let mut found = vec![0.0; CORRELATIONS];
            look_up(&scales, &feature, place, &mut found);
            for (i, found) in found.iter().enumerate() {
                let (level, dx, dy) = (i / 49, i % 49 / 7, i % 7);
                let at = |place: f32, d: usize| place / (1 << level) as f32 + d as f32 - 3.0;
                let expected = sampled(&scales.levels()[level], &feature, at(place[0], dx), at(place[1], dy));
                assert!(
                    (f64::from(*found) - expected).abs() < TOLERANCE,
                    "{place:?} {i}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_place_that_is_no_number_gives_none() {
        let scales = Pyramid::new(map(8, 8));
        for place in [[f32::NAN, 1.0], [1.0, f32::INFINITY]] {
            let mut found = vec![0.0; CORRELATIONS];
            look_up(&scales, &[1.0; 3], place, &mut found);
            assert!(found.iter().all(|value| value.is_nan()));
        }
    }
}
