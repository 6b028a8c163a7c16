//! Runs of the one dimension that needs no weights, over real files.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use vidit_media::{ReadLimits, WriteOptions, png_bytes, write_video};
use vidit_video::{Frames, PixelShape};

use super::between::look;
use super::engine::walk;
use super::*;
use crate::dimensions::temporal_flickering::Flicker;
use crate::pixels::{FrameStream, Reader};
use crate::transforms::MusiqRule;
use crate::{Suite, VbenchError};

const DIMENSION: Dimension = Dimension::TemporalFlickering;

struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    /// A folder of videos, called so, with these bytes.
    fn new(videos: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("videos")).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        for (name, bytes) in videos {
            fs::write(folder.path().join("videos").join(name), bytes).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, stop: &AtomicBool, on_progress: &mut dyn FnMut(Progress)) -> Option<Outcome> {
        self.measure(&self.plan(), Mode::Compat, stop, on_progress)
    }

    fn plan(&self) -> Plan {
        Plan::custom(&self.path("videos"), &[DIMENSION], None, None).unwrap()
    }

    fn measure(
        &self,
        plan: &Plan,
        mode: Mode,
        stop: &AtomicBool,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Option<Outcome> {
        let weights = WeightsFolder::open(None, &plan.dimensions()).unwrap();
        let out = self.path("out");
        measure(plan, &options(mode, &weights, &out), stop, on_progress).unwrap()
    }

    fn whole(&self) -> Outcome {
        self.run(&AtomicBool::new(false), &mut |_| {}).unwrap()
    }
}

fn options<'a>(mode: Mode, weights: &'a WeightsFolder, folder: &'a Path) -> MeasureOptions<'a> {
    let (limits, imaging) = (ReadLimits::default(), MusiqRule::default());
    MeasureOptions { mode, weights, folder, limits, imaging }
}

const CLIP: &[u8] = include_bytes!("../golden/earth_b.mp4");

/// The clip with an empty box at its end: other bytes, the same frames.
fn other(mark: u8) -> Vec<u8> {
    [CLIP, &[0, 0, 0, 9], b"free", &[mark]].concat()
}

