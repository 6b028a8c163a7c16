//! DINOv2 (Oquab et al. 2023): DINO's network with a scale of each branch's channels, trained on more, and on larger images.

#[cfg(test)]
mod parity;

use vidit_weights::TensorStore;

use crate::dino::{Config, Dino};
use crate::{BackboneError, Grid};

const NETWORK: &str = "DINOv2";

/// `dinov2_vitb14_pretrain.pth`, without registers.
pub const VIT_B_14: Config = Config { patch: 14, grid: 37, width: 768, depth: 12, heads: 12 };

/// The network.
pub struct DinoV2 {
    network: Dino,
    patch: usize,
}

impl DinoV2 {
    /// Of a checkpoint with the official keys: DINO's, and `mask_token`, which only training needs, and `blocks.N.ls1.gamma` and
    /// `ls2.gamma`, which are multiplied into the products before them.
    ///
    /// # Errors
    /// If a tensor is absent, has another shape than `config` says, or has no use: registers are of other checkpoints.
    pub fn load(mut store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        store.tensors.remove("mask_token");
        for block in 0..config.depth {
            for (scale, product) in [("ls1", "attn.proj"), ("ls2", "mlp.fc2")] {
                let gamma = format!("blocks.{block}.{scale}.gamma");
                fold(&mut store, gamma, &format!("blocks.{block}.{product}"), config.width)?;
            }
        }
        Ok(Self { network: Dino::load_as(NETWORK, store, config)?, patch: config.patch })
    }

    /// The class token after the last norm, `[B, D]`, of images `[B, H, W, 3]` whose sides are multiples of a patch's: RGB in 0..1, less
    /// ImageNet's mean (0.485, 0.456, 0.406), over its deviation (0.229, 0.224, 0.225).
    pub fn forward(&self, images: &Grid) -> Vec<f32> {
        self.watched(images, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed. The last block has one token a sequence.
    ///
    /// # Panics
    /// If sides are none: a bug of the caller.
    pub fn watched(&self, images: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        let (height, width, patch) = (images.height, images.width, self.patch);
        assert!(
            height.is_multiple_of(patch) && width.is_multiple_of(patch),
            "images of {height}×{width} are not made of patches of {patch}"
        );
        self.network.watched(images, watch)
    }
}

/// Multiplies the outputs of a product by `gamma [D]`.
fn fold(store: &mut TensorStore, gamma: String, product: &str, width: usize) -> Result<(), BackboneError> {
    let expected = vec![width];
    let scale = match store.tensors.remove(&gamma) {
        None => return Err(BackboneError::Missing { network: NETWORK, key: gamma, expected }),
        Some(scale) if scale.shape != expected => {
            return Err(BackboneError::Shape { network: NETWORK, key: gamma, expected, found: scale.shape });
        }
        Some(scale) => scale.values,
    };
    for name in ["weight", "bias"] {
        // What is absent or of another shape is named by the network.
        if let Some(entry) = store.tensors.get_mut(&format!("{product}.{name}")) {
            let row = (entry.values.len() / width.max(1)).max(1);
            entry.values.chunks_mut(row).zip(&scale).for_each(|(row, scale)| {
                row.iter_mut().for_each(|value| *value *= scale);
            });
        }
    }
    Ok(())
}
