//! Every mistake has a sentence, a hint, exit code 2, and leaves nothing behind.

use vidit_weights::{StoredType, TensorStore};

use crate::binary::Place;

/// Runs `vidit generate` with these arguments and compares what it says.
#[track_caller]
fn check(args: &[&str], expected: &str) {
    let place = Place::new();
    place.vidit([&["generate"], args].concat()).refused(2, expected);
    assert!(place.names().is_empty(), "left behind: {:?}", place.names());
}

#[test]
fn prompts() {
    let empty = "error: the prompt is empty\n\
                 hint: say what the video should show, such as \"a red car drives to the left\"\n";
    check(&[""], empty);
    check(&[" \n\t"], empty);
    check(&["?!"], "error: the prompt holds no word\nhint: say in words what the video should show\n");
    check(
        &["a\u{1b}[31m cat"],
        "error: the prompt holds the control character `U+001B` at byte 1\nhint: remove it\n",
    );
    check(
        &[&"a ".repeat(1001)],
        "error: the prompt must be at most 2000 bytes long, found `2002`\nhint: shorten it\n",
    );
    check(
        &["a cat", "--negative", "\u{7}"],
        "error: the negative prompt holds the control character `U+0007` at byte 0\nhint: remove it\n",
    );
}

#[test]
fn prompts_of_too_many_tokens() {
    let place = Place::new();
    let run = place.vidit(["generate", &"zq".repeat(900)]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.starts_with("error: the prompt must be at most "), "{}", run.stderr);
    assert!(run.stderr.contains(" tokens long, found `1801`\nhint: shorten it; "), "{}", run.stderr);
    assert!(place.names().is_empty());
}

#[cfg(unix)]
#[test]
fn prompts_that_are_not_text() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let prompt = std::ffi::OsStr::from_bytes(b"a \xff cat");
    place.vidit(["generate".as_ref(), prompt]).refused(
        2,
        "error: the prompt is not valid UTF-8, found `a \u{fffd} cat`\nhint: set the terminal to UTF-8\n",
    );
    assert!(place.names().is_empty());
}

#[test]
fn sizes() {
    check(
        &["a cat", "--frames", "0"],
        "error: frames must be at least 1, found `0`\nhint: 1 makes an image, 25 is the default clip\n",
    );
    check(
        &["a cat", "--frames", "16"],
        "error: frames must be 4n+1, found `16`\nhint: the nearest legal values are 13 and 17\n",
    );
    check(
        &["a cat", "--frames", "5001"],
        "error: frames must be at most 1025, found `5001`\nhint: ask for less\n",
    );
    check(
        &["a cat", "--size", "100x64"],
        "error: width must be a positive multiple of 16, found `100`\nhint: the nearest legal values are 96 and 112\n",
    );
    check(
        &["a cat", "--size", "64x0"],
        "error: height must be a positive multiple of 16, found `0`\nhint: the nearest legal values are 16\n",
    );
    check(
        &["a cat", "--size", "64x2048"],
        "error: height must be at most 1024, found `2048`\nhint: ask for less\n",
    );
    check(
        &["a cat", "--size", "1024x1024", "--frames", "49"],
        "error: 49 frames of 1024x1024 make `53248` tokens, more than the limit of 16384\n\
         hint: ask for fewer frames or a smaller size\n",
    );
}