#[test]
fn what_cannot_be_measured_is_named_and_the_rest_is() {
    let cut = &CLIP[..CLIP.len() / 3];
    let room = Room::new(&[
        ("a.mp4", CLIP),
        ("b.mp4", b""),
        ("c.mp4", cut),
        ("d.mp4", b"no video"),
        ("e.mp4", CLIP),
    ]);
    let outcome = room.whole();
    let failed: Vec<String> = outcome
        .failed
        .iter()
        .map(|failed| failed.path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(failed, ["b.mp4", "c.mp4", "d.mp4"]);
    let results = outcome.results(Mode::Compat);
    let videos = &results.dimensions[&DIMENSION].videos;
    assert_eq!(videos.len(), 2);
    assert_eq!(videos[0].score, videos[1].score);
    assert_eq!(outcome.videos.len(), 5);
}

#[test]
fn a_stopped_run_goes_on_and_measures_nothing_twice() {
    let room = Room::new(&[("a.mp4", CLIP), ("b.mp4", &other(1)), ("c.mp4", &other(2))]);
    let stop = AtomicBool::new(false);
    let stopped = room.run(&stop, &mut |progress| {
        // In the middle of the second video.
        stop.fetch_or(progress.done == 1 && progress.share > 0.4, Ordering::Relaxed);
    });
    assert_eq!(stopped, None);
    let journal = room.path("out").join("journal.jsonl");
    assert_eq!(fs::read_to_string(&journal).unwrap().lines().count(), 1);
    let rest = room.whole();
    assert_eq!((rest.reused, rest.measured[&DIMENSION].len()), (1, 3));
    let again = room.whole();
    assert_eq!((again.reused, &again.measured), (3, &rest.measured));
    assert_eq!(fs::read_to_string(&journal).unwrap().lines().count(), 3);
    // Other bytes under the name are another video.
    fs::write(room.path("videos").join("a.mp4"), other(3)).unwrap();
    assert_eq!(room.whole().reused, 2);
}

#[test]
fn missing_weights_are_named_before_anything_is_read() {
    let wanted = [Dimension::SubjectConsistency, Dimension::ImagingQuality];
    let found = WeightsFolder::open(None, &wanted);
    let Err(VbenchError::NoWeights { missing, .. }) = found else { panic!("there are no weights") };
    assert_eq!(missing, [crate::Network::Dino, crate::Network::Musiq]);
    let error = VbenchError::NoWeights { folder: None, missing }.to_string();
    assert!(error.contains("`dino`, `musiq`") && error.contains("hint:"), "{error}");
}

#[test]
fn videos_called_after_a_prompt_are_found_however_many() {
    let names = ["a cup_mug-0.mp4", "a cup_mug-17.mp4", "a cat-0.mp4", "a cup_mug-2.txt"];
    let room = Room::new(&names.map(|name| (name, CLIP)));
    let prompts = |wanted: Option<&[&str]>| {
        let plan = Plan::called_after(&room.path("videos"), DIMENSION, wanted);
        plan.map(|plan| plan.tasks.iter().map(|task| task.prompt.clone()).collect::<Vec<_>>())
    };
    assert_eq!(prompts(Some(&["a cup/mug"])).unwrap(), ["a cup/mug", "a cup/mug"]);
    assert_eq!(prompts(None).unwrap(), ["a cat", "a cup_mug", "a cup_mug"]);
    assert!(matches!(prompts(Some(&["a dog"])), Err(VbenchError::NoneOfSuite { .. })));
}

#[test]
fn weights_are_published_or_not_by_their_hash() {
    use crate::WeightsOrigin::{Other, Published, Unverified};
    let published = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af";
    let room = Room::new(&[]);
    let origin = |dimension| {
        let folder = WeightsFolder::open(Some(room.folder.path()), &[dimension]).unwrap();
        folder.used()[0].origin
    };
    fs::create_dir(room.path("clip_model")).unwrap();
    fs::write(room.path("clip_model/ViT-B-32.pt"), "no weights").unwrap();
    assert_eq!(origin(Dimension::BackgroundConsistency), Other);
    // What is converted is found first.
    let mut store = vidit_weights::TensorStore::default();
    for (source, expected) in [(published, Published), ("0123", Other)] {
        store.metadata.insert("source_sha256".to_owned(), source.to_owned());
        store.write(&room.path("ViT-B-32.safetensors"), |_| vidit_weights::StoredType::F32).unwrap();
        assert_eq!(origin(Dimension::BackgroundConsistency), expected);
    }
    fs::write(room.path("dino_vitbase16_pretrain.pth"), "no hash of it was published").unwrap();
    assert_eq!(origin(Dimension::SubjectConsistency), Unverified);
}

#[test]
fn long_videos_of_ones_own_are_asked_for_by_their_whole_names() {
    let names = ["a cat-0.mp4", "a cat-12.mp4", "a-Scene-Change-1.mp4", "a dog.mp4"];
    let room = Room::new(&names.map(|name| (name, CLIP)));
    let mut plan = room.plan();
    let prompts = |plan: &Plan| plan.tasks.iter().map(|task| task.prompt.clone()).collect::<Vec<_>>();
    assert_eq!(prompts(&plan), ["a cat", "a cat", "a dog", "a-Scene-Change"]);
    plan.take_whole_names();
    assert_eq!(prompts(&plan), ["a cat-0", "a cat-12", "a dog", "a"]);
    let told: Vec<serde_json::Value> = serde_json::from_str(&plan.full_info).unwrap();
    assert_eq!(told[1]["prompt_en"], "a cat-12");
}

#[test]
fn dimensions_that_must_be_told_are_refused_for_videos_of_no_suite() {
    let room = Room::new(&[("a.mp4", CLIP)]);
    let plan = |dimensions: &[Dimension]| {
        Plan::custom(&room.path("videos"), dimensions, None, None).map(|plan| plan.tasks[0].prompt.clone())
    };
    assert_eq!(plan(&[DIMENSION]).unwrap(), "a");
    let error = plan(&[Dimension::Color]).unwrap_err().to_string();
    assert!(error.contains("`color`") && error.contains("--suite"), "{error}");
    fs::remove_file(room.path("videos").join("a.mp4")).unwrap();
    assert!(plan(&[DIMENSION]).unwrap_err().to_string().contains("holds no videos"));
}

#[test]
fn videos_of_every_ending_are_taken_and_what_lies_beside_them_is_told() {
    let endings = ["a.mp4", "b.MOV", "c.webm", "d.mkv", "e.avi", "f.gif", "g.png"];
    let room = Room::new(&endings.map(|name| (name, CLIP)));
    fs::write(room.path("videos/notes.txt"), "").unwrap();
    fs::write(room.path("videos/.hidden.mp4"), "").unwrap();
    fs::create_dir(room.path("videos/sub.mp4")).unwrap();
    let plan = room.plan();
    let names: Vec<_> = plan.tasks.iter().map(|task| task.path.file_name().unwrap()).collect();
    assert_eq!(names, endings);
    let told: Vec<String> = plan.told_passed_over().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("1 file that is no video was passed over, the first is `"), "{told:?}");
    assert!(told[0].ends_with("notes.txt`") && told[1].ends_with("sub.mp4`"), "{told:?}");
    // Where motion is looked for, a picture is none of the videos; and a misspelt name is told.
    let plan = Plan::called_after(&room.path("videos"), DIMENSION, Some(&["a", "z"])).unwrap();
    assert_eq!((plan.tasks.len(), &plan.prompts[..]), (1, &["a".to_owned(), "z".to_owned()][..]));
    let counts: Vec<_> = plan.passed_over.iter().map(|(why, paths)| (*why, paths.len())).collect();
    let expected = [PassedOver::Other, PassedOver::Folder, PassedOver::Picture, PassedOver::Stranger];
    assert_eq!(counts, expected.into_iter().zip([1, 1, 1, 5]).collect::<Vec<_>>());
}

