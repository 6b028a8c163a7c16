//! Sizes of the Wan 2.1 networks, and the statistics of their latents.
//!
//! Sources: the transformers' from Wan-Video/Wan2.1 `wan/configs/{wan_t2v_1_3B,wan_t2v_14B,shared_config}.py` and the
//! `config.json` beside the released weights; the VAE's and the latents' statistics from `wan/modules/vae.py` there.

use serde::{Deserialize, Serialize};
use vidit_video::Compression;

/// Latent frames, rows and columns of one token.
pub const PATCH: [usize; 3] = [1, 2, 2];
/// Rows of a text embedding: real ones first, zeros behind. Nothing masks the zeros.
pub const TEXT_TOKENS: usize = 512;

/// Sizes of a transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Channels of the noised latents and what is concatenated to them.
    pub channels_in: usize,
    /// Channels of the predicted velocity.
    pub channels_out: usize,
    /// Width, `D`.
    pub width: usize,
    /// Width of the feed-forward layer.
    pub mlp_width: usize,
    /// Attention heads, `N`.
    pub heads: usize,
    /// Blocks.
    pub blocks: usize,
    /// Width of the sinusoidal features of a timestep.
    pub time_features: usize,
    /// Width of a text embedding's rows.
    pub text_width: usize,
}

impl TransformerConfig {
    /// Wan 2.1 T2V-1.3B: 1.419 billion parameters.
    pub const T2V_1_3B: Self = Self {
        channels_in: 16,
        channels_out: 16,
        width: 1536,
        mlp_width: 8960,
        heads: 12,
        blocks: 30,
        time_features: 256,
        text_width: 4096,
    };

    /// Wan 2.1 T2V-14B, and each expert of Wan 2.2 T2V-A14B: 14.29 billion parameters.
    pub const T2V_14B: Self = Self { width: 5120, mlp_width: 13824, heads: 40, blocks: 40, ..Self::T2V_1_3B };

    /// Width of a head, `Dh`: 128 in every released model.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }
}

/// Sizes of the VAE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Width at the pixels' own height and width.
    pub width: usize,
    /// Width at each level as a multiple of `width`, finest first.
    pub multipliers: [usize; 4],
    /// Residual blocks at each level of the encoder; the decoder has one more.
    pub residual_blocks: usize,
    /// Latent channels, `C`.
    pub latent_channels: usize,
}

impl VaeConfig {
    /// The VAE of Wan 2.1 and of the 14B models of Wan 2.2: 73.3 million parameters in the decoder.
    pub const WAN_2_1: Self =
        Self { width: 96, multipliers: [1, 2, 4, 4], residual_blocks: 2, latent_channels: 16 };

    /// The arithmetic between pixels and latents: 4× in time with frame 0 alone, 8× along height and width.
    pub fn compression(&self) -> Compression {
        Compression { time: 4, space: 8, channels: self.latent_channels, patch: PATCH[1] }
    }
}

/// Mean of each latent channel of [`VaeConfig::WAN_2_1`] over the authors' clips.
pub const LATENT_MEAN: [f32; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
];

/// Deviation of each latent channel.
pub const LATENT_DEVIATION: [f32; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
    1.1253, 2.8251, 1.9160,
];
