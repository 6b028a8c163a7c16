//! BERT (Devlin et al. 2019) with attention to something outside, as BLIP has it (`med.py`, Li et al. 2022): norms after each branch.

use vidit_kernels::Precision;
use vidit_kernels::attention::{AttentionShape, KeyBias, Keys, forward};

use crate::layers::{Activation, LayerNorm, Linear, causal_bias};
use crate::{BackboneError, Tokens, Weights};

const EPSILON: f32 = 1e-12;

/// Attention with its residual and norm.
pub(super) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm: LayerNorm,
}

/// Keys and values, `[B, Lk, D]` each.
pub(super) struct Context {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Attention {
    /// Takes `self.{query, key, value}` and `output.{dense, LayerNorm}`; keys and values read tokens of width `outside`.
    fn load(weights: &Weights, width: usize, outside: usize) -> Result<Self, BackboneError> {
        let (own, output) = (weights.at("self"), weights.at("output"));
        Ok(Self {
            query: Linear::load(&own.at("query"), [width; 2])?,
            key: Linear::load(&own.at("key"), [outside, width])?,
            value: Linear::load(&own.at("value"), [outside, width])?,
            out: Linear::load(&output.at("dense"), [width; 2])?,
            norm: LayerNorm::load(&output.at("LayerNorm"), width, EPSILON)?,
        })
    }

    /// Keys and values of tokens.
    pub fn context(&self, tokens: &[f32]) -> Context {
        Context { keys: self.key.forward(tokens), values: self.value.forward(tokens) }
    }

    /// `x [B, Lq, D]` attends to `context [B, keys, D]`.
    fn attend(&self, x: &Tokens, context: &Context, keys: usize, heads: usize, which: Keys) -> Tokens {
        let shape =
            AttentionShape { batch: x.batch, heads, head_dim: x.width / heads, queries: x.length, keys };
        let q = self.query.forward(&x.data);
        let attended = forward(&q, &context.keys, &context.values, shape, which, Precision::F32).out;
        let sum = self.out.added(&attended, &x.data);
        Tokens::new(self.norm.forward(&sum), x.shape())
    }
}

/// Attention to something outside, and the feed-forward branch.
pub(super) struct Outward {
    pub cross: Attention,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

impl Outward {
    /// Takes `crossattention`, `intermediate` and `output`; the widths of the branch and of what is outside are those of the weights.
    pub fn load(weights: &Weights, width: usize) -> Result<Self, BackboneError> {
        let size =
            |name: &str, axis: usize| weights.shape(name).and_then(|s| s.get(axis).copied()).unwrap_or(0);
        let outside = size("crossattention.self.key.weight", 1);
        let hidden = size("intermediate.dense.weight", 0);
        Ok(Self {
            cross: Attention::load(&weights.at("crossattention"), width, outside)?,
            up: Linear::load(&weights.at("intermediate.dense"), [width, hidden])?,
            down: Linear::load(&weights.at("output.dense"), [hidden, width])?,
            norm: LayerNorm::load(&weights.at("output.LayerNorm"), width, EPSILON)?,
        })
    }

    /// Width of the tokens outside.
    pub fn outside(&self) -> usize {
        self.cross.key.input()
    }

    /// `x [B, Lq, D]` attends to all of `context [B, keys, D]`, then the feed-forward branch.
    pub fn forward(&self, x: &Tokens, context: &Context, keys: usize, heads: usize) -> Tokens {
        let x = self.cross.attend(x, context, keys, heads, Keys::default());
        let h = self.up.activated(&x.data, Activation::Gelu); // [B, Lq, hidden]
        let sum = self.down.added(&h, &x.data);
        Tokens::new(self.norm.forward(&sum), x.shape())
    }
}

/// Words and places, `[V, D]` and `[P, D]`.
pub(super) struct Embeddings {
    words: Vec<f32>,
    places: Vec<f32>,
    norm: LayerNorm,
    width: usize,
}

impl Embeddings {
    /// Takes `word_embeddings`, `position_embeddings` and `LayerNorm`; `words [V, D]` replace the former, which they are tied to.
    pub fn load(
        weights: &Weights,
        vocabulary: usize,
        words: Option<Vec<f32>>,
    ) -> Result<Self, BackboneError> {
        let (shape, places) = weights.at("position_embeddings").take_any("weight", 2)?;
        let width = shape[1];
        let own = weights.at("word_embeddings");
        let words = match words {
            Some(words) => {
                own.skip("weight");
                words
            }
            None => own.take("weight", &[vocabulary, width])?,
        };
        Ok(Self { words, places, norm: LayerNorm::load(&weights.at("LayerNorm"), width, EPSILON)?, width })
    }

