//! A model of random weights, small enough for tests.

use burn::tensor::Device;
use vidit_models::mini::boxes::{BoxAdapter, BoxAdapterConfig};
use vidit_models::mini::text::TextConfig;
use vidit_models::mini::transformer::TransformerConfig;
use vidit_models::mini::vae::{Vae, VaeConfig};
use vidit_models::mini::{Denoiser, DenoiserConfig, MiniWeights, Vocabulary};
use vidit_models::nn::Init;
use vidit_weights::{collect, load_into};

use crate::Model;

pub fn denoiser_config() -> DenoiserConfig {
    let text = TextConfig { tokens_max: 16, layers: 1, width: 32, heads: 2 };
    let transformer =
        TransformerConfig { latent_channels: 3, patch: 2, width: 32, blocks: 2, heads: 2, mlp_width: 64 };
    DenoiserConfig { text, transformer }
}

pub fn vae_config() -> VaeConfig {
    VaeConfig {
        latent_channels: 3,
        fine_width: 8,
        coarse_width: 12,
        encoder_blocks: 1,
        decoder_blocks: 2,
        decoder_widths: None,
    }
}

/// A model whose layers all say something: those that begin at zero are filled, too.
pub fn model() -> Model {
    let device = Device::flex();
    let words: Vec<String> = ["a", "cat", "walks"].map(str::to_owned).into();
    let vocabulary = Vocabulary::from_words(words.clone());
    let mut init = Init::new(3, &device);
    let mut vae = collect(&Vae::new(&vae_config(), &mut init), "");
    let mut denoiser = collect(&Denoiser::new(&denoiser_config(), vocabulary.size(), &mut init), "");
    for entry in denoiser.tensors.values_mut().filter(|entry| entry.values.iter().all(|value| *value == 0.0))
    {
        for (i, value) in entry.values.iter_mut().enumerate() {
            *value = 0.3 * (i as f32 * 12.9898).sin();
        }
    }
    vae.metadata.insert("vae".into(), json(&vae_config()));
    denoiser.metadata.insert("denoiser".into(), json(&denoiser_config()));
    denoiser.metadata.insert("vocabulary".into(), json(&words));
    let weights = MiniWeights::assemble(&vae, &denoiser, vec![0.1, 0.2, -0.1], vec![0.9, 1.1, 1.0]);
    Model::from_weights("tiny", weights, &device).expect("the fixture is a whole model")
}

/// A box adapter as training begins with it.
pub fn untrained_adapter() -> BoxAdapter {
    let config = BoxAdapterConfig { width: 32, heads: 2, hidden: 16, blocks: vec![1], transformer: None };
    BoxAdapter::new(&config, 32, &mut Init::new(4, &Device::flex()))
}

/// The same model with a box adapter that was trained to nothing in particular.
pub fn model_with_boxes() -> Model {
    let mut model = model();
    let mut store = collect(&untrained_adapter(), "");
    for (i, value) in store
        .tensors
        .get_mut("layers.0.output.weight")
        .expect("it has one layer")
        .values
        .iter_mut()
        .enumerate()
    {
        *value = 0.3 * (i as f32 * 12.9898).sin();
    }
    model.boxes = Some(load_into(untrained_adapter(), &store).expect("its own weights"));
    model
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain numbers and words serialise")
}
