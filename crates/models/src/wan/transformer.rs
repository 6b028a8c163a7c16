//! The denoiser of Wan 2.1: a diffusion transformer over spacetime patches whose modulation is one table a block plus one
//! projection of the time that all blocks share (Wan-Video/Wan2.1 `wan/modules/model.py`).
//!
//! Field names are the checkpoint's; `name_2` stands for its `name.2`.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use vidit_ops::{Activation, After, ConvGeometry, PackedLinear, PackedMlp, Tail, WeightFormat};

use super::config::{PATCH, TransformerConfig};
use crate::nn::{Init, Layer, Linear, NORM_EPSILON, RmsNorm};

/// Base of the frequencies of positions and of timesteps.
const FREQUENCY_BASE: f64 = 10_000.0;

/// Latents → tokens.
#[derive(Module, Debug)]
struct PatchEmbedding {
    /// `[1, 2, 2, C, D]`.
    weight: Param<Tensor<5>>,
    /// `[D]`.
    bias: Param<Tensor<1>>,
}

/// Attention of tokens to each other or to the text. Queries and keys are normalised over all heads together.
#[derive(Module, Debug)]
struct Attention<L> {
    q: L,
    k: L,
    v: L,
    o: L,
    norm_q: RmsNorm,
    norm_k: RmsNorm,
}

/// Layer norm with a weight and a bias a channel.
#[derive(Module, Debug)]
struct AffineNorm {
    /// `[D]`.
    weight: Param<Tensor<1>>,
    /// `[D]`.
    bias: Param<Tensor<1>>,
}

/// One block: self-attention and feed-forward, shifted, scaled and gated by the time, and between them cross-attention to
/// the text, which time does not reach.
#[derive(Module, Debug)]
pub struct Block {
    /// Shift, scale, gate of the self-attention, then of the feed-forward: `[1, 6, D]`.
    modulation: Param<Tensor<3>>,
    self_attn: Attention<Linear>,
    norm3: AffineNorm,
    cross_attn: Attention<Linear>,
    ffn_0: Linear,
    ffn_2: Linear,
    #[module(skip)]
    heads: usize,
}

/// Tokens → velocities of their cells.
#[derive(Module, Debug)]
struct Head {
    /// Shift, scale: `[1, 2, D]`.
    modulation: Param<Tensor<3>>,
    head: Linear,
}

/// Noised latents, timesteps and text → velocity. `B` is the kind of its blocks: [`Block`], or [`PackedBlock`].
#[derive(Module, Debug)]
pub struct Transformer<B = Block> {
    patch_embedding: PatchEmbedding,
    text_embedding_0: Linear,
    text_embedding_2: Linear,
    time_embedding_0: Linear,
    time_embedding_2: Linear,
    time_projection_1: Linear,
    blocks: Vec<B>,
    head: Head,
    #[module(skip)]
    config: TransformerConfig,
}

impl PatchEmbedding {
    fn new(init: &mut Init, channels: usize, width: usize) -> Self {
        let [t, h, w] = PATCH;
        Self {
            weight: init.normal([t, h, w, channels, width], 1.0 / ((t * h * w * channels) as f64).sqrt()),
            bias: init.constant([width], 0.0),
        }
    }

    /// `[B, F, H, W, C]` → `[B, L, D]`, tokens in the order frame, row, column.
    fn forward(&self, x: Tensor<5>) -> Tensor<3> {
        let [t, h, w, channels, width] = self.weight.dims();
        let weight = self.weight.val().reshape([t * h * w * channels, width]);
        let geometry = ConvGeometry { kernel: PATCH, stride: PATCH, padding: [0, 0, 0] };
        let x = vidit_ops::conv3d(x, weight, self.bias.val(), geometry, None); // [B, F, H/2, W/2, D]
        let [b, f, h, w, d] = x.dims();
        x.reshape([b, f * h * w, d]) // [B, L, D]
    }
}

impl Attention<Linear> {
    fn new(init: &mut Init, d: usize) -> Self {
        let mut linear = || Linear::new(init, d, d, 1.0);
        let (q, k, v, o) = (linear(), linear(), linear(), linear());
        Self { q, k, v, o, norm_q: RmsNorm::new(init, d), norm_k: RmsNorm::new(init, d) }
    }

    fn pack(&self, format: WeightFormat) -> Attention<PackedLinear> {
        Attention {
            q: self.q.pack(format),
            k: self.k.pack(format),
            v: self.v.pack(format),
            o: self.o.pack(format),
            norm_q: self.norm_q.clone(),
            norm_k: self.norm_k.clone(),
        }
    }
}