    /// `D`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Places that there are embeddings of, `P`.
    pub fn length_max(&self) -> usize {
        self.places.len() / self.width.max(1)
    }

    /// `tokens [B, L]`, the first of each text at place `from` → `[B, L, D]`.
    pub fn forward(&self, tokens: &[usize], length: usize, from: usize) -> Tokens {
        let width = self.width;
        let mut data = Vec::with_capacity(tokens.len() * width);
        for (i, token) in tokens.iter().enumerate() {
            let word = &self.words[token * width..][..width];
            let place = &self.places[(from + i % length) * width..][..width];
            data.extend(word.iter().zip(place).map(|(a, b)| a + b));
        }
        Tokens::new(self.norm.forward(&data), [tokens.len() / length, length, width])
    }
}

/// A layer: attention among tokens, attention to something outside, feed-forward branch.
pub(super) struct Layer {
    pub own: Attention,
    pub outward: Outward,
}

impl Layer {
    /// Takes a whole layer.
    pub fn load(weights: &Weights, width: usize) -> Result<Self, BackboneError> {
        Ok(Self { own: Self::load_own(weights, width)?, outward: Outward::load(weights, width)? })
    }

    /// Takes `attention` alone.
    pub fn load_own(weights: &Weights, width: usize) -> Result<Attention, BackboneError> {
        Attention::load(&weights.at("attention"), width, width)
    }

    /// `x [B, L, D]`, the first `lengths [B]` tokens of which are seen, attends to itself and then to `outside [B, K, O]`.
    pub fn forward(&self, x: &Tokens, lengths: &[usize], outside: &Tokens, heads: usize) -> Tokens {
        let which = Keys { lengths: Some(lengths), bias: None };
        let x = self.own.attend(x, &self.own.context(&x.data), x.length, heads, which);
        self.outward.forward(&x, &self.outward.cross.context(&outside.data), outside.length, heads)
    }
}

/// What is kept of the texts of a decoder: keys and values of each layer, so that a step computes the last tokens alone.
pub(super) struct Memory {
    layers: Vec<Remembered>,
    /// Tokens of each text.
    length: usize,
    /// Tokens of each text that there is room for.
    room: usize,
    /// Texts.
    texts: usize,
    /// Tokens outside.
    outside: usize,
    /// Which of the samples at the beginning each text is of.
    samples: Vec<usize>,
}

struct Remembered {
    /// `[texts, room, D]`.
    own: Context,
    /// `[samples that are left, outside, D]`.
    outside: Context,
}

/// Rows of `size` values by number.
fn regrouped(data: &[f32], size: usize, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|row| &data[row * size..][..size]).copied().collect()
}

impl Context {
    fn regroup(&mut self, size: usize, rows: &[usize]) {
        self.keys = regrouped(&self.keys, size, rows);
        self.values = regrouped(&self.values, size, rows);
    }

    /// Copies keys and values `[B, L, D]` to the places from `from` on of `[B, room, D]`.
    fn store(&mut self, new: &Context, [length, room, width]: [usize; 3], from: usize) {
        for (to, new) in [(&mut self.keys, &new.keys), (&mut self.values, &new.values)] {
            for (to, new) in to.chunks_exact_mut(room * width).zip(new.chunks_exact(length * width)) {
                to[from * width..][..new.len()].copy_from_slice(new);
            }
        }
    }
}

/// Layers that write a text, token by token.
pub(super) struct Decoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    transform: Linear,
    norm: LayerNorm,
    output: Linear,
    heads: usize,
}

impl Decoder {
    /// Takes `bert` and `cls`. Words that are read and written are tied: `cls.predictions.decoder`, where there is one, counts.
    pub fn load(weights: &Weights, vocabulary: usize, heads: usize) -> Result<Self, BackboneError> {
        let (bert, head) = (weights.at("bert"), weights.at("cls.predictions"));
        let embeddings = bert.at("embeddings");
        let shape = embeddings.at("position_embeddings").shape("weight").unwrap_or_default();
        let width = shape.last().copied().unwrap_or(0);
        let written = head.at("decoder");
        let words = match written.shape("weight") {
            Some(_) => Some(written.take("weight", &[vocabulary, width])?),
            None => None,
        };
        let embeddings = Embeddings::load(&embeddings, vocabulary, words)?;
        let bias = match written.shape("bias") {
            Some(_) => {
                head.skip("bias");
                written.take("bias", &[vocabulary])?
            }
            None => head.take("bias", &[vocabulary])?,
        };
        let layers = bert.at("encoder");
        let layers = (0..layers.count("layer").max(1))
            .map(|i| Layer::load(&layers.at("layer").at(i), width))
            .collect::<Result<_, _>>()?;
        let transform = head.at("transform");
        Ok(Self {
            layers,
            transform: Linear::load(&transform.at("dense"), [width; 2])?,
            norm: LayerNorm::load(&transform.at("LayerNorm"), width, EPSILON)?,
            output: Linear::new(&embeddings.words, bias),
            embeddings,
            heads,
        })
    }

