use std::fs;
use std::path::Path;

use super::*;

const SUITE: &str = r#"[
    {"prompt_en": "a cat on a mat", "dimension": ["subject_consistency", "motion_smoothness"]},
    {"prompt_en": "A fantasy landscape", "dimension": ["overall_consistency"]},
    {"prompt_en": "a fantasy landscape", "dimension": ["overall_consistency"]},
    {"prompt_en": "its façade", "dimension": ["overall_consistency"]},
    {"prompt_en": "a flag in the wind", "dimension": ["temporal_flickering"]}
]"#;

const FACTS: VideoFacts = VideoFacts { width: 256, height: 256, frames: 16, fps: Some(8.0) };
const PROMPTS: [&str; 5] =
    ["a cat on a mat", "A fantasy landscape", "a fantasy landscape", "its façade", "a flag in the wind"];

fn dimensions() -> Vec<Dimension> {
    vec![
        Dimension::SubjectConsistency,
        Dimension::MotionSmoothness,
        Dimension::OverallConsistency,
        Dimension::TemporalFlickering,
    ]
}

fn put(dir: &Path, name: &str) {
    fs::write(dir.join(name), name).unwrap();
}

/// A folder with two samples of every prompt, and a further one of the flag.
fn whole() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for prompt in PROMPTS {
        for index in 0..2 {
            put(dir.path(), &format!("{prompt}-{index}.mp4"));
        }
    }
    put(dir.path(), "a flag in the wind-2.mp4");
    dir
}

fn look_for(
    dir: &Path,
    dimensions: Vec<Dimension>,
    read: impl Fn(&Path) -> Result<VideoFacts, String> + Sync,
) -> Preflight {
    let suite = Suite::from_json(Path::new("suite.json"), SUITE).unwrap();
    let options = PreflightOptions { suite: &suite, dimensions, samples: 2, read: true, long: false };
    preflight(dir, &options, &read, &|_, _| ()).unwrap()
}

fn look(dir: &Path) -> Preflight {
    look_for(dir, dimensions(), |_| Ok(FACTS))
}

#[test]
fn a_whole_suite_is_complete_and_not_standard() {
    let dir = whole();
    let found = look(dir.path());
    assert!(found.complete && !found.standard, "{found}");
    assert_eq!((found.expected, found.found, found.located.len()), (10, 10, 10));
    assert_eq!(found.dimensions[&Dimension::OverallConsistency], Coverage { expected: 6, found: 6 });
    assert_eq!(found.kinds, [Kind { facts: FACTS, videos: 10 }]);
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    let text = found.to_string();
    assert!(text.contains("no standard scores: the suite is not VBench's own; 4 of 16 dimensions"), "{text}");
    assert!(text.contains("10 of 256x256, 16 frames, 8 fps"), "{text}");
}

