//! GRiT (Wu et al. 2022): every object of a picture, where it is, what it is called, and a phrase about it.
//!
//! The picture `[H, W, 3]` is RGB, 0–255, at its own size: the official code's resize is computed there and thrown away. Masks, which
//! no score reads, are left out; the official code runs detection once for names and once for captions, which differ in nothing
//! but the text's first token.

mod boxes;
mod proposals;
mod pyramid;
mod regions;
mod text;
mod vit;
mod vocabulary;

use vidit_weights::TensorStore;

use crate::{BackboneError, Checkpoint, Grid};
pub use boxes::BoxConfig;
pub use proposals::ProposalConfig;

const NETWORK: &str = "GRiT";
/// Of the pyramid's levels.
const STRIDES: [usize; 5] = [8, 16, 32, 64, 128];
/// The picture's height and width become multiples of it, with zeros after the normalisation.
const MULTIPLE: usize = 32;
/// Of ImageNet, in levels of 0–255.
const MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const DEVIATION: [f32; 3] = [58.395, 57.12, 57.375];
/// Boxes that are read and written at once: keys and values of one take 7 MiB at the published size.
const BOXES_AT_ONCE: usize = 32;

/// Sees activations by name.
type Note<'a> = &'a mut dyn FnMut(&str, &[f32]);

/// What shapes of weights do not say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Heads of the picture's transformer.
    pub heads: usize,
    /// Patches a side of a window.
    pub window: usize,
    /// Blocks that attend to the whole picture.
    pub global: &'static [usize],
    /// Groups of the norms in the proposals' head.
    pub groups: usize,
    /// What becomes a proposal.
    pub proposals: ProposalConfig,
    /// What becomes a detection.
    pub boxes: BoxConfig,
    /// Heads of the text's transformer.
    pub text_heads: usize,
    /// Bins a side that a box is pooled to for its text.
    pub text_side: usize,
    /// Tokens of a text at most, with the first.
    pub text_length_max: usize,
}

impl Config {
    /// `grit_b_densecap_objectdet`, as VBench runs it.
    pub const B: Self = Self {
        heads: 12,
        window: 14,
        global: &[2, 5, 8, 11],
        groups: 32,
        proposals: ProposalConfig { score_min: 1e-4, per_level_max: 1000, overlap_max: 0.9, count_max: 256 },
        boxes: BoxConfig { side: 7, score_min: 0.5, overlap_max: 0.5, count_max: 256 },
        text_heads: 12,
        text_side: 14,
        text_length_max: 40,
    };
}

/// Which texts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Names of objects.
    pub names: bool,
    /// Phrases about them.
    pub captions: bool,
}

/// An object on a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Left, top, right, bottom in pixels, inside the picture and not empty.
    pub corners: [f32; 4],
    /// Of the box, 0–1: the root of the product of the proposal's score and the mean of the stages'.
    pub score: f32,
    /// Its name, if it was asked for.
    pub name: Option<Description>,
    /// A phrase about it, if it was asked for.
    pub caption: Option<Description>,
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// In lower case.
    pub words: String,
    /// Mean logarithm of its tokens' probabilities.
    pub log_probability: f32,
}

/// The network.
pub struct Grit {
    config: Config,
    vit: vit::Vit,
    pyramid: pyramid::Pyramid,
    proposals: proposals::ProposalHead,
    cascade: boxes::Cascade,
    text: text::TextDecoder,
    vocabulary: vocabulary::Vocabulary,
}

