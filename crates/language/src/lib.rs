//! Who rewrites a prompt? A small language model of the user's own: GGUF or safetensors, of the llama, qwen2 and qwen3
//! families, computed with candle.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use vidit_language::{LanguageModel, Options};
//!
//! let mut model = LanguageModel::open("smollm2.gguf".as_ref())?;
//! let rewritten = model.rewrite("a cat", &Options::default(), |_| {}, &AtomicBool::new(false))?;
//! println!("{}", rewritten.text);
//! # Ok::<(), vidit_language::LanguageError>(())
//! ```

mod answer;
mod changes;
mod chat;
mod config;
mod decoder;
mod error;
mod folder;
mod gguf;
mod instructions;
mod model;
mod opened;
mod sampling;
mod tokenizer;
mod weights;

#[cfg(test)]
mod parity;

pub use changes::{Change, ChangeKind, changes};
pub use config::{Architecture, Config, Rotary};
pub use error::LanguageError;
pub use model::{LanguageModel, Options, Progress, Rewritten};
