//! `mini` against `golden/`: outputs of the VAE and text encoder, activations of the transformer and of the box adapter, and
//! gradients of all parameters but the VAE's, from an independent implementation in float64, `golden/export.py`.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use vidit_motion::{BoxKind, GuideBox, OBJECTS_MAX, UnitBox};
use vidit_testkit::first_divergence;
use vidit_weights::{Entry, TensorStore, load_into};

use super::boxes::{BoxAdapter, BoxAdapterConfig, BoxTokens};
use super::transformer::rope_table;
use super::vae::{DecoderMemory, Vae, VaeConfig};
use super::{Denoiser, DenoiserConfig};
use crate::conditioning::{Conditioning, Timesteps};
use crate::golden::{Golden, exact, named, values};
use crate::nn::Init;

/// f32 sums of up to 200 products against f64, through a dozen layers of values up to 20. Measured: 1.4e-6.
const FORWARD_TOLERANCE: f32 = 1e-5;
/// The angles of noise levels reach 1,000 radians, which f32 knows to 6e-5; what follows them inherits that.
/// Measured: 8e-6.
const TIME_TOLERANCE: f32 = 5e-5;
/// Relative to the largest gradient of the parameter: [`TIME_TOLERANCE`] again, forward and backward.
/// Measured: 1.6e-5.
const GRADIENT_TOLERANCE: f32 = 1e-4;

fn vae_golden() -> Golden {
    Golden::new("vae.safetensors", include_bytes!("golden/vae.safetensors"))
}

fn denoiser_golden() -> Golden {
    Golden::new("denoiser.safetensors", include_bytes!("golden/denoiser.safetensors"))
}

fn denoiser(golden: &Golden, weights: &TensorStore, device: &Device) -> Denoiser {
    let config: DenoiserConfig = golden.config("denoiser");
    let random = Denoiser::new(&config, golden.config("vocabulary_size"), &mut Init::new(0, device));
    load_into(random, weights).expect("keys and shapes agree")
}

/// What one pass of text encoder and transformer gives.
struct Pass {
    text: Vec<(String, Vec<f32>)>,
    transformer: Vec<(String, Vec<f32>)>,
    velocity: Tensor<5>,
}

fn pass(golden: &Golden, denoiser: &Denoiser, device: &Device) -> Pass {
    let prompts: Vec<Vec<u32>> = golden.config("prompts");
    let embedding = denoiser.text.forward(&prompts);
    // The golden encodes each prompt alone: what stands at padding is nobody's business.
    let states = |i: usize| embedding.tokens.clone().narrow(0, i, 1).narrow(1, 0, prompts[i].len());
    let mut text: Vec<_> = (0..prompts.len()).map(|i| named(&format!("text.{i}"), &states(i))).collect();
    text.push(named("pooled", &embedding.pooled));

    let conditioning = Conditioning { text: embedding, boxes: None };
    let timesteps = Timesteps(golden.given("timesteps", device));
    let mut transformer = Vec::new();
    let velocity = denoiser.transformer.predict_traced(
        golden.given("x", device),
        &timesteps,
        &conditioning,
        &mut |name, x| {
            transformer.push(named(name, x));
        },
    );
    transformer.push(named("velocity", &velocity));
    Pass { text, transformer, velocity }
}

/// Gradients by name, those computed first by backpropagation first.
fn gradients_backwards(module: &impl Module, gradients: &Gradients) -> Vec<(String, Vec<f32>)> {
    struct Visitor<'a> {
        path: Vec<String>,
        gradients: &'a Gradients,
        found: Vec<(String, Vec<f32>)>,
    }
    impl ModuleVisitor for Visitor<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.path.join(".");
            let gradient =
                param.val().grad(self.gradients).unwrap_or_else(|| panic!("`{name}` has no gradient"));
            self.found.push((name, values(&gradient)));
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }
    let mut visitor = Visitor { path: Vec::new(), gradients, found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found.reverse();
    visitor.found
}

/// All of the module's gradients against the golden's, each relative to its largest value.
fn compare_gradients(golden: &Golden, module: &impl Module, gradients: &Gradients) {
    let mut found = gradients_backwards(module, gradients);
    let mut expected = golden.0.under("gradient.");
    assert_eq!(found.len(), expected.tensors.len());
    for (name, found) in &mut found {
        let expected =
            &mut expected.tensors.get_mut(name).unwrap_or_else(|| panic!("no gradient of `{name}`")).values;
        let scale = expected.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        assert!(scale > 1e-3, "`{name}` hardly acts on the loss");
        found.iter_mut().chain(expected).for_each(|value| *value /= scale);
    }
    let pairs =
        found.iter().map(|(name, found)| (name.as_str(), &found[..], &expected.tensors[name].values[..]));
    first_divergence(pairs, GRADIENT_TOLERANCE).unwrap();
}

#[test]
fn vae_encodes_and_decodes() {
    let (golden, device) = (vae_golden(), exact(Device::flex()));
    let config: VaeConfig = golden.config("vae");
    let vae = load_into(Vae::new(&config, &mut Init::new(0, &device)), &golden.weights(&[""])).unwrap();
    let posterior = vae.encode(golden.given("pixels", &device));
    let latents: Tensor<5> = golden.given("latents", &device);
    let mut found = vec![
        named("mean", &posterior.mean),
        named("log_variance", &posterior.log_variance),
        named("pixels", &vae.decode(latents.clone())),
    ];
    let mut memory = DecoderMemory::default();
    let frames =
        (0..latents.dims()[1]).map(|i| vae.decode_next(latents.clone().narrow(1, i, 1), &mut memory));
    found.push(named("pixels", &Tensor::cat(frames.collect(), 1)));
    golden.compare(&found, FORWARD_TOLERANCE).unwrap();
}

