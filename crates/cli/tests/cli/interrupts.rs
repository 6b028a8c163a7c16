//! Ctrl-C.
#![cfg(unix)]

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use vidit_media::{WriteOptions, write_video};
use vidit_video::{Frames, PixelShape};

use crate::binary::{Place, Run};

/// The promise is one second, which a machine that runs all tests at once may not keep. The work itself would go on for minutes.
const REACTION_MAX: Duration = Duration::from_secs(8);

/// Starts a run, interrupts it after a while, and waits for it.
fn interrupted(place: &Place, args: &[&str], after: Duration) -> (Run, Duration) {
    interrupted_when(place, args, || thread::sleep(after))
}

/// Starts a run, interrupts it when `wait` returns, and waits for it.
fn interrupted_when(place: &Place, args: &[&str], wait: impl FnOnce()) -> (Run, Duration) {
    let child = place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait();
    let sent = Instant::now();
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    (Run::of(child.wait_with_output().unwrap()), sent.elapsed())
}

#[test]
fn generation_stops_at_once_and_leaves_nothing() {
    for size in ["64x64", "512x512"] {
        let place = Place::new();
        let args = ["generate", "a cat", "--steps", "1000", "--frames", "25", "--size", size, "-o", "a.mp4"];
        let (run, took) = interrupted(&place, &args, Duration::from_millis(1500));
        assert_eq!(run.code, Some(130), "{}", run.stderr);
        assert!(run.stderr.starts_with("interrupted") && run.stdout.is_empty(), "{}", run.stderr);
        assert!(took < REACTION_MAX, "{took:?} at {size}");
        assert!(place.names().is_empty(), "left behind: {:?}", place.names());
    }
}

#[test]
fn drawing_boxes_leaves_nothing() {
    let place = Place::new();
    let boxes = r#"{"boxes":[{"id":"a","keyframes":[{"frame":0,"box":[0,0,1,1]}]}]}"#;
    std::fs::write(place.file("boxes.json"), boxes).unwrap();
    // Noise takes an encoder seconds.
    let shape = PixelShape::new(60, 1024, 1024);
    let mut noise = vidit_data::Random::new(1, 0);
    let levels = std::iter::repeat_with(|| noise.bits().to_le_bytes()).flatten();
    let clip = Frames::from_rgb(shape, levels.take(shape.pixels() * 3).collect());
    write_video(&clip, 12u32, &place.file("in"), &WriteOptions::default()).unwrap();
    let (run, took) =
        interrupted_when(&place, &["boxes", "draw", "in", "boxes.json", "-o", "d.webp"], || {
            let started = Instant::now();
            while !place.names().iter().any(|name| name.ends_with(".incomplete")) {
                assert!(started.elapsed() < Duration::from_secs(60), "nothing is written");
                thread::sleep(Duration::from_millis(5));
            }
        });
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(run.stderr.starts_with("interrupted") && took < REACTION_MAX, "{took:?}: {}", run.stderr);
    assert_eq!(place.names(), ["boxes.json", "in"]);
}

#[test]
fn evaluation_stops_within_a_generation() {
    for suite in ["text", "sora"] {
        let place = Place::new();
        let args = ["eval", "mini", "--suite", suite, "--steps", "1000"];
        let (run, took) = interrupted(&place, &args, Duration::from_millis(2500));
        assert_eq!(run.code, Some(130), "{}", run.stderr);
        assert!(run.stderr.starts_with("interrupted") && run.stdout.is_empty(), "{}", run.stderr);
        assert!(took < REACTION_MAX, "{took:?} of {suite}");
    }
}

#[test]
fn composing_stops_at_once_and_leaves_nothing() {
    let place = Place::new();
    let args = ["data", "compose", "-o", "clips", "--count", "100000"];
    let (run, took) = interrupted_when(&place, &args, || {
        let started = Instant::now();
        while !place.file("clips.incomplete/00003").exists() {
            assert!(started.elapsed() < Duration::from_secs(60), "no clip is written");
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(run.stderr.starts_with("interrupted"), "{}", run.stderr);
    assert!(took < REACTION_MAX, "{took:?}");
    assert!(place.names().is_empty(), "left behind: {:?}", place.names());
}

#[test]
fn training_keeps_what_it_has_learned_and_goes_on() {
    let place = Place::new();
    let config = |steps: u64| {
        let text = format!(
            r#"
kind = "vae"
[model]
latent_channels = 4
fine_width = 8
coarse_width = 16
encoder_blocks = 1
decoder_blocks = 1
[task]
batch = 1
frames = 5
crop = 16
clip_frames = 5
clip = 32
data = {{ emoji = {{ clips = 10 }} }}
squared = 4.0
divergence = 1e-4
latent_noise = 0.0
[run]
folder = "run"
seed = 1
steps = {steps}
checkpoint_every = 1000000
log_every = 1
[optimizer]
learning_rate = 1e-3
warmup = 1
decay = "constant"
final_fraction = 1.0
beta1 = 0.9
beta2 = 0.99
weight_decay = 0.0
clip_norm = 1.0
ema = 0.9
"#
        );
        std::fs::write(place.file("a.toml"), text).unwrap();
    };
    let lines = || std::fs::read_to_string(place.file("run/metrics.jsonl")).map_or(0, |t| t.lines().count());
    config(1_000_000);
    let (run, took) = interrupted_when(&place, &["train", "a.toml"], || {
        let started = Instant::now();
        while lines() < 3 {
            assert!(started.elapsed() < Duration::from_secs(60), "no step was done");
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(took < REACTION_MAX, "{took:?}");
    let steps = lines();
    let told =
        format!("interrupted: step {steps} of 1000000 is kept in `run`; `vidit train a.toml --resume`");
    assert!(run.stderr.starts_with(&told), "{}", run.stderr);
    config(steps as u64 + 2);
    place.vidit(["train", "a.toml"]).refused(
        2,
        "error: `run` already holds a checkpoint\nhint: `--resume` goes on with it; another `folder` begins anew\n",
    );
    place.vidit(["train", "a.toml", "--resume"]).done();
    assert_eq!(lines(), steps + 2, "no step is done twice");
}
