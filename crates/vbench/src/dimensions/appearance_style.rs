//! How near are frames to the words of a style? CLIP ViT-B/32's logit of each frame and the phrase, by a hundred.

use std::collections::HashMap;
use std::rc::Rc;

use vidit_backbones::Grid;
use vidit_backbones::clip::{ImageTower, TextTower, Tokenizer, TooLong};

use super::batch::EveryFrame;
use super::grid;
use super::vectors::{dot, length, unit};
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measured, Refusal};
use crate::{Auxiliary, Dimension, transforms};

pub(crate) struct AppearanceStyle {
    images: Rc<ImageTower>,
    texts: TextTower,
    logit_scale: f32,
    tokenizer: Rc<Tokenizer>,
    /// Features of phrases `[512]`, of length 1.
    phrases: HashMap<String, Vec<f32>>,
    phrase: String,
    scores: Vec<f64>,
}

impl AppearanceStyle {
    pub fn new(images: Rc<ImageTower>, texts: TextTower, logit_scale: f32, tokenizer: Rc<Tokenizer>) -> Self {
        let (phrases, phrase, scores) = (HashMap::new(), String::new(), Vec::new());
        Self { images, texts, logit_scale, tokenizer, phrases, phrase, scores }
    }
}

impl EveryFrame for AppearanceStyle {
    fn dimension(&self) -> &'static [Dimension; 1] {
        &[Dimension::AppearanceStyle]
    }

    fn together(&self) -> usize {
        8
    }

    fn begin(&mut self, clip: &ClipFacts) -> Result<(), Refusal> {
        self.scores.clear();
        super::at_least(clip.frames, 1)?;
        let Some(Auxiliary::Style(phrase)) = (clip.auxiliary)(Dimension::AppearanceStyle) else {
            return Err(super::untold(Dimension::AppearanceStyle));
        };
        self.phrase.clone_from(phrase);
        if !self.phrases.contains_key(phrase) {
            let tokens = self.tokenizer.encode(phrase, self.texts.context(), TooLong::Refuse);
            let tokens = tokens.map_err(|error| error.to_string())?;
            let feature = self.texts.forward(&[tokens]).map_err(|error| error.to_string())?; // [512]
            self.phrases.insert(phrase.clone(), unit(&feature, 0.0));
        }
        Ok(())
    }

    fn prepare(&self, frame: &RgbFrame) -> Grid {
        grid(transforms::clip_pillow(frame))
    }

    fn look(&mut self, frames: Grid) {
        let phrase = &self.phrases[&self.phrase];
        let features = self.images.forward(&frames); // [B, 512]
        for feature in features.chunks_exact(phrase.len()) {
            let logit = dot(feature, phrase) / length(feature) * f64::from(self.logit_scale);
            self.scores.push(logit / 100.0);
        }
    }

    fn measured(&mut self) -> Measured {
        let (sum, count) = (self.scores.iter().sum::<f64>(), self.scores.len());
        Measured::of_frames(sum / count as f64, sum, count)
            .with("frame_results", self.scores.clone())
            .with("cur_sim", self.scores.last().copied().unwrap_or_default())
    }
}
