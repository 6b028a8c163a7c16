//! How near is a video to its prompt? The cosine of ViCLIP's features of eight frames and of the text. `temporal_style` is the same for
//! prompts that speak of camera or speed.

use std::collections::HashMap;
use std::rc::Rc;

use vidit_backbones::clip::{Tokenizer, TooLong};
use vidit_backbones::viclip::ViClip;

use super::batch::Batch;
use super::grid;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::samplers::middle;
use crate::{Dimension, transforms};

/// Frames of a video that the network sees.
const FRAMES: usize = 8;

pub(crate) struct OverallConsistency {
    network: ViClip,
    tokenizer: Rc<Tokenizer>,
    texts: HashMap<String, Vec<f32>>,
    wanted: Vec<Dimension>,
    prompt: String,
    places: Vec<usize>,
    batch: Batch,
}

impl OverallConsistency {
    pub fn new(network: ViClip, tokenizer: Rc<Tokenizer>) -> Self {
        let (wanted, places, batch) = (Vec::new(), Vec::new(), Batch::new(usize::MAX));
        Self { network, tokenizer, texts: HashMap::new(), wanted, prompt: String::new(), places, batch }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

impl Measure for OverallConsistency {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::TemporalStyle, Dimension::OverallConsistency]
    }

    fn begin(&mut self, clip: &ClipFacts, wanted: &[Dimension]) -> Result<(), Refusal> {
        self.batch.clear();
        super::at_least(clip.frames, 1)?;
        self.places = middle(FRAMES, clip.frames);
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
        // Short videos repeat their last frame.
        for _ in self.places.iter().filter(|place| **place == index) {
            self.batch.push(grid(transforms::viclip(frame)));
        }
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let frames = self.batch.take().expect("a video of one frame or more has middles"); // [8, 224, 224, 3]
        let score = cosine(&self.network.video.forward(&frames), &self.texts[&self.prompt]);
        self.wanted.iter().map(|dimension| (*dimension, Ok(Measured::new(score)))).collect()
    }
}
