//! Verbs that begin with clips and pictures, as small as they come. Folders of frames lose nothing, so that frames can be compared.

use vidit_media::{ReadLimits, WriteOptions, read_video, write_video};
use vidit_video::{Frames, PixelShape};

use crate::binary::Place;

/// A disc that goes to the right, on a colour.
fn clip(place: &Place, name: &str, frames: usize, colour: [u8; 3]) -> Frames {
    let shape = PixelShape::new(frames, 64, 64);
    let mut made = Frames::black(shape);
    for frame in 0..frames {
        for (i, pixel) in made.frame_mut(frame).chunks_exact_mut(3).enumerate() {
            let (x, y) = ((i % 64) as f32 - 20.0 - frame as f32, (i / 64) as f32 - 32.0);
            pixel.copy_from_slice(if x.hypot(y) < 12.0 { &[200, 30, 40] } else { &colour });
        }
    }
    write_video(&made, 12u32, &place.file(name), &WriteOptions::default()).unwrap();
    made
}

fn read(place: &Place, name: &str) -> Frames {
    read_video(&place.file(name), &ReadLimits::default()).unwrap().frames
}

fn run(place: &Place, args: &[&str]) {
    place.vidit([args, &["--steps", "2", "--seed", "1", "-q"]].concat()).done();
}

fn mean_difference(a: &[u8], b: &[u8]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f32::from(a.abs_diff(*b))).sum::<f32>() / a.len() as f32
}

#[test]
fn extensions_keep_the_source_and_go_on_from_it() {
    let place = Place::new();
    let source = clip(&place, "in", 11, [240, 200, 40]);
    run(&place, &["extend", "in", "a red car drives to the right", "--frames", "18", "-o", "forward"]);
    let forward = read(&place, "forward");
    assert_eq!(forward.shape().frames, 29);
    assert_eq!(forward.part(0..11), source);
    run(&place, &["extend", "in", "a red car", "--direction", "backward", "--frames", "6", "-o", "backward"]);
    let backward = read(&place, "backward");
    assert_eq!(backward.part(6..17), source);
    run(&place, &["extend", "in", "a red car", "--frames", "4", "--only-new", "-o", "new"]);
    let new = read(&place, "new");
    assert_eq!(new.shape().frames, 4);
    assert!(
        mean_difference(new.frame(0), source.frame(10)) < 12.0,
        "the new part begins where the clip ends"
    );
}

/// Frames of an mp4 of ours are taken over as they were encoded: they would lose a little each time.
#[test]
fn an_mp4_loses_nothing_however_often_it_goes_on() {
    let place = Place::new();
    clip(&place, "0.mp4", 25, [240, 200, 40]);
    let first = read(&place, "0.mp4");
    let extend = |from: &str, to: &str, direction: &str| {
        run(&place, &["extend", from, "a red car", "--direction", direction, "--frames", "4", "-o", to]);
    };
    extend("0.mp4", "1.mp4", "forward");
    extend("1.mp4", "2.mp4", "backward");
    assert_eq!(read(&place, "1.mp4").part(0..25), first);
    assert_eq!(read(&place, "2.mp4").part(4..33), read(&place, "1.mp4"));
    run(&place, &["connect", "2.mp4", "0.mp4", "a red car", "--frames", "4", "-o", "3.mp4"]);
    run(&place, &["loop", "3.mp4", "--frames", "4", "-o", "4.mp4"]);
    let last = read(&place, "4.mp4");
    assert_eq!(last.shape().frames, 66);
    assert_eq!((last.part(4..29), last.part(37..62)), (first.clone(), first));
}

#[test]
fn connections_blends_and_loops_meet_their_clips() {
    let place = Place::new();
    let (from, to) = (clip(&place, "a", 5, [240, 200, 40]), clip(&place, "b", 9, [30, 60, 220]));
    run(&place, &["connect", "a", "b", "a red car becomes a cat", "--frames", "8", "-o", "between"]);
    let between = read(&place, "between");
    assert_eq!((between.part(0..5), between.part(13..22)), (from.clone(), to.clone()));
    run(&place, &["blend", "a", "b", "--strength", "0", "--curve", "linear", "-o", "blend"]);
    let blend = read(&place, "blend");
    assert_eq!(blend.shape().frames, 5);
    assert!(mean_difference(blend.frame(0), from.frame(0)) < 8.0);
    // Four frames from one colour to the other are one latent frame: its last is not quite there.
    assert!(
        mean_difference(blend.frame(4), to.frame(4)) < 0.25 * mean_difference(blend.frame(4), from.frame(4))
    );
    run(&place, &["loop", "b", "--frames", "4", "-o", "loop"]);
    assert_eq!(read(&place, "loop").part(0..9), to);
    run(&place, &["loop", "a red car stays in place", "--frames", "8", "--size", "64x64", "-o", "new"]);
    assert_eq!(read(&place, "new").shape(), PixelShape::new(8, 64, 64));
}