#[test]
#[cfg(unix)]
fn videos_whose_names_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let room = Room::new(&[("a-0.mp4", CLIP)]);
    let name = std::ffi::OsStr::from_bytes(b"x\xff-0.mp4");
    fs::write(room.path("videos").join(name), CLIP).unwrap();
    let custom = Plan::custom(&room.path("videos"), &[DIMENSION], None, None);
    let called = Plan::called_after(&room.path("videos"), DIMENSION, None);
    for plan in [custom, called] {
        let error = plan.unwrap_err().to_string();
        assert!(error.contains(r"x\xFF-0.mp4`") && error.contains("hint: "), "{error}");
    }
}

#[test]
fn an_empty_file_of_prompts_has_none_for_a_video() {
    let room = Room::new(&[("a-0.mp4", CLIP)]);
    let plan = Plan::custom(&room.path("videos"), &[DIMENSION], None, Some(&Default::default()));
    assert!(matches!(plan, Err(VbenchError::NoPrompt { .. })), "{plan:?}");
}

/// A PNG of one shade.
fn picture(shade: u8) -> Vec<u8> {
    let mut frame = Frames::black(PixelShape::new(1, 8, 8));
    frame.frame_mut(0).fill(shade);
    png_bytes(&frame, 0).unwrap()
}

/// A network that breaks on dark frames: its score is NaN.
struct Brittle {
    sum: f64,
}

impl Measure for Brittle {
    fn dimensions(&self) -> &'static [Dimension] {
        &[DIMENSION]
    }

    fn begin(&mut self, _: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        self.sum = 0.0;
        Ok(())
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.sum += if frame.rgb.iter().all(|value| *value < 32) { f64::NAN } else { 0.25 };
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        vec![(DIMENSION, Ok(Measured::new(self.sum)))]
    }
}

