//! Frames that go through a network together.

use vidit_backbones::Grid;

use crate::Dimension;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};

/// What a dimension makes of a video whose frames it sees one by one, whichever are neighbours in a batch.
pub(crate) trait EveryFrame {
    /// The only dimension.
    fn dimension(&self) -> &'static [Dimension; 1];

    /// Frames that go through the network together, 1 or more.
    fn together(&self) -> usize;

    /// A video begins.
    fn begin(&mut self, clip: &ClipFacts) -> Result<(), Refusal>;

    /// A frame for the network, `[1, H, W, C]`.
    fn prepare(&self, frame: &RgbFrame) -> Grid;

    /// The next frames, `[B, H, W, C]`.
    fn look(&mut self, frames: Grid);

    /// What all frames together score.
    fn measured(&mut self) -> Measured;
}

/// A dimension of every frame, and the frames that wait for its network.
pub(crate) struct Batched<D> {
    dimension: D,
    waiting: Vec<Grid>,
}

impl<D: EveryFrame> Batched<D> {
    pub fn new(dimension: D) -> Self {
        Self { dimension, waiting: Vec::new() }
    }
}

impl<D: EveryFrame> Measure for Batched<D> {
    fn dimensions(&self) -> &'static [Dimension] {
        self.dimension.dimension()
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        self.waiting.clear();
        self.dimension.begin(clip)
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.waiting.push(self.dimension.prepare(frame));
        if self.waiting.len() == self.dimension.together() {
            self.dimension.look(stacked(&self.waiting));
            self.waiting.clear();
        }
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        if !self.waiting.is_empty() {
            self.dimension.look(stacked(&self.waiting));
            self.waiting.clear();
        }
        let [dimension] = *self.dimension.dimension();
        vec![(dimension, Ok(self.dimension.measured()))]
    }
}

/// Frames `[1, H, W, C]` of one size as a batch `[B, H, W, C]`.
///
/// # Panics
/// If there are none.
pub(crate) fn stacked(frames: &[Grid]) -> Grid {
    let [_, height, width, channels] = frames[0].shape();
    let data: Vec<f32> = frames.iter().flat_map(|frame| frame.data.iter().copied()).collect();
    Grid::new(data, [frames.len(), height, width, channels]) // [B, H, W, C]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    /// Notes the first value of each frame, and how many came together.
    #[derive(Default)]
    struct Seen(Vec<f32>, Vec<usize>);

    impl EveryFrame for Seen {
        fn dimension(&self) -> &'static [Dimension; 1] {
            &[Dimension::ImagingQuality]
        }

        fn together(&self) -> usize {
            2
        }

        fn begin(&mut self, _: &ClipFacts) -> Result<(), Refusal> {
            *self = Self::default();
            Ok(())
        }

        fn prepare(&self, frame: &RgbFrame) -> Grid {
            super::super::raw(frame, 1.0)
        }

        fn look(&mut self, frames: Grid) {
            self.0.extend(frames.data.iter().step_by(3));
            self.1.push(frames.batch);
        }

        fn measured(&mut self) -> Measured {
            Measured::new(f64::from(self.0.iter().sum::<f32>()))
        }
    }

    #[test]
    fn every_frame_is_seen_once_and_in_order() {
        let clip = ClipFacts {
            frames: 5,
            fps: 8.0,
            height: 1,
            width: 1,
            prompt: "",
            stem: "",
            auxiliary: &|_| None,
            picture: None,
            stills: false,
            mode: Mode::Compat,
        };
        let mut batched = Batched::new(Seen::default());
        for _ in 0..2 {
            batched.begin(&clip, &[]).unwrap();
            for index in 0..5 {
                let rgb = vec![index as u8 + 1; 3];
                batched.frame(index, &RgbFrame { height: 1, width: 1, rgb }).unwrap();
            }
            let found = batched.finish();
            assert_eq!(found, [(Dimension::ImagingQuality, Ok(Measured::new(15.0)))]);
            assert_eq!(batched.dimension.0, [1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(batched.dimension.1, [2, 2, 1]);
        }
    }
}
