//! Real clips from the embedded model, as small as they come.

use std::fs;

use serde_json::Value;

use crate::binary::Place;

const SMALL: [&str; 6] = ["--steps", "2", "--frames", "5", "--size", "64x64"];

fn generate(place: &Place, args: &[&str]) -> String {
    place.vidit([&["generate", "a red car drives to the left"], SMALL.as_slice(), args].concat()).done()
}

#[test]
fn one_line_of_json_tells_what_was_made() {
    let place = Place::new();
    let line = generate(&place, &["--json", "--seed", "7", "--fps", "10"]);
    assert_eq!(line.lines().count(), 1);
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["path"], "a-red-car-drives-to-the-left.mp4");
    assert_eq!(told["model"], "mini");
    assert_eq!(told["prompt"], "a red car drives to the left");
    for (key, value) in [("seed", 7), ("width", 64), ("height", 64), ("frames", 5), ("fps", 10), ("steps", 2)]
    {
        assert_eq!(told[key], value, "{key}");
    }
    for stage in ["load", "encode", "denoise", "decode", "write", "total"] {
        assert!(told["seconds"][stage].as_f64().unwrap() >= 0.0, "{stage}");
    }
    assert_eq!(told.as_object().unwrap().len(), 10);
    assert_eq!(place.names(), ["a-red-car-drives-to-the-left.mp4"]);
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let place = Place::new();
    let bytes = |name: &str, args: &[&str]| {
        generate(&place, &[&["-q", "-o", name], args].concat());
        fs::read(place.file(name)).unwrap()
    };
    let one = bytes("a.mp4", &["--seed", "1", "--threads", "1"]);
    assert_eq!(one, bytes("b.mp4", &["--seed", "1", "--threads", "2"]));
    assert_ne!(one, bytes("c.mp4", &["--seed", "2", "--threads", "2"]));
}

#[test]
fn names_are_free_and_drawn_seeds_are_told() {
    let place = Place::new();
    let told = |_| -> Value { serde_json::from_str(&generate(&place, &["--json"])).unwrap() };
    let [first, second] = [0, 1].map(told);
    assert_ne!(first["seed"], second["seed"]);
    assert_eq!(second["path"], "a-red-car-drives-to-the-left-2.mp4");
    let seed = first["seed"].to_string();
    generate(&place, &["--seed", &seed, "-o", "again.mp4"]);
    assert_eq!(
        fs::read(place.file("again.mp4")).unwrap(),
        fs::read(place.file("a-red-car-drives-to-the-left.mp4")).unwrap()
    );
}

#[test]
fn every_format_by_its_name() {
    let place = Place::new();
    for name in ["a.gif", "a.webp", "a.png", "frames/", "more"] {
        assert_eq!(generate(&place, &["-q", "-o", name]), format!("{name}\n"));
    }
    assert_eq!(place.names(), ["a.gif", "a.png", "a.webp", "frames", "more"]);
    assert!(place.file("frames/00004.png").exists() && !place.file("frames/00005.png").exists());
    let words = generate(&place, &["-o", "a.png", "--overwrite", "--seed", "3"]);
    assert!(words.starts_with("a.png\n  seed 3, 5 frames of 64x64 at 12 fps\n  load "), "{words}");
}

#[test]
fn seconds_round_to_the_nearest_frames() {
    let place = Place::new();
    let args = ["generate", "a cat", "--steps", "1", "--size", "32x32", "--seconds", "0.5", "--json"];
    let told: Value = serde_json::from_str(&place.vidit(args).done()).unwrap();
    assert_eq!(told["frames"], 5);
}

#[test]
fn latents_decode_to_the_same_file_and_start_new_clips() {
    let place = Place::new();
    generate(&place, &["-o", "a.gif", "--save-latents", "a.safetensors", "--seed", "5", "--fps", "10"]);
    let told = place.vidit(["decode", "a.safetensors", "-o", "b.gif", "--json"]).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["frames"], &told["fps"]), (&5.into(), &10.into()));
    assert_eq!(fs::read(place.file("a.gif")).unwrap(), fs::read(place.file("b.gif")).unwrap());

    let from = |name: &str, seed: &str| {
        generate(&place, &["-q", "-o", name, "--init-latents", "a.safetensors", "--seed", seed]);
        fs::read(place.file(name)).unwrap()
    };
    assert_eq!(from("c.gif", "1"), from("d.gif", "2"), "the seed has no say beside given noise");

    let run = place.vidit([
        "generate",
        "a cat",
        "--frames",
        "9",
        "--size",
        "64x64",
        "--init-latents",
        "a.safetensors",
    ]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.starts_with("error: the initial noise must have shape [3, 8, 8, "), "{}", run.stderr);
    fs::write(place.file("broken.safetensors"), "x").unwrap();
    let run = place.vidit(["decode", "broken.safetensors", "-o", "e.gif"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("is not a whole safetensors file"), "{}", run.stderr);
    assert!(!place.file("e.gif").exists());
}

#[test]
fn clips_that_the_format_does_not_hold_are_refused_before_the_work() {
    let place = Place::new();
    let run = place.vidit(["generate", "a cat", "--fps", "60", "-o", "a.gif", "--steps", "1000"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("gif") && run.stderr.contains("hint: "), "{}", run.stderr);
    assert!(place.names().is_empty());
}