#[test]
fn scores_that_are_no_numbers_are_named_and_not_kept() {
    let room = Room::new(&[("a.png", &picture(4)), ("b.png", &picture(200))]);
    let plan = Plan::custom(&room.path("videos"), &[DIMENSION], None, None).unwrap();
    let weights = WeightsFolder::open(None, &plan.dimensions()).unwrap();
    let out = room.path("out");
    let options = options(Mode::Compat, &weights, &out);
    let loads = std::cell::Cell::new(0);
    let load = |_: &[Dimension]| -> Result<Vec<Box<dyn Measure>>, VbenchError> {
        loads.set(loads.get() + 1);
        Ok(vec![Box::new(Brittle { sum: 0.0 })])
    };
    let go = || {
        let circumstances = |_: &Task, _: Dimension| "the same".to_owned();
        walk(&plan, &options, &circumstances, &load, &AtomicBool::new(false), &mut |_| {}).unwrap().unwrap()
    };
    for (reused, loaded) in [(0, 1), (1, 2)] {
        let outcome = go();
        let [failed] = &outcome.failed[..] else { panic!("one fails: {:?}", outcome.failed) };
        assert!(failed.path.ends_with("a.png") && failed.dimension == Some(DIMENSION), "{failed:?}");
        assert!(failed.reason.contains("not finite") && failed.reason.contains("`NaN`"), "{failed:?}");
        assert_eq!((outcome.measured[&DIMENSION].len(), outcome.reused), (1, reused));
        assert_eq!(loads.get(), loaded);
    }
}

/// Gives every video the same score in two dimensions.
struct Two;

impl Measure for Two {
    fn dimensions(&self) -> &'static [Dimension] {
        &[DIMENSION, Dimension::ImagingQuality]
    }

    fn begin(&mut self, _: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        Ok(())
    }

    fn frame(&mut self, _: usize, _: &RgbFrame) -> Result<(), Refusal> {
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        self.dimensions().iter().map(|dimension| (*dimension, Ok(Measured::new(0.5)))).collect()
    }
}

#[test]
fn a_prompt_that_is_there_twice_is_listed_where_each_dimension_asks_for_it() {
    let suite = r#"[{"prompt_en": "a", "dimension": ["temporal_flickering"]},
        {"prompt_en": "b", "dimension": ["imaging_quality", "temporal_flickering"]},
        {"prompt_en": "c", "dimension": ["imaging_quality"]},
        {"prompt_en": "a", "dimension": ["imaging_quality", "temporal_flickering"]}]"#;
    let suite = Suite::from_json(std::path::Path::new("suite.json"), suite).unwrap();
    let names = ["a-0.mp4", "a-1.mp4", "b-0.mp4", "b-1.mp4", "c-0.mp4", "c-1.mp4"];
    let room = Room::new(&names.map(|name| (name, CLIP)));
    let wanted = [DIMENSION, Dimension::ImagingQuality];
    let asked = crate::PreflightOptions {
        suite: &suite,
        dimensions: wanted.to_vec(),
        samples: 2,
        read: false,
        long: false,
    };
    let found =
        crate::preflight(&room.path("videos"), &asked, &|_| panic!("nothing is read"), &|_, _| {}).unwrap();
    let plan = Plan::of_suite(&suite, &wanted, &found.located);
    assert_eq!(plan.tasks.len(), 6);
    let weights = WeightsFolder::of(None, &[]).unwrap();
    let out = room.path("out");
    let options = options(Mode::Compat, &weights, &out);
    let load = |_: &[Dimension]| -> Result<Vec<Box<dyn Measure>>, VbenchError> { Ok(vec![Box::new(Two)]) };
    let same = |_: &Task, _: Dimension| "the same".to_owned();
    let outcome = walk(&plan, &options, &same, &load, &AtomicBool::new(false), &mut |_| {}).unwrap().unwrap();
    let listed = |dimension| -> Vec<String> {
        let paths = outcome.measured[&dimension].iter().map(|(path, _)| PathBuf::from(path));
        paths.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(listed(DIMENSION), ["a-0", "a-1", "b-0", "b-1"]);
    assert_eq!(listed(Dimension::ImagingQuality), ["b-0", "b-1", "c-0", "c-1", "a-0", "a-1"]);
}

