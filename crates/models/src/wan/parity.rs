//! `wan` against `golden/`: every block of the transformer and every layer of the VAE of diffusers' port at tiny sizes, from
//! weights in the original checkpoints' layout. `golden/export.py` writes the files.

use burn::tensor::{Device, Tensor};
use vidit_ops::WeightFormat;
use vidit_testkit::first_divergence;
use vidit_weights::{Entry, TensorStore, WeightsError};

use super::config::{TransformerConfig, VaeConfig};
use super::load;
use super::transformer::{Block, PackedBlock, TokenBlock, Transformer, rope_table};
use super::vae::{StreamMemory, VaeDecoder, VaeEncoder};
use crate::golden::{Golden, exact, named};
use crate::nn::Init;

/// Both sides sum up to 128 products in f32, each in its own order, through two blocks of values up to 6. Measured: 2.4e-6.
const TRANSFORMER_TOLERANCE: f32 = 1e-5;
/// The same through thirty convolutions of values up to 10; a norm of three channels divides by what may be small, and the
/// last level of the tiny decoder has six of them. Measured: 2.7e-5 there, 7e-6 before it.
const VAE_TOLERANCE: f32 = 1e-4;
/// Both sides take angles in f64 and round their cosines to f32; the last bit may fall either way. Measured: 0.
const ROPE_TOLERANCE: f32 = 1e-6;

fn transformer_golden() -> Golden {
    Golden::new("transformer.safetensors", include_bytes!("golden/transformer.safetensors"))
}

fn vae_golden() -> Golden {
    Golden::new("vae.safetensors", include_bytes!("golden/vae.safetensors"))
}

fn transformer(golden: &Golden, weights: TensorStore) -> Result<Transformer, WeightsError> {
    let config: TransformerConfig = golden.config("transformer");
    load(Transformer::new(&config, &mut Init::new(0, &exact(Device::flex()))), weights)
}

fn decoder(golden: &Golden) -> VaeDecoder {
    let random = VaeDecoder::new(&golden.config("vae"), &mut Init::new(0, &exact(Device::flex())));
    load(random, golden.weights(&["conv2.", "decoder."])).expect("keys and shapes agree")
}

/// All activations of one case of timesteps.
fn predict(
    golden: &Golden,
    transformer: &Transformer<impl TokenBlock>,
    case: &str,
) -> Vec<(String, Vec<f32>)> {
    let device = exact(Device::flex());
    let mut found = Vec::new();
    let velocity = transformer.predict_traced(
        golden.given("x", &device),
        golden.given(&format!("timesteps.{case}"), &device),
        golden.given("text", &device),
        &mut |name, x| found.push(named(&format!("{case}.{name}"), x)),
    );
    found.push(named(&format!("{case}.velocity"), &velocity));
    found
}

#[test]
fn rotary_angles() {
    let table = rope_table([2, 3, 4], 128, &exact(Device::flex()));
    transformer_golden().compare(&[named("rope", &table)], ROPE_TOLERANCE).unwrap();
}

#[test]
fn transformer_forward() {
    let golden = transformer_golden();
    let transformer = transformer(&golden, golden.weights(&[""])).unwrap();
    for case in ["uniform", "per_frame"] {
        let found = predict(&golden, &transformer, case);
        golden.compare(&found, TRANSFORMER_TOLERANCE).unwrap();
        let names: Vec<_> = found.iter().map(|(name, _)| &name[case.len() + 1..]).collect();
        assert_eq!(
            names,
            [
                "patch_embedding",
                "time_features",
                "time_embedding",
                "time_projection",
                "text_embedding",
                "blocks.0",
                "blocks.1",
                "head",
                "velocity"
            ]
        );
    }
}

