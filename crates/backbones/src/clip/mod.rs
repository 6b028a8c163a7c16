//! CLIP (Radford et al. 2021): images and texts as vectors of one space. The towers are vision and text transformers; sizes are told
//! from the weights, as openai-clip does.

mod aesthetic;
mod bpe;
mod clean;
mod entities;
mod image;
mod text;

#[cfg(test)]
mod parity;

pub use aesthetic::AestheticHead;
pub use bpe::{TextError, Tokenizer, TooLong};
pub use image::ImageTower;
pub use text::TextTower;

use vidit_weights::TensorStore;

use crate::{BackboneError, Checkpoint};

const NETWORK: &str = "CLIP";
/// What the keys of the image tower begin with.
pub const IMAGE: &str = "visual.";
const EPSILON: f32 = 1e-5;

/// What the weights' shapes do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width of an attention head, in both towers.
    pub head_width: usize,
}

impl Config {
    /// All of OpenAI's, `ViT-B-32.pt` and `ViT-L-14.pt` among them.
    pub const OPENAI: Self = Self { head_width: 64 };
}

/// Both towers.
pub struct Clip {
    /// The image tower.
    pub image: ImageTower,
    /// The text tower.
    pub text: TextTower,
    /// What cosines are multiplied by to be logits, about 100.
    pub logit_scale: f32,
}

impl Clip {
    /// Of a checkpoint with OpenAI's keys.
    ///
    /// # Errors
    /// If a tensor is absent, misshapen, or has no use; if the image tower is no vision transformer.
    pub fn load(store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NETWORK, store);
        let root = checkpoint.root();
        let clip = Self {
            image: ImageTower::take(&root.at("visual"), config)?,
            text: TextTower::take(&root, config)?,
            logit_scale: root.take("logit_scale", &[])?[0].exp(),
        };
        checkpoint.finish(is_size)?;
        Ok(clip)
    }

    /// The image tower alone of the same checkpoint, of which keys that begin with [`IMAGE`] are enough.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_image(store: TensorStore, config: Config) -> Result<ImageTower, BackboneError> {
        let checkpoint = Checkpoint::new(NETWORK, store);
        let image = ImageTower::take(&checkpoint.root().at("visual"), config)?;
        checkpoint.finish(|key| !key.starts_with(IMAGE))?;
        Ok(image)
    }
}

/// Sizes that the published archives hold beside the weights.
fn is_size(key: &str) -> bool {
    ["input_resolution", "context_length", "vocab_size"].contains(&key)
}

/// Heads of a tower, from its width.
pub(crate) fn heads(network: &'static str, width: usize, config: Config) -> Result<usize, BackboneError> {
    if config.head_width == 0 || width == 0 || width % config.head_width != 0 {
        return Err(BackboneError::Config {
            network,
            reason: format!("width `{width}` is not made of heads of width {}", config.head_width),
        });
    }
    Ok(width / config.head_width)
}

/// Blocks of a tower, at least one.
pub(crate) fn depth(weights: &crate::Weights) -> Result<usize, BackboneError> {
    match weights.count("resblocks") {
        0 => Err(BackboneError::Config {
            network: weights.network(),
            reason: "there is no `resblocks.0`, expected a transformer's blocks".to_owned(),
        }),
        depth => Ok(depth),
    }
}
