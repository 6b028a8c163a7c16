//! Does anything move? RAFT's flow between frames about an eighth of a second apart: a clip moves if in enough of the pairs the
//! fastest twentieth of the pixels is fast.

use vidit_backbones::raft::{self, Context, Features, Raft};

use super::motion::speed;
use super::raw;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, Mode};

/// Of the pixels, those that count: the fastest.
const SHARE: f64 = 0.05;

pub(crate) struct DynamicDegree {
    network: Raft,
    mode: Mode,
    interval: usize,
    /// Speed in pixels a pair above which a pair moves.
    threshold: f64,
    /// Pairs that have to move.
    needed: usize,
    pairs: usize,
    former: Option<(Features, Context)>,
    seen: usize,
    moving: usize,
    moves: Option<bool>,
}

impl DynamicDegree {
    pub fn new(network: Raft) -> Self {
        Self {
            network,
            mode: Mode::Compat,
            interval: 1,
            threshold: 0.0,
            needed: 0,
            pairs: 0,
            former: None,
            seen: 0,
            moving: 0,
            moves: None,
        }
    }
}

/// Every how manieth frame is looked at.
fn interval(fps: f64) -> usize {
    ((fps / 8.0).round_ties_even() as usize).max(1)
}

impl Measure for DynamicDegree {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::DynamicDegree]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        super::at_least(clip.frames, 1)?;
        let interval = interval(clip.fps);
        let sampled = clip.frames.div_ceil(interval);
        if clip.mode == Mode::Fixed && sampled < 3 {
            return Err(format!(
                "motion needs at least 3 frames an eighth of a second apart, found `{sampled}`"
            ));
        }
        self.mode = clip.mode;
        self.interval = interval;
        self.threshold = 6.0 * (clip.height.min(clip.width) as f64 / 256.0);
        self.needed = (4.0 * (sampled as f64 / 16.0)).round_ties_even() as usize;
        self.pairs = sampled - 1;
        (self.former, self.seen, self.moving, self.moves) = (None, 0, 0, None);
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        if index % self.interval > 0 || self.moves.is_some() {
            return Ok(());
        }
        let padded = raft::padding(frame.height, frame.width).pad(&raw(frame, 1.0)); // [1, H, W, 3]
        let latter = self.network.features(&padded).map_err(|error| error.to_string())?;
        if let Some((former, context)) = self.former.take() {
            let speed = speed(&self.network, (&former, &context), &latter, frame, self.mode, SHARE)?;
            self.seen += 1;
            self.moving += usize::from(speed > self.threshold);
            if self.moving >= self.needed {
                self.moves = Some(true);
            } else if self.moving + self.pairs - self.seen < self.needed {
                self.moves = Some(false);
            }
        }
        let last = self.moves.is_some() || self.seen == self.pairs;
        if !last {
            let context = self.network.context(&padded).map_err(|error| error.to_string())?;
            self.former = Some((latter, context));
        }
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        self.former = None;
        vec![(Dimension::DynamicDegree, Ok(Measured::new(self.moves.unwrap_or(false))))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::motion::mean_of_fastest;
    use super::*;

    #[test]
    fn intervals_and_means_are_python_s() {
        assert_eq!([4.0, 8.0, 12.0, 20.0, 24.0, 30.0].map(interval), [1, 1, 2, 2, 3, 4]);
        let mut lengths: Vec<f32> = (0..45).rev().map(|i| i as f32).collect();
        assert_eq!(mean_of_fastest(&mut lengths, 0.05), 43.5);
        assert!(mean_of_fastest(&mut [1.0; 19], 0.05).is_nan());
    }
}
