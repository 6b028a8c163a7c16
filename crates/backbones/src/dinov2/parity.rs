//! Against the official code at a tiny size; `golden/export.py` writes it.

use super::DinoV2;
use crate::BackboneError;
use crate::dino::Config;
use crate::golden::Golden;

const TINY: Config = Config { patch: 4, grid: 5, width: 24, depth: 3, heads: 3 };
/// Sums of f32 in another order, over three blocks, and scales that are multiplied into weights.
const TOLERANCE: f32 = 1e-5;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

#[test]
fn features_are_the_official_ones() {
    let golden = golden();
    let network = DinoV2::load(golden.weights(), TINY).unwrap();
    // Positions shrunk; as they were learned; shrunk one way and stretched the other.
    golden.check_images(&["square", "own", "wide"], 3 + TINY.depth, TOLERANCE, |images, watch| {
        network.watched(images, watch);
    });
}

#[test]
fn other_checkpoints_are_refused() {
    let load = |key: &str, shape: Vec<usize>| {
        let mut weights = golden().weights();
        let values = vec![1.0; shape.iter().product()];
        weights.insert(key, shape, values);
        DinoV2::load(weights, TINY).err().unwrap()
    };
    let registers = load("register_tokens", vec![1, 4, 24]);
    assert!(matches!(registers, BackboneError::Unused { ref first, .. } if first == "register_tokens"));
    let misshapen = load("blocks.1.ls2.gamma", vec![12]);
    assert!(matches!(misshapen, BackboneError::Shape { ref key, .. } if key == "blocks.1.ls2.gamma"));
    let mut dino = golden().weights();
    dino.tensors.retain(|key, _| !key.contains(".ls"));
    let dino = DinoV2::load(dino, TINY).err().unwrap();
    assert!(
        matches!(dino, BackboneError::Missing { network: "DINOv2", ref key, .. } if key == "blocks.0.ls1.gamma")
    );
}
