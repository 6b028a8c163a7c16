//! Prompts that a language model rewrites. The model is a tiny one that learned to give one answer.

use serde_json::Value;

use crate::binary::{Place, Run};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../language/src/golden/llama");
const ANSWER: &str = "A shiny red car drives slowly to the left across a plain yellow background, and the camera stands still.";

fn with_models(place: &Place, args: &[&str]) -> Run {
    Run::of(place.command(args).env("VIDIT_MODELS", place.path()).output().unwrap())
}

#[test]
fn a_language_model_expands_and_shows_what_it_changed() {
    let place = Place::new();
    let prompt = "two red cars drive to the left";
    let words = place.vidit(["expand", prompt, "--lm", MODEL]).done();
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(lines[0], ANSWER);
    assert!(lines[1].starts_with("  added: A shiny · "), "{words}");
    assert!(lines[2].starts_with("  removed: two · cars drive"), "{words}");
    assert!(lines[3].contains("llama (llama, F32): "), "{words}");
    assert_eq!(place.vidit(["expand", prompt, "--lm", MODEL, "-q"]).done(), format!("{ANSWER}\n"));

    let line = place.vidit(["expand", prompt, "--lm", MODEL, "--json", "--temperature", "0"]).done();
    assert_eq!(line.lines().count(), 1);
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&told["prompt"], &told["expanded"]), (&prompt.into(), &ANSWER.into()));
    let lm = serde_json::json!({"path": MODEL, "architecture": "llama", "quantisation": "F32"});
    assert_eq!((&told["lm"], &told["language"], &told["cut"]), (&lm, &"en".into(), &false.into()));
    assert_eq!(told["removed"][0]["words"], "two");
    assert!(told["added"].as_array().unwrap().iter().all(|added| added["what"] == "words"), "{line}");
}

#[test]
fn a_video_is_made_of_what_the_language_model_said() {
    let place = Place::new();
    let args = ["generate", "a car", "--expand", "--lm", MODEL, "--size", "64x64", "--frames", "1"];
    let line = place.vidit([&args[..], &["--steps", "1", "-o", "car.png", "--json"]].concat()).done();
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&told["prompt"], &told["asked"]), (&ANSWER.into(), &"a car".into()));
    // The file is called after what was typed.
    let words = place.vidit([&args[..], &["--steps", "1", "--threads", "1"]].concat()).done();
    let told = format!("expanded: {ANSWER}\n  added: shiny red · drives slowly ");
    assert!(words.starts_with(&told) && words.contains("\n  removed: nothing\na-car.mp4\n"), "{words}");
    let remix =
        ["remix", "car.png", "a car", "--expand", "--lm", MODEL, "--steps", "1", "-o", "other.png", "--json"];
    let told: Value = serde_json::from_str(&place.vidit(remix).done()).unwrap();
    assert_eq!((&told["prompt"], &told["asked"]), (&ANSWER.into(), &"a car".into()));
    // What cannot be written is refused before the model is asked.
    let refused = place.vidit([&args[..], &["-o", "car.png"]].concat());
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(refused.stderr.contains("it exists already"), "{}", refused.stderr);
}

#[test]
fn names_are_looked_up_in_the_folder_of_models() {
    let place = Place::new();
    place.vidit(["expand", "a cat", "--lm", "smollm2"]).refused(
        2,
        "error: no language model is called `smollm2`: $VIDIT_MODELS is not set\n\
         hint: set it to the folder with your models, or give a path\n",
    );
    let folder = place.path().display().to_string();
    let unknown = with_models(&place, &["expand", "a cat", "--lm", "smollm2"]);
    unknown.refused(
        2,
        &format!(
            "error: no language model is called `smollm2`: `{folder}` holds none\nhint: give one of its names, or a path\n"
        ),
    );
    std::fs::create_dir(place.file("tiny")).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(format!("{MODEL}/{name}"), place.file("tiny").join(name)).unwrap();
    }
    std::fs::write(place.file("broken.gguf"), "GGUF, but not for long").unwrap();
    let unknown = with_models(&place, &["expand", "a cat", "--lm", "smollm2"]);
    assert!(unknown.stderr.contains(&format!("`{folder}` holds broken, tiny\n")), "{}", unknown.stderr);
    let elsewhere = Place::new();
    let mut named = elsewhere.command(["expand", "a cat", "--lm", "tiny", "-q"]);
    let named = Run::of(named.env("VIDIT_MODELS", place.path()).output().unwrap());
    assert_eq!(named.done(), format!("{ANSWER}\n"));
    let broken = with_models(&place, &["expand", "a cat", "--lm", "broken"]);
    assert_eq!(broken.code, Some(1));
    assert!(broken.stderr.contains("broken.gguf` is damaged"), "{}", broken.stderr);
}

#[test]
fn what_cannot_be_expanded_is_told() {
    let place = Place::new();
    place.vidit(["expand", "a cat", "--lm", "none.gguf"]).refused(
        2,
        "error: there is no language model at `none.gguf`\n\
         hint: `--lm` takes a GGUF file, a folder, or a name in the folder $VIDIT_MODELS\n",
    );
    std::fs::write(place.file("notes.gguf"), "not a model").unwrap();
    let other = place.vidit(["expand", "a cat", "--lm", "notes.gguf"]);
    assert!(other.code == Some(1) && other.stderr.contains("does not begin with `GGUF`"), "{}", other.stderr);
    place.vidit(["expand", "一只猫", "--lm", MODEL]).refused(
        1,
        &format!(
            "error: the language model must answer in Chinese, found `{ANSWER}`\n\
             hint: use a model that speaks the prompt's language, or leave out `--lm`\n"
        ),
    );
    let short = place.vidit(["expand", "a cat", "--lm", MODEL, "--max-tokens", "5"]);
    assert!(
        short.code == Some(1) && short.stderr.contains("no whole sentence within 5 tokens"),
        "{}",
        short.stderr
    );
    for args in [
        &["expand", "a cat", "--temperature", "1"][..],
        &["expand", "a cat", "--max-tokens", "9"],
        &["expand", "a cat", "--lm", MODEL, "--temperature", "NaN"],
        &["expand", "a cat", "--lm", MODEL, "--max-tokens", "0"],
        &["expand", "  ", "--lm", MODEL],
        &["generate", "a cat", "--lm", MODEL],
    ] {
        assert_eq!(place.vidit(args).code, Some(2), "{args:?}");
    }
    let long = place.vidit(["expand", &"cat ".repeat(500), "--lm", MODEL]);
    assert!(long.code == Some(2) && long.stderr.contains("has room for 1024"), "{}", long.stderr);
    assert!(place.names() == ["notes.gguf"], "{:?}", place.names());
}
