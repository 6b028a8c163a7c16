//! DreamSim (Fu et al. 2023), the ensemble: the class tokens of three vision transformers side by side, DINO, CLIP and OpenCLIP, each
//! ViT-B/16, fine-tuned by low-rank adapters so that images which people find alike are near.

mod adapter;
mod tower;

#[cfg(test)]
mod parity;

pub use adapter::{Adapter, AdapterConfig};

use vidit_weights::TensorStore;

use crate::{BackboneError, Grid};
use tower::Tower;

const NETWORK: &str = "DreamSim";

/// One of the three networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// DINO's, `dino_vitbase16_pretrain.pth`: its class token before the last norm.
    Dino,
    /// CLIP's, `clip_vitb16_pretrain.pth.tar`, whose keys are DINO's: the feature.
    Clip,
    /// The same of OpenCLIP, `open_clip_vitb16_pretrain.pth.tar`.
    OpenClip,
}

impl Part {
    /// In the order of the ensemble.
    pub const ALL: [Self; 3] = [Self::Dino, Self::Clip, Self::OpenClip];

    /// Its name in the goldens and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dino => "dino",
            Self::Clip => "clip",
            Self::OpenClip => "open_clip",
        }
    }

    /// Mean and deviation of the pixels that it was trained on.
    fn pixels(self) -> [[f32; 3]; 2] {
        match self {
            Self::Dino => [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
            Self::Clip | Self::OpenClip => {
                [[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.261_302_6, 0.275_777_1]]
            }
        }
    }
}

/// What the weights' shapes do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width of an attention head, in all three.
    pub head_width: usize,
}

impl Config {
    /// `dreamsim_ensemble_checkpoint.zip`.
    pub const ENSEMBLE: Self = Self { head_width: 64 };
}

/// The ensemble.
pub struct DreamSim {
    towers: Vec<(Part, Tower)>,
}

impl DreamSim {
    /// Of the three networks' own weights, asked for one after another, and the adapter, which is merged into them.
    ///
    /// # Errors
    /// What `weights` says; if a tensor is absent, misshapen, or has no use, the adapter's among them.
    pub fn load<E: From<BackboneError>>(
        mut weights: impl FnMut(Part) -> Result<TensorStore, E>,
        mut adapter: Adapter,
        config: Config,
    ) -> Result<Self, E> {
        let mut towers = Vec::new();
        for (index, part) in Part::ALL.into_iter().enumerate() {
            let mut store = weights(part)?;
            adapter.merge_into(&mut store, index)?;
            towers.push((part, Tower::load(part, store, config)?));
        }
        adapter.finish()?;
        let side = towers[0].1.side();
        if let Some((part, tower)) = towers.iter().find(|(_, tower)| tower.side() != side) {
            return Err(E::from(BackboneError::Config {
                network: NETWORK,
                reason: format!(
                    "`{}` sees images of side `{}`, expected {side} as of the first",
                    part.name(),
                    tower.side()
                ),
            }));
        }
        Ok(Self { towers })
    }

    /// Height and width of the images it reads, in pixels.
    pub fn side(&self) -> usize {
        self.towers[0].1.side()
    }

    /// Embeddings `[B, E]` of images `[B, side, side, 3]`, RGB in 0..1 (bicubic interpolation may go beyond): each less its mean, of
    /// length 1. 1 less the cosine of two is DreamSim's distance.
    pub fn forward(&self, images: &Grid) -> Vec<f32> {
        self.watched(images, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed. The last block of each has one token a sequence.
    ///
    /// # Panics
    /// If images have another size: a bug of the caller.
    pub fn watched(&self, images: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        let mut joined: Vec<Vec<f32>> = vec![Vec::new(); images.batch];
        for (part, tower) in &self.towers {
            let mut watch = |name: &str, found: &[f32]| watch(&format!("{}.{name}", part.name()), found);
            let feature = tower.watched(&normalised(images, part.pixels()), &mut watch); // [B, D]
            let width = feature.len() / images.batch.max(1);
            joined.iter_mut().zip(feature.chunks_exact(width.max(1))).for_each(|(all, one)| all.extend(one));
        }
        let embedding: Vec<f32> = joined.iter().flat_map(|joined| centred_unit(joined)).collect(); // [B, E]
        watch("embedding", &embedding);
        embedding
    }
}

/// Each channel less its mean, over its deviation.
fn normalised(images: &Grid, [mean, deviation]: [[f32; 3]; 2]) -> Grid {
    let pixels = images.data.as_chunks::<3>().0;
    let data = pixels
        .iter()
        .flat_map(|pixel| std::array::from_fn::<f32, 3, _>(|c| (pixel[c] - mean[c]) / deviation[c]));
    Grid::new(data.collect(), images.shape())
}

/// A vector less the mean of its values, over its length.
fn centred_unit(x: &[f32]) -> Vec<f32> {
    let mean = x.iter().map(|value| f64::from(*value)).sum::<f64>() / x.len() as f64;
    let centred: Vec<f64> = x.iter().map(|value| f64::from(*value) - mean).collect();
    let length = centred.iter().map(|value| value * value).sum::<f64>().sqrt();
    centred.iter().map(|value| (value / length) as f32).collect()
}
