//! The denoiser: a diffusion transformer over spacetime patches (Peebles & Xie 2023) with adaLN-zero modulation per
//! latent frame, rotary positions in time, height and width, and cross-attention to the prompt.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vidit_ops::{Activation, Tail};

use super::boxes::BoxControl;
use crate::conditioning::{Conditioning, Timesteps};
use crate::nn::{Init, Linear, NORM_EPSILON, RmsNorm};

/// Sizes of the transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Latent channels, `C`.
    pub latent_channels: usize,
    /// Latent cells per token along height and width.
    pub patch: usize,
    /// Width, `D`.
    pub width: usize,
    /// Blocks.
    pub blocks: usize,
    /// Attention heads, `N`; `D / N` is a multiple of 8.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub mlp_width: usize,
}

/// Width of the sinusoidal features of a noise level.
const TIMESTEP_FEATURES: usize = 128;
/// Base of the rotary frequencies: grids here are tens of tokens long, not thousands.
const ROPE_BASE: f32 = 100.0;

/// Shift, scale and gate of the two halves of a block, each `[B, F, D]`.
struct Modulation {
    shift: Tensor<3>,
    scale: Tensor<3>,
    gate: Tensor<3>,
}

#[derive(Module, Debug)]
struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    output: Linear,
}

#[derive(Module, Debug)]
struct CrossAttention {
    norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    output: Linear,
}

#[derive(Module, Debug)]
struct Block {
    modulation: Linear,
    self_attention: SelfAttention,
    cross_attention: CrossAttention,
    up: Linear,
    down: Linear,
}

/// Noised latents, noise levels and conditioning → velocity.
#[derive(Module, Debug)]
pub struct Transformer {
    input: Linear,
    time1: Linear,
    time2: Linear,
    pooled: Linear,
    blocks: Vec<Block>,
    final_modulation: Linear,
    output: Linear,
    #[module(skip)]
    config: TransformerConfig,
}

impl Transformer {
    /// Random weights; modulations and the output begin at zero.
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        let d = config.width;
        let token = config.latent_channels * config.patch * config.patch;
        let head_dim = d / config.heads;
        assert!(
            head_dim.is_multiple_of(8) && head_dim * config.heads == d,
            "heads split the width in multiples of 8"
        );
        let block = |init: &mut Init| Block {
            modulation: Linear::zero(init, d, 6 * d),
            self_attention: SelfAttention {
                query: Linear::new(init, d, d, 1.0),
                key: Linear::new(init, d, d, 1.0),
                value: Linear::new(init, d, d, 1.0),
                query_norm: RmsNorm::new(init, d),
                key_norm: RmsNorm::new(init, d),
                output: Linear::new(init, d, d, 1.0),
            },
            cross_attention: CrossAttention {
                norm: RmsNorm::new(init, d),
                query: Linear::new(init, d, d, 1.0),
                key: Linear::new(init, d, d, 1.0),
                value: Linear::new(init, d, d, 1.0),
                query_norm: RmsNorm::new(init, d),
                key_norm: RmsNorm::new(init, d),
                output: Linear::zero(init, d, d),
            },
            up: Linear::new(init, d, config.mlp_width, 1.0),
            down: Linear::new(init, config.mlp_width, d, 1.0),
        };
        Self {
            input: Linear::new(init, token, d, 1.0),
            time1: Linear::new(init, TIMESTEP_FEATURES, d, 1.0),
            time2: Linear::new(init, d, d, 1.0),
            pooled: Linear::new(init, d, d, 1.0),
            blocks: (0..config.blocks).map(|_| block(init)).collect(),
            final_modulation: Linear::zero(init, d, 2 * d),
            output: Linear::zero(init, d, token),
            config: config.clone(),
        }
    }

    /// Velocity `ε − x0` at noised latents, by the transformer that the boxes' adapter comes with where it has one.
    ///
    /// # Shapes
    /// `x [B, F, H, W, C]` → the same; `timesteps [B, F]`.
    pub fn predict(&self, x: Tensor<5>, timesteps: &Timesteps, conditioning: &Conditioning) -> Tensor<5> {
        let brought = conditioning.boxes.as_ref().and_then(BoxControl::transformer);
        brought.unwrap_or(self).predict_traced(x, timesteps, conditioning, &mut |_, _| {})
    }

    /// [`Self::predict`], showing `trace` each activation in the order of computation: `input [B, L, D]`,
    /// `condition [B, F, D]`, `blocks.0`, `blocks.1`, … `[B, L, D]`, `output [B, L, p·p·C]`.
    pub(super) fn predict_traced(
        &self,
        x: Tensor<5>,
        timesteps: &Timesteps,
        conditioning: &Conditioning,
        trace: &mut dyn FnMut(&str, &Tensor<3>),
    ) -> Tensor<5> {
        let [batch, frames, height, width, channels] = x.dims();
        let (patch, d) = (self.config.patch, self.config.width);
        let (h, w) = (height / patch, width / patch);
        let patches =
            x.reshape::<7, _>([batch, frames, h, patch, w, patch, channels]).permute([0, 1, 2, 4, 3, 5, 6]);
        let tokens =
            vidit_ops::contiguous(patches).reshape([batch, frames * h * w, patch * patch * channels]); // [B, L, p·p·C]
        let mut x = self.input.forward(tokens); // [B, L, D]
        trace("input", &x);
        let text = &conditioning.text;
        let time = self.time2.forward(vidit_ops::activate(
            self.time1.forward(timestep_features(&timesteps.0)),
            Activation::Silu,
        )); // [B, F, D]
        let condition = time + self.pooled.forward(text.pooled.clone()); // [B, F, D]
        let condition = vidit_ops::activate(condition, Activation::Silu);
        trace("condition", &condition);
        let table = rope_table([frames, h, w], d / self.config.heads, &x.device()); // [L, Dh]
        for (i, block) in self.blocks.iter().enumerate() {
            let steer = |x| match &conditioning.boxes {
                None => x,
                Some(control) => control.steer(i, x, [frames, h, w]),
            };
            x = block.forward(x, &condition, conditioning, steer, table.clone(), self.config.heads);
            trace(&format!("blocks.{i}"), &x);
        }
        let modulation = self.final_modulation.forward(condition); // [B, F, 2D]
        let (shift, scale) = (modulation.clone().narrow(2, 0, d), modulation.narrow(2, d, d));
        let x = vidit_ops::layer_norm_modulate(x, shift, scale, NORM_EPSILON);
        let x = self.output.forward(x); // [B, L, p·p·C]
        trace("output", &x);
        let cells =
            x.reshape::<7, _>([batch, frames, h, w, patch, patch, channels]).permute([0, 1, 2, 4, 3, 5, 6]);
        vidit_ops::contiguous(cells).reshape([batch, frames, height, width, channels])
    }
}

