//! How fast is it, on shapes that real models have?
//!
//! A [`Case`] is one named computation on random normal operands. [`measure`] runs it several times and gives the median,
//! beside the peak that the same machine reached on registers alone in the same run.

mod kernels;
mod measure;
mod train;
mod wan;

pub use kernels::kernels;
pub use measure::{Case, Measured, Peaks, Work, measure};
pub use train::train_step;
pub use wan::{TOKENS, vae_decode, wan_block, wan_step};