#[test]
fn numbers() {
    check(&["a cat", "--steps", "0"], "error: steps must be 1 to 1000, found `0`\nhint: 30 is usual\n");
    check(&["a cat", "--steps", "1001"], "error: steps must be 1 to 1000, found `1001`\nhint: 30 is usual\n");
    check(
        &["a cat", "--guidance", "nan"],
        "error: guidance must be 0 to 50, found `NaN`\nhint: 4 is usual\n",
    );
    check(&["a cat", "--guidance", "-1"], "error: guidance must be 0 to 50, found `-1`\nhint: 4 is usual\n");
    check(
        &["a cat", "--guidance", "inf"],
        "error: guidance must be 0 to 50, found `inf`\nhint: 4 is usual\n",
    );
    check(
        &["a cat", "--fps", "0"],
        "error: frames per second must be 1 to 120, found `0`\nhint: 12 is usual\n",
    );
    check(
        &["a cat", "--fps", "121"],
        "error: frames per second must be 1 to 120, found `121`\nhint: 12 is usual\n",
    );
    check(&["a cat", "--seconds", "nan"], "error: seconds must be above 0, found `NaN`\nhint: 2 is usual\n");
    check(&["a cat", "--seconds", "0"], "error: seconds must be above 0, found `0`\nhint: 2 is usual\n");
    check(
        &["a cat", "--seconds", "1e6"],
        "error: seconds must be at most 85.4 at 12 frames a second, found `1000000`\nhint: ask for less\n",
    );
    // Numbers below 0 are numbers: no option is looked for.
    check(&["a cat", "--seconds", "-1"], "error: seconds must be above 0, found `-1`\nhint: 2 is usual\n");
    let place = Place::new();
    let strength = "error: strength must be 0 to 1, found `-1`\nhint: 0.8 is usual\n";
    place.vidit(["remix", "a.mp4", "a cat", "--strength", "-1"]).refused(2, strength);
    place.vidit(["blend", "a.mp4", "b.mp4", "--strength", "-1"]).refused(2, strength);
    place.vidit(["connect", "a.mp4", "b.mp4", "a cat", "--strength", "-1"]).refused(2, strength);
    place
        .vidit(["boxes", "track", "a.mp4", "--tolerance", "-1"])
        .refused(2, "error: the tolerance must lie between 0 and 1, found `-1`\nhint: 0.03 is usual\n");
    check(&["a cat", "--threads", "0"], "error: --threads must be 1 to 1024, found `0`\n");
}

