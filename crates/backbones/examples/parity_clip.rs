//! CLIP beside the reference: `parity_clip FILE`, written by `src/clip/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::clip::{Clip, Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let clip = Clip::load(weights, Config::OPENAI)?;
    let (images, texts) = (golden.channels_first("input.images"), golden.tokens("input.texts"));
    clip.image.watched(&images, &mut |name, found| golden.compare(&format!("image.{name}"), found));
    clip.text.watched(&texts, &mut |name, found| golden.compare(&format!("text.{name}"), found))?;
    time("one image", 5, || drop(clip.image.forward(&images)));
    time("the texts", 5, || drop(clip.text.forward(&texts)));
    print_peak();
    Ok(())
}
