//! The smaller verbs.

use crate::binary::Place;

#[test]
fn every_verb_explains_itself() {
    let place = Place::new();
    for args in [
        &["--help"][..],
        &["generate", "--help"],
        &["image", "--help"],
        &["expand", "--help"],
        &["boxes", "track", "--help"],
        &["extend", "--help"],
        &["loop", "--help"],
        &["connect", "--help"],
        &["blend", "--help"],
        &["remix", "--help"],
        &["boxes", "draw", "--help"],
        &["decode", "--help"],
        &["doctor", "--help"],
        &["data", "compose", "--help"],
        &["train", "--help"],
        &["eval", "mini", "--help"],
        &["bench", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        let help = place.vidit(args).done();
        assert!(help.contains("Usage: vidit"), "{args:?}: {help}");
    }
    let version = place.vidit(["--version"]).done();
    assert_eq!(version, concat!("vidit ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completions_and_manual_name_the_verbs() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = place.vidit(["completions", shell]).done();
        assert!(text.contains("generate") && text.contains("save-latents"), "{shell}");
    }
    let manual = place.vidit(["man"]).done();
    for needle in [".TH vidit", "VIDIT_THREADS", "save\\-latents"] {
        assert!(manual.contains(needle), "the manual lacks {needle}");
    }
}

#[test]
fn expansions_show_what_they_added() {
    let place = Place::new();
    let words = place.vidit(["expand", "cat", "--seed", "3"]).done();
    assert!(
        words.starts_with("a cat ") && words.contains("\n  motion: ") && words.contains("\n  background: ")
    );
    let text = place.vidit(["expand", "一只猫", "-q"]).done();
    assert!(text.contains("背景"), "{text}");
    let line =
        place.vidit(["expand", "a red car drives to the left on a yellow background", "--json"]).done();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["expanded"], "a red car drives to the left on a yellow background");
    assert_eq!((told["language"].as_str(), told["object"].as_str()), (Some("en"), Some("car")));
    assert_eq!(told["added"].as_array().unwrap().len(), 0);
    // A prompt that is used is the one that is told.
    let args =
        ["generate", "cat", "--expand", "--seed", "3", "--size", "64x64", "--frames", "1", "--steps", "1"];
    let line = place.vidit([&args[..], &["-o", "cat.png", "--json"]].concat()).done();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["prompt"].as_str(), words.lines().next());
    // So it is for every verb that takes one.
    let short = ["--expand", "--seed", "3", "--steps", "1"];
    let args = ["extend", "cat.png", "cat", "--frames", "1", "-o", "on.png", "--json"];
    let line = place.vidit([&args[..], &short].concat()).done();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((told["prompt"].as_str(), told["asked"].as_str()), (words.lines().next(), Some("cat")));
    let image =
        place.vidit([&["image", "cat", "--size", "64x64", "-o", "one.png"][..], &short].concat()).done();
    assert!(image.starts_with(&format!("expanded: {}\none.png\n", words.lines().next().unwrap())), "{image}");
    place
        .vidit([&["loop", "cat.png", "-o", "round.mp4"][..], &short].concat())
        .refused(2, "error: there is no prompt to expand\nhint: give one, or leave `--expand` out\n");
}

#[test]
fn doctor_looks_around() {
    let place = Place::new();
    let words = place.vidit(["doctor"]).done();
    for needle in
        ["cores", "threads", "instruction sets", "memory", "devices", "cpu", "model", "mini", "ffmpeg"]
    {
        assert!(words.contains(needle), "{needle} is missing: {words}");
    }
    let line = place.vidit(["doctor", "--json", "--threads", "1"]).done();
    assert_eq!(line.lines().count(), 1);
    let found: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(found["threads"], 1);
    assert!(found["instruction_sets"].as_array().unwrap().contains(&found["instruction_set"]));
    assert!(found["models"][0]["parameters"].as_u64().unwrap() > 0);
}

#[test]
fn bench_prints_a_line_a_case() {
    let place = Place::new();
    let args = ["bench", "kernels", "--filter", "gemm_4096x192x768", "--runs", "1"];
    let line = place.vidit(args.iter().chain(&["--json", "--dtype", "bf16", "--isa", "scalar"])).done();
    assert_eq!(line.lines().count(), 1);
    let found: serde_json::Value = serde_json::from_str(&line).unwrap();
    let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
    let expected = ["bytes_peak", "dtype", "gflops", "isa", "name", "seconds", "share_of_peak", "threads"];
    assert_eq!(keys, expected);
    assert_eq!((&found["name"], &found["isa"]), (&"gemm_4096x192x768".into(), &"scalar".into()));
    assert!(found["seconds"].as_f64().unwrap() > 0.0 && found["gflops"].as_f64().unwrap() > 0.0, "{line}");
    // A and C of f32, and what packing takes.
    assert!(found["bytes_peak"].as_u64().unwrap() > 4096 * (192 + 768) * 4, "{line}");
    let table = place.vidit(args).done();
    assert!(table.contains("on registers alone") && table.contains("| gemm_4096x192x768 |"), "{table}");
    let names = place.vidit(["bench", "wan-block", "--list", "--tokens", "99"]).done();
    assert_eq!(names, "wan_block_99\n");
}

#[test]
fn bench_refuses_what_it_does_not_know() {
    let place = Place::new();
    place.vidit(["bench", "train-step", "--filter", "nonsense"]).refused(
        2,
        "error: no case's name holds `nonsense`\n\
         hint: there are train_step_mini_8x25x128x128, train_step_mini_128x1x64x64\n",
    );
    place.vidit(["bench", "--isa", "mmx"]).refused(
        2,
        "error: --isa names the unknown instruction set `mmx`\n\
         hint: known are scalar, neon, avx2, avx512, avx512bf16, amx\n",
    );
    place
        .vidit(["bench", "vae-decode", "--frames", "16"])
        .refused(2, "error: frames must be 4n+1, found `16`\nhint: the nearest legal values are 13 and 17\n");
    place.vidit(["bench", "vae-decode", "--size", "100x96"]).refused(
        2,
        "error: width must be a positive multiple of 16, found `100`\n\
         hint: the nearest legal values are 96 and 112\n",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(["man"]).stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot write to standard output\ncaused by: No space left"), "{said}");
}

#[test]
fn clips_are_composed_and_folders_kept() {
    let place = Place::new();
    let compose = ["data", "compose", "-o", "clips", "--count", "3", "--size", "32x48", "--frames", "2"];
    assert_eq!(place.vidit(compose).done(), "clips\n");
    let mut names: Vec<_> = std::fs::read_dir(place.file("clips"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["00000", "00001", "00002", "metadata.jsonl"]);
    let again = "error: `clips` already exists\nhint: choose another folder, or remove this one first\n";
    place.vidit(compose).refused(2, again);
    let none = ["data", "compose", "-o", "other", "--count", "0"];
    place.vidit(none).refused(2, "error: count must be at least 1, found `0`\n");
    assert_eq!(place.names(), ["clips"]);
}

#[test]
fn training_needs_a_sound_configuration() {
    let place = Place::new();
    let missing = place.vidit(["train", "no.toml"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.starts_with("error: cannot read `no.toml`: "), "{}", missing.stderr);
    std::fs::write(place.file("a.toml"), "kind = \"poetry\"\n").unwrap();
    let unknown = place.vidit(["train", "a.toml"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("poetry"), "{}", unknown.stderr);
    assert_eq!(place.names(), ["a.toml"]);
}
