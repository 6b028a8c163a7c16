//! temporary
use burn::tensor::Device;
use vidit_models::mini::text::TextConfig;
use vidit_models::mini::transformer::TransformerConfig;
use vidit_models::mini::vae::{Vae, VaeConfig};
use vidit_models::mini::{Denoiser, DenoiserConfig, MiniWeights, Vocabulary, init};
use vidit_weights::{StoredType, collect};
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}
fn main() {
    let device = Device::flex();
    let dc = DenoiserConfig {
        text: TextConfig { tokens_max: 64, layers: 2, width: 192, heads: 6 },
        transformer: TransformerConfig { latent_channels: 12, patch: 2, width: 192, blocks: 6, heads: 6, mlp_width: 768 },
    };
    let vc = VaeConfig { latent_channels: 12, fine_width: 48, coarse_width: 96, encoder_blocks: 2, decoder_blocks: 3 };
    let words: Vec<String> =
        ["a", "car", "cat", "drives", "left", "red", "the", "to", "walks"].map(str::to_owned).into();
    let vocabulary = Vocabulary::from_words(words.clone());
    let mut init = init(3, &device);
    let mut vae = collect(&Vae::new(&vc, &mut init), "");
    let mut denoiser = collect(&Denoiser::new(&dc, vocabulary.size(), &mut init), "");
    for entry in denoiser.tensors.values_mut().filter(|e| e.values.iter().all(|v| *v == 0.0)) {
        for (i, value) in entry.values.iter_mut().enumerate() {
            *value = 0.05 * (i as f32 * 12.9898).sin();
        }
    }
    vae.metadata.insert("vae".into(), json(&vc));
    denoiser.metadata.insert("denoiser".into(), json(&dc));
    denoiser.metadata.insert("vocabulary".into(), json(&words));
    let weights = MiniWeights::assemble(&vae, &denoiser, vec![0.0; 12], vec![1.0; 12]);
    weights.store.write(std::path::Path::new(&std::env::args().nth(1).unwrap()), |_| StoredType::F16).unwrap();
}
