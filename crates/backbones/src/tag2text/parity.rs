use super::*;
use crate::golden::Golden;

const GOLDEN: &[u8] = include_bytes!("golden/tiny.safetensors");
const CONFIG: Config = Config { heads: 3, tagging_heads: 2, ..Config::VBENCH };
/// Sums in another order, through ten layers; the official code hides keys by −10,000.
const TOLERANCE: f32 = 2e-5;

fn parts(golden: &Golden) -> (Vocabulary, TagList) {
    let names = golden.text("tag_list").lines().map(str::to_owned).collect();
    let vocabulary = Vocabulary::new(golden.text("vocabulary").as_bytes()).unwrap();
    (vocabulary, TagList { names, deleted: vec![1, 8] })
}

fn load(golden: &Golden, store: TensorStore) -> Result<Tag2Text, BackboneError> {
    let (vocabulary, tags) = parts(golden);
    Tag2Text::load(store, vocabulary, tags, CONFIG)
}

fn frames(golden: &Golden) -> Grid {
    let shape = golden.shape("input.frames").try_into().unwrap();
    Grid::new(golden.values("input.frames").to_vec(), shape)
}

fn tokens(values: &[f32]) -> Vec<usize> {
    values.iter().filter(|value| **value >= 0.0).map(|value| *value as usize).collect()
}

