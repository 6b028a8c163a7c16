//! From a configuration file to a run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use serde::de::DeserializeOwned;
use vidit_weights::{StoredType, TensorStore};

use crate::boxes::BoxTask;
use crate::denoiser::DenoiserTask;
use crate::feed::feed;
use crate::vae::VaeTask;
use crate::{Progress, TrainError, run};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Steps done in all.
    pub steps: u64,
    /// The run's folder.
    pub folder: PathBuf,
}

/// The text of a configuration file.
///
/// # Errors
/// If the file cannot be read.
pub fn read_config(path: &Path) -> Result<String, TrainError> {
    std::fs::read_to_string(path).map_err(|source| TrainError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

fn parse<T: DeserializeOwned>(path: &Path, table: toml::Table) -> Result<T, TrainError> {
    table.try_into().map_err(|error: toml::de::Error| TrainError::Config {
        path: path.to_owned(),
        reason: refused_by_parser(&error),
    })
}

/// What the parser found, and where to look.
fn refused_by_parser(error: &toml::de::Error) -> String {
    format!("{}\nhint: the files of the folder `configs` are examples", error.to_string().trim_end())
}

/// The kind that a configuration file is of, and the rest of it.
fn read_table(path: &Path) -> Result<(String, toml::Table), TrainError> {
    let text = read_config(path)?;
    let config_error = |reason: String| TrainError::Config { path: path.to_owned(), reason };
    let mut table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| config_error(refused_by_parser(&error)))?;
    match table.remove("kind") {
        Some(toml::Value::String(kind)) => Ok((kind, table)),
        _ => Err(config_error(
            "`kind` is missing\nhint: `kind = \"vae\"`, `\"denoiser\"` or `\"boxes\"`".into(),
        )),
    }
}

/// Writes the batches of a run of kind `denoiser` or `boxes` to `out`, as [`feed`] does.
///
/// # Errors
/// If the file cannot be read or understood, and as [`feed`].
pub fn feed_file(
    path: &Path,
    encode_first: bool,
    stop: &AtomicBool,
    out: &mut dyn Write,
    on_batch: &mut dyn FnMut(u64, u64),
) -> Result<u64, TrainError> {
    let (kind, table) = read_table(path)?;
    let device = Device::flex();
    match kind.as_str() {
        "denoiser" => {
            let config: crate::denoiser::DenoiserTraining = parse(path, table)?;
            let run = config.run.clone();
            feed(&DenoiserTask::new(config, &device)?, &run, &device, encode_first, stop, out, on_batch)
        }
        "boxes" => {
            let config: crate::boxes::BoxTraining = parse(path, table)?;
            let run = config.run.clone();
            feed(&BoxTask::new(config, &device)?, &run, &device, encode_first, stop, out, on_batch)
        }
        other => Err(TrainError::Config {
            path: path.to_owned(),
            reason: format!("kind `{other}` has no batches to write\nhint: `denoiser` and `boxes` have"),
        }),
    }
}

/// Trains what the file describes (`kind = "vae"`, `"denoiser"` or `"boxes"`). A denoiser run, finished or stopped, leaves
/// `model.safetensors` beside its checkpoint: the whole model as far as it has learned, to generate with; a run of boxes leaves
/// `boxes.safetensors`, the adapter; one of a model's decoder alone `model.safetensors`, that model with it.
///
/// # Errors
/// If the file cannot be read or understood, and as [`run`].
pub fn train_file(
    path: &Path,
    resume: bool,
    stop: &AtomicBool,
    on_step: &mut dyn FnMut(Progress),
) -> Result<Summary, TrainError> {
    let (kind, table) = read_table(path)?;
    let device = Device::flex();
    match kind.as_str() {
        "vae" => {
            let config: crate::vae::VaeTraining = parse(path, table)?;
            let (run_config, optimizer) = (config.run.clone(), config.optimizer.clone());
            let task = VaeTask::new(config, &device)?;
            let steps = run(&task, &run_config, &optimizer, &device, resume, stop, on_step)?;
            if steps > 0 {
                let averages = TensorStore::read(&run_config.folder.join("weights.safetensors"))?;
                if let Some(model) = task.assemble(&averages) {
                    model.write(&run_config.folder.join("model.safetensors"), |_| StoredType::F16)?;
                }
            }
            Ok(Summary { steps, folder: run_config.folder })
        }
        "denoiser" => {
            let config: crate::denoiser::DenoiserTraining = parse(path, table)?;
            let (run_config, optimizer) = (config.run.clone(), config.optimizer.clone());
            let task = DenoiserTask::new(config, &device)?;
            let steps = run(&task, &run_config, &optimizer, &device, resume, stop, on_step)?;
            // Stopped before its first step, a run has no weights yet.
            if steps > 0 {
                let averages = TensorStore::read(&run_config.folder.join("weights.safetensors"))?;
                let path = run_config.folder.join("model.safetensors");
                task.assemble(&averages).store.write(&path, |_| StoredType::F16)?;
            }
            Ok(Summary { steps, folder: run_config.folder })
        }
        "boxes" => {
            let config: crate::boxes::BoxTraining = parse(path, table)?;
            let (run_config, optimizer) = (config.run.clone(), config.optimizer.clone());
            let task = BoxTask::new(config, &device)?;
            let steps = run(&task, &run_config, &optimizer, &device, resume, stop, on_step)?;
            if steps > 0 {
                let averages = TensorStore::read(&run_config.folder.join("weights.safetensors"))?;
                averages.write(&run_config.folder.join("boxes.safetensors"), |_| StoredType::F16)?;
            }
            Ok(Summary { steps, folder: run_config.folder })
        }
        other => Err(TrainError::Config {
            path: path.to_owned(),
            reason: format!("kind `{other}` is unknown\nhint: `vae`, `denoiser` or `boxes`"),
        }),
    }
}
