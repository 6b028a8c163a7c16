//! VBench's plain arithmetic and bookkeeping.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::process::Command;

use serde_json::{Value, json};
use vidit_media::{WriteOptions, write_video};
use vidit_vbench::{Dimension, DimensionResult, Results, SAMPLES, Suite, VideoResult, published_row};
use vidit_video::{Frames, PixelShape};
use vidit_weights::{StoredType, TensorStore};

use crate::binary::{Place, Run};

/// A published row in the reference's layout.
fn row(name: &str, without: &[Dimension]) -> String {
    let raw = published_row(name).unwrap().raw();
    let kept = raw.into_iter().filter(|(dimension, _)| !without.contains(dimension));
    let all: BTreeMap<Dimension, Value> =
        kept.map(|(dimension, raw)| (dimension, json!([raw, []]))).collect();
    serde_json::to_string(&all).unwrap()
}

fn line(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn totals_are_made_as_the_leaderboard_does() {
    let place = Place::new();
    fs::write(place.file("sora.json"), row("sora", &[])).unwrap();
    let run = place.vidit(["eval", "aggregate", "sora.json"]);
    assert_eq!(run.stderr, "");
    let text = run.done();
    for part in [
        "total                        84.28\n",
        "quality                      85.51\n",
        "motion smoothness           0.9874",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let told = line(&place.vidit(["eval", "aggregate", "sora.json", "--json"]).done());
    assert!((told["total"].as_f64().unwrap() - 84.2798).abs() < 1e-3, "{told}");
    assert_eq!((&told["partial"], &told["mode"]), (&json!(false), &json!("fixed")));
    let degree = &told["dimensions"]["dynamic_degree"];
    for (key, expected) in [("raw", 0.7991), ("normalised", 0.7991), ("weight", 0.5)] {
        assert!((degree[key].as_f64().unwrap() - expected).abs() < 1e-12, "{degree}");
    }
}

#[test]
fn a_missing_dimension_is_no_zero_unless_the_reference_is_asked_for() {
    let place = Place::new();
    fs::write(place.file("part.json"), row("sora", &[Dimension::Scene])).unwrap();
    let fixed = place.vidit(["eval", "aggregate", "part.json", "--json"]);
    assert_eq!(fixed.stderr, "warning: the total is not given: missing scene\n");
    let fixed = line(&fixed.done());
    assert_eq!(
        (&fixed["total"], &fixed["semantic"], &fixed["missing"]),
        (&Value::Null, &Value::Null, &json!(["scene"]))
    );
    assert!(fixed["quality"].as_f64().unwrap() > 85.0);
    let text = place.vidit(["eval", "aggregate", "part.json"]).done();
    assert!(text.contains("total                   not given: missing scene\n"), "{text}");
    let compat = place.vidit(["eval", "aggregate", "part.json", "--json", "--mode", "compat"]);
    assert!(compat.stderr.starts_with("warning: partial: these count as raw 0"), "{}", compat.stderr);
    let compat = line(&compat.done());
    assert_eq!(compat["partial"], true);
    // Scene's share of Sora's semantics: 56.95 / 82.22 of a ninth, of which a fifth is in the total.
    let expected = 84.2798 - 100.0 * 0.5695 / 0.8222 / 9.0 / 5.0;
    assert!((compat["total"].as_f64().unwrap() - expected).abs() < 1e-3, "{compat}");
}

#[test]
fn scores_that_cannot_be_are_refused_by_name() {
    let place = Place::new();
    fs::write(place.file("bad.json"), r#"{"overall_consistency": [323.99, []], "scene": [NaN, []]}"#)
        .unwrap();
    place.vidit(["eval", "aggregate", "bad.json"]).refused(
        1,
        "error: `bad.json` holds scores that cannot be used\n\
         \x20 `overall_consistency` must be a share from 0 to 1, found `323.99`\n\
         \x20 `scene` must begin with its score, a number, found `NaN`\n\
         hint: scores are shares of 1 here, not percents: divide by 100\n\
         hint: a video that could not be read, or an empty list of videos, makes such scores; find it with `vidit eval preflight`\n",
    );
    fs::write(place.file("below.json"), r#"{"color": [-0.25, []], "temporal_style": [-0.01, []]}"#).unwrap();
    place.vidit(["eval", "aggregate", "below.json"]).refused(
        1,
        "error: `below.json` holds scores that cannot be used\n\
         \x20 `color` must be a share from 0 to 1, found `-0.25`\n",
    );
    let missing = place.vidit(["eval", "aggregate", "none.json"]);
    assert!(
        missing.code == Some(1) && missing.stderr.contains("cannot read `none.json`"),
        "{}",
        missing.stderr
    );
    let i2v = place.vidit(["eval", "aggregate", "bad.json", "--mode", "best"]);
    assert_eq!(i2v.code, Some(2));
}

#[test]
fn pictures_that_become_videos_have_totals_of_their_own() {
    let place = Place::new();
    let mut members: BTreeMap<&str, Value> =
        ["i2v_subject", "i2v_background"].map(|name| (name, json!([1.0, {}, []]))).into();
    members.insert("camera_motion", json!([0.0, {"pan_left": 0.0}, []]));
    fs::write(place.file("i2v.json"), json!(members).to_string()).unwrap();
    let run = place.vidit(["eval", "aggregate", "i2v.json", "--i2v", "--json"]);
    assert!(run.stderr.starts_with("warning: missing subject_consistency"), "{}", run.stderr);
    let told = line(&run.done());
    assert!((told["i2v"].as_f64().unwrap() - 100.0 * 2.0 / 2.1).abs() < 1e-9, "{told}");
    assert_eq!(told["total"], Value::Null);
    // Beside others it is no less.
    let beside = line(&place.vidit(["eval", "compare", "i2v.json", "--published", "sora", "--json"]).done());
    let rows = beside["rows"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).map(|row| &row["values"]);
    assert_eq!(row("i2v_subject"), Some(&json!([100.0, null])));
    assert!(row("i2v_given").is_some() && row("i2v_total").is_none(), "{beside}");
    place.vidit(["eval", "report", "i2v.json", "-o", "i2v.html"]).done();
    let page = fs::read_to_string(place.file("i2v.html")).unwrap();
    assert!(page.contains("VBench-I2V: given picture<b>95.24</b>"), "{page}");
    let without = place.vidit(["eval", "aggregate", "i2v.json"]);
    assert!(without.stderr.contains("hint: `--i2v` makes"), "{}", without.stderr);
}

#[test]
fn models_stand_side_by_side() {
    let place = Place::new();
    fs::write(place.file("mine_eval_results.json"), row("luma", &[])).unwrap();
    let text = place
        .vidit(["eval", "compare", "published:sora", "mine_eval_results.json", "--published", "wan"])
        .done();
    let head: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["sora", "mine", "wan2.1-14b"]);
    assert!(text.contains("86.22*   +1.94"), "{text}");
    assert!(text.contains("wan2.1-14b lacks subject_consistency"), "{text}");
    let told = line(&place.vidit(["eval", "compare", "--json", "--published", "sora,luma"]).done());
    assert_eq!(told["rows"].as_array().unwrap().len(), 19);
    let total = &told["rows"][0];
    assert_eq!(
        (&total["name"], &total["values"], &total["best"]),
        (&json!("total"), &json!([84.28, 83.61]), &json!([0]))
    );
    place.vidit(["eval", "compare", "published:cogvideox"]).refused(
        2,
        "error: no published row is called `cogvideox`\nhint: known are cogvideox-1.5-5b, cogvideox-5b\n",
    );
}

const SUITE: &str = r#"[
    {"prompt_en": "a cat", "dimension": ["subject_consistency", "imaging_quality"]},
    {"prompt_en": "a red car", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}}
]"#;

fn clip(folder: &Path, name: &str, shade: u8, frames: usize) {
    let mut clip = Frames::black(PixelShape::new(frames, 32, 48));
    clip.rgb_mut().fill(shade);
    write_video(&clip, 8, &folder.join(name), &WriteOptions { overwrite: true, ..WriteOptions::default() })
        .unwrap();
}

#[test]
fn a_suite_is_looked_at_before_it_is_measured() {
    let place = Place::new();
    fs::write(place.file("suite.json"), SUITE).unwrap();
    let videos = place.file("videos");
    fs::create_dir(&videos).unwrap();
    for (name, shade) in
        [("a cat-0.mp4", 10), ("a cat-1.mp4", 60), ("a red car-0.mp4", 120), ("a red car-1.mp4", 180)]
    {
        clip(&videos, name, shade, 5);
    }
    let dimensions = "subject_consistency,imaging_quality,color";
    let look = |more: &[&str]| {
        let args = [
            "eval",
            "preflight",
            "videos",
            "--suite",
            "suite.json",
            "--samples",
            "2",
            "--dimensions",
            dimensions,
        ];
        place.vidit([&args, more].concat())
    };
    let whole = look(&[]);
    assert_eq!(whole.stderr, "");
    let text = whole.done();
    assert!(text.contains("4 of 48x32, 5 frames, 8 fps"), "{text}");
    assert!(
        text.ends_with(
            "3 of 16 dimensions were asked for; 2 samples of each prompt were asked for, and VBench takes 5\n"
        ),
        "{text}"
    );
    assert_eq!(line(&look(&["--json"]).done())["complete"], true);

    // One of each trouble.
    let bytes = fs::read(videos.join("a cat-0.mp4")).unwrap();
    fs::write(videos.join("a cat-0.mp4"), &bytes[..bytes.len() - 40]).unwrap();
    clip(&videos, "a cat-1.mp4", 60, 1);
    fs::write(videos.join("a red car-0.mp4"), "").unwrap();
    fs::rename(videos.join("a red car-1.mp4"), videos.join("a_red_car-1.mp4")).unwrap();
    fs::copy(videos.join("a cat-1.mp4"), videos.join("copy.mp4")).unwrap();
    let broken = look(&["--json"]);
    assert_eq!(
        (broken.code, broken.stderr.as_str()),
        (
            Some(1),
            "error: the suite is not complete: 1 of 4 videos are missing, 3 cannot be measured, 1 are there twice\n"
        )
    );
    let told = line(&broken.stdout);
    assert_eq!(told["missing"], json!([{"name": "a red car-1.mp4", "dimensions": ["color"]}]));
    let reasons: Vec<&str> =
        told["unusable"].as_array().unwrap().iter().map(|entry| entry["reason"].as_str().unwrap()).collect();
    assert!(!reasons[0].is_empty(), "cut off: {reasons:?}");
    assert_eq!(
        reasons[1..],
        ["it has too few frames: 1, and `subject_consistency` needs 2", "the file is empty"]
    );
    assert_eq!(told["extra"][0]["meant"], "a red car-1.mp4");
    assert_eq!(told["same_bytes"][0].as_array().unwrap().len(), 2);
    let names = look(&["--names-only"]);
    assert_eq!(names.code, Some(1));
    assert!(
        names.stdout.contains("is it `a red car-1.mp4`?") && !names.stdout.contains("cannot be measured"),
        "{}",
        names.stdout
    );

    for verb in [
        &["preflight", "none"][..],
        &["run", "none", "-o", "out"],
        &["run", "none", "-o", "out", "--custom"],
        &["filter", "none", "-o", "out"],
    ] {
        place.vidit([&["eval"], verb].concat()).refused(
            2,
            "error: cannot read the videos `none`: it does not exist\nhint: name the folder of the videos\n",
        );
    }
    for verb in [&["preflight", "suite.json"][..], &["run", "suite.json", "-o", "out"]] {
        place.vidit([&["eval"], verb].concat()).refused(
            2,
            "error: cannot read the videos `suite.json`: it is no folder\n\
             hint: name the folder of the videos; `vidit eval run --custom` measures a single one\n",
        );
    }
    let wrong = place.vidit(["eval", "preflight", "videos", "--dimensions", "colour"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("did you mean `color`?"), "{}", wrong.stderr);
}

/// Scores of every video of the standard suite.
fn whole() -> Results {
    let mut results = Results::default();
    for dimension in Dimension::ALL {
        let videos = Suite::standard().videos(&[dimension], SAMPLES);
        let videos = videos.iter().map(|video| match dimension.is_boolean() {
            true => VideoResult::new(format!("{}.mp4", video.stem()), true),
            false => VideoResult::new(format!("{}.mp4", video.stem()), 0.5 * dimension.video_scale()),
        });
        let overall = if dimension.is_boolean() { 1.0 } else { 0.5 };
        results.dimensions.insert(
            dimension,
            DimensionResult { overall, videos: videos.collect(), ..DimensionResult::default() },
        );
    }
    results
}

#[test]
fn only_a_whole_suite_is_packed_for_the_leaderboard() {
    let place = Place::new();
    let folder = place.file("results");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a_eval_results.json"), whole().results_json().unwrap()).unwrap();
    let packed = place.vidit(["eval", "submission", "results", "-o", "out.zip"]).done();
    assert_eq!(packed, "out.zip\n");
    let read = |name: &str| line(&place.vidit(["eval", "aggregate", name, "--json"]).done());
    assert_eq!(read("out.zip"), read("results"));
    let again = place.vidit(["eval", "submission", "results", "-o", "out.zip"]);
    assert!(again.code == Some(2) && again.stderr.contains("it exists already"), "{}", again.stderr);

    fs::write(folder.join("a_eval_results.json"), row("sora", &[Dimension::Scene])).unwrap();
    let part = place.vidit(["eval", "submission", "results", "-o", "part.zip"]);
    assert_eq!(part.code, Some(1));
    for text in [
        "error: `results` is no complete submission\n",
        "  `scene` is missing\n",
        "  `color` lists no videos\n",
        "hint: an incomplete suite",
    ] {
        assert!(part.stderr.contains(text), "{}", part.stderr);
    }
    assert_eq!(place.names(), ["out.zip", "results"]);
}

#[test]
fn a_page_is_made_of_results() {
    let place = Place::new();
    fs::write(place.file("mine_eval_results.json"), row("luma", &[])).unwrap();
    fs::write(place.file("manifest.json"), r#"{"weights": [{"network": "dino", "origin": "random"}]}"#)
        .unwrap();
    let run = place.vidit([
        "eval",
        "report",
        "mine_eval_results.json",
        "-o",
        "page.html",
        "--manifest",
        "manifest.json",
        "--published",
        "kling",
    ]);
    assert_eq!(run.done(), "page.html\n");
    let page = fs::read_to_string(place.file("page.html")).unwrap();
    for text in ["<h1>mine</h1>", "<strong>Random weights</strong>", "Kling (published)", "<b>83.61</b>"] {
        assert!(page.contains(text), "{text}");
    }
    for other in [r#"{"weights": 3}"#, r#"{"scene": [0.5, []]}"#, "{}", "[1]"] {
        fs::write(place.file("manifest.json"), other).unwrap();
        let bad = place.vidit([
            "eval",
            "report",
            "mine_eval_results.json",
            "-o",
            "b.html",
            "--manifest",
            "manifest.json",
        ]);
        assert!(
            bad.code == Some(2)
                && bad.stderr.contains("cannot read the manifest `manifest.json`")
                && bad.stderr.contains("\nhint: a run leaves one beside its results"),
            "{other}: {}",
            bad.stderr
        );
    }
    assert!(!place.file("b.html").exists());
}

#[test]
fn videos_are_measured_and_a_second_run_has_nothing_to_do() {
    let place = Place::new();
    fs::create_dir(place.file("videos")).unwrap();
    clip(&place.file("videos"), "a cat-0.mp4", 90, 3);
    clip(&place.file("videos"), "a dog-0.mp4", 120, 2);
    let command =
        ["eval", "run", "videos", "--custom", "--dimensions", "temporal_flickering", "-o", "out", "--json"];
    let told = line(&place.vidit(command).done());
    assert_eq!(
        (&told["videos"], &told["measured_before"], &told["total"]),
        (&json!(2), &json!(0), &Value::Null)
    );
    assert!((told["dimensions"]["temporal_flickering"].as_f64().unwrap() - 1.0).abs() < 0.02, "{told}");
    for file in
        ["vidit_eval_results.json", "vidit_full_info.json", "manifest.json", "report.html", "journal.jsonl"]
    {
        assert!(place.file("out").join(file).is_file(), "{file} is missing");
    }
    let aggregated =
        line(&place.vidit(["eval", "aggregate", "out/vidit_eval_results.json", "--json"]).done());
    assert_eq!(
        aggregated["dimensions"]["temporal_flickering"]["raw"],
        told["dimensions"]["temporal_flickering"]
    );
    let page = fs::read_to_string(place.file("out/report.html")).unwrap();
    assert_eq!(page.matches("<b class=\"none\">not given</b>").count(), 3, "a sum of a part is none");
    clip(&place.file("videos"), "a still-0.mp4", 90, 1);
    let run = place.vidit(command);
    assert!(run.stdout.contains("flicker needs at least 2 frames, found `1`"), "{}", run.stdout);
    fs::remove_file(place.file("videos/a still-0.mp4")).unwrap();
    fs::write(place.file("videos").join("broken.mp4"), b"").unwrap();
    let run = place.vidit(command);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("failed.json"), "{}", run.stderr);
    let again = line(&run.stdout);
    assert_eq!((&again["measured_before"], &again["dimensions"]), (&json!(2), &told["dimensions"]));
    assert!(again["failed"][0]["path"].as_str().unwrap().ends_with("broken.mp4"), "{again}");
    place
        .vidit(["eval", "run", "videos", "--custom", "--dimensions", "imaging_quality", "-o", "out"])
        .refused(2, "error: no folder was named with `--weights`, which lacks the weights of `musiq`\nhint: `vidit eval weights list` names the files and `fetch` fetches them; `--dimensions` leaves out what needs them\n");
}

/// Files may not grow beyond so many blocks of 512 bytes: what a full disk is to a program.
#[cfg(unix)]
fn limited(place: &Place, blocks: usize, command: &[&str]) -> Run {
    let vidit = place.command(command);
    let words: Vec<String> = std::iter::once(vidit.get_program())
        .chain(vidit.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("UTF-8")))
        .collect();
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {}", words.join(" "));
    Run::of(Command::new("sh").args(["-c", &script]).current_dir(place.path()).output().expect("a shell"))
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_told_of_and_what_was_measured_is_kept() {
    let place = Place::new();
    fs::create_dir(place.file("videos")).unwrap();
    clip(&place.file("videos"), "a cat-0.mp4", 90, 3);
    let command =
        ["eval", "run", "videos", "--custom", "--dimensions", "temporal_flickering", "-o", "out", "--json"];
    for (blocks, file) in [(0, "journal.jsonl"), (2, "report.html")] {
        let run = limited(&place, blocks, &command);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("cannot write `out/{file}`")), "{}", run.stderr);
        assert!(run.stderr.contains("File too large"), "{}", run.stderr);
        assert!(!place.file("out").join("report.html").exists());
    }
    assert_eq!(line(&place.vidit(command).done())["measured_before"], 1);
    let left: Vec<_> =
        fs::read_dir(place.file("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "something is left of what could not be written: {left:?}");
}

#[test]
fn videos_that_stand_still_are_found_copied_and_not_looked_at_twice() {
    let place = Place::new();
    fs::create_dir_all(place.file("videos")).unwrap();
    let command = ["eval", "filter", "videos", "-o", "out", "--all", "--weights", "weights", "--json"];
    let run = place.vidit(command);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("holds no videos"), "{}", run.stderr);
    for (name, shades) in [("a cup-0.mp4", [90, 90]), ("a cup-1.mp4", [91, 91]), ("a cat-0.mp4", [20, 200])] {
        let mut clip = Frames::black(PixelShape::new(2, 128, 128));
        shades.iter().enumerate().for_each(|(index, shade)| clip.frame_mut(index).fill(*shade));
        write_video(&clip, 8, &place.file("videos").join(name), &WriteOptions::default()).unwrap();
    }
    let run = place.vidit(command);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("lacks the weights of `raft`"), "{}", run.stderr);
    // A network of random weights: what it says is of no use, but it says it once.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbones/src/raft/golden/tiny.safetensors");
    fs::create_dir(place.file("weights")).unwrap();
    let weights = TensorStore::read(&golden).unwrap().under("weights.");
    weights.write(&place.file("weights/raft.safetensors"), |_| StoredType::F32).unwrap();
    let told = line(&place.vidit(command).done());
    assert_eq!((&told["videos"], &told["measured_before"]), (&json!(3), &json!(0)));
    let list: Value =
        serde_json::from_slice(&fs::read(place.file("out/filtered_static_video.json")).unwrap()).unwrap();
    let count = |prompt: &str| list[prompt]["static_count"].as_u64().unwrap();
    assert!(count("a cup") <= 2 && count("a cat") <= 1, "{list}");
    let copies = fs::read_dir(place.file("out/filtered_videos")).unwrap().count() as u64;
    assert_eq!((copies, &told["static"]), (count("a cup") + count("a cat"), &json!(copies)));
    // Copies of an earlier run go, and what was no copy stays.
    for name in ["an old one-0.mp4", "notes.txt", "mine.mp4"] {
        fs::write(place.file("out/filtered_videos").join(name), "").unwrap();
    }
    assert_eq!(line(&place.vidit(command).done())["measured_before"], 3);
    let left = |name: &str| place.file("out/filtered_videos").join(name).exists();
    assert_eq!(["an old one-0.mp4", "notes.txt", "mine.mp4"].map(left), [false, true, true]);
    assert_eq!(fs::read_dir(place.file("out/filtered_videos")).unwrap().count() as u64, copies + 2);
    // Prompts without videos are in the list, and misspelt names, pictures and other files are told of.
    let entry = |prompt: &str| json!({"prompt_en": prompt, "dimension": ["temporal_flickering"]});
    fs::write(place.file("suite.json"), json!([entry("a cup"), entry("a dog")]).to_string()).unwrap();
    fs::write(place.file("videos/a cup-2.png"), "a picture").unwrap();
    let suite =
        ["eval", "filter", "videos", "-o", "out", "--suite", "suite.json", "--weights", "weights", "--json"];
    let told = line(&place.vidit(suite).done());
    assert_eq!((&told["videos"], &told["measured_before"]), (&json!(2), &json!(2)));
    assert_eq!(told["short"], json!(["a cup", "a dog"]));
    let warnings = told["warnings"].to_string();
    for part in ["1 single picture was", "1 video that is called after no prompt was", "a cat-0.mp4"] {
        assert!(warnings.contains(part), "{part:?} is not in {warnings}");
    }
    let list: Value =
        serde_json::from_slice(&fs::read(place.file("out/filtered_static_video.json")).unwrap()).unwrap();
    assert_eq!(list["a dog"], json!({"static_count": 0, "static_path": []}));
    let within = place.vidit(["eval", "filter", "out/filtered_videos", "-o", "out", "--weights", "weights"]);
    assert!(within.code == Some(2) && within.stderr.contains("where their copies go"), "{}", within.stderr);
}

