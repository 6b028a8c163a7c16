//! The four dimensions that read GRiT's detections, against the reference's own rules; see `golden/export.py`.

use serde_json::Value;
use vidit_backbones::grit::{Description, Detection};

use super::{Successes, color, multiple_objects, object_class, spatial_relationship};
use crate::{Mode, Relation};

/// serde_json reads some decimals to the neighbouring double.
const TOLERANCE: f64 = 1e-15;

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn detection(value: &Value) -> Detection {
    let description =
        |value: &Value| Some(Description { words: text(value).to_owned(), log_probability: -0.1 });
    Detection {
        corners: std::array::from_fn(|i| value[2][i].as_f64().expect("a corner") as f32),
        score: 0.9,
        name: description(&value[0]),
        caption: description(&value[1]),
    }
}

fn frames(video: &Value) -> Vec<Vec<Detection>> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    list(&video["frames"]).iter().map(|frame| list(frame).iter().map(detection).collect()).collect()
}

#[test]
fn every_rule_agrees_with_the_reference() {
    let golden: Value = serde_json::from_str(include_str!("golden/rules.json")).expect("JSON");
    let videos = golden["videos"].as_array().expect("videos");
    assert!(videos.len() > 20);
    for (i, video) in videos.iter().enumerate() {
        let (frames, expected) = (frames(video), &video["expected"]);
        let counted = |verdict: &dyn Fn(&[Detection]) -> bool| {
            Successes::of(frames.iter().map(|frame| verdict(frame))).success
        };
        let named = counted(&|frame| object_class::frame(frame, "bird"));
        assert_eq!(expected["object_class"], named, "video {i}");
        let both = counted(&|frame| multiple_objects::frame(frame, ["bird", "cat"]));
        assert_eq!(expected["multiple_objects"], both, "video {i}");
        let wanted = text(&video["color"]);
        let seen = color::Video::of(frames.iter().map(|f| color::frame(f, "cat", wanted, Mode::Compat)));
        assert_eq!(expected["color"], Value::from(vec![seen.object, seen.color]), "video {i}");
        let relation = Relation::from_words(text(&video["relation"])).expect("a relation");
        let scores = expected["spatial_relationship"].as_array().expect("scores");
        for (frame, score) in frames.iter().zip(scores) {
            let found = spatial_relationship::frame(frame, ["bird", "cat"], relation, Mode::Compat);
            let score = score.as_f64().expect("a score");
            assert!((found - score).abs() < TOLERANCE, "video {i}: {found} ≠ {score}, {frame:?}");
        }
    }
}
