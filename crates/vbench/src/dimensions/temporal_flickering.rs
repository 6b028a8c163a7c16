//! How much does a clip flicker? The mean absolute difference of neighbouring frames; no network.

use std::path::Path;

use rayon::join;
use vidit_media::{MediaError, ReadLimits};

use crate::pixels::{FrameStream, Reader, RgbFrame};
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, Mode};

/// Why a clip has no score.
#[derive(Debug, thiserror::Error)]
pub enum FlickerError {
    /// The file cannot be read. The reference skips it in silence and takes the mean of the others.
    #[error(transparent)]
    Unreadable(#[from] MediaError),
    /// There is no pair of frames. The reference makes a mean of nothing, which is NaN and spreads to the total.
    #[error("flicker needs at least 2 frames, found `{found}`\nhint: leave the clip out, or make it again")]
    TooShort {
        /// Frames in the file.
        found: usize,
    },
}

/// The score of one clip: 1 is still, 0 is black to white in every frame.
///
/// # Errors
/// The file is unreadable; in [`Mode::Fixed`] also if it has one frame. In [`Mode::Compat`] one frame scores NaN, and it
/// is for the caller to skip what is unreadable.
pub fn score_file(path: &Path, limits: &ReadLimits, mode: Mode) -> Result<f64, FlickerError> {
    let mut stream = FrameStream::open(path, limits, Reader::OpenCv, mode)?;
    let mut flicker = Flicker::default();
    let mut frame = RgbFrame::default();
    while stream.read(&mut frame)? {
        flicker.push(&mut frame);
    }
    flicker.score(mode)
}

/// The score of a clip whose frames come one after the other.
#[derive(Debug, Default)]
pub struct Flicker {
    before: RgbFrame,
    frames: usize,
    differences: Vec<f32>,
}

impl Flicker {
    /// Takes the next frame, and leaves the memory of an older one in its place.
    ///
    /// # Panics
    /// If the frame has another size than those before: a bug of the caller.
    pub fn push(&mut self, frame: &mut RgbFrame) {
        std::mem::swap(&mut self.before, frame);
        // The order of channels in OpenCV's memory, which decides where the pairwise sum cuts.
        self.before.rgb.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        if self.frames > 0 {
            assert_eq!(frame.rgb.len(), self.before.rgb.len(), "a clip has one size");
            self.differences.push(mean_difference(&frame.rgb, &self.before.rgb));
        }
        self.frames += 1;
    }

    /// The score.
    ///
    /// # Errors
    /// There was no frame, or in [`Mode::Fixed`] only one. In [`Mode::Compat`] one frame scores NaN.
    pub fn score(&self, mode: Mode) -> Result<f64, FlickerError> {
        match (self.frames, mode) {
            (0, _) | (1, Mode::Fixed) => Err(FlickerError::TooShort { found: self.frames }),
            _ => Ok((255.0 - f64::from(mean(&self.differences))) / 255.0),
        }
    }
}

/// The score within a run.
#[derive(Default)]
pub(crate) struct TemporalFlickering {
    flicker: Flicker,
    mode: Mode,
    frame: RgbFrame,
}

impl Measure for TemporalFlickering {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::TemporalFlickering]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        (self.flicker, self.mode) = (Flicker::default(), clip.mode);
        Ok(())
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.frame.clone_from(frame);
        self.flicker.push(&mut self.frame);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        // Of one frame the reference makes a score that is no number, which no run takes for one.
        let score = match self.flicker.frames {
            found @ ..2 => Err(FlickerError::TooShort { found }),
            _ => self.flicker.score(self.mode),
        };
        let score = score.map_err(|error| error.to_string());
        vec![(Dimension::TemporalFlickering, score.map(Measured::new))]
    }
}

/// Longest run that is summed in one go, as in NumPy.
const RUN_MAX: usize = 128;

/// Where NumPy cuts a run in two: in the middle, rounded down to its eight accumulators.
fn cut(length: usize) -> usize {
    length / 2 / 8 * 8
}

/// Mean of `|a - b|` with the roundings of a float32 `numpy.mean`.
fn mean_difference(a: &[u8], b: &[u8]) -> f32 {
    (f64::from(pairwise_difference(a, b)) / a.len() as f64) as f32
}

