//! What networks of optical flow do beside convolutions: correlations within windows (Teed & Deng 2020), the gates of a
//! convolutional GRU, convex upsampling, warping.
//!
//! Maps are `[H, W, C]`; flows and places are pairs of x and y, in pixels of the map at hand.

mod correlation;
mod recurrent;
mod upsample;
mod warp;

pub use correlation::{Level, Windows};
pub use recurrent::{GruGates, GruUpdate};
pub use upsample::convex_upsample;
pub use warp::{Candidates, warp};

#[cfg(test)]
mod tests;