#[test]
fn decoder_layers_chunk_by_chunk() {
    /// Chunks whose activations the golden holds.
    const TRACED: usize = 3;
    let (golden, device) = (vae_golden(), exact(Device::flex()));
    let decoder = decoder(&golden);
    let latents: Tensor<5> = golden.given("latents", &device);
    let mut memory = StreamMemory::default();
    let mut frames = Vec::new();
    for i in 0..latents.dims()[1] {
        let mut found = Vec::new();
        let chunk = latents.clone().narrow(1, i, 1);
        frames.push(decoder.decode_next_traced(chunk, &mut memory, &mut |name, x| {
            if name.starts_with("decoder.") && i < TRACED {
                found.push(named(&format!("{i}.{name}"), x));
            }
        }));
        golden.compare(&found, VAE_TOLERANCE).unwrap();
        assert_eq!(found.len(), if i < TRACED { 1 + 3 + 15 + 1 } else { 0 });
    }
    golden.compare(&[named("decoded", &Tensor::cat(frames, 1))], VAE_TOLERANCE).unwrap();
}

#[test]
fn clips_of_every_length_decode() {
    let (golden, device) = (vae_golden(), exact(Device::flex()));
    let decoder = decoder(&golden);
    let latents: Tensor<5> = golden.given("latents", &device);
    let Entry { shape, values: expected } = golden.entry("expected.decoded");
    for frames in [1, 2, 4] {
        let decoded = decoder.decode(latents.clone().narrow(1, 0, frames));
        assert_eq!(decoded.dims(), [1, 4 * (frames - 1) + 1, shape[2], shape[3], 3]);
        let (name, found) = named("decoded", &decoded);
        first_divergence([(name.as_str(), &found[..], &expected[..found.len()])], VAE_TOLERANCE).unwrap();
    }
}

#[test]
fn encoder_layers_chunk_by_chunk() {
    let (golden, device) = (vae_golden(), exact(Device::flex()));
    let config: VaeConfig = golden.config("vae");
    let random = VaeEncoder::new(&config, &mut Init::new(0, &device));
    let encoder = load(random, golden.weights(&["conv1.", "encoder."])).unwrap();
    let pixels: Tensor<5> = golden.given("pixels", &device);
    let mut memory = StreamMemory::default();
    for (i, (start, length)) in [(0, 1), (1, 4)].into_iter().enumerate() {
        let mut found = Vec::new();
        let chunk = pixels.clone().narrow(1, start, length);
        encoder.encode_next_traced(chunk, &mut memory, &mut |name, x| {
            if name.starts_with("encoder.") {
                found.push(named(&format!("{i}.{name}"), x));
            }
        });
        golden.compare(&found, VAE_TOLERANCE).unwrap();
        assert_eq!(found.len(), 1 + 11 + 3 + 1);
    }
    golden.compare(&[named("mean", &encoder.encode(pixels))], VAE_TOLERANCE).unwrap();
}

#[test]
fn a_streams_memory_stops_growing() {
    let (golden, device) = (vae_golden(), exact(Device::flex()));
    let decoder = decoder(&golden);
    let latents: Tensor<5> = golden.given("latents", &device);
    let mut memory = StreamMemory::default();
    let sizes: Vec<usize> = (0..4)
        .map(|i| {
            decoder.decode_next(latents.clone().narrow(1, i, 1), &mut memory);
            memory.frames_kept()
        })
        .collect();
    // 30 convolutions see one frame, then two. The two `time_conv` begin one chunk later, with one frame and with two.
    assert_eq!(sizes, [30, 60 + 1 + 2, 64, 64]);
}

#[test]
fn keys_and_shapes_are_those_of_the_checkpoint() {
    let golden = transformer_golden();
    let load = |change: fn(&mut TensorStore)| {
        let mut weights = golden.weights(&[""]);
        change(&mut weights);
        transformer(&golden, weights).map(|_| ()).unwrap_err().to_string()
    };
    let error = load(|weights| {
        weights.tensors.remove("blocks.1.ffn.2.weight");
    });
    assert!(error.contains("lack `blocks.1.ffn.2.weight` of shape [48, 80]"), "{error}");
    let error = load(|weights| weights.insert("img_emb.proj.0.bias", vec![1], vec![0.0]));
    assert!(error.contains("hold `img_emb.proj.0.bias`"), "{error}");
    let error =
        load(|weights| weights.insert("patch_embedding.weight", vec![48, 5, 2, 2, 1], vec![0.0; 960]));
    assert!(
        error.contains("`patch_embedding.weight` has shape [48, 5, 2, 2, 1], expected [48, 5, 1, 2, 2]"),
        "{error}"
    );
}