#[test]
fn each_dimension_of_the_standard_suite_is_listed_in_its_own_order() {
    let suite = Suite::standard();
    let located = suite.videos(&Dimension::ALL, 1).into_iter().map(|video| {
        let path = PathBuf::from(format!("{}.mp4", video.stem()));
        let paths = video.dimensions.iter().map(|dimension| (*dimension, path.clone())).collect();
        crate::Located { video, paths }
    });
    let plan = Plan::of_suite(suite, &Dimension::ALL, &located.collect::<Vec<_>>());
    for dimension in Dimension::ALL {
        let tasks = plan.tasks.iter().enumerate();
        let mut listed: Vec<_> = tasks.filter(|(_, task)| task.dimensions.contains(&dimension)).collect();
        listed.sort_by_key(|(index, _)| plan.place(dimension, *index));
        let prompts: Vec<&str> = listed.iter().map(|(_, task)| task.prompt.as_str()).collect();
        let expected: Vec<&str> = suite.entries_of(dimension).map(|entry| entry.prompt.as_str()).collect();
        assert_eq!(prompts, expected, "{dimension}");
    }
}

#[test]
fn videos_begin_with_the_only_picture_or_that_of_their_name() {
    let room = Room::new(&[("a-0.mp4", CLIP)]);
    let wanted = [DIMENSION, Dimension::I2vSubject];
    let mut plan = Plan::custom(&room.path("videos"), &wanted, None, None).unwrap();
    assert_eq!(plan.dimensions(), wanted);
    let only = room.path("only.png");
    plan.begin_with(&only, &|_| None);
    assert_eq!(plan.tasks[0].picture_of(Dimension::I2vSubject), Some(only.as_path()));
    assert_eq!(plan.tasks[0].picture_of(DIMENSION), None);
    plan.begin_with(&room.path("videos"), &|task| Some(format!("{}.jpg", task.prompt)));
    assert_eq!(plan.tasks[0].picture, Some(room.path("videos").join("a.jpg")));
    let limits = ReadLimits::default();
    let error = plan.check_pictures(&limits).unwrap_err().to_string();
    assert!(error.starts_with("1 given pictures cannot be used") && error.contains("a.jpg"), "{error}");
    fs::write(&only, picture(7)).unwrap();
    plan.begin_with(&only, &|_| None);
    plan.check_pictures(&limits).unwrap();
    fs::write(&only, "no picture").unwrap();
    assert!(plan.check_pictures(&limits).is_err());
    // What nobody looks at need not be there.
    plan.tasks[0].dimensions = vec![DIMENSION];
    plan.check_pictures(&limits).unwrap();
}

/// So many frames at 8 a second, ever brighter in ever larger steps.
fn long(room: &Room, name: &str, frames: usize) {
    let mut clip = Frames::black(PixelShape::new(frames, 32, 48));
    for index in 0..frames {
        clip.frame_mut(index).fill((index * index / 10) as u8);
    }
    write_video(&clip, 8, &room.path("videos").join(name), &WriteOptions::default()).unwrap();
}

/// The score of some frames of a video.
fn flicker_of(path: &Path, frames: std::ops::Range<usize>) -> f64 {
    let stream = FrameStream::open(path, &ReadLimits::default(), Reader::Decord, Mode::Compat).unwrap();
    let mut flicker = Flicker::default();
    let frames = stream.map(Result::unwrap).skip(frames.start).take(frames.len());
    frames.for_each(|mut frame| flicker.push(&mut frame));
    flicker.score(Mode::Compat).unwrap()
}

