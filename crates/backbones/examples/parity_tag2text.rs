//! Compares Tag2Text with a file of `tag2text/golden/export.py --full DIR`, part by part, and times them.

mod parity;

use std::time::Instant;

use vidit_backbones::Vocabulary;
use vidit_backbones::tag2text::{Config, Tag2Text, TagList};

fn main() {
    let mut golden = parity::golden();
    let weights = golden.under("weights.");
    golden.tensors.retain(|key, _| !key.starts_with("weights."));
    let text = |key: &str| golden.text(key).expect("the golden has the text");
    let vocabulary = Vocabulary::new(text("vocabulary").as_bytes()).expect("the golden has a vocabulary");
    let tags = TagList::vbench();
    let network = Tag2Text::load(weights, vocabulary, tags, Config::VBENCH).expect("the weights fit");
    let frames = parity::grid(&golden, "input.frames");
    let start = Instant::now();
    let mut last = 0.0;
    let mut passed = |name: &str| {
        let now = start.elapsed().as_secs_f64();
        println!("{name:18} {:.3} s", now - last);
        last = now;
    };
    let features = network.features(&frames);
    passed("features");
    let logits = network.tag_logits(&features);
    passed("tag_logits");
    let tags = network.tags(&logits);
    let states = network.states(&features, &tags);
    passed("states");
    let texts = network.write(&states);
    passed("text");
    parity::report(&golden, "features", &features.data);
    parity::report(&golden, "tag_logits", &logits);
    parity::report(&golden, "states", &states.data);
    let expected: Vec<&str> = text("tags").lines().collect();
    println!("tags are the same: {}", tags == expected);
    for (i, found) in texts.iter().enumerate() {
        let expected: Vec<usize> =
            golden.tensors[&format!("text.{i}")].values.iter().map(|token| *token as usize).collect();
        println!("tokens of caption {i} are the same: {}", *found == expected);
    }
    let captions: Vec<String> = network.captions(&frames).into_iter().map(|caption| caption.text).collect();
    println!("captions are the same: {}", captions == text("captions").lines().collect::<Vec<_>>());
    parity::time(|| drop(network.captions(&frames)));
}
