//! Is the action that was asked for recognised? UMT's five likeliest of Kinetics' 400 actions, those of 0.85 or more.

use std::sync::LazyLock;

use vidit_backbones::Grid;
use vidit_backbones::umt::Umt;

use super::batch::stacked;
use super::grid;
use super::middles::Middles;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::suite::action_of_prompt;
use crate::{Auxiliary, Dimension, Mode, transforms};

/// Frames of a video that the network sees.
const FRAMES: usize = 16;
/// Labels that are looked at.
const TOP: usize = 5;
/// Of a label to count, after rounding to four decimals.
const LIKELY: f64 = 0.85;

/// Names and numbers of the actions, as VBench has them; their order is not the alphabet's.
const LABELS: &str = include_str!("../../../../assets/vbench/kinetics_400_categories.txt");

/// Label by number, in small letters.
fn labels() -> Vec<String> {
    let mut labels = vec![String::new(); 400];
    for (label, number) in LABELS.lines().filter_map(|line| line.trim().split_once('\t')) {
        let number: usize = number.parse().expect("VBench's list has numbers");
        labels[number] = label.to_lowercase();
    }
    labels
}

pub(crate) struct HumanAction {
    network: Umt,
    labels: Vec<String>,
    wanted: String,
    frames: Middles<Grid>,
}

impl HumanAction {
    pub fn new(network: Umt) -> Self {
        Self { network, labels: labels(), wanted: String::new(), frames: Middles::of(FRAMES) }
    }
}

/// The action that a file is named after, as the reference reads it: quirk Q15. It takes the ending with it, so that a name without the
/// number of a sample is no label.
fn action_of_name(stem: &str) -> String {
    let name = format!("{}.mp4", stem.to_lowercase());
    let prompt = name.split('-').next().unwrap_or_default();
    let action = prompt.rsplit("person is ").next().unwrap_or_default();
    action.split('_').next().unwrap_or_default().to_owned()
}

/// Whether the action that a file is named after, as the reference reads it, is one of the 400.
pub(crate) fn names_an_action(stem: &str) -> bool {
    static KNOWN: LazyLock<Vec<String>> = LazyLock::new(labels);
    KNOWN.contains(&action_of_name(stem))
}

/// The likeliest labels of at least [`LIKELY`].
fn recognised(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let share = |label: usize| 1.0 / (1.0 + (-f64::from(logits[label])).exp());
    order
        .into_iter()
        .take(TOP)
        .filter(|label| (share(*label) * 1e4).round_ties_even() / 1e4 >= LIKELY)
        .collect()
}

impl Measure for HumanAction {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::HumanAction]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        super::at_least(clip.frames, 1)?;
        self.frames.begin(clip.frames);
        self.wanted = match (clip.mode, (clip.auxiliary)(Dimension::HumanAction)) {
            (Mode::Compat, _) => action_of_name(clip.stem),
            (Mode::Fixed, Some(Auxiliary::Action(action))) => action.to_lowercase(),
            (Mode::Fixed, _) => action_of_prompt(clip.prompt),
        };
        if clip.mode == Mode::Fixed && !self.labels.contains(&self.wanted) {
            return Err(format!("`{}` is none of the 400 actions that are recognised", self.wanted));
        }
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.frames.frame(index, || Ok(grid(transforms::umt(frame))))
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        let frames = stacked(self.frames.made()); // [16, 224, 224, 3]
        let logits = self.network.forward(&frames); // [400]
        if logits.iter().any(|logit| !logit.is_finite()) {
            return vec![(
                Dimension::HumanAction,
                Err("the network gave values that are not finite".to_owned()),
            )];
        }
        let found = recognised(&logits).into_iter().any(|label| self.labels[label] == self.wanted);
        let measured = Measured::new(found).with("cor_num_per_video", usize::from(found));
        vec![(Dimension::HumanAction, Ok(measured))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Suite;

    #[test]
    fn labels_are_in_vbench_s_order_and_every_prompt_of_the_suite_has_one() {
        let labels = labels();
        assert_eq!(labels[..3], ["riding a bike", "marching", "dodgeball"]);
        assert!(labels.iter().all(|label| !label.is_empty()));
        let entries: Vec<_> = Suite::standard().entries_of(Dimension::HumanAction).collect();
        assert_eq!(entries.len(), 100);
        for entry in entries {
            assert!(labels.contains(&action_of_name(&format!("{}-3", entry.prompt))), "{}", entry.prompt);
            assert!(!labels.contains(&action_of_name(&entry.prompt)), "{} without a number", entry.prompt);
            assert!(labels.contains(&action_of_prompt(&entry.prompt)), "{}", entry.prompt);
        }
    }

    #[test]
    fn five_labels_count_and_only_likely_ones() {
        let mut logits = vec![-3.0; 400];
        // σ(1.7346) = 0.84999: rounds to 0.85. σ(1.734) = 0.8499.
        for (label, logit) in [(7, 1.7346), (8, 1.734), (1, 4.0), (2, 3.0), (3, 2.0), (9, 1.0)] {
            logits[label] = logit;
        }
        assert_eq!(recognised(&logits), [1, 2, 3, 7]);
        (10..16).for_each(|label| logits[label] = 5.0);
        assert_eq!(recognised(&logits).len(), 5);
    }
}
