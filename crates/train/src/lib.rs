//! How does it learn?
//!
//! One loop ([`run`]) drives any [`Task`]: the VAE and the transformer differ in their batches and losses alone. Every
//! random choice is a function of (seed, step, sample), so a resumed run repeats what an unbroken one would have done.

pub mod boxes;
mod checkpoint;
mod config;
pub mod denoiser;
mod error;
mod feed;
mod file;
mod latents;
mod optimizer;
mod run;
mod schedule;
mod sheet;
mod source;
pub mod vae;
mod widen;

pub use config::{Decay, OptimizerConfig, Rule, RunConfig};
pub use error::TrainError;
pub use feed::{Fed, feed};
pub use file::{Summary, feed_file, read_config, train_file};
pub use latents::LatentCache;
pub use optimizer::Optimizer;
pub use run::{Progress, Task, run};
pub use source::{DataConfig, Source};
