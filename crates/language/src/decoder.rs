//! The network: embedding, blocks of attention and feed-forward with an RMS norm before each, logits of what comes next.
//! One for all three families and both kinds of files; the products are candle's, quantised or not.

use candle_core::quantized::QMatMul;
use candle_core::{D, Device, Module, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::{rope, rope_i};

use crate::weights::{Names, Weights};
use crate::{Architecture, Config, LanguageError};

type Result<T> = std::result::Result<T, LanguageError>;

/// A network, and the keys and values of all that it has read.
pub struct Decoder {
    config: Config,
    embedding: QMatMul,
    blocks: Vec<Block>,
    norm: Tensor,
    head: QMatMul,
    seen: usize,
}

struct Block {
    norms: [Tensor; 2],
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Norms of queries and keys, per head.
    head_norms: Option<[Tensor; 2]>,
    gate: Linear,
    up: Linear,
    down: Linear,
    /// Keys and values, `[Nk, T, Dh]`.
    kept: Option<(Tensor, Tensor)>,
}

struct Linear {
    weight: QMatMul,
    bias: Option<Tensor>,
}

impl Linear {
    /// A bias is taken where there is one, and missed where it is `required`.
    fn load(weights: &mut Weights, names: Names, shape: [usize; 2], required: bool) -> Result<Self> {
        let bias = names.sibling("bias");
        let bias = (required || weights.has(&bias)).then(|| weights.vector(&bias, shape[0])).transpose()?;
        Ok(Self { weight: weights.matrix(&names.sibling("weight"), shape)?, bias })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = self.weight.forward(x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// What attention needs to know of positions.
struct Positions {
    cos: Tensor,
    sin: Tensor,
    neighbours: bool,
    /// `-∞` where a token would look ahead, `[L, T]`; one token alone cannot.
    mask: Option<Tensor>,
}

impl Positions {
    fn new(config: &Config, seen: usize, count: usize) -> candle_core::Result<Self> {
        let (cos, sin) = config.rotary.table(seen, count);
        let shape = (count, config.head_width / 2);
        let total = seen + count;
        let ahead = |row: usize, column: usize| if column > seen + row { f32::NEG_INFINITY } else { 0.0 };
        let mask = || {
            let values = (0..count).flat_map(|row| (0..total).map(move |column| ahead(row, column)));
            Tensor::from_vec(values.collect(), (count, total), &Device::Cpu)
        };
        Ok(Self {
            cos: Tensor::from_vec(cos, shape, &Device::Cpu)?,
            sin: Tensor::from_vec(sin, shape, &Device::Cpu)?,
            neighbours: config.rotary.neighbours,
            mask: (count > 1).then(mask).transpose()?,
        })
    }

    /// Turns queries or keys, `[N, L, Dh]`.
    fn turn(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = x.unsqueeze(0)?.contiguous()?;
        let turn = if self.neighbours { rope_i } else { rope };
        turn(&x, &self.cos, &self.sin)?.squeeze(0)
    }
}

impl Block {
    fn load(weights: &mut Weights, config: &Config, layer: usize) -> Result<Self> {
        let (width, head_width) = (config.width, config.head_width);
        let (queries, keys) = (config.heads * head_width, config.kv_heads * head_width);
        let mut linear = |gguf, folder, shape, biased| {
            Linear::load(weights, Names::block(layer, gguf, folder), shape, biased)
        };
        let biased = config.architecture == Architecture::Qwen2;
        let (query, key) = (
            linear("attn_q", "self_attn.q_proj", [queries, width], biased)?,
            linear("attn_k", "self_attn.k_proj", [keys, width], biased)?,
        );
        let (value, output) = (
            linear("attn_v", "self_attn.v_proj", [keys, width], biased)?,
            linear("attn_output", "self_attn.o_proj", [width, queries], false)?,
        );
        let (gate, up, down) = (
            linear("ffn_gate", "mlp.gate_proj", [config.hidden, width], false)?,
            linear("ffn_up", "mlp.up_proj", [config.hidden, width], false)?,
            linear("ffn_down", "mlp.down_proj", [width, config.hidden], false)?,
        );
        let mut vector = |gguf, folder, length| {
            weights.vector(&Names::block(layer, gguf, folder).sibling("weight"), length)
        };
        let norms = [
            vector("attn_norm", "input_layernorm", width)?,
            vector("ffn_norm", "post_attention_layernorm", width)?,
        ];
        let head_norms = match config.architecture {
            Architecture::Qwen3 => Some([
                vector("attn_q_norm", "self_attn.q_norm", head_width)?,
                vector("attn_k_norm", "self_attn.k_norm", head_width)?,
            ]),
            _ => None,
        };
        Ok(Self { norms, query, key, value, output, head_norms, gate, up, down, kept: None })
    }

    /// `x` is `[L, D]`.
    fn forward(&mut self, x: &Tensor, positions: &Positions, config: &Config) -> candle_core::Result<Tensor> {
        let eps = config.norm_eps as f32;
        let x = (x + self.attention(&rms_norm(x, &self.norms[0], eps)?, positions, config)?)?;
        let y = rms_norm(&x, &self.norms[1], eps)?;
        let y = (silu(&self.gate.forward(&y)?)? * self.up.forward(&y)?)?; // [L, hidden]
        x + self.down.forward(&y)? // [L, D]
    }

    fn attention(
        &mut self,
        x: &Tensor,
        positions: &Positions,
        config: &Config,
    ) -> candle_core::Result<Tensor> {
        let Config { heads, kv_heads, head_width, norm_eps, .. } = *config;
        let count = x.dim(0)?;
        let by_head = |y: Tensor, heads| y.reshape((count, heads, head_width))?.transpose(0, 1)?.contiguous();
        let mut query = by_head(self.query.forward(x)?, heads)?; // [N, L, Dh]
        let mut key = by_head(self.key.forward(x)?, kv_heads)?; // [Nk, L, Dh]
        let value = by_head(self.value.forward(x)?, kv_heads)?; // [Nk, L, Dh]
        if let Some([query_norm, key_norm]) = &self.head_norms {
            query = rms_norm(&query, query_norm, norm_eps as f32)?;
            key = rms_norm(&key, key_norm, norm_eps as f32)?;
        }
        let (query, key) = (positions.turn(&query)?, positions.turn(&key)?);
        let (key, value) = match &self.kept {
            Some((keys, values)) => (Tensor::cat(&[keys, &key], 1)?, Tensor::cat(&[values, &value], 1)?),
            None => (key, value),
        }; // [Nk, T, Dh]
        self.kept = Some((key.clone(), value.clone()));

        let (group, total) = (heads / kv_heads, key.dim(1)?);
        // The query heads that share a key head lie beside one another: one product serves them.
        let query = query.reshape((kv_heads, group * count, head_width))?; // [Nk, G L, Dh]
        let scores = (query.matmul(&key.t()?)? * (head_width as f64).powf(-0.5))?; // [Nk, G L, T]
        let scores = match &positions.mask {
            Some(mask) => scores.reshape((heads, count, total))?.broadcast_add(mask)?,
            None => scores,
        };
        let shares = softmax_last_dim(&scores)?.reshape((kv_heads, group * count, total))?;
        let mixed = shares.matmul(&value)?.reshape((heads, count, head_width))?; // [N, L, Dh]
        self.output.forward(&mixed.transpose(0, 1)?.contiguous()?.reshape((count, heads * head_width))?) // [L, D]
    }
}

impl Decoder {
    /// Takes the tensors of a network of these sizes.
    ///
    /// # Errors
    /// If one is missing, or has another shape than the sizes imply.
    pub(crate) fn load(weights: &mut Weights, config: Config) -> Result<Self> {
        let table = [config.vocabulary, config.width];
        let embedding =
            weights.matrix(&Names::outside("token_embd", "model.embed_tokens").sibling("weight"), table)?;
        let names = Names::outside("output", "lm_head").sibling("weight");
        // Networks without a head of their own use the embedding.
        let head = if weights.has(&names) { weights.matrix(&names, table)? } else { embedding.clone() };
        let norm =
            weights.vector(&Names::outside("output_norm", "model.norm").sibling("weight"), config.width)?;
        let blocks =
            (0..config.layers).map(|layer| Block::load(weights, &config, layer)).collect::<Result<_>>()?;
        Ok(Self { config, embedding, blocks, norm, head, seen: 0 })
    }

    /// Sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Forgets all that was read.
    pub fn forget(&mut self) {
        self.seen = 0;
        for block in &mut self.blocks {
            block.kept = None;
        }
    }

    /// Reads on, at least one token; gives a logit for each entry of the vocabulary to come next.
    ///
    /// # Errors
    /// If the context is exceeded, a token is none of the vocabulary, or a logit is not a finite number.
    pub fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let (config, count) = (&self.config, tokens.len());
        if self.seen + count > config.context {
            return Err(LanguageError::TooLong { found: self.seen + count, limit: config.context });
        }
        let positions = Positions::new(config, self.seen, count)?;
        let mut x = self.embedding.embedding(&Tensor::new(tokens, &Device::Cpu)?)?; // [L, D]
        for block in &mut self.blocks {
            x = block.forward(&x, &positions, config)?;
        }
        self.seen += count;
        let last = x.narrow(0, count - 1, 1)?; // [1, D]
        let last = rms_norm(&last, &self.norm, config.norm_eps as f32)?;
        let logits = self.head.forward(&last)?.squeeze(D::Minus2)?.to_vec1::<f32>()?;
        match logits.iter().all(|logit| logit.is_finite()) {
            true => Ok(logits),
            false => Err(LanguageError::NotFinite),
        }
    }
}
