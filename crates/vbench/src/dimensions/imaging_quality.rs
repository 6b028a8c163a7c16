//! How free of noise, blur and over-exposure are frames? MUSIQ's score of each, 0 to 100.

use vidit_backbones::Grid;
use vidit_backbones::musiq::Musiq;

use super::batch::EveryFrame;
use super::grid;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measured, Refusal};
use crate::transforms::{self, MusiqRule};
use crate::{Dimension, Mode};

pub(crate) struct ImagingQuality {
    network: Musiq,
    rule: MusiqRule,
    mode: Mode,
    sum: f64,
    frames: usize,
}

impl ImagingQuality {
    pub fn new(network: Musiq, rule: MusiqRule) -> Self {
        Self { network, rule, mode: Mode::Compat, sum: 0.0, frames: 0 }
    }
}

impl EveryFrame for ImagingQuality {
    fn dimension(&self) -> &'static [Dimension; 1] {
        &[Dimension::ImagingQuality]
    }

    fn together(&self) -> usize {
        2
    }

    fn begin(&mut self, clip: &ClipFacts) -> Result<(), Refusal> {
        (self.sum, self.frames, self.mode) = (0.0, 0, clip.mode);
        super::at_least(clip.frames, 1)
    }

    fn prepare(&self, frame: &RgbFrame) -> Grid {
        grid(transforms::musiq(frame, self.rule, self.mode))
    }

    fn look(&mut self, frames: Grid) {
        for score in self.network.scores(frames) {
            self.sum += f64::from(score);
            self.frames += 1;
        }
    }

    fn measured(&mut self) -> Measured {
        Measured::new(self.sum / self.frames as f64)
    }
}