#[test]
fn models_and_devices() {
    check(
        &["a cat", "--model", "wan"],
        "error: unknown model `wan`: neither a name nor a file\n\
         hint: known is mini; anything else is the path of a weights file\n",
    );
    check(
        &["a cat", "--device", "abacus"],
        "error: unknown device `abacus`\nhint: known are cpu, vulkan, metal, webgpu\n",
    );
    #[cfg(not(feature = "vulkan"))]
    check(
        &["a cat", "--device", "vulkan"],
        "error: device `vulkan` is not in this build\nhint: build with `--features vulkan`\n",
    );
    let place = Place::new();
    std::fs::write(place.file("broken.safetensors"), "no weights").unwrap();
    let run = place.vidit(["generate", "a cat", "--model", "broken.safetensors"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.starts_with("error: `broken.safetensors` is not a whole safetensors file: "),
        "{}",
        run.stderr
    );
    assert_eq!(place.names(), ["broken.safetensors"]);
}

/// Whatever is wrong with a file, it is named, and there is something to do.
#[test]
fn weights_that_are_not_what_they_should_be() {
    let place = Place::new();
    let mut store = TensorStore::default();
    store.insert("a", vec![1], vec![1.0]);
    let write = |name: &str, store: &TensorStore| {
        store.write(&place.file(name), |_| StoredType::F32).unwrap();
    };
    write("other.safetensors", &store);
    let boxes = r#"{"boxes":[{"id":"a","keyframes":[{"frame":0,"box":[0,0,1,1]}]}]}"#;
    std::fs::write(place.file("a.json"), boxes).unwrap();
    let adapted = ["generate", "a cat", "--boxes", "a.json", "--box-adapter"];
    let lacks = |key: &str| {
        format!(
            "error: cannot use `other.safetensors`: weights metadata `{key}` is missing\n\
             hint: the file was made by another model or program\n"
        )
    };
    for more in [&["--json"][..], &[]] {
        let with = |args: &[&str]| place.vidit([args, more].concat());
        with(&["generate", "a cat", "--model", "other.safetensors"]).refused(1, &lacks("vae"));
        with(&[&adapted[..], &["other.safetensors"]].concat()).refused(1, &lacks("boxes"));
        with(&["eval", "mini", "--model", "other.safetensors"]).refused(1, &lacks("vae"));
        with(&["decode", "other.safetensors", "-o", "a.mp4"]).refused(
            1,
            "error: `other.safetensors` holds no latents: expected a tensor `latents` of shape [F, H, W, C], found `a`\n\
             hint: `--save-latents` makes such files\n",
        );
        with(&["decode", "none.safetensors", "-o", "a.mp4"]).refused(
            1,
            "error: cannot read `none.safetensors`: No such file or directory (os error 2)\nhint: check the spelling\n",
        );
    }
    store.insert("b", vec![2], vec![0.5, f32::NAN]);
    write("nan.safetensors", &store);
    place.vidit(["generate", "a cat", "--model", "nan.safetensors"]).refused(
        1,
        "error: cannot use `nan.safetensors`: `b` holds a value that is not finite\n\
         hint: the file is damaged, or training diverged\n",
    );
    // An adapter of the right sizes, without its tensors.
    let sizes = r#"{"width": 192, "heads": 3, "hidden": 16, "blocks": [0]}"#;
    store = TensorStore::default();
    store.metadata.insert("boxes".to_owned(), sizes.to_owned());
    write("empty.safetensors", &store);
    let run = place.vidit([&adapted[..], &["empty.safetensors"]].concat());
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.starts_with("error: cannot use `empty.safetensors`: weights lack `"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: the file was made by another model or version\n"), "{}", run.stderr);
    assert_eq!(place.names(), ["a.json", "empty.safetensors", "nan.safetensors", "other.safetensors"]);
}

#[test]
fn targets() {
    check(
        &["a cat", "-o", "a.avi"],
        "error: cannot write `a.avi`: the format `.avi` is not known\n\
         hint: known are .mp4, .gif, .webp and .png; no extension makes a folder of frames\n",
    );
    check(
        &["a cat", "-o", "no/a.mp4"],
        "error: cannot write `no/a.mp4`: the folder `no` does not exist\nhint: create it first\n",
    );
    check(
        &["a cat", "--save-latents", "no/a.safetensors"],
        "error: cannot write `no/a.safetensors`: the folder `no` does not exist\nhint: create it first\n",
    );
    let long = format!("{}.mp4", "n".repeat(300));
    let too_long = format!(
        "error: cannot write `{long}`: its name is too long for this file system, found `304` bytes\n\
         hint: choose a shorter name; most take 255\n"
    );
    // Before any work: there is no such model.
    check(&["a cat", "-o", &long, "--model", "none"], &too_long);
    check(&["a cat", "--save-latents", &long, "--model", "none"], &too_long);
    let place = Place::new();
    std::fs::write(place.file("a.mp4"), "mine").unwrap();
    for args in [["-o", "a.mp4"], ["--save-latents", "a.mp4"]] {
        let run = place.vidit([&["generate", "a cat"], args.as_slice()].concat());
        assert_eq!(run.code, Some(2));
        assert!(
            run.stderr.starts_with("error: cannot write `a.mp4`: it exists already\nhint: "),
            "{}",
            run.stderr
        );
    }
    assert_eq!(std::fs::read(place.file("a.mp4")).unwrap(), b"mine");
    assert_eq!(place.names(), ["a.mp4"]);
}

#[test]
fn what_the_parser_refuses() {
    for args in [
        &["generate"][..],
        &["generate", "a", "--size", "big"],
        &["generate", "a", "--seed", "-1"],
        &["generate", "a", "--seed", "18446744073709551616"],
        &["generate", "a", "--fps", "1.5"],
        &["generate", "a", "--frames", "5", "--seconds", "1"],
        &["generate", "a", "--sampler", "magic"],
        &["generate", "a", "b"],
        &["decode"],
        &["train"],
        &["data", "compose"],
        &["completions", "cobol"],
        &["dream"],
        &[],
    ] {
        let place = Place::new();
        let run = place.vidit(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty() && run.stdout.is_empty(), "{args:?}");
        assert!(place.names().is_empty());
    }
}

#[test]
fn environment() {
    let place = Place::new();
    let said = |name: &str, value: &str| {
        let output = place.command(["doctor"]).env(name, value).output().unwrap();
        crate::binary::Run::of(output)
    };
    said("VIDIT_ISA", "mmx").refused(
        2,
        "error: VIDIT_ISA names the unknown instruction set `mmx`\n\
         hint: known are scalar, neon, avx2, avx512, avx512bf16, amx\n",
    );
    said("VIDIT_THREADS", "many")
        .refused(2, "error: VIDIT_THREADS must be a number from 1 to 1024, found `many`\n");
    said("VIDIT_THREADS", "0").refused(2, "error: VIDIT_THREADS must be 1 to 1024, found `0`\n");
    let scalar = said("VIDIT_ISA", "scalar").done();
    assert!(scalar.contains(" scalar (in use: scalar)"), "what is hidden is not there: {scalar}");
    assert!(said("VIDIT_THREADS", "").done().contains("threads"));
}

#[test]
fn one_name_for_the_video_and_its_latents() {
    check(
        &["a cat", "-o", "x.mp4", "--save-latents", "./x.mp4"],
        "error: the video and its latents cannot both be `./x.mp4`\nhint: give them two names\n",
    );
}

/// What would change nothing is refused, not ignored.
#[test]
fn options_without_what_they_belong_to() {
    for (args, lacks) in [
        (&["generate", "a cat", "--overwrite"][..], "--output <FILE>"),
        (&["extend", "a.mp4", "a cat", "--overwrite"], "--output <FILE>"),
        (&["boxes", "track", "a.mp4", "--overwrite"], "--output <FILE>"),
        (&["generate", "a cat", "--box-adapter", "a.safetensors"], "--boxes <FILE>"),
        (
            &["loop", "a cat", "--only-new"],
            "all frames of a loop from a prompt are new, found `--only-new`\nhint: ",
        ),
    ] {
        let place = Place::new();
        let run = place.vidit(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(lacks), "{args:?}: {}", run.stderr);
        assert!(place.names().is_empty());
    }
    // Latents are a file that is named, too.
    let place = Place::new();
    let args = ["generate", "a cat", "--save-latents", "no/a.safetensors", "--overwrite"];
    assert!(place.vidit(args).stderr.contains("the folder `no` does not exist"));
}

#[cfg(unix)]
#[test]
fn targets_that_are_no_files() {
    let place = Place::new();
    for name in ["pipe.mp4", "pipe.json"] {
        assert!(std::process::Command::new("mkfifo").arg(place.file(name)).status().unwrap().success());
    }
    std::os::unix::fs::symlink("pipe.mp4", place.file("link.mp4")).unwrap();
    for (args, target) in [
        (&["generate", "a cat", "-o", "pipe.mp4"][..], "pipe.mp4"),
        (&["generate", "a cat", "-o", "link.mp4"], "link.mp4"),
        (&["generate", "a cat", "--save-latents", "pipe.mp4"], "pipe.mp4"),
        (&["boxes", "track", "a.mp4", "-o", "pipe.json"], "pipe.json"),
    ] {
        for more in [&[][..], &["--overwrite"]] {
            let expected =
                format!("error: cannot replace `{target}`: it is a pipe\nhint: choose another name\n");
            place.vidit([args, more].concat()).refused(2, &expected);
        }
    }
    assert_eq!(place.names(), ["link.mp4", "pipe.json", "pipe.mp4"]);
}

#[test]
fn what_cannot_be_expanded() {
    let none = "error: the prompt holds no word\nhint: say in words what the video should show\n";
    check(&["...", "--expand"], none);
    let place = Place::new();
    place.vidit(["expand", "..."]).refused(2, none);
    let french = place.vidit(["expand", "un chat rouge"]);
    assert_eq!((french.code, french.stdout.as_str()), (Some(2), ""));
    assert!(
        french.stderr.contains("English, Chinese or Arabic")
            && french.stderr.contains("found `un chat rouge`\nhint: "),
        "{}",
        french.stderr
    );
    place
        .vidit(["expand", &"a ".repeat(1001)])
        .refused(2, "error: the prompt must be at most 2000 bytes long, found `2002`\nhint: shorten it\n");
}

#[test]
fn a_loop_of_a_clip_that_is_not_there() {
    let place = Place::new();
    place.vidit(["loop", "missing.MP4"]).refused(
        2,
        "error: cannot read the clip `missing.MP4`: it does not exist\nhint: a loop from a prompt takes the prompt alone\n",
    );
    assert!(place.names().is_empty());
}

#[test]
fn folders_that_are_files() {
    let place = Place::new();
    std::fs::write(place.file("note"), "x").unwrap();
    for target in [["--save-latents", "note/x.safetensors"], ["-o", "note/x.mp4"]] {
        let run = place.vidit([&["generate", "a cat"], target.as_slice()].concat());
        let expected =
            format!("error: cannot write `{}`: `note` is no folder\nhint: name a folder\n", target[1]);
        run.refused(2, &expected);
    }
}
