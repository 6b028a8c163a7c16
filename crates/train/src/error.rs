use std::path::PathBuf;

use vidit_weights::{WeightsError, hint_of};

/// Why training could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration file.
    #[error("`{path}` is not a training configuration: {reason}")]
    Config {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A value of the configuration that cannot be used.
    #[error("training configuration: {0}")]
    Setting(String),
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}\nhint: {}", hint_of(source))]
    Io {
        /// `create`, `append to` …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Weights or checkpoints.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A run folder already holds a checkpoint and `--resume` was not given, or the other way round.
    #[error("{0}")]
    Resume(String),
    /// Training data.
    #[error("training data: {0}")]
    Data(String),
    /// The loss is not a number any more.
    #[error(
        "the loss at step {step} is `{loss}`\nhint: lower the learning rate; the last checkpoint in `{folder}` is sound"
    )]
    Diverged {
        /// At which step.
        step: u64,
        /// The loss.
        loss: f32,
        /// The run's folder.
        folder: PathBuf,
    },
}

impl TrainError {
    /// Whether the caller asked for what cannot be done, as opposed to work that failed.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config { .. } | Self::Setting(_) | Self::Resume(_))
    }
}