impl<L: Layer> Attention<L> {
    /// `x [B, L, D]` attends to `context [B, S, D]`; `tail` turns queries and keys, `after` follows. → `[B, L, D]`.
    fn forward(&self, x: Tensor<3>, context: Tensor<3>, heads: usize, tail: Tail, after: After) -> Tensor<3> {
        let d = x.dims()[2];
        let q = self.norm_q.forward(self.q.then(x, After::Nothing), d, tail.clone());
        let k = self.norm_k.forward(self.k.then(context.clone(), After::Nothing), d, tail);
        let v = self.v.then(context, After::Nothing);
        self.o.then(vidit_ops::attention(q, k, v, heads, None), after)
    }
}

impl AffineNorm {
    fn new(init: &mut Init, d: usize) -> Self {
        Self { weight: init.constant([d], 1.0), bias: init.constant([d], 0.0) }
    }

    /// `norm(x) · weight + bias`, as a modulation that all tokens share. `1 + (weight − 1)` rounds nothing for weights in
    /// 0.5..2 and at most 6e-8 elsewhere.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (shift, scale) = (self.bias.val(), self.weight.val() - 1.0);
        vidit_ops::layer_norm_modulate(x, shift.unsqueeze(), scale.unsqueeze(), NORM_EPSILON)
    }
}

/// What a transformer asks of its blocks.
pub trait TokenBlock {
    /// # Shapes
    /// `x [B, L, D]` → the same. `e0 [B, G, 6, D]` is the projected time, each of the `G` for `L/G` consecutive tokens
    /// (1: a timestep a sample; F: one a latent frame), `context [B, S, D]` the embedded text, `rope [L, Dh]` a
    /// [`rope_table`].
    fn forward(&self, x: Tensor<3>, e0: Tensor<4>, context: Tensor<3>, rope: Tensor<2>) -> Tensor<3>;
}

impl Block {
    /// Random weights of one block of `config`.
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        let d = config.width;
        Self {
            modulation: init.normal([1, 6, d], 1.0 / (d as f64).sqrt()),
            self_attn: Attention::new(init, d),
            norm3: AffineNorm::new(init, d),
            cross_attn: Attention::new(init, d),
            ffn_0: Linear::new(init, d, config.mlp_width, 1.0),
            ffn_2: Linear::new(init, config.mlp_width, d, 1.0),
            heads: config.heads,
        }
    }
}

impl TokenBlock for Block {
    fn forward(&self, x: Tensor<3>, e0: Tensor<4>, context: Tensor<3>, rope: Tensor<2>) -> Tensor<3> {
        let parts = Parts {
            modulation: self.modulation.val(),
            self_attn: &self.self_attn,
            norm3: &self.norm3,
            cross_attn: &self.cross_attn,
            heads: self.heads,
        };
        parts.forward(x, e0, context, rope, |h, residual, gate| {
            let h = self.ffn_0.then(h, After::Activate(Activation::GeluTanh)); // [B, L, mlp]
            self.ffn_2.then(h, After::Gate { residual, gate })
        })
    }
}

/// What plain and packed blocks have in common: all but the feed-forward.
struct Parts<'a, L> {
    modulation: Tensor<3>,
    self_attn: &'a Attention<L>,
    norm3: &'a AffineNorm,
    cross_attn: &'a Attention<L>,
    heads: usize,
}

impl<L: Layer> Parts<'_, L> {
    /// [`TokenBlock::forward`]; `feed_forward(h, residual, gate)` ends it.
    fn forward(
        self,
        x: Tensor<3>,
        e0: Tensor<4>,
        context: Tensor<3>,
        rope: Tensor<2>,
        feed_forward: impl FnOnce(Tensor<3>, Tensor<3>, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let [batch, groups, _, d] = e0.dims();
        let modulation = e0 + self.modulation.unsqueeze::<4>(); // [B, G, 6, D]
        let part = |i: usize| modulation.clone().narrow(2, i, 1).reshape([batch, groups, d]);

        let h = vidit_ops::layer_norm_modulate(x.clone(), part(0), part(1), NORM_EPSILON);
        let gated = After::Gate { residual: x, gate: part(2) };
        let x = self.self_attn.forward(h.clone(), h, self.heads, Tail::Rope(rope), gated);

        let h = self.norm3.forward(x.clone());
        let x = self.cross_attn.forward(h, context, self.heads, Tail::None, After::Add(x));

        let h = vidit_ops::layer_norm_modulate(x.clone(), part(3), part(4), NORM_EPSILON);
        feed_forward(h, x, part(5))
    }
}

