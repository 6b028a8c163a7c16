//! Tag2Text beside the reference, part by part: `parity_tag2text FILE`, written by `src/tag2text/golden/export.py --full`.

mod parity;

use parity::{Golden, compare_texts, print_peak, time};
use vidit_backbones::Vocabulary;
use vidit_backbones::tag2text::{Config, Tag2Text, TagList};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let vocabulary = Vocabulary::new(golden.text("vocabulary")?.as_bytes())?;
    let network = Tag2Text::load(weights, vocabulary, TagList::vbench(), Config::VBENCH)?;
    let frames = golden.channels_last("input.frames");
    let features = network.features(&frames);
    let logits = network.tag_logits(&features);
    let tags = network.tags(&logits);
    let states = network.states(&features, &tags);
    let texts = network.write(&states)?;
    golden.compare("features", &features.data);
    golden.compare("tag_logits", &logits);
    golden.compare("states", &states.data);
    compare_texts("tags", tags.iter().map(String::as_str), golden.text("tags")?);
    for (i, found) in texts.iter().enumerate() {
        let found: Vec<f32> = found.iter().map(|token| *token as f32).collect();
        golden.compare(&format!("text.{i}"), &found);
    }
    let captions: Vec<String> = network.captions(&frames)?.into_iter().map(|caption| caption.text).collect();
    compare_texts("captions", captions.iter().map(String::as_str), golden.text("captions")?);
    time("features", 5, || drop(network.features(&frames)));
    time("tags", 5, || drop(network.tag_logits(&features)));
    time("states", 5, || drop(network.states(&features, &tags)));
    time("texts", 5, || drop(network.write(&states)));
    time("the whole", 5, || drop(network.captions(&frames)));
    print_peak();
    Ok(())
}
