use vidit_kernels::Precision;
use vidit_kernels::attention::{AttentionShape, KeyBias, Keys, ScoreTable, forward, forward_with_table};
use vidit_kernels::pointwise::Activation;

use super::{LayerNorm, Linear};
use crate::{BackboneError, Tokens, Weights};

/// Attention with projections of queries, keys, values and of the result.
pub struct MultiHead {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

impl MultiHead {
    /// Of four projections.
    pub fn new([query, key, value, out]: [Linear; 4], heads: usize) -> Self {
        Self { query, key, value, out, heads }
    }

    /// Of projections of queries, keys and values that one matrix holds, `weight [3D, D]`, `bias [3D]`, and of the result.
    pub fn of_joined(weight: &[f32], bias: &[f32], out: Linear, heads: usize) -> Self {
        let width = bias.len() / 3;
        let inputs = weight.len() / 3;
        let part =
            |i: usize| Linear::new(&weight[i * inputs..][..inputs], bias[i * width..][..width].to_vec());
        Self::new([part(0), part(1), part(2), out], heads)
    }

    /// Queries `x`, keys and values `context`; every key counts, or those that `which` says. Returns `[B, Lq, D]`, with `residual` added
    /// if there is one.
    pub fn forward(&self, x: &Tokens, context: &Tokens, which: Keys, residual: Option<&Tokens>) -> Tokens {
        self.attend(x, context, which, None, residual)
    }

    /// `x` attends to itself, with a table added to scaled scores.
    pub fn forward_with_table(&self, x: &Tokens, table: ScoreTable, residual: Option<&Tokens>) -> Tokens {
        self.attend(x, x, Keys::default(), Some(table), residual)
    }

    fn attend(
        &self,
        x: &Tokens,
        context: &Tokens,
        which: Keys,
        table: Option<ScoreTable>,
        residual: Option<&Tokens>,
    ) -> Tokens {
        assert_eq!(x.batch, context.batch, "queries and keys are of one batch");
        let inner = self.query.output();
        let shape = AttentionShape {
            batch: x.batch,
            heads: self.heads,
            head_dim: inner / self.heads,
            queries: x.length,
            keys: context.length,
        };
        let q = self.query.forward(&x.data);
        let (k, v) = (self.key.forward(&context.data), self.value.forward(&context.data));
        let attended = match table {
            Some(table) => forward_with_table(&q, &k, &v, shape, which, table, Precision::F32),
            None => forward(&q, &k, &v, shape, which, Precision::F32),
        };
        let attended = attended.out; // [B, Lq, N·Dh]
        let data = match residual {
            Some(residual) => self.out.added(&attended, &residual.data),
            None => self.out.forward(&attended),
        };
        Tokens::new(data, [x.batch, x.length, self.out.output()])
    }
}

/// A bias that hides later keys from earlier queries, `[L, L]`: of one sample.
pub fn causal_bias(length: usize) -> Vec<f32> {
    (0..length * length).map(|i| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 }).collect()
}

/// Names of the parts of a block in a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct BlockNames {
    /// The norm before attention.
    pub norm1: &'static str,
    /// Attention's joined projection, as keys of weight and bias.
    pub joined: [&'static str; 2],
    /// Attention's projection of the result.
    pub out: &'static str,
    /// The norm before the feed-forward branch.
    pub norm2: &'static str,
    /// The feed-forward branch's first product.
    pub up: &'static str,
    /// Its second.
    pub down: &'static str,
}

impl BlockNames {
    /// timm's and DINO's.
    pub const TIMM: Self = Self {
        norm1: "norm1",
        joined: ["attn.qkv.weight", "attn.qkv.bias"],
        out: "attn.proj",
        norm2: "norm2",
        up: "mlp.fc1",
        down: "mlp.fc2",
    };
    /// CLIP's.
    pub const CLIP: Self = Self {
        norm1: "ln_1",
        joined: ["attn.in_proj_weight", "attn.in_proj_bias"],
        out: "attn.out_proj",
        norm2: "ln_2",
        up: "mlp.c_fc",
        down: "mlp.c_proj",
    };
}

/// A block of a transformer that normalises first (Dosovitskiy et al. 2021): attention, then a feed-forward branch.
pub struct EncoderBlock {
    norm1: LayerNorm,
    attention: MultiHead,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl EncoderBlock {
    /// Of its parts: the norms before attention and before the feed-forward branch, and that branch's two products.
    pub fn new(
        [norm1, norm2]: [LayerNorm; 2],
        attention: MultiHead,
        [up, down]: [Linear; 2],
        activation: Activation,
    ) -> Self {
        Self { norm1, attention, norm2, up, down, activation }
    }

    /// Takes a block by these names; `sizes` are the width `D`, that of the hidden layer, and heads.
    ///
    /// # Errors
    /// If a tensor is absent or has another shape.
    pub fn load(
        weights: &Weights,
        names: BlockNames,
        sizes: [usize; 3],
        epsilon: f32,
        activation: Activation,
    ) -> Result<Self, BackboneError> {
        let bias = weights.take(names.joined[1], &[3 * sizes[0]])?;
        Self::load_with_bias(weights, names, sizes, epsilon, activation, &bias)
    }

    /// The same where the joined projection's `bias [3D]` comes from elsewhere: `names.joined[1]` is not read.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with_bias(
        weights: &Weights,
        names: BlockNames,
        [width, hidden, heads]: [usize; 3],
        epsilon: f32,
        activation: Activation,
        bias: &[f32],
    ) -> Result<Self, BackboneError> {
        let joined = weights.take(names.joined[0], &[3 * width, width])?;
        let out = Linear::load(&weights.at(names.out), [width, width])?;
        Ok(Self {
            norm1: LayerNorm::load(&weights.at(names.norm1), width, epsilon)?,
            attention: MultiHead::of_joined(&joined, bias, out, heads),
            norm2: LayerNorm::load(&weights.at(names.norm2), width, epsilon)?,
            up: Linear::load(&weights.at(names.up), [width, hidden])?,
            down: Linear::load(&weights.at(names.down), [hidden, width])?,
            activation,
        })
    }

    /// `[B, L, D]` → the same. `bias [L, L]`, if there is one, is added to scores.
    pub fn forward(&self, x: Tokens, bias: Option<&[f32]>) -> Tokens {
        let h = Tokens::new(self.norm1.forward(&x.data), x.shape());
        let repeated = bias.map(|bias| bias.repeat(x.batch));
        let bias = repeated.as_deref().map(|values| KeyBias { values, groups: x.length });
        let x = self.attention.forward(&h, &h, Keys { lengths: None, bias }, Some(&x));
        drop(h);
        self.feed_forward(x)
    }

    /// What the block makes of one token a sequence, `places [B]`, which sees the first `lengths [B]` tokens, or all: `[B, 1, D]`. The
    /// other tokens are read and not computed.
    pub fn forward_one(&self, x: &Tokens, places: &[usize], lengths: Option<&[usize]>) -> Tokens {
        let h = Tokens::new(self.norm1.forward(&x.data), x.shape());
        let (one, query) = (x.pick(places), h.pick(places)); // [B, 1, D]
        self.feed_forward(self.attention.forward(&query, &h, Keys { lengths, bias: None }, Some(&one)))
    }

    fn feed_forward(&self, x: Tokens) -> Tokens {
        let h = self.up.activated(&self.norm2.forward(&x.data), self.activation); // [B, L, hidden]
        Tokens::new(self.down.added(&h, &x.data), x.shape())
    }
}
