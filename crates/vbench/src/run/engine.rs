//! The walk over videos.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use vidit_backbones::layers::products;
use vidit_kernels::Precision;
use vidit_media::{MediaError, ReadLimits};

use super::between::measure_between;
use super::journal::{Journal, Line};
use super::long::{self, Part};
use super::networks::{self, WeightsFolder};
use super::{ClipFacts, Failed, Measure, Measured, Outcome, Plan, Refusal, Task};
use crate::hash::{sha256, sha256_of_file};
use crate::listing::ending;
use crate::pixels::{FrameStream, Reader, RgbFrame, StreamInfo};
use crate::scenes::SceneDetector;
use crate::transforms::MusiqRule;
use crate::{Decoder, Dimension, Mode, VbenchError, stem_of};

/// How to measure.
pub struct MeasureOptions<'a> {
    /// Whose rules.
    pub mode: Mode,
    /// The networks.
    pub weights: &'a WeightsFolder,
    /// Where the journal is kept.
    pub folder: &'a Path,
    /// Of videos.
    pub limits: ReadLimits,
    /// How frames are made smaller for imaging quality.
    pub imaging: MusiqRule,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a> {
    /// Videos done.
    pub done: usize,
    /// Videos in all.
    pub total: usize,
    /// Share of the one that is measured now, from 0 to 1.
    pub share: f64,
    /// The one that is measured now.
    pub path: &'a Path,
}