/// A clip of changing shades, so that each stretch of it flickers otherwise.
fn changing(place: &Place, name: &str, frames: usize) {
    let mut clip = Frames::black(PixelShape::new(frames, 32, 48));
    (0..frames).for_each(|index| clip.frame_mut(index).fill((index * index / 10) as u8));
    write_video(&clip, 8, &place.file("videos").join(name), &WriteOptions::default()).unwrap();
}

#[test]
fn long_videos_are_measured_in_clips() {
    let place = Place::new();
    fs::create_dir(place.file("videos")).unwrap();
    changing(&place, "a cat-0.mp4", 41);
    changing(&place, "a dog-0.mp4", 9);
    let run = |more: &[&str]| {
        let command = ["eval", "run", "videos", "--custom", "--long", "-o", "out", "--json"];
        place.vidit([&command, more].concat())
    };
    let flicker = ["--dimensions", "temporal_flickering"];
    let told = line(&run(&flicker).done());
    assert_eq!(
        (&told["videos"], &told["clips"], &told["measured_before"]),
        (&json!(2), &json!(4), &json!(0))
    );
    let warnings = told["warnings"].to_string();
    for part in ["also on those that move", "not a standard score", "1 videos are shorter than a clip"] {
        assert!(warnings.contains(part), "{part:?} is not in {warnings}");
    }
    let written: Value =
        serde_json::from_slice(&fs::read(place.file("out/vidit_eval_results.json")).unwrap()).unwrap();
    let of = &written["temporal_flickering"];
    let paths: Vec<&str> =
        of[1].as_array().unwrap().iter().map(|clip| clip["video_path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "videos/split_clip/a cat-0/a cat-0_000.mp4",
            "videos/split_clip/a cat-0/a cat-0_001.mp4",
            "videos/split_clip/a cat-0/a cat-0_002.mp4",
            "videos/split_clip/a dog-0/a dog-0_full.mp4"
        ]
    );
    assert_eq!(of[1][2]["frames"], json!([25, 41]));
    let page = fs::read_to_string(place.file("out/report.html")).unwrap();
    assert!(page.contains("class=\"thumb t3\"") && !page.contains("thumb none"), "a clip has no picture");
    let score = |entry: &Value| entry["video_results"].as_f64().unwrap();
    let sums = |list: &Value| list.as_array().unwrap().iter().map(score).sum::<f64>();
    assert!((of[0].as_f64().unwrap() - sums(&of[1]) / 4.0).abs() < 1e-12, "{of}");
    assert_eq!(
        (&of[2][0]["video_path"], &of[2][1]["video_path"]),
        (&json!("videos/a cat-0.mp4"), &json!("videos/a dog-0.mp4"))
    );
    let aggregated =
        line(&place.vidit(["eval", "aggregate", "out/vidit_eval_results.json", "--json"]).done());
    assert_eq!(aggregated["dimensions"]["temporal_flickering"]["raw"], of[0]);
    let manifest: Value =
        serde_json::from_slice(&fs::read(place.file("out/manifest.json")).unwrap()).unwrap();
    assert!(manifest["notes"]["clips"].as_str().unwrap().starts_with("4 of VBench-Long"), "{manifest}");
    assert_eq!(line(&run(&flicker).done())["measured_before"], 2);

    let fixed = run(&[&flicker[..], &["--mode", "fixed"]].concat());
    assert_eq!(fixed.code, Some(1), "{}", fixed.stderr);
    let told = line(&fixed.stdout);
    let reason = told["failed"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("`9` frames, expected the `16`"), "{reason}");
    for (arguments, part) in [
        (&["--dimensions", "subject_consistency_clip2clip"][..], "hint: `--long --clip-to-clip"),
        (&["--dimensions", "background_consistency_clip2clip"][..], "hint: `--long --clip-to-clip"),
        (&["--dimensions", "temporal_flickering", "--clip-to-clip"][..], "found neither"),
        (&["--dimensions", "subject_consistency", "--clip-to-clip"][..], "`dino`, `dinov2`"),
    ] {
        let refused = run(arguments);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(part) && refused.stderr.contains("hint: "), "{}", refused.stderr);
    }
    let both = run(&["--i2v", "pictures"]);
    assert!(both.code == Some(2) && both.stderr.contains("cannot be used with"), "{}", both.stderr);
    // Six of quality: all but flicker.
    let lacking = run(&[]);
    assert!(lacking.stderr.contains("`dino`, `clip_b32`"), "{}", lacking.stderr);
    assert_eq!(fs::read_dir(place.file("videos")).unwrap().count(), 2, "no clip is written");
}