#[test]
fn long_videos_are_measured_clip_by_clip_and_go_on_within_a_video() {
    let room = Room::new(&[]);
    long(&room, "a cat-0.mp4", 41);
    long(&room, "a dog-0.mp4", 16);
    let mut plan = room.plan();
    plan.cut(None);
    let stop = AtomicBool::new(false);
    let stopped = room.measure(&plan, Mode::Compat, &stop, &mut |progress| {
        // In the last clip of the first video.
        stop.fetch_or(progress.done == 0 && progress.share > 0.9, Ordering::Relaxed);
    });
    assert_eq!(stopped, None);
    let journal = room.path("out").join("journal.jsonl");
    let lines = || fs::read_to_string(&journal).unwrap().lines().count();
    assert_eq!(lines(), 2);
    let go = |mode| room.measure(&plan, mode, &AtomicBool::new(false), &mut |_| {}).unwrap();
    let whole = go(Mode::Compat);
    assert_eq!((whole.reused, lines(), whole.failed.len()), (0, 4, 0));
    let cat = room.path("videos").join("a cat-0.mp4");
    let results = whole.results(Mode::Compat);
    let found = &results.dimensions[&DIMENSION];
    let ranges = [0..16, 16..32, 25..41];
    for (index, (video, range)) in found.videos.iter().zip(ranges).enumerate() {
        let path = room.path("videos").join(format!("split_clip/a cat-0/a cat-0_00{index}.mp4"));
        assert_eq!(video.path, path.display().to_string());
        assert_eq!(video.extra["frames"], serde_json::json!([range.start, range.end]));
        assert_eq!(video.score.value(), flicker_of(&cat, range), "clip {index}");
    }
    let scores: Vec<f64> = found.videos.iter().map(|video| video.score.value()).collect();
    assert!(scores.len() == 4 && scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
    assert_eq!(found.long[0].path, cat.display().to_string());
    assert_eq!(found.long[0].score.value(), scores[..3].iter().sum::<f64>() / 3.0);
    let written: serde_json::Value = serde_json::from_str(&results.results_json().unwrap()).unwrap();
    let lists: Vec<usize> = [1, 2].map(|at| written[DIMENSION.name()][at].as_array().unwrap().len()).into();
    assert_eq!(lists, [4, 2]);
    assert_eq!((go(Mode::Compat).reused, lines()), (2, 4));
    // The same video as a whole is another matter.
    assert_eq!((room.whole().reused, lines()), (0, 6));
}

/// Notes the first value of the frames that it is shown, and gives a score whatever they are.
struct Noting {
    seen: Rc<RefCell<Vec<u8>>>,
    score: f64,
}

impl Measure for Noting {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::SubjectConsistency]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        self.seen.borrow_mut().push(clip.frames as u8);
        Ok(())
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.seen.borrow_mut().push(frame.rgb[0]);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        vec![(Dimension::SubjectConsistency, Ok(Measured::new(self.score)))]
    }
}

#[test]
fn first_frames_of_clips_are_compared_once_and_videos_of_one_clip_are_not() {
    let room = Room::new(&[]);
    long(&room, "a cat-0.mp4", 41);
    long(&room, "a dog-0.mp4", 16);
    let dimension = Dimension::SubjectConsistency;
    let mut plan = Plan::custom(&room.path("videos"), &[dimension], None, None).unwrap();
    plan.cut(None);
    plan.between = true;
    assert_eq!(plan.networks(), [crate::Network::Dino, crate::Network::DinoV2]);
    let weights = WeightsFolder::of(None, &[]).unwrap();
    let (out, limits) = (room.path("out"), ReadLimits::default());
    let options = options(Mode::Compat, &weights, &out);
    let within = |_: &[Dimension]| -> Result<Vec<Box<dyn Measure>>, VbenchError> {
        Ok(vec![Box::new(Noting { seen: Rc::default(), score: 0.75 })])
    };
    let known = |_: &Task, _: Dimension| "within".to_owned();
    let whole =
        walk(&plan, &options, &known, &within, &AtomicBool::new(false), &mut |_| {}).unwrap().unwrap();
    let seen: Rc<RefCell<Vec<u8>>> = Rc::default();
    let go = |score: f64, stop: bool| {
        let mut outcome = whole.clone();
        let load = |_| -> Result<Box<dyn Measure>, VbenchError> {
            Ok(Box::new(Noting { seen: Rc::clone(&seen), score }))
        };
        let known = |_, starts: &[usize]| format!("{starts:?}");
        let stop = AtomicBool::new(stop);
        let ended = look(&plan, &options, &mut outcome, &known, &load, &stop, &mut |_| {}).unwrap();
        ended.then_some(outcome)
    };
    assert_eq!(go(0.25, true), None);
    seen.borrow_mut().clear();
    // What is no number is named, and its video's scores are taken away: they would mean something else than the others.
    let broken = go(f64::NAN, false).unwrap();
    let [failed] = &broken.failed[..] else { panic!("one fails: {:?}", broken.failed) };
    assert!(
        failed.reason.contains("from clip to clip: ") && failed.path.ends_with("a cat-0.mp4"),
        "{failed:?}"
    );
    assert_eq!(broken.measured[&dimension].len(), 1);
    let cat = room.path("videos").join("a cat-0.mp4");
    let stream = FrameStream::open(&cat, &limits, Reader::Decord, Mode::Compat).unwrap();
    let frames: Vec<u8> = stream.map(|frame| frame.unwrap().rgb[0]).collect();
    assert_eq!(*seen.borrow(), [3, frames[0], frames[16], frames[25]]);
    let outcome = go(0.25, false).unwrap();
    let cat = cat.display().to_string();
    assert_eq!(outcome.between[&dimension], [(cat, 0.25)].into());
    let results = outcome.results(Mode::Compat);
    let found = &results.dimensions[&dimension].videos;
    let halves: Vec<f64> = found.iter().map(|clip| clip.extra["clip2clip_score"].as_f64().unwrap()).collect();
    assert_eq!(halves, [0.25, 0.25, 0.25, 0.0]);
    assert_eq!(found[3].score.value(), 0.75);
    let written: serde_json::Value = serde_json::from_str(&results.results_json().unwrap()).unwrap();
    assert_eq!(written[dimension.name()].as_array().unwrap().len(), 2);
    let count = seen.borrow().len();
    assert_eq!(go(0.5, false).unwrap(), outcome);
    assert_eq!(seen.borrow().len(), count);
}

