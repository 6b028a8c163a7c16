//! How alike neighbouring frames are, and each to the first: what `subject_consistency` and `background_consistency` are on the
//! features of their networks.

use vidit_backbones::Grid;

use super::batch::EveryFrame;
use super::grid;
use super::vectors::{cosine, unit};
use crate::Dimension;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measured, Refusal};
use crate::transforms::FloatFrame;

/// Frames `[B, H, W, 3]` to features `[B, D]`.
pub(super) type Features = Box<dyn Fn(&Grid) -> Vec<f32>>;

/// A dimension of this kind.
pub(crate) struct Consistency {
    pub dimension: &'static [Dimension; 1],
    pub together: usize,
    pub transform: fn(&RgbFrame) -> FloatFrame,
    pub network: Features,
    /// Whether the reference says the sum and the number of pairs beside the score.
    pub tells_sum: bool,
    pub walk: Walk,
}

impl EveryFrame for Consistency {
    fn dimension(&self) -> &'static [Dimension; 1] {
        self.dimension
    }

    fn together(&self) -> usize {
        self.together
    }

    fn begin(&mut self, clip: &ClipFacts) -> Result<(), Refusal> {
        self.walk = Walk::default();
        super::at_least(clip.frames, 2)
    }

    fn prepare(&self, frame: &RgbFrame) -> Grid {
        grid((self.transform)(frame))
    }

    fn look(&mut self, frames: Grid) {
        let features = (self.network)(&frames); // [B, D]
        features.chunks_exact(features.len() / frames.batch).for_each(|feature| self.walk.push(feature));
    }

    fn measured(&mut self) -> Measured {
        let Walk { sum, pairs, .. } = self.walk;
        let measured = Measured::of_frames(sum / pairs as f64, sum, pairs);
        match self.tells_sum {
            true => measured.with("video_sim", sum).with("cnt_per_video", pairs),
            false => measured,
        }
    }
}

/// The walk along the features of a clip.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    first: Vec<f32>,
    former: Vec<f32>,
    /// Over the pairs of neighbours.
    sum: f64,
    pairs: usize,
}

impl Walk {
    /// The next frame's feature `[D]`, of any length but 0. A value that is not finite makes the sum NaN.
    fn push(&mut self, feature: &[f32]) {
        let feature = unit(feature, 1e-12);
        if self.first.is_empty() {
            self.first.clone_from(&feature);
        } else {
            let to_former = at_least_0(cosine(&self.former, &feature, 1e-8));
            let to_first = at_least_0(cosine(&self.first, &feature, 1e-8));
            self.sum += (to_former + to_first) / 2.0;
            self.pairs += 1;
        }
        self.former = feature;
    }
}

/// Not `max`, which makes 0 of NaN: as the reference does, and hides a broken network.
pub(super) fn at_least_0(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(features: &[[f32; 2]]) -> Walk {
        let mut walk = Walk::default();
        features.iter().for_each(|feature| walk.push(feature));
        walk
    }

    #[test]
    fn scores_are_half_of_the_former_and_half_of_the_first() {
        // Second: both at right angles. Third: √½ to both. Fourth: both below zero.
        let Walk { sum, pairs, .. } = walk(&[[2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-1.0, 0.0]]);
        assert!((sum - 0.5f64.sqrt()).abs() < 1e-7, "{sum}");
        assert_eq!(pairs, 3);
    }

    #[test]
    fn a_network_that_breaks_is_not_scored_0() {
        assert!(walk(&[[1.0, 0.0], [f32::NAN, 0.0], [1.0, 0.0]]).sum.is_nan());
        assert!(walk(&[[f32::INFINITY, 0.0], [1.0, 0.0]]).sum.is_nan());
    }
}
