//! Training the VAE: reconstruct crops of composed clips. All of it, or the decoder alone of a model whose latents are to stay what
//! its denoiser knows; from latents of the encoder, or from such as the denoiser makes of them, which is what a decoder is given.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vidit_data::{Random, Story};
use vidit_diffusion::noise;
use vidit_diffusion::sampler::{Known, Sampler, draw};
use vidit_diffusion::schedule::sigmas;
use vidit_models::conditioning::Conditioning;
use vidit_models::mini::vae::{Vae, VaeConfig};
use vidit_models::mini::{Mini, MiniWeights, metadata};
use vidit_models::nn::Init;
use vidit_models::pixels::{frames_from_tensor, tensor_from_frames};
use vidit_pipeline::{Request, guided_velocity};
use vidit_video::{Frames, PixelShape};
use vidit_weights::{TensorStore, WeightsError, collect, load_into};

use crate::sheet::write_sheet;
use crate::source::{Clip, DataConfig, Source};
use crate::{OptimizerConfig, RunConfig, Task, TrainError, widen};

/// A configuration file of kind `vae`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeTraining {
    /// Sizes of the network.
    pub model: VaeConfig,
    /// Data and loss.
    pub task: VaeTaskConfig,
    /// The loop.
    pub run: RunConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
}

/// Crops and the weights of the loss' parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeTaskConfig {
    /// Crops a batch.
    pub batch: usize,
    /// Frames of a crop, `4n + 1`.
    pub frames: usize,
    /// Height and width of a crop in pixels.
    pub crop: usize,
    /// Frames of the clips that are cropped.
    pub clip_frames: usize,
    /// Height and width of the clips that are cropped.
    pub clip: usize,
    /// Where clips come from.
    pub data: DataConfig,
    /// Weight of the squared error beside the absolute one.
    pub squared: f32,
    /// Weight of the divergence from a standard normal, per latent value.
    pub divergence: f32,
    /// Deviation of noise added to latents before decoding, so that the decoder forgives a sampler's small errors.
    pub latent_noise: f32,
    /// Weight of the absolute error of steps from frame to frame: without it every latent frame errs for itself, and a still
    /// background pulses with them.
    #[serde(default)]
    pub temporal: f32,
    /// A whole model of which the decoder alone learns on; its encoder stays as it is. Where `[model]` has a wider or deeper decoder
    /// it begins as one that makes the same frames.
    #[serde(default)]
    pub decoder_of: Option<PathBuf>,
    /// Latents that the denoiser of `decoder_of` makes anew, beside those of the encoder. Absent: none.
    #[serde(default)]
    pub remade: Option<Remade>,
}

/// Latents that are noised, and made anew from there by the denoiser, by the clip's caption: as its own clips are, but near enough to a
/// real one that a decoder can learn what they should have shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remade {
    /// Probability that a batch is of such.
    pub share: f32,
    /// Least and largest noise level, of which one is drawn for each batch: 0 keeps a clip, 1 forgets it.
    pub levels: [f32; 2],
    /// Steps from pure noise; from a level those that are left.
    pub steps: usize,
    /// Guidance scales, of which one is drawn for each batch.
    pub guidance: Vec<f32>,
}

impl Remade {
    fn check(&self) -> Result<(), TrainError> {
        let [least, largest] = self.levels;
        let wrong = |what: &str, found: String| {
            Err(TrainError::Setting(format!("`remade`: {what}, found `{found}`")))
        };
        if !(0.0..=1.0).contains(&self.share) {
            return wrong("`share` must lie in 0..1", self.share.to_string());
        }
        if !(0.0 < least && least <= largest && largest <= 1.0) {
            return wrong("`levels` must rise within 0..1", format!("{:?}", self.levels));
        }
        if self.steps == 0 {
            return wrong("`steps` must be at least 1", "0".into());
        }
        match self.guidance.iter().all(|scale| scale.is_finite()) && !self.guidance.is_empty() {
            true => Ok(()),
            false => wrong("`guidance` must have a scale at least", format!("{:?}", self.guidance)),
        }
    }
}

