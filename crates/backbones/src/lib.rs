//! What does a score see? The published networks that VBench measures with, for inference on CPUs: one folder a network.
//!
//! Feature maps are channels last, `[B, H, W, C]`; tokens `[B, L, D]`; everything is f32 over `vidit-kernels`. Keys of weights are
//! the published checkpoints' own. Every network is held to its official code by a golden at a tiny configuration.

pub mod amt;
pub mod clip;
pub mod cotracker;
pub mod dino;
pub mod dinov2;
pub mod dreamsim;
mod error;
mod grid;
pub mod grit;
pub mod layers;
pub mod musiq;
pub mod raft;
pub mod swin;
pub mod tag2text;
pub mod umt;
pub mod viclip;
mod weights;
mod wordpiece;

pub use error::BackboneError;
pub use grid::{Grid, Tokens};
pub use weights::{Checkpoint, Weights};
pub use wordpiece::Vocabulary;

#[cfg(test)]
mod golden;