fn pairwise_difference(a: &[u8], b: &[u8]) -> f32 {
    // Below this, a thread costs more than it brings.
    const FORK_MIN: usize = 1 << 16;
    if a.len() <= RUN_MAX {
        // At most 128 · 255: exact in any order.
        return a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>() as f32;
    }
    let ((a, a_rest), (b, b_rest)) = (a.split_at(cut(a.len())), b.split_at(cut(a.len())));
    let (sum, rest) = match a.len() >= FORK_MIN {
        true => join(|| pairwise_difference(a, b), || pairwise_difference(a_rest, b_rest)),
        false => (pairwise_difference(a, b), pairwise_difference(a_rest, b_rest)),
    };
    sum + rest
}

/// Mean with the roundings of a float32 `numpy.mean`; NaN if there are no values.
fn mean(values: &[f32]) -> f32 {
    (f64::from(pairwise(values)) / values.len() as f64) as f32
}

fn pairwise(values: &[f32]) -> f32 {
    if values.len() < 8 {
        return values.iter().fold(0.0, |sum, value| sum + value);
    }
    if values.len() > RUN_MAX {
        let (values, rest) = values.split_at(cut(values.len()));
        return pairwise(values) + pairwise(rest);
    }
    let (rounds, rest) = values.as_chunks::<8>();
    let s = rounds[1..].iter().fold(rounds[0], |sums, round| std::array::from_fn(|i| sums[i] + round[i]));
    let sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    rest.iter().fold(sum, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn score(name: &str, mode: Mode) -> f64 {
        score_file(&golden::path(name), &ReadLimits::default(), mode).unwrap()
    }

    #[test]
    fn scores_are_those_of_the_reference() {
        // Every rounding is the reference's.
        const EXACT: f64 = 1e-15;
        // Bytes that openh264 decodes otherwise than H.264 says.
        const B_FRAMES: f64 = 1e-5;
        let expected = golden::clips();
        for (name, tolerance) in [("earth.mp4", EXACT), ("earth_709.mp4", EXACT), ("earth_b.mp4", B_FRAMES)] {
            let (found, expected) = (score(name, Mode::Compat), expected[name]["flicker"].as_f64().unwrap());
            assert!((found - expected).abs() <= tolerance, "{name}: {found} instead of {expected}");
        }
        // The tag moves the score.
        let moved = score("earth_709.mp4", Mode::Fixed) - score("earth_709.mp4", Mode::Compat);
        assert!(moved.abs() > 1e-6, "{moved}");
        assert_eq!(score("earth.mp4", Mode::Fixed), score("earth.mp4", Mode::Compat));
    }

    const MEANS: [(usize, u32); 10] = [
        (1, 0x00000000),
        (7, 0x3f8e147b),
        (8, 0x3fa5c28f),
        (9, 0x3fbd70a4),
        (100, 0x4192851f),
        (128, 0x41bbf5c2),
        (129, 0x41bd70a4),
        (300, 0x422095bd),
        (1000, 0x423844d6),
        (1003, 0x4238d0c8),
    ];

    #[test]
    fn means_round_as_those_of_numpy() {
        // numpy 1.26: v = (np.arange(1003) % 251 * 0.37).astype(np.float32); np.mean(v[:n]).
        let values: Vec<f32> = (0..1003).map(|i| (f64::from(i % 251) * 0.37) as f32).collect();
        for (count, expected) in MEANS {
            assert_eq!(mean(&values[..count]).to_bits(), expected, "{count}");
        }
        assert!(mean(&[]).is_nan());
    }

    #[test]
    fn clips_without_a_pair_are_typed_errors() {
        let frame = RgbFrame { height: 2, width: 2, rgb: vec![7; 12] };
        let of = |count: usize| {
            let mut flicker = Flicker::default();
            (0..count).for_each(|_| flicker.push(&mut frame.clone()));
            flicker
        };
        for (count, mode) in [(0, Mode::Compat), (0, Mode::Fixed), (1, Mode::Fixed)] {
            let error = of(count).score(mode).unwrap_err();
            assert!(matches!(error, FlickerError::TooShort { found } if found == count), "{error}");
        }
        assert!(of(1).score(Mode::Compat).unwrap().is_nan());
        for mode in [Mode::Compat, Mode::Fixed] {
            let mut run = TemporalFlickering { flicker: of(1), mode, ..TemporalFlickering::default() };
            let [(_, Err(reason))] = &run.finish()[..] else { panic!("one frame has no score") };
            assert!(reason.contains("at least 2 frames, found `1`"), "{reason}");
        }
        assert_eq!(of(3).score(Mode::Fixed).unwrap(), 1.0);
        let missing = score_file(&golden::path("none.mp4"), &ReadLimits::default(), Mode::Compat);
        assert!(matches!(missing, Err(FlickerError::Unreadable(_))));
    }
}
