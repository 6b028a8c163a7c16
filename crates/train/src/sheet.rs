//! Sample sheets: drawn latents, and rows of frames.

use std::convert::Infallible;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use vidit_diffusion::noise;
use vidit_diffusion::sampler::{Known, Sampler, draw};
use vidit_diffusion::schedule::sigmas;
use vidit_media::{WriteOptions, grid, write_image};
use vidit_models::conditioning::Conditioning;
use vidit_models::mini::transformer::Transformer;
use vidit_pipeline::guided_velocity;
use vidit_video::{Frames, LatentShape};

use crate::TrainError;

/// Steps of a preview, and where they lie.
const STEPS: usize = 20;
const SHIFT: f32 = 3.0;

/// Normalised latents `[B, F, H, W, C]` for the `B` prompts of a conditioning that holds as many to move away from behind them.
/// Always from the same noise.
pub fn draw_preview(
    transformer: &Transformer,
    conditioning: &Conditioning,
    latent: LatentShape,
    guidance: f32,
    device: &Device,
) -> Tensor<5> {
    let batch = conditioning.text.lengths.len() / 2;
    let noise =
        noise::normal([batch, latent.frames, latent.height, latent.width, latent.channels], 1, device);
    let known = Known::nothing(&noise);
    let predict = |x: Tensor<5>, levels: &[f32]| {
        Ok::<_, Infallible>(guided_velocity(transformer, x, levels, conditioning, Some(guidance)))
    };
    let Ok(latents) = draw(Sampler::Euler, noise, &known, &sigmas(STEPS, SHIFT), 0, predict, |_| {});
    latents
}

/// Writes one row a clip, `columns` frames of each, over what stood there before.
pub fn write_sheet(clips: &[Frames], columns: usize, path: &Path) -> Result<(), TrainError> {
    let rows: Vec<&Frames> = clips.iter().collect();
    let options = WriteOptions { overwrite: true, ..Default::default() };
    write_image(&grid(&rows, columns), path, &options)
        .map_err(|error| TrainError::Data(error.to_string()))?;
    Ok(())
}
