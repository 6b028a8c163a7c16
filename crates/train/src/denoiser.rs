//! Training the denoiser: rectified flow on cached latents, text encoder included.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use vidit_data::{Random, Story};
use vidit_diffusion::noise;
use vidit_diffusion::schedule::LevelDistribution;
use vidit_models::conditioning::{Conditioning, Timesteps};
use vidit_models::mini::boxes::BoxControl;
use vidit_models::mini::vae::{Vae, VaeConfig};
use vidit_models::mini::{Denoiser, DenoiserConfig, MiniWeights, Vocabulary, compression, metadata};
use vidit_models::nn::Init;
use vidit_models::pixels::frames_from_tensor;
use vidit_video::{Compression, Frames, PixelShape};
use vidit_weights::{TensorStore, WeightsError, load_into};

use crate::feed::Fed;
use crate::latents::{About, LatentCache, Latents};
use crate::sheet::{draw_preview, write_sheet};
use crate::source::{DataConfig, Source};
use crate::{OptimizerConfig, RunConfig, Task, TrainError};

/// A configuration file of kind `denoiser`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserTraining {
    /// Sizes of the networks.
    pub model: DenoiserConfig,
    /// Data and loss.
    pub task: DenoiserTaskConfig,
    /// The loop.
    pub run: RunConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
}

/// What is learned from, and how noise is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserTaskConfig {
    /// Trained VAE: the `weights.safetensors` of a run of kind `vae`, or a whole model.
    pub vae: PathBuf,
    /// Denoiser to begin from, with its vocabulary: the `weights.safetensors` of a run with the same sizes, or a whole
    /// model; absent: random.
    pub init_from: Option<PathBuf>,
    /// Sizes of clips, one of which is drawn for each batch.
    pub buckets: Vec<Bucket>,
    /// Where clips come from. Each comes back with another caption, noise and level.
    pub data: DataConfig,
    /// Clips whose latents give each channel's mean and deviation.
    pub statistics: Statistics,
    /// Words that occur less often in the caption corpus are spelt in bytes.
    pub word_count_min: usize,
    /// `uniform` or `logit-normal`.
    pub levels: String,
    /// Shift of drawn levels towards noise, 1 for none; a bucket may have its own.
    pub level_shift: f32,
    /// Probability that a prompt is left empty, for guidance.
    pub text_dropout: f32,
    /// Whether the text encoder stays as it is, so that an adapter that was taught beside it goes on understanding it. Absent: no.
    #[serde(default)]
    pub keep_text: bool,
}

/// Over which clips latents are measured. Stages of one training have to agree on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// How many clips.
    pub clips: u64,
    /// Frames, `4n + 1`.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

/// Most latent frames that are given at the end of a clip.
const TAIL_MAX: usize = 3;

/// One size of clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Frames, `4n + 1`.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Side in pixels of a square part to learn from, around the main object where that is known; absent: the whole.
    /// Attention knows positions by their differences alone, so what is learned in windows holds in whole clips.
    pub window: Option<usize>,
    /// Shift of this bucket's levels; absent: the task's. The more values show the same object, the more noise it takes
    /// to hide it, and only what is hidden is learned from words: the shift grows with the root of their number.
    pub level_shift: Option<f32>,
    /// Probability that a clip's first latent frame is given clean and the others alone are learned: what animating an
    /// image asks for. Absent: 0.
    pub first_given: Option<f32>,
    /// Probability that a clip's last one to three latent frames are given, and what came before is learned. Absent: 0.
    pub tail_given: Option<f32>,
    /// Probability that frames are given here and there, each with one probability that is drawn for the clip. Absent: 0.
    pub some_given: Option<f32>,
    /// How the bucket's clips are told; those that go on from something known say themselves what is given. Absent: `plain`.
    pub story: Option<Story>,
    /// So many of the source's clips, the first ones, are drawn from; absent: all. Bounds the time that encoding takes.
    pub clips: Option<u64>,
    /// Clips a batch.
    pub batch: usize,
    /// How often the bucket is drawn, relative to the others.
    pub weight: f32,
}