#[test]
fn scenes_are_videos_of_their_own_within_one() {
    let room = Room::new(&[]);
    long(&room, "one scene-0.mp4", 20);
    let mut clip = Frames::black(PixelShape::new(57, 32, 48));
    (21..57).for_each(|index| clip.frame_mut(index).fill(140 + index as u8));
    write_video(&clip, 8, &room.path("videos").join("two scenes-0.mp4"), &WriteOptions::default()).unwrap();
    let dimension = Dimension::SubjectConsistency;
    let mut plan = Plan::custom(&room.path("videos"), &[dimension], None, None).unwrap();
    plan.cut(None);
    (plan.between, plan.scenes) = (true, true);
    let weights = WeightsFolder::of(None, &[]).unwrap();
    let out = room.path("out");
    let options = options(Mode::Compat, &weights, &out);
    let seen: Rc<RefCell<Vec<u8>>> = Rc::default();
    let noting = |score| Box::new(Noting { seen: Rc::clone(&seen), score }) as Box<dyn Measure>;
    let within = |_: &[Dimension]| -> Result<Vec<Box<dyn Measure>>, VbenchError> { Ok(vec![noting(0.75)]) };
    let known = |_: &Task, _: Dimension| "within".to_owned();
    let go =
        |stop: bool| walk(&plan, &options, &known, &within, &AtomicBool::new(stop), &mut |_| {}).unwrap();
    assert_eq!(go(true), None);
    let mut outcome = go(false).unwrap();
    let ranges: Vec<_> =
        outcome.measured[&dimension].iter().map(|(_, clip)| clip.extra["frames"].clone()).collect();
    let expected = serde_json::json!([[0, 16], [4, 20], [0, 16], [5, 21], [21, 37], [37, 53], [41, 57]]);
    assert_eq!(serde_json::Value::from(ranges), expected);
    let scene = |index| {
        let path = format!("split_scene/two scenes-0/two scenes-0-Scene-{index}.mp4");
        room.path("videos").join(path).display().to_string()
    };
    let video = |name: &str| room.path("videos").join(name).display().to_string();
    let two = video("two scenes-0.mp4");
    assert_eq!(outcome.scenes, [(scene(0), two.clone()), (scene(1), two)].into());
    seen.borrow_mut().clear();
    let load = |_| -> Result<Box<dyn Measure>, VbenchError> { Ok(noting(0.5)) };
    let known = |_, starts: &[usize]| format!("{starts:?}");
    assert!(
        look(&plan, &options, &mut outcome, &known, &load, &AtomicBool::new(false), &mut |_| {}).unwrap()
    );
    let one = video("one scene-0.mp4");
    assert_eq!(outcome.between[&dimension].keys().collect::<Vec<_>>(), [&one, &scene(0), &scene(1)]);
    let counts: Vec<u8> = [0, 3, 6].map(|at| seen.borrow()[at]).into();
    assert_eq!(counts, [2, 2, 3], "{seen:?}");
    assert!(seen.borrow()[7..].iter().all(|shade| *shade > 100), "{seen:?}");
    let results = outcome.results(Mode::Compat);
    let long: Vec<&str> =
        results.dimensions[&dimension].long.iter().map(|video| video.path.as_str()).collect();
    assert_eq!(long, [one, scene(0), scene(1)]);
}

