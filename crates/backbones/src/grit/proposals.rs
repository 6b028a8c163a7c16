//! Where something may be: the first stage of CenterNet2 (Zhou et al. 2021), one class.

use super::regions::{Corners, suppressed};
use super::{Note, STRIDES};
use crate::layers::{Activation, Conv2d, GroupNorm};
use crate::{BackboneError, Grid, Weights};

/// What becomes a proposal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProposalConfig {
    /// The heat of a place must be above it, 0–1.
    pub score_min: f32,
    /// Places of one level at most, the hottest.
    pub per_level_max: usize,
    /// A proposal that overlaps a better one by a larger share of their union is dropped.
    pub overlap_max: f64,
    /// Proposals at most.
    pub count_max: usize,
}

/// Boxes and their scores, best first.
#[derive(Default)]
pub(super) struct Proposals {
    pub boxes: Vec<Corners>,
    pub scores: Vec<f32>,
}

pub(super) struct ProposalHead {
    tower: Vec<(Conv2d, GroupNorm)>,
    /// The distances to the four sides, then the heat: one convolution.
    last: Conv2d,
    /// Of the distances, one a level.
    scales: Vec<f32>,
}

impl ProposalHead {
    pub fn load(weights: &Weights, channels: usize, groups: usize) -> Result<Self, BackboneError> {
        let mut tower = Vec::new();
        for i in 0.. {
            // A convolution, a norm and a ReLU take a number each.
            let (conv, norm) = (format!("bbox_tower.{}", 3 * i), format!("bbox_tower.{}", 3 * i + 1));
            if weights.at(&conv).shape("weight").is_none() {
                break;
            }
            tower.push((
                Conv2d::load(&weights.at(conv), [channels, channels], 3, 1, 1)?,
                GroupNorm::load(&weights.at(norm), channels, groups, 1e-5)?,
            ));
        }
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for (name, outputs) in [("bbox_pred", 4), ("agn_hm", 1)] {
            weight.extend(weights.at(name).take("weight", &[outputs, channels, 3, 3])?);
            bias.extend(weights.at(name).take("bias", &[outputs])?);
        }
        let last = Conv2d::new(&weight, bias, [channels, 5], [3; 2], [1; 2], [1; 2]);
        let scales = (0..STRIDES.len())
            .map(|i| Ok(weights.at("scales").at(i).take("scale", &[1])?[0]))
            .collect::<Result<_, _>>()?;
        Ok(Self { tower, last, scales })
    }

    /// Heat before the sigmoid and distances to left, top, right and bottom in strides, row by row: `[H·W]`, `[H·W, 4]`.
    fn maps(&self, map: &Grid, level: usize) -> (Vec<f32>, Vec<f32>) {
        let mut h = None;
        for (conv, norm) in &self.tower {
            let mut next = conv.forward(h.as_ref().unwrap_or(map)); // [1, H, W, C]
            norm.apply(&mut next, Some(Activation::Relu));
            h = Some(next);
        }
        let last = self.last.forward(h.as_ref().unwrap_or(map)); // [1, H, W, 5]
        let rows = || last.data.chunks_exact(5);
        let sides =
            rows().flat_map(|row| &row[..4]).map(|side| (side * self.scales[level]).max(0.0)).collect();
        (rows().map(|row| row[4]).collect(), sides)
    }

    /// Proposals on one picture from its five levels.
    pub fn forward(&self, levels: &[Grid], config: &ProposalConfig, note: Note) -> Proposals {
        let mut all = Proposals::default();
        for (level, map) in levels.iter().enumerate() {
            let (heat, sides) = self.maps(map, level);
            note(&format!("proposals.heat{level}"), &heat);
            note(&format!("proposals.sides{level}"), &sides);
            let score = |place: usize| 1.0 / (1.0 + (-heat[place]).exp());
            let mut places: Vec<(usize, f32)> = (0..heat.len())
                .map(|place| (place, score(place)))
                .filter(|p| p.1 > config.score_min)
                .collect();
            places.sort_by(|a, b| b.1.total_cmp(&a.1));
            places.truncate(config.per_level_max);
            for (place, score) in places {
                all.boxes.push(corners(place, map.width, STRIDES[level], &sides[4 * place..]));
                all.scores.push(score.sqrt());
            }
        }
        let kept = suppressed(&all.boxes, &all.scores, config.overlap_max);
        let mut best = Proposals {
            boxes: kept.iter().map(|i| all.boxes[*i]).collect(),
            scores: kept.iter().map(|i| all.scores[*i]).collect(),
        };
        // As the official code has it, those that score the same as the last one stay with it.
        let count = match best.scores.get(config.count_max.wrapping_sub(1)) {
            Some(last) => best.scores.iter().take_while(|score| *score >= last).count(),
            None => best.scores.len().min(config.count_max),
        };
        best.boxes.truncate(count);
        best.scores.truncate(count);
        note("proposals.boxes", best.boxes.as_flattened());
        note("proposals.scores", &best.scores);
        best
    }
}

/// The box of a place: its middle, and distances from it in strides; at least 0.01 pixels wide and high.
fn corners(place: usize, width: usize, stride: usize, sides: &[f32]) -> Corners {
    let middle = |at: usize| (at * stride + stride / 2) as f32;
    let (x, y, stride) = (middle(place % width), middle(place / width), stride as f32);
    let (left, top) = (x - sides[0] * stride, y - sides[1] * stride);
    let (right, bottom) = (x + sides[2] * stride, y + sides[3] * stride);
    [left, top, right.max(left + 0.01), bottom.max(top + 0.01)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_distances_is_a_box_about_its_middle() {
        assert_eq!(corners(5, 3, 16, &[0.0; 4]), [40.0, 24.0, 40.01, 24.01]);
        assert_eq!(corners(5, 3, 16, &[1.0, 2.0, 0.5, 0.0]), [24.0, -8.0, 48.0, 24.0]);
    }
}
