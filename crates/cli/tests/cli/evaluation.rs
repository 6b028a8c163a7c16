//! Suites, as far as it shows in seconds.

use serde_json::Value;
use vidit_models::mini::boxes::{BoxAdapter, BoxAdapterConfig};
use vidit_models::nn::Init;
use vidit_pipeline::Device;
use vidit_weights::{StoredType, collect};

use crate::binary::Place;

/// Writes an untrained adapter for a transformer of this width: it changes nothing.
fn adapter(place: &Place, name: &str, width: usize) {
    let config = BoxAdapterConfig { width, heads: 3, hidden: 16, blocks: vec![0], transformer: None };
    let mut store = collect(&BoxAdapter::new(&config, 192, &mut Init::new(1, &Device::flex())), "");
    store.metadata.insert("boxes".to_owned(), serde_json::to_string(&config).unwrap());
    store.write(&place.file(name), |_| StoredType::F32).unwrap();
}

fn boxes(place: &Place, args: &[&str]) -> crate::binary::Run {
    place.vidit(
        [&["eval", "mini", "--suite", "boxes", "--limit", "1", "--steps", "1", "--json"], args].concat(),
    )
}

#[test]
fn boxes_need_an_adapter() {
    // Weights from a file come without the adapter that the binary carries for its own.
    const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/mini/mini.safetensors");
    let place = Place::new();
    boxes(&place, &["--model", WEIGHTS]).refused(
        2,
        "error: this model has no box adapter\n\
         hint: name one with `--box-adapter`; `vidit train` of kind `boxes` makes one\n",
    );
    for option in ["--box-adapter", "--without-self-tracking"] {
        place.vidit(["eval", "mini", "--suite", "sora", option, "a.safetensors"]).refused(
            2,
            &format!(
                "error: `{option}` has no say in this suite\nhint: `--suite boxes` scores box adapters\n"
            ),
        );
    }
    let missing = boxes(&place, &["--box-adapter", "none.safetensors"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("none.safetensors"), "{}", missing.stderr);
    adapter(&place, "other.safetensors", 96);
    let other = boxes(&place, &["--box-adapter", "other.safetensors"]);
    assert!(
        other.stderr.contains("`other.safetensors` is an adapter for 1 blocks of width 96"),
        "{}",
        other.stderr
    );
    assert_eq!(place.names(), ["other.safetensors"]);
}

#[test]
fn sampling_is_looked_at_before_a_model_is() {
    let place = Place::new();
    for (option, value, said) in [
        ("--steps", "0", "steps must be 1 to 1000, found `0`\nhint: 30 is usual"),
        ("--guidance", "nan", "guidance must be 0 to 50, found `NaN`\nhint: 4 is usual"),
        ("--shift", "0", "shift must be above 0 and at most 100, found `0`\nhint: 3 is usual"),
    ] {
        place
            .vidit(["eval", "mini", "--model", "none", option, value])
            .refused(2, &format!("error: {said}\n"));
    }
}

#[test]
fn boxes_are_scored_by_one_adapter_and_by_two() {
    let place = Place::new();
    adapter(&place, "a.safetensors", 192);
    let told = |args: &[&str]| -> Value {
        let line =
            boxes(&place, &[&["--guidance", "1", "--box-adapter", "a.safetensors"], args].concat()).done();
        assert_eq!(line.lines().count(), 1);
        serde_json::from_str(&line).unwrap()
    };
    let one = told(&[]);
    assert_eq!((&one["cases"], &one["seed"]), (&1.into(), &2025.into()));
    for part in ["alone", "crossing", "crowd"] {
        // Untrained, it has no say.
        assert_eq!(one[part]["boxes"], one[part]["text"], "{part}");
        assert_eq!(one[part]["without_self_tracking"], Value::Null);
    }
    assert_eq!(one["alone"]["text"]["named"]["clips"], 1);
    assert!(one["alone"]["real"]["iou_at_keyframes"].as_f64().unwrap() > 0.8, "{one}");
    let two = told(&["--without-self-tracking", "a.safetensors"]);
    for part in ["alone", "crossing", "crowd"] {
        assert_eq!(two[part]["without_self_tracking"], two[part]["boxes"], "{part}");
    }
    assert_eq!(two["alone"]["boxes"], one["alone"]["boxes"]);
}

#[test]
fn languages_are_scored_on_the_same_scenes() {
    let place = Place::new();
    let args = ["eval", "mini", "--suite", "languages", "--limit", "1", "--steps", "2", "--json"];
    let report: Value = serde_json::from_str(&place.vidit(args).done()).unwrap();
    assert_eq!((&report["scenes"], &report["seed"]), (&1.into(), &2025.into()));
    let codes: Vec<&Value> =
        report["languages"].as_array().unwrap().iter().map(|one| &one["language"]).collect();
    assert_eq!(codes, ["en", "zh", "ar"]);
    assert_eq!(report["differences"].as_array().unwrap().len(), 3);
    assert!(place.names().is_empty());
}
