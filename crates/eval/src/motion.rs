//! What does the object do? Rules over its track.

use vidit_data::Motion;

use crate::foreground::{Blob, Foreground};

/// What the rules look at. Lengths are fractions of the frame, times fractions of the clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    /// From the first to the last fifth of the clip, `(x, y)`; a steady crossing shows 0.8 of its way.
    pub way: (f32, f32),
    /// Radius of the turn around one circle, less what goes equally both ways round (a straight line, a swing).
    pub turn: f32,
    /// Height of the two or three hops that fit the track best; negative when it hangs instead.
    pub hop: f32,
    /// Natural logarithm of the ratio of sizes, last fifth to first fifth.
    pub growth: f32,
}

/// Crossings run over at least 0.32 of the frame; half of that parts them from objects that sway in place.
const WAY_MIN: f32 = 0.17;
/// Circles have a radius of at least 0.16.
const TURN_MIN: f32 = 0.08;
/// Bounces are at least 0.25 high.
const HOP_MIN: f32 = 0.15;
/// Zooms change the size 1.76 times or more, 0.8 of the logarithm is seen.
const GROWTH_MIN: f32 = 0.27;
/// The object must be seen in this share of the frames.
const SEEN_MIN: f32 = 0.6;

/// The motion of a track; `None` when the object is not seen in enough frames to say.
pub fn motion(track: &[Foreground]) -> Option<Motion> {
    features(track).map(|features| classify(&features))
}

/// The rules, the first that holds.
pub fn classify(features: &Features) -> Motion {
    let Features { way: (dx, dy), turn, hop, growth } = *features;
    if turn > TURN_MIN && dx.hypot(dy) < 2.0 * turn {
        return Motion::Circle;
    }
    // Before the crossings: a bounce may drift to a side.
    if hop > HOP_MIN {
        return Motion::Bounce;
    }
    match (dx.abs() > WAY_MIN, dy.abs() > WAY_MIN) {
        (true, true) => Motion::Diagonal,
        (true, false) if dx < 0.0 => Motion::Left,
        (true, false) => Motion::Right,
        (false, true) if dy < 0.0 => Motion::Up,
        (false, true) => Motion::Down,
        (false, false) if growth > GROWTH_MIN => Motion::ZoomIn,
        (false, false) if growth < -GROWTH_MIN => Motion::ZoomOut,
        (false, false) => Motion::Still,
    }
}

/// One sighting of the object.
struct Point {
    time: f32,
    x: f32,
    y: f32,
    size: f32,
}

/// The features of a track; `None` when the object is not seen in enough frames to say.
pub fn features(track: &[Foreground]) -> Option<Features> {
    let span = track.len().saturating_sub(1).max(1) as f32;
    let points: Vec<Point> = track
        .iter()
        .enumerate()
        .filter_map(|(index, frame)| frame.blob.map(|blob| point(index as f32 / span, &blob)))
        .collect();
    if points.len() < 5 || (points.len() as f32) < SEEN_MIN * track.len() as f32 {
        return None;
    }
    let fifth = points.len() / 5;
    let (first, last) = (&points[..fifth], &points[points.len() - fifth..]);
    let change = |value: fn(&Point) -> f32| mean(last.iter().map(value)) - mean(first.iter().map(value));
    Some(Features {
        way: (change(|p| p.x), change(|p| p.y)),
        turn: turn(&points),
        hop: [2.0, 3.0].map(|count| hop_height(&points, count)).into_iter().fold(f32::MIN, f32::max),
        growth: change(|p| p.size),
    })
}

fn point(time: f32, blob: &Blob) -> Point {
    let bounds = &blob.bounds;
    let (x, y) = bounds.centre();
    // Box and mass err on different sprites: limbs that swing move the box, blinking parts move the mass.
    let size = 0.5 * ((bounds.x2 - bounds.x1) * (bounds.y2 - bounds.y1)).ln();
    Point { time, x: (x + blob.centroid.0) / 2.0, y: (y + blob.centroid.1) / 2.0, size }
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len() as f32;
    values.sum::<f32>() / count
}

/// The first harmonic of the path `x + iy`, clockwise and counter-clockwise: a circle has one of them, a line both.
fn turn(points: &[Point]) -> f32 {
    // The last frame of a whole turn repeats the first.
    let points = &points[..points.len() - 1];
    let (cx, cy) = (mean(points.iter().map(|p| p.x)), mean(points.iter().map(|p| p.y)));
    let harmonic = |direction: f32| {
        let (mut re, mut im) = (0.0, 0.0);
        for p in points {
            let (sin, cos) = (direction * std::f32::consts::TAU * p.time).sin_cos();
            // (x + iy)·exp(-i·angle)
            re += (p.x - cx) * cos + (p.y - cy) * sin;
            im += (p.y - cy) * cos - (p.x - cx) * sin;
        }
        re.hypot(im) / points.len() as f32
    };
    (harmonic(1.0) - harmonic(-1.0)).abs()
}

/// Height of `count` parabolic hops in `y`, fitted by least squares beside a straight line.
fn hop_height(points: &[Point], count: f32) -> f32 {
    let arc = |time: f32| {
        let within = (time * count).fract();
        4.0 * within * (1.0 - within)
    };
    let time = mean(points.iter().map(|p| p.time));
    let variance: f32 = points.iter().map(|p| (p.time - time).powi(2)).sum();
    // What is left of a series when its straight line is taken away.
    let detrend = |value: &dyn Fn(&Point) -> f32| -> Vec<f32> {
        let centre = mean(points.iter().map(value));
        let slope = points.iter().map(|p| (p.time - time) * value(p)).sum::<f32>() / variance;
        points.iter().map(|p| value(p) - centre - slope * (p.time - time)).collect()
    };
    let (arcs, heights) = (detrend(&|p| arc(p.time)), detrend(&|p| -p.y));
    let product: f32 = arcs.iter().zip(&heights).map(|(a, h)| a * h).sum();
    product / arcs.iter().map(|a| a * a).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use vidit_data::{Pack, Scene, Split, render};
    use vidit_video::{Frames, PixelShape};

    use super::*;
    use crate::fixtures::degrade;
    use crate::foreground::track;

    fn accuracy(change: fn(&mut Frames)) -> f32 {
        let pack = Pack::embedded();
        let clips = 200;
        let right = (0..clips).filter(|index| {
            let scene = Scene::sample(&pack, 72, *index, Split::HeldOut);
            let mut clip = render(&pack, &scene, PixelShape::new(25, 128, 128));
            change(&mut clip.frames);
            motion(&track(&clip.frames)) == Some(scene.actors[0].motion)
        });
        right.count() as f32 / clips as f32
    }

    #[test]
    fn held_out_clips_are_told_apart() {
        let found = accuracy(|_| ());
        assert!(found >= 0.97, "{found}");
    }

    #[test]
    fn blurred_and_noisy_ones_too() {
        let found = accuracy(degrade);
        assert!(found >= 0.95, "{found}");
    }

    #[test]
    fn a_track_that_is_mostly_empty_says_nothing() {
        let frames = Frames::from_rgb(PixelShape::new(25, 32, 32), vec![99; 25 * 32 * 32 * 3]);
        assert_eq!(motion(&track(&frames)), None);
    }
}