impl Block {
    /// `x [B, L, D]` → the same; `steer` stands between self-attention and text.
    fn forward(
        &self,
        x: Tensor<3>,
        condition: &Tensor<3>,
        conditioning: &Conditioning,
        steer: impl Fn(Tensor<3>) -> Tensor<3>,
        table: Tensor<2>,
        heads: usize,
    ) -> Tensor<3> {
        let d = x.dims()[2];
        let modulation = self.modulation.forward(condition.clone()); // [B, F, 6D]
        let part = |i: usize| modulation.clone().narrow(2, i * d, d); // [B, F, D]
        let [attention, feed_forward] =
            [0, 3].map(|i| Modulation { shift: part(i), scale: part(i + 1), gate: part(i + 2) });

        let h = vidit_ops::layer_norm_modulate(x.clone(), attention.shift, attention.scale, NORM_EPSILON);
        let x = vidit_ops::gated_residual(x, self.self_attention.forward(h, table, heads), attention.gate);
        let x = steer(x);

        let x = vidit_ops::add(x.clone(), self.cross_attention.forward(x, conditioning, heads));

        let h =
            vidit_ops::layer_norm_modulate(x.clone(), feed_forward.shift, feed_forward.scale, NORM_EPSILON);
        let h = self.down.forward(vidit_ops::activate(self.up.forward(h), Activation::GeluTanh));
        vidit_ops::gated_residual(x, h, feed_forward.gate)
    }
}

impl SelfAttention {
    fn forward(&self, x: Tensor<3>, table: Tensor<2>, heads: usize) -> Tensor<3> {
        let head_dim = x.dims()[2] / heads;
        let q = self.query_norm.forward(self.query.forward(x.clone()), head_dim, Tail::Rope(table.clone()));
        let k = self.key_norm.forward(self.key.forward(x.clone()), head_dim, Tail::Rope(table));
        let v = self.value.forward(x);
        self.output.forward(vidit_ops::attention(q, k, v, heads, None)) // [B, L, D]
    }
}

impl CrossAttention {
    fn forward(&self, x: Tensor<3>, conditioning: &Conditioning, heads: usize) -> Tensor<3> {
        let d = x.dims()[2];
        let text = &conditioning.text;
        let x = self.norm.forward(x, d, Tail::None);
        let q = self.query_norm.forward(self.query.forward(x), d / heads, Tail::None);
        let k = self.key_norm.forward(self.key.forward(text.tokens.clone()), d / heads, Tail::None);
        let v = self.value.forward(text.tokens.clone()); // [B, S, D]
        self.output.forward(vidit_ops::attention(q, k, v, heads, Some(text.lengths.clone()))) // [B, L, D]
    }
}