#[test]
fn what_is_missing_is_named_with_what_probably_happened() {
    let dir = whole();
    for name in
        ["a cat on a mat-0.mp4", "a cat on a mat-1.mp4", "A fantasy landscape-0.mp4", "its façade-1.mp4"]
    {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    for name in [
        "A_cat_on_a_mat_0.mp4",
        "a cat on a mat.mp4",
        "its facade-1.mp4",
        "a dog-7.mp4",
        "notes.txt",
        "its façade-2.mp4",
    ] {
        put(dir.path(), name);
    }
    let found = look(dir.path());
    assert!(!found.complete);
    let missing: Vec<&str> = found.missing.iter().map(|missing| missing.name.as_str()).collect();
    let expected =
        ["a cat on a mat-0.mp4", "a cat on a mat-1.mp4", "A fantasy landscape-0.mp4", "its façade-1.mp4"];
    assert_eq!(missing, expected);
    assert_eq!(found.missing[0].dimensions, [Dimension::SubjectConsistency, Dimension::MotionSmoothness]);
    let hint = found.missing[2].hint.as_deref().unwrap();
    assert!(hint.contains("`a fantasy landscape-0` differs from it in case alone"), "{hint}");
    let extra: Vec<(String, Option<&str>)> = found
        .extra
        .iter()
        .map(|extra| (extra.path.file_name().unwrap().to_str().unwrap().to_owned(), extra.meant.as_deref()))
        .collect();
    assert_eq!(
        extra,
        [
            ("A_cat_on_a_mat_0.mp4".to_owned(), Some("a cat on a mat-0.mp4")),
            ("a cat on a mat.mp4".to_owned(), Some("a cat on a mat-0.mp4")),
            ("a dog-7.mp4".to_owned(), None),
            ("its facade-1.mp4".to_owned(), Some("its façade-1.mp4")),
            ("its façade-2.mp4".to_owned(), None),
        ]
    );
    assert!(found.extra[4].reason.contains("sample 2 is not counted: they are 0 to 1"));
    assert!(found.to_string().ends_with("an incomplete suite is never called a standard score\n"));
}

#[test]
fn samples_are_numbered_without_zeros_before() {
    let dir = whole();
    fs::rename(dir.path().join("its façade-1.mp4"), dir.path().join("its façade-01.mp4")).unwrap();
    put(dir.path(), "a cat on a mat-00.mp4");
    let found = look(dir.path());
    assert_eq!((found.missing.len(), found.unasked), (1, 0), "{found}");
    let [cat, facade] = &found.extra[..] else { panic!("{:?}", found.extra) };
    assert_eq!(cat.reason, "its sample number has zeros before it");
    assert_eq!((&cat.meant, facade.meant.as_deref()), (&None, Some("its façade-1.mp4")));
}

#[test]
#[cfg(unix)]
fn names_that_are_no_text_are_told_and_written() {
    use std::os::unix::ffi::OsStrExt;
    let dir = whole();
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"x\xff-0.mp4")), "x").unwrap();
    let found = look(dir.path());
    assert!(found.complete && found.extra[0].reason.contains("not UTF-8"), "{found}");
    let written = serde_json::to_string(&found).unwrap();
    assert!(written.contains(r"x\\xFF-0.mp4") && found.to_string().contains(r"x\xFF-0.mp4"), "{written}");
}

#[test]
fn videos_are_read_frame_by_frame_within_the_limits_of_a_run() {
    let limits = ReadLimits::default();
    let golden = crate::golden::path("earth_709.mp4");
    let facts = read_facts(&golden, &limits).unwrap();
    // All frames together are beyond the limit, one is not.
    let one = ReadLimits { pixels_max: (facts.width * facts.height) as u64, ..limits };
    assert_eq!(read_facts(&golden, &one).unwrap(), facts);
    assert!(facts.frames > 1 && facts.fps.is_some());
    let few = ReadLimits { frames_max: 1, ..limits };
    let reason = read_facts(&golden, &few).unwrap_err();
    assert!(reason.contains("frames") && !reason.contains('\n'), "{reason}");
}

#[test]
fn copies_and_twins_are_found() {
    let dir = whole();
    fs::copy(dir.path().join("a cat on a mat-0.mp4"), dir.path().join("a cat on a mat-1.mp4")).unwrap();
    put(dir.path(), "its fac\u{327}ade-0.mp4");
    put(dir.path(), "a fantasy landscape-0.gif");
    let found = look(dir.path());
    assert!(!found.complete && found.missing.is_empty(), "{found}");
    assert_eq!(
        found.same_bytes,
        [[dir.path().join("a cat on a mat-0.mp4"), dir.path().join("a cat on a mat-1.mp4")]]
    );
    let names: Vec<&str> = found.same_name.iter().map(|same| same.name.as_str()).collect();
    assert_eq!(names, ["a fantasy landscape-0.mp4", "its façade-0.mp4"]);
    assert_eq!(found.same_name[1].paths[0], dir.path().join("its façade-0.mp4"));
}

