//! The walk over videos.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use vidit_media::{MediaError, ReadLimits};

use super::journal::{Journal, Line};
use super::networks::{self, WeightsFolder};
use super::{ClipFacts, Failed, Measure, Measured, Outcome, Plan, Refusal, Task};
use crate::hash::{sha256, sha256_of_file};
use crate::pixels::{FrameStream, Reader, RgbFrame, StreamInfo};
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
    let known = |task: &Task, dimension| circumstances(task, dimension, options.mode, &weights);
    let load = |dimensions: &[Dimension]| networks::measures(dimensions, options);
    walk(plan, options, &known, &load, stop, on_progress)
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
        let mut found: BTreeMap<Dimension, Measured> = BTreeMap::new();
        for &dimension in &task.dimensions {
            let known = journal.find(&video, dimension, &circumstances(task, dimension));
            found.extend(known.map(|measured| (dimension, measured.clone())));
        }
        let left: Vec<Dimension> =
            task.dimensions.iter().copied().filter(|dimension| !found.contains_key(dimension)).collect();
        if left.is_empty() {
            outcome.reused += 1;
        } else {
            let loaded = |dimension: &Dimension| measures.iter().any(|m| m.dimensions().contains(dimension));
            if !left.iter().all(loaded) {
                // Together, as some share a network.
                measures = load(&plan.dimensions())?;
            }
            let pass = Pass { task, options, stop };
            let scores = match pass.scores(&left, &mut measures, &mut outcome, &mut tell) {
                Ok(Some(scores)) => scores,
                Ok(None) => return Ok(None),
                Err(reason) => {
                    outcome.fail(&task.path, None, reason);
                    Scores::new()
                }
            };
            let mut lines = Vec::new();
            for (dimension, score) in scores {
                match score {
                    Ok(measured) if measured.is_finite() => {
                        let (video, circumstances) = (video.clone(), circumstances(task, dimension));
                        lines.push(Line { video, dimension, circumstances, measured: measured.clone() });
                        found.insert(dimension, measured);
                    }
                    Ok(measured) => outcome.fail(
                        &task.path,
                        Some(dimension),
                        format!(
                            "its score is `{}`, expected a number: a network gave values that are not finite",
                            measured.score.value()
                        ),
                    ),
                    Err(reason) => outcome.fail(&task.path, Some(dimension), reason),
                }
            }
            journal.add(lines)?;
        }
        for (dimension, measured) in found {
            let measured = match task.picture_of(dimension) {
                Some(picture) => measured.with("image_path", picture.display().to_string()),
                None => measured,
            };
            outcome.measured.entry(dimension).or_default().push((name.clone(), measured));
        }
    }
    Ok(Some(outcome))
}

impl Outcome {
    fn fail(&mut self, path: &Path, dimension: Option<Dimension>, reason: String) {
        self.failed.push(Failed { path: path.to_owned(), dimension, reason });
    }
}

/// All but the video that a result depends on.
fn circumstances(task: &Task, dimension: Dimension, mode: Mode, weights: &networks::Hashes) -> String {
    let told = task.auxiliary.get(&dimension).map(|told| format!("{told:?}"));
    let name = task.path.file_name().map(|name| name.to_string_lossy().into_owned());
    // Bumped whenever a dimension's arithmetic changes.
    const VERSION: u32 = 1;
    let of = weights.of(dimension);
    let mut all =
        vec![json!(VERSION), json!(mode.name()), json!(task.prompt), json!(told), json!(name), json!(of)];
    // One that cannot be read is no result's: it is named where it is looked at.
    all.extend(task.picture_of(dimension).map(|picture| json!(sha256_of_file(picture).ok())));
    sha256(json!(all).to_string().as_bytes())
}

type Scores = Vec<(Dimension, Result<Measured, Refusal>)>;

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

    /// The scores of the video, from one decode; from two if readers disagree on its colours. `None` if it was to stop.
    ///
    /// # Errors
    /// Why the video has no scores at all.
    fn scores(
        &self,
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
            let stream = match opened.take().filter(|stream| stream.info().reader == *reader) {
                Some(stream) => stream,
                None => self.open(*reader).map_err(|error| error.to_string())?,
            };
            let mut tell = |share: f64| tell((pass as f64 + share) / passes.len() as f64);
            match self.look(stream, wanted, measures, outcome, &mut tell)? {
                Some(found) => scores.extend(found),
                None => return Ok(None),
            }
        }
        Ok(Some(scores))
    }

    /// The scores that one reader's frames give. `None` if it was to stop.
    fn look(
        &self,
        mut stream: FrameStream,
        wanted: &[Dimension],
        measures: &mut [Box<dyn Measure>],
        outcome: &mut Outcome,
        tell: &mut dyn FnMut(f64),
    ) -> Result<Option<Scores>, Refusal> {
        let StreamInfo { height, width, frames, fps, decoder, exact, reader, .. } = *stream.info();
        *outcome.decoders.entry(decoder.to_owned()).or_default() += 1;
        let name = self.task.path.display().to_string();
        if !exact {
            outcome.inexact.push(name.clone());
        }
        let frames = match frames {
            Some(frames) => frames,
            None => self.open(reader).and_then(FrameStream::count).map_err(|error| error.to_string())?,
        };
        let clip = ClipFacts {
            frames,
            // Pictures have no rate; the reference's readers give GIFs none either.
            fps: fps.unwrap_or(1.0),
            height,
            width,
            prompt: &self.task.prompt,
            stem: stem_of(&name),
            auxiliary: &|dimension| self.task.auxiliary.get(&dimension),
            picture: self.task.picture.as_deref(),
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
        while stream.read(&mut frame).map_err(|error| error.to_string())? {
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
