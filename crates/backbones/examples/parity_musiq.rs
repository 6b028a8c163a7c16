//! Compares MUSIQ with a file of `musiq/golden/export.py --full DIR`, activation by activation, and times it.

mod parity;

use vidit_backbones::musiq::{Config, Musiq};

fn main() {
    let golden = parity::golden();
    let network = Musiq::load(golden.under("weights."), Config::PUBLISHED).expect("the weights fit");
    let images = parity::grid(&golden, "input.image");
    network.scores_watched(images.clone(), &mut |name, found| parity::report(&golden, name, found));
    parity::time(|| drop(network.scores(images.clone())));
}
