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
    stills: bool,
    /// Frames that differ.
    frames: Vec<Grid>,
    /// Which of these stands at each place.
    places: Middles<usize>,
}

impl Scene {
    pub fn new(network: Tag2Text) -> Self {
        let (words, frames, places) = (String::new(), Vec::new(), Middles::of(FRAMES));
        Self { network, words, mode: Mode::Compat, stills: false, frames, places }
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

/// How many frames the caption at a place counts for.
fn weight(place: usize, mode: Mode) -> usize {
    match mode {
        Mode::Compat => REPEATS.min(FRAMES - REPEATS * place),
        Mode::Fixed => 1,
    }
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
        (self.mode, self.stills) = (clip.mode, clip.stills);
        self.places.begin(clip.frames);
        if self.mode == Mode::Compat {
            self.places.keep(FRAMES.div_ceil(REPEATS));
        }
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        let transform = if self.stills { transforms::tag2text_pillow } else { transforms::tag2text };
        self.places.frame(index, || {
            self.frames.push(grid(transform(frame)));
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
        let success: usize = named.map(|(place, _)| weight(place, self.mode)).sum();
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
    fn sixteen_frames_are_counted_by_six_captions_or_by_one_each() {
        let weights = |count, mode| (0..count).map(|place| weight(place, mode)).collect::<Vec<_>>();
        assert_eq!(weights(FRAMES.div_ceil(REPEATS), Mode::Compat), [3, 3, 3, 3, 3, 1]);
        assert_eq!(weights(FRAMES, Mode::Fixed), [1; FRAMES]);
    }

    #[test]
    fn pictures_are_made_smaller_by_pillow_s_bilinear_kernel() {
        // One bright pixel in sixteen: a bilinear kernel has no lobes below zero, a bicubic one has.
        let mut frame = RgbFrame { height: 1, width: 16, rgb: vec![128; 48] };
        frame.rgb[24..27].fill(255);
        let darkest =
            |made: transforms::FloatFrame| made.values.iter().step_by(3).copied().fold(f32::MAX, f32::min);
        let ground = (128.0 / 255.0 - 0.485) / 0.229;
        assert!((darkest(transforms::tag2text_pillow(&frame)) - ground).abs() < 1e-6);
        assert!(darkest(transforms::tag2text(&frame)) < ground - 1e-3);
    }

    #[test]
    fn words_are_looked_for_anywhere_or_whole() {
        assert!(names("a barn on a hill", "bar", Mode::Compat));
        assert!(!names("a barn on a hill", "bar", Mode::Fixed));
        assert!(names("the golf course, at dawn", "golf course", Mode::Fixed));
        assert!(!names("a golf ball", "golf course", Mode::Compat));
    }
}
