use vidit_weights::TensorStore;

use super::{Config, NETWORK, Part};
use crate::layers::{Activation, BlockNames, Encoder, LayerNorm, Linear, Patches};
use crate::{BackboneError, Checkpoint, Grid};

/// A vision transformer with DINO's keys. CLIP's have a norm before the blocks, called `pos_drop`, and a projection, `proj`.
pub(super) struct Tower {
    patches: Patches,
    class: Vec<f32>,
    /// `[1 + grid², D]`.
    positions: Vec<f32>,
    grid: usize,
    before: Option<LayerNorm>,
    encoder: Encoder,
    after: Option<(LayerNorm, Linear)>,
}

impl Tower {
    pub fn load(part: Part, store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NETWORK, store);
        let root = checkpoint.root();
        let refused = |reason: String| BackboneError::Config {
            network: NETWORK,
            reason: format!("`{}`: {reason}", part.name()),
        };
        let (epsilon, activation) = match part {
            Part::Dino => (1e-6, Activation::Gelu),
            Part::Clip => (1e-5, Activation::QuickGelu),
            Part::OpenClip => (1e-5, Activation::Gelu),
        };
        let patches = Patches::load(&root.at("patch_embed.proj"))?;
        let width = patches.width();
        let (shape, positions) = root.take_any("pos_embed", 3)?;
        let grid = shape[1].saturating_sub(1).isqrt();
        if grid == 0 || shape != [1, 1 + grid * grid, width] {
            return Err(refused(format!(
                "positions of patches have shape {shape:?}, expected one more than a square and {width}"
            )));
        }
        if config.head_width == 0 || width % config.head_width != 0 {
            return Err(refused(format!(
                "width `{width}` is not made of heads of width {}",
                config.head_width
            )));
        }
        let sizes = [width, 4 * width, width / config.head_width];
        let depth = root.count("blocks");
        let blocks = root.at("blocks");
        let encoder = Encoder::load(&blocks, depth, BlockNames::TIMM, sizes, epsilon, activation)?;
        let norm = LayerNorm::load(&root.at("norm"), width, epsilon)?;
        let (before, after) = match part {
            Part::Dino => (None, None),
            Part::Clip | Part::OpenClip => {
                let output = root.shape("proj").and_then(|shape| shape.get(1).copied()).unwrap_or(0);
                let projection = Linear::load_transposed(&root, "proj", [width, output])?;
                (Some(LayerNorm::load(&root.at("pos_drop"), width, epsilon)?), Some((norm, projection)))
            }
        };
        let class = root.take("cls_token", &[1, 1, width])?;
        checkpoint.finish(|_| false)?;
        Ok(Self { patches, class, positions, grid, before, encoder, after })
    }

    pub fn side(&self) -> usize {
        self.grid * self.patches.size()
    }

    /// Normalised images `[B, side, side, 3]` → `[B, D]`, or `[B, output]` where there is a projection.
    pub fn watched(&self, images: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        let (side, height, width) = (self.side(), images.height, images.width);
        assert!(height == side && width == side, "images of {height}×{width} are not of side {side}");
        let x = self.patches.forward(images); // [B, grid², D]
        watch("patches", &x.data);
        let mut x = x.with_first(&self.class); // [B, 1 + grid², D]
        x.add_to_each(&self.positions);
        if let Some(before) = &self.before {
            x.data = before.forward(&x.data);
        }
        watch("embedded", &x.data);
        let places = vec![0; x.batch];
        let x = self.encoder.forward_one(x, &places, watch); // [B, 1, D]
        let feature = match &self.after {
            Some((norm, projection)) => projection.forward(&norm.forward(&x.data)), // [B, output]
            None => x.data,
        };
        watch("feature", &feature);
        feature
    }
}
