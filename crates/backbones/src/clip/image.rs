use super::{Config, EPSILON};
use crate::layers::{Activation, BlockNames, Encoder, LayerNorm, Linear, Patches};
use crate::{BackboneError, Grid, Tokens, Weights};

/// CLIP's image tower.
pub struct ImageTower {
    patches: Patches,
    class: Vec<f32>,
    /// `[1 + grid², D]`.
    positions: Vec<f32>,
    grid: usize,
    norm_before: LayerNorm,
    encoder: Encoder,
    norm_after: LayerNorm,
    projection: Linear,
}

impl ImageTower {
    /// Takes a tower by OpenAI's names: `conv1.weight`, `class_embedding`, `positional_embedding`, `ln_pre.*`,
    /// `transformer.resblocks.N.*`, `ln_post.*`, `proj`.
    ///
    /// # Errors
    /// If a tensor is absent or misshapen.
    pub fn take(weights: &Weights, config: Config) -> Result<Self, BackboneError> {
        let patches = Patches::load(&weights.at("conv1"))?;
        let width = patches.width();
        let (shape, positions) = weights.take_any("positional_embedding", 2)?;
        let grid = shape[0].saturating_sub(1).isqrt();
        if grid == 0 || shape != [1 + grid * grid, width] {
            return Err(BackboneError::Config {
                network: weights.network(),
                reason: format!(
                    "positions of patches have shape {shape:?}, expected one more than a square and {width}"
                ),
            });
        }
        let sizes = [width, 4 * width, super::heads(weights.network(), width, config)?];
        let transformer = weights.at("transformer");
        let depth = super::depth(&transformer)?;
        let blocks = transformer.at("resblocks");
        let output = weights.shape("proj").and_then(|shape| shape.get(1).copied()).unwrap_or(0);
        Ok(Self {
            patches,
            class: weights.take("class_embedding", &[width])?,
            positions,
            grid,
            norm_before: LayerNorm::load(&weights.at("ln_pre"), width, EPSILON)?,
            encoder: Encoder::load(&blocks, depth, BlockNames::CLIP, sizes, EPSILON, Activation::QuickGelu)?,
            norm_after: LayerNorm::load(&weights.at("ln_post"), width, EPSILON)?,
            projection: Linear::load_transposed(weights, "proj", [width, output])?,
        })
    }

    /// Height and width of the images it reads, in pixels.
    pub fn side(&self) -> usize {
        self.grid * self.patches.size()
    }

    /// Width of a token, `D`.
    pub(crate) fn width(&self) -> usize {
        self.patches.width()
    }

    /// Length of a feature.
    pub fn output(&self) -> usize {
        self.projection.output()
    }

    /// Features `[B, output]`, not normalised, of images `[B, side, side, 3]`: RGB in 0..1, less CLIP's mean (0.48145466, 0.4578275,
    /// 0.40821073), over its deviation (0.26862954, 0.26130258, 0.27577711).
    pub fn forward(&self, images: &Grid) -> Vec<f32> {
        self.watched(images, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed. The last block has one token a sequence.
    ///
    /// # Panics
    /// If images have another size: a bug of the caller.
    pub fn watched(&self, images: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        self.check_size(images);
        let x = self.embed(images, watch); // [B, 1 + grid², D]
        self.read(x, watch)
    }

    pub(crate) fn check_size(&self, images: &Grid) {
        let (side, height, width) = (self.side(), images.height, images.width);
        assert!(height == side && width == side, "images of {height}×{width} are not of side {side}");
    }

    /// Tokens of images with their positions, the class token first: `[B, 1 + grid², D]`.
    pub(crate) fn embed(&self, images: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Tokens {
        let x = self.patches.forward(images); // [B, grid², D]
        watch("patches", &x.data);
        let mut x = x.with_first(&self.class); // [B, 1 + grid², D]
        x.add_to_each(&self.positions);
        x
    }

    /// What the class tokens become, `[B, L, D]` → `[B, output]`.
    pub(crate) fn read(&self, mut x: Tokens, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        x.data = self.norm_before.forward(&x.data);
        watch("embedded", &x.data);
        let places = vec![0; x.batch];
        let x = self.encoder.forward_one(x, &places, watch); // [B, 1, D]
        let feature = self.projection.forward(&self.norm_after.forward(&x.data)); // [B, output]
        watch("feature", &feature);
        feature
    }
}
