//! CLIP beside the reference: `parity_clip FILE`, written by `src/clip/golden/export.py --full`.

mod comparison;

use comparison::{Reference, time};
use vidit_backbones::clip::{Clip, Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, reference) = Reference::from_arguments()?;
    let clip = Clip::load(weights, Config::OPENAI)?;
    let (images, texts) = (reference.grid("input.images"), reference.texts("input.texts"));
    clip.image.watched(&images, &mut |name, found| reference.compare(&format!("image.{name}"), found));
    clip.text.watched(&texts, &mut |name, found| reference.compare(&format!("text.{name}"), found))?;
    time("one image", 5, || drop(clip.image.forward(&images)));
    time("the texts", 5, || drop(clip.text.forward(&texts)));
    Ok(())
}
