//! The loop.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde_json::json;

use crate::checkpoint::{CHECKPOINT, RunFolder};
use crate::optimizer::Optimizer;
use crate::schedule::{ema_decay, learning_rate};
use crate::{OptimizerConfig, RunConfig, TrainError};

/// What is learned: a network, its batches and its loss.
pub trait Task {
    /// The network.
    type Model: Module;
    /// What one loss is computed from.
    type Batch;

    /// The network at its first step.
    ///
    /// # Errors
    /// If weights that it starts from cannot be read.
    fn model(&self, seed: u64, device: &Device) -> Result<Self::Model, TrainError>;

    /// Whether a weight stays as it is; none does where nothing else is said.
    fn keeps(&self, _key: &str) -> bool {
        false
    }

    /// The batch of a step; a function of its arguments alone.
    ///
    /// # Errors
    /// If data cannot be read.
    fn batch(&self, seed: u64, step: u64, part: usize, device: &Device) -> Result<Self::Batch, TrainError>;

    /// The scalar loss, and parts of it worth logging.
    fn loss(&self, model: &Self::Model, batch: Self::Batch) -> (Tensor<1>, Vec<(&'static str, f32)>);

    /// Draws a sample with the averaged weights, without tape.
    ///
    /// # Errors
    /// If the image cannot be written.
    fn preview(&self, model: &Self::Model, device: &Device, path: &Path) -> Result<(), TrainError>;

    /// Text to store beside the weights.
    fn metadata(&self) -> BTreeMap<String, String>;
}

/// What a caller may show after each step.
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Loss of the last step.
    pub loss: f32,
    /// Seconds of the last step.
    pub step_secs: f64,
}

/// Trains to the configured number of steps, or until `stop` is raised; then a checkpoint is left. Returns steps done.
///
/// # Errors
/// If the folder holds a checkpoint and `resume` is off, or none and it is on; if data or files fail; if the loss stops
/// being a number.
pub fn run<T: Task>(
    task: &T,
    config: &RunConfig,
    optimizer_config: &OptimizerConfig,
    device: &Device,
    resume: bool,
    stop: &AtomicBool,
    mut on_step: impl FnMut(Progress),
) -> Result<u64, TrainError> {
    let folder = RunFolder::create(&config.folder)?;
    let train_device = device.clone().autodiff();
    let mut model = task.model(config.seed, &train_device)?;
    let mut optimizer = Optimizer::new(&model, |key| task.keeps(key));
    match (folder.read_checkpoint()?, resume) {
        (Some(state), true) => {
            optimizer
                .restore(&state)
                .map_err(|error| error.in_file(config.folder.join(CHECKPOINT).display()))?;
            folder.truncate_metrics(optimizer.step)?;
            model = optimizer.apply(model);
        }
        (None, true) => {
            return Err(TrainError::Resume(format!(
                "`{}` holds no checkpoint to resume\nhint: leave out `--resume` to begin",
                config.folder.display()
            )));
        }
        (Some(_), false) => {
            return Err(TrainError::Resume(format!(
                "`{}` already holds a checkpoint\nhint: `--resume` goes on with it; another `folder` begins anew",
                config.folder.display()
            )));
        }
        (None, false) => folder.truncate_metrics(0)?,
    }
    // Samples are drawn without tape, from a module whose weights are replaced each time.
    let untaped = if config.preview_every > 0 { Some(task.model(config.seed, device)?) } else { None };
    let mut logged: BTreeMap<&'static str, (f64, u64)> = BTreeMap::new();
    let keep = |optimizer: &Optimizer| {
        let mut averages = optimizer.averages();
        averages.metadata = task.metadata();
        averages.metadata.insert("step".into(), optimizer.step.to_string());
        folder.write_checkpoint(&optimizer.state(), &averages)
    };
    let mut kept = optimizer.step;
    while optimizer.step < config.steps && !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let step = optimizer.step;
        let mut loss_sum = 0.0;
        for part in 0..config.accumulate {
            let batch = task.batch(config.seed, step, part, &train_device)?;
            let (loss, parts) = task.loss(&model, batch);
            let gradients = loss.backward();
            let value = loss.into_scalar::<f32>();
            if !value.is_finite() {
                return Err(TrainError::Diverged { step, loss: value, folder: config.folder.clone() });
            }
            loss_sum += value;
            for (name, value) in parts.into_iter().chain([("loss", value)]) {
                let sum = logged.entry(name).or_default();
                *sum = (sum.0 + value as f64, sum.1 + 1);
            }
            optimizer.accumulate(&model, &gradients);
        }
        let rate = learning_rate(optimizer_config, step, config.steps);
        let norm = optimizer.update(
            optimizer_config,
            rate,
            ema_decay(optimizer_config.ema, step),
            config.accumulate,
        );
        model = optimizer.apply(model);
        let done = optimizer.step;
        let step_secs = started.elapsed().as_secs_f64();
        if done % config.log_every == 0 || done == config.steps {
            let mut line =
                json!({"step": done, "learning_rate": rate, "gradient_norm": norm, "step_secs": step_secs});
            for (name, (sum, count)) in std::mem::take(&mut logged) {
                line[name] = json!(sum / count as f64);
            }
            folder.append_metrics(&line)?;
        }
        if done % config.checkpoint_every == 0 || done == config.steps {
            keep(&optimizer)?;
            kept = done;
        }
        if let Some(untaped) = &untaped
            && (done % config.preview_every == 0 || done == config.steps)
        {
            let averaged = optimizer.apply_average(untaped.clone());
            task.preview(&averaged, device, &folder.sample(done))?;
        }
        on_step(Progress {
            step: done,
            steps: config.steps,
            loss: loss_sum / config.accumulate as f32,
            step_secs,
        });
    }
    if kept < optimizer.step {
        keep(&optimizer)?;
    }
    Ok(optimizer.step)
}