#[test]
fn flicker_of_long_videos_is_measured_on_clips_that_stand_still() {
    let place = Place::new();
    fs::create_dir(place.file("videos")).unwrap();
    // Of three clips the second moves, in as far as a network of random weights says so.
    let mut clip = Frames::black(PixelShape::new(48, 128, 128));
    (0..48).for_each(|index| {
        clip.frame_mut(index).fill(if (16..32).contains(&index) { 40 * (index as u8 % 4) } else { 90 })
    });
    write_video(&clip, 8, &place.file("videos/a cup-0.mp4"), &WriteOptions::default()).unwrap();
    let run = |more: &[&str]| {
        let command =
            ["eval", "run", "videos", "--custom", "--long", "--static-filter", "-o", "out", "--json"];
        place.vidit([&command, more].concat())
    };
    let flicker = ["--dimensions", "temporal_flickering", "--weights", "weights"];
    fs::create_dir(place.file("weights")).unwrap();
    run(&flicker).refused(2, "error: `weights` lacks the weights of `raft`\nhint: `vidit eval weights list` names the files and `fetch` fetches them; `--dimensions` leaves out what needs them\n");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbones/src/raft/golden/tiny.safetensors");
    let weights = TensorStore::read(&golden).unwrap().under("weights.");
    weights.write(&place.file("weights/raft.safetensors"), |_| StoredType::F32).unwrap();
    let told = line(&run(&flicker).done());
    let written: Value =
        serde_json::from_slice(&fs::read(place.file("out/vidit_eval_results.json")).unwrap()).unwrap();
    // What stands still is in the journal: lines of the filter are flags.
    let journal = fs::read_to_string(place.file("out/journal.jsonl")).unwrap();
    let lines: Vec<Value> = journal.lines().map(|text| serde_json::from_str(text).unwrap()).collect();
    let still = lines.iter().filter(|line| line["measured"]["score"] == true).count();
    assert_eq!(lines.len(), 6, "{journal}");
    let listed = written["temporal_flickering"][1].as_array().map_or(0, Vec::len);
    assert_eq!(listed, still, "{written}");
    assert!(told["warnings"].to_string().contains("fewer than 5 clips that stand still"), "{told}");
    let manifest: Value =
        serde_json::from_slice(&fs::read(place.file("out/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["weights"][0]["network"], "raft");
    let unasked = place.vidit(["eval", "run", "videos", "--custom", "--static-filter", "-o", "out"]);
    assert!(unasked.code == Some(2) && unasked.stderr.contains("--long"), "{}", unasked.stderr);
}

#[test]
fn pictures_are_asked_for_where_a_dimension_needs_them() {
    let place = Place::new();
    fs::create_dir(place.file("videos")).unwrap();
    clip(&place.file("videos"), "a cat-0.mp4", 90, 3);
    let refused = |more: &[&str], part: &str| {
        let command = [&["eval", "run", "videos", "-o", "out"], more].concat();
        let run = place.vidit(command);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(part) && run.stderr.contains("hint: "), "{}", run.stderr);
    };
    refused(&["--custom", "--dimensions", "i2v_subject"], "compares videos with given pictures");
    refused(&["--i2v", "pictures"], "needs a suite that names pictures");
    refused(&["--custom", "--dimensions", "camera_motion"], "lacks the weights of `cotracker`");
    refused(&["--custom", "--i2v", "pictures", "--dimensions", "temporal_flickering"], "found neither");
    fs::create_dir(place.file("weights")).unwrap();
    let mut store = TensorStore::default();
    store.insert("a", vec![1], vec![1.0]);
    store.write(&place.file("weights/dino.safetensors"), |_| StoredType::F32).unwrap();
    let subject = ["--custom", "--i2v", "pictures", "--dimensions", "i2v_subject", "--weights", "weights"];
    refused(&subject, "error: 1 given pictures cannot be used, the first: cannot read `pictures`");
    fs::create_dir(place.file("pictures")).unwrap();
    refused(&subject, "a cat.png`");
    refused(&["--custom", "--i2v", "pictures", "--dimensions", "i2v_background"], "`dreamsim_lora`");
    refused(&["--custom", "--i2v", "pictures", "--dimensions", "i2v_subject"], "lacks the weights of `dino`");
}

#[test]
fn a_suite_is_asked_for_what_it_has_prompts_for() {
    let place = Place::new();
    let videos = place.file("videos");
    fs::create_dir(&videos).unwrap();
    let entry = |prompt: &str| json!({"prompt_en": prompt, "dimension": ["temporal_flickering"], "more": 7});
    let suite = |entries: &[Value]| fs::write(place.file("suite.json"), json!(entries).to_string()).unwrap();
    let preflight =
        || place.vidit(["eval", "preflight", "videos", "--suite", "suite.json", "--samples", "1"]);
    suite(&[entry("a cat"), entry("a dog")]);
    clip(&videos, "a cat-0.mp4", 10, 5);
    clip(&videos, "a dog-0.mp4", 20, 5);
    // Two strays that are the same are nobody's videos, and neither is a folder of frames.
    clip(&videos, "stray.mp4", 30, 5);
    fs::copy(videos.join("stray.mp4"), videos.join("twin.mp4")).unwrap();
    fs::create_dir(videos.join("frames-0")).unwrap();
    let text = preflight().done();
    assert!(text.contains("it is a folder, of frames perhaps: a video is a file"), "{text}");
    let run = ["eval", "run", "videos", "--suite", "suite.json", "--samples", "1", "-o", "scores", "-q"];
    let run = place.vidit(run);
    assert!(run.stderr.contains("also on those that move"), "{}", run.stderr);
    run.done();
    let told = fs::read_to_string(place.file("scores/vidit_full_info.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told.as_array().unwrap().len(), &told[0]["more"]), (2, &json!(7)));

    let asked =
        place.vidit(["eval", "preflight", "videos", "--suite", "suite.json", "--dimensions", "color"]);
    let says = "error: the suite has no prompt for color, which `--dimensions` asks for\n";
    assert_eq!((asked.code, asked.stderr.as_str()), (Some(1), says));
    let colour = |colour: &str| json!({"prompt_en": "a cat", "dimension": ["color"], "auxiliary_info": {"color": {"color": colour}}});
    suite(&[colour("red"), colour("blue")]);
    preflight().refused(
        2,
        "error: prompt 1 of the suite is there twice for `color`, which looks for two things then\nhint: say the two in other words: a prompt has one set of videos\n",
    );
    suite(&[]);
    preflight().refused(
        2,
        "error: `suite.json` is no suite: expected a list of prompts, found an empty one\nhint: `assets/vbench/VBench_full_info.json` is one, and docs/vbench.md tells of the layout\n",
    );
}

#[test]
fn weights_of_another_network_are_named_with_their_file() {
    let place = Place::new();
    clip(place.path(), "a.mp4", 10, 5);
    fs::create_dir(place.file("weights")).unwrap();
    let mut store = TensorStore::default();
    store.insert("a", vec![1], vec![1.0]);
    let measure = |dimension: &str| {
        let always = ["eval", "run", "a.mp4", "--custom", "-o", "scores", "--weights", "weights", "--json"];
        place.vidit([&always[..], &["--dimensions", dimension]].concat())
    };
    for (dimension, network) in [
        ("subject_consistency", "dino"),
        ("background_consistency", "clip_b32"),
        ("dynamic_degree", "raft"),
        ("imaging_quality", "musiq"),
    ] {
        let file = format!("weights/{network}.safetensors");
        store.write(&place.file(&file), |_| StoredType::F32).unwrap();
        let run = measure(dimension);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
        assert!(run.stderr.starts_with(&format!("error: cannot use `{file}`: weights ")), "{}", run.stderr);
        assert!(run.stderr.contains("\nhint: is this "), "{}", run.stderr);
        fs::write(place.file(&file), "no weights").unwrap();
        let broken = measure(dimension).stderr;
        assert!(
            broken.starts_with(&format!("error: `{file}` is not a whole safetensors file: ")),
            "{broken}"
        );
    }
}

#[test]
fn frames_are_made_smaller_by_a_rule_that_has_a_say() {
    let place = Place::new();
    clip(place.path(), "a.mp4", 10, 5);
    let run = |dimension: &str, rule: &str| {
        let always = ["eval", "run", "a.mp4", "--custom", "-o", "scores", "--imaging-quality-preprocessing"];
        place.vidit([&always[..], &[rule, "--dimensions", dimension]].concat())
    };
    run("temporal_flickering", "shorter_centercrop").refused(
        2,
        "error: `--imaging-quality-preprocessing shorter_centercrop` has no say in what is measured\n\
         hint: add imaging_quality to `--dimensions`, or leave the option out\n",
    );
    for rule in ["longer", "shorter", "shorter_centercrop", "shorter-centercrop", "None", "none"] {
        let run = run("imaging_quality", rule);
        assert!(run.stderr.contains("lacks the weights of `musiq`"), "{rule}: {}", run.stderr);
    }
    let other = run("imaging_quality", "shortest");
    assert!(other.code == Some(2) && other.stderr.contains("shorter_centercrop"), "{}", other.stderr);
    run("temporal_flickering", "longer").done();
}

#[test]
fn results_stay_in_their_folder_and_come_of_videos_that_are_there() {
    let place = Place::new();
    clip(place.path(), "a.mp4", 10, 5);
    let run = |args: &[&str]| {
        let always = ["eval", "run", "--dimensions", "temporal_flickering", "-o", "scores"];
        place.vidit([&always, args].concat())
    };
    for name in ["../escaped", "a/b", "", "..", "."] {
        run(&["a.mp4", "--custom", "--name", name]).refused(
            2,
            &format!("error: `--name` must be what a file can be called after, found `{name}`\nhint: `--output` says where the results go\n"),
        );
    }
    // Its longest file has 18 bytes more, and names end at 255.
    run(&["a.mp4", "--custom", "--name", &"n".repeat(238)]).refused(
        2,
        "error: `--name` must be at most 237 bytes long, found `238`\nhint: `--title` can be longer\n",
    );
    run(&["none", "--custom"]).refused(
        2,
        "error: cannot read the videos `none`: it does not exist\nhint: name the folder of the videos\n",
    );
    run(&["a.mp4"]).refused(
        2,
        "error: cannot read the videos `a.mp4`: it is no folder\nhint: name the folder of the videos; `vidit eval run --custom` measures a single one\n",
    );
    assert_eq!(place.names(), ["a.mp4"]);
    // Prompts are told by a path as well as by a name.
    let prompts = json!({"./a.mp4": "a cat"});
    fs::write(place.file("prompts.json"), prompts.to_string()).unwrap();
    run(&["a.mp4", "--custom", "--prompt-file", "prompts.json", "-q"]).done();
}

#[test]
fn options_that_have_no_say_and_files_that_are_none_are_refused() {
    let place = Place::new();
    clip(place.path(), "a.mp4", 10, 5);
    let run = |more: &[&str]| {
        let always = ["eval", "run", "a.mp4", "--custom", "--dimensions", "temporal_flickering"];
        place.vidit([&always, more].concat())
    };
    for (more, part) in [
        (&["-o", "scores", "--samples", "3"][..], "cannot be used with"),
        (&["-o", "scores", "--weights", "none"], "`--weights` must be a folder, found `none`\nhint: "),
        (&["-o", "a.mp4"], "cannot make the folder `a.mp4`: a file is called so\nhint: "),
        (&["-o", "scores", "--prompt-file", "none.json"], "cannot read the prompts `none.json`: "),
    ] {
        let run = run(more);
        assert!(run.code == Some(2) && run.stderr.contains(part), "{part:?}: {}", run.stderr);
    }
    for (text, part) in [
        ("{", "cannot read the prompts `prompts.json`: EOF"),
        ("[1]", "cannot read the prompts `prompts.json`: "),
        ("{}", "the file of prompts has none for `a.mp4`"),
    ] {
        fs::write(place.file("prompts.json"), text).unwrap();
        let run = run(&["-o", "scores", "--prompt-file", "prompts.json"]);
        assert!(run.code == Some(2) && run.stderr.contains(part), "{part:?}: {}", run.stderr);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    }
    fs::write(place.file("suite.json"), "{}").unwrap();
    let suite = place.vidit(["eval", "preflight", ".", "--suite", "suite.json"]);
    assert!(suite.code == Some(2) && suite.stderr.contains("expected a list of prompts"), "{}", suite.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_no_text_are_told_of_by_their_escapes() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let videos = place.file("videos");
    fs::create_dir(&videos).unwrap();
    clip(&videos, "a-0.mp4", 10, 5);
    fs::copy(videos.join("a-0.mp4"), videos.join(std::ffi::OsStr::from_bytes(b"x\xff-0.mp4"))).unwrap();
    let run = place.vidit([
        "eval",
        "run",
        "videos",
        "--custom",
        "--dimensions",
        "temporal_flickering",
        "-o",
        "out",
    ]);
    run.refused(
        2,
        "error: the path of a video must be UTF-8, found `videos/x\\xFF-0.mp4`\nhint: rename the file, or its folder\n",
    );
    let look = place.vidit(["eval", "preflight", "videos", "--names-only", "--long", "--json"]);
    assert_eq!(look.code, Some(1), "{}", look.stderr);
    let extra = line(&look.stdout)["extra"].to_string();
    assert!(extra.contains("not UTF-8") && extra.contains(r"x\\xFF-0.mp4"), "{extra}");
}
