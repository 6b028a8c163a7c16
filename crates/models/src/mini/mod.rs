//! `mini`: the model that the binary carries: text encoder, diffusion transformer and causal video VAE, trained from
//! nothing by `vidit train`. The model card is `docs/mini.md`.

pub mod boxes;
#[cfg(test)]
mod parity;
pub mod text;
pub mod transformer;
pub mod vae;
mod vocabulary;
mod weights;

use burn::module::Module;
use serde::{Deserialize, Serialize};
use vidit_video::Compression;

pub use vocabulary::Vocabulary;
pub use weights::{Mini, MiniWeights, metadata};

use crate::nn::Init;
use text::{TextConfig, TextEncoder};
use transformer::{Transformer, TransformerConfig};

/// Sizes of the denoiser and its text encoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserConfig {
    /// The text encoder.
    pub text: TextConfig,
    /// The transformer.
    pub transformer: TransformerConfig,
}

/// The two networks that are trained together on latents.
#[derive(Module, Debug)]
pub struct Denoiser {
    /// Prompt → states.
    pub text: TextEncoder,
    /// Noised latents → velocity.
    pub transformer: Transformer,
}

impl Denoiser {
    /// Random weights.
    pub fn new(config: &DenoiserConfig, vocabulary_size: usize, init: &mut Init) -> Self {
        Self {
            text: TextEncoder::new(&config.text, vocabulary_size, init),
            transformer: Transformer::new(&config.transformer, init),
        }
    }
}

/// The size made when none is asked for: 25 frames of 128 × 128.
pub const DEFAULT_SHAPE: vidit_video::PixelShape =
    vidit_video::PixelShape { frames: 25, height: 128, width: 128 };
/// Frames a second of the training clips.
pub const DEFAULT_FPS: u32 = 12;

/// The grid that requests must fit.
pub fn compression(vae: &vae::VaeConfig, denoiser: &DenoiserConfig) -> Compression {
    vae.compression(denoiser.transformer.patch)
}
