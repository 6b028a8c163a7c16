//! DINO (Caron et al. 2021): a vision transformer whose class token says what is in an image.

#[cfg(test)]
mod parity;

use std::borrow::Cow;

use vidit_weights::TensorStore;

use crate::layers::{Activation, BlockNames, Encoder, Filter, LayerNorm, Patches, interpolate};
use crate::{BackboneError, Checkpoint, Grid, Tokens};

const NETWORK: &str = "DINO";
const EPSILON: f32 = 1e-6;

/// Sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Side of a patch in pixels, `P`.
    pub patch: usize,
    /// Side of the grid that positions were learned on, in patches.
    pub grid: usize,
    /// Width of a token, `D`.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
}

impl Config {
    /// `dino_vitbase16_pretrain.pth`.
    pub const VIT_B_16: Self = Self { patch: 16, grid: 14, width: 768, depth: 12, heads: 12 };
}

/// The network.
pub struct Dino {
    config: Config,
    patches: Patches,
    class: Vec<f32>,
    class_position: Vec<f32>,
    /// `[1, grid, grid, D]`.
    positions: Grid,
    encoder: Encoder,
    norm: LayerNorm,
}

impl Dino {
    /// Of a checkpoint with the official keys: `cls_token`, `pos_embed`, `patch_embed.proj.*`, `blocks.N.*`, `norm.*`.
    ///
    /// # Errors
    /// If a tensor is absent, has another shape than `config` says, or has no use.
    pub fn load(store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        Self::load_as(NETWORK, store, config)
    }

    /// The same under another name in messages.
    pub(crate) fn load_as(
        network: &'static str,
        store: TensorStore,
        config: Config,
    ) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(network, store);
        let root = checkpoint.root();
        let Config { patch, grid, width, depth, heads } = config;
        let patches = Patches::load(&root.at("patch_embed.proj"))?;
        if (patches.size(), patches.width()) != (patch, width) {
            return Err(BackboneError::Config {
                network,
                reason: format!(
                    "patches of `{}` pixels become tokens of width `{}`, expected {patch} and {width}",
                    patches.size(),
                    patches.width()
                ),
            });
        }
        let mut class_position = root.take("pos_embed", &[1, 1 + grid * grid, width])?;
        let positions = Grid::new(class_position.split_off(width), [1, grid, grid, width]);
        let sizes = [width, 4 * width, heads];
        let dino = Self {
            config,
            patches,
            class: root.take("cls_token", &[1, 1, width])?,
            class_position,
            positions,
            encoder: Encoder::load(
                &root.at("blocks"),
                depth,
                BlockNames::TIMM,
                sizes,
                EPSILON,
                Activation::Gelu,
            )?,
            norm: LayerNorm::load(&root.at("norm"), width, EPSILON)?,
        };
        checkpoint.finish(|_| false)?;
        Ok(dino)
    }

    /// The class token after the last norm, `[B, D]`, of images `[B, H, W, 3]`, any sizes of at least a patch: RGB in 0..1, less ImageNet's
    /// mean (0.485, 0.456, 0.406), over its deviation (0.229, 0.224, 0.225).
    pub fn forward(&self, images: &Grid) -> Vec<f32> {
        self.watched(images, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed. The last block has one token a sequence.
    ///
    /// # Panics
    /// If an image holds no patch: a bug of the caller.
    pub fn watched(&self, images: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        let side = self.config.patch;
        let rows = images.height / side;
        let columns = images.width / side;
        assert!(rows > 0 && columns > 0, "images of {}×{} hold no patch", images.height, images.width);
        let x = self.patches.forward(images); // [B, rows·columns, D]
        watch("patches", &x.data);
        let square = images.height == images.width;
        let positions = self.positions_of([rows, columns], square);
        let x = self.with_class(x, &positions); // [B, 1 + rows·columns, D]
        watch("embedded", &x.data);
        let places = vec![0; images.batch];
        let x = self.encoder.forward_one(x, &places, watch); // [B, 1, D]
        let feature = self.norm.forward(&x.data);
        watch("feature", &feature);
        feature
    }

    fn with_class(&self, mut x: Tokens, positions: &Grid) -> Tokens {
        x.add_to_each(&positions.data);
        let first: Vec<f32> = self.class.iter().zip(&self.class_position).map(|(a, b)| a + b).collect();
        x.with_first(&first)
    }

    /// Positions of an image of so many patches. The official code stretches the table unless the image is square and has as many
    /// patches as the table, and asks for a scale of `(n + 0.1) / grid` so that rounding cannot lose a patch: places are then computed
    /// with that scale.
    fn positions_of(&self, [rows, columns]: [usize; 2], square: bool) -> Cow<'_, Grid> {
        let grid = self.config.grid;
        if square && rows * columns == grid * grid {
            return Cow::Borrowed(&self.positions);
        }
        let scales = [rows, columns].map(|n| (n as f64 + 0.1) / grid as f64);
        Cow::Owned(interpolate(&self.positions, [rows, columns], Some(scales), Filter::Bicubic))
    }
}
