//! One file holds the whole model: `vae.*`, `text.*`, `transformer.*`, the latents' statistics, and as metadata the
//! configurations and the vocabulary.

use burn::tensor::{Device, Tensor, TensorData};
use vidit_video::Compression;
use vidit_weights::{TensorStore, WeightsError, load_into};

use super::vae::{Vae, VaeConfig};
use super::{Denoiser, DenoiserConfig, Vocabulary};
use crate::nn::Init;

/// A loaded model.
pub struct Mini {
    /// Text encoder and transformer.
    pub denoiser: Denoiser,
    /// Pixels ↔ latents.
    pub vae: Vae,
    /// Prompt → token numbers.
    pub vocabulary: Vocabulary,
    /// Longest prompt in tokens.
    pub tokens_max: usize,
    /// The arithmetic between pixels, latents and tokens.
    pub compression: Compression,
    /// `[1, 1, 1, 1, C]`: mean of each latent channel over the training clips.
    latent_mean: Tensor<5>,
    /// `[1, 1, 1, 1, C]`: its deviation.
    latent_deviation: Tensor<5>,
}

/// What a file holds, before it becomes modules.
pub struct MiniWeights {
    /// All tensors and metadata.
    pub store: TensorStore,
}

/// A metadata entry that was written as JSON: `vae`, `denoiser` or `vocabulary`.
///
/// # Errors
/// If it is missing or not what is asked for.
pub fn metadata<T: serde::de::DeserializeOwned>(store: &TensorStore, key: &str) -> Result<T, WeightsError> {
    serde_json::from_str(store.text(key)?).map_err(|error| WeightsError::Metadata {
        key: key.to_owned(),
        reason: format!("cannot be read: {error}"),
    })
}

impl MiniWeights {
    /// Joins a trained VAE, a trained denoiser (each with its metadata) and latent statistics into one file.
    pub fn assemble(
        vae: &TensorStore,
        denoiser: &TensorStore,
        latent_mean: Vec<f32>,
        latent_deviation: Vec<f32>,
    ) -> Self {
        let mut store = TensorStore::default();
        store.tensors.extend(vae.tensors.iter().map(|(key, entry)| (format!("vae.{key}"), entry.clone())));
        store.tensors.extend(denoiser.tensors.clone());
        store.metadata.extend(vae.metadata.clone());
        store.metadata.extend(denoiser.metadata.clone());
        store.insert("latent_mean", vec![latent_mean.len()], latent_mean);
        store.insert("latent_deviation", vec![latent_deviation.len()], latent_deviation);
        Self { store }
    }

    /// The VAE alone, as a run of its own would have left it. `None` if the store is not a whole model.
    pub fn vae(store: &TensorStore) -> Option<TensorStore> {
        let vae = store.under("vae.");
        (!vae.tensors.is_empty()).then_some(vae)
    }

    /// The denoiser alone: all but the VAE and the statistics.
    pub fn denoiser(store: &TensorStore) -> TensorStore {
        let mut rest = store.clone();
        rest.tensors.retain(|key, _| !key.starts_with("vae.") && !key.starts_with("latent_"));
        rest
    }
}

impl Mini {
    /// Builds the modules on a device.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or mis-shaped, or the metadata is not that of a `mini`.
    pub fn load(weights: &MiniWeights, device: &Device) -> Result<Self, WeightsError> {
        let store = &weights.store;
        let vae_config: VaeConfig = metadata(store, "vae")?;
        let config: DenoiserConfig = metadata(store, "denoiser")?;
        let vocabulary = Vocabulary::from_words(metadata(store, "vocabulary")?);
        let mut init = Init::new(0, device);
        let vae = load_into(Vae::new(&vae_config, &mut init), &store.under("vae."))?;
        let denoiser = MiniWeights::denoiser(store);
        let denoiser = load_into(Denoiser::new(&config, vocabulary.size(), &mut init), &denoiser)?;
        let channels = vae_config.latent_channels;
        let statistic = |key: &str| -> Result<Tensor<5>, WeightsError> {
            let expected = vec![channels];
            let entry = store
                .tensors
                .get(key)
                .ok_or_else(|| WeightsError::Missing { key: key.to_owned(), expected: expected.clone() })?;
            if entry.shape != expected {
                return Err(WeightsError::Shape {
                    key: key.to_owned(),
                    expected,
                    found: entry.shape.clone(),
                });
            }
            Ok(Tensor::from_data(TensorData::new(entry.values.clone(), [1, 1, 1, 1, channels]), device))
        };
        Ok(Self {
            denoiser,
            vae,
            vocabulary,
            tokens_max: config.text.tokens_max,
            compression: vae_config.compression(config.transformer.patch),
            latent_mean: statistic("latent_mean")?,
            latent_deviation: statistic("latent_deviation")?,
        })
    }

    /// VAE latents → latents of mean 0 and deviation 1, as the denoiser sees them. `[B, F, H, W, C]`.
    pub fn normalise(&self, latents: Tensor<5>) -> Tensor<5> {
        (latents - self.latent_mean.clone()) / self.latent_deviation.clone()
    }

    /// The way back.
    pub fn denormalise(&self, latents: Tensor<5>) -> Tensor<5> {
        latents * self.latent_deviation.clone() + self.latent_mean.clone()
    }
}
