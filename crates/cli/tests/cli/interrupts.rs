//! Ctrl-C.
#![cfg(unix)]

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::binary::{Place, Run};

/// The promise is one second; another for a machine that runs all tests at once.
const REACTION_MAX: Duration = Duration::from_secs(2);

/// Starts a run, interrupts it after a while, and waits for it.
fn interrupted(place: &Place, args: &[&str], after: Duration) -> (Run, Duration) {
    let child = place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(after);
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
fn composing_stops_at_once_and_leaves_nothing() {
    let place = Place::new();
    let args = ["data", "compose", "-o", "clips", "--count", "100000"];
    let (run, took) = interrupted(&place, &args, Duration::from_millis(700));
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(took < REACTION_MAX, "{took:?}");
    assert!(place.names().is_empty(), "left behind: {:?}", place.names());
}
