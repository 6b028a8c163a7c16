//! Against the reference at a tiny size; `golden/export.py` writes it.

use super::{Config, Dino};
use crate::BackboneError;
use crate::golden::Golden;

const TINY: Config = Config { patch: 4, grid: 4, width: 24, depth: 3, heads: 3 };
/// Sums of f32 in another order, over three blocks.
const TOLERANCE: f32 = 1e-5;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

#[test]
fn features_are_the_references_for_any_size_of_image() {
    let golden = golden();
    let network = Dino::load(golden.weights(), TINY).unwrap();
    // The table's own size; sizes that cut pixels off; as many patches as the table, but not square.
    golden.check_images(&["square", "odd", "oblong"], 3 + TINY.depth, TOLERANCE, |images, watch| {
        network.watched(images, watch);
    });
}

#[test]
fn weights_of_another_size_are_refused() {
    let another = Dino::load(golden().weights(), Config { depth: 2, ..TINY });
    assert!(
        matches!(another, Err(BackboneError::Unused { ref first, .. }) if first.starts_with("blocks.2."))
    );
    let another = Dino::load(golden().weights(), Config { grid: 5, ..TINY });
    assert!(matches!(another, Err(BackboneError::Shape { ref key, .. }) if key == "pos_embed"));
    let another = Dino::load(golden().weights(), Config::VIT_B_16);
    assert!(another.is_err_and(|error| error.to_string().contains("patches of `4` pixels")));
}
