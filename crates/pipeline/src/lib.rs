//! How is a video made? Request → validated request → stages.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use vidit_pipeline::{Device, Limits, Model, Request, generate};
//!
//! let model = Model::embedded(&Device::flex())?;
//! let request = Request::new("a red car drives to the left").validate(&model, &Limits::default())?;
//! let made = generate(&model, &request, |_| {}, &AtomicBool::new(false))?;
//! assert_eq!(made.frames.shape(), request.shape());
//! # Ok::<(), vidit_pipeline::Error>(())
//! ```

mod device;
mod error;
#[cfg(test)]
mod fixtures;
mod generate;
mod given;
mod latents;
mod limits;
mod memory;
mod model;
mod request;
mod seam;
mod verbs;

pub use burn::tensor::Device;
pub use device::{DEVICES, DeviceError, built_devices, device};
pub use error::{Error, RequestError};
pub use generate::{
    Generated, Progress, Stage, Timings, decode_latents, generate, guided_velocity, reconstruct,
};
pub use given::{Given, Mask, check_strength};
pub use latents::{Latents, Provenance};
pub use limits::Limits;
pub use memory::MemoryPlan;
pub use model::{MINI, Model};
pub use request::{Request, ValidRequest, drawn_seed};
pub use seam::Again;
pub use verbs::{Direction, TIME as FRAMES_PER_LATENT, TOLD_AT_ONCE, Wish, go_on, in_boxes, timeline};
pub use vidit_diffusion::sampler::Sampler;
pub use vidit_models::mini::{DEFAULT_FPS, DEFAULT_SHAPE};
