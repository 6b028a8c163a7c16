//! What GRiT finds in sixteen frames of a video, for the four dimensions that ask about it; each frame is looked at once.

use vidit_backbones::grit::{Asked, Detection, Grit};

use super::{color, multiple_objects, object_class, spatial_relationship};
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::samplers::middle;
use crate::transforms::{Kernel, Window, resize_antialiased, resize_linear};
use crate::{Auxiliary, Dimension, Mode};

/// Frames of a video that are looked at.
const FRAMES: usize = 16;

pub(crate) struct Detections {
    network: Grit,
    mode: Mode,
    prompt: String,
    wanted: Vec<(Dimension, Auxiliary)>,
    places: Vec<usize>,
    /// What was found in each frame, as `color` sees it, with captions.
    captioned: Vec<Vec<Detection>>,
    /// The same as the others see it.
    named: Vec<Vec<Detection>>,
}

/// Above this short side, frames are made smaller.
const SIDE_MAX: usize = 768;

/// What they become: the short side 720, as the reference computes it.
fn fitted(height: usize, width: usize) -> [usize; 2] {
    let scale = 720.0 / height.min(width) as f64;
    [height, width].map(|side| (scale * side as f64) as usize)
}

impl Detections {
    pub fn new(network: Grit) -> Self {
        let (prompt, wanted, places) = (String::new(), Vec::new(), Vec::new());
        let (captioned, named) = (Vec::new(), Vec::new());
        Self { network, mode: Mode::Compat, prompt, wanted, places, captioned, named }
    }

    fn wants(&self, color: bool) -> bool {
        self.wanted.iter().any(|(dimension, _)| (*dimension == Dimension::Color) == color)
    }

    /// What is in a frame: for `color`, and for the others. Frames that have to be made smaller are made so in two ways.
    fn look(&self, frame: &RgbFrame) -> [Vec<Detection>; 2] {
        let RgbFrame { height, width, ref rgb } = *frame;
        let (color, others) = (self.wants(true), self.wants(false));
        let (names, with_captions) =
            (Asked { names: true, captions: false }, Asked { names: true, captions: true });
        if height.min(width) <= SIDE_MAX {
            let asked = if color { with_captions } else { names };
            let found = self.network.detect(rgb, [height, width], asked);
            return [found.clone(), found];
        }
        let [rows, columns] = fitted(height, width);
        let (size, window) = ((rows, columns), Window::whole((rows, columns)));
        let mut found = [Vec::new(), Vec::new()];
        if color {
            found[0] =
                self.network.detect(&resize_linear(frame, size, window), [rows, columns], with_captions);
        }
        if others {
            let resized = resize_antialiased(frame, size, window, Kernel::Bilinear);
            found[1] = self.network.detect(&resized, [rows, columns], names);
        }
        found
    }

    fn success(&self, shows: impl Fn(&[Detection]) -> bool) -> Measured {
        let (success, frames) = (self.named.iter().filter(|frame| shows(frame)).count(), self.named.len());
        Measured::of_frames(success as f64 / frames as f64, success as f64, frames)
            .with("success_frame_count", success)
            .with("frame_count", frames)
    }

    fn score(&self, told: &Auxiliary) -> Measured {
        match told {
            Auxiliary::Object(object) => self.success(|frame| object_class::frame(frame, object)),
            Auxiliary::Objects(a, b) => self.success(|frame| multiple_objects::frame(frame, [a, b])),
            Auxiliary::Color(wanted) => {
                let object = color::object_of(&self.prompt, wanted);
                let seen = self.captioned.iter().map(|frame| color::frame(frame, &object, wanted, self.mode));
                match color::Video::of(seen).rate() {
                    Some(rate) => Measured::new(rate).with("cur_success_frame_rate", rate),
                    None => Measured::of_frames(0.0, 0.0, 0),
                }
            }
            Auxiliary::Relation(a, b, relation) => {
                let scores: Vec<f64> = self
                    .named
                    .iter()
                    .map(|frame| spatial_relationship::frame(frame, [a, b], *relation, self.mode))
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
        self.places = middle(FRAMES, clip.frames);
        (self.captioned, self.named) = (Vec::new(), Vec::new());
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        let times = self.places.iter().filter(|place| **place == index).count();
        if times == 0 {
            return Ok(());
        }
        let [captioned, named] = self.look(frame);
        for _ in 0..times {
            self.captioned.push(captioned.clone());
            self.named.push(named.clone());
        }
        Ok(())
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