/// Trades rows `a..a + count` of a tensor's last axis but one, seen as rows of `width`, for `b..b + count`.
fn swap_rows(weights: &mut TensorStore, key: &str, width: usize, [a, b]: [usize; 2], count: usize) {
    let values = &mut weights.tensors.get_mut(key).expect("a tensor of the checkpoint").values;
    (0..count * width).for_each(|i| values.swap(a * width + i, b * width + i));
}

#[test]
fn a_mistake_is_found_where_it_is_made() {
    let golden = transformer_golden();
    let config: TransformerConfig = golden.config("transformer");
    let d = config.width;
    // As if the code took: scale for shift, one gate for the other, one channel for another.
    for (key, width, rows, diverging) in [
        ("blocks.0.modulation", d, [0, 1], "blocks.0"),
        ("blocks.1.modulation", d, [2, 5], "blocks.1"),
        ("blocks.1.norm3.bias", 1, [0, 1], "blocks.1"),
        ("blocks.0.self_attn.norm_q.weight", 1, [0, 16], "blocks.0"),
        ("head.modulation", d, [0, 1], "head"),
        ("time_embedding.2.bias", 1, [0, 1], "time_embedding"),
        ("patch_embedding.weight", 1, [0, 4], "patch_embedding"),
    ] {
        let mut weights = golden.weights(&[""]);
        swap_rows(&mut weights, key, width, rows, 1);
        let transformer = transformer(&golden, weights).expect("shapes stay");
        let found = predict(&golden, &transformer, "uniform");
        let error = golden.compare(&found, TRANSFORMER_TOLERANCE).unwrap_err();
        assert!(error.starts_with(&format!("first divergence at `uniform.{diverging}`")), "{key}: {error}");
    }
}

#[test]
fn a_packed_block_is_the_block() {
    let device = exact(Device::flex());
    let config = TransformerConfig {
        width: 48,
        mlp_width: 80,
        heads: 2,
        blocks: 1,
        text_width: 16,
        ..TransformerConfig::T2V_1_3B
    };
    let block = Block::new(&config, &mut Init::new(4, &device));
    let normal = |seed: u64, dims: [usize; 4]| Init::new(seed, &device).normal(dims, 1.0).val();
    let x = normal(1, [1, 2, 12, 48]).reshape([2, 12, 48]);
    let (e0, context) = (normal(2, [2, 2, 6, 48]), normal(3, [1, 2, 5, 48]).reshape([2, 5, 48]));
    let rope = rope_table([2, 2, 3], 24, &device);
    let plain = block.forward(x.clone(), e0.clone(), context.clone(), rope.clone());
    let pack = |format| PackedBlock::new(&block, format);
    let packed = pack(WeightFormat::F32).forward(x.clone(), e0.clone(), context.clone(), rope.clone());
    let difference = (plain.clone() - packed).abs().max().into_scalar::<f32>();
    // The same products in the same order: only fused multiply-adds of the epilogues may differ.
    assert!(difference < 1e-5 * plain.clone().abs().max().into_scalar::<f32>(), "{difference}");
    let bytes = pack(WeightFormat::Int8).forward(x.clone(), e0, context, rope);
    let size = |t: Tensor<3>| t.square().mean().sqrt().into_scalar::<f32>();
    // Bytes change what the block adds to its input by a few percent, and do change it.
    let relative = size(plain.clone() - bytes) / size(plain - x);
    assert!(relative > 1e-4 && relative < 0.05, "{relative}");
}

#[test]
fn a_packed_transformer_is_the_transformer() {
    let golden = transformer_golden();
    let transformer = transformer(&golden, golden.weights(&[""])).unwrap().pack(WeightFormat::F32);
    for case in ["uniform", "per_frame"] {
        golden.compare(&predict(&golden, &transformer, case), TRANSFORMER_TOLERANCE).unwrap();
    }
}
