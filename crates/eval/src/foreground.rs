//! Where is the object? Found from the pixels of a frame alone.
//!
//! The background of a clip of `mini` is one colour or a linear run between two, so each channel is an affine plane over
//! the frame. It is fitted to the border, where objects are rare, then to the whole frame; what lies far from it is object.

use vidit_motion::UnitBox;
use vidit_video::{Frames, PixelShape};

/// A background: each channel an affine function of the place, 8-bit sRGB levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    /// Per channel: value at the centre of the frame, and how much it rises to the right and to the bottom edge.
    channels: [[f32; 3]; 3],
}

/// What stands out of the background.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blob {
    /// Its extent.
    pub bounds: UnitBox,
    /// Centre of its pixels, `(x, y)` in fractions of the frame.
    pub centroid: (f32, f32),
    /// Area of its pixels, a fraction of the frame.
    pub area: f32,
}

/// A frame taken apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foreground {
    /// The background.
    pub plane: Plane,
    /// The object; `None` when nothing stands out.
    pub blob: Option<Blob>,
}

/// Every frame of a clip.
pub fn track(frames: &Frames) -> Vec<Foreground> {
    (0..frames.shape().frames).map(|index| find(frames.frame(index), frames.shape())).collect()
}

/// One frame, `rgb [Hp, Wp, 3]`.
pub fn find(rgb: &[u8], shape: PixelShape) -> Foreground {
    let (plane, parts) = take_apart(rgb, shape);
    Foreground { plane, blob: largest(&parts, shape) }
}

/// One frame of several objects, each looked for around a place of its own: what stands out is of the place whose centre is
/// nearest. Objects that touch are one, of the nearer place.
pub fn find_each(rgb: &[u8], shape: PixelShape, places: &[UnitBox]) -> Vec<Foreground> {
    let (plane, parts) = take_apart(rgb, shape);
    let (width, height) = (shape.width as f32, shape.height as f32);
    let mut shares: Vec<Vec<Part>> = places.iter().map(|_| Vec::new()).collect();
    for part in parts {
        let [left, top, right, bottom] = part.bounds.map(|bound| bound as f32);
        let distance = |place: &UnitBox| {
            let (x, y) = place.centre();
            ((left + right) / 2.0 - x * width).hypot((top + bottom) / 2.0 - y * height)
        };
        let nearer = |a: &usize, b: &usize| distance(&places[*a]).total_cmp(&distance(&places[*b]));
        if let Some(nearest) = (0..places.len()).min_by(nearer) {
            shares[nearest].push(part);
        }
    }
    shares.iter().map(|parts| Foreground { plane, blob: largest(parts, shape) }).collect()
}

/// All objects of one frame, the heaviest first: those that are nearer than a tenth of the frame to one another are one.
pub fn find_all(rgb: &[u8], shape: PixelShape) -> Vec<Blob> {
    let (_, mut parts) = take_apart(rgb, shape);
    let (mut blobs, mut heaviest) = (Vec::new(), 0.0f32);
    while let Some(whole) = take_heaviest(&mut parts, shape) {
        heaviest = heaviest.max(whole.weight);
        if whole.weight < heaviest * OBJECT_WEIGHT_MIN {
            break;
        }
        blobs.extend(blob_of(&whole, shape));
    }
    blobs
}

/// The background, and the parts of what stands out from it.
fn take_apart(rgb: &[u8], shape: PixelShape) -> (Plane, Vec<Part>) {
    let (plane, noise) = fit(rgb, shape);
    let threshold = (THRESHOLD_BASE + THRESHOLD_PER_NOISE * noise).min(THRESHOLD_MAX);
    let distances: Vec<f32> = pixels(rgb, shape).map(|(u, v, pixel)| plane.distance(u, v, pixel)).collect();
    (plane, components(&distances, threshold, shape))
}

/// Distance that is object in a frame without noise. Emoji on a background of their own colour stand out by little.
const THRESHOLD_BASE: f32 = 9.0;
/// Further distance for each level of noise.
const THRESHOLD_PER_NOISE: f32 = 3.0;
/// So that a frame that is no plane at all still has an object.
const THRESHOLD_MAX: f32 = 32.0;
/// Parts lighter than this fraction of the main one are specks.
const PART_WEIGHT_MIN: f32 = 0.01;
/// Parts further away than this fraction of the frame are not the object's.
const PART_GAP_MAX: f32 = 0.10;
/// Objects lighter than this fraction of the heaviest are not told from what surrounds it.
const OBJECT_WEIGHT_MIN: f32 = 0.05;
/// An object covers at least this fraction of the frame: far less than any that is composed.
const AREA_MIN: f32 = 0.0015;