impl Grit {
    /// Of the official checkpoint's tensors (its `model`), and of the bytes of bert-base-uncased's `vocab.txt`.
    ///
    /// # Errors
    /// If a tensor is absent, has another shape or is of no use, or the vocabulary has another size.
    pub fn load(store: TensorStore, vocabulary: &[u8], config: Config) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NETWORK, store);
        let root = checkpoint.root();
        let (backbone, heads) = (root.at("backbone"), root.at("roi_heads"));
        let vit = vit::Vit::load(&backbone.at("bottom_up"), config.heads, config.window, config.global)?;
        let pyramid = pyramid::Pyramid::load(&backbone, vit.channels())?;
        let channels = pyramid.channels();
        let proposals = proposals::ProposalHead::load(
            &root.at("proposal_generator.centernet_head"),
            channels,
            config.groups,
        )?;
        let cascade = boxes::Cascade::load(&heads, channels, config.boxes.side)?;
        let text = text::TextDecoder::load(
            &heads.at("text_decoder.textual"),
            channels,
            config.text_heads,
            config.text_length_max,
        )?;
        let vocabulary = vocabulary::Vocabulary::new(NETWORK, vocabulary, text.vocabulary())?;
        // Masks; the text decoder under its second name; buffers of old files.
        let ignored = ["roi_heads.mask_head.", "roi_heads.text_decoder_det.", "pixel_mean", "pixel_std"];
        checkpoint.finish(|key| ignored.iter().any(|prefix| key.starts_with(prefix)))?;
        Ok(Self { config, vit, pyramid, proposals, cascade, text, vocabulary })
    }

    /// Objects on a picture `[H, W, 3]`, RGB, 0–255, best first.
    ///
    /// # Panics
    /// If there are not `H · W · 3` values.
    pub fn detect<T: Copy + Into<f32>>(&self, rgb: &[T], size: [usize; 2], asked: Asked) -> Vec<Detection> {
        self.trace(rgb, size, asked, &mut |_, _| ())
    }

    /// The same; `note` sees activations by name, in the order of computation.
    ///
    /// # Panics
    /// As [`Self::detect`].
    pub fn trace<T: Copy + Into<f32>>(
        &self,
        rgb: &[T],
        size: [usize; 2],
        asked: Asked,
        note: &mut dyn FnMut(&str, &[f32]),
    ) -> Vec<Detection> {
        let levels = {
            let map = self.vit.forward(&self.prepared(rgb, size), note);
            self.pyramid.forward(&map)
        };
        for (i, level) in levels.iter().enumerate() {
            note(&format!("pyramid.p{}", i + 3), &level.data);
        }
        let proposals = self.proposals.forward(&levels, &self.config.proposals, note);
        let fine = &levels[..3];
        let (boxes, scores) = self.cascade.forward(fine, &proposals, size, &self.config.boxes, note);
        let mut detections: Vec<Detection> = boxes
            .iter()
            .zip(scores)
            .map(|(corners, score)| Detection { corners: *corners, score, name: None, caption: None })
            .collect();
        if asked.names || asked.captions {
            for (boxes, detections) in boxes.chunks(BOXES_AT_ONCE).zip(detections.chunks_mut(BOXES_AT_ONCE)) {
                self.describe(fine, boxes, detections, asked, note);
            }
        }
        detections
    }

    /// The picture normalised, with zeros to the right and below, `[1, 32·a, 32·b, 3]`.
    fn prepared<T: Copy + Into<f32>>(&self, rgb: &[T], [height, width]: [usize; 2]) -> Grid {
        assert_eq!(rgb.len(), height * width * 3, "the picture is not [{height}, {width}, 3]");
        let multiple = MULTIPLE.max(self.vit.patch());
        let mut image =
            Grid::zeros([1, height.next_multiple_of(multiple), width.next_multiple_of(multiple), 3]);
        let row = image.width * 3;
        for (from, to) in rgb.chunks_exact((width * 3).max(1)).zip(image.data.chunks_exact_mut(row.max(1))) {
            for (i, (from, to)) in from.iter().zip(to).enumerate() {
                *to = ((*from).into() - MEAN[i % 3]) / DEVIATION[i % 3];
            }
        }
        image
    }

    fn describe(
        &self,
        levels: &[Grid],
        boxes: &[regions::Corners],
        detections: &mut [Detection],
        asked: Asked,
        note: Note,
    ) {
        let pooled = regions::pooled(levels, boxes, self.config.text_side);
        note("text.pooled", &pooled);
        let prefix = self.text.read(&pooled, boxes.len(), note);
        drop(pooled);
        for (task, wanted, name) in
            [(text::Task::Caption, asked.captions, "captions"), (text::Task::Name, asked.names, "names")]
        {
            if !wanted {
                continue;
            }
            let texts = self
                .text
                .write(&prefix, task, |step, logits| note(&format!("text.{name}.logits{step}"), logits));
            let log_probabilities: Vec<f32> = texts.iter().map(|text| text.log_probability).collect();
            note(&format!("text.{name}.log_probability"), &log_probabilities);
            for (detection, text) in detections.iter_mut().zip(texts) {
                let words = self.vocabulary.text(&text.tokens[1..]);
                let description = Some(Description { words, log_probability: text.log_probability });
                match task {
                    text::Task::Name => detection.name = description,
                    text::Task::Caption => detection.caption = description,
                }
            }
        }
    }
}

#[cfg(test)]
mod parity;
