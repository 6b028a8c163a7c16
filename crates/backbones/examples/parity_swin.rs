//! Tag2Text's Swin beside the reference: `parity_swin FILE`, written by `src/swin/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::Checkpoint;
use vidit_backbones::swin::Swin;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let network = Swin::load(&Checkpoint::new("Swin", weights).root())?;
    let images = golden.channels_last("input.image");
    network.forward_watched(&images, &mut |name, found| golden.compare(name, found));
    time("one image", 5, || drop(network.forward(&images)));
    print_peak();
    Ok(())
}