#[test]
fn a_remix_changes_what_the_mask_shows() {
    let place = Place::new();
    let source = clip(&place, "in", 6, [240, 200, 40]);
    let mut mask = Frames::black(PixelShape::new(1, 64, 64));
    for (i, pixel) in mask.frame_mut(0).chunks_exact_mut(3).enumerate() {
        pixel.fill(if i % 64 < 32 { 255 } else { 0 });
    }
    write_video(&mask, 1u32, &place.file("mask.png"), &WriteOptions::default()).unwrap();
    let prompt = "a cat on a blue background";
    run(&place, &["remix", "in", prompt, "--strength", "1", "--mask", "mask.png", "-o", "half"]);
    run(&place, &["remix", "in", prompt, "--strength", "0", "-o", "same"]);
    let (half, same) = (read(&place, "half"), read(&place, "same"));
    assert_eq!((half.shape(), same.shape()), (source.shape(), source.shape()));
    let side = |frames: &Frames, left: bool| -> Vec<u8> {
        let pixels = frames.frame(3).chunks_exact(3).enumerate();
        // Not the columns at the edge of the mask, which decoding mixes.
        let here = pixels.filter(|(i, _)| if left { i % 64 < 16 } else { i % 64 >= 48 });
        here.flat_map(|(_, pixel)| pixel.to_vec()).collect()
    };
    assert!(mean_difference(&side(&half, true), &side(&same, true)) > 20.0);
    assert!(mean_difference(&side(&half, false), &side(&same, false)) < 6.0);
    assert!(mean_difference(same.frame(0), source.frame(0)) < 8.0);
}

#[test]
fn pictures_stand_where_they_are_put() {
    let place = Place::new();
    let picture = clip(&place, "first.png", 1, [240, 200, 40]);
    let other = clip(&place, "last.png", 1, [30, 60, 220]);
    let args = ["--image", "first.png", "--last-image", "last.png", "--size", "64x64", "--frames", "9"];
    run(&place, &[&["generate", "a red car becomes a cat", "-o", "out"], args.as_slice()].concat());
    let made = read(&place, "out");
    assert_eq!(made.shape().frames, 9);
    assert!(mean_difference(made.frame(0), picture.frame(0)) < 8.0);
    // Not trained to arrive yet: nearer to the last picture than to the first is what two steps can show.
    assert!(
        mean_difference(made.frame(8), other.frame(0)) < mean_difference(made.frame(8), picture.frame(0))
    );
    run(&place, &["image", "a cat", "--size", "64x64", "-o", "cat"]);
    assert_eq!(read(&place, "cat").shape(), PixelShape::new(1, 64, 64));
}