/// A [`Block`] whose weights are packed once, for inference on the CPU: the same function, with biases, gates, residuals and
/// the feed-forward's activation inside the products. Has no gradient.
#[derive(Debug)]
pub struct PackedBlock {
    modulation: Tensor<3>,
    self_attn: Attention<PackedLinear>,
    norm3: AffineNorm,
    cross_attn: Attention<PackedLinear>,
    ffn: PackedMlp,
    heads: usize,
}

impl PackedBlock {
    /// Packs a block for the present instruction set.
    pub fn new(block: &Block, format: WeightFormat) -> Self {
        let (up, down) = (&block.ffn_0, &block.ffn_2);
        Self {
            modulation: block.modulation.val(),
            self_attn: block.self_attn.pack(format),
            norm3: block.norm3.clone(),
            cross_attn: block.cross_attn.pack(format),
            ffn: PackedMlp::new(
                (&up.weight.val(), &up.bias.val()),
                (&down.weight.val(), &down.bias.val()),
                format,
            ),
            heads: block.heads,
        }
    }
}

impl TokenBlock for PackedBlock {
    fn forward(&self, x: Tensor<3>, e0: Tensor<4>, context: Tensor<3>, rope: Tensor<2>) -> Tensor<3> {
        let parts = Parts {
            modulation: self.modulation.clone(),
            self_attn: &self.self_attn,
            norm3: &self.norm3,
            cross_attn: &self.cross_attn,
            heads: self.heads,
        };
        parts.forward(x, e0, context, rope, |h, residual, gate| self.ffn.forward(h, residual, gate))
    }
}

impl Head {
    /// `x [B, L, D]`, `e [B, G, D]` → `[B, L, 4·C]`, each token's cells in row order with channels innermost. The time is
    /// the embedding itself here, not its projection.
    fn forward(&self, x: Tensor<3>, e: Tensor<3>) -> Tensor<3> {
        let part = |i: usize| e.clone() + self.modulation.val().narrow(1, i, 1); // [B, G, D]
        self.head.forward(vidit_ops::layer_norm_modulate(x, part(0), part(1), NORM_EPSILON))
    }
}

impl Transformer {
    /// Random weights.
    ///
    /// # Panics
    /// If the heads do not split the width into widths that are a multiple of 8.
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        let (d, head_dim) = (config.width, config.head_dim());
        assert!(
            head_dim.is_multiple_of(8) && head_dim * config.heads == d,
            "heads split the width in multiples of 8"
        );
        Self {
            patch_embedding: PatchEmbedding::new(init, config.channels_in, d),
            text_embedding_0: Linear::new(init, config.text_width, d, 1.0),
            text_embedding_2: Linear::new(init, d, d, 1.0),
            time_embedding_0: Linear::new(init, config.time_features, d, 1.0),
            time_embedding_2: Linear::new(init, d, d, 1.0),
            time_projection_1: Linear::new(init, d, 6 * d, 1.0),
            blocks: (0..config.blocks).map(|_| Block::new(config, init)).collect(),
            head: Head {
                modulation: init.normal([1, 2, d], 1.0 / (d as f64).sqrt()),
                head: Linear::new(init, d, PATCH.iter().product::<usize>() * config.channels_out, 1.0),
            },
            config: config.clone(),
        }
    }

    /// The same network for inference: each block is packed, and its plain weights go.
    pub fn pack(self, format: WeightFormat) -> Transformer<PackedBlock> {
        Transformer {
            patch_embedding: self.patch_embedding,
            text_embedding_0: self.text_embedding_0,
            text_embedding_2: self.text_embedding_2,
            time_embedding_0: self.time_embedding_0,
            time_embedding_2: self.time_embedding_2,
            time_projection_1: self.time_projection_1,
            blocks: self.blocks.into_iter().map(|block| PackedBlock::new(&block, format)).collect(),
            head: self.head,
            config: self.config,
        }
    }
}

impl<B: TokenBlock> Transformer<B> {
    /// Velocity `ε − x0` at noised latents.
    ///
    /// # Shapes
    /// `x [B, F, H, W, Cin]` with even `H, W` → `[B, F, H, W, Cout]`. `timesteps [B, G]` in 0..1000, each for an equal
    /// share of consecutive tokens (1 a sample, or F, one a latent frame). `text [B, S, Dtext]`: rows of the text encoder,
    /// filled up with zeros to [`super::config::TEXT_TOKENS`].
    pub fn predict(&self, x: Tensor<5>, timesteps: Tensor<2>, text: Tensor<3>) -> Tensor<5> {
        self.predict_traced(x, timesteps, text, &mut |_, _| {})
    }

