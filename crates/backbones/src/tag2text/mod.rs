//! What does a picture show, in a sentence? Tag2Text (Huang et al. 2023): tags of a picture, then a caption that is led by them.
//!
//! Keys are those of the dictionary `model` of `tag2text_swin_14m.pth`.

mod beam;
mod bert;

#[cfg(test)]
mod parity;

pub use beam::Beams;

use vidit_weights::TensorStore;

use crate::swin::Swin;
use crate::{BackboneError, Checkpoint, Grid, Tokens, Vocabulary, Weights};
use beam::{Step, search};
use bert::{Attention, Decoder, Embeddings, Layer, Outward};

const NAME: &str = "Tag2Text";

/// What the weights do not tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Heads of the layers that read and write text.
    pub heads: usize,
    /// Heads of the layers that find tags.
    pub tagging_heads: usize,
    /// A tag counts whose probability is larger.
    pub threshold: f32,
    /// Tokens of a list of tags: what is longer is cut, what is shorter filled up.
    pub tags_length: usize,
    /// What every caption begins with, and what is taken off it.
    pub prompt: &'static str,
    /// How captions are searched for.
    pub beams: Beams,
}

impl Config {
    /// As VBench sets it.
    pub const VBENCH: Self = Self {
        heads: 12,
        tagging_heads: 4,
        threshold: 0.7,
        tags_length: 40,
        prompt: "a picture of ",
        beams: Beams { count: 3, length_min: 10, length_max: 30 },
    };
}

/// The tags that a network knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagList {
    /// Their names, in the order of its labels.
    pub names: Vec<String>,
    /// Labels that never count.
    pub deleted: Vec<usize>,
}

impl TagList {
    /// The published network's 3,429, without six of number that VBench leaves out.
    pub fn vbench() -> Self {
        let names = include_str!("../../../../assets/vbench/tag2text/tags.txt");
        Self {
            names: names.lines().map(str::to_owned).collect(),
            deleted: vec![127, 3265, 3338, 3351, 3355, 3359],
        }
    }
}

/// What is seen in a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// A sentence in lower case.
    pub text: String,
    /// Tags, with ` | ` between.
    pub tags: String,
}

/// Tag2Text with weights.
pub struct Tag2Text {
    config: Config,
    vocabulary: Vocabulary,
    tags: TagList,
    eyes: Swin,
    /// Layers that find tags are the first that read them: attention to the picture, and the feed-forward branch.
    reader: Vec<Layer>,
    tagging_depth: usize,
    embeddings: Embeddings,
    /// `[T, D]`.
    labels: Vec<f32>,
    /// A row of weights a label, `[T, D]`, and its bias.
    probes: (Vec<f32>, Vec<f32>),
    decoder: Decoder,
}

