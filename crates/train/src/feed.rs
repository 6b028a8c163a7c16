//! Batches for a learner elsewhere: what a run would learn from, written instead of learned.
//!
//! A card that our own kernels do not reach is still worth using. Whoever holds the network there needs no composer, VAE,
//! captions or schedule of noise levels: those are one implementation, this one.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use burn::tensor::Device;
use rayon::prelude::*;
use vidit_weights::{StoredType, TensorStore};

use crate::{RunConfig, Task, TrainError};

/// A task whose batches are plain tensors.
pub trait Fed: Task {
    /// The batch by name. Noise is left to the learner.
    fn tensors(&self, batch: Self::Batch) -> TensorStore;

    /// Encodes every clip that may be drawn.
    ///
    /// # Errors
    /// If a clip cannot be read.
    fn warm(&self) -> Result<(), TrainError>;
}

/// Batches that are made side by side.
const AT_ONCE: u64 = 16;

/// Writes the batches of all steps in their order, until `stop` is raised or the reader has had enough. Each is its length in bytes,
/// 64 bits, little endian, and so many bytes of a safetensors file: latents in half precision, all else in single. Returns how
/// many were written. With `encode_first` no batch is written before every clip is encoded.
///
/// # Errors
/// If data cannot be read or `out` fails for another reason than that nobody reads it.
pub fn feed<T: Fed + Sync>(
    task: &T,
    config: &RunConfig,
    device: &Device,
    encode_first: bool,
    stop: &AtomicBool,
    out: &mut dyn Write,
    on_batch: &mut dyn FnMut(u64, u64),
) -> Result<u64, TrainError> {
    if encode_first {
        task.warm()?;
    }
    let total = config.steps * config.accumulate as u64;
    let bytes_of = |number: u64| -> Result<Vec<u8>, TrainError> {
        let (step, part) = (number / config.accumulate as u64, number % config.accumulate as u64);
        let batch = task.batch(config.seed, step, part as usize, device)?;
        let stored = |key: &str| if key == "clean" { StoredType::F16 } else { StoredType::F32 };
        Ok(task.tensors(batch).to_bytes(stored))
    };
    let mut written = 0;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            for begin in (0..total).step_by(AT_ONCE as usize) {
                let end = (begin + AT_ONCE).min(total);
                let some: Result<Vec<Vec<u8>>, TrainError> =
                    (begin..end).into_par_iter().map(bytes_of).collect();
                let failed = some.is_err();
                // Nobody takes them any more, or there is nothing to go on with.
                if sender.send(some).is_err() || failed {
                    return;
                }
            }
        });
        for some in receiver {
            for bytes in some? {
                if stop.load(Ordering::Relaxed) {
                    return Ok(written);
                }
                let length = (bytes.len() as u64).to_le_bytes();
                match out.write_all(&length).and_then(|()| out.write_all(&bytes)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(written),
                    Err(error) => return Err(failed_to_write(error)),
                }
                written += 1;
                on_batch(written, total);
            }
        }
        out.flush().map_err(failed_to_write)?;
        Ok(written)
    })
}

fn failed_to_write(source: std::io::Error) -> TrainError {
    TrainError::Io { action: "write to", path: "standard output".into(), source }
}
