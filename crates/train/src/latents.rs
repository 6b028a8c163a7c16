//! Clips as latents: composed, encoded by the frozen VAE, normalised, kept in memory as half floats.

use std::collections::HashMap;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use rayon::prelude::*;
use vidit_data::{Pack, Scene, Split, render};
use vidit_models::mini::vae::Vae;
use vidit_video::{Frames, PixelShape};

/// Pixels that the VAE encodes at once: bounds memory.
const PIXELS_AT_ONCE: usize = 8 * 25 * 128 * 128;

/// Frames as network input, `[B, Fp, Hp, Wp, 3]` in -1..1.
///
/// # Panics
/// If clips differ in shape.
pub fn pixels(clips: &[Frames], device: &Device) -> Tensor<5> {
    let shape = clips[0].shape();
    let values: Vec<f32> = clips
        .iter()
        .flat_map(|clip| {
            assert_eq!(clip.shape(), shape, "clips of a batch share a shape");
            clip.rgb().iter().map(|byte| *byte as f32 / 127.5 - 1.0)
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [clips.len(), shape.frames, shape.height, shape.width, 3]), device)
}

/// Latents of the composed clips of one split and seed, computed when first asked for.
///
/// A clip's latents depend on its shape and index alone, so a lost cache costs time and changes nothing.
pub struct LatentCache {
    vae: Vae,
    device: Device,
    split: Split,
    seed: u64,
    /// Mean of each channel, before normalisation.
    pub mean: Vec<f32>,
    /// Deviation of each channel, before normalisation.
    pub deviation: Vec<f32>,
    kept: Mutex<HashMap<(PixelShape, u64), Vec<f16>>>,
}

impl LatentCache {
    /// A cache over a frozen VAE. `device` has no tape. Statistics are taken over the first `clips` clips of `shape`.
    pub fn new(vae: Vae, pack: &Pack, split: Split, seed: u64, shape: PixelShape, clips: u64, device: &Device) -> Self {
        let kept = Mutex::new(HashMap::new());
        let mut cache =
            Self { vae, device: device.clone(), split, seed, mean: vec![], deviation: vec![], kept };
        let indices: Vec<u64> = (0..clips).collect();
        let latents = cache.encode(pack, shape, &indices); // [B, F, H, W, C]
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
        cache
    }

    /// Raw latents of these clips, `[B, F, H, W, C]`.
    fn encode(&self, pack: &Pack, shape: PixelShape, indices: &[u64]) -> Tensor<5> {
        let at_once = (PIXELS_AT_ONCE / shape.pixels()).max(1);
        let parts = indices.chunks(at_once).map(|indices| {
            let clips: Vec<Frames> =
                indices.par_iter().map(|i| render(pack, &self.scene(pack, *i), shape).frames).collect();
            self.vae.encode(pixels(&clips, &self.device)).mean
        });
        Tensor::cat(parts.collect(), 0)
    }

    /// What clip `index` shows.
    pub fn scene(&self, pack: &Pack, index: u64) -> Scene {
        Scene::sample(pack, self.seed, index, self.split)
    }

    /// Normalised latents of these clips on `device`, `[B, F, H, W, C]`.
    pub fn batch(&self, pack: &Pack, shape: PixelShape, indices: &[u64], device: &Device) -> Tensor<5> {
        let mut missing: Vec<u64> = {
            let kept = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            indices.iter().copied().filter(|i| !kept.contains_key(&(shape, *i))).collect()
        };
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let values: Vec<f32> = self.encode(pack, shape, &missing).into_data().iter::<f32>().collect();
            let channels = self.mean.len();
            let mut kept = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            for (index, clip) in missing.iter().zip(values.chunks_exact(values.len() / missing.len())) {
                let normalised = clip
                    .iter()
                    .enumerate()
                    .map(|(i, v)| f16::from_f32((v - self.mean[i % channels]) / self.deviation[i % channels]))
                    .collect();
                kept.insert((shape, *index), normalised);
            }
        }
        let kept = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let values: Vec<f32> = indices.iter().flat_map(|i| kept[&(shape, *i)].iter().map(|v| v.to_f32())).collect();
        let frames = (shape.frames - 1) / 4 + 1;
        let dims = [indices.len(), frames, shape.height / 8, shape.width / 8, self.mean.len()];
        Tensor::from_data(TensorData::new(values, dims), device)
    }
}
