//! What every training run has to say.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The part of a configuration file that does not depend on the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Where checkpoints, metrics and samples go.
    pub folder: PathBuf,
    /// Seed of weights, data and noise.
    pub seed: u64,
    /// Optimiser steps in all.
    pub steps: u64,
    /// Batches whose gradients are averaged for one step.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Steps between two checkpoints.
    pub checkpoint_every: u64,
    /// Steps between two sample images, 0 for none.
    #[serde(default)]
    pub preview_every: u64,
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: u64,
}

/// Which rule moves the matrices inside of blocks. All else moves by AdamW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// AdamW.
    #[default]
    AdamW,
    /// Orthogonalised momentum: fewer steps to the same loss, some time more for each.
    Muon,
}

/// The optimiser and what surrounds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The rule for matrices inside of blocks.
    #[serde(default)]
    pub rule: Rule,
    /// Highest learning rate.
    pub learning_rate: f32,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// How the rate falls after the warm-up.
    pub decay: Decay,
    /// The rate at the end, as a fraction of the highest.
    pub final_fraction: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Gradients whose global norm is larger are scaled down to it.
    pub clip_norm: f32,
    /// Decay of the averaged weights, which are the ones that are kept.
    pub ema: f32,
}

/// Shape of the learning-rate decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// None: the highest rate to the end.
    Constant,
    /// A straight line.
    Linear,
    /// Half a cosine.
    Cosine,
}

fn one() -> usize {
    1
}
