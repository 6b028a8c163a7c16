//! What steers a denoiser, beyond the noise itself.
//!
//! One type for everything a person may ask for, so that verbs differ in what they fill in and not in the code they run:
//!
//! | wish | filled in |
//! |---|---|
//! | text to video | `text` |
//! | first image, extension, loop, connection | the caller keeps those latent frames clean and gives them timestep 0 in [`Timesteps`] |
//! | boxes | `boxes`: up to eight control tokens a latent frame, read by an adapter's control layers |

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::mini::boxes::BoxControl;

/// Encoded prompts.
#[derive(Clone, Debug)]
pub struct TextEmbedding {
    /// Token states, `[B, S, D]`.
    pub tokens: Tensor<3>,
    /// One summary a prompt, `[B, 1, D]`.
    pub pooled: Tensor<3>,
    /// Tokens of each prompt that count, `B` values in `1..=S`.
    pub lengths: Arc<Vec<usize>>,
}

/// Everything that conditions one call of a denoiser.
#[derive(Clone, Debug)]
pub struct Conditioning {
    /// The prompts.
    pub text: TextEmbedding,
    /// Boxes, and the adapter that follows them.
    pub boxes: Option<BoxControl>,
}

impl Conditioning {
    /// The same for the first latent frames alone.
    pub fn of_first_frames(&self, count: usize) -> Self {
        let batch = self.text.lengths.len();
        Self {
            text: self.text.clone(),
            boxes: self.boxes.as_ref().map(|boxes| boxes.frames(batch, 0, count)),
        }
    }
}

/// Noise levels in 0..1, one a latent frame: 0 marks a frame that is given and clean, 1 pure noise. `[B, F]`.
#[derive(Clone, Debug)]
pub struct Timesteps(pub Tensor<2>);

impl Timesteps {
    /// `level(sample, frame)` of `batch` samples of so many latent frames.
    pub fn new(batch: usize, frames: usize, device: &Device, level: impl Fn(usize, usize) -> f32) -> Self {
        let values: Vec<f32> = (0..batch * frames).map(|i| level(i / frames, i % frames)).collect();
        Self(Tensor::from_data(TensorData::new(values, [batch, frames]), device))
    }

    /// The same levels, one a frame, in every sample.
    pub fn of_frames(levels: &[f32], batch: usize, device: &Device) -> Self {
        Self::new(batch, levels.len(), device, |_, frame| levels[frame])
    }
}