    /// `D`.
    pub fn width(&self) -> usize {
        self.embeddings.width()
    }

    /// Width of the tokens outside that the layers read.
    pub fn outside(&self) -> usize {
        self.layers[0].outward.outside()
    }

    /// Places that there are embeddings of.
    pub fn length_max(&self) -> usize {
        self.embeddings.length_max()
    }

    /// Reads a prompt once for every sample of `outside [B, K, O]`; there will be at most `room` tokens. Returns what is remembered, and
    /// logits of what follows, `[B, V]`.
    pub fn begin(&self, prompt: &[usize], outside: &Tokens, room: usize) -> (Memory, Vec<f32>) {
        let (texts, length, width) = (outside.batch, prompt.len(), self.width());
        let mut x = self.embeddings.forward(&prompt.repeat(texts), length, 0); // [B, L, D]
        let bias = causal_bias(length).repeat(texts);
        let which = Keys { lengths: None, bias: Some(KeyBias { values: &bias, groups: length }) };
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let own = layer.own.context(&x.data);
            x = layer.own.attend(&x, &own, length, self.heads, which);
            let context = layer.outward.cross.context(&outside.data);
            x = layer.outward.forward(&x, &context, outside.length, self.heads);
            let empty = || vec![0.0; texts * room * width];
            let mut kept = Context { keys: empty(), values: empty() };
            kept.store(&own, [length, room, width], 0);
            layers.push(Remembered { own: kept, outside: context });
        }
        let memory =
            Memory { layers, length, room, texts, outside: outside.length, samples: (0..texts).collect() };
        let last = x.column(length - 1); // [B, D]
        (memory, self.logits(&last))
    }

    /// Reads one token more: text `i` goes on from text `from[i]` with `tokens[i]`. Texts of a sample lie side by side, as many for each.
    /// Returns logits of what follows, `[texts, V]`.
    pub fn go_on(&self, memory: &mut Memory, from: &[usize], tokens: &[usize]) -> Vec<f32> {
        memory.regroup(from, self.width());
        let samples = memory
            .layers
            .first()
            .map_or(0, |layer| layer.outside.keys.len() / (memory.outside * self.width()));
        let (texts, place, width) = (memory.texts, memory.length, self.width());
        let lengths = vec![place + 1; texts];
        let which = Keys { lengths: Some(&lengths), bias: None };
        let mut x = self.embeddings.forward(tokens, 1, place); // [texts, 1, D]
        for (layer, kept) in self.layers.iter().zip(&mut memory.layers) {
            kept.own.store(&layer.own.context(&x.data), [1, memory.room, width], place);
            x = layer.own.attend(&x, &kept.own, memory.room, self.heads, which);
            // What is outside is the same for all texts of a sample: they are queries side by side.
            let beside = Tokens::new(x.data, [samples, texts / samples, width]); // [samples, texts each, D]
            let beside = layer.outward.forward(&beside, &kept.outside, memory.outside, self.heads);
            x = Tokens::new(beside.data, [texts, 1, width]); // [texts, 1, D]
        }
        memory.length += 1;
        self.logits(&x.data)
    }

    /// `[R, D]` → `[R, V]`.
    fn logits(&self, x: &[f32]) -> Vec<f32> {
        let h = self.norm.forward(&self.transform.activated(x, Activation::Gelu));
        self.output.forward(&h)
    }
}

impl Memory {
    /// Texts become those that go on; samples without any are forgotten.
    fn regroup(&mut self, from: &[usize], width: usize) {
        if from.iter().copied().eq(0..self.texts) {
            return;
        }
        let before: Vec<usize> = distinct(&self.samples);
        let samples: Vec<usize> = from.iter().map(|text| self.samples[*text]).collect();
        let left: Vec<usize> = distinct(&samples);
        let kept: Vec<usize> = (0..before.len()).filter(|i| left.contains(&before[*i])).collect();
        for layer in &mut self.layers {
            layer.own.regroup(self.room * width, from);
            if left != before {
                layer.outside.regroup(self.outside * width, &kept);
            }
        }
        (self.texts, self.samples) = (from.len(), samples);
    }
}

/// Neighbours that are equal, once.
fn distinct(values: &[usize]) -> Vec<usize> {
    let mut distinct = values.to_vec();
    distinct.dedup();
    distinct
}
