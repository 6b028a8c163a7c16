//! How free of noise, blur and over-exposure are frames? MUSIQ's score of each, 0 to 100.

use vidit_backbones::Grid;
use vidit_backbones::musiq::Musiq;

use super::batch::Batch;
use super::grid;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::transforms::{self, MusiqRule};
use crate::{Dimension, Mode};

/// Frames that go through the network together.
const TOGETHER: usize = 2;

pub(crate) struct ImagingQuality {
    network: Musiq,
    batch: Batch,
    mode: Mode,
    sum: f64,
    frames: usize,
}

impl ImagingQuality {
    pub fn new(network: Musiq) -> Self {
        Self { network, batch: Batch::new(TOGETHER), mode: Mode::Compat, sum: 0.0, frames: 0 }
    }

    fn look(&mut self, images: Option<Grid>) {
        let Some(images) = images else { return };
        for score in self.network.scores(images) {
            self.sum += f64::from(score);
            self.frames += 1;
        }
    }
}

impl Measure for ImagingQuality {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::ImagingQuality]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        (self.sum, self.frames, self.mode) = (0.0, 0, clip.mode);
        self.batch.clear();
        super::at_least(clip.frames, 1)
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        let full = self.batch.push(grid(transforms::musiq(frame, MusiqRule::Longer, self.mode)));
        self.look(full);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let rest = self.batch.take();
        self.look(rest);
        vec![(Dimension::ImagingQuality, Ok(Measured::new(self.sum / self.frames as f64)))]
    }
}
