//! UMT ViT-L/16 beside the reference: `parity_umt FILE`, written by `src/umt/golden/export.py --full`.

mod comparison;

use comparison::{Reference, time};
use vidit_backbones::umt::{Config, Umt};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, reference) = Reference::from_arguments()?;
    let network = Umt::load(weights, Config::VIT_L_16)?;
    let frames = reference.grid("input.video");
    network.watched(&frames, &mut |name, found| reference.compare(name, found));
    time("16 frames", 3, || drop(network.forward(&frames)));
    Ok(())
}
