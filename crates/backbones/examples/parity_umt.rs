//! UMT ViT-L/16 beside the reference: `parity_umt FILE`, written by `src/umt/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::umt::{Config, Umt};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let network = Umt::load(weights, Config::VIT_L_16)?;
    let frames = golden.channels_first("input.video");
    network.watched(&frames, &mut |name, found| golden.compare(name, found));
    time("16 frames", 3, || drop(network.forward(&frames)));
    print_peak();
    Ok(())
}
