//! Against GRiT's own modules; see `golden/export.py`.

use super::*;
use crate::golden::Golden;

const GOLDEN: &[u8] = include_bytes!("golden/tiny.safetensors");
const VOCABULARY: &[u8] = include_bytes!("golden/vocabulary.txt");

/// Of an activation's largest value: sums in another order, and an error function good to 1.5e-7, through all layers.
const TOLERANCE: f32 = 2e-5;

const TINY: Config = Config {
    heads: 2,
    window: 4,
    global: &[1, 3],
    groups: 5,
    proposals: ProposalConfig { score_min: 0.2, per_level_max: 60, overlap_max: 0.8, count_max: 20 },
    boxes: BoxConfig { side: 4, score_min: 0.5, overlap_max: 0.6, count_max: 5 },
    text_heads: 4,
    text_side: 5,
    text_length_max: 40,
};

const BOTH: Asked = Asked { names: true, captions: true };

fn network(golden: &Golden) -> Grit {
    Grit::load(golden.weights(), VOCABULARY, TINY).expect("the golden is a checkpoint")
}

fn size(golden: &Golden) -> [usize; 2] {
    [golden.shape("input.image")[0], golden.shape("input.image")[1]]
}

#[test]
fn every_activation_agrees_with_the_official_code() {
    let golden = Golden::new(GOLDEN);
    let store = TensorStore::from_bytes("golden", GOLDEN).expect("the golden can be read");
    let order = store.text("order").expect("the exporter notes the order");
    let mut seen = 0;
    network(&golden).trace(golden.values("input.image"), size(&golden), BOTH, &mut |name, values| {
        // Of later steps' logits, only some are kept; texts that ended have none here.
        let known = order.lines().any(|line| line == name);
        if known && values.len() == golden.values(name).len() {
            golden.check([(name, values)], TOLERANCE);
            seen += 1;
        }
    });
    let compared = order.lines().filter(|name| !name.ends_with("tokens")).count();
    // At the ninth step some texts have ended.
    assert_eq!(seen, compared - 2);
}

#[test]
fn detections_and_their_texts_are_the_official_codes() {
    let golden = Golden::new(GOLDEN);
    let store = TensorStore::from_bytes("golden", GOLDEN).expect("the golden can be read");
    let found = network(&golden).detect(golden.values("input.image"), size(&golden), BOTH);
    let corners: Vec<f32> = found.iter().flat_map(|detection| detection.corners).collect();
    golden.check([("detections.corners", &corners[..])], TOLERANCE);
    let words = |texts: Vec<&Option<Description>>| -> Vec<String> {
        texts.iter().filter_map(|text| text.as_ref().map(|text| text.words.clone())).collect()
    };
    let expected = |key: &str| -> Vec<String> {
        store.text(key).unwrap_or_default().split('\n').map(str::to_owned).collect()
    };
    assert_eq!(words(found.iter().map(|d| &d.name).collect()), expected("names"));
    assert_eq!(words(found.iter().map(|d| &d.caption).collect()), expected("captions"));
}

#[test]
fn bytes_are_the_same_picture_and_what_was_not_asked_for_is_absent() {
    let golden = Golden::new(GOLDEN);
    let (network, size) = (network(&golden), size(&golden));
    let image = golden.values("input.image");
    let bytes: Vec<u8> = image.iter().map(|value| *value as u8).collect();
    let both = network.detect(image, size, BOTH);
    let names = network.detect(&bytes, size, Asked { names: true, captions: false });
    for (names, both) in names.iter().zip(&both) {
        assert_eq!(names, &Detection { caption: None, ..both.clone() });
    }
    let boxes = network.detect(&bytes, size, Asked { names: false, captions: false });
    assert_eq!(boxes.len(), both.len());
    assert!(boxes.iter().all(|detection| detection.name.is_none() && detection.caption.is_none()));
}

#[test]
fn a_picture_where_nothing_is_found_has_no_detections() {
    let golden = Golden::new(GOLDEN);
    let strict = Config { boxes: BoxConfig { score_min: 2.0, ..TINY.boxes }, ..TINY };
    let network = Grit::load(golden.weights(), VOCABULARY, strict).expect("the golden is a checkpoint");
    assert_eq!(network.detect(golden.values("input.image"), size(&golden), BOTH), []);
}

#[test]
fn unknown_tensors_are_refused_and_those_of_masks_are_not() {
    let golden = Golden::new(GOLDEN);
    let mut store = golden.weights();
    store.insert("roi_heads.mask_head.mask_fcn1.bias", vec![1], vec![0.0]);
    assert!(Grit::load(store, VOCABULARY, TINY).is_ok());
    let mut store = golden.weights();
    store.insert("backbone.bottom_up.blocks.0.attn.gate", vec![1], vec![0.0]);
    let unused = Grit::load(store, VOCABULARY, TINY).err();
    assert!(matches!(unused, Some(BackboneError::Unused { count: 1, .. })), "{unused:?}");
}
