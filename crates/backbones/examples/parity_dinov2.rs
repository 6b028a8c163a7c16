//! DINOv2 ViT-B/14 beside the official code: `parity_dinov2 FILE`, written by `src/dinov2/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::dinov2::{DinoV2, VIT_B_14};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let network = DinoV2::load(weights, VIT_B_14)?;
    let images = golden.channels_first("input.square");
    network.watched(&images, &mut |name, found| golden.compare(&format!("square.{name}"), found));
    time("two images of 224×224", 5, || drop(network.forward(&images)));
    print_peak();
    Ok(())
}