/// The task.
pub struct VaeTask {
    config: VaeTraining,
    source: Source,
    kept: Option<Kept>,
}

/// What stays when the decoder alone learns.
struct Kept {
    /// The whole model.
    store: TensorStore,
    /// Its VAE's sizes.
    sizes: VaeConfig,
    /// Its VAE, which encodes; without gradients.
    encoder: Vae,
    /// All of it without tape, where it makes latents anew.
    remaking: Option<(Mini, Remade)>,
}

/// A batch: pixels `[B, Fp, Hp, Wp, 3]` in -1..1 and noise for their latents, or latents that the denoiser made of them.
pub struct VaeBatch {
    pixels: Tensor<5>,
    noise: Tensor<5>,
    remade: Option<Tensor<5>>,
}

impl VaeTask {
    /// Opens the data, and the model that the decoder is of.
    ///
    /// # Errors
    /// If they cannot be read, crops do not fit into clips, or the model's VAE has another encoder or a larger decoder.
    pub fn new(config: VaeTraining, device: &Device) -> Result<Self, TrainError> {
        let task = &config.task;
        if task.frames > task.clip_frames
            || task.crop > task.clip
            || task.frames % 4 != 1
            || task.crop % 8 != 0
        {
            return Err(TrainError::Setting(format!(
                "crops of {} frames and {} pixels do not fit clips of {} and {}\nhint: frames are 4n+1, sides multiples of 8",
                task.frames, task.crop, task.clip_frames, task.clip
            )));
        }
        let source = Source::open(&config.task.data, config.run.seed)?;
        let kept = match &task.decoder_of {
            None if task.remade.is_some() => {
                return Err(TrainError::Setting(
                    "`remade` needs a denoiser\nhint: `decoder_of` names a whole model".into(),
                ));
            }
            None => None,
            Some(path) => {
                let store = TensorStore::read(path)?;
                let sizes: VaeConfig =
                    metadata(&store, "vae").map_err(|error: WeightsError| error.in_file(path.display()))?;
                if !widen::fits(&sizes, &config.model) {
                    return Err(TrainError::Setting(format!(
                        "`[model]` must be the VAE of `{}`, {sizes:?}, or have a larger decoder, found {:?}",
                        path.display(),
                        config.model
                    )));
                }
                let train_device = device.clone().autodiff();
                let encoder = load(&sizes, &store, path, &mut Init::new(0, &train_device))?.no_grad();
                let remaking = match &task.remade {
                    None => None,
                    Some(remade) => {
                        remade.check()?;
                        let weights = MiniWeights { store: store.clone() };
                        let mini = Mini::load(&weights, device);
                        Some((mini.map_err(|error| error.in_file(path.display()))?, remade.clone()))
                    }
                };
                Some(Kept { store, sizes, encoder, remaking })
            }
        };
        Ok(Self { config, source, kept })
    }

    /// The whole model with the averaged weights of this task's run as its decoder; `None` if the run is of a whole VAE.
    pub fn assemble(&self, averages: &TensorStore) -> Option<TensorStore> {
        let mut store = self.kept.as_ref()?.store.clone();
        let decoder = averages.tensors.iter().filter(|(key, _)| key.starts_with("decoder."));
        store.tensors.extend(decoder.map(|(key, entry)| (format!("vae.{key}"), entry.clone())));
        store.metadata.extend(self.metadata());
        Some(store)
    }

