//! How beautiful are frames? LAION's linear head on CLIP ViT-L/14's features of each, by ten.

use vidit_backbones::Grid;
use vidit_backbones::clip::{AestheticHead, ImageTower};

use super::batch::EveryFrame;
use super::grid;
use super::vectors::unit;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measured, Refusal};
use crate::{Dimension, transforms};

pub(crate) struct AestheticQuality {
    network: ImageTower,
    head: AestheticHead,
    sum: f64,
    frames: usize,
}

impl AestheticQuality {
    pub fn new(network: ImageTower, head: AestheticHead) -> Self {
        Self { network, head, sum: 0.0, frames: 0 }
    }
}

impl EveryFrame for AestheticQuality {
    fn dimension(&self) -> &'static [Dimension; 1] {
        &[Dimension::AestheticQuality]
    }

    fn together(&self) -> usize {
        4
    }

    fn begin(&mut self, clip: &ClipFacts) -> Result<(), Refusal> {
        (self.sum, self.frames) = (0.0, 0);
        super::at_least(clip.frames, 1)
    }

    fn prepare(&self, frame: &RgbFrame) -> Grid {
        grid(transforms::clip_tensor(frame))
    }

    fn look(&mut self, frames: Grid) {
        let features = self.network.forward(&frames); // [B, 768]
        for feature in features.chunks_exact(features.len() / frames.batch) {
            self.sum += f64::from(self.head.forward(&unit(feature, 0.0))[0]) / 10.0;
            self.frames += 1;
        }
    }

    fn measured(&mut self) -> Measured {
        Measured::new(self.sum / self.frames as f64)
    }
}