/// Measures what `plan` asks for and the journal in `options.folder` does not know. A video that cannot be measured is named in the
/// outcome and the others go on; with `stop` set, everything measured so far is kept and `None` returned.
///
/// # Errors
/// If weights are missing or not those of their network, or the journal cannot be written.
pub fn measure(
    plan: &Plan,
    options: &MeasureOptions,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Option<Outcome>, VbenchError> {
    let weights = options.weights.hashes(&plan.dimensions())?;
    let pictures = Pictures::default();
    let known = |task: &Task, dimension| circumstances(task, dimension, options, &weights, &pictures);
    let load = |dimensions: &[Dimension]| networks::measures(dimensions, options);
    let Some(mut outcome) = walk(plan, options, &known, &load, stop, on_progress)? else { return Ok(None) };
    if plan.between && !measure_between(plan, options, &mut outcome, stop, on_progress)? {
        return Ok(None);
    }
    Ok(Some(Outcome { pictures: pictures.by_path(), ..outcome }))
}

/// Hashes of given pictures, each taken once.
#[derive(Default)]
struct Pictures(RefCell<BTreeMap<PathBuf, String>>);

impl Pictures {
    /// `None` if it cannot be read: it is no result's then, and named where it is looked at.
    fn sha256(&self, path: &Path) -> Option<String> {
        let mut known = self.0.borrow_mut();
        if !known.contains_key(path) {
            known.insert(path.to_owned(), sha256_of_file(path).ok()?);
        }
        known.get(path).cloned()
    }

    fn by_path(self) -> BTreeMap<String, String> {
        let known = self.0.into_inner().into_iter();
        known.map(|(path, sha256)| (path.display().to_string(), sha256)).collect()
    }
}

/// What measures these dimensions.
type Load<'a> = &'a dyn Fn(&[Dimension]) -> Result<Vec<Box<dyn Measure>>, VbenchError>;

/// The walk itself: `circumstances` tells all but the video that a result depends on, `load` is asked for networks once one is needed.
pub(super) fn walk(
    plan: &Plan,
    options: &MeasureOptions,
    circumstances: &dyn Fn(&Task, Dimension) -> String,
    load: Load,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Option<Outcome>, VbenchError> {
    let mut journal = Journal::open(options.folder)?;
    let mut outcome = Outcome::default();
    // With the place of the task.
    let mut all: BTreeMap<Dimension, Vec<(usize, String, Measured)>> = BTreeMap::new();
    let total = plan.tasks.len();
    let mut measures: Vec<Box<dyn Measure>> = Vec::new();
    for (done, task) in plan.tasks.iter().enumerate() {
        let mut tell = |share: f64| on_progress(Progress { done, total, share, path: &task.path });
        tell(0.0);
        let name = task.path.display().to_string();
        let video = match sha256_of_file(&task.path) {
            Ok(video) => video,
            Err(error) => {
                outcome.fail(&task.path, None, format!("cannot read it: {error}"));
                continue;
            }
        };
        outcome.videos.insert(name.clone(), video.clone());
        let pass = Pass { task, options, stop };
        let parts = match pass.parts(plan.scenes, &mut outcome) {
            Ok(Some(parts)) => parts,
            Ok(None) => return Ok(None),
            Err(reason) => {
                outcome.fail(&task.path, None, reason);
                continue;
            }
        };
        let (size_of_all, mut before) = (parts.iter().map(Part::size).sum::<usize>() as f64, 0.0);
        let (mut results, mut reused, mut view) = (Vec::new(), true, None);
        for part in &parts {
            let size = part.size() as f64;
            let mut tell = |share: f64| tell((before + size * share) / size_of_all);
            let circumstances = |dimension| of_part(circumstances(task, dimension), part);
            let mut found: BTreeMap<Dimension, Measured> = BTreeMap::new();
            for &dimension in &task.dimensions {
                let known = journal.find(&video, dimension, &circumstances(dimension));
                found.extend(known.map(|measured| (dimension, measured.clone())));
            }
            let left: Vec<Dimension> =
                task.dimensions.iter().copied().filter(|dimension| !found.contains_key(dimension)).collect();
            if !left.is_empty() {
                reused = false;
                let loaded =
                    |dimension: &Dimension| measures.iter().any(|m| m.dimensions().contains(dimension));
                if !left.iter().all(loaded) {
                    // Together, as some share a network.
                    measures = load(&plan.dimensions())?;
                }
                let scores = match pass.scores(part, &left, &mut view, &mut measures, &mut outcome, &mut tell)
                {
                    Ok(Some(scores)) => scores,
                    Ok(None) => return Ok(None),
                    Err(reason) => {
                        outcome.fail(&task.path, None, part.refusal(&reason));
                        if part.frames.is_some() {
                            // A video that cannot be read to its end is none, whatever its first clips are.
                            results.clear();
                            break;
                        }
                        Scores::new()
                    }
                };
                let measured = outcome.numbers(&task.path, part, scores);
                let line = |(dimension, measured): &(Dimension, Measured)| Line {
                    video: video.clone(),
                    dimension: *dimension,
                    circumstances: circumstances(*dimension),
                    measured: measured.clone(),
                };
                journal.add(measured.iter().map(line).collect())?;
                found.extend(measured);
            }
            results.extend(found.into_iter().map(|(dimension, measured)| (dimension, part, measured)));
            before += size;
        }
        outcome.reused += usize::from(reused);
        for (dimension, part, mut measured) in results {
            if let Some(picture) = task.picture_of(dimension) {
                measured = measured.with("image_path", picture.display().to_string());
            }
            if let Some(frames) = &part.frames {
                measured = measured.with("frames", [frames.start, frames.end]);
                outcome.clips.insert(part.path.clone(), part.of.clone());
                if part.of != name {
                    outcome.scenes.insert(part.of.clone(), name.clone());
                }
            }
            let place = plan.place(dimension, done);
            all.entry(dimension).or_default().push((place, part.path.clone(), measured));
        }
    }
    for (dimension, mut results) in all {
        results.sort_by_key(|(place, ..)| *place);
        let results = results.into_iter().map(|(_, path, measured)| (path, measured)).collect();
        outcome.measured.insert(dimension, results);
    }
    Ok(Some(outcome))
}

impl Outcome {
    pub(super) fn fail(&mut self, path: &Path, dimension: Option<Dimension>, reason: String) {
        self.failed.push(Failed { path: path.to_owned(), dimension, reason });
    }

    /// The scores that are numbers; the others are named.
    fn numbers(&mut self, path: &Path, part: &Part, scores: Scores) -> Vec<(Dimension, Measured)> {
        let mut numbers = Vec::new();
        for (dimension, score) in scores {
            let reason = match score {
                Ok(measured) if measured.is_finite() => {
                    numbers.push((dimension, measured));
                    continue;
                }
                Ok(measured) => format!(
                    "its score is `{}`, expected a number: a network gave values that are not finite",
                    measured.score.value()
                ),
                Err(reason) => reason,
            };
            self.fail(path, Some(dimension), part.refusal(&reason));
        }
        numbers
    }

    /// Keeps who decodes a video, and whether that is to the byte.
    fn note(&mut self, path: &Path, info: &StreamInfo) {
        *self.decoders.entry(info.decoder.to_owned()).or_default() += 1;
        if !info.exact {
            self.inexact.push(path.display().to_string());
        }
    }
}

/// All but the video that a result depends on.
fn circumstances(
    task: &Task,
    dimension: Dimension,
    options: &MeasureOptions,
    weights: &networks::Hashes,
    pictures: &Pictures,
) -> String {
    let told = task.auxiliary.get(&dimension).map(|told| format!("{told:?}"));
    let name = task.path.file_name().map(|name| name.to_string_lossy().into_owned());
    // Bumped whenever a dimension's arithmetic changes.
    const VERSION: u32 = 1;
    let (of, mode) = (weights.of(dimension), options.mode.name());
    let mut all = vec![json!(VERSION), json!(mode), json!(task.prompt), json!(told), json!(name), json!(of)];
    all.extend(task.picture_of(dimension).map(|picture| json!(pictures.sha256(picture))));
    // What was measured by the default stays, whenever it was.
    if dimension == Dimension::ImagingQuality && options.imaging != MusiqRule::default() {
        all.push(json!(options.imaging.name()));
    }
    // Since objects are told by whole words there.
    if dimension == Dimension::Color && options.mode == Mode::Fixed {
        all.push(json!("whole words"));
    }
    // Since these are made smaller as the reference does.
    if dimension == Dimension::Scene && matches!(ending(&task.path), Some("gif" | "png")) {
        all.push(json!("bilinear"));
    }
    // Since GIFs have a rate.
    if dimension == Dimension::DynamicDegree && ending(&task.path) == Some("gif") {
        all.push(json!("rate of the GIF"));
    }
    if products() == Precision::TwoParts {
        all.push(json!("products in two parts"));
    }
    sha256(json!(all).to_string().as_bytes())
}

/// The same of a part of the video.
fn of_part(whole: String, part: &Part) -> String {
    match &part.frames {
        None => whole,
        Some(frames) => {
            sha256(json!([whole, stem_of(&part.path), frames.start, frames.end]).to_string().as_bytes())
        }
    }
}

type Scores = Vec<(Dimension, Result<Measured, Refusal>)>;

/// The reader of long videos for all dimensions: the reference cuts them with it, and what it writes has no tags on which readers differ.
pub(super) const LONG_READER: Reader = Reader::Decord;

/// Why a video cannot be cut.
const NO_RATE: &str = "it has no rate of frames, and clips are of so many seconds\nhint: measure it without `--long`, or make a video of it";

/// An open video, and which of its frames comes next.
struct View {
    stream: FrameStream,
    next: usize,
}

/// One video of a walk.
struct Pass<'a> {
    task: &'a Task,
    options: &'a MeasureOptions<'a>,
    stop: &'a AtomicBool,
}

impl Pass<'_> {
    fn open(&self, reader: Reader) -> Result<FrameStream, MediaError> {
        FrameStream::open(&self.task.path, &self.options.limits, reader, self.options.mode)
    }

    /// What of the video is measured: all, or each of its clips. `None` if it was to stop.
    fn parts(&self, scenes: bool, outcome: &mut Outcome) -> Result<Option<Vec<Part>>, Refusal> {
        let Some(secs) = self.task.cut else { return Ok(Some(vec![Part::whole(&self.task.path)])) };
        let stream = self.open(LONG_READER).map_err(|error| error.to_string())?;
        let info = *stream.info();
        let fps = info.fps.ok_or(NO_RATE)?;
        let frames = match info.frames {
            Some(frames) => frames,
            None => stream.count().map_err(|error| error.to_string())?,
        };
        outcome.note(&self.task.path, &info);
        let (video, mode) = (&self.task.path, self.options.mode);
        if !scenes {
            return long::cut(video, frames, fps, secs, mode).map(Some);
        }
        let Some(mut found) = self.scenes()? else { return Ok(None) };
        // The other reader may know of fewer.
        found.retain(|scene| scene.start < frames);
        if let Some(last) = found.last_mut() {
            last.end = frames;
        }
        match found.len() {
            0 => long::cut(video, frames, fps, secs, mode).map(Some),
            _ => long::cut_scenes(video, &found, fps, secs, mode).map(Some),
        }
    }

    /// The scenes of the video, as OpenCV reads it; none if it has but one. `None` if it was to stop.
    fn scenes(&self) -> Result<Option<Vec<Range<usize>>>, Refusal> {
        let mut stream = self.open(Reader::OpenCv).map_err(|error| error.to_string())?;
        let (mut detector, mut frame) = (SceneDetector::default(), RgbFrame::default());
        while stream.read(&mut frame).map_err(|error| error.to_string())? {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            detector.push(&frame);
        }
        Ok(Some(detector.scenes()))
    }

    /// The scores of a part. `None` if it was to stop.
    ///
    /// # Errors
    /// Why the video has no scores at all.
    fn scores(
        &self,
        part: &Part,
        wanted: &[Dimension],
        view: &mut Option<View>,
        measures: &mut [Box<dyn Measure>],
        outcome: &mut Outcome,
        tell: &mut dyn FnMut(f64),
    ) -> Result<Option<Scores>, Refusal> {
        match &part.frames {
            None => self.video(part, wanted, measures, outcome, tell),
            Some(frames) => self.clip(part, frames, wanted, view, measures, tell),
        }
    }

    /// The scores of a clip, from where the view is if that is not beyond it.
    fn clip(
        &self,
        part: &Part,
        frames: &Range<usize>,
        wanted: &[Dimension],
        view: &mut Option<View>,
        measures: &mut [Box<dyn Measure>],
        tell: &mut dyn FnMut(f64),
    ) -> Result<Option<Scores>, Refusal> {
        let mut at = match view.take().filter(|view| view.next <= frames.start) {
            Some(view) => view,
            None => View { stream: self.open(LONG_READER).map_err(|error| error.to_string())?, next: 0 },
        };
        let mut frame = RgbFrame::default();
        while at.next < frames.start {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if !at.stream.read(&mut frame).map_err(|error| error.to_string())? {
                return Err(format!("the video has `{}` frames, expected `{}` or more", at.next, frames.end));
            }
            at.next += 1;
        }
        let scores = self.look(&mut at.stream, part, frames.len(), wanted, measures, tell)?;
        at.next = frames.end;
        *view = Some(at);
        Ok(scores)
    }

    /// The scores of the whole video, from one decode; from two if readers disagree on its colours.
    fn video(
        &self,
        part: &Part,
        wanted: &[Dimension],
        measures: &mut [Box<dyn Measure>],
        outcome: &mut Outcome,
        tell: &mut dyn FnMut(f64),
    ) -> Result<Option<Scores>, Refusal> {
        let of = |decoder| -> Vec<Dimension> {
            wanted.iter().copied().filter(|dimension| dimension.decoder() == decoder).collect()
        };
        let mut opened = Some(self.open(Reader::Decord).map_err(|error| error.to_string())?);
        let passes = match opened.as_ref().is_some_and(|stream| stream.info().readers_agree) {
            true => vec![(Reader::Decord, wanted.to_vec())],
            false => {
                vec![(Reader::Decord, of(Decoder::Decord)), (Reader::OpenCv, of(Decoder::OpenCv))]
            }
        };
        let passes: Vec<_> = passes.into_iter().filter(|(_, wanted)| !wanted.is_empty()).collect();
        let mut scores = Scores::new();
        for (pass, (reader, wanted)) in passes.iter().enumerate() {
            let mut stream = match opened.take().filter(|stream| stream.info().reader == *reader) {
                Some(stream) => stream,
                None => self.open(*reader).map_err(|error| error.to_string())?,
            };
            let mut tell = |share: f64| tell((pass as f64 + share) / passes.len() as f64);
            let info = *stream.info();
            outcome.note(&self.task.path, &info);
            let frames = match info.frames {
                Some(frames) => frames,
                None => self.open(*reader).and_then(FrameStream::count).map_err(|error| error.to_string())?,
            };
            match self.look(&mut stream, part, frames, wanted, measures, &mut tell)? {
                Some(found) => scores.extend(found),
                None => return Ok(None),
            }
        }
        Ok(Some(scores))
    }

    /// The scores that the next `frames` of one reader give; these are all of a whole video. `None` if it was to stop.
    fn look(
        &self,
        stream: &mut FrameStream,
        part: &Part,
        frames: usize,
        wanted: &[Dimension],
        measures: &mut [Box<dyn Measure>],
        tell: &mut dyn FnMut(f64),
    ) -> Result<Option<Scores>, Refusal> {
        let StreamInfo { height, width, fps, stills, .. } = *stream.info();
        // Single pictures have no rate.
        let fps = fps.unwrap_or(1.0);
        let whole = part.frames.is_none();
        let clip = ClipFacts {
            frames,
            fps: if whole { fps } else { long::rate(fps, self.options.mode) },
            height,
            width,
            prompt: &self.task.prompt,
            stem: stem_of(&part.path),
            auxiliary: &|dimension| self.task.auxiliary.get(&dimension),
            picture: self.task.picture.as_deref(),
            stills,
            mode: self.options.mode,
        };
        let mut scores = Scores::new();
        let mut looking: Vec<(&mut Box<dyn Measure>, Vec<Dimension>)> = Vec::new();
        for measure in measures {
            let wanted: Vec<Dimension> =
                measure.dimensions().iter().copied().filter(|dimension| wanted.contains(dimension)).collect();
            if wanted.is_empty() {
                continue;
            }
            match measure.begin(&clip, &wanted) {
                Ok(()) => looking.push((measure, wanted)),
                Err(reason) => {
                    scores.extend(wanted.iter().map(|dimension| (*dimension, Err(reason.clone()))))
                }
            }
        }
        let (mut frame, mut index) = (RgbFrame::default(), 0);
        while (whole || index < frames) && stream.read(&mut frame).map_err(|error| error.to_string())? {
            let mut refused = Vec::new();
            for (place, (measure, wanted)) in looking.iter_mut().enumerate() {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                if let Err(reason) = measure.frame(index, &frame) {
                    scores.extend(wanted.iter().map(|dimension| (*dimension, Err(reason.clone()))));
                    refused.push(place);
                }
            }
            for place in refused.into_iter().rev() {
                looking.remove(place);
            }
            index += 1;
            tell(index as f64 / frames.max(index) as f64);
        }
        if index != frames {
            return Err(format!(
                "it has `{index}` frames, expected the `{frames}` that its container tells of"
            ));
        }
        for (measure, wanted) in looking {
            let found = measure.finish();
            debug_assert_eq!(found.len(), wanted.len());
            scores.extend(found);
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(Some(scores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imaging_quality_alone_depends_on_how_frames_are_made_smaller() {
        let folder = tempfile::tempdir().unwrap();
        let weights = WeightsFolder::of(None, &[]).unwrap();
        let hashes = weights.hashes(&[]).unwrap();
        let path = folder.path().join("a.mp4");
        std::fs::write(&path, "a").unwrap();
        let plan = Plan::custom(&path, &[Dimension::ImagingQuality], None, None).unwrap();
        let of = |dimension, imaging| {
            let options = MeasureOptions {
                mode: Mode::Compat,
                weights: &weights,
                folder: folder.path(),
                limits: ReadLimits::default(),
                imaging,
            };
            circumstances(&plan.tasks[0], dimension, &options, &hashes, &Pictures::default())
        };
        let own = MusiqRule::ALL.map(|rule| of(Dimension::ImagingQuality, rule));
        for (index, found) in own.iter().enumerate() {
            assert!(!own[..index].contains(found), "{:?}", MusiqRule::ALL[index]);
            assert_eq!(
                of(Dimension::AestheticQuality, MusiqRule::ALL[index]),
                of(Dimension::AestheticQuality, MusiqRule::Longer)
            );
        }
    }

    #[test]
    fn pictures_are_hashed_once_and_one_that_is_missing_is_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let pictures = Pictures::default();
        assert_eq!(pictures.sha256(&at("a.png")), None);
        std::fs::write(at("a.png"), "a").unwrap();
        let found = pictures.sha256(&at("a.png")).unwrap();
        assert_eq!(found, sha256(b"a"));
        std::fs::write(at("a.png"), "b").unwrap();
        assert_eq!(pictures.sha256(&at("a.png")).as_ref(), Some(&found));
        let by_path = pictures.by_path();
        assert_eq!(by_path, BTreeMap::from([(at("a.png").display().to_string(), found)]));
    }
}