#[test]
fn rotary_angles() {
    let table = rope_table([2, 2, 3], 64, &exact(Device::flex()));
    denoiser_golden().compare(&[named("rope", &table)], FORWARD_TOLERANCE).unwrap();
}

#[test]
fn text_and_transformer_forward() {
    let (golden, device) = (denoiser_golden(), exact(Device::flex()));
    let found = pass(&golden, &denoiser(&golden, &golden.weights(&[""]), &device), &device);
    golden.compare(&found.text, FORWARD_TOLERANCE).unwrap();
    golden.compare(&found.transformer, TIME_TOLERANCE).unwrap();
    let names: Vec<_> = found.transformer.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["input", "condition", "blocks.0", "blocks.1", "output", "velocity"]);
}

#[test]
fn every_gradient_of_text_and_transformer() {
    let (golden, device) = (denoiser_golden(), exact(Device::flex().autodiff()));
    let denoiser = denoiser(&golden, &golden.weights(&[""]), &device);
    let velocity = pass(&golden, &denoiser, &device).velocity;
    let loss = (velocity * golden.given("loss_weights", &device)).powi_scalar(2).mean();
    golden.compare(&[named("loss", &loss)], TIME_TOLERANCE).unwrap();

    compare_gradients(&golden, &denoiser, &loss.backward());
}

/// The golden's boxes as a caller gives them.
fn box_tokens(golden: &Golden, device: &Device) -> BoxTokens {
    let shape = golden.entry("given.present").shape.clone();
    let [boxes, present, colours] =
        ["boxes", "present", "colours"].map(|name| &golden.entry(&format!("given.{name}")).values);
    let asked = |sample: usize, frame: usize, object: usize| {
        let slot = (sample * shape[1] + frame) * OBJECTS_MAX + object;
        let end = |at: usize| {
            let [x1, y1, x2, y2, flag] = std::array::from_fn(|i| boxes[slot * 10 + at + i]);
            let kind = if flag == 1.0 { BoxKind::Hard } else { BoxKind::Soft };
            GuideBox { place: UnitBox { x1, y1, x2, y2 }, kind }
        };
        (present[slot] == 1.0).then(|| [end(0), end(5)])
    };
    let colour = |sample: usize, object: usize| {
        std::array::from_fn(|i| (colours[(sample * OBJECTS_MAX + object) * 3 + i] * 255.0).round() as u8)
    };
    let phrases: Tensor<3> = golden.given("phrases", device);
    BoxTokens::new([shape[0], shape[1]], asked, colour, phrases.unsqueeze_dim(1), device)
}

#[test]
fn boxes_steer_and_every_gradient_of_the_adapter() {
    let golden = Golden::new("boxes.safetensors", include_bytes!("golden/boxes.safetensors"));
    let device = exact(Device::flex().autodiff());
    let config: BoxAdapterConfig = golden.config("boxes");
    let text_width = golden.entry("given.phrases").shape[2];
    let random = BoxAdapter::new(&config, text_width, &mut Init::new(0, &device));
    let adapter = load_into(random, &golden.weights(&[""])).expect("keys and shapes agree");
    let control = adapter.control(&box_tokens(&golden, &device));
    let steered = control.steer(0, golden.given("x", &device), golden.config("grid"));
    let found = [named("tokens", &control.tokens), named("steered", &steered)];
    golden.compare(&found, TIME_TOLERANCE).unwrap();
    let loss = (steered * golden.given("loss_weights", &device)).powi_scalar(2).mean();
    golden.compare(&[named("loss", &loss)], TIME_TOLERANCE).unwrap();
    compare_gradients(&golden, &adapter, &loss.backward());
}

/// Trades columns `a..a + count` of a layer's outputs for `b..b + count`.
fn swap_outputs(weights: &mut TensorStore, layer: &str, a: usize, b: usize, count: usize) {
    for part in ["weight", "bias"] {
        let Entry { shape, values } =
            weights.tensors.get_mut(&format!("{layer}.{part}")).expect("a linear layer");
        for row in values.chunks_exact_mut(*shape.last().expect("a shape")) {
            (0..count).for_each(|i| row.swap(a + i, b + i));
        }
    }
}

#[test]
fn a_mistake_is_found_where_it_is_made() {
    let (golden, device) = (denoiser_golden(), exact(Device::flex()));
    let config: DenoiserConfig = golden.config("denoiser");
    let (d, heads) = (config.transformer.width, config.transformer.heads);
    // As if the code took: scale for shift, one gate for the other, half of a head for the other half, one channel for
    // another.
    for (layer, [a, b], count, diverging) in [
        ("transformer.blocks.0.modulation", [0, d], d, "blocks.0"),
        ("transformer.blocks.1.modulation", [2 * d, 5 * d], d, "blocks.1"),
        ("transformer.blocks.1.self_attention.query", [0, d / heads / 2], d / heads / 2, "blocks.1"),
        ("transformer.final_modulation", [0, d], d, "output"),
        ("transformer.time2", [0, 1], 1, "condition"),
        ("transformer.input", [0, 1], 1, "input"),
    ] {
        let mut weights = golden.weights(&[""]);
        swap_outputs(&mut weights, layer, a, b, count);
        let found = pass(&golden, &denoiser(&golden, &weights, &device), &device);
        golden.compare(&found.text, FORWARD_TOLERANCE).unwrap();
        let error = golden.compare(&found.transformer, TIME_TOLERANCE).unwrap_err();
        assert!(error.starts_with(&format!("first divergence at `{diverging}`")), "{layer}: {error}");
    }
}
