//! A run's folder: `checkpoint.safetensors` (everything), `weights.safetensors` (the averages), `metrics.jsonl`, samples.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use vidit_weights::{StoredType, TensorStore};

use crate::TrainError;

/// The file that a run goes on from.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// Paths in a run's folder.
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Creates the folder if need be.
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        fs::create_dir_all(path).map_err(|source| TrainError::Io {
            action: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(path.to_owned()))
    }

    fn checkpoint(&self) -> PathBuf {
        self.0.join(CHECKPOINT)
    }

    fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// Where the averaged weights lie.
    pub fn weights(&self) -> PathBuf {
        self.0.join("weights.safetensors")
    }

    /// Where a sample of this step goes.
    pub fn sample(&self, step: u64) -> PathBuf {
        self.0.join(format!("sample-{step:07}.png"))
    }

    /// The last checkpoint, if any.
    pub fn read_checkpoint(&self) -> Result<Option<TensorStore>, TrainError> {
        let path = self.checkpoint();
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(TensorStore::read(&path)?))
    }

    pub fn write_checkpoint(&self, state: &TensorStore, averages: &TensorStore) -> Result<(), TrainError> {
        averages.write(&self.weights(), |_| StoredType::F32)?;
        state.write(&self.checkpoint(), |_| StoredType::F32)?;
        Ok(())
    }

    /// Drops metric lines after `step`: a resumed run writes them again.
    pub fn truncate_metrics(&self, step: u64) -> Result<(), TrainError> {
        let path = self.metrics();
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        let kept: String = text
            .lines()
            .filter(|line| {
                serde_json::from_str::<serde_json::Value>(line)
                    .is_ok_and(|value| value["step"].as_u64().is_some_and(|s| s <= step))
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        vidit_weights::write_atomically(&path, kept.as_bytes())?;
        Ok(())
    }

    pub fn append_metrics(&self, line: &serde_json::Value) -> Result<(), TrainError> {
        let path = self.metrics();
        let append = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(format!("{line}\n").as_bytes())
        };
        append().map_err(|source| TrainError::Io { action: "append to", path: path.clone(), source })
    }
}