impl Plane {
    /// The colour at `u, v`, each -1..1 from edge to edge.
    pub fn at(&self, u: f32, v: f32) -> [f32; 3] {
        self.channels.map(|[centre, right, down]| centre + right * u + down * v)
    }

    /// Root mean square over the channels of a pixel's difference, in levels.
    pub fn distance(&self, u: f32, v: f32, pixel: [f32; 3]) -> f32 {
        let plane = self.at(u, v);
        let squares: f32 = (0..3).map(|c| (pixel[c] - plane[c]).powi(2)).sum();
        (squares / 3.0).sqrt()
    }
}

/// Pixels with their places, row by row.
fn pixels(rgb: &[u8], shape: PixelShape) -> impl Iterator<Item = (f32, f32, [f32; 3])> + '_ {
    let place = |index: usize, length: usize| (2 * index + 1) as f32 / length as f32 - 1.0;
    rgb.chunks_exact(3).enumerate().map(move |(index, pixel)| {
        let (y, x) = (index / shape.width, index % shape.width);
        (place(x, shape.width), place(y, shape.height), [pixel[0], pixel[1], pixel[2]].map(f32::from))
    })
}

/// The background, and the median distance of the border's pixels from it.
fn fit(rgb: &[u8], shape: PixelShape) -> (Plane, f32) {
    let margin = (shape.height.min(shape.width) / 32).max(1);
    let (mut border, mut sparse) = (Vec::new(), Vec::new());
    for (index, sample) in pixels(rgb, shape).enumerate() {
        let (y, x) = (index / shape.width, index % shape.width);
        if x.min(y) < margin || x + margin >= shape.width || y + margin >= shape.height {
            border.push(sample);
        }
        if x % 3 == 0 && y % 3 == 0 {
            sparse.push(sample);
        }
    }
    let mut plane = least_squares(border.iter().map(|sample| (*sample, 1.0)));
    let mut noise = median_distance(&plane, &border);
    for _ in 0..BORDER_ROUNDS {
        plane = refit(&plane, &border, noise);
        noise = median_distance(&plane, &border);
    }
    for _ in 0..FRAME_ROUNDS {
        plane = refit(&plane, &sparse, noise);
    }
    (plane, median_distance(&plane, &border))
}

const BORDER_ROUNDS: usize = 6;
const FRAME_ROUNDS: usize = 2;

type Sample = (f32, f32, [f32; 3]);

/// A step of iteratively reweighted least squares with the weights of Geman and McClure (1987): outliers lose all say.
fn refit(plane: &Plane, samples: &[Sample], noise: f32) -> Plane {
    let scale = (2.5 * noise).max(4.0);
    least_squares(samples.iter().map(|sample| {
        let ratio = plane.distance(sample.0, sample.1, sample.2) / scale;
        (*sample, (1.0 + ratio * ratio).powi(-2))
    }))
}

fn median_distance(plane: &Plane, samples: &[Sample]) -> f32 {
    let mut distances: Vec<f32> = samples.iter().map(|&(u, v, pixel)| plane.distance(u, v, pixel)).collect();
    let middle = distances.len() / 2;
    *distances.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The plane of least weighted squares.
fn least_squares(samples: impl Iterator<Item = (Sample, f32)>) -> Plane {
    // Upper triangle of Σ w·bbᵀ with b = (1, u, v), and Σ w·b·value a channel.
    let (mut moments, mut values) = ([[0.0f64; 3]; 3], [[0.0f64; 3]; 3]);
    for ((u, v, pixel), weight) in samples {
        let basis = [1.0, f64::from(u), f64::from(v)];
        for i in 0..3 {
            let weighted = basis[i] * f64::from(weight);
            for j in i..3 {
                moments[i][j] += weighted * basis[j];
            }
            for c in 0..3 {
                values[c][i] += weighted * f64::from(pixel[c]);
            }
        }
    }
    let [[a, b, c], [_, d, e], [_, _, f]] = moments;
    // Inverse of the symmetric 3 × 3 matrix by cofactors.
    let cofactors =
        [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b];
    let determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2];
    if determinant.abs() < f64::EPSILON * a.max(1.0).powi(3) {
        // A frame of one row or column has no slope across it: a constant says all.
        return Plane {
            channels: values.map(|value| [(value[0] / a.max(f64::MIN_POSITIVE)) as f32, 0.0, 0.0]),
        };
    }
    let [p, q, r, s, t, w] = cofactors.map(|cofactor| cofactor / determinant);
    let rows = [[p, q, r], [q, s, t], [r, t, w]];
    Plane {
        channels: values.map(|value| rows.map(|row| (0..3).map(|i| row[i] * value[i]).sum::<f64>() as f32)),
    }
}

