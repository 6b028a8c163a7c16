use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use vidit_models::mini::boxes::{BoxAdapter, BoxAdapterConfig};
use vidit_models::mini::transformer::TransformerConfig;
use vidit_models::mini::vae::VaeConfig;
use vidit_models::mini::{DenoiserConfig, Mini, MiniWeights, metadata};
use vidit_models::nn::Init;
use vidit_video::{Compression, LatentShape, PixelShape};
use vidit_weights::{TensorStore, WeightsError, load_into};

use crate::{Error, Latents, Limits, MemoryPlan};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Name of the embedded model.
pub const MINI: &str = "mini";

/// A loaded model on its device.
pub struct Model {
    pub(crate) mini: Mini,
    /// What follows boxes, if it was loaded.
    pub(crate) boxes: Option<BoxAdapter>,
    pub(crate) device: Device,
    name: String,
    parameters: usize,
    metadata: BTreeMap<String, String>,
    denoiser: DenoiserConfig,
    vae: VaeConfig,
}

impl Model {
    /// The model that the binary carries, without its box adapter, which is nearly as large and few clips need.
    ///
    /// # Errors
    /// If this build carries none.
    pub fn embedded(device: &Device) -> Result<Self, Error> {
        let bytes = Self::embedded_bytes().ok_or(Error::NotEmbedded)?;
        const NAME: &str = "the embedded model";
        let weights = MiniWeights { store: TensorStore::from_bytes(NAME, bytes)? };
        Self::from_weights(MINI, weights, device).map_err(|error| error.in_file(NAME))
    }

    /// The model that the binary carries with the box adapter that it carries for it; any other as it is.
    ///
    /// # Errors
    /// If the embedded adapter is damaged, or for another model.
    pub fn with_embedded_boxes(self) -> Result<Self, Error> {
        const NAME: &str = "the embedded box adapter";
        let Some(bytes) = embedded::BOXES.filter(|_| self.name == MINI) else { return Ok(self) };
        let adapter = self.adapter(Path::new(NAME), &TensorStore::from_bytes(NAME, bytes)?)?;
        Ok(Self { boxes: Some(adapter), ..self })
    }

    /// The weights file that the binary carries, if it carries one.
    pub fn embedded_bytes() -> Option<&'static [u8]> {
        embedded::MINI
    }

    /// A model from a weights file.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or holds another kind of model.
    pub fn open(path: &Path, device: &Device) -> Result<Self, Error> {
        let name = path.display().to_string();
        let weights = MiniWeights { store: TensorStore::read(path)? };
        Self::from_weights(&name, weights, device).map_err(|error| error.in_file(&name))
    }

    /// A model from weights in memory; `name` is for reports and provenance.
    ///
    /// # Errors
    /// If the weights are not those of a `mini`.
    pub fn from_weights(name: &str, weights: MiniWeights, device: &Device) -> Result<Self, Error> {
        let mini = Mini::load(&weights, device)?;
        let store = weights.store;
        Ok(Self {
            mini,
            boxes: None,
            device: device.clone(),
            name: name.to_owned(),
            parameters: store.tensors.values().map(|entry| entry.values.len()).sum(),
            denoiser: metadata(&store, "denoiser")?,
            vae: metadata(&store, "vae")?,
            metadata: store.metadata,
        })
    }

    /// The same model with another box adapter, from the file that a run of kind `boxes` left.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or holds an adapter for another model.
    pub fn with_boxes(self, path: &Path) -> Result<Self, Error> {
        let adapter = self.adapter(path, &TensorStore::read(path)?)?;
        Ok(Self { boxes: Some(adapter), ..self })
    }

    fn adapter(&self, path: &Path, store: &TensorStore) -> Result<BoxAdapter, Error> {
        let in_file = |error: WeightsError| error.in_file(path.display());
        let sizes: BoxAdapterConfig = metadata(store, "boxes").map_err(in_file)?;
        let transformer = sizes.transformer.as_ref().unwrap_or(&self.denoiser.transformer);
        let reads = |sizes: &TransformerConfig| [sizes.latent_channels, sizes.patch, sizes.width];
        let (expected, found) = (reads(&self.denoiser.transformer), reads(transformer));
        if found != expected {
            let reason = format!(
                "names a transformer of channels, patch and width {found:?}, the model has one of {expected:?}"
            );
            return Err(in_file(WeightsError::Metadata { key: "boxes".into(), reason }).into());
        }
        if sizes.width != transformer.width || sizes.blocks.iter().any(|block| *block >= transformer.blocks) {
            return Err(Error::OtherAdapter {
                path: path.to_owned(),
                expected: (transformer.width, transformer.blocks),
                found: (sizes.width, sizes.blocks.iter().max().map_or(0, |last| last + 1)),
            });
        }
        let adapter = BoxAdapter::new(&sizes, self.text_width(), &mut Init::new(0, &self.device));
        load_into(adapter, store).map_err(|error| in_file(error).into())
    }

    /// Whether it has a box adapter, which requests with boxes need.
    pub fn follows_boxes(&self) -> bool {
        self.boxes.is_some()
    }

    /// `mini`, or the path that was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Values in all parameters and statistics.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// What the weights file says about itself: configurations, vocabulary, training steps.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The arithmetic between pixels, latents and tokens.
    pub fn compression(&self) -> Compression {
        self.mini.compression
    }

    /// Longest prompt in tokens.
    pub fn prompt_tokens_max(&self) -> usize {
        self.mini.tokens_max
    }

    /// Tokens of a prompt.
    pub fn prompt_tokens(&self, prompt: &str) -> Vec<u32> {
        self.mini.vocabulary.encode(prompt)
    }

    /// The clip that latents decode to.
    ///
    /// # Errors
    /// If they are another model's, or above a limit.
    pub fn check_latents(&self, latents: &Latents, limits: &Limits) -> Result<PixelShape, Error> {
        latents.check(self, limits)
    }

    /// Width of the text encoder's states.
    pub(crate) fn text_width(&self) -> usize {
        self.denoiser.text.width
    }

    /// Video tokens of a clip.
    pub(crate) fn tokens(&self, latent: LatentShape) -> usize {
        let patch = self.mini.compression.patch;
        latent.frames * (latent.height / patch) * (latent.width / patch)
    }

    /// How much memory a clip takes.
    pub(crate) fn plan(&self, latent: LatentShape, pixel: PixelShape) -> MemoryPlan {
        MemoryPlan::new(self.parameters, &self.denoiser, &self.vae, latent, pixel)
    }
}