#[test]
fn videos_that_cannot_be_measured_are_named() {
    let dir = whole();
    let read = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        match name {
            "a cat on a mat-0.mp4" => Err("the file is empty".to_owned()),
            "a cat on a mat-1.mp4" => Ok(VideoFacts { frames: 2, ..FACTS }),
            "a flag in the wind-0.mp4" => Ok(VideoFacts { frames: 1, ..FACTS }),
            "a flag in the wind-1.mp4" => Ok(VideoFacts { frames: 40, height: 64, ..FACTS }),
            _ => Ok(FACTS),
        }
    };
    let found = look_for(dir.path(), dimensions(), read);
    assert!(!found.complete);
    let reasons: Vec<&str> = found.unusable.iter().map(|unusable| unusable.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "the file is empty",
            "it has too few frames: 2, and `motion_smoothness` needs 3",
            "it has too few frames: 1, and `temporal_flickering` needs 2",
        ]
    );
    // Small frames are none of flicker's concern; lengths are mixed, and one is long.
    assert!(
        found.notes.iter().any(|note| note.starts_with("1 videos are 5 s or longer")),
        "{:?}",
        found.notes
    );
    assert!(found.notes.iter().any(|note| note.contains("of 4 different sizes")), "{:?}", found.notes);
    let small = look_for(dir.path(), dimensions(), |_| Ok(VideoFacts { height: 64, ..FACTS }));
    assert_eq!(small.unusable.len(), 2);
    assert!(
        small.unusable[0].reason.contains("shorter side is 64 pixels, and `motion_smoothness` needs 113")
    );
}

#[test]
fn other_dimensions_videos_are_no_strangers() {
    let dir = whole();
    let found = look_for(dir.path(), vec![Dimension::SubjectConsistency], |_| Ok(FACTS));
    assert!(found.complete && found.extra.is_empty(), "{found}");
    assert_eq!((found.expected, found.unasked), (2, 8));
    let none = look_for(dir.path(), vec![Dimension::Scene], |_| Ok(FACTS));
    assert!(!none.complete && none.notes[0].contains("no prompt for scene"), "{none}");
    fs::create_dir(dir.path().join("scene")).unwrap();
    fs::rename(dir.path().join("a cat on a mat-0.mp4"), dir.path().join("scene/a cat on a mat-0.mp4"))
        .unwrap();
    let moved = look_for(dir.path(), vec![Dimension::SubjectConsistency], |_| Ok(FACTS));
    assert_eq!((moved.missing.len(), moved.extra.len()), (1, 1));
    assert_eq!(moved.extra[0].reason, "it lies in the folder of other prompts");
}

#[test]
fn flicker_wants_more_samples_than_five() {
    let dir = whole();
    fs::remove_file(dir.path().join("a flag in the wind-2.mp4")).unwrap();
    let found = look(dir.path());
    assert!(found.complete && found.notes[0].contains("25 or more"), "{found}");
}

#[test]
fn all_of_vbench_is_the_standard() {
    let dir = tempfile::tempdir().unwrap();
    let suite = Suite::standard();
    for video in suite.videos(&Dimension::ALL, 5) {
        put(dir.path(), &format!("{}.mp4", video.stem()));
    }
    let dimensions = Dimension::ALL.to_vec();
    let options = PreflightOptions { suite, dimensions, samples: 5, read: true, long: false };
    let found = preflight(dir.path(), &options, &|_| Ok(FACTS), &|_, _| ()).unwrap();
    assert!(found.standard, "{found}");
    assert_eq!((found.expected, found.found), (4720, 4720));
    let unread = PreflightOptions { read: false, ..options };
    let unread = preflight(dir.path(), &unread, &|_| panic!("nothing is read"), &|_, _| ()).unwrap();
    assert!(unread.complete && !unread.standard);
    assert_eq!(unread.not_standard_because, ["the videos were not read"]);
}
