//! Clips as latents: encoded by the frozen VAE, normalised, kept in memory as half floats.

use std::collections::HashMap;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use rayon::prelude::*;
use vidit_models::mini::vae::Vae;
use vidit_models::pixels::tensor_from_frames;
use vidit_video::{Frames, PixelShape};

use crate::TrainError;
use crate::source::Source;

/// Pixels that the VAE encodes at once: bounds memory.
const PIXELS_AT_ONCE: usize = 8 * 25 * 128 * 128;

/// Latents of a source's clips, computed when first asked for.
///
/// A clip's latents depend on the source, shape and number alone, so a lost cache costs time and changes nothing.
pub struct LatentCache {
    source: Source,
    vae: Vae,
    device: Device,
    /// Mean of each channel, before normalisation.
    pub mean: Vec<f32>,
    /// Deviation of each channel, before normalisation.
    pub deviation: Vec<f32>,
    kept: Mutex<HashMap<(PixelShape, u64), Vec<f16>>>,
}

impl LatentCache {
    /// A cache over a frozen VAE. `device` has no tape. Statistics are taken over the first `clips` clips at `shape`.
    ///
    /// # Errors
    /// If a clip cannot be read.
    pub fn new(
        source: Source,
        vae: Vae,
        shape: PixelShape,
        clips: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let kept = Mutex::new(HashMap::new());
        let mut cache = Self { source, vae, device: device.clone(), mean: vec![], deviation: vec![], kept };
        let indices: Vec<u64> = (0..clips.min(cache.source.len())).collect();
        let latents = cache.encode(shape, &indices)?; // [B, F, H, W, C]
        let channels = latents.dims()[4];
        let values: Vec<f32> = latents.into_data().iter::<f32>().collect();
        let rows = (values.len() / channels) as f64;
        let moment = |c: usize, power: i32| {
            values.iter().skip(c).step_by(channels).map(|v| (*v as f64).powi(power)).sum::<f64>() / rows
        };
        for c in 0..channels {
            let mean = moment(c, 1);
            cache.mean.push(mean as f32);
            cache.deviation.push((moment(c, 2) - mean * mean).max(1e-12).sqrt() as f32);
        }
        Ok(cache)
    }

    /// The clips' source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Raw latents of these clips, `[B, F, H, W, C]`.
    fn encode(&self, shape: PixelShape, indices: &[u64]) -> Result<Tensor<5>, TrainError> {
        let at_once = (PIXELS_AT_ONCE / shape.pixels()).max(1);
        let mut parts = Vec::new();
        for indices in indices.chunks(at_once) {
            let clips: Vec<Frames> = indices
                .par_iter()
                .map(|i| Ok(self.source.clip(*i, shape)?.0))
                .collect::<Result<_, TrainError>>()?;
            parts.push(self.vae.encode(tensor_from_frames(&clips, &self.device)).mean);
        }
        Ok(Tensor::cat(parts, 0))
    }

    /// Normalised latents of these clips on `device`, `[B, F, H, W, C]`.
    ///
    /// # Errors
    /// If a clip cannot be read.
    pub fn batch(
        &self,
        shape: PixelShape,
        indices: &[u64],
        device: &Device,
    ) -> Result<Tensor<5>, TrainError> {
        let mut kept = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut missing: Vec<u64> =
            indices.iter().copied().filter(|i| !kept.contains_key(&(shape, *i))).collect();
        missing.sort_unstable();
        missing.dedup();
        let channels = self.mean.len();
        if !missing.is_empty() {
            let values: Vec<f32> = self.encode(shape, &missing)?.into_data().iter::<f32>().collect();
            for (index, clip) in missing.iter().zip(values.chunks_exact(values.len() / missing.len())) {
                let normalised = clip
                    .iter()
                    .enumerate()
                    .map(|(i, v)| f16::from_f32((v - self.mean[i % channels]) / self.deviation[i % channels]))
                    .collect();
                kept.insert((shape, *index), normalised);
            }
        }
        let values: Vec<f32> =
            indices.iter().flat_map(|i| kept[&(shape, *i)].iter().map(|v| v.to_f32())).collect();
        let frames = (shape.frames - 1) / 4 + 1;
        let dims = [indices.len(), frames, shape.height / 8, shape.width / 8, channels];
        Ok(Tensor::from_data(TensorData::new(values, dims), device))
    }
}
