//! From a frame to what a network sees, with the roundings of the libraries that the reference calls.
//!
//! Five resamplers, because the reference uses five: torch without antialiasing on floats and on bytes, torch with it,
//! Pillow's and OpenCV's. They agree in nothing but the size of the result.

mod antialias;
mod interpolate;
mod opencv;
mod pillow;
mod prepare;
mod sizes;

#[cfg(test)]
mod tests;

pub use antialias::resize_antialiased;
pub use interpolate::{Coordinates, resize_bytes, resize_floats};
pub use opencv::resize_linear;
pub use pillow::resize_pillow;
pub use prepare::{
    CLIP_SIDE, FloatFrame, Normalisation, clip_pillow, clip_tensor, dino, dino_crop_pillow, dino_crop_tensor,
    dreamsim_pillow, dreamsim_tensor, musiq, tag2text, tag2text_pillow, umt, viclip,
};
pub use sizes::{MusiqRule, Window, centre, musiq_size, short_side};

/// How values between samples are guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// A triangle over 2 samples.
    Bilinear,
    /// A cubic over 4 samples (Keys 1981); its `a` is −0.75 without antialiasing and −0.5 with it.
    Bicubic,
}

impl Kernel {
    /// Samples to each side at which the kernel ends, where it is not cut off before.
    fn reach(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }
}
