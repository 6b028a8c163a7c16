//! What GRiT finds in sixteen frames of a video, for the four dimensions that ask about it; each frame is looked at once.

use vidit_backbones::grit::{Asked, Detection, Grit};

use super::middles::Middles;
use super::{color, multiple_objects, object_class, spatial_relationship};
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::transforms::{Kernel, Window, resize_antialiased, resize_linear};
use crate::{Auxiliary, Dimension, Mode};

/// Frames of a video that are looked at.
const FRAMES: usize = 16;

/// What was found in a frame.
#[derive(Clone)]
struct Found {
    /// As `color` sees it, with captions.
    captioned: Vec<Detection>,
    /// As the others see it.
    named: Vec<Detection>,
}

pub(crate) struct Detections {
    network: Grit,
    mode: Mode,
    prompt: String,
    wanted: Vec<(Dimension, Auxiliary)>,
    frames: Middles<Found>,
}

/// Above this short side, frames are made smaller.
const SIDE_MAX: usize = 768;

/// What they become: the short side 720, as the reference computes it.
fn fitted(height: usize, width: usize) -> [usize; 2] {
    let scale = 720.0 / height.min(width) as f64;
    [height, width].map(|side| (scale * side as f64) as usize)
}

/// What is in a frame, for `color` and for the others. Frames that have to be made smaller are made so in two ways.
fn look(network: &Grit, frame: &RgbFrame, color: bool, others: bool) -> Result<Found, Refusal> {
    let RgbFrame { height, width, ref rgb } = *frame;
    let (names, with_captions) =
        (Asked { names: true, captions: false }, Asked { names: true, captions: true });
    if height.min(width) <= SIDE_MAX {
        let found = detect(network, rgb, [height, width], if color { with_captions } else { names })?;
        return Ok(Found { captioned: found.clone(), named: found });
    }
    let size = fitted(height, width);
    let (rows_and_columns, window) = (size.into(), Window::whole(size.into()));
    let captioned = match color {
        true => detect(network, &resize_linear(frame, rows_and_columns, window), size, with_captions)?,
        false => Vec::new(),
    };
    let named = match others {
        true => {
            let resized = resize_antialiased(frame, rows_and_columns, window, Kernel::Bilinear);
            detect(network, &resized, size, names)?
        }
        false => Vec::new(),
    };
    Ok(Found { captioned, named })
}

/// What the network finds on a picture `[H, W, 3]`, if its numbers are any: of NaN it would find nothing, without a word.
fn detect<T: Copy + Into<f32>>(
    network: &Grit,
    rgb: &[T],
    size: [usize; 2],
    asked: Asked,
) -> Result<Vec<Detection>, Refusal> {
    let mut finite = true;
    let found = network.trace(rgb, size, asked, &mut |activation, values| {
        if activation.starts_with("pyramid.") {
            finite &= values.iter().all(|value| value.is_finite());
        }
    });
    let scored = |detection: &Detection| {
        let described = [&detection.name, &detection.caption];
        let mut texts = described.into_iter().flatten();
        detection.score.is_finite() && texts.all(|text| text.log_probability.is_finite())
    };
    match finite && found.iter().all(scored) {
        true => Ok(found),
        false => Err("the network gave values that are not finite".to_owned()),
    }
}

impl Detections {
    pub fn new(network: Grit) -> Self {
        let (prompt, wanted, frames) = (String::new(), Vec::new(), Middles::of(FRAMES));
        Self { network, mode: Mode::Compat, prompt, wanted, frames }
    }

    fn success(&self, shows: impl Fn(&[Detection]) -> bool) -> Measured {
        let frames = self.frames.made();
        let success = frames.iter().filter(|frame| shows(&frame.named)).count();
        Measured::of_frames(success as f64 / frames.len() as f64, success as f64, frames.len())
            .with("success_frame_count", success)
            .with("frame_count", frames.len())
    }

    fn score(&self, told: &Auxiliary) -> Measured {
        match told {
            Auxiliary::Object(object) => self.success(|frame| object_class::frame(frame, object)),
            Auxiliary::Objects(a, b) => self.success(|frame| multiple_objects::frame(frame, [a, b])),
            Auxiliary::Color(wanted) => {
                let object = color::object_of(&self.prompt, wanted, self.mode);
                let seen = self
                    .frames
                    .made()
                    .iter()
                    .map(|frame| color::frame(&frame.captioned, &object, wanted, self.mode));
                match color::Video::of(seen).rate() {
                    Some(rate) => Measured::new(rate).with("cur_success_frame_rate", rate),
                    None => Measured::of_frames(0.0, 0.0, 0),
                }
            }
            Auxiliary::Relation(a, b, relation) => {
                let scores: Vec<f64> = self
                    .frames
                    .made()
                    .iter()
                    .map(|frame| spatial_relationship::frame(&frame.named, [a, b], *relation, self.mode))
                    .collect();
                let sum: f64 = scores.iter().sum();
                Measured::of_frames(sum / scores.len() as f64, sum, scores.len())
                    .with("frame_results", scores)
            }
            other => unreachable!("no detection tells of {other:?}"),
        }
    }
}

impl Measure for Detections {
    fn dimensions(&self) -> &'static [Dimension] {
        &[
            Dimension::ObjectClass,
            Dimension::MultipleObjects,
            Dimension::Color,
            Dimension::SpatialRelationship,
        ]
    }

    fn begin(&mut self, clip: &ClipFacts, wanted: &[Dimension]) -> Result<(), Refusal> {
        super::at_least(clip.frames, 1)?;
        self.wanted.clear();
        for &dimension in wanted {
            let told = (clip.auxiliary)(dimension).ok_or_else(|| super::untold(dimension))?;
            self.wanted.push((dimension, told.clone()));
        }
        (self.mode, self.prompt) = (clip.mode, clip.prompt.to_owned());
        self.frames.begin(clip.frames);
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        let wants =
            |color| self.wanted.iter().any(|(dimension, _)| (*dimension == Dimension::Color) == color);
        let (color, others) = (wants(true), wants(false));
        self.frames.frame(index, || look(&self.network, frame, color, others))
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        self.wanted.iter().map(|(dimension, told)| (*dimension, Ok(self.score(told)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_frames_get_a_short_side_of_720_cut_off_as_python_does() {
        assert_eq!(fitted(1080, 1920), [720, 1280]);
        assert_eq!(fitted(1000, 777), [926, 720]);
    }
}
