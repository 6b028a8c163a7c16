//! Training the VAE: reconstruct crops of composed clips.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vidit_data::{Random, Story};
use vidit_diffusion::noise;
use vidit_models::mini::vae::{Vae, VaeConfig};
use vidit_models::nn::Init;
use vidit_models::pixels::{frames_from_tensor, tensor_from_frames};
use vidit_video::{Frames, PixelShape};

use crate::sheet::write_sheet;
use crate::source::{Clip, DataConfig, Source};
use crate::{OptimizerConfig, RunConfig, Task, TrainError};

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
}

/// The task.
pub struct VaeTask {
    config: VaeTraining,
    source: Source,
}

/// A batch: pixels `[B, Fp, Hp, Wp, 3]` in -1..1 and noise for the latents.
pub struct VaeBatch {
    pixels: Tensor<5>,
    noise: Tensor<5>,
}

impl VaeTask {
    /// Opens the data.
    ///
    /// # Errors
    /// If it cannot be read, or crops do not fit into clips.
    pub fn new(config: VaeTraining) -> Result<Self, TrainError> {
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
        Ok(Self { config, source })
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

impl Task for VaeTask {
    type Model = Vae;
    type Batch = VaeBatch;

    fn model(&self, seed: u64, device: &Device) -> Result<Vae, TrainError> {
        Ok(Vae::new(&self.config.model, &mut Init::new(seed, device)))
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
        let posterior = model.encode(batch.pixels.clone());
        let deviation = (posterior.log_variance.clone() * 0.5).exp();
        let latents = posterior.mean.clone() + (deviation + task.latent_noise) * batch.noise;
        let difference = model.decode(latents) - batch.pixels;
        let squared = difference.clone().square().mean();
        let absolute = difference.abs().mean();
        // KL(N(μ, σ²) ‖ N(0, 1)) per latent value
        let divergence =
            (posterior.mean.square() + posterior.log_variance.clone().exp() - posterior.log_variance - 1.0)
                .mean()
                * 0.5;
        let mse = squared.clone().into_scalar::<f32>();
        let kl = divergence.clone().into_scalar::<f32>();
        let loss = absolute + squared * task.squared + divergence * task.divergence;
        // pixels span 2, so the peak signal is 4 in squared units
        (loss, vec![("psnr_db", 10.0 * (4.0 / mse).log10()), ("divergence", kl)])
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