#[test]
fn storyboards_are_played_from_card_to_card() {
    let place = Place::new();
    clip(&place, "end.png", 1, [30, 60, 220]);
    let board = r#"
frames = 34
[[card]]
frame = 0
prompt = "a red car drives to the right on a yellow background"
[[card]]
frame = 24
prompt = "a red car drives to the left"
[[card]]
frame = 32
image = "end.png"
"#;
    std::fs::write(place.file("board.toml"), board).unwrap();
    run(&place, &["generate", "--storyboard", "board.toml", "--size", "64x64", "-o", "out"]);
    let made = read(&place, "out");
    assert_eq!(made.shape(), PixelShape::new(34, 64, 64));
    let end = read(&place, "end.png");
    let apart = mean_difference(made.frame(33), end.frame(0));
    // The decoder looks back at what two steps made of the frames before; yellow would be 170 levels away.
    assert!(apart < 20.0, "{apart}");
    let wrong = place.vidit(["generate", "--storyboard", "board.toml", "--frames", "9"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("cannot be used with"), "{}", wrong.stderr);
    let none = place.vidit(["generate"]);
    assert!(none.code == Some(2) && none.stderr.contains("PROMPT"), "{}", none.stderr);
}

#[test]
fn impossible_wishes_are_refused_and_lose_nothing() {
    let place = Place::new();
    clip(&place, "in", 5, [240, 200, 40]);
    clip(&place, "wide", 5, [240, 200, 40]);
    std::fs::write(place.file("broken.mp4"), b"not a video at all").unwrap();
    std::fs::write(place.file("nine.json"), r#"{"boxes":[]}"#).unwrap();
    std::fs::write(
        place.file("late.json"),
        r#"{"boxes":[{"id":"a","keyframes":[{"frame":90,"box":[0,0,1,1]}]}]}"#,
    )
    .unwrap();
    for (name, shape) in [
        ("odd", PixelShape::new(2, 40, 64)),
        ("low", PixelShape::new(5, 32, 64)),
        ("flat.png", PixelShape::new(1, 32, 64)),
        ("wide.png", PixelShape::new(1, 16, 2000)),
    ] {
        write_video(&Frames::black(shape), 12u32, &place.file(name), &WriteOptions::default()).unwrap();
    }
    for (name, rate) in [("slow.mp4", 12u32), ("fast.mp4", 30)] {
        let black = Frames::black(PixelShape::new(5, 64, 64));
        write_video(&black, rate, &place.file(name), &WriteOptions::default()).unwrap();
    }
    let before = place.names();
    for (args, named) in [
        (&["extend", "broken.mp4", "a cat"][..], "broken.mp4"),
        (&["extend", "none.mp4", "a cat"], "none.mp4"),
        (&["extend", "in", ""], "the prompt is empty"),
        (&["extend", "in", "a cat", "--frames", "0"], "0 is not in 1..=1024"),
        (&["extend", "odd", "a cat"], "--size 160x96"),
        (&["connect", "in", "low", "a cat"], "one size, found 64x64 and 64x32"),
        (&["connect", "in", "in", "a cat", "--frames", "7"], "multiple of 4"),
        (&["connect", "in", "in", "a cat", "--strength", "1.5"], "must be 0 to 1, found `1.5`"),
        (&["connect", "slow.mp4", "fast.mp4", "a cat"], "one frame rate, found 12 and 30 frames a second"),
        (&["blend", "fast.mp4", "slow.mp4"], "`ffmpeg -i IN -r 30 OUT.mp4`"),
        (&["remix", "in", "a cat", "--strength", "1.5"], "strength must be 0 to 1, found `1.5`"),
        (
            &["remix", "in", "a cat", "--mask", "low"],
            "the mask `low` must be one picture, found 5 frames\nhint: save one",
        ),
        (&["remix", "in", "a cat", "--mask", "flat.png"], "mask `flat.png` must have the size of the clip"),
        (&["blend", "in", "in", "--strength", "nan"], "strength"),
        (&["loop", "none.mp4", "a cat"], "does not exist"),
        (&["generate", "a cat", "--image", "none.png"], "none.png"),
        (
            &["generate", "a cat", "--image", "wide.png"],
            "in the shape of the picture, 2000x16, must have sides",
        ),
        (&["generate", "a cat", "--frame", "3=in", "--frames", "9"], "frame 0 or 4n+1"),
        (&["generate", "a cat", "--boxes", "none.json"], r#"such as {"boxes": [{"id": "#),
        (&["generate", "a cat", "--boxes", "nine.json"], "1 to 8 objects, found `0`"),
        (&["generate", "a cat", "--boxes", "late.json"], "frame 90 of 25"),
        (&["boxes", "draw", "in", "late.json", "-o", "drawn"], "frame 90 of 5"),
    ] {
        let run = place.vidit(args);
        assert!(run.stderr.contains(named), "{args:?}: {}", run.stderr);
        assert!(
            run.stderr.contains("hint: ") || run.stderr.contains("For more information"),
            "{}",
            run.stderr
        );
        assert!(matches!(run.code, Some(1 | 2)), "{args:?}: {:?}", run.code);
        assert_eq!(place.names(), before, "{args:?} left something");
    }
}

#[test]
fn boxes_are_painted_on_clips() {
    let place = Place::new();
    let source = clip(&place, "in", 5, [240, 200, 40]);
    let boxes = r#"{"boxes":[{"id":"a","keyframes":[{"frame":1,"box":[0.25,0.25,0.75,0.75]}]}]}"#;
    std::fs::write(place.file("boxes.json"), boxes).unwrap();
    let words = place.vidit(["boxes", "draw", "in", "boxes.json", "-o", "drawn"]).done();
    assert_eq!(words, "drawn\n  5 frames of 64x64 at 12 fps\n");
    let line = place.vidit(["boxes", "draw", "in", "boxes.json", "-o", "again", "--json"]).done();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&told["path"], &told["fps"], &told["objects"]), (&"again".into(), &12.into(), &1.into()));
    let drawn = read(&place, "drawn");
    assert_eq!((drawn.frame(0), drawn.frame(2)), (source.frame(0), source.frame(2)));
    let corner = (16 * 64 + 16) * 3;
    assert_eq!(drawn.frame(1)[corner..corner + 3], [255, 0, 0]);
}

#[test]
fn boxes_are_proposed_from_what_moves() {
    let place = Place::new();
    clip(&place, "in", 13, [240, 200, 40]);
    let words = place.vidit(["boxes", "track", "in", "-o", "found.json"]).done();
    assert_eq!(words, "found.json\n  1 object\n");
    let found: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.file("found.json")).unwrap()).unwrap();
    let line = place.vidit(["boxes", "track", "in", "--json"]).done();
    assert_eq!(
        (line.lines().count(), serde_json::from_str::<serde_json::Value>(&line).unwrap()),
        (1, found.clone())
    );
    let replaced = ["boxes", "track", "in", "-o", "found.json", "--overwrite"];
    assert_eq!(place.vidit([&replaced[..], &["-q"]].concat()).done(), "found.json\n");
    let line = place.vidit([&replaced[..], &["--json"]].concat()).done();
    assert_eq!(line, "{\"objects\":1,\"path\":\"found.json\"}\n");
    let keyframes = found["boxes"][0]["keyframes"].as_array().unwrap();
    // Twelve pixels to the right at an even pace: two keyframes say it.
    assert_eq!(keyframes.len(), 2, "{found}");
    let left = |keyframe: &serde_json::Value| keyframe["box"][0].as_f64().unwrap();
    assert!((left(&keyframes[0]) - 8.0 / 64.0).abs() < 0.04, "{found}");
    assert!((left(&keyframes[1]) - 20.0 / 64.0).abs() < 0.04, "{found}");
    // A second object is a second track.
    let mut two = read(&place, "in");
    for frame in 0..13 {
        for y in 2..10 {
            two.frame_mut(frame)[(y * 64 + 52) * 3..(y * 64 + 60) * 3].fill(20);
        }
    }
    write_video(&two, 12u32, &place.file("two"), &WriteOptions::default()).unwrap();
    let both: serde_json::Value =
        serde_json::from_str(&place.vidit(["boxes", "track", "two"]).done()).unwrap();
    let ids: Vec<_> = both["boxes"].as_array().unwrap().iter().map(|object| &object["id"]).collect();
    assert_eq!(ids, ["object-1", "object-2"], "{both}");
    // What was proposed is what is read.
    place.vidit(["boxes", "draw", "in", "found.json", "-o", "drawn"]).done();
    let again = place.vidit(["boxes", "track", "in", "-o", "found.json"]);
    assert!(again.stderr.contains("exists already") && again.code == Some(2), "{}", again.stderr);
}

