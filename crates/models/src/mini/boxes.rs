//! The box adapter: motion control as Boximator does it (Wang et al. 2024), on a frozen diffusion transformer.
//!
//! Each latent frame has eight control tokens, one an object, made of where the object is when the frame begins and when it ends, how
//! exactly, which colour tells it from the others, and what the prompt calls it. Between self-attention and text, control
//! layers let the video tokens of a latent frame attend to one another and to these tokens. Outputs begin at zero, so that an
//! untrained adapter changes nothing.
//!
//! What differs from the paper, for a temporal VAE and rotary positions: a token speaks of both ends of its four pixel frames and
//! not of one frame; video tokens are told where they are, since rotary attention knows differences alone; phrases are
//! heard, so that two objects need no first frame to be told apart.
//!
//! An adapter may come with a transformer of its own, tuned together with it and perhaps deeper: it predicts while boxes are asked
//! for, and the model's own stays as it is.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vidit_motion::{BoxKind, Guide, GuideBox, OBJECTS_MAX};
use vidit_ops::{Activation, Tail};

use super::text::TextEncoder;
use super::transformer::{Transformer, TransformerConfig};
use crate::nn::{Init, Linear, RmsNorm};

/// Sizes of the adapter, beside those of the transformer it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxAdapterConfig {
    /// Width of the transformer, `D`.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the three hidden layers that a token is made by.
    pub hidden: usize,
    /// Blocks of the transformer that carry a control layer, from 0.
    pub blocks: Vec<usize>,
    /// Sizes of a transformer that comes with the adapter; absent where it follows that of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformer: Option<TransformerConfig>,
}

/// Frequencies of a scalar: `100^(0/8) … 100^(7/8)`.
const FREQUENCIES: usize = 8;
/// Features of a scalar: cosines, then sines.
const FEATURES: usize = 2 * FREQUENCIES;
/// Scalars of a token: two boxes of four corners and a flag each, and the colour.
const SCALARS: usize = 2 * (4 + 1) + 3;
/// Features of a token.
pub const TOKEN_FEATURES: usize = SCALARS * FEATURES;

/// What control tokens are made of.
#[derive(Clone, Debug)]
pub struct BoxTokens {
    /// Fourier features, `[B, F, 8, 208]`.
    pub features: Tensor<4>,
    /// 1 where an object has a box in a latent frame, 0 where a token is null, `[B, F, 8, 1]`.
    pub present: Tensor<4>,
    /// A summary of what the prompt calls each object, `[B, 1, 8, Dtext]`; zeros where it says nothing.
    pub phrases: Tensor<4>,
}

/// One object in one latent frame: its box when that begins, and when it ends.
pub type LatentBoxes = Option<[GuideBox; 2]>;

/// The boxes of a guide on a grid of latent frames: frame 0 is one alone, each further one four pixel frames. An end is the box
/// of that frame, unless its half of the latent frame has a hard one.
pub fn latent_boxes(guide: &Guide, time: usize) -> Vec<LatentBoxes> {
    let latents = 1 + guide.boxes.len().saturating_sub(1) / time;
    (0..latents)
        .map(|latent| {
            let frames = if latent == 0 { 0..1 } else { (latent - 1) * time + 1..latent * time + 1 };
            let boxes = &guide.boxes[frames];
            let half = boxes.len().div_ceil(2);
            let begin = pick(boxes[..half].iter());
            let end = pick(boxes[boxes.len() - half..].iter().rev());
            // An object that has a box at one end alone is free at the other.
            match (begin, end) {
                (None, None) => None,
                (Some(begin), Some(end)) => Some([begin, end]),
                (Some(known), None) => Some([known, loose(known)]),
                (None, Some(known)) => Some([loose(known), known]),
            }
        })
        .collect()
}

/// The hard box among these, else the first.
fn pick<'a>(boxes: impl Iterator<Item = &'a Option<GuideBox>> + Clone) -> Option<GuideBox> {
    let hard = boxes.clone().flatten().find(|found| found.kind == BoxKind::Hard);
    hard.or(boxes.flatten().next()).copied()
}

/// A box that allows what four frames may move.
fn loose(known: GuideBox) -> GuideBox {
    GuideBox { place: known.place.relaxed([vidit_motion::RELAXED_BY; 4]), kind: BoxKind::Soft }
}

