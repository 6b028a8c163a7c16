//! Does the background look the same in all frames? CLIP's feature of each frame against the former's and the first's.

use vidit_backbones::Grid;
use vidit_backbones::clip::ImageTower;

use super::batch::Batch;
use super::consistency::Consistency;
use super::grid;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, transforms};

/// Frames that go through the network together.
const TOGETHER: usize = 8;

pub(crate) struct BackgroundConsistency {
    network: std::rc::Rc<ImageTower>,
    batch: Batch,
    walk: Consistency,
}

impl BackgroundConsistency {
    pub fn new(network: std::rc::Rc<ImageTower>) -> Self {
        Self { network, batch: Batch::new(TOGETHER), walk: Consistency::default() }
    }

    fn look(&mut self, images: Option<Grid>) {
        let Some(images) = images else { return };
        let features = self.network.forward(&images); // [B, 512]
        features.chunks_exact(features.len() / images.batch).for_each(|feature| self.walk.push(feature));
    }
}

impl Measure for BackgroundConsistency {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::BackgroundConsistency]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        self.walk = Consistency::default();
        self.batch.clear();
        super::at_least(clip.frames, 2)
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        let full = self.batch.push(grid(transforms::clip_tensor(frame)));
        self.look(full);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let rest = self.batch.take();
        self.look(rest);
        let (sum, pairs) = self.walk.sum();
        let measured = Measured::of_frames(sum / pairs as f64, sum, pairs)
            .with("video_sim", sum)
            .with("cnt_per_video", pairs);
        vec![(Dimension::BackgroundConsistency, Ok(measured))]
    }
}
