//! ViCLIP's features of eight frames of a video and of its prompt, for `overall_consistency` and `temporal_style`.

use std::collections::HashMap;
use std::rc::Rc;

use vidit_backbones::Grid;
use vidit_backbones::clip::{Tokenizer, TooLong};
use vidit_backbones::viclip::ViClip;

use super::batch::stacked;
use super::middles::Middles;
use super::{grid, overall_consistency, temporal_style};
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, transforms};

/// Frames of a video that the network sees.
const FRAMES: usize = 8;

pub(crate) struct PromptLikeness {
    network: ViClip,
    tokenizer: Rc<Tokenizer>,
    texts: HashMap<String, Vec<f32>>,
    wanted: Vec<Dimension>,
    prompt: String,
    frames: Middles<Grid>,
}

impl PromptLikeness {
    pub fn new(network: ViClip, tokenizer: Rc<Tokenizer>) -> Self {
        let (wanted, prompt, frames) = (Vec::new(), String::new(), Middles::of(FRAMES));
        Self { network, tokenizer, texts: HashMap::new(), wanted, prompt, frames }
    }
}

impl Measure for PromptLikeness {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::TemporalStyle, Dimension::OverallConsistency]
    }

    fn begin(&mut self, clip: &ClipFacts, wanted: &[Dimension]) -> Result<(), Refusal> {
        super::at_least(clip.frames, 1)?;
        self.frames.begin(clip.frames);
        self.wanted = wanted.to_vec();
        self.prompt = clip.prompt.to_owned();
        if !self.texts.contains_key(clip.prompt) {
            let context = self.network.text.context();
            let tokens = self.tokenizer.encode(clip.prompt, context, TooLong::Cut);
            let tokens = tokens.map_err(|error| error.to_string())?;
            let feature = self.network.text.forward(&[tokens]).map_err(|error| error.to_string())?; // [768]
            self.texts.insert(self.prompt.clone(), feature);
        }
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.frames.frame(index, || Ok(grid(transforms::viclip(frame))))
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let frames = stacked(self.frames.made()); // [8, 224, 224, 3]
        let (video, text) = (self.network.video.forward(&frames), &self.texts[&self.prompt]); // [768]
        let score = |dimension| match dimension {
            Dimension::TemporalStyle => temporal_style::score(&video, text),
            _ => overall_consistency::score(&video, text),
        };
        self.wanted.iter().map(|dimension| (*dimension, Ok(Measured::new(score(*dimension))))).collect()
    }
}
