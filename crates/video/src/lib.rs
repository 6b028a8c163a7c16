//! What travels between stages? Shapes of pixels and latents, the arithmetic between the two spaces, and frames.

mod frames;
mod shape;

pub use frames::Frames;
pub use shape::{Compression, LatentShape, PixelShape, ShapeError};