/// A connected part of the mask; bounds in pixels, right and bottom exclusive.
#[derive(Clone, Copy)]
struct Part {
    bounds: [usize; 4],
    pixels: usize,
    sum: (usize, usize),
    /// Sum of distances: a faint part counts for less.
    weight: f32,
}

impl Part {
    fn join(&mut self, other: &Self) {
        let ([l, t, r, b], [ol, ot, or, ob]) = (self.bounds, other.bounds);
        self.bounds = [l.min(ol), t.min(ot), r.max(or), b.max(ob)];
        self.pixels += other.pixels;
        self.sum = (self.sum.0 + other.sum.0, self.sum.1 + other.sum.1);
        self.weight += other.weight;
    }

    /// Pixels between two parts' boxes along the axis on which they are further apart.
    fn gap(&self, other: &Self) -> usize {
        let ([l, t, r, b], [ol, ot, or, ob]) = (self.bounds, other.bounds);
        let x = ol.saturating_sub(r).max(l.saturating_sub(or));
        let y = ot.saturating_sub(b).max(t.saturating_sub(ob));
        x.max(y)
    }
}

/// Parts of the mask, diagonal neighbours included.
fn components(distances: &[f32], threshold: f32, shape: PixelShape) -> Vec<Part> {
    let (width, height) = (shape.width, shape.height);
    let mut free: Vec<bool> = distances.iter().map(|distance| *distance > threshold).collect();
    let (mut parts, mut stack) = (Vec::new(), Vec::new());
    for start in 0..free.len() {
        if !std::mem::take(&mut free[start]) {
            continue;
        }
        stack.push(start);
        let mut part = Part { bounds: [width, height, 0, 0], pixels: 0, sum: (0, 0), weight: 0.0 };
        while let Some(index) = stack.pop() {
            let (x, y) = (index % width, index / width);
            part.join(&Part {
                bounds: [x, y, x + 1, y + 1],
                pixels: 1,
                sum: (x, y),
                weight: distances[index],
            });
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    if std::mem::take(&mut free[ny * width + nx]) {
                        stack.push(ny * width + nx);
                    }
                }
            }
        }
        parts.push(part);
    }
    parts
}

/// The heaviest part with all that belongs to it.
fn largest(parts: &[Part], shape: PixelShape) -> Option<Blob> {
    blob_of(&take_heaviest(&mut parts.to_vec(), shape)?, shape)
}

/// The same, which is then no longer among the parts. Specks stay there.
fn take_heaviest(parts: &mut Vec<Part>, shape: PixelShape) -> Option<Part> {
    let by_weight = |a: &usize, b: &usize| parts[*a].weight.total_cmp(&parts[*b].weight);
    let main = (0..parts.len()).max_by(by_weight)?;
    let mut whole = parts.swap_remove(main);
    let weight_min = whole.weight * PART_WEIGHT_MIN;
    let gap_max = (shape.height.min(shape.width) as f32 * PART_GAP_MAX) as usize;
    loop {
        let before = parts.len();
        parts.retain(|part| {
            let near = part.weight >= weight_min && part.gap(&whole) <= gap_max;
            if near {
                whole.join(part);
            }
            !near
        });
        if parts.len() == before {
            return Some(whole);
        }
    }
}

/// `None` if it is too small for an object.
fn blob_of(whole: &Part, shape: PixelShape) -> Option<Blob> {
    let (width, height) = (shape.width as f32, shape.height as f32);
    let [left, top, right, bottom] = whole.bounds.map(|bound| bound as f32);
    let count = whole.pixels as f32;
    let blob = Blob {
        bounds: UnitBox { x1: left / width, y1: top / height, x2: right / width, y2: bottom / height },
        centroid: ((whole.sum.0 as f32 / count + 0.5) / width, (whole.sum.1 as f32 / count + 0.5) / height),
        area: count / (width * height),
    };
    (blob.area >= AREA_MIN).then_some(blob)
}