#[test]
fn pictures_in_one_place_and_clips_as_pictures_are_refused() {
    let place = Place::new();
    clip(&place, "one.png", 1, [240, 200, 40]);
    clip(&place, "five.mp4", 5, [240, 200, 40]);
    let size = ["--size", "64x64", "--frames", "9"];
    let generate =
        |args: &[&str]| place.vidit([&["generate", "a cat", "-o", "x.mp4"], &size[..], args].concat());
    for (args, expected) in [
        (
            &["--image", "one.png", "--frame", "0=one.png"][..],
            "error: two pictures stand at frame 0: the first image and what `--frame` gives\nhint: leave one out, or move it\n",
        ),
        (
            &["--frame", "0=five.mp4", "--frame", "4=one.png"],
            "error: two pictures stand at frame 4: what `--frame` gives and what `--frame` gives\nhint: leave one out, or move it\n",
        ),
        (
            &["--image", "five.mp4"],
            "error: `five.mp4` must be one picture, found 5 frames\nhint: give one of them, or with `generate` the clip as `--frame 0=five.mp4`\n",
        ),
    ] {
        generate(args).refused(2, expected);
    }
    assert_eq!(place.names(), ["five.mp4", "one.png"]);
}

#[test]
fn strengths_and_rates_are_checked_before_the_work() {
    let place = Place::new();
    clip(&place, "five.mp4", 5, [240, 200, 40]);
    let strength = "error: strength must be 0 to 1, found `5`\nhint: 0.8 is usual\n";
    place.vidit(["blend", "five.mp4", "five.mp4", "--strength", "5"]).refused(2, strength);
    place.vidit(["remix", "five.mp4", "a cat", "--strength", "5"]).refused(2, strength);
    place.vidit(["loop", "five.mp4", "--fps", "5"]).refused(
        2,
        "error: a loop of a clip has the clip's frame rate, found `--fps 5`\nhint: leave `--fps` out\n",
    );
}

#[test]
fn folders_of_frames_are_shown_at_the_usual_rate() {
    let place = Place::new();
    clip(&place, "in", 9, [240, 200, 40]);
    run(&place, &["extend", "in", "a red car", "--frames", "4", "-o", "out.mp4"]);
    assert_eq!(read_video(&place.file("out.mp4"), &ReadLimits::default()).unwrap().fps, 12.0);
}

#[test]
fn names_of_our_own_that_are_taken_meanwhile_are_counted_on() {
    let place = Place::new();
    let args = ["generate", "a cat", "--size", "32x32", "--frames", "1", "--steps", "1", "-q"];
    let all: Vec<_> = (0..3).map(|_| place.command(args).spawn().unwrap()).collect();
    for mut one in all {
        assert!(one.wait().unwrap().success());
    }
    assert_eq!(place.names(), ["a-cat-2.mp4", "a-cat-3.mp4", "a-cat.mp4"]);
}