    /// [`Self::predict`], showing `trace` each activation in the order of computation: `patch_embedding [B, L, D]`,
    /// `time_features [B, G, 256]`, `time_embedding [B, G, D]`, `time_projection [B, G, 6D]`, `text_embedding [B, S, D]`,
    /// `blocks.0`, `blocks.1`, … `[B, L, D]`, `head [B, L, 4·Cout]`.
    pub(super) fn predict_traced(
        &self,
        x: Tensor<5>,
        timesteps: Tensor<2>,
        text: Tensor<3>,
        trace: &mut dyn FnMut(&str, &Tensor<3>),
    ) -> Tensor<5> {
        let [batch, frames, height, width, _] = x.dims();
        let (h, w, d) = (height / PATCH[1], width / PATCH[2], self.config.width);
        let groups = timesteps.dims()[1];
        let device = x.device();
        let mut x = self.patch_embedding.forward(x); // [B, L, D]
        trace("patch_embedding", &x);

        let features = timestep_features(&timesteps, self.config.time_features); // [B, G, 256]
        trace("time_features", &features);
        let e = self.time_embedding_0.forward(features);
        let e = self.time_embedding_2.forward(vidit_ops::activate(e, Activation::Silu)); // [B, G, D]
        trace("time_embedding", &e);
        let e0 = self.time_projection_1.forward(vidit_ops::activate(e.clone(), Activation::Silu)); // [B, G, 6D]
        trace("time_projection", &e0);
        let e0 = e0.reshape([batch, groups, 6, d]);

        let context = vidit_ops::activate(self.text_embedding_0.forward(text), Activation::GeluTanh);
        let context = self.text_embedding_2.forward(context); // [B, S, D]
        trace("text_embedding", &context);

        let rope = rope_table([frames, h, w], self.config.head_dim(), &device); // [L, Dh]
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, e0.clone(), context.clone(), rope.clone());
            trace(&format!("blocks.{i}"), &x);
        }
        let x = self.head.forward(x, e); // [B, L, 4·C]
        trace("head", &x);
        let cells = x
            .reshape::<7, _>([batch, frames, h, w, PATCH[1], PATCH[2], self.config.channels_out])
            .permute([0, 1, 2, 4, 3, 5, 6]);
        vidit_ops::contiguous(cells).reshape([batch, frames, height, width, self.config.channels_out])
    }
}

/// Cosines, then sines of each timestep at frequencies from 1 down to nearly 1/10,000: `[B, G]` → `[B, G, width]`. Angles
/// are taken in f64: they reach 1,000 radians, which f32 knows to 6e-5 only.
fn timestep_features(timesteps: &Tensor<2>, width: usize) -> Tensor<3> {
    let half = width / 2;
    let [batch, groups] = timesteps.dims();
    let mut values = Vec::with_capacity(batch * groups * width);
    for t in timesteps.clone().into_data().iter::<f64>() {
        let angle = |i: usize| t * FREQUENCY_BASE.powf(-(i as f64) / half as f64);
        values.extend((0..half).map(|i| angle(i).cos() as f32));
        values.extend((0..half).map(|i| angle(i).sin() as f32));
    }
    Tensor::from_data(TensorData::new(values, [batch, groups, width]), &timesteps.device())
}

/// Cosine and sine of each pair of a head for each token of a grid of frames, rows and columns: `[L, Dh]`. Of 64 pairs 22
/// turn with time, 21 with height, 21 with width, each axis at frequencies of its own.
pub fn rope_table([frames, h, w]: [usize; 3], head_dim: usize, device: &Device) -> Tensor<2> {
    let space = head_dim / 6;
    let axes = [head_dim / 2 - 2 * space, space, space];
    let mut values = Vec::with_capacity(frames * h * w * head_dim);
    for token in 0..frames * h * w {
        let position = [token / (h * w), token / w % h, token % w];
        for (position, pairs) in position.into_iter().zip(axes) {
            for i in 0..pairs {
                let angle = position as f64 * FREQUENCY_BASE.powf(-(i as f64) / pairs as f64);
                values.extend([angle.cos() as f32, angle.sin() as f32]);
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [frames * h * w, head_dim]), device)
}
