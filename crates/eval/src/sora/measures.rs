//! What is measured of joints, tracks and colours.

use vidit_video::Frames;

use crate::foreground::{self, Foreground};

/// Mean absolute difference of two frames, in levels.
pub fn difference(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len().max(1) as f64
}

/// How much larger the step from frame `at − 1` to `at` is than the median step inside of `around` frames beside it; 1 is no seam.
/// Steps of clips that stand still count as one level's hundredth at least.
///
/// # Panics
/// If `at` is no frame but the first.
pub fn join_error(frames: &Frames, at: usize, around: usize) -> f64 {
    let count = frames.shape().frames;
    assert!(at > 0 && at < count, "a joint lies between frames");
    let step = |frame: usize| difference(frames.frame(frame - 1), frames.frame(frame));
    let near = at.saturating_sub(around).max(1)..(at + around).min(count - 1) + 1;
    let mut inside: Vec<f64> = near.filter(|frame| *frame != at).map(step).collect();
    step(at) / median(&mut inside).max(STEP_MIN)
}

/// The same for the step from the last frame of a loop to its first.
pub fn loop_error(frames: &Frames) -> f64 {
    let last = frames.shape().frames - 1;
    difference(frames.frame(last), frames.frame(0)) / median(&mut steps(frames)).max(STEP_MIN)
}

/// The largest step between frames over the median one.
///
/// # Panics
/// If there is one frame alone.
pub fn largest_step(frames: &Frames) -> f64 {
    let mut steps = steps(frames);
    assert!(!steps.is_empty(), "a step lies between frames");
    let middle = median(&mut steps); // sorted by it
    steps[steps.len() - 1] / middle.max(STEP_MIN)
}

/// Differences of neighbouring frames, in levels.
fn steps(frames: &Frames) -> Vec<f64> {
    (1..frames.shape().frames).map(|frame| difference(frames.frame(frame - 1), frames.frame(frame))).collect()
}

const STEP_MIN: f64 = 0.01;

/// Frames of a latent frame, but the first.
pub const PLACES: usize = 4;

/// Mean step into each of the four frames of a latent frame, in levels: where motion is even they are alike. Of at least five frames.
pub fn steps_by_place(frames: &Frames) -> [f64; PLACES] {
    let steps = frames.shape().frames - 1;
    std::array::from_fn(|place| {
        let at: Vec<f64> = (place..steps)
            .step_by(PLACES)
            .map(|step| difference(frames.frame(step), frames.frame(step + 1)))
            .collect();
        at.iter().sum::<f64>() / at.len() as f64
    })
}

/// The middle value; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// How far the background's colour at the centre of the last frame is from the first one's: mean over channels, in levels.
pub fn drift(frames: &Frames) -> f64 {
    let shape = frames.shape();
    let colour = |frame: usize| foreground::find(frames.frame(frame), shape).plane.at(0.0, 0.0);
    let (first, last) = (colour(0), colour(shape.frames - 1));
    first.iter().zip(last).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / 3.0
}

/// Correlation of two tracks: of where the object's centre is over time, both axes together, each less its mean. An object that stays
/// moves by noise alone: where neither moves the tracks agree, `1`; where one is never seen they do not, `0`.
pub fn track_correlation(a: &[Foreground], b: &[Foreground]) -> f64 {
    let seen: Vec<[f64; 4]> = a
        .iter()
        .zip(b)
        .filter_map(|(a, b)| {
            let ((ax, ay), (bx, by)) = (a.blob?.bounds.centre(), b.blob?.bounds.centre());
            Some([ax, ay, bx, by].map(f64::from))
        })
        .collect();
    if seen.len() * 2 < a.len() {
        return 0.0;
    }
    let mean: [f64; 4] = std::array::from_fn(|i| seen.iter().map(|p| p[i]).sum::<f64>() / seen.len() as f64);
    let moment = |i: usize, j: usize| seen.iter().map(|p| (p[i] - mean[i]) * (p[j] - mean[j])).sum::<f64>();
    let (of_a, of_b) = (moment(0, 0) + moment(1, 1), moment(2, 2) + moment(3, 3));
    let still = seen.len() as f64 * STILL.powi(2);
    match (of_a > still, of_b > still) {
        (false, false) => 1.0,
        (true, true) => (moment(0, 2) + moment(1, 3)) / (of_a * of_b).sqrt(),
        _ => 0.0,
    }
}

/// An object whose centre deviates by less, in fractions of the frame, stays where it is: limbs move boxes.
const STILL: f64 = 0.03;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreground::track;
    use vidit_data::{Colour, Motion, Pack, Scene, render};
    use vidit_video::PixelShape;

    /// Grey frames of these levels.
    fn grey(levels: &[u8]) -> Frames {
        let shape = PixelShape::new(levels.len(), 8, 8);
        Frames::from_rgb(shape, levels.iter().flat_map(|level| vec![*level; 192]).collect())
    }

    #[test]
    fn a_seam_is_measured_against_the_steps_beside_it() {
        let clip = grey(&[0, 2, 4, 6, 12, 14, 16]);
        assert_eq!(join_error(&clip, 4, 10), 3.0);
        assert_eq!(join_error(&clip, 2, 1), 1.0);
        assert_eq!(loop_error(&clip), 8.0);
        assert_eq!(loop_error(&grey(&[0, 2, 4, 2])), 1.0);
        assert_eq!(largest_step(&clip), 3.0);
        assert_eq!(drift(&grey(&[10, 90, 16])), 6.0);
        // The step into the first of four is the large one.
        assert_eq!(steps_by_place(&grey(&[0, 4, 5, 6, 8, 14, 15, 16, 18])), [5.0, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn tracks_of_the_same_motion_agree_and_of_another_do_not() {
        let pack = Pack::embedded();
        let shape = PixelShape::new(25, 128, 128);
        let of = |motion, object: usize| {
            track(&render(&pack, &Scene::new_for(&pack, object, motion, Colour::White, 3), shape).frames)
        };
        let left = of(Motion::Left, 3);
        assert!(track_correlation(&left, &of(Motion::Left, 40)) > 0.95);
        assert!(track_correlation(&left, &of(Motion::Right, 40)) < -0.9);
        assert!(track_correlation(&left, &of(Motion::Up, 40)).abs() < 0.3);
        assert_eq!(track_correlation(&left, &of(Motion::Still, 40)), 0.0);
        assert_eq!(track_correlation(&of(Motion::Still, 3), &of(Motion::Still, 40)), 1.0);
    }
}