#[cfg(test)]
mod tests {
    use vidit_data::{Pack, Scene, Split, render};

    use super::*;
    use crate::fixtures::degrade;

    const CLIP: PixelShape = PixelShape { frames: 25, height: 128, width: 128 };

    /// Mean overlap of found and true boxes over held-out clips.
    fn overlap(change: fn(&mut Frames)) -> f32 {
        let pack = Pack::embedded();
        let (mut sum, mut count) = (0.0, 0);
        for index in 0..40 {
            let mut clip = render(&pack, &Scene::sample(&pack, 71, index, Split::HeldOut), CLIP);
            change(&mut clip.frames);
            for (found, truth) in track(&clip.frames).iter().zip(&clip.tracks[0].boxes).step_by(6) {
                let truth = truth.expect("composed objects are visible");
                sum += found.blob.map_or(0.0, |blob| blob.bounds.iou(&truth));
                count += 1;
            }
        }
        sum / count as f32
    }

    #[test]
    fn boxes_agree_with_the_composed_ones() {
        let found = overlap(|_| ());
        assert!(found > 0.92, "{found}");
    }

    #[test]
    fn blur_and_noise_do_not_hide_the_object() {
        let found = overlap(degrade);
        assert!(found > 0.85, "{found}");
    }

    #[test]
    fn a_plane_is_found_behind_an_object_at_the_edge_and_a_bare_plane_holds_nothing() {
        let shape = PixelShape::new(1, 64, 96);
        let mut bytes = Vec::new();
        for (u, v, _) in pixels(&vec![0; shape.pixels() * 3], shape) {
            bytes
                .extend([120.0 + 50.0 * u, 90.0 - 40.0 * v, 200.0 + 20.0 * (u + v)].map(|level| level as u8));
        }
        assert_eq!(find(&bytes, shape).blob, None);
        for y in 10..40 {
            bytes[(y * 96) * 3..(y * 96 + 40) * 3].fill(0);
        }
        let found = find(&bytes, shape);
        let expected = [[120.0, 50.0, 0.0], [90.0, 0.0, -40.0], [200.0, 20.0, 20.0]];
        for (found, expected) in found.plane.channels.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1.5, "{found} for {expected}");
        }
        let bounds = found.blob.expect("a black box").bounds;
        let expected = UnitBox { x1: 0.0, y1: 10.0 / 64.0, x2: 40.0 / 96.0, y2: 40.0 / 64.0 };
        assert!(bounds.iou(&expected) > 0.99, "{bounds:?}");
    }

    #[test]
    fn two_objects_are_found_each_at_its_place() {
        let shape = PixelShape::new(1, 64, 96);
        let mut bytes = vec![200; shape.pixels() * 3];
        let mut black = |x: std::ops::Range<usize>, y: std::ops::Range<usize>| {
            for row in y {
                bytes[(row * 96 + x.start) * 3..(row * 96 + x.end) * 3].fill(0);
            }
        };
        black(5..35, 10..40);
        black(60..80, 30..60);
        let at = |x: [f32; 2], y: [f32; 2]| UnitBox {
            x1: x[0] / 96.0,
            y1: y[0] / 64.0,
            x2: x[1] / 96.0,
            y2: y[1] / 64.0,
        };
        let truth = [at([60.0, 80.0], [30.0, 60.0]), at([5.0, 35.0], [10.0, 40.0])];
        // Places need not be exact.
        let places = [at([50.0, 90.0], [20.0, 50.0]), at([10.0, 40.0], [0.0, 30.0])];
        let found = find_each(&bytes, shape, &places).into_iter();
        let found: Vec<UnitBox> = found.map(|found| found.blob.expect("a black box").bounds).collect();
        assert_eq!(found, truth);
        let none = find_each(&bytes, shape, &[places[0], truth[0], truth[1]]);
        assert_eq!(none[0].blob, None);
    }

    #[test]
    fn frames_of_any_shape_and_content_are_taken() {
        for (height, width) in [(1, 1), (1, 9), (9, 1), (16, 16)] {
            let shape = PixelShape::new(1, height, width);
            let mut random = vidit_data::Random::new(4, 0);
            let bytes: Vec<u8> = (0..shape.pixels() * 3).map(|_| random.bits() as u8).collect();
            let found = find(&bytes, shape);
            assert!(found.plane.at(0.0, 0.0).iter().all(|level| level.is_finite()));
        }
    }
}