impl BoxTokens {
    /// Tokens of `B` samples of `F` latent frames: [`Self::places`], and what objects are called, `phrases [B, 1, 8, Dtext]`.
    pub fn new(
        dims: [usize; 2],
        boxes: impl Fn(usize, usize, usize) -> LatentBoxes,
        colours: impl Fn(usize, usize) -> [u8; 3],
        phrases: Tensor<4>,
        device: &Device,
    ) -> Self {
        let [features, present] = Self::places(dims, boxes, colours, device);
        Self { features, present, phrases }
    }

    /// `features` and `present` of `B` samples of `F` latent frames: `boxes(sample, frame, object)` are those of up to eight
    /// objects, whose colours are `colours(sample, object)`.
    pub fn places(
        [batch, frames]: [usize; 2],
        boxes: impl Fn(usize, usize, usize) -> LatentBoxes,
        colours: impl Fn(usize, usize) -> [u8; 3],
        device: &Device,
    ) -> [Tensor<4>; 2] {
        let slots = batch * frames * OBJECTS_MAX;
        let (mut features, mut present) =
            (Vec::with_capacity(slots * TOKEN_FEATURES), Vec::with_capacity(slots));
        for slot in 0..slots {
            let (sample, frame, object) =
                (slot / OBJECTS_MAX / frames, slot / OBJECTS_MAX % frames, slot % OBJECTS_MAX);
            let Some(ends) = boxes(sample, frame, object) else {
                features.resize(features.len() + TOKEN_FEATURES, 0.0);
                present.push(0.0);
                continue;
            };
            for end in ends {
                let place = end.place;
                let flag = if end.kind == BoxKind::Hard { 1.0 } else { 0.0 };
                for scalar in [place.x1, place.y1, place.x2, place.y2, flag] {
                    fourier(scalar, &mut features);
                }
            }
            colours(sample, object)
                .into_iter()
                .for_each(|byte| fourier(f32::from(byte) / 255.0, &mut features));
            present.push(1.0);
        }
        let tensor = |values, last| {
            Tensor::from_data(TensorData::new(values, [batch, frames, OBJECTS_MAX, last]), device)
        };
        [tensor(features, TOKEN_FEATURES), tensor(present, 1)]
    }
}

/// Summaries of what prompts call up to eight objects, by their tokens: `[B, 1, 8, Dtext]`, zeros where nothing is said.
pub fn phrase_summaries(
    text: &TextEncoder,
    width: usize,
    phrases: &[[Option<Vec<u32>>; OBJECTS_MAX]],
    device: &Device,
) -> Tensor<4> {
    let said: Vec<Vec<u32>> = phrases.iter().flatten().flatten().cloned().collect();
    let mut values = vec![0.0f32; phrases.len() * OBJECTS_MAX * width];
    if !said.is_empty() {
        let pooled: Vec<f32> = text.forward(&said).pooled.into_data().iter::<f32>().collect();
        let slots = phrases.iter().flatten().enumerate().filter(|(_, phrase)| phrase.is_some());
        for ((slot, _), summary) in slots.zip(pooled.chunks_exact(width)) {
            values[slot * width..][..width].copy_from_slice(summary);
        }
    }
    Tensor::from_data(TensorData::new(values, [phrases.len(), 1, OBJECTS_MAX, width]), device)
}

/// `cos(x·100^(i/8))`, then sines, for i in 0..8.
fn fourier(x: f32, out: &mut Vec<f32>) {
    let angle = |i: usize| x * 100f32.powf(i as f32 / FREQUENCIES as f32);
    out.extend((0..FREQUENCIES).map(|i| angle(i).cos()));
    out.extend((0..FREQUENCIES).map(|i| angle(i).sin()));
}

#[derive(Module, Debug)]
struct ControlLayer {
    norm: RmsNorm,
    place: Linear,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    output: Linear,
}

/// The adapter.
#[derive(Module, Debug)]
pub struct BoxAdapter {
    hidden1: Linear,
    hidden2: Linear,
    hidden3: Linear,
    token: Linear,
    phrase: Linear,
    null: Param<Tensor<1>>,
    layers: Vec<ControlLayer>,
    transformer: Option<Transformer>,
    #[module(skip)]
    config: BoxAdapterConfig,
}

/// An adapter and the tokens of one call.
#[derive(Clone, Debug)]
pub struct BoxControl {
    adapter: BoxAdapter,
    /// `[B·F, 8, D]`.
    pub(super) tokens: Tensor<3>,
}

