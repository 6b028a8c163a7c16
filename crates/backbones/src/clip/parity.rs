//! Against openai-clip at a tiny size; `golden/export.py` writes it.

use serde_json::Value;
use vidit_weights::TensorStore;

use super::{AestheticHead, Clip, Config, TextError, Tokenizer, TooLong};
use crate::golden::Golden;
use crate::{BackboneError, Grid};

const TINY: Config = Config { head_width: 12 };
/// Sums of f32 in another order, over two blocks.
const TOLERANCE: f32 = 1e-5;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

#[test]
fn image_features_are_the_references() {
    let golden = golden();
    let tower = Clip::load_image(golden.weights(), TINY).unwrap();
    assert_eq!((tower.side(), tower.output()), (12, 10));
    let images = Grid::from_channels_first(golden.values("input.images"), [2, 3, 12, 12]);
    let mut count = 0;
    tower.watched(&images, &mut |name, found| {
        golden.check([(format!("image.{name}").as_str(), found)], TOLERANCE);
        count += 1;
    });
    assert_eq!(count, 5);
}

#[test]
fn text_features_are_the_references_whatever_follows_the_end() {
    let golden = golden();
    let clip = Clip::load(golden.weights(), TINY).unwrap();
    golden.check([("logit_scale", &[clip.logit_scale][..])], TOLERANCE);
    assert_eq!((clip.text.context(), clip.text.vocabulary(), clip.text.output()), (9, 50, 10));
    let ids: Vec<u32> = golden.values("input.texts").iter().map(|id| *id as u32).collect();
    let texts: Vec<Vec<u32>> = ids.chunks_exact(9).map(<[u32]>::to_vec).collect();
    let mut count = 0;
    let filled = clip
        .text
        .watched(&texts, &mut |name, found| {
            golden.check([(format!("text.{name}").as_str(), found)], TOLERANCE);
            count += 1;
        })
        .unwrap();
    assert_eq!(count, 4);
    let bare: Vec<Vec<u32>> =
        texts.iter().map(|text| text[..=text.iter().position(|id| *id == 49).unwrap()].to_vec()).collect();
    assert_eq!(clip.text.forward(&bare), Ok(filled));
    assert_eq!(clip.text.forward(&[]), Ok(Vec::new()));
}

#[test]
fn texts_that_the_tower_cannot_read_are_refused() {
    let clip = Clip::load(golden().weights(), TINY).unwrap();
    for (text, problem) in [
        (vec![1; 10], "`10` tokens, expected at most 9"),
        (vec![], "no token"),
        (vec![50], "`50` is not among its 50"),
    ] {
        let error = clip.text.forward(&[text]).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn checkpoints_of_other_networks_are_refused() {
    let load = |change: &dyn Fn(&mut TensorStore)| {
        let mut store = golden().weights();
        change(&mut store);
        Clip::load(store, TINY).err()
    };
    assert_eq!(load(&|store| store.insert("vocab_size", vec![], vec![50.0])), None);
    let unused = load(&|store| store.insert("visual.layer1.0.conv1.weight", vec![1], vec![0.0]));
    assert!(matches!(unused, Some(BackboneError::Unused { count: 1, .. })));
    let missing = load(&|store| {
        store.tensors.remove("visual.transformer.resblocks.0.ln_1.bias");
    });
    assert!(
        matches!(missing, Some(BackboneError::Missing { ref key, .. }) if key == "visual.transformer.resblocks.0.ln_1.bias")
    );
    let empty = load(&|store| store.tensors.retain(|key, _| !key.starts_with("transformer.")));
    assert!(empty.is_some_and(|error| error.to_string().contains("there is no `resblocks.0`")));
    let table = load(&|store| store.insert("visual.positional_embedding", vec![9, 24], vec![0.0; 9 * 24]));
    assert!(table.is_some_and(|error| error.to_string().contains("one more than a square")));
    assert!(Clip::load(golden().weights(), Config::OPENAI).is_err());
}

#[test]
fn ratings_are_a_weighted_sum() {
    let mut store = TensorStore::default();
    store.insert("weight", vec![1, 3], vec![1.0, 2.0, -1.0]);
    store.insert("bias", vec![1], vec![0.5]);
    let head = AestheticHead::load(store).unwrap();
    assert_eq!(head.input(), 3);
    assert_eq!(head.forward(&[0.0, 1.0, 0.0, 0.5, 0.0, 0.5]), [2.5, 0.5]);
}

fn tokenizer() -> Tokenizer {
    Tokenizer::new(include_bytes!("golden/merges.txt")).unwrap()
}

#[test]
fn tokens_are_those_of_openai_clip() {
    let tokenizer = tokenizer();
    let cases: Value = serde_json::from_str(include_str!("golden/tokens.json")).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() > 50);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let text = case["text"].as_str().unwrap();
            let ids = |key: &str| -> Option<Vec<u32>> {
                Some(case[key].as_array()?.iter().map(|id| id.as_u64().unwrap() as u32).collect())
            };
            let (clip, viclip) =
                (tokenizer.encode(text, 77, TooLong::Refuse), tokenizer.encode(text, 32, TooLong::Cut));
            let same = clip.clone().ok() == ids("clip") && viclip.clone().ok() == ids("viclip");
            (!same).then(|| format!("{text:?}: {clip:?}, {viclip:?}, expected {case}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn long_texts_are_refused_or_cut() {
    let tokenizer = tokenizer();
    let long = "a ".repeat(76);
    let refused = tokenizer.encode(&long, 77, TooLong::Refuse);
    assert!(matches!(refused, Err(TextError::Long { found: 78, most: 77, .. })));
    let cut = tokenizer.encode(&long, 32, TooLong::Cut).unwrap();
    assert_eq!((cut.len(), cut[0], cut[31]), (32, tokenizer.start(), tokenizer.end()));
    assert_eq!(tokenizer.encode(&"a ".repeat(75), 77, TooLong::Refuse).unwrap().len(), 77);
}

#[test]
fn vocabularies_come_gzipped_or_not_and_damage_is_named() {
    use std::io::Write;
    let plain = include_bytes!("golden/merges.txt");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(plain).unwrap();
    let gz = gz.finish().unwrap();
    let text = "A person's 2 dogs";
    let encode = |file: &[u8]| Tokenizer::new(file).unwrap().encode(text, 77, TooLong::Refuse);
    assert_eq!(encode(&gz), encode(plain));
    assert!(Tokenizer::new(&gz[..gz.len() / 2]).is_err());
    let error = Tokenizer::new(b"#version\na b\nabc\n").err().unwrap().to_string();
    assert!(error.contains("line 3 is `abc`"), "{error}");
    assert!(Tokenizer::new(&[0xff, 0xfe, 0x00]).is_err());
    // No merges: bytes alone.
    let bytes = Tokenizer::new(b"").unwrap();
    assert_eq!(bytes.vocabulary(), 514);
    assert_eq!(bytes.encode("ab", 9, TooLong::Refuse), Ok(vec![512, 64, 65 + 256, 513]));
}
