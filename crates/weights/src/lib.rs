//! Where do parameters come from? Safetensors files whose keys are the paths of the modules' fields, and checkpoints of
//! PyTorch that become such files.

mod error;
#[cfg(feature = "modules")]
mod module;
mod store;
mod torch;

pub use error::{WeightsError, hint_of};
#[cfg(feature = "modules")]
pub use module::{collect, load_into, parameter_count};
pub use store::{Entry, StoredType, TensorStore, write_atomically};
pub use torch::{Converted, Skipped, TorchCheckpoint};