    /// One crop of frames.
    fn crop(&self, index: u64) -> Result<Frames, TrainError> {
        let task = &self.config.task;
        let mut random = Random::new(self.config.run.seed ^ 0xc0ffee, index);
        let shape = PixelShape::new(task.clip_frames, task.clip, task.clip);
        let Clip { frames: clip, centre, .. } =
            self.source.clip(Story::Plain, index % self.source.len(), shape)?;
        let first = random.below(task.clip_frames - task.frames + 1);
        // Three of four crops look at where the object begins, where that is known.
        let centre = centre.filter(|_| random.chance(0.75));
        let room = (task.clip - task.crop) as f32;
        let mut corner = |centre: Option<f32>| -> usize {
            let jitter = (random.unit() - 0.5) * 0.5 * task.crop as f32;
            let free = random.unit() * room;
            centre.map_or(free, |c| c * task.clip as f32 - task.crop as f32 / 2.0 + jitter).clamp(0.0, room)
                as usize
        };
        let (x0, y0) = (corner(centre.map(|c| c.0)), corner(centre.map(|c| c.1)));
        let mut bytes = Vec::with_capacity(task.frames * task.crop * task.crop * 3);
        for frame in first..first + task.frames {
            let pixels = clip.frame(frame);
            for y in y0..y0 + task.crop {
                let start = (y * task.clip + x0) * 3;
                bytes.extend_from_slice(&pixels[start..start + task.crop * 3]);
            }
        }
        Ok(Frames::from_rgb(PixelShape::new(task.frames, task.crop, task.crop), bytes))
    }

    fn crops(&self, first: u64, device: &Device) -> Result<Tensor<5>, TrainError> {
        let count = self.config.task.batch as u64;
        let crops: Vec<Frames> =
            (0..count).into_par_iter().map(|i| self.crop(first + i)).collect::<Result<_, TrainError>>()?;
        Ok(tensor_from_frames(&crops, device))
    }

    /// Latents `[B, F, H, W, C]` of crops, `pixels [B, Fp, Hp, Wp, 3]`, the first of which is crop `first`, made anew by the model as
    /// its own clips are made.
    fn remake(
        &self,
        mini: &Mini,
        remade: &Remade,
        first: u64,
        pixels: Tensor<5>,
        random: &mut Random,
    ) -> Tensor<5> {
        let clean = mini.normalise(mini.vae.encode(pixels).mean);
        let [batch, frames, ..] = clean.dims();
        let noise = noise::normal(clean.dims(), random.bits(), &clean.device());
        let level = random.between(remade.levels[0], remade.levels[1]);
        let scale = *random.choose(&remade.guidance);
        let mut prompts: Vec<Vec<u32>> = (first..first + batch as u64)
            .map(|crop| {
                let clip = crop % self.source.len();
                let mut tokens =
                    mini.vocabulary.encode(&self.source.describe(Story::Plain, clip, random.bits()).text);
                tokens.truncate(mini.tokens_max);
                tokens
            })
            .collect();
        prompts.extend(std::iter::repeat_n(mini.vocabulary.encode(""), batch));
        let conditioning = Conditioning { text: mini.denoiser.text.forward(&prompts), boxes: None };
        let predict = |x: Tensor<5>, levels: &[f32]| {
            Ok::<_, Infallible>(guided_velocity(
                &mini.denoiser.transformer,
                x,
                levels,
                &conditioning,
                Some(scale),
            ))
        };
        let known = Known { clean, levels: vec![level; frames] };
        let sigmas = sigmas(remade.steps, Request::SHIFT);
        let Ok(latents) = draw(Sampler::Euler, noise, &known, &sigmas, predict, |_| {});
        mini.denormalise(latents)
    }
}

/// The VAE of a whole model.
fn load(sizes: &VaeConfig, store: &TensorStore, path: &Path, init: &mut Init) -> Result<Vae, TrainError> {
    let weights = MiniWeights::vae(store).unwrap_or_default();
    Ok(load_into(Vae::new(sizes, init), &weights).map_err(|error| error.in_file(path.display()))?)
}

impl Task for VaeTask {
    type Model = Vae;
    type Batch = VaeBatch;