#[test]
fn long_videos_that_cannot_be_cut_or_read_are_named_and_count_for_nothing() {
    let room = Room::new(&[("c.png", &picture(90))]);
    long(&room, "a.mp4", 15);
    long(&room, "b.mp4", 48);
    // Its last frames are not what the container says.
    let mut bytes = fs::read(room.path("videos").join("b.mp4")).unwrap();
    let data = bytes.windows(4).position(|name| name == b"mdat").unwrap();
    let end = data - 4 + u32::from_be_bytes(bytes[data - 4..data].try_into().unwrap()) as usize;
    bytes[end - 400..end].fill(0xff);
    fs::write(room.path("videos").join("b.mp4"), bytes).unwrap();
    let mut plan = room.plan();
    plan.cut(None);
    let go = |mode| room.measure(&plan, mode, &AtomicBool::new(false), &mut |_| {}).unwrap();
    let reasons = |outcome: &Outcome| -> Vec<(String, String)> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        outcome.failed.iter().map(|failed| (name(&failed.path), failed.reason.clone())).collect()
    };
    let fixed = go(Mode::Fixed);
    let [(a, short), (b, damaged), (c, still)] = &reasons(&fixed)[..] else { panic!("{:?}", fixed.failed) };
    assert!(a == "a.mp4" && short.contains("`15` frames, expected the `16`"), "{short}");
    assert!(b == "b.mp4" && damaged.contains("the clip of frames 32 to 47: "), "{damaged}");
    assert!(c == "c.png" && still.contains("no rate"), "{still}");
    assert!(fixed.measured.is_empty(), "{:?}", fixed.measured);
    let compat = go(Mode::Compat);
    assert_eq!(compat.failed.len(), 2);
    let [(path, measured)] = &compat.measured[&DIMENSION][..] else { panic!("{:?}", compat.measured) };
    assert!(path.ends_with("split_clip/a/a_full.mp4"), "{path}");
    assert_eq!(measured.score.value(), flicker_of(&room.path("videos").join("a.mp4"), 0..15));
}

#[test]
fn clips_are_as_long_as_the_longest_that_a_prompt_asks_for() {
    let suite = r#"[{"prompt_en": "a", "dimension": ["imaging_quality", "overall_consistency"]},
        {"prompt_en": "b", "dimension": ["imaging_quality"]},
        {"prompt_en": "c", "dimension": ["scene"], "auxiliary_info": {"scene": {"scene": "c"}}},
        {"prompt_en": "c", "dimension": ["human_action"]}]"#;
    let suite = Suite::from_json(Path::new("suite.json"), suite).unwrap();
    let room = Room::new(&["a-0.mp4", "b-0.mp4", "c-0.mp4", "d-0.mp4"].map(|name| (name, CLIP)));
    let mut plan = room.plan();
    let cuts = |plan: &Plan| plan.tasks.iter().map(|task| task.cut).collect::<Vec<_>>();
    assert_eq!(cuts(&plan), [None; 4]);
    plan.cut(Some(&suite));
    assert_eq!(cuts(&plan), [10, 2, 10, 2].map(Some));
    plan.cut(None);
    assert_eq!(cuts(&plan), [Some(2); 4]);
}
