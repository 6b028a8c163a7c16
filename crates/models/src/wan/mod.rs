//! `wan`: the Wan 2.1 text-to-video networks (Wan-Video/Wan2.1, Apache-2.0) at the sizes and under the keys of the released
//! checkpoints: diffusion transformer and causal video VAE. What is here and what is not: `README.md` in this folder.

pub mod config;
#[cfg(test)]
mod parity;
pub mod transformer;
pub mod vae;
mod weights;

pub use weights::load;
