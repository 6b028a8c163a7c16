//! What a box shows, in words: a transformer that reads the box as a prefix and writes after it (Wang et al. 2022, GIT; Wu et al.
//! 2022, GRiT). The prefix does not see the text, so that its keys and values serve every step and every task.

use vidit_kernels::Precision;
use vidit_kernels::attention::{AttentionShape, CachedKeys, Keys, forward, one_query};

use super::Note;
use crate::layers::{Activation, LayerNorm, Linear};
use crate::{BackboneError, Weights};

pub(super) type Token = usize;

/// What ends a text.
const END: Token = 102;
/// What the logit of the token before is set to.
const REPEATED: f32 = -10_000.0;

/// Which text a box gets: the token that it begins with.
#[derive(Clone, Copy)]
pub(super) enum Task {
    /// The object's name.
    Name = 101,
    /// A phrase about it.
    Caption = 104,
}

/// What was written.
pub(super) struct Written {
    /// From the task's token, with the end, if it was reached.
    pub tokens: Vec<Token>,
    /// Mean logarithm of the tokens' probabilities, the end's among them.
    pub log_probability: f32,
}

pub(super) struct TextDecoder {
    project: Linear,
    project_norm: LayerNorm,
    /// `[V, D]`.
    words: Vec<f32>,
    /// `[P, D]`.
    positions: Vec<f32>,
    embedding_norm: LayerNorm,
    layers: Vec<Layer>,
    /// To logits, `words` transposed.
    output: Linear,
    heads: usize,
    length_max: usize,
}

/// A block of BERT, which normalises last (Devlin et al. 2019).
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm1: LayerNorm,
    up: Linear,
    down: Linear,
    norm2: LayerNorm,
}

/// Keys and values of some boxes, a pair of `[R, T, D]` a layer.
pub(super) struct Prefix {
    layers: Vec<[Vec<f32>; 2]>,
    boxes: usize,
    tokens: usize,
}

impl Layer {
    fn load(weights: &Weights, width: usize) -> Result<Self, BackboneError> {
        let hidden = weights.at("intermediate.dense").shape("bias").map_or(0, |shape| shape[0]);
        let square = |name: &str| Linear::load(&weights.at(name), [width, width]);
        let norm = |name: &str| LayerNorm::load(&weights.at(name), width, 1e-12);
        Ok(Self {
            query: square("attention.self.query")?,
            key: square("attention.self.key")?,
            value: square("attention.self.value")?,
            out: square("attention.output.dense")?,
            norm1: norm("attention.output.LayerNorm")?,
            up: Linear::load(&weights.at("intermediate.dense"), [width, hidden])?,
            down: Linear::load(&weights.at("output.dense"), [hidden, width])?,
            norm2: norm("output.LayerNorm")?,
        })
    }

    /// What follows attention.
    fn finish(&self, attended: &[f32], x: &[f32]) -> Vec<f32> {
        let x = self.norm1.forward(&self.out.added(attended, x));
        let hidden = self.up.activated(&x, Activation::Gelu);
        self.norm2.forward(&self.down.added(&hidden, &x))
    }
}

impl TextDecoder {
    /// For features of `channels` and texts of `length_max` tokens, the first among them.
    pub fn load(
        weights: &Weights,
        channels: usize,
        heads: usize,
        length_max: usize,
    ) -> Result<Self, BackboneError> {
        let embedding = weights.at("embedding");
        let (shape, words) = embedding.at("words").take_any("weight", 2)?;
        let [vocabulary, width] = [shape[0], shape[1]];
        let positions = embedding.at("positions");
        let rows = positions.shape("weight").map_or(0, |shape| shape[0]).max(length_max);
        weights.at("output").skip("weight"); // the same as `words`
        let layers = weights.at("transformer.encoder");
        Ok(Self {
            project: Linear::load(&weights.at("object_feature_projection.0"), [channels, width])?,
            project_norm: LayerNorm::load(&weights.at("object_feature_projection.1"), width, 1e-5)?,
            output: Linear::new(&words, weights.at("output").take("bias", &[vocabulary])?),
            words,
            positions: positions.take("weight", &[rows, width])?,
            embedding_norm: LayerNorm::load(&embedding.at("layer_norm"), width, 1e-8)?,
            layers: (0..layers.count("layer"))
                .map(|i| Layer::load(&layers.at("layer").at(i), width))
                .collect::<Result<_, _>>()?,
            heads,
            length_max,
        })
    }

    /// Tokens that it knows.
    pub fn vocabulary(&self) -> usize {
        self.output.output()
    }

    fn width(&self) -> usize {
        self.project.output()
    }

