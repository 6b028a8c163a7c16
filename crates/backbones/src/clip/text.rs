use super::{Config, EPSILON};
use crate::layers::{Activation, BlockNames, Encoder, LayerNorm, Linear};
use crate::{BackboneError, Tokens, Weights};

/// CLIP's text tower.
pub struct TextTower {
    network: &'static str,
    /// `[vocabulary, D]`.
    embedding: Vec<f32>,
    /// `[context, D]`.
    positions: Vec<f32>,
    width: usize,
    encoder: Encoder,
    norm: LayerNorm,
    projection: Linear,
}

impl TextTower {
    /// Takes a tower by OpenAI's names: `token_embedding.weight`, `positional_embedding`, `transformer.resblocks.N.*`, `ln_final.*`,
    /// `text_projection`.
    ///
    /// # Errors
    /// If a tensor is absent or misshapen.
    pub fn take(weights: &Weights, config: Config) -> Result<Self, BackboneError> {
        let (shape, embedding) = weights.at("token_embedding").take_any("weight", 2)?;
        let width = shape[1];
        let sizes = [width, 4 * width, super::heads(weights.network(), width, config)?];
        let context = weights.shape("positional_embedding").map_or(0, |shape| shape[0]);
        let output = weights.shape("text_projection").and_then(|shape| shape.get(1).copied()).unwrap_or(0);
        let transformer = weights.at("transformer");
        let depth = super::depth(&transformer)?;
        let blocks = transformer.at("resblocks");
        Ok(Self {
            network: weights.network(),
            embedding,
            positions: weights.take("positional_embedding", &[context, width])?,
            width,
            encoder: Encoder::load(&blocks, depth, BlockNames::CLIP, sizes, EPSILON, Activation::QuickGelu)?,
            norm: LayerNorm::load(&weights.at("ln_final"), width, EPSILON)?,
            projection: Linear::load_transposed(weights, "text_projection", [width, output])?,
        })
    }

    /// Tokens that it can read, at most.
    pub fn context(&self) -> usize {
        self.positions.len() / self.width
    }

    /// How many different tokens it knows.
    pub fn vocabulary(&self) -> usize {
        self.embedding.len() / self.width
    }

    /// Length of a feature.
    pub fn output(&self) -> usize {
        self.projection.output()
    }

    /// Features `[B, output]`, not normalised, of texts as token ids, filled up to the context or not: what stands at the highest id, the
    /// first of several, which is the end of the text. A token sees itself and those before it, so what follows the end is not computed.
    ///
    /// # Errors
    /// If a text is empty or longer than the context, or has an id that is not in the vocabulary.
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>, BackboneError> {
        self.watched(texts, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed: of the tokens up to the furthest end, and in the last block of the
    /// ends alone.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn watched(
        &self,
        texts: &[Vec<u32>],
        watch: &mut dyn FnMut(&str, &[f32]),
    ) -> Result<Vec<f32>, BackboneError> {
        let ends = texts.iter().map(|text| self.end_of(text)).collect::<Result<Vec<usize>, _>>()?;
        let length = ends.iter().max().map_or(0, |end| end + 1);
        if length == 0 {
            return Ok(Vec::new());
        }
        let mut x =
            Tokens::new(vec![0.0; texts.len() * length * self.width], [texts.len(), length, self.width]);
        for (sequence, text) in x.data.chunks_exact_mut(length * self.width).zip(texts) {
            for (out, id) in sequence.chunks_exact_mut(self.width).zip(text) {
                out.copy_from_slice(&self.embedding[*id as usize * self.width..][..self.width]);
            }
        }
        x.add_to_each(&self.positions[..length * self.width]);
        watch("embedded", &x.data);
        let x = self.encoder.forward_one_causal(x, &ends, watch); // [B, 1, D]
        let feature = self.projection.forward(&self.norm.forward(&x.data)); // [B, output]
        watch("feature", &feature);
        Ok(feature)
    }

    /// Where the highest id is.
    fn end_of(&self, text: &[u32]) -> Result<usize, BackboneError> {
        let refuse = |reason: String| Err(BackboneError::Input { network: self.network, reason });
        if text.len() > self.context() {
            return refuse(format!(
                "a text has `{}` tokens, expected at most {}",
                text.len(),
                self.context()
            ));
        }
        let Some(highest) = text.iter().max() else {
            return refuse("a text has no token, expected at least its end".to_owned());
        };
        if *highest as usize >= self.vocabulary() {
            return refuse(format!(
                "token `{highest}` is not among its {} tokens\nhint: is the vocabulary file this checkpoint's?",
                self.vocabulary()
            ));
        }
        Ok(text.iter().position(|id| id == highest).expect("the highest is one of them"))
    }
}
