//! Compares Swin with a file of `swin/golden/export.py --full DIR`, activation by activation, and times it.

mod parity;

use vidit_backbones::Checkpoint;
use vidit_backbones::swin::Swin;

fn main() {
    let golden = parity::golden();
    let checkpoint = Checkpoint::new("Swin", golden.under("weights."));
    let network = Swin::load(&checkpoint.root()).expect("the weights fit");
    let images = parity::grid(&golden, "input.image");
    network.forward_watched(&images, &mut |name, found| parity::report(&golden, name, found));
    parity::time(|| drop(network.forward(&images)));
}
