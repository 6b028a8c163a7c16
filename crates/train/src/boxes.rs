//! Training the box adapter on a frozen model, as Boximator is trained (Wang et al. 2024): first hard boxes with outlines painted
//! into what is learned (self-tracking), then mostly soft ones, then without the outlines. One configuration a stage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use vidit_data::{Random, Story};
use vidit_diffusion::schedule::LevelDistribution;
use vidit_models::conditioning::Conditioning;
use vidit_models::mini::boxes::{BoxAdapter, BoxAdapterConfig, BoxTokens, LatentBoxes, phrase_summaries};
use vidit_models::mini::transformer::TransformerConfig;
use vidit_models::mini::{Denoiser, DenoiserConfig, Mini, MiniWeights, metadata};
use vidit_models::nn::Init;
use vidit_models::pixels::frames_from_tensor;
use vidit_motion::{BoxKind, COLOURS, GuideBox, OBJECTS_MAX, Track, UnitBox, paint_outline};
use vidit_pipeline::Request;
use vidit_video::{Frames, PixelShape};
use vidit_weights::{TensorStore, WeightsError, collect, load_into};

use crate::denoiser::{Bucket, DenoiserBatch, flow_loss, insert_tokens, warm};
use crate::feed::Fed;
use crate::latents::{Adorn, LatentCache, Latents};
use crate::sheet::{draw_preview, write_sheet};
use crate::source::{Clip, DataConfig, Source};
use crate::{OptimizerConfig, RunConfig, Task, TrainError};

/// A configuration file of kind `boxes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxTraining {
    /// Sizes of the adapter.
    pub model: BoxModelConfig,
    /// Data and loss.
    pub task: BoxTaskConfig,
    /// The loop.
    pub run: RunConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
}

/// Sizes of the adapter that the model it is made for does not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxModelConfig {
    /// Width of the hidden layers that tokens are made by.
    pub hidden: usize,
    /// Every so manieth block carries a control layer, the first one too.
    pub every: usize,
    /// Blocks of a transformer that comes with the adapter and is tuned with it: it begins as the base's, and what it has more of
    /// changes nothing yet. Absent: the base stays as it is.
    pub blocks: Option<usize>,
}

/// What is learned from, and which boxes are seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxTaskConfig {
    /// The model that stays as it is: weights of a whole `mini`.
    pub base: PathBuf,
    /// Adapter to begin from, the `weights.safetensors` of a stage before; absent: random.
    pub init_from: Option<PathBuf>,
    /// Sizes of clips, one of which is drawn for each batch.
    pub buckets: Vec<Bucket>,
    /// Where clips come from; their objects' boxes have to be known.
    pub data: DataConfig,
    /// Shift of drawn levels towards noise, 1 for none; a bucket may have its own.
    pub level_shift: f32,
    /// Probability that a prompt is left empty, for guidance.
    pub text_dropout: f32,
    /// Probability that a clip comes without boxes, for guidance.
    pub boxes_dropout: f32,
    /// Probability that an object's phrase is left out.
    pub phrase_dropout: f32,
    /// Probability that an object has no box in a latent frame.
    pub frame_dropout: f32,
    /// Probability that a box is made soft: each side moved outwards by a Beta(1, 8) share of the frame.
    pub soft: f32,
    /// Whether boxes are painted into what is learned.
    pub self_tracking: bool,
}

/// The task.
pub struct BoxTask {
    config: BoxTraining,
    adapter: BoxAdapterConfig,
    text_width: usize,
    /// On the tape's device without gradients of its own, and without tape.
    base: Denoiser,
    mini: Mini,
    init: Option<TensorStore>,
    cache: LatentCache,
}

/// What one loss is computed from.
pub struct BoxBatch {
    flow: DenoiserBatch,
    places: [Tensor<4>; 2],
    phrases: Vec<[Option<Vec<u32>>; OBJECTS_MAX]>,
}

/// Pixels that an outline is wide: latent cells are eight wide.
fn thickness(shape: PixelShape) -> usize {
    (shape.height.min(shape.width) / 64).max(2)
}

