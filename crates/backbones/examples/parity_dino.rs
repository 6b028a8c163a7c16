//! DINO ViT-B/16 beside the reference: `parity_dino FILE`, written by `src/dino/golden/export.py --full`.

mod comparison;

use comparison::{Reference, time};
use vidit_backbones::dino::{Config, Dino};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, reference) = Reference::from_arguments()?;
    let network = Dino::load(weights, Config::VIT_B_16)?;
    let images = reference.grid("input.wide");
    network.watched(&images, &mut |name, found| reference.compare(&format!("wide.{name}"), found));
    time("one image of 224×398", 5, || drop(network.forward(&images)));
    Ok(())
}