/// Cosines and sines of `1000 t` at frequencies from 1 down to 1/10,000: `[B, F]` → `[B, F, 128]`.
fn timestep_features(timesteps: &Tensor<2>) -> Tensor<3> {
    const HALF: usize = TIMESTEP_FEATURES / 2;
    let frequencies: Vec<f32> =
        (0..HALF).map(|i| 1000.0 * (-(10_000f32.ln()) * i as f32 / HALF as f32).exp()).collect();
    let frequencies = Tensor::<3>::from_data(TensorData::new(frequencies, [1, 1, HALF]), &timesteps.device());
    let [batch, frames] = timesteps.dims();
    let angles = timesteps.clone().reshape([batch, frames, 1]) * frequencies;
    Tensor::cat(vec![angles.clone().cos(), angles.sin()], 2)
}

/// Cosine and sine of each pair of a head for each token: `[L, Dh]`. A quarter of the pairs turn with time, the rest in
/// equal parts with height and width.
pub(super) fn rope_table([frames, h, w]: [usize; 3], head_dim: usize, device: &Device) -> Tensor<2> {
    let pairs = head_dim / 2;
    let time = pairs / 4;
    let height = (pairs - time) / 2;
    let axes = [time, height, pairs - time - height];
    let mut values = Vec::with_capacity(frames * h * w * head_dim);
    for token in 0..frames * h * w {
        let position = [token / (h * w), token / w % h, token % w];
        for (axis, count) in axes.into_iter().enumerate() {
            for i in 0..count {
                let frequency = ROPE_BASE.powf(-(i as f32) / count as f32);
                let angle = position[axis] as f32 * frequency;
                values.extend([angle.cos(), angle.sin()]);
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [frames * h * w, head_dim]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditioning::TextEmbedding;
    use crate::mini::text::{TextConfig, TextEncoder};
    use burn::tensor::Distribution;

    fn tiny(device: &Device) -> (Transformer, TextEmbedding) {
        // One precision for all tests of this process, or it might change between two sides of a comparison.
        vidit_ops::set_precision(vidit_ops::Precision::F32);
        let config =
            TransformerConfig { latent_channels: 3, patch: 2, width: 32, blocks: 2, heads: 2, mlp_width: 64 };
        let mut init = Init::new(3, device);
        let text = TextConfig { tokens_max: 8, layers: 1, width: 32, heads: 2 };
        let encoder = TextEncoder::new(&text, 300, &mut init);
        let mut transformer = Transformer::new(&config, &mut init);
        transformer.output = Linear::new(&mut init, 32, 12, 1.0);
        for block in &mut transformer.blocks {
            block.modulation = Linear::new(&mut init, 32, 192, 1.0);
            block.cross_attention.output = Linear::new(&mut init, 32, 32, 1.0);
        }
        (transformer, encoder.forward(&[vec![0, 5, 7], vec![0]]))
    }

    #[test]
    fn padding_does_not_reach_a_prompt_and_samples_do_not_mix() {
        let device = Device::flex();
        let (transformer, text) = tiny(&device);
        let x: Tensor<5> = Tensor::random([2, 3, 4, 6, 3], Distribution::Normal(0.0, 1.0), &device);
        let conditioning = Conditioning { text: text.clone(), boxes: None };
        let timesteps = Timesteps::new(2, 3, &device, |sample, _| [0.3, 0.9][sample]);
        let both = transformer.predict(x.clone(), &timesteps, &conditioning);
        assert_eq!(both.dims(), [2, 3, 4, 6, 3]);
        // The second prompt alone: one token instead of one and two of padding.
        let alone = TextEmbedding {
            tokens: text.tokens.narrow(0, 1, 1).narrow(1, 0, 1),
            pooled: text.pooled.narrow(0, 1, 1),
            lengths: std::sync::Arc::new(vec![1]),
        };
        let conditioning = Conditioning { text: alone, boxes: None };
        let second = transformer.predict(
            x.narrow(0, 1, 1),
            &Timesteps::of_frames(&[0.9; 3], 1, &device),
            &conditioning,
        );
        let difference = (both.narrow(0, 1, 1) - second).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn each_frame_has_its_own_noise_level() {
        let device = Device::flex();
        let (transformer, text) = tiny(&device);
        let conditioning = Conditioning { text, boxes: None };
        let x: Tensor<5> = Tensor::random([2, 3, 4, 4, 3], Distribution::Normal(0.0, 1.0), &device);
        let levels = |last: f32| {
            let values = vec![0.0, 0.5, last, 0.0, 0.5, last];
            Timesteps(Tensor::from_data(TensorData::new(values, [2, 3]), &device))
        };
        let a = transformer.predict(x.clone(), &levels(0.5), &conditioning);
        let b = transformer.predict(x, &levels(1.0), &conditioning);
        assert!((a - b).abs().max().into_scalar::<f32>() > 1e-3);
    }
}