/// Which of [`COLOURS`] each object of a clip has: what was painted, and what its tokens say.
fn colours(index: u64) -> [usize; OBJECTS_MAX] {
    let mut random = Random::new(0x636f_6c6f_7572, index);
    let mut order: [usize; OBJECTS_MAX] = std::array::from_fn(|i| i);
    for last in (1..OBJECTS_MAX).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

/// Outlines on all objects of clip `index`, those behind first.
fn paint(index: u64, frames: &mut Frames, tracks: &[Track], thickness: usize) {
    let colours = colours(index);
    for (track, colour) in tracks.iter().zip(colours) {
        for (frame, place) in track.boxes.iter().enumerate() {
            if let Some(place) = place {
                paint_outline(frames, frame, place, COLOURS[colour], thickness);
            }
        }
    }
}

/// What an adapter with a transformer of its own begins from: an earlier stage, behind it the base's transformer, and where neither has
/// anything, weights that change nothing yet.
fn begun(
    config: &BoxAdapterConfig,
    text_width: usize,
    seed: u64,
    base: TensorStore,
    stage: Option<TensorStore>,
    device: &Device,
) -> TensorStore {
    let mut store = collect(&BoxAdapter::new(config, text_width, &mut Init::new(seed, device)), "");
    let of_base = base.tensors.into_iter().filter(|(key, _)| key.starts_with("transformer."));
    store.tensors.extend(of_base);
    store.tensors.extend(stage.into_iter().flat_map(|stage| stage.tensors));
    store
}

/// A share of the frame from Beta(1, 8): 1 − (1 − u)^⅛.
fn expansion(random: &mut Random) -> f32 {
    1.0 - (1.0 - random.unit()).powf(1.0 / 8.0)
}

impl BoxTask {
    /// Reads the model.
    ///
    /// # Errors
    /// If it cannot be read, the source does not know boxes, or a setting is out of its range.
    pub fn new(config: BoxTraining, device: &Device) -> Result<Self, TrainError> {
        let weights = MiniWeights { store: TensorStore::read(&config.task.base)? };
        let in_base = |error: WeightsError| error.in_file(config.task.base.display());
        let denoiser: DenoiserConfig = metadata(&weights.store, "denoiser").map_err(in_base)?;
        let mini = Mini::load(&weights, device).map_err(in_base)?;
        let base = Mini::load(&weights, &device.clone().autodiff())?.denoiser.no_grad();
        let transformer = &denoiser.transformer;
        if config.task.buckets.is_empty() {
            return Err(TrainError::Setting(
                "no buckets\nhint: `[[task.buckets]]` names a size of clips".into(),
            ));
        }
        for bucket in &config.task.buckets {
            bucket.check(&mini.compression)?;
            if bucket.window.is_some() {
                return Err(TrainError::Setting("boxes are of whole clips\nhint: leave out `window`".into()));
            }
        }
        let blocks = config.model.blocks.unwrap_or(transformer.blocks);
        if blocks < transformer.blocks {
            return Err(TrainError::Setting(format!(
                "`blocks` must be {} or more, as the base has, found `{blocks}`\nhint: left out, the base stays as it is",
                transformer.blocks
            )));
        }
        if config.model.every == 0 || config.model.every > blocks {
            let found = config.model.every;
            return Err(TrainError::Setting(format!(
                "`every` must be 1 to {blocks}, found `{found}`\nhint: 1 puts a control layer into every block"
            )));
        }
        let source = Source::open(&config.task.data, config.run.seed)?;
        if !source.tells(Story::Pair) {
            return Err(TrainError::Setting(
                "clips of a folder have no boxes\nhint: `data = { emoji = { clips = … } }`".into(),
            ));
        }
        let statistics =
            ["latent_mean", "latent_deviation"].map(|key| weights.store.tensors[key].values.clone());
        let adorn: Option<Adorn> = config.task.self_tracking.then(|| {
            let outlined = |index, clip: &mut Clip| {
                let thickness = thickness(clip.frames.shape());
                paint(index, &mut clip.frames, &clip.tracks, thickness);
            };
            Box::new(outlined) as Adorn
        });
        let cache = LatentCache::with(source, mini.vae.clone(), mini.compression, statistics, adorn, device);
        let adapter = BoxAdapterConfig {
            width: transformer.width,
            heads: transformer.heads,
            hidden: config.model.hidden,
            blocks: (0..blocks).step_by(config.model.every).collect(),
            transformer: config
                .model
                .blocks
                .map(|blocks| TransformerConfig { blocks, ..transformer.clone() }),
        };
        let mut init = config.task.init_from.as_deref().map(TensorStore::read).transpose()?;
        if config.model.blocks.is_some() {
            init = Some(begun(&adapter, denoiser.text.width, config.run.seed, weights.store, init, device));
        }
        Ok(Self { adapter, text_width: denoiser.text.width, base, mini, init, cache, config })
    }

    fn tokens_of(&self, text: &str) -> Vec<u32> {
        let mut tokens = self.mini.vocabulary.encode(text);
        tokens.truncate(self.mini.tokens_max);
        tokens
    }

    fn phrases(&self, tokens: &[[Option<Vec<u32>>; OBJECTS_MAX]], device: &Device) -> Tensor<4> {
        phrase_summaries(&self.mini.denoiser.text, self.text_width, tokens, device)
    }

    /// The boxes of one object in each latent frame, as they are: hard. Where it is outside of the frame it has a line along the
    /// border, as in scripts.
    fn true_boxes(&self, track: &[Option<UnitBox>]) -> Vec<LatentBoxes> {
        let time = self.mini.compression.time;
        let seen: Vec<usize> = (0..track.len()).filter(|frame| track[*frame].is_some()).collect();
        let at = |frame: usize| {
            let nearest = seen.iter().min_by_key(|seen| seen.abs_diff(frame))?;
            let place = track[*nearest]?;
            let place = if *nearest == frame { place } else { place.at_border() };
            Some(GuideBox { place, kind: BoxKind::Hard })
        };
        (0..1 + (track.len() - 1) / time)
            .map(|latent| {
                let begin = if latent == 0 { 0 } else { (latent - 1) * time + 1 };
                Some([at(begin)?, at(latent * time)?])
            })
            .collect()
    }

    /// The same as training shows it.
    fn drawn_boxes(&self, track: &[Option<UnitBox>], random: &mut Random) -> Vec<LatentBoxes> {
        let task = &self.config.task;
        let soften = |end: GuideBox, random: &mut Random| {
            // A line says that nothing is seen: there is no larger place in which that could be.
            if !random.chance(task.soft) || end.place.area() == 0.0 {
                return end;
            }
            let by = std::array::from_fn(|_| expansion(random));
            GuideBox { place: end.place.relaxed(by), kind: BoxKind::Soft }
        };
        self.true_boxes(track)
            .into_iter()
            .map(|ends| {
                let ends = ends.filter(|_| !random.chance(task.frame_dropout))?;
                Some(ends.map(|end| soften(end, random)))
            })
            .collect()
    }
}

impl Task for BoxTask {
    type Model = BoxAdapter;
    type Batch = BoxBatch;

    fn model(&self, seed: u64, device: &Device) -> Result<BoxAdapter, TrainError> {
        let adapter = BoxAdapter::new(&self.adapter, self.text_width, &mut Init::new(seed, device));
        let Some(store) = &self.init else { return Ok(adapter) };
        let from = self.config.task.init_from.as_ref().unwrap_or(&self.config.task.base);
        Ok(load_into(adapter, store).map_err(|error| error.in_file(from.display()))?)
    }

    fn batch(&self, seed: u64, step: u64, part: usize, device: &Device) -> Result<BoxBatch, TrainError> {
        let task = &self.config.task;
        let mut random =
            Random::new(seed ^ 0x626f_7865_7300, step * self.config.run.accumulate as u64 + part as u64);
        let bucket = Bucket::choose(&task.buckets, &mut random);
        let (story, batch) = (bucket.story(), bucket.batch);
        let clips = bucket.clips.unwrap_or(u64::MAX).min(self.cache.source().len());
        let shift = bucket.level_shift.unwrap_or(task.level_shift);
        let indices: Vec<u64> = (0..batch).map(|_| random.bits() % clips).collect();
        let Latents { values: clean, about } =
            self.cache.batch(story, bucket.shape(), None, &indices, &mut random, device)?;
        let frames = clean.dims()[1];
        let (mut levels, mut prompts, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let (mut boxes, mut phrases) = (Vec::new(), Vec::new());
        for (i, index) in indices.iter().enumerate() {
            let u = (i as f32 + random.unit()) / batch as f32;
            levels.push(LevelDistribution::Uniform.level(u, 0.0, shift));
            given.extend(bucket.given_of(&about[i], frames, &mut random));
            let description = self.cache.source().describe(story, *index, random.bits());
            let dropped = random.chance(task.text_dropout);
            prompts.push(self.tokens_of(if dropped { "" } else { &description.text }));
            let none = random.chance(task.boxes_dropout);
            let tracks = if none { &[][..] } else { &about[i].tracks[..] };
            boxes.push(tracks.iter().map(|track| self.drawn_boxes(track, &mut random)).collect::<Vec<_>>());
            phrases.push(std::array::from_fn(|object| {
                let said = !none && !random.chance(task.phrase_dropout);
                description.phrases.get(object).filter(|_| said).map(|phrase| self.tokens_of(phrase))
            }));
        }
        let seed = random.bits();
        let places = BoxTokens::places(
            [batch, frames],
            |sample, frame, object| boxes[sample].get(object).and_then(|track| track[frame]),
            |sample, object| COLOURS[colours(indices[sample])[object]],
            device,
        );
        Ok(BoxBatch { flow: DenoiserBatch { clean, seed, levels, given, prompts }, places, phrases })
    }

    fn loss(&self, model: &BoxAdapter, batch: BoxBatch) -> (Tensor<1>, Vec<(&'static str, f32)>) {
        let image = batch.flow.clean.dims()[1] == 1;
        let phrases = self.phrases(&batch.phrases, &batch.flow.clean.device());
        let noise = batch.flow.noise();
        let [features, present] = batch.places;
        let control = model.control(&BoxTokens { features, present, phrases });
        let loss = flow_loss(&self.base, batch.flow, noise, Some(control));
        let value = loss.clone().into_scalar::<f32>();
        (loss, vec![(if image { "loss_image" } else { "loss_video" }, value)])
    }

    /// Clips of the source drawn anew in their own boxes, which are painted over them.
    fn preview(&self, model: &BoxAdapter, device: &Device, path: &Path) -> Result<(), TrainError> {
        let shape = PixelShape::new(25, 128, 128);
        let mut rows = Vec::new();
        for (index, story) in [
            (0, Story::Plain),
            (1, Story::Plain),
            (0, Story::Passage),
            (1, Story::Passage),
            (0, Story::Crossing),
        ] {
            let source = self.cache.source();
            let clip = source.clip(story, index, shape)?;
            let description = source.describe(story, index, 1);
            let boxes: Vec<_> = clip.tracks.iter().map(|track| self.true_boxes(&track.boxes)).collect();
            let latent = self.mini.compression.latent_from_pixel(shape).expect("previews are on the grid");
            let phrases = [std::array::from_fn(|object| {
                description.phrases.get(object).map(|phrase| self.tokens_of(phrase))
            })];
            let tokens = BoxTokens::new(
                [1, latent.frames],
                |_, frame, object| boxes.get(object).and_then(|track| track[frame]),
                |_, object| COLOURS[colours(index)[object]],
                self.phrases(&phrases, device),
                device,
            );
            let control = model.control(&tokens);
            let both = control.clone().and(control.without(1, latent.frames));
            let prompts = [self.tokens_of(&description.text), self.tokens_of("")];
            let conditioning =
                Conditioning { text: self.mini.denoiser.text.forward(&prompts), boxes: Some(both) };
            let x = draw_preview(
                &self.mini.denoiser.transformer,
                &conditioning,
                latent,
                Request::GUIDANCE_IN_BOXES,
                device,
            );
            let mut made: Frames =
                frames_from_tensor(self.mini.vae.decode(self.mini.denormalise(x))).remove(0);
            paint(index, &mut made, &clip.tracks, 1);
            rows.push(made);
        }
        write_sheet(&rows, 8, path)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let config = serde_json::to_string(&self.adapter).expect("plain numbers serialise");
        BTreeMap::from([("boxes".to_owned(), config)])
    }
}

impl Fed for BoxTask {
    /// Those of the flow, and `features [B, F, 8, 208]`, `present [B, F, 8, 1]` and `phrases [B, 8, S]`, token numbers as prompts are.
    fn tensors(&self, batch: BoxBatch) -> TensorStore {
        let dims = [batch.phrases.len(), OBJECTS_MAX];
        let mut store = batch.flow.tensors();
        for (key, values) in ["features", "present"].into_iter().zip(batch.places) {
            store.insert(key, values.dims().to_vec(), values.into_data().iter::<f32>().collect());
        }
        let silence = Vec::new();
        let phrases = batch.phrases.iter().flatten().map(|phrase| phrase.as_ref().unwrap_or(&silence));
        insert_tokens(&mut store, "phrases", &dims, phrases);
        store
    }

    fn warm(&self) -> Result<(), TrainError> {
        warm(&self.cache, &self.config.task.buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansions_are_beta_1_8() {
        let mut random = Random::new(1, 0);
        let drawn: Vec<f32> = (0..20_000).map(|_| expansion(&mut random)).collect();
        let mean = drawn.iter().sum::<f32>() / drawn.len() as f32;
        assert!((mean - 1.0 / 9.0).abs() < 0.003, "{mean}");
        // P(x < 1/9) = 1 − (8/9)⁸ = 0.610
        let below = drawn.iter().filter(|x| **x < 1.0 / 9.0).count() as f32 / drawn.len() as f32;
        assert!((below - 0.610).abs() < 0.02, "{below}");
    }

    #[test]
    fn objects_of_a_clip_have_different_colours_and_clips_have_others() {
        let mut all: Vec<usize> = colours(3).to_vec();
        assert_eq!(colours(3), colours(3));
        assert!((0..20).any(|index| colours(index) != colours(3)));
        all.sort_unstable();
        assert_eq!(all, (0..OBJECTS_MAX).collect::<Vec<_>>());
    }
}