    /// Reads `boxes`, `[R, T, C]`.
    pub fn read(&self, pooled: &[f32], boxes: usize, note: Note) -> Prefix {
        let mut x = self.project_norm.forward(&self.project.forward(pooled)); // [R, T, D]
        note("text.projected", &x);
        let tokens = x.len() / (boxes.max(1) * self.width());
        let shape = AttentionShape {
            batch: boxes,
            heads: self.heads,
            head_dim: self.width() / self.heads,
            queries: tokens,
            keys: tokens,
        };
        let mut layers = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let (k, v) = (layer.key.forward(&x), layer.value.forward(&x));
            // Of the last layer, text reads keys and values alone.
            if i + 1 < self.layers.len() {
                let q = layer.query.forward(&x);
                let attended = forward(&q, &k, &v, shape, Keys::default(), Precision::F32).out;
                x = layer.finish(&attended, &x);
                note(&format!("text.layer{i}"), &x);
            }
            layers.push([k, v]);
        }
        Prefix { layers, boxes, tokens }
    }

    /// Writes a text for each box, the likeliest token at a time, never the same twice running. `note` sees logits by step.
    pub fn write(&self, prefix: &Prefix, task: Task, mut note: impl FnMut(usize, &[f32])) -> Vec<Written> {
        let (width, boxes) = (self.width(), prefix.boxes);
        let room = || vec![0.0; boxes * self.length_max * width];
        let mut kept: Vec<[Vec<f32>; 2]> = self.layers.iter().map(|_| [room(), room()]).collect();
        let mut texts: Vec<Written> =
            (0..boxes).map(|_| Written { tokens: vec![task as Token], log_probability: 0.0 }).collect();
        let mut going: Vec<usize> = (0..boxes).collect();
        for step in 0..self.length_max - 1 {
            let logits = self.step(&texts, &going, step, prefix, &mut kept);
            note(step + 1, &logits);
            for (row, sample) in logits.chunks_exact(self.vocabulary()).zip(&going) {
                let text = &mut texts[*sample];
                let before = (step > 0).then(|| text.tokens[step]);
                let (token, log_probability) = likeliest(row, before);
                text.tokens.push(token);
                text.log_probability += log_probability;
            }
            going.retain(|sample| texts[*sample].tokens[step + 1] != END);
            if going.is_empty() {
                break;
            }
        }
        for text in &mut texts {
            text.log_probability /= (text.tokens.len() - 1).max(1) as f32;
        }
        texts
    }

    /// Logits of what follows the last token of each text that is `going`, `[S, V]`; keys and values go to `kept`.
    fn step(
        &self,
        texts: &[Written],
        going: &[usize],
        step: usize,
        prefix: &Prefix,
        kept: &mut [[Vec<f32>; 2]],
    ) -> Vec<f32> {
        let (width, capacity) = (self.width(), self.length_max);
        let position = &self.positions[step * width..][..width];
        let embedded: Vec<f32> = going
            .iter()
            .map(|sample| &self.words[texts[*sample].tokens[step] * width..][..width])
            .flat_map(|word| word.iter().zip(position).map(|(word, position)| word + position))
            .collect();
        let mut x = self.embedding_norm.forward(&embedded); // [S, D]
        for ((layer, kept), [prefix_k, prefix_v]) in self.layers.iter().zip(kept).zip(&prefix.layers) {
            for (kept, rows) in kept.iter_mut().zip([layer.key.forward(&x), layer.value.forward(&x)]) {
                for (row, sample) in rows.chunks_exact(width).zip(going) {
                    kept[(sample * capacity + step) * width..][..width].copy_from_slice(row);
                }
            }
            let stretches = [
                CachedKeys { k: prefix_k, v: prefix_v, capacity: prefix.tokens, length: prefix.tokens },
                CachedKeys { k: &kept[0], v: &kept[1], capacity, length: step + 1 },
            ];
            let attended = one_query(&layer.query.forward(&x), going, &stretches, self.heads);
            x = layer.finish(&attended, &x);
        }
        self.output.forward(&x)
    }
}

/// The token of the largest logit but for the one before, and the logarithm of its probability.
fn likeliest(logits: &[f32], before: Option<Token>) -> (Token, f32) {
    let logit = |token: Token| if Some(token) == before { REPEATED } else { logits[token] };
    let mut best = 0;
    for token in 1..logits.len() {
        if logit(token) > logit(best) {
            best = token;
        }
    }
    let top = logit(best);
    let total: f64 = (0..logits.len()).map(|token| f64::from((logit(token) - top).exp())).sum();
    (best, -total.ln() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_follows_itself() {
        let logits = [0.0, 3.0, 1.0];
        let (token, log_probability) = likeliest(&logits, None);
        assert_eq!(token, 1);
        assert!((log_probability - 3.0 + (1.0f32 + 3f32.exp() + 1f32.exp()).ln()).abs() < 1e-6);
        let (token, log_probability) = likeliest(&logits, Some(1));
        assert_eq!(token, 2);
        assert!((log_probability - 1.0 + (1.0 + 1f32.exp()).ln()).abs() < 1e-6);
    }
}
