//! A small bidirectional transformer over prompt tokens, trained together with the denoiser.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vidit_ops::{Activation, Tail};

use crate::conditioning::TextEmbedding;
use crate::nn::{Init, Linear, RmsNorm};

/// Sizes of the text encoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Longest prompt in tokens.
    pub tokens_max: usize,
    /// Layers.
    pub layers: usize,
    /// Width, `D`; the denoiser's.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
}

#[derive(Module, Debug)]
struct TextLayer {
    norm1: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    output: Linear,
    norm2: RmsNorm,
    up: Linear,
    down: Linear,
}

/// Token numbers → token states and a summary.
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// `[V, D]`.
    embedding: Param<Tensor<2>>,
    /// `[S, D]`.
    position: Param<Tensor<2>>,
    layers: Vec<TextLayer>,
    norm: RmsNorm,
    #[module(skip)]
    heads: usize,
}

impl TextEncoder {
    /// Random weights for a vocabulary of `vocabulary_size` tokens.
    pub fn new(config: &TextConfig, vocabulary_size: usize, init: &mut Init) -> Self {
        let d = config.width;
        let layer = |init: &mut Init| TextLayer {
            norm1: RmsNorm::new(init, d),
            query: Linear::new(init, d, d, 1.0),
            key: Linear::new(init, d, d, 1.0),
            value: Linear::new(init, d, d, 1.0),
            query_norm: RmsNorm::new(init, d),
            key_norm: RmsNorm::new(init, d),
            output: Linear::new(init, d, d, 0.5),
            norm2: RmsNorm::new(init, d),
            up: Linear::new(init, d, 4 * d, 1.0),
            down: Linear::new(init, 4 * d, d, 0.5),
        };
        Self {
            embedding: init.normal([vocabulary_size, d], 0.5),
            position: init.normal([config.tokens_max, d], 0.1),
            layers: (0..config.layers).map(|_| layer(init)).collect(),
            norm: RmsNorm::new(init, d),
            heads: config.heads,
        }
    }

    /// Encodes prompts given as token numbers, each of 1 to `tokens_max` tokens.
    ///
    /// # Shapes
    /// `B` prompts → tokens `[B, S, D]` with `S` the longest of them, pooled `[B, 1, D]`.
    pub fn forward(&self, prompts: &[Vec<u32>]) -> TextEmbedding {
        let (embedding, position) = (self.embedding.val(), self.position.val());
        let device = embedding.device();
        let (batch, d) = (prompts.len(), embedding.dims()[1]);
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(1);
        assert!(
            longest <= position.dims()[0],
            "prompts are checked against `tokens_max` before they are encoded"
        );
        let ids: Vec<i32> = prompts
            .iter()
            .flat_map(|p| p.iter().map(|id| *id as i32).chain(std::iter::repeat(0)).take(longest))
            .collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [batch * longest]), &device);
        let x = embedding.select(0, ids).reshape([batch, longest, d]); // [B, S, D]
        let mut x = x + position.narrow(0, 0, longest).unsqueeze::<3>();
        let lengths = Arc::new(prompts.iter().map(Vec::len).collect::<Vec<_>>());
        for layer in &self.layers {
            let h = layer.norm1.forward(x.clone(), d, Tail::None);
            let head_dim = d / self.heads;
            let q = layer.query_norm.forward(layer.query.forward(h.clone()), head_dim, Tail::None);
            let k = layer.key_norm.forward(layer.key.forward(h.clone()), head_dim, Tail::None);
            let v = layer.value.forward(h);
            let h = vidit_ops::attention(q, k, v, self.heads, Some(lengths.clone())); // [B, S, D]
            let x1 = vidit_ops::add(x, layer.output.forward(h));
            let h = layer.norm2.forward(x1.clone(), d, Tail::None);
            let h = vidit_ops::activate(layer.up.forward(h), Activation::GeluTanh);
            x = vidit_ops::add(x1, layer.down.forward(h));
        }
        let tokens = self.norm.forward(x, d, Tail::None);
        let weights: Vec<f32> = prompts
            .iter()
            .flat_map(|p| (0..longest).map(move |i| if i < p.len() { 1.0 / p.len() as f32 } else { 0.0 }))
            .collect();
        let weights = Tensor::<3>::from_data(TensorData::new(weights, [batch, 1, longest]), &device);
        let pooled = weights.matmul(tokens.clone()); // [B, 1, D]
        TextEmbedding { tokens, pooled, lengths }
    }
}
