//! MUSIQ beside the reference: `parity_musiq FILE`, written by `src/musiq/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::musiq::{Config, Musiq};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let network = Musiq::load(weights, Config::PUBLISHED)?;
    let images = golden.channels_last("input.image");
    network.scores_watched(images.clone(), &mut |name, found| golden.compare(name, found));
    time("one image", 5, || drop(network.scores(images.clone())));
    print_peak();
    Ok(())
}