#[test]
fn activations_and_captions_agree_with_the_official_code() {
    let golden = Golden::new(GOLDEN);
    let network = load(&golden, golden.weights()).unwrap();
    let features = network.features(&frames(&golden));
    golden.check([("features", features.data.as_slice())], TOLERANCE);
    let logits = network.tag_logits(&features);
    golden.check([("tag_logits", logits.as_slice())], TOLERANCE);
    let tags = network.tags(&logits);
    assert_eq!(tags, golden.text("tags").lines().collect::<Vec<_>>());
    let states = network.states(&features, &tags);
    golden.check([("states", states.data.as_slice())], TOLERANCE);
    let texts = network.write(&states).unwrap();
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(*text, tokens(golden.values(&format!("text.{i}"))), "caption {i}");
    }
    let captions = network.captions(&frames(&golden)).unwrap();
    let expected: Vec<&str> = golden.text("captions").lines().collect();
    assert_eq!(captions.iter().map(|caption| caption.text.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(captions.iter().map(|caption| caption.tags.as_str()).collect::<Vec<_>>(), tags);
}

#[test]
fn logits_of_each_token_agree_though_only_the_last_is_computed() {
    let golden = Golden::new(GOLDEN);
    let network = load(&golden, golden.weights()).unwrap();
    let shape: [usize; 3] = golden.shape("states").try_into().unwrap();
    let states = Tokens::new(golden.values("states").to_vec(), shape);
    let prompt = network.prompt();
    let room = network.config.beams.length_max;
    let (mut memory, logits) = network.decoder.begin(&prompt, &states, room);
    let width = network.vocabulary.len();
    let texts: Vec<Vec<usize>> = (0..shape[0]).map(|i| tokens(golden.values(&format!("text.{i}")))).collect();
    let mut found: Vec<Vec<f32>> = logits.chunks_exact(width).map(<[f32]>::to_vec).collect();
    let mut active: Vec<usize> = (0..shape[0]).collect();
    for place in prompt.len().. {
        let before = active.clone();
        active.retain(|i| texts[*i].len() > place);
        // Twice each, the order turned around: texts go on from others' places, and those that ended leave theirs.
        let from: Vec<usize> = active
            .iter()
            .flat_map(|i| {
                let at = before.iter().position(|other| other == i).unwrap();
                if place == prompt.len() { [at, at] } else { [2 * at + 1, 2 * at] }
            })
            .collect();
        if active.is_empty() {
            break;
        }
        let next: Vec<usize> = active.iter().flat_map(|i| [texts[*i][place]; 2]).collect();
        let logits = network.decoder.go_on(&mut memory, &from, &next);
        for (i, pair) in active.iter().zip(logits.chunks_exact(2 * width)) {
            assert_eq!(pair[..width], pair[width..]);
            found[*i].extend(&pair[..width]);
        }
    }
    for (i, found) in found.iter().enumerate() {
        golden.check([(format!("logits.{i}").as_str(), found.as_slice())], TOLERANCE);
    }
}

#[test]
fn beams_are_searched_as_transformers_does() {
    let golden = Golden::new(GOLDEN);
    let [samples, vocabulary, _] = golden.shape("beam.after").try_into().unwrap();
    let longest = golden.shape("beam.at")[1];
    let (after, at) = (golden.values("beam.after"), golden.values("beam.at"));
    let beams = Beams { count: 3, length_min: 6, length_max: longest };
    let row = |sample: usize, last: usize, place: usize| {
        let after = &after[(sample * vocabulary + last) * vocabulary..][..vocabulary];
        let at = &at[(sample * longest + place) * vocabulary..][..vocabulary];
        after.iter().zip(at).map(|(a, b)| a + b).collect::<Vec<f32>>()
    };
    // All at once would need one prompt for all: samples are searched one by one, and by threes of one prompt.
    let prompt = |sample: usize| tokens(&golden.values("beam.prompt")[2 * sample..][..2]);
    let groups = (0..samples).map(|sample| vec![sample]);
    let alike = (0..vocabulary).map(|last| (last..samples).step_by(vocabulary).collect::<Vec<_>>());
    for group in groups.chain(alike) {
        let (mut of, mut place) = (Vec::new(), 1);
        let found = search(beams, &prompt(group[0]), 3, [group.len(), vocabulary], |step| match step {
            Step::First => {
                of.clone_from(&group);
                Ok::<_, ()>(group.iter().flat_map(|sample| row(*sample, prompt(*sample)[1], 1)).collect())
            }
            Step::Next { from, tokens } => {
                of = from.iter().map(|text| of[*text]).collect();
                place += 1;
                Ok(of.iter().zip(tokens).flat_map(|(sample, token)| row(*sample, *token, place)).collect())
            }
        });
        for (sample, found) in group.iter().zip(found.unwrap()) {
            let expected = tokens(&golden.values("beam.texts")[sample * longest..][..longest]);
            assert_eq!(found, expected, "sample {sample} of {group:?}");
        }
    }
}

#[test]
fn a_caption_is_the_same_alone_and_with_any_number_of_threads() {
    let golden = Golden::new(GOLDEN);
    let network = load(&golden, golden.weights()).unwrap();
    let all = frames(&golden);
    let together = network.captions(&all).unwrap();
    let size = all.data.len() / all.batch;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for (i, caption) in together.iter().enumerate() {
        let frame = Grid::new(all.data[i * size..][..size].to_vec(), [1, all.height, all.width, 3]);
        assert_eq!(pool.install(|| network.caption(&frame)).as_ref(), Ok(caption));
    }
    assert!(network.captions(&Grid::zeros([0, 24, 24, 3])).unwrap().is_empty());
}

/// The weights, with a NaN at the head of one tensor.
fn broken(golden: &Golden, key: &str) -> TensorStore {
    let mut store = golden.weights();
    store.tensors.get_mut(key).expect(key).values[0] = f32::NAN;
    store
}

#[test]
fn a_network_that_breaks_says_nothing() {
    let golden = Golden::new(GOLDEN);
    let said = |store, frames: &Grid| {
        let error = load(&golden, store).unwrap().captions(frames).unwrap_err();
        assert!(matches!(error, BackboneError::NotFinite { .. }), "{error:?}");
        error.to_string()
    };
    let whole = frames(&golden);
    let mut dark = whole.clone();
    let second = dark.data.len() / dark.batch;
    dark.data[second] = f32::NAN;
    let features = said(golden.weights(), &dark);
    assert!(features.contains("features of frame `1`") && features.contains("hint: "), "{features}");
    let tags = said(broken(&golden, "fc.b"), &whole);
    assert!(tags.contains("tags of frame `0`"), "{tags}");
    // What reads the tags, and what writes the words.
    for key in ["tag_encoder.embeddings.LayerNorm.bias", "text_decoder.cls.predictions.decoder.bias"] {
        let words = said(broken(&golden, key), &whole);
        assert!(words.contains("caption's words"), "{key}: {words}");
    }
}

#[test]
fn weights_are_strict_but_for_modules_that_make_no_caption() {
    let golden = Golden::new(GOLDEN);
    let mut more = golden.weights();
    more.insert("tag_encoder.embeddings.position_ids", vec![1, 2], vec![0.0, 1.0]);
    more.insert("image_queue", vec![2], vec![0.0; 2]);
    assert!(load(&golden, more).is_ok());
    let mut more = golden.weights();
    more.insert("tag_encoder.encoder.layer.2.extra.weight", vec![1], vec![0.0]);
    assert!(matches!(load(&golden, more), Err(BackboneError::Unused { count: 1, .. })));
    // Copies of tied weights need not be there.
    let mut fewer = golden.weights();
    fewer.tensors.retain(|key, _| !key.starts_with("tag_encoder.encoder.layer.0.output."));
    fewer.tensors.remove("text_decoder.cls.predictions.decoder.weight");
    fewer.tensors.remove("text_decoder.cls.predictions.decoder.bias");
    assert!(load(&golden, fewer).is_ok());
    for absent in [
        "visual_encoder.norm.bias",
        "text_decoder.bert.encoder.layer.1.crossattention.self.key.weight",
        "vision_multi.encoder.layer.0.output.dense.bias",
        "tag_encoder.embeddings.word_embeddings.weight",
        "fc.W",
    ] {
        let mut fewer = golden.weights();
        fewer.tensors.remove(absent);
        let error = load(&golden, fewer).err();
        assert!(matches!(error, Some(BackboneError::Missing { ref key, .. }) if key == absent), "{error:?}");
    }
}

#[test]
fn what_does_not_fit_the_weights_is_refused() {
    let golden = Golden::new(GOLDEN);
    let (_, tags) = parts(&golden);
    let few = Vocabulary::new(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n").unwrap();
    let error = Tag2Text::load(golden.weights(), few, tags, CONFIG).err();
    assert!(matches!(error, Some(BackboneError::Shape { .. })), "{error:?}");
    let longest = Beams { length_max: 49, ..CONFIG.beams };
    for config in [
        Config { heads: 5, ..CONFIG },
        Config { tagging_heads: 0, ..CONFIG },
        Config { tags_length: 49, ..CONFIG },
        Config { beams: longest, ..CONFIG },
        Config { beams: Beams { count: 21, ..CONFIG.beams }, ..CONFIG },
    ] {
        let (vocabulary, tags) = parts(&golden);
        let error = Tag2Text::load(golden.weights(), vocabulary, tags, config).err();
        assert!(matches!(error, Some(BackboneError::Config { .. })), "{config:?}: {error:?}");
    }
}

#[test]
fn the_published_tags_are_there() {
    let tags = TagList::vbench();
    assert_eq!(tags.names.len(), 3429);
    let deleted: Vec<&str> = tags.deleted.iter().map(|label| tags.names[*label].as_str()).collect();
    assert_eq!(deleted, ["quarter", "three", "four", "two", "five", "one"]);
    assert!(tags.names.iter().all(|name| !name.is_empty() && name.is_ascii()));
}
