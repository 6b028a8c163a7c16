//! Which model on which device, and how much it may take.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::anyhow;
use vidit_pipeline::{Device, Limits, MINI, Model, device};

use crate::args::Network;
use crate::machine;
use crate::report::Failure;

/// The device and the model by name or path, the cheap checks first.
pub fn load(network: &Network) -> Result<Model, Failure> {
    let device: Device = device(&network.device).map_err(Failure::usage)?;
    if network.model == OsStr::new(MINI) {
        return Ok(Model::embedded(&device)?);
    }
    let path = Path::new(&network.model);
    if !path.is_file() {
        return Err(Failure::usage(anyhow!(
            "unknown model `{}`: neither a name nor a file\nhint: known is {MINI}; anything else is the path of a weights file",
            path.display()
        )));
    }
    Ok(Model::open(path, &device)?)
}

/// The same with the box adapter of this file, else with the one that is embedded beside the embedded model.
pub fn load_with_boxes(network: &Network, adapter: Option<&Path>) -> Result<Model, Failure> {
    let model = load(network)?;
    match adapter {
        None => Ok(model.with_embedded_boxes()?),
        Some(path) => Ok(model.with_boxes(path)?),
    }
}

/// The limits of this machine: what memory it has free, as far as that is known.
pub fn limits() -> Limits {
    let defaults = Limits::default();
    let free = machine::memory().map_or(defaults.memory_bytes_max, |memory| memory.available);
    Limits { memory_bytes_max: free, ..defaults }
}
