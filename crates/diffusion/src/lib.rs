//! How does noise become data? Rectified flow: schedules, samplers, guidance and the training distribution of noise
//! levels. Nothing here knows a network.
//!
//! Conventions: `x_σ = (1 − σ)·x0 + σ·ε` with σ from 1 (noise) to 0 (clean); networks predict `v = ε − x0`.

pub mod guidance;
pub mod noise;
pub mod sampler;
pub mod schedule;
