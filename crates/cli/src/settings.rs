//! Every environment variable, read once, here alone, but for `VIDIT_ISA`, which also hides instruction sets from the kernels.

use std::env::{self, VarError};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::anyhow;
use vidit_kernels::{ISA_VARIABLE, Isa, init_threads};

use crate::args::Compute;
use crate::report::{Failure, Outcome};

const THREADS: &str = "VIDIT_THREADS";
/// The folder of language models.
pub const MODELS: &str = "VIDIT_MODELS";
/// More than any machine gains from.
const THREADS_MAX: usize = 1024;

/// Sets up threads and instruction set for the whole process; only the first call counts.
pub fn apply(compute: &Compute) -> Outcome {
    static APPLIED: OnceLock<()> = OnceLock::new();
    if APPLIED.set(()).is_err() {
        return Ok(());
    }
    if let Some(name) = variable(ISA_VARIABLE)? {
        force(ISA_VARIABLE, &name)?;
    }
    let threads = match (compute.threads, variable(THREADS)?) {
        (Some(threads), _) => Some(checked("--threads", threads)?),
        (None, Some(text)) => {
            let threads = text.parse().map_err(|_| {
                Failure::usage(anyhow!("{THREADS} must be a number from 1 to {THREADS_MAX}, found `{text}`"))
            })?;
            Some(checked(THREADS, threads)?)
        }
        (None, None) => None,
    };
    init_threads(threads.unwrap_or(0)).map_err(|reason| Failure::from(anyhow!(reason)))
}

/// Uses no higher instruction set than that of this name, which came from `origin`.
pub fn force(origin: &str, name: &str) -> Outcome {
    let isa = Isa::from_name(name).ok_or_else(|| {
        let known = Isa::ALL.map(Isa::name).join(", ");
        Failure::usage(anyhow!(
            "{origin} names the unknown instruction set `{name}`\nhint: known are {known}"
        ))
    })?;
    isa.force().map_err(|reason| Failure::usage(anyhow!("{origin}: {reason}")))
}

fn checked(origin: &str, threads: usize) -> Result<usize, Failure> {
    match (1..=THREADS_MAX).contains(&threads) {
        true => Ok(threads),
        false => Err(Failure::usage(anyhow!("{origin} must be 1 to {THREADS_MAX}, found `{threads}`"))),
    }
}

/// The folder that language models are looked up in by name.
pub fn models_folder() -> Result<Option<PathBuf>, Failure> {
    Ok(variable(MODELS)?.map(PathBuf::from))
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(value)) => {
            Err(Failure::usage(anyhow!("{name} is not valid UTF-8, found `{}`", value.to_string_lossy())))
        }
    }
}
