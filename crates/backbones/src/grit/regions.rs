//! Boxes on a picture: what they share, which of them stay, and what a map holds inside them.

use rayon::prelude::*;

use crate::Grid;

/// Left, top, right, bottom in pixels.
pub(super) type Corners = [f32; 4];

pub(super) fn area([left, top, right, bottom]: Corners) -> f32 {
    (right - left) * (bottom - top)
}

/// The part inside a picture of `[height, width]`.
pub(super) fn clipped([left, top, right, bottom]: Corners, [height, width]: [usize; 2]) -> Corners {
    let (height, width) = (height as f32, width as f32);
    [left.clamp(0.0, width), top.clamp(0.0, height), right.clamp(0.0, width), bottom.clamp(0.0, height)]
}

/// Share of the union that two boxes have in common; NaN where both are empty.
fn overlap(a: Corners, b: Corners) -> f32 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let shared = width * height;
    shared / (area(a) + area(b) - shared)
}

/// Indices of the boxes, best score first, that overlap no better one that stays by more than `overlap_max`.
pub(super) fn suppressed(boxes: &[Corners], scores: &[f32], overlap_max: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        let mut better = kept.iter().map(|k| f64::from(overlap(boxes[*k], boxes[i])));
        if !better.any(|overlap| overlap > overlap_max) {
            kept.push(i);
        }
    }
    kept
}

/// Level of a box among maps of strides 8, 16 and 32 (Lin et al. 2017, equation 1): a box of 224 pixels belongs to stride 16.
fn level(corners: Corners) -> usize {
    let level = (4.0 + (area(corners).sqrt() / 224.0 + 1e-8).log2()).floor();
    level.clamp(3.0, 5.0) as usize - 3
}

/// What each box holds in the map of its level, `[R, side, side, C]`, by aligned bilinear samples (He et al. 2017), as many a bin as it
/// is pixels of the map high and wide. `levels` are of strides 8, 16, 32, one map each.
pub(super) fn pooled(levels: &[Grid], boxes: &[Corners], side: usize) -> Vec<f32> {
    let channels = levels[0].channels;
    let mut out = vec![0.0; boxes.len() * side * side * channels];
    out.par_chunks_mut((side * side * channels).max(1)).zip(boxes).for_each(|(out, corners)| {
        let level = level(*corners);
        let (map, scale) = (&levels[level], 1.0 / (8 << level) as f32);
        let rows = bins(corners[1] * scale, corners[3] * scale, side, map.height);
        let columns = bins(corners[0] * scale, corners[2] * scale, side, map.width);
        let bins = rows.iter().flat_map(|rows| columns.iter().map(move |columns| (rows, columns)));
        for (out, (rows, columns)) in out.chunks_exact_mut(channels).zip(bins) {
            for (y, down) in rows {
                for (x, across) in columns {
                    let weight = down * across;
                    out.iter_mut().zip(map.at(0, *y, *x)).for_each(|(sum, value)| *sum += weight * value);
                }
            }
        }
    });
    out
}

/// Along one axis, the places of the map that each bin of a box reads and how much of each: the mean of its samples. Samples beyond
/// the map by more than a pixel count as zeros.
fn bins(from: f32, to: f32, side: usize, size: usize) -> Vec<Vec<(usize, f32)>> {
    let (from, length) = (from - 0.5, to - from);
    let bin = length / side as f32;
    let samples = bin.ceil().max(0.0);
    let share = 1.0 / samples.max(1.0);
    (0..side)
        .map(|i| {
            let mut taps: Vec<(usize, f32)> = Vec::new();
            let mut add = |place: usize, weight: f32| match taps.iter_mut().find(|tap| tap.0 == place) {
                Some(tap) => tap.1 += weight,
                None => taps.push((place, weight)),
            };
            for s in 0..samples as usize {
                let at = from + i as f32 * bin + (s as f32 + 0.5) * bin / samples;
                if at < -1.0 || at > size as f32 {
                    continue;
                }
                let at = at.max(0.0);
                let low = at as usize;
                if low + 1 >= size {
                    add(size - 1, share);
                } else {
                    let high = at - low as f32;
                    add(low, (1.0 - high) * share);
                    add(low + 1, high * share);
                }
            }
            taps
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bilinear weights of a few places, in f32.
    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn the_better_of_two_that_overlap_stays() {
        let boxes =
            [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [5.0, 0.0, 15.0, 10.0], [3.0, 3.0, 3.0, 9.0]];
        let scores = [0.5, 0.9, 0.7, 0.1];
        assert_eq!(suppressed(&boxes, &scores, 0.89), [1, 2, 3]);
        assert_eq!(suppressed(&boxes, &scores, 0.95), [1, 2, 0, 3]);
        assert_eq!(suppressed(&boxes, &scores, 0.3), [1, 3]);
    }

    #[test]
    fn a_box_is_read_from_the_level_of_its_size() {
        let square = |side: f32| [10.0, 20.0, 10.0 + side, 20.0 + side];
        assert_eq!(
            [0.0, 100.0, 113.0, 223.0, 225.0, 447.0, 449.0, 2000.0].map(|s| level(square(s))),
            [0, 0, 0, 0, 1, 1, 2, 2]
        );
    }

    #[test]
    fn a_slope_is_read_at_the_middle_of_each_bin() {
        // Two channels: the column, and the row of a map of stride 8.
        let data: Vec<f32> = (0..20 * 30).flat_map(|i| [(i % 30) as f32, (i / 30) as f32]).collect();
        let map = Grid::new(data, [1, 20, 30, 2]);
        let found = pooled(&[map.clone(), map.clone(), map], &[[40.0, 24.0, 136.0, 90.0]], 2);
        // A bin of 6 columns begins at 5 − ½, its middle is 7.5; one of 33/8 rows at 3 − ½.
        for (found, expected) in found.iter().zip([7.5, 4.5625, 13.5, 4.5625, 7.5, 8.6875, 13.5, 8.6875]) {
            assert!((found - expected).abs() < TOLERANCE, "{found} ≠ {expected}");
        }
    }

    #[test]
    fn beyond_the_map_lies_its_edge_for_a_pixel_and_then_nothing() {
        let map = Grid::new(vec![1.0; 16], [1, 4, 4, 1]);
        let maps = [map.clone(), map.clone(), map];
        assert_eq!(pooled(&maps, &[[-8.0, 0.0, 0.0, 8.0]], 1), [1.0]);
        assert_eq!(pooled(&maps, &[[-24.0, 0.0, -16.0, 8.0]], 1), [0.0]);
        assert_eq!(pooled(&maps, &[[8.0, 8.0, 8.0, 24.0]], 1), [0.0]);
        assert_eq!(pooled(&maps, &[[0.0, 0.0, 0.0, 0.0]], 2), [0.0; 4]);
    }
}
