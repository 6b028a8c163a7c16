//! Does a caption of the frames name the scene? Tag2Text's caption of sixteen frames.

use vidit_backbones::Grid;
use vidit_backbones::tag2text::Tag2Text;

use super::batch::stacked;
use super::grid;
use super::middles::Middles;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Auxiliary, Dimension, Mode, transforms};

/// Frames of a video that are looked at.
const FRAMES: usize = 16;
/// How often a caption counts in the reference: its caption `i` is of frame `i / 3`, quirk Q6.
const REPEATS: usize = 3;

pub(crate) struct Scene {
    network: Tag2Text,
    words: String,
    mode: Mode,
    /// Frames that differ.
    frames: Vec<Grid>,
    /// Which of these stands at each place.
    places: Middles<usize>,
}

impl Scene {
    pub fn new(network: Tag2Text) -> Self {
        let (words, frames, places) = (String::new(), Vec::new(), Middles::of(FRAMES));
        Self { network, words, mode: Mode::Compat, frames, places }
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
        self.places.begin(clip.frames);
        if self.mode == Mode::Compat {
            self.places.keep(FRAMES.div_ceil(REPEATS));
        }
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.places.frame(index, || {
            self.frames.push(grid(transforms::tag2text(frame)));
            Ok(self.frames.len() - 1)
        })
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let captions = match self.network.captions(&stacked(&self.frames)) {
            Ok(captions) => captions,
            Err(error) => return vec![(Dimension::Scene, Err(error.to_string()))],
        };
        let named = self.places.made().iter().enumerate();
        let named = named.filter(|(_, frame)| names(&captions[**frame].text, &self.words, self.mode));
        let weight = |place: usize| match self.mode {
            Mode::Compat => REPEATS.min(FRAMES - REPEATS * place),
            Mode::Fixed => 1,
        };
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
