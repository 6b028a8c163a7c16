//! Does a caption of the frames name the scene? Tag2Text's caption of sixteen frames.

use vidit_backbones::Grid;
use vidit_backbones::tag2text::Tag2Text;

use super::grid;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::samplers::middle;
use crate::{Auxiliary, Dimension, Mode, transforms};

/// Frames of a video that are looked at.
const FRAMES: usize = 16;
/// How often a caption counts in the reference: its caption `i` is of frame `i / 3`, quirk Q6.
const REPEATS: usize = 3;

pub(crate) struct Scene {
    network: Tag2Text,
    words: String,
    mode: Mode,
    places: Vec<usize>,
    frames: Vec<Grid>,
}

impl Scene {
    pub fn new(network: Tag2Text) -> Self {
        Self { network, words: String::new(), mode: Mode::Compat, places: Vec::new(), frames: Vec::new() }
    }
}

/// Whether a caption names all words: anywhere in it, as the reference looks, or as whole words (quirk Q7).
fn names(caption: &str, words: &str, mode: Mode) -> bool {
    let has = |word: &str| match mode {
        Mode::Compat => caption.contains(word),
        Mode::Fixed => caption.split(|c: char| !c.is_alphanumeric()).any(|found| found == word),
    };
    words.split(' ').all(has)
}

impl Measure for Scene {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::Scene]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        self.frames.clear();
        super::at_least(clip.frames, 1)?;
        let Some(Auxiliary::Scene(words)) = (clip.auxiliary)(Dimension::Scene) else {
            return Err(super::untold(Dimension::Scene));
        };
        self.words.clone_from(words);
        self.mode = clip.mode;
        self.places = middle(FRAMES, clip.frames);
        if self.mode == Mode::Compat {
            self.places.truncate(FRAMES.div_ceil(REPEATS));
        }
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        for _ in self.places.iter().filter(|place| **place == index) {
            self.frames.push(grid(transforms::tag2text(frame)));
        }
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let captions: Vec<String> =
            self.frames.drain(..).map(|frame| self.network.caption(&frame).text).collect();
        let weight = |place: usize| match self.mode {
            Mode::Compat => REPEATS.min(FRAMES - REPEATS * place),
            Mode::Fixed => 1,
        };
        let named = captions.iter().enumerate().filter(|(_, caption)| names(caption, &self.words, self.mode));
        let success: usize = named.map(|(place, _)| weight(place)).sum();
        let measured = Measured::of_frames(success as f64 / FRAMES as f64, success as f64, FRAMES)
            .with("success_frame_count", success)
            .with("frame_count", FRAMES);
        vec![(Dimension::Scene, Ok(measured))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_looked_for_anywhere_or_whole() {
        assert!(names("a barn on a hill", "bar", Mode::Compat));
        assert!(!names("a barn on a hill", "bar", Mode::Fixed));
        assert!(names("the golf course, at dawn", "golf course", Mode::Fixed));
        assert!(!names("a golf ball", "golf course", Mode::Compat));
    }
}
