//! How near are frames to the words of a style? CLIP ViT-B/32's logit of each frame and the phrase, by a hundred.

use std::collections::HashMap;
use std::rc::Rc;

use vidit_backbones::Grid;
use vidit_backbones::clip::{ImageTower, TextTower, Tokenizer, TooLong};

use super::batch::Batch;
use super::grid;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Auxiliary, Dimension, transforms};

/// Frames that go through the network together.
const TOGETHER: usize = 8;

pub(crate) struct AppearanceStyle {
    images: Rc<ImageTower>,
    texts: TextTower,
    logit_scale: f32,
    tokenizer: Rc<Tokenizer>,
    /// Normalised features of phrases, each times the scale of logits.
    phrases: HashMap<String, Vec<f32>>,
    phrase: String,
    batch: Batch,
    scores: Vec<f64>,
}

impl AppearanceStyle {
    pub fn new(images: Rc<ImageTower>, texts: TextTower, logit_scale: f32, tokenizer: Rc<Tokenizer>) -> Self {
        let batch = Batch::new(TOGETHER);
        let (phrases, phrase, scores) = (HashMap::new(), String::new(), Vec::new());
        Self { images, texts, logit_scale, tokenizer, phrases, phrase, batch, scores }
    }

    fn look(&mut self, images: Option<Grid>) {
        let Some(images) = images else { return };
        let phrase = &self.phrases[&self.phrase];
        let features = self.images.forward(&images); // [B, 512]
        for feature in features.chunks_exact(phrase.len()) {
            let norm = feature.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let logit: f64 = feature.iter().zip(phrase).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            self.scores.push(logit / norm / 100.0);
        }
    }
}

impl Measure for AppearanceStyle {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::AppearanceStyle]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        self.batch.clear();
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
            let scale = self.logit_scale;
            let norm = feature.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let scaled = feature.iter().map(|x| (f64::from(*x) / norm * f64::from(scale)) as f32).collect();
            self.phrases.insert(phrase.clone(), scaled);
        }
        Ok(())
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        let full = self.batch.push(grid(transforms::clip_pillow(frame)));
        self.look(full);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let rest = self.batch.take();
        self.look(rest);
        let (sum, count) = (self.scores.iter().sum::<f64>(), self.scores.len());
        let measured = Measured::of_frames(sum / count as f64, sum, count)
            .with("frame_results", self.scores.clone())
            .with("cur_sim", self.scores.last().copied().unwrap_or_default());
        vec![(Dimension::AppearanceStyle, Ok(measured))]
    }
}
