use vidit_video::{LatentShape, PixelShape};

use crate::{Model, RequestError};

/// What one request may ask for. Every limit is checked before memory is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the prompt, and of the negative one, in bytes.
    pub prompt_bytes_max: usize,
    /// Width and height in pixels.
    pub side_max: usize,
    /// Frames of a clip.
    pub frames_max: usize,
    /// Video tokens that the denoiser attends over.
    pub tokens_max: usize,
    /// Sampling steps.
    pub steps_max: usize,
    /// Frames a second.
    pub fps_max: u32,
    /// Guidance scale.
    pub guidance_max: u32,
    /// Estimated peak of memory, in bytes; see [`MemoryPlan`](crate::MemoryPlan).
    pub memory_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            prompt_bytes_max: 2000,
            side_max: 1024,
            frames_max: 1025,
            tokens_max: 16_384,
            steps_max: 1000,
            fps_max: 120,
            guidance_max: 50,
            memory_bytes_max: 16 << 30,
        }
    }
}

impl Limits {
    /// Frames and sides, before anything is multiplied.
    pub(crate) fn check_shape(&self, shape: PixelShape) -> Result<(), RequestError> {
        let within = |what, found, limit| match found <= limit {
            true => Ok(()),
            false => Err(RequestError::TooLarge { what, found, limit }),
        };
        within("frames", shape.frames, self.frames_max)?;
        within("width", shape.width, self.side_max)?;
        within("height", shape.height, self.side_max)
    }

    /// The latent shape of a clip that lies within the limits and on the model's grid.
    pub(crate) fn check_grid(&self, model: &Model, shape: PixelShape) -> Result<LatentShape, RequestError> {
        self.check_shape(shape)?;
        let latent = model.compression().latent_from_pixel(shape)?;
        let tokens = model.tokens(latent);
        match tokens <= self.tokens_max {
            true => Ok(latent),
            false => Err(RequestError::TooManyTokens { shape, found: tokens, limit: self.tokens_max }),
        }
    }
}