impl BoxAdapter {
    /// Random weights that change nothing yet. `text_width` is that of phrases' summaries.
    pub fn new(config: &BoxAdapterConfig, text_width: usize, init: &mut Init) -> Self {
        let (d, hidden) = (config.width, config.hidden);
        let layer = |init: &mut Init| ControlLayer {
            norm: RmsNorm::new(init, d),
            place: Linear::new(init, 2 * FEATURES, d, 1.0),
            query: Linear::new(init, d, d, 1.0),
            key: Linear::new(init, d, d, 1.0),
            value: Linear::new(init, d, d, 1.0),
            query_norm: RmsNorm::new(init, d),
            key_norm: RmsNorm::new(init, d),
            output: Linear::zero(init, d, d),
        };
        Self {
            hidden1: Linear::new(init, TOKEN_FEATURES, hidden, 1.0),
            hidden2: Linear::new(init, hidden, hidden, 1.0),
            hidden3: Linear::new(init, hidden, hidden, 1.0),
            token: Linear::new(init, hidden, d, 1.0),
            phrase: Linear::new(init, text_width, d, 1.0),
            null: init.normal([d], 1.0),
            layers: config.blocks.iter().map(|_| layer(init)).collect(),
            transformer: config.transformer.as_ref().map(|transformer| Transformer::new(transformer, init)),
            config: config.clone(),
        }
    }

    /// Sizes.
    pub fn config(&self) -> &BoxAdapterConfig {
        &self.config
    }

    /// What a call of the transformer is steered by.
    pub fn control(&self, tokens: &BoxTokens) -> BoxControl {
        let [batch, frames, objects, features] = tokens.features.dims();
        let d = self.config.width;
        let silu = |x| vidit_ops::activate(x, Activation::Silu);
        let x = tokens.features.clone().reshape([batch * frames, objects, features]);
        let x = silu(self.hidden1.forward(x));
        let x = silu(self.hidden2.forward(x));
        let x = silu(self.hidden3.forward(x));
        let x = self.token.forward(x).reshape([batch, frames, objects, d]);
        let phrases = self.phrase.forward(tokens.phrases.clone()); // [B, 1, 8, D]
        let present = tokens.present.clone(); // [B, F, 8, 1]
        let null = self.null.val().reshape([1, 1, 1, d]);
        let x = (x + phrases) * present.clone() + null * (present * -1.0 + 1.0); // [B, F, 8, D]
        BoxControl { adapter: self.clone(), tokens: x.reshape([batch * frames, objects, d]) }
    }
}

impl BoxControl {
    /// The same adapter without any box: `B` samples of `F` frames of null tokens.
    pub fn without(&self, batch: usize, frames: usize) -> Self {
        let d = self.adapter.config.width;
        let null = self.adapter.null.val().reshape([1, 1, d]);
        Self { adapter: self.adapter.clone(), tokens: null.repeat(&[batch * frames, OBJECTS_MAX, 1]) }
    }

    /// The transformer that predicts under this control, where it is not that of the model.
    pub(super) fn transformer(&self) -> Option<&Transformer> {
        self.adapter.transformer.as_ref()
    }

    /// Samples of this one, and those of another behind them.
    pub fn and(self, other: Self) -> Self {
        Self { adapter: self.adapter, tokens: Tensor::cat(vec![self.tokens, other.tokens], 0) }
    }

    /// Some latent frames, the same of each of `batch` samples.
    pub fn frames(&self, batch: usize, from: usize, count: usize) -> Self {
        let [rows, objects, d] = self.tokens.dims();
        let frames = rows / batch;
        let tokens = self.tokens.clone().reshape([batch, frames, objects, d]).narrow(1, from, count);
        Self { adapter: self.adapter.clone(), tokens: tokens.reshape([batch * count, objects, d]) }
    }

    /// `x [B, F·h·w, D]` behind the self-attention of a block → the same, steered if that block has a control layer.
    pub(super) fn steer(&self, block: usize, x: Tensor<3>, [frames, h, w]: [usize; 3]) -> Tensor<3> {
        let config = &self.adapter.config;
        let Some(index) = config.blocks.iter().position(|carrier| *carrier == block) else { return x };
        let layer = &self.adapter.layers[index];
        let [batch, tokens, d] = x.dims();
        assert_eq!(self.tokens.dims()[0], batch * frames, "control tokens of another call");
        let head_dim = d / config.heads;
        let seen = layer.norm.forward(x.clone(), d, Tail::None).reshape([batch * frames, h * w, d]);
        let placed = seen.clone() + layer.place.forward(places(h, w, &x.device())); // [B·F, hw, D]
        let with_boxes = |video: Tensor<3>| Tensor::cat(vec![video, self.tokens.clone()], 1); // [B·F, hw + 8, D]
        let q = layer.query_norm.forward(layer.query.forward(placed.clone()), head_dim, Tail::None);
        let k = layer.key_norm.forward(layer.key.forward(with_boxes(placed)), head_dim, Tail::None);
        let v = layer.value.forward(with_boxes(seen));
        let attended = vidit_ops::attention(q, k, v, config.heads, None).reshape([batch, tokens, d]);
        vidit_ops::add(x, layer.output.forward(attended))
    }
}

