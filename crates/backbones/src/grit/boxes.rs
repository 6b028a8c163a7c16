//! Whether a proposal is an object, and where exactly: a cascade (Cai & Vasconcelos 2018) of three stages, each from the boxes of the
//! one before.

use super::Note;
use super::proposals::Proposals;
use super::regions::{Corners, clipped, pooled, suppressed};
use crate::layers::{Activation, Linear};
use crate::{BackboneError, Grid, Weights};

/// What becomes a detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxConfig {
    /// Bins a side that a box is pooled to.
    pub side: usize,
    /// Its score must be above it, 0–1.
    pub score_min: f32,
    /// A detection that overlaps a better one by a larger share of their union is dropped.
    pub overlap_max: f64,
    /// Detections at most.
    pub count_max: usize,
}

/// What shifts (x, y) and stretches (width, height) are divided by, stage by stage: detectron2's defaults.
const REGRESSION: [[f32; 4]; 3] =
    [[10.0, 10.0, 5.0, 5.0], [20.0, 20.0, 10.0, 10.0], [30.0, 30.0, 15.0, 15.0]];

pub(super) struct Cascade {
    stages: Vec<Stage>,
    side: usize,
}

struct Stage {
    first: Linear,
    second: Linear,
    class: Linear,
    hidden: Linear,
    deltas: Linear,
}

impl Stage {
    fn load(weights: &Weights, stage: usize, channels: usize, side: usize) -> Result<Self, BackboneError> {
        let (head, predictor) = (weights.at("box_head").at(stage), weights.at("box_predictor").at(stage));
        let width = head.at("fc1").shape("bias").map_or(0, |shape| shape[0]);
        let bins = side * side;
        let weight = head.at("fc1").take("weight", &[width, channels * bins])?;
        let mut by_bin = vec![0.0; weight.len()];
        for (from, to) in weight.chunks_exact(channels * bins).zip(by_bin.chunks_exact_mut(channels * bins)) {
            for (i, value) in from.iter().enumerate() {
                to[i % bins * channels + i / bins] = *value;
            }
        }
        Ok(Self {
            first: Linear::new(&by_bin, head.at("fc1").take("bias", &[width])?),
            second: Linear::load(&head.at("fc2"), [width, width])?,
            class: Linear::load(&predictor.at("cls_score"), [width, 2])?,
            hidden: Linear::load(&predictor.at("bbox_pred.0"), [width, width])?,
            deltas: Linear::load(&predictor.at("bbox_pred.2"), [width, 4])?,
        })
    }

    /// `[R, side, side, C]` → logits of object and background `[R, 2]`, deltas of boxes `[R, 4]`.
    fn forward(&self, pooled: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let h = self.first.activated(pooled, Activation::Relu);
        let h = self.second.activated(&h, Activation::Relu);
        (self.class.forward(&h), self.deltas.forward(&self.hidden.activated(&h, Activation::Relu)))
    }
}

impl Cascade {
    pub fn load(weights: &Weights, channels: usize, side: usize) -> Result<Self, BackboneError> {
        let load = |stage| Stage::load(weights, stage, channels, side);
        Ok(Self { stages: (0..REGRESSION.len()).map(load).collect::<Result<_, _>>()?, side })
    }

    /// Detections and scores on a picture of `size` (height, width), best first; empty boxes are left out.
    pub fn forward(
        &self,
        levels: &[Grid],
        proposals: &Proposals,
        size: [usize; 2],
        config: &BoxConfig,
        note: Note,
    ) -> (Vec<Corners>, Vec<f32>) {
        let mut boxes = proposals.boxes.clone();
        let mut objects = vec![0.0; boxes.len()];
        for (k, (stage, weights)) in self.stages.iter().zip(REGRESSION).enumerate() {
            if k > 0 {
                boxes.iter_mut().for_each(|corners| *corners = clipped(*corners, size));
            }
            let features = pooled(levels, &boxes, self.side);
            if k == 0 {
                note("boxes.pooled", &features);
            }
            let (logits, deltas) = stage.forward(&features);
            note(&format!("boxes.logits{k}"), &logits);
            note(&format!("boxes.deltas{k}"), &deltas);
            for (object, logits) in objects.iter_mut().zip(logits.chunks_exact(2)) {
                *object += 1.0 / (1.0 + (logits[1] - logits[0]).exp());
            }
            for (corners, deltas) in boxes.iter_mut().zip(deltas.chunks_exact(4)) {
                *corners = moved(*corners, deltas, weights);
            }
        }
        let share = 1.0 / self.stages.len() as f32;
        let mut found: (Vec<Corners>, Vec<f32>) = Default::default();
        for ((corners, object), proposal) in boxes.iter().zip(&objects).zip(&proposals.scores) {
            let score = (object * share * proposal).sqrt();
            if corners.iter().all(|corner| corner.is_finite()) && score > config.score_min {
                found.0.push(clipped(*corners, size));
                found.1.push(score);
            }
        }
        let mut kept = suppressed(&found.0, &found.1, config.overlap_max);
        kept.truncate(config.count_max);
        kept.retain(|i| found.0[*i][2] > found.0[*i][0] && found.0[*i][3] > found.0[*i][1]);
        let (boxes, scores): (Vec<_>, Vec<_>) = kept.iter().map(|i| (found.0[*i], found.1[*i])).unzip();
        note("boxes.corners", boxes.as_flattened());
        note("boxes.scores", &scores);
        (boxes, scores)
    }
}

/// A box shifted by shares of its size and stretched by exponentials (Girshick et al. 2014, appendix C), 62.5-fold at most.
fn moved([left, top, right, bottom]: Corners, deltas: &[f32], weights: [f32; 4]) -> Corners {
    const STRETCH_MAX: f32 = 4.135_166_6; // ln(1000 / 16)
    let [dx, dy, dw, dh] = std::array::from_fn(|i| deltas[i] / weights[i]);
    let (width, height) = (right - left, bottom - top);
    let (x, y) = (dx * width + (left + 0.5 * width), dy * height + (top + 0.5 * height));
    let (width, height) = (dw.min(STRETCH_MAX).exp() * width, dh.min(STRETCH_MAX).exp() * height);
    [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_move_by_their_own_size_and_stretch_so_far() {
        let corners = [10.0, 20.0, 30.0, 60.0];
        assert_eq!(moved(corners, &[0.0; 4], REGRESSION[2]), corners);
        assert_eq!(moved(corners, &[5.0, -2.5, 0.0, 0.0], REGRESSION[0]), [20.0, 10.0, 40.0, 50.0]);
        let stretched = moved(corners, &[0.0, 0.0, 1e4, 0.0], REGRESSION[0]);
        assert!((stretched[2] - stretched[0] - 1250.0).abs() < 1e-2, "{stretched:?}");
    }
}
