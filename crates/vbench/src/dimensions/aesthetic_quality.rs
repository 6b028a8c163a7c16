//! How beautiful are frames? LAION's linear head on CLIP ViT-L/14's features of each, by ten.

use vidit_backbones::Grid;
use vidit_backbones::clip::{AestheticHead, ImageTower};

use super::batch::Batch;
use super::grid;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, transforms};

/// Frames that go through the network together.
const TOGETHER: usize = 4;

pub(crate) struct AestheticQuality {
    network: ImageTower,
    head: AestheticHead,
    batch: Batch,
    sum: f64,
    frames: usize,
}

impl AestheticQuality {
    pub fn new(network: ImageTower, head: AestheticHead) -> Self {
        Self { network, head, batch: Batch::new(TOGETHER), sum: 0.0, frames: 0 }
    }

    fn look(&mut self, images: Option<Grid>) {
        let Some(images) = images else { return };
        let features = self.network.forward(&images); // [B, 768]
        for feature in features.chunks_exact(features.len() / images.batch) {
            let norm = feature.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let unit: Vec<f32> = feature.iter().map(|x| (f64::from(*x) / norm) as f32).collect();
            self.sum += f64::from(self.head.forward(&unit)[0]) / 10.0;
            self.frames += 1;
        }
    }
}

impl Measure for AestheticQuality {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::AestheticQuality]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        (self.sum, self.frames) = (0.0, 0);
        self.batch.clear();
        super::at_least(clip.frames, 1)
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        let full = self.batch.push(grid(transforms::clip_tensor(frame)));
        self.look(full);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let rest = self.batch.take();
        self.look(rest);
        vec![(Dimension::AestheticQuality, Ok(Measured::new(self.sum / self.frames as f64)))]
    }
}
