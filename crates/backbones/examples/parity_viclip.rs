//! ViCLIP-L/14 beside the reference: `parity_viclip FILE`, written by `src/viclip/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::clip::Config;
use vidit_backbones::viclip::ViClip;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let network = ViClip::load(weights, Config::OPENAI)?;
    let (frames, texts) = (golden.channels_first("input.video"), golden.tokens("input.texts"));
    network.video.watched(&frames, &mut |name, found| golden.compare(&format!("video.{name}"), found));
    network.text.watched(&texts, &mut |name, found| {
        if name == "feature" {
            golden.compare("text.feature", found);
        }
    })?;
    time("8 frames", 3, || drop(network.video.forward(&frames)));
    time("a text", 3, || drop(network.text.forward(&texts)));
    print_peak();
    Ok(())
}
