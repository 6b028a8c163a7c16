//! Does every second frame lie between its neighbours? AMT-S makes it of them; the difference to the true one, of 255.

use vidit_backbones::Grid;
use vidit_backbones::amt::Amt;

use super::raw;
use crate::Dimension;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};

pub(crate) struct MotionSmoothness {
    network: Amt,
    /// The last frame of even number, prepared.
    former: Option<Grid>,
    /// The frame after it.
    between: Vec<u8>,
    differences: Vec<f64>,
}

impl MotionSmoothness {
    pub fn new(network: Amt) -> Self {
        Self { network, former: None, between: Vec::new(), differences: Vec::new() }
    }
}

/// Mean of `|truth − 255 · made|`, what was made clamped and cut to whole numbers as the reference does. Both `[H, W, 3]`.
fn difference(made: &Grid, truth: &[u8]) -> f64 {
    let sum: u64 = made
        .data
        .iter()
        .zip(truth)
        .map(|(made, truth)| u64::from(((made * 255.0).clamp(0.0, 255.0) as u8).abs_diff(*truth)))
        .sum();
    sum as f64 / truth.len() as f64
}

impl Measure for MotionSmoothness {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::MotionSmoothness]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        self.former = None;
        self.differences.clear();
        super::at_least(clip.frames, 3)
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        if index % 2 == 1 {
            self.between.clone_from(&frame.rgb);
            return Ok(());
        }
        let latter = raw(frame, 1.0 / 255.0); // [1, H, W, 3]
        if let Some(former) = self.former.take() {
            let made = self.network.midpoint(&former, &latter).map_err(|error| error.to_string())?;
            if made.data.iter().any(|value| !value.is_finite()) {
                return Err("the network made a frame that is not finite".to_owned());
            }
            self.differences.push(difference(&made, &self.between));
        }
        self.former = Some(latter);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let mean = self.differences.iter().sum::<f64>() / self.differences.len() as f64;
        self.former = None;
        vec![(Dimension::MotionSmoothness, Ok(Measured::new((255.0 - mean) / 255.0)))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_frames_are_cut_and_not_rounded() {
        let made = Grid::new(vec![0.999 / 255.0, 1.5, -1.0], [1, 1, 1, 3]);
        assert_eq!(difference(&made, &[0, 255, 6]), 2.0);
    }
}
