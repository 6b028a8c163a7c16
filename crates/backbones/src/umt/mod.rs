//! UMT (Li et al. 2023, Unmasked Teacher): a vision transformer over all patches of a video, which names human actions.

mod positions;

#[cfg(test)]
mod parity;

use vidit_weights::TensorStore;

use crate::layers::{Activation, BlockNames, Encoder, EncoderBlock, LayerNorm, Linear, Patches};
use crate::{BackboneError, Checkpoint, Grid, Tokens, Weights};

const NETWORK: &str = "UMT";
const EPSILON: f32 = 1e-6;

/// What the weights' shapes do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Frames of a video, `T`.
    pub frames: usize,
    /// Height and width of a frame in pixels.
    pub side: usize,
    /// Attention heads.
    pub heads: usize,
}

impl Config {
    /// `l16_ptk710_ftk710_ftk400_f16_res224.pth`: 400 classes of Kinetics.
    pub const VIT_L_16: Self = Self { frames: 16, side: 224, heads: 16 };
}

/// The network.
pub struct Umt {
    config: Config,
    patches: Patches,
    /// `[T·grid², D]`.
    positions: Vec<f32>,
    encoder: Encoder,
    norm: LayerNorm,
    head: Linear,
}

impl Umt {
    /// Of a checkpoint with the official keys: `patch_embed.proj.*`, `blocks.N.*`, `fc_norm.*`, `head.*`, and `pos_embed`, which stands for
    /// the table of sinusoids if it is there; a network of 8·14·14 places ignores it, as the official code does.
    ///
    /// # Errors
    /// If a tensor is absent, misshapen, or has no use; if patches do not fill a frame.
    pub fn load(store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        let refuse = |reason: String| Err(BackboneError::Config { network: NETWORK, reason });
        let checkpoint = Checkpoint::new(NETWORK, store);
        let root = checkpoint.root();
        let patches = Patches::load(&root.at("patch_embed.proj"))?;
        let (width, size) = (patches.width(), patches.size());
        if config.frames == 0 || config.side == 0 || config.side % size != 0 {
            return refuse(format!("frames of side `{}` are not made of patches of {size}", config.side));
        }
        if config.heads == 0 || width % config.heads != 0 {
            return refuse(format!("width `{width}` is not made of {} heads", config.heads));
        }
        let (blocks, depth) = (root.at("blocks"), root.count("blocks"));
        if depth == 0 {
            return refuse("there is no `blocks.0`, expected a transformer's blocks".to_owned());
        }
        let grid = config.side / size;
        let shape = [1, config.frames * grid * grid, width];
        let positions = if !positions::is_fixed(config.frames, grid) && root.shape("pos_embed").is_some() {
            root.take("pos_embed", &shape)?
        } else {
            root.skip("pos_embed");
            positions::table(config.frames, grid, width)
        };
        let blocks: Result<Vec<_>, _> =
            (0..depth).map(|i| load_block(&blocks.at(i), width, config.heads)).collect();
        let classes = root.shape("head.bias").map_or(400, |shape| shape[0]);
        let network = Self {
            config,
            patches,
            positions,
            encoder: Encoder::new(blocks?),
            norm: LayerNorm::load(&root.at("fc_norm"), width, EPSILON)?,
            head: Linear::load(&root.at("head"), [width, classes])?,
        };
        checkpoint.finish(|_| false)?;
        Ok(network)
    }

    /// How many actions it tells apart.
    pub fn classes(&self) -> usize {
        self.head.output()
    }

    /// Logits `[classes]` of one video, its frames `[T, side, side, 3]`: RGB in 0..1, less ImageNet's mean (0.485, 0.456, 0.406), over its
    /// deviation (0.229, 0.224, 0.225).
    pub fn forward(&self, frames: &Grid) -> Vec<f32> {
        self.watched(frames, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed.
    ///
    /// # Panics
    /// If there are other than `T` frames, or they have another size: a bug of the caller.
    pub fn watched(&self, frames: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        let Config { frames: count, side, .. } = self.config;
        assert_eq!(frames.shape(), [count, side, side, 3], "frames are not [T, side, side, 3]");
        let x = self.patches.forward(frames); // [T, grid², D]
        watch("patches", &x.data);
        let mut x = Tokens::new(x.data, [1, x.batch * x.length, x.width]); // [1, T·grid², D]
        x.add_to_each(&self.positions);
        watch("embedded", &x.data);
        let x = self.encoder.forward(x, watch);
        let pooled = self.norm.forward(&mean(&x)); // [D]
        watch("pooled", &pooled);
        let logits = self.head.forward(&pooled); // [classes]
        watch("logits", &logits);
        logits
    }
}

/// Queries and values have a bias, keys have none.
fn load_block(weights: &Weights, width: usize, heads: usize) -> Result<EncoderBlock, BackboneError> {
    let attention = weights.at("attn");
    let mut bias = attention.take("q_bias", &[width])?;
    bias.resize(2 * width, 0.0);
    bias.extend(attention.take("v_bias", &[width])?);
    let sizes = [width, 4 * width, heads];
    EncoderBlock::load_with_bias(weights, BlockNames::TIMM, sizes, EPSILON, Activation::Gelu, &bias)
}

/// The mean of all tokens, summed in f64: there are thousands.
fn mean(x: &Tokens) -> Vec<f32> {
    let mut sums = vec![0f64; x.width];
    for token in x.data.chunks_exact(x.width) {
        sums.iter_mut().zip(token).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums.iter().map(|sum| (sum / x.length as f64) as f32).collect()
}