impl Tag2Text {
    /// Takes the tensors of the modules that make a caption; those of other modules in the file are for training, and are dropped.
    /// `vocabulary` is that of uncased BERT.
    ///
    /// # Errors
    /// If a tensor is absent, misshapen, or has no use in its module, and if the vocabulary or the tags do not fit the weights.
    pub fn load(
        store: TensorStore,
        vocabulary: Vocabulary,
        tags: TagList,
        config: Config,
    ) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NAME, store);
        let weights = checkpoint.root();
        let eyes = Swin::load(&weights.at("visual_encoder"))?;
        let decoder = Decoder::load(&weights.at("text_decoder"), vocabulary.len(), config.heads)?;
        let width = decoder.width();
        let embeddings = Embeddings::load(&weights.at("tag_encoder.embeddings"), vocabulary.len(), None)?;
        let finder = weights.at("vision_multi.encoder");
        let tagging_depth = finder.count("layer");
        let reader = weights.at("tag_encoder.encoder");
        let depth = reader.count("layer").max(1);
        let reader = (0..depth)
            .map(|i| {
                let (own, found) = (reader.at("layer").at(i), finder.at("layer").at(i));
                match i < tagging_depth {
                    true => load_shared(&own, &found, width),
                    false => Layer::load(&own, width),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let count = tags.names.len();
        let labels = weights.at("label_embed").take("weight", &[count, width])?;
        let probes = weights.at("fc");
        let probes = (probes.take("W", &[1, count, width])?, probes.take("b", &[1, count])?);
        let network = Self {
            config,
            vocabulary,
            tags,
            eyes,
            reader,
            tagging_depth,
            embeddings,
            labels,
            probes,
            decoder,
        };
        network.check()?;
        checkpoint.finish(|key| has_no_use(key, tagging_depth))?;
        Ok(network)
    }

    /// Whether parts fit one another.
    fn check(&self) -> Result<(), BackboneError> {
        let Config { heads, tagging_heads, tags_length, beams, .. } = self.config;
        let (width, seen) = (self.decoder.width(), self.eyes.width());
        let outside = self.reader.iter().map(|layer| layer.outward.outside());
        let prompt = self.prompt().len();
        let reason = if [heads, tagging_heads].iter().any(|heads| *heads == 0 || width % heads != 0) {
            format!("{heads} and {tagging_heads} heads do not both divide a width of {width}")
        } else if self.tagging_depth == 0 || self.tagging_depth > self.reader.len() {
            format!("{} layers find tags, {} read them", self.tagging_depth, self.reader.len())
        } else if self.embeddings.width() != width || self.decoder.outside() != width {
            format!("texts of width {} are read, of {width} written", self.embeddings.width())
        } else if let Some(outside) = outside.into_iter().find(|outside| *outside != seen) {
            format!("a layer reads pictures of width {outside}, expected {seen}")
        } else if tags_length < 2 || tags_length > self.embeddings.length_max() {
            format!("lists of tags have {tags_length} tokens, at most {}", self.embeddings.length_max())
        } else if beams.length_max > self.decoder.length_max() || prompt >= beams.length_max {
            format!("captions of {beams:?} do not fit {} places", self.decoder.length_max())
        } else if beams.count == 0 || self.vocabulary.len() <= 2 * beams.count {
            format!("{beams:?} do not fit {} tokens", self.vocabulary.len())
        } else {
            return Ok(());
        };
        Err(BackboneError::Config { network: NAME, reason })
    }

    /// Captions of frames `[B, 384, 384, 3]`, RGB normalised with ImageNet's mean and deviation. What a frame's caption is does not
    /// depend on the others; several at once are written faster.
    ///
    /// # Errors
    /// If features, logits of tags or logits of words are not finite: of such tags none would count, and such words would still make a
    /// caption.
    pub fn captions(&self, frames: &Grid) -> Result<Vec<Caption>, BackboneError> {
        let [batch, height, width, channels] = frames.shape();
        let size = height * width * channels;
        let mut tags = Vec::with_capacity(batch);
        let mut seen = Vec::new();
        let mut length = 0;
        // Pictures pass one by one, so that maps and labels of one alone are held at a time.
        for (index, frame) in frames.data.chunks_exact(size.max(1)).enumerate() {
            let features = self.features(&Grid::new(frame.to_vec(), [1, height, width, channels]));
            finite(&features.data, || format!("features of frame `{index}`"))?;
            let logits = self.tag_logits(&features);
            finite(&logits, || format!("logits of the tags of frame `{index}`"))?;
            tags.extend(self.tags(&logits));
            length = features.length;
            seen.extend(features.data);
        }
        let states = self.states(&Tokens::new(seen, [batch, length, self.eyes.width()]), &tags);
        let texts = self.write(&states)?.into_iter().map(|tokens| self.text(&tokens));
        Ok(texts.zip(tags).map(|(text, tags)| Caption { text, tags }).collect())
    }

    /// The caption of one frame `[1, 384, 384, 3]`; see [`Self::captions`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// If there is not one frame.
    pub fn caption(&self, frame: &Grid) -> Result<Caption, BackboneError> {
        assert_eq!(frame.batch, 1, "one frame has one caption");
        Ok(self.captions(frame)?.pop().expect("a frame has a caption"))
    }

    /// What Swin sees in frames, `[B, 1 + L, O]`.
    pub fn features(&self, frames: &Grid) -> Tokens {
        self.eyes.forward(frames)
    }

    /// Logits of every label, `[B, T]`, of features `[B, 1 + L, O]`.
    pub fn tag_logits(&self, features: &Tokens) -> Vec<f32> {
        let width = self.decoder.width();
        let (probes, biases) = &self.probes;
        let heads = self.config.tagging_heads;
        let mut x =
            Tokens::new(self.labels.repeat(features.batch), [features.batch, self.tags.names.len(), width]); // [B, T, D]
        for layer in &self.reader[..self.tagging_depth] {
            let context = layer.outward.cross.context(&features.data);
            x = layer.outward.forward(&x, &context, features.length, heads);
        }
        let rows = x.data.chunks_exact(width).zip(probes.chunks_exact(width).zip(biases).cycle());
        rows.map(|(row, (probe, bias))| row.iter().zip(probe).map(|(a, b)| a * b).sum::<f32>() + bias)
            .collect()
    }

    /// The tags whose logits say so, one text for each row `[T]`.
    pub fn tags(&self, logits: &[f32]) -> Vec<String> {
        let counts = |(label, logit): (usize, &f32)| {
            let probability = 1.0 / (1.0 + (-logit).exp());
            probability > self.config.threshold && !self.tags.deleted.contains(&label)
        };
        let rows = logits.chunks_exact(self.tags.names.len());
        rows.map(|row| {
            let labels = row.iter().enumerate().filter(|of| counts(*of)).map(|(label, _)| label);
            labels.map(|label| self.tags.names[label].as_str()).collect::<Vec<_>>().join(" | ")
        })
        .collect()
    }

    /// What lists of tags say with the pictures in view, `[B, tags_length, D]`; `features` are `[B, 1 + L, O]`.
    pub fn states(&self, features: &Tokens, tags: &[String]) -> Tokens {
        let length = self.config.tags_length;
        let (mut tokens, mut lengths) = (Vec::new(), Vec::new());
        for tags in tags {
            let pieces = self.vocabulary.encode(tags);
            let start = tokens.len();
            tokens.push(self.vocabulary.encoder);
            tokens.extend(pieces.into_iter().take(length - 2));
            tokens.push(self.vocabulary.end);
            lengths.push(tokens.len() - start);
            tokens.resize(start + length, self.vocabulary.padding);
        }
        if tokens.is_empty() {
            return Tokens::new(Vec::new(), [0, length, self.decoder.width()]);
        }
        let x = self.embeddings.forward(&tokens, length, 0); // [B, tags_length, D]
        self.reader.iter().fold(x, |x, layer| layer.forward(&x, &lengths, features, self.config.heads))
    }

    /// Tokens of a caption for each of `states [B, tags_length, D]`, the prompt's among them.
    ///
    /// # Errors
    /// If logits are not finite.
    pub fn write(&self, states: &Tokens) -> Result<Vec<Vec<usize>>, BackboneError> {
        let (beams, sizes) = (self.config.beams, [states.batch, self.vocabulary.len()]);
        let prompt = self.prompt();
        let mut memory = None;
        search(beams, &prompt, self.vocabulary.end, sizes, |step| {
            let logits = match (step, &mut memory) {
                (Step::Next { from, tokens }, Some(memory)) => self.decoder.go_on(memory, from, tokens),
                _ => {
                    let (begun, logits) = self.decoder.begin(&prompt, states, beams.length_max);
                    memory = Some(begun);
                    logits
                }
            };
            finite(&logits, || "logits of a caption's words".to_owned())?;
            Ok(logits)
        })
    }

    /// The text of a caption's tokens, without the prompt: as many letters are taken off as that has.
    pub fn text(&self, tokens: &[usize]) -> String {
        self.vocabulary.decode(tokens).chars().skip(self.config.prompt.chars().count()).collect()
    }

    fn prompt(&self) -> Vec<usize> {
        let mut tokens = vec![self.vocabulary.decoder];
        tokens.extend(self.vocabulary.encode(self.config.prompt));
        tokens
    }
}

fn finite(values: &[f32], what: impl FnOnce() -> String) -> Result<(), BackboneError> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(BackboneError::NotFinite { network: NAME, what: what() }),
    }
}

/// A layer that reads tags, of which all but the attention among them is a layer that finds tags, too.
fn load_shared(own: &Weights, found: &Weights, width: usize) -> Result<Layer, BackboneError> {
    let own: Attention = Layer::load_own(own, width)?;
    Ok(Layer { own, outward: Outward::load(found, width)? })
}

/// Whether a key is of a module that makes no caption, a buffer that follows from sizes, or a copy of tied weights, of which the official
/// code uses the other.
fn has_no_use(key: &str, tied: usize) -> bool {
    const MODULES: [&str; 6] =
        ["visual_encoder.", "text_decoder.", "tag_encoder.", "vision_multi.", "label_embed.", "fc."];
    let copy = |i: usize| {
        ["crossattention", "intermediate", "output"]
            .iter()
            .any(|part| key.starts_with(&format!("tag_encoder.encoder.layer.{i}.{part}.")))
    };
    !MODULES.iter().any(|module| key.starts_with(module))
        || key.ends_with(".position_ids")
        || key.starts_with("visual_encoder.head.")
        || key.starts_with("vision_multi.embeddings.")
        || (0..tied).any(copy)
}
