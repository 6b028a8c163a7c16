//! Training the VAE: reconstruct crops of composed clips. All of it, or the decoder alone of a model whose latents are to stay what
//! its denoiser knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vidit_data::{Random, Story};
use vidit_diffusion::noise;
use vidit_models::mini::vae::{Vae, VaeConfig};
use vidit_models::mini::{MiniWeights, metadata};
use vidit_models::nn::Init;
use vidit_models::pixels::{frames_from_tensor, tensor_from_frames};
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
}

/// A batch: pixels `[B, Fp, Hp, Wp, 3]` in -1..1 and noise for the latents.
pub struct VaeBatch {
    pixels: Tensor<5>,
    noise: Tensor<5>,
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
                Some(Kept { store, sizes, encoder })
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
        Ok(VaeBatch { pixels, noise: noise::normal(latent, seed ^ 0x6e6f_6973 ^ first << 20, device) })
    }

    fn loss(&self, model: &Vae, batch: VaeBatch) -> (Tensor<1>, Vec<(&'static str, f32)>) {
        let task = &self.config.task;
        let encoder = self.kept.as_ref().map_or(model, |kept| &kept.encoder);
        let posterior = encoder.encode(batch.pixels.clone());
        let deviation = (posterior.log_variance.clone() * 0.5).exp();
        let latents = posterior.mean.clone() + (deviation + task.latent_noise) * batch.noise;
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
        (loss, vec![("psnr_db", 10.0 * (4.0 / mse).log10()), ("divergence", kl), ("step_error", step_error)])
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