/// Fourier features of where the middles of an `h × w` grid of tokens lie in the frame, `[1, h·w, 32]`.
fn places(h: usize, w: usize, device: &Device) -> Tensor<3> {
    let mut values = Vec::with_capacity(h * w * 2 * FEATURES);
    for token in 0..h * w {
        fourier(((token % w) as f32 + 0.5) / w as f32, &mut values);
        fourier(((token / w) as f32 + 0.5) / h as f32, &mut values);
    }
    Tensor::from_data(TensorData::new(values, [1, h * w, 2 * FEATURES]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditioning::{Conditioning, Timesteps};
    use crate::mini::text::TextConfig;
    use burn::tensor::Distribution;
    use vidit_motion::{COLOURS, UnitBox};

    const SIZES: [usize; 3] = [2, 3, 4]; // F, h, w
    const D: usize = 32;

    fn adapter(device: &Device) -> BoxAdapter {
        vidit_ops::set_precision(vidit_ops::Precision::F32);
        let config =
            BoxAdapterConfig { width: D, heads: 2, hidden: 24, blocks: vec![0, 2], transformer: None };
        let mut init = Init::new(5, device);
        let mut adapter = BoxAdapter::new(&config, 16, &mut init);
        for layer in &mut adapter.layers {
            layer.output = Linear::new(&mut init, D, D, 1.0);
        }
        adapter
    }

    fn a_box(x1: f32, kind: BoxKind) -> GuideBox {
        GuideBox { place: UnitBox { x1, y1: 0.2, x2: x1 + 0.3, y2: 0.6 }, kind }
    }

    /// One object in the first sample, boxed in its first frame alone; none in the second.
    fn tokens(x1: f32, device: &Device) -> BoxTokens {
        let boxes = |sample, frame, object| {
            let here = (sample, frame, object) == (0, 0, 0);
            here.then_some([a_box(x1, BoxKind::Hard), a_box(x1 + 0.1, BoxKind::Soft)])
        };
        let phrases = Tensor::zeros([2, 1, OBJECTS_MAX, 16], device);
        BoxTokens::new([2, SIZES[0]], boxes, |_, object| COLOURS[object], phrases, device)
    }

    fn largest(x: Tensor<3>) -> f32 {
        x.abs().max().into_scalar::<f32>()
    }

    #[test]
    fn features_are_those_of_the_paper() {
        let mut features = Vec::new();
        fourier(0.3, &mut features);
        assert_eq!((features.len(), TOKEN_FEATURES), (16, 208));
        assert!((features[0] - 0.3f32.cos()).abs() < 1e-6);
        assert!((features[15] - (0.3 * 100f64.powf(7.0 / 8.0)).sin() as f32).abs() < 1e-5);
    }

    #[test]
    fn an_untrained_adapter_changes_nothing_and_other_blocks_carry_none() {
        let device = Device::flex();
        let config = BoxAdapterConfig { width: D, heads: 2, hidden: 24, blocks: vec![0], transformer: None };
        let fresh = BoxAdapter::new(&config, 16, &mut Init::new(1, &device)).control(&tokens(0.1, &device));
        let x: Tensor<3> = Tensor::random([2, 24, D], Distribution::Normal(0.0, 1.0), &device);
        assert_eq!(largest(fresh.steer(0, x.clone(), SIZES) - x.clone()), 0.0);
        let trained = adapter(&device).control(&tokens(0.1, &device));
        assert_eq!(largest(trained.steer(1, x.clone(), SIZES) - x.clone()), 0.0);
        assert!(largest(trained.steer(2, x.clone(), SIZES) - x) > 0.1);
    }

    #[test]
    fn a_box_reaches_its_own_frame_of_its_own_sample_alone() {
        let device = Device::flex();
        let adapter = adapter(&device);
        let x: Tensor<3> = Tensor::random([2, 24, D], Distribution::Normal(0.0, 1.0), &device);
        let steered = |x1| adapter.control(&tokens(x1, &device)).steer(0, x.clone(), SIZES);
        let change = steered(0.1) - steered(0.5); // [2, 2·12, D]
        let of = |sample: usize, frame: usize| {
            largest(change.clone().narrow(0, sample, 1).narrow(1, frame * 12, 12))
        };
        assert!(of(0, 0) > 1e-3);
        assert_eq!([of(0, 1), of(1, 0), of(1, 1)], [0.0; 3]);
    }

    #[test]
    fn a_transformer_that_comes_with_the_adapter_predicts_in_place_of_the_models() {
        let device = Device::flex();
        let mut init = Init::new(6, &device);
        let sizes = |blocks| TransformerConfig {
            latent_channels: 3,
            patch: 2,
            width: D,
            blocks,
            heads: 2,
            mlp_width: 64,
        };
        let filled = |transformer: Transformer| {
            let mut store = vidit_weights::collect(&transformer, "");
            for entry in store.tensors.values_mut() {
                entry
                    .values
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, value)| *value += 0.2 * (i as f32 * 1.7).sin());
            }
            vidit_weights::load_into(transformer, &store).expect("its own weights")
        };
        let [own, brought] = [1, 2].map(|blocks| filled(Transformer::new(&sizes(blocks), &mut init)));
        let plain = adapter(&device);
        let with = BoxAdapter { transformer: Some(brought.clone()), ..plain.clone() };
        let text = TextConfig { tokens_max: 8, layers: 1, width: D, heads: 2 };
        let text = TextEncoder::new(&text, 300, &mut init).forward(&[vec![0, 5, 7], vec![0]]);
        let x: Tensor<5> = Tensor::random([2, 2, 6, 8, 3], Distribution::Normal(0.0, 1.0), &device);
        let predict = |transformer: &Transformer, adapter: Option<&BoxAdapter>| {
            let boxes = adapter.map(|adapter| adapter.control(&tokens(0.1, &device)));
            let conditioning = Conditioning { text: text.clone(), boxes };
            transformer.predict(x.clone(), &Timesteps::of_frames(&[0.4; 2], 2, &device), &conditioning)
        };
        let apart = |a: &Tensor<5>, b: Tensor<5>| (a.clone() - b).abs().max().into_scalar::<f32>();
        let asked = predict(&own, Some(&with));
        assert_eq!(apart(&asked, predict(&brought, Some(&plain))), 0.0);
        assert!(apart(&asked, predict(&own, Some(&plain))) > 1e-3);
        assert!(apart(&asked, predict(&own, None)) > 1e-3);
    }

    #[test]
    fn controls_are_joined_cut_and_emptied() {
        let device = Device::flex();
        let adapter = adapter(&device);
        let control = adapter.control(&tokens(0.1, &device));
        let without = control.without(2, 2);
        // Nothing but null tokens in the second sample.
        let second = |control: &BoxControl| control.tokens.clone().narrow(0, 2, 2);
        assert!(largest(second(&control) - second(&without)) < 1e-6);
        let both = control.clone().and(without);
        assert_eq!(both.tokens.dims(), [8, OBJECTS_MAX, D]);
        let first = both.frames(4, 0, 1);
        assert_eq!(first.tokens.dims(), [4, OBJECTS_MAX, D]);
        assert_eq!(largest(first.tokens.narrow(0, 0, 1) - control.tokens.narrow(0, 0, 1)), 0.0);
    }

    #[test]
    fn latent_frames_hear_both_ends_and_every_hard_box() {
        let hard = |x1| Some(a_box(x1, BoxKind::Hard));
        let soft = |x1| Some(a_box(x1, BoxKind::Soft));
        let boxes = vec![hard(0.0), soft(0.1), hard(0.2), soft(0.3), soft(0.4), None, None, None, soft(0.6)];
        let guide = Guide { id: "a".into(), phrase: String::new(), boxes };
        let found = latent_boxes(&guide, 4);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], Some([a_box(0.0, BoxKind::Hard); 2]));
        assert_eq!(found[1], Some([a_box(0.2, BoxKind::Hard), a_box(0.4, BoxKind::Soft)]));
        let [begin, end] = found[2].unwrap();
        assert_eq!(end, a_box(0.6, BoxKind::Soft));
        assert!(begin.kind == BoxKind::Soft && begin.place.x1 < 0.6 && begin.place.y1 < 0.2);
    }
}