    fn model(&self, seed: u64, device: &Device) -> Result<Vae, TrainError> {
        let init = &mut Init::new(seed, device);
        match &self.kept {
            None => Ok(Vae::new(&self.config.model, init)),
            Some(kept) => {
                let model = Vae::new(&self.config.model, init);
                let smaller = MiniWeights::vae(&kept.store).unwrap_or_default();
                let fresh = collect(&model, "");
                let weights = widen::widened(&smaller, &kept.sizes, fresh, &self.config.model);
                Ok(load_into(model, &weights)?)
            }
        }
    }

    fn batch(&self, seed: u64, step: u64, part: usize, device: &Device) -> Result<VaeBatch, TrainError> {
        let task = &self.config.task;
        let parts = self.config.run.accumulate as u64;
        let first = (step * parts + part as u64) * task.batch as u64;
        let pixels = self.crops(first, device)?;
        let latent = [
            task.batch,
            (task.frames - 1) / 4 + 1,
            task.crop / 8,
            task.crop / 8,
            self.config.model.latent_channels,
        ];
        let mut random = Random::new(seed ^ 0x7265_6d61_6465, first);
        let remaking = self.kept.as_ref().and_then(|kept| kept.remaking.as_ref());
        let remade = remaking.filter(|(_, remade)| random.chance(remade.share)).map(|(mini, remade)| {
            let untaped = Tensor::from_data(pixels.to_data(), &mini.device());
            let latents = self.remake(mini, remade, first, untaped, &mut random);
            Tensor::from_data(latents.into_data(), device)
        });
        let noise = noise::normal(latent, seed ^ 0x6e6f_6973 ^ first << 20, device);
        Ok(VaeBatch { pixels, noise, remade })
    }

    fn loss(&self, model: &Vae, batch: VaeBatch) -> (Tensor<1>, Vec<(&'static str, f32)>) {
        let task = &self.config.task;
        let encoder = self.kept.as_ref().map_or(model, |kept| &kept.encoder);
        let posterior = encoder.encode(batch.pixels.clone());
        let deviation = (posterior.log_variance.clone() * 0.5).exp();
        let made_anew = batch.remade.is_some();
        let latents = batch
            .remade
            .unwrap_or_else(|| posterior.mean.clone() + (deviation + task.latent_noise) * batch.noise);
        let difference = model.decode(latents) - batch.pixels;
        let squared = difference.clone().square().mean();
        let later = task.frames - 1;
        // The error of a step is the step of the error: (r₁ − p₁) − (r₀ − p₀) = (r₁ − r₀) − (p₁ − p₀)
        let step =
            (difference.clone().narrow(1, 1, later) - difference.clone().narrow(1, 0, later)).abs().mean();
        let absolute = difference.abs().mean();
        // KL(N(μ, σ²) ‖ N(0, 1)) per latent value
        let divergence =
            (posterior.mean.square() + posterior.log_variance.clone().exp() - posterior.log_variance - 1.0)
                .mean()
                * 0.5;
        let mse = squared.clone().into_scalar::<f32>();
        let kl = divergence.clone().into_scalar::<f32>();
        let step_error = step.clone().into_scalar::<f32>();
        let loss = absolute + squared * task.squared + step * task.temporal + divergence * task.divergence;
        // pixels span 2, so the peak signal is 4 in squared units
        let psnr = if made_anew { "psnr_db_remade" } else { "psnr_db" };
        (loss, vec![(psnr, 10.0 * (4.0 / mse).log10()), ("divergence", kl), ("step_error", step_error)])
    }

    fn preview(&self, model: &Vae, device: &Device, path: &Path) -> Result<(), TrainError> {
        let task = &self.config.task;
        let pixels = self.crops(u64::MAX / 2, device)?; // far beyond what training reaches
        let decoded = model.decode(model.encode(pixels.clone()).mean);
        let row = [1, task.batch * task.frames, task.crop, task.crop, 3]; // all crops side by side
        let rows = frames_from_tensor(Tensor::cat(vec![pixels.reshape(row), decoded.reshape(row)], 0));
        write_sheet(&rows, 16, path)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string(&self.config.model).expect("plain numbers serialise");
        BTreeMap::from([("vae".to_owned(), text)])
    }
}
