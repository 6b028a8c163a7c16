//! DINO ViT-B/16 beside the reference: `parity_dino FILE`, written by `src/dino/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::dino::{Config, Dino};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let network = Dino::load(weights, Config::VIT_B_16)?;
    let images = golden.channels_first("input.wide");
    network.watched(&images, &mut |name, found| golden.compare(&format!("wide.{name}"), found));
    time("one image of 224×398", 5, || drop(network.forward(&images)));
    print_peak();
    Ok(())
}