impl Bucket {
    /// One of them, each as often as its weight says.
    pub(crate) fn choose<'a>(buckets: &'a [Self], random: &mut Random) -> &'a Self {
        let mut left = random.unit() * buckets.iter().map(|b| b.weight).sum::<f32>();
        for bucket in buckets {
            left -= bucket.weight;
            if left < 0.0 {
                return bucket;
            }
        }
        &buckets[buckets.len() - 1]
    }

    /// Which of so many latent frames of a clip are given: what its story says, or as drawn.
    pub(crate) fn given_of(&self, about: &About, frames: usize, random: &mut Random) -> Vec<bool> {
        if self.story().knows_ends() {
            let (head, tail) = about.given;
            return (0..frames).map(|frame| frame < head || frame >= frames - tail).collect();
        }
        self.draw_given(frames, random)
    }

    pub(crate) fn story(&self) -> Story {
        self.story.unwrap_or_default()
    }

    /// Probabilities of what may be given of a clip.
    fn shares(&self) -> [(&'static str, f32); 3] {
        [
            ("first_given", self.first_given.unwrap_or(0.0)),
            ("tail_given", self.tail_given.unwrap_or(0.0)),
            ("some_given", self.some_given.unwrap_or(0.0)),
        ]
    }

    /// Which of so many latent frames are given.
    fn draw_given(&self, frames: usize, random: &mut Random) -> Vec<bool> {
        let mut given = vec![false; frames];
        let shares = self.shares();
        if shares.iter().all(|(_, share)| *share == 0.0) {
            return given;
        }
        let drawn = random.unit();
        let [first, tail, some] = shares.map(|(_, share)| share);
        if drawn < first {
            given[0] = true;
        } else if drawn < first + tail {
            let count = (1 + random.below(TAIL_MAX)).min(frames - 1);
            given[frames - count..].fill(true);
        } else if drawn < first + tail + some {
            let probability = random.between(0.1, 0.7);
            given.iter_mut().for_each(|given| *given = random.chance(probability));
            // Something is left to learn.
            given[random.below(frames)] = false;
        }
        given
    }

    pub(crate) fn shape(&self) -> PixelShape {
        PixelShape::new(self.frames, self.height, self.width)
    }

    pub(crate) fn check(&self, compression: &Compression) -> Result<(), TrainError> {
        let wrong = |reason: String| TrainError::Setting(format!("a bucket of {}: {reason}", self.shape()));
        if self.batch == 0 {
            return Err(wrong("`batch` must be at least 1, found `0`".into()));
        }
        if self.clips == Some(0) {
            return Err(wrong("`clips` must be at least 1, found `0`".into()));
        }
        if let Some(shift) = self.level_shift.filter(|shift| !(shift.is_finite() && *shift > 0.0)) {
            return Err(wrong(format!("`level_shift` must be positive, found `{shift}`")));
        }
        let mut left = 1.0;
        for (name, share) in self.shares() {
            if !(0.0..=left).contains(&share) {
                return Err(wrong(format!("`{name}` must lie in 0..{left}, found `{share}`")));
            }
            if share > 0.0 && self.frames == 1 {
                return Err(wrong(format!("`{name}` leaves nothing to learn of a single frame")));
            }
            if share > 0.0 && self.story().knows_ends() {
                return Err(wrong(format!("`{name}` is not for a story that says itself what is given")));
            }
            left -= share;
        }
        if self.frames < self.story().frames_min() {
            let (least, found) = (self.story().frames_min(), self.frames);
            return Err(wrong(format!("its story needs {least} frames at least, found `{found}`")));
        }
        compression.latent_from_pixel(self.shape()).map_err(|error| wrong(error.to_string()))?;
        let multiple = compression.pixels_per_token();
        match self.window {
            Some(side) if side == 0 || side % multiple != 0 || side > self.height.min(self.width) => {
                Err(wrong(format!(
                    "`window` must be a multiple of {multiple} and fit into the clip, found `{side}`"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The task.
pub struct DenoiserTask {
    config: DenoiserTraining,
    levels: LevelDistribution,
    vae: Vae,
    vae_store: TensorStore,
    init: Option<TensorStore>,
    compression: Compression,
    vocabulary: Vocabulary,
    cache: LatentCache,
}

/// A batch of clean latents, noise, levels and prompts.
pub struct DenoiserBatch {
    /// Normalised latents, `[B, F, H, W, C]`.
    pub clean: Tensor<5>,
    /// Seed of its noise.
    pub seed: u64,
    /// Noise level of each sample, 0..1.
    pub levels: Vec<f32>,
    /// Whether a latent frame is given clean, `[B, F]`.
    pub given: Vec<bool>,
    /// Token numbers of each prompt.
    pub prompts: Vec<Vec<u32>>,
}

/// Rectified flow: the mean squared error of the predicted velocity `ε − x0` over all frames that are not given. `noise` is shaped
/// as what is clean; `boxes` steer the prediction, if there are any.
pub fn flow_loss(
    model: &Denoiser,
    batch: DenoiserBatch,
    noise: Tensor<5>,
    boxes: Option<BoxControl>,
) -> Tensor<1> {
    let device = batch.clean.device();
    let [b, frames, ..] = batch.clean.dims();
    let level = |sample: usize, frame| {
        if batch.given[sample * frames + frame] { 0.0 } else { batch.levels[sample] }
    };
    let timesteps = Timesteps::new(b, frames, &device, level);
    let sigma = timesteps.0.clone().reshape([b, frames, 1, 1, 1]);
    let velocity = noise - batch.clean.clone();
    let noised = batch.clean + velocity.clone() * sigma; // (1 − σ)x0 + σε
    let conditioning = Conditioning { text: model.text.forward(&batch.prompts), boxes };
    let predicted = model.transformer.predict(noised, &timesteps, &conditioning);
    mean_of_learned((predicted - velocity).square(), &batch.given)
}

impl DenoiserBatch {
    /// The noise that the batch is learned with.
    pub(crate) fn noise(&self) -> Tensor<5> {
        noise::normal(self.clean.dims(), self.seed, &self.clean.device())
    }

    /// The same as plain tensors for a learner elsewhere: `clean [B, F, H, W, C]`, `levels [B, F]` with 0 for what is given,
    /// `learned [B, F]`, and `prompts [B, S]`, token numbers with −1 behind the end of each.
    pub(crate) fn tensors(self) -> TensorStore {
        let [batch, frames, ..] = self.clean.dims();
        let mut store = TensorStore::default();
        store.insert("clean", self.clean.dims().to_vec(), self.clean.into_data().iter::<f32>().collect());
        let of_frames = |value: &dyn Fn(usize) -> f32| (0..batch * frames).map(value).collect::<Vec<f32>>();
        let learned = of_frames(&|i| if self.given[i] { 0.0 } else { 1.0 });
        let levels = of_frames(&|i| self.levels[i / frames] * learned[i]);
        store.insert("levels", vec![batch, frames], levels);
        store.insert("learned", vec![batch, frames], learned);
        insert_tokens(&mut store, "prompts", &[batch], self.prompts.iter());
        store
    }
}

/// Token numbers `[.., S]`, −1 behind the end of each.
pub(crate) fn insert_tokens<'a>(
    store: &mut TensorStore,
    key: &str,
    dims: &[usize],
    texts: impl Iterator<Item = &'a Vec<u32>> + Clone,
) {
    let longest = texts.clone().map(Vec::len).max().unwrap_or(0).max(1);
    let padded = |text: &'a Vec<u32>| {
        text.iter().map(|token| *token as f32).chain(std::iter::repeat(-1.0)).take(longest)
    };
    let values = texts.flat_map(padded).collect();
    store.insert(key, [dims, &[longest]].concat(), values);
}

impl DenoiserTask {
    /// Reads the VAE, learns the vocabulary and takes the latents' statistics.
    ///
    /// # Errors
    /// If the VAE cannot be read or a name in the configuration is unknown.
    pub fn new(config: DenoiserTraining, device: &Device) -> Result<Self, TrainError> {
        let levels = LevelDistribution::from_name(&config.task.levels).ok_or_else(|| {
            TrainError::Setting(format!(
                "levels `{}` are unknown\nhint: `uniform` or `logit-normal`",
                config.task.levels
            ))
        })?;
        if config.task.buckets.is_empty() {
            return Err(TrainError::Setting(
                "no buckets\nhint: `[[task.buckets]]` names a size of clips".into(),
            ));
        }
        let vae_store = TensorStore::read(&config.task.vae)?;
        let vae_store = MiniWeights::vae(&vae_store).unwrap_or(vae_store);
        let in_vae = |error: WeightsError| error.in_file(config.task.vae.display());
        let vae_config: VaeConfig = metadata(&vae_store, "vae").map_err(in_vae)?;
        let compression = compression(&vae_config, &config.model);
        for bucket in &config.task.buckets {
            bucket.check(&compression)?;
        }
        let vae = load_into(Vae::new(&vae_config, &mut Init::new(0, device)), &vae_store).map_err(in_vae)?;
        let source = Source::open(&config.task.data, config.run.seed)?;
        if let Some(bucket) = config.task.buckets.iter().find(|bucket| !source.tells(bucket.story())) {
            return Err(TrainError::Setting(format!(
                "a bucket of {}: clips of a folder tell no story but `plain`\nhint: leave out `story`",
                bucket.shape()
            )));
        }
        let init = match &config.task.init_from {
            None => None,
            Some(path) => Some(MiniWeights::denoiser(&TensorStore::read(path)?)),
        };
        let vocabulary = match (&init, &config.task.init_from) {
            (Some(store), Some(path)) => Vocabulary::from_words(
                metadata(store, "vocabulary").map_err(|error: WeightsError| error.in_file(path.display()))?,
            ),
            _ => Vocabulary::learn(source.corpus().into_iter(), config.task.word_count_min),
        };
        let Statistics { clips, frames, height, width } = config.task.statistics;
        let shape = PixelShape::new(frames, height, width);
        let cache = LatentCache::new(source, vae.clone(), compression, shape, clips, device)?;
        Ok(Self { config, levels, vae, vae_store, init, compression, vocabulary, cache })
    }

    /// The whole model in one file, from the averaged weights of this task's run.
    pub fn assemble(&self, denoiser: &TensorStore) -> MiniWeights {
        MiniWeights::assemble(
            &self.vae_store,
            denoiser,
            self.cache.mean.clone(),
            self.cache.deviation.clone(),
        )
    }

    /// Samples prompts with guidance, decodes, one clip each.
    fn sample(
        &self,
        model: &Denoiser,
        prompts: &[String],
        shape: PixelShape,
        device: &Device,
    ) -> Vec<Frames> {
        const GUIDANCE: f32 = 3.0;
        let batch = prompts.len();
        let latent = self.compression.latent_from_pixel(shape).expect("preview sizes are legal");
        let mut tokens: Vec<Vec<u32>> = prompts.iter().map(|p| self.tokens(p)).collect();
        tokens.extend(std::iter::repeat_n(self.vocabulary.encode(""), batch));
        let conditioning = Conditioning { text: model.text.forward(&tokens), boxes: None };
        let x = draw_preview(&model.transformer, &conditioning, latent, GUIDANCE, device);
        let channels =
            |values: &[f32]| Tensor::<1>::from_floats(values, device).reshape([1, 1, 1, 1, latent.channels]);
        let x = x * channels(&self.cache.deviation) + channels(&self.cache.mean);
        frames_from_tensor(self.vae.decode(x))
    }

    fn tokens(&self, prompt: &str) -> Vec<u32> {
        let mut tokens = self.vocabulary.encode(prompt);
        tokens.truncate(self.config.model.text.tokens_max);
        tokens
    }
}

impl Task for DenoiserTask {
    type Model = Denoiser;
    type Batch = DenoiserBatch;

    fn model(&self, seed: u64, device: &Device) -> Result<Denoiser, TrainError> {
        let model = Denoiser::new(&self.config.model, self.vocabulary.size(), &mut Init::new(seed, device));
        match (&self.init, &self.config.task.init_from) {
            (Some(store), Some(path)) => {
                Ok(load_into(model, store).map_err(|error| error.in_file(path.display()))?)
            }
            _ => Ok(model),
        }
    }

    fn keeps(&self, key: &str) -> bool {
        self.config.task.keep_text && key.starts_with("text.")
    }

    fn batch(&self, seed: u64, step: u64, part: usize, device: &Device) -> Result<DenoiserBatch, TrainError> {
        let task = &self.config.task;
        let mut random =
            Random::new(seed ^ 0x6261_7463, step * self.config.run.accumulate as u64 + part as u64);
        let bucket = Bucket::choose(&task.buckets, &mut random);
        let (shape, batch) = (bucket.shape(), bucket.batch);
        let clips = bucket.clips.unwrap_or(u64::MAX).min(self.cache.source().len());
        let shift = bucket.level_shift.unwrap_or(task.level_shift);
        let indices: Vec<u64> = (0..batch).map(|_| random.bits() % clips).collect();
        let window = bucket.window.map(|side| side / self.compression.space);
        let story = bucket.story();
        let Latents { values: clean, about } =
            self.cache.batch(story, shape, window, &indices, &mut random, device)?;
        let frames = clean.dims()[1];
        // Levels are drawn from equal parts of 0..1, so that each batch sees low and high ones.
        let mut levels = Vec::with_capacity(batch);
        let mut prompts = Vec::with_capacity(batch);
        let mut given = Vec::with_capacity(batch * frames);
        for (i, index) in indices.iter().enumerate() {
            let u = (i as f32 + random.unit()) / batch as f32;
            let level = match self.levels {
                LevelDistribution::Uniform => self.levels.level(u, 0.0, shift),
                LevelDistribution::LogitNormal => self.levels.level(random.unit(), u, shift),
            };
            levels.push(level);
            given.extend(bucket.given_of(&about[i], frames, &mut random));
            let text = self.cache.source().describe(story, *index, random.bits()).text;
            let dropped = random.chance(task.text_dropout);
            prompts.push(self.tokens(if dropped { "" } else { &text }));
        }
        let seed = random.bits();
        Ok(DenoiserBatch { clean, seed, levels, given, prompts })
    }

    fn loss(&self, model: &Denoiser, batch: DenoiserBatch) -> (Tensor<1>, Vec<(&'static str, f32)>) {
        let kind = match (batch.clean.dims()[1], batch.given.contains(&true)) {
            (1, _) => "loss_image",
            (_, false) => "loss_video",
            (_, true) => "loss_animation",
        };
        let noise = batch.noise();
        let loss = flow_loss(model, batch, noise, None);
        let value = loss.clone().into_scalar::<f32>();
        (loss, vec![(kind, value)])
    }

    fn preview(&self, model: &Denoiser, device: &Device, path: &Path) -> Result<(), TrainError> {
        let prompts = self.cache.source().preview_prompts(24);
        let images = self.sample(model, &prompts, PixelShape::new(1, 128, 128), device);
        let some: Vec<String> = prompts.iter().step_by(6).cloned().collect();
        let clips = self.sample(model, &some, PixelShape::new(25, 128, 128), device);
        let mut rows: Vec<Frames> = images
            .chunks(8)
            .map(|row| {
                let shape = PixelShape::new(row.len(), 128, 128);
                Frames::from_rgb(shape, row.iter().flat_map(|image| image.rgb().to_vec()).collect())
            })
            .collect();
        rows.extend(clips);
        write_sheet(&rows, 8, path)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let model = serde_json::to_string(&self.config.model).expect("plain numbers serialise");
        let words = serde_json::to_string(self.vocabulary.words()).expect("text serialises");
        BTreeMap::from([("denoiser".to_owned(), model), ("vocabulary".to_owned(), words)])
    }
}

impl Fed for DenoiserTask {
    fn tensors(&self, batch: DenoiserBatch) -> TensorStore {
        batch.tensors()
    }

    fn warm(&self) -> Result<(), TrainError> {
        warm(&self.cache, &self.config.task.buckets)
    }
}

/// Encodes all clips that buckets may draw.
pub(crate) fn warm(cache: &LatentCache, buckets: &[Bucket]) -> Result<(), TrainError> {
    buckets
        .iter()
        .try_for_each(|bucket| cache.warm(bucket.story(), bucket.shape(), bucket.clips.unwrap_or(u64::MAX)))
}

/// Mean of `error [B, F, H, W, C]` without the frames that are `given`, `[B, F]`.
fn mean_of_learned(error: Tensor<5>, given: &[bool]) -> Tensor<1> {
    if !given.contains(&true) {
        return error.mean();
    }
    let [batch, frames, height, width, channels] = error.dims();
    let weights: Vec<f32> = given.iter().map(|given| if *given { 0.0 } else { 1.0 }).collect();
    let values = weights.iter().sum::<f32>() * (height * width * channels) as f32;
    let weights = Tensor::<1>::from_floats(weights.as_slice(), &error.device());
    (error * weights.reshape([batch, frames, 1, 1, 1])).sum() / values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_not_learned() {
        // Two samples of three frames of two values: 1, 10, 100 and 1000, 10000, 100000.
        let values: Vec<f32> = (0..12).map(|i| 10f32.powi(i / 2)).collect();
        let error = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([2, 3, 1, 1, 2]);
        let mean = |given: [bool; 6]| mean_of_learned(error.clone(), &given).into_scalar::<f32>();
        let (no, yes) = (false, true);
        assert_eq!(mean([no; 6]), 111_111.0 / 6.0);
        assert_eq!(mean([yes, no, no, no, no, no]), 111_110.0 / 5.0);
        assert_eq!(mean([yes, no, yes, yes, no, no]), 110_010.0 / 3.0);
    }
}
