//! VBench-Long's consistency from clip to clip: the first frames of a video's clips are a video of their own, whose score goes through a
//! table onto the scale of scores within clips, and counts half.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::engine::LONG_READER;
use super::journal::{Journal, Line};
use super::{ClipFacts, Measure, MeasureOptions, Measured, Outcome, Plan, Progress, Refusal, Task, networks};
use crate::hash::sha256;
use crate::pixels::{FrameStream, RgbFrame, StreamInfo};
use crate::{Dimension, Mode, VbenchError, stem_of};

/// How much the score from clip to clip counts: `configs/slow_fast_params.yaml` of the reference, which reads it with `--dev_flag`.
const SHARE: f64 = 0.5;

/// What measures a dimension from clip to clip.
type Load<'a> = &'a dyn Fn(Dimension) -> Result<Box<dyn Measure>, VbenchError>;

/// Measures the clips of `outcome` against each other. Returns whether it came to the end.
pub(super) fn measure_between(
    plan: &Plan,
    options: &MeasureOptions,
    outcome: &mut Outcome,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<bool, VbenchError> {
    // Bumped whenever the arithmetic changes.
    const VERSION: u32 = 1;
    let mut weights = BTreeMap::new();
    for dimension in plan.dimensions() {
        weights.insert(dimension, options.weights.hashes_of(dimension.networks_between())?);
    }
    let circumstances = |dimension: Dimension, starts: &[usize]| {
        let all = json!(["clip to clip", VERSION, options.mode.name(), weights.get(&dimension), starts]);
        sha256(all.to_string().as_bytes())
    };
    let load = |dimension| networks::between(dimension, options);
    look(plan, options, outcome, &circumstances, &load, stop, on_progress)
}

/// The same: `circumstances` tells all but the video that a result depends on, `load` is asked for a network once it is needed.
pub(super) fn look(
    plan: &Plan,
    options: &MeasureOptions,
    outcome: &mut Outcome,
    circumstances: &dyn Fn(Dimension, &[usize]) -> String,
    load: Load,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<bool, VbenchError> {
    let mut journal = Journal::open(options.folder)?;
    let mut measures: BTreeMap<Dimension, Box<dyn Measure>> = BTreeMap::new();
    let total = plan.tasks.len();
    for (done, task) in plan.tasks.iter().enumerate() {
        on_progress(Progress { done, total, share: 0.0, path: &task.path });
        let name = task.path.display().to_string();
        let Some(video) = outcome.videos.get(&name).cloned() else { continue };
        let mut left: Vec<Asked> = Vec::new();
        for of in scenes(outcome, &name) {
            for &dimension in &task.dimensions {
                let starts = starts(outcome, dimension, &of);
                if dimension.networks_between().is_empty() || starts.len() < 2 {
                    continue;
                }
                match journal.find(&video, dimension, &circumstances(dimension, &starts)) {
                    Some(known) => outcome.compared(dimension, &of, known.score.value()),
                    None => left.push(Asked { dimension, of: of.clone(), starts }),
                }
            }
        }
        if left.is_empty() {
            continue;
        }
        for Asked { dimension, .. } in &left {
            if !measures.contains_key(dimension) {
                measures.insert(*dimension, load(*dimension)?);
            }
        }
        let found = match first_frames(task, &left, &mut measures, options, stop) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(reason) => left.iter().map(|_| Err(reason.clone())).collect(),
        };
        let mut lines = Vec::new();
        for (Asked { dimension, of, starts }, score) in left.into_iter().zip(found) {
            match score {
                Ok(measured) if measured.is_finite() => {
                    outcome.compared(dimension, &of, measured.score.value());
                    let circumstances = circumstances(dimension, &starts);
                    lines.push(Line { video: video.clone(), dimension, circumstances, measured });
                }
                Ok(_) => {
                    outcome.not_compared(task, dimension, &of, "a network gave values that are not finite")
                }
                Err(reason) => outcome.not_compared(task, dimension, &of, &reason),
            }
        }
        journal.add(lines)?;
    }
    Ok(true)
}

/// What is to be compared: the clips of a video, or of a scene.
struct Asked {
    dimension: Dimension,
    of: String,
    /// Their first frames, in order.
    starts: Vec<usize>,
}

/// The scenes of a video in order, or itself where none were told apart.
fn scenes(outcome: &Outcome, video: &str) -> Vec<String> {
    let own = outcome.scenes.iter().filter(|(_, of)| *of == video);
    let own: Vec<String> = own.map(|(scene, _)| scene.clone()).collect();
    if own.is_empty() { vec![video.to_owned()] } else { own }
}

/// The first frames of a video's clips, in order.
fn starts(outcome: &Outcome, dimension: Dimension, video: &str) -> Vec<usize> {
    let clips = outcome.measured.get(&dimension).into_iter().flatten();
    let own = clips.filter(|(clip, _)| outcome.clips.get(clip).is_some_and(|of| of == video));
    let start = |measured: &Measured| measured.extra.get("frames")?.get(0)?.as_u64();
    let mut starts: Vec<usize> = own.filter_map(|(_, measured)| Some(start(measured)? as usize)).collect();
    starts.sort_unstable();
    starts
}

/// What each of `asked` scores, in order, from one decode. `None` if it was to stop.
fn first_frames(
    task: &Task,
    asked: &[Asked],
    measures: &mut BTreeMap<Dimension, Box<dyn Measure>>,
    options: &MeasureOptions,
    stop: &AtomicBool,
) -> Result<Option<Vec<Result<Measured, Refusal>>>, Refusal> {
    let opened = FrameStream::open(&task.path, &options.limits, LONG_READER, options.mode);
    let mut stream = opened.map_err(|error| error.to_string())?;
    let StreamInfo { height, width, fps, .. } = *stream.info();
    let name = task.path.display().to_string();
    let end = asked.iter().filter_map(|asked| asked.starts.last()).max().map_or(0, |last| last + 1);
    let mut scores: Vec<Option<Result<Measured, Refusal>>> = asked.iter().map(|_| None).collect();
    let mut frame = RgbFrame::default();
    for index in 0..end {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if !stream.read(&mut frame).map_err(|error| error.to_string())? {
            return Err(format!("the video has `{index}` frames, expected `{end}` or more"));
        }
        // Scenes lie one after another, so that a measure has done with one before the next begins.
        for (Asked { dimension, starts, .. }, score) in asked.iter().zip(&mut scores) {
            let Ok(place) = starts.binary_search(&index) else { continue };
            let measure = measures.get_mut(dimension).expect("it was loaded");
            if place == 0 {
                let facts = ClipFacts {
                    frames: starts.len(),
                    fps: fps.unwrap_or(1.0),
                    height,
                    width,
                    prompt: &task.prompt,
                    stem: stem_of(&name),
                    auxiliary: &|_| None,
                    picture: None,
                    stills: false,
                    mode: options.mode,
                };
                measure.begin(&facts, &[*dimension])?;
            }
            measure.frame(place, &frame)?;
            if place + 1 == starts.len() {
                *score = measure.finish().pop().map(|(_, score)| score);
            }
        }
    }
    let scores = scores.into_iter().map(|score| score.expect("every first frame was shown"));
    Ok(Some(scores.collect()))
}

impl Outcome {
    fn compared(&mut self, dimension: Dimension, video: &str, score: f64) {
        self.between.entry(dimension).or_default().insert(video.to_owned(), score);
    }

    /// Names a video or a scene whose clips could not be compared, and takes its scores away: they would be others' than those beside them.
    fn not_compared(&mut self, task: &Task, dimension: Dimension, of: &str, reason: &str) {
        self.fail(&task.path, Some(dimension), format!("from clip to clip: {reason}"));
        if let Some(measured) = self.measured.get_mut(&dimension) {
            measured.retain(|(clip, _)| self.clips.get(clip).is_none_or(|found| found != of));
        }
    }

    /// A clip with what it scores together with the score of its video from clip to clip, if there is one.
    pub(super) fn fused(
        &self,
        dimension: Dimension,
        (clip, measured): &(String, Measured),
        mode: Mode,
    ) -> (String, Measured) {
        let of = self.between.get(&dimension);
        let score = of.and_then(|of| of.get(self.clips.get(clip)?));
        let score = match (score, of, mode) {
            (Some(score), ..) => *score,
            // The reference's mark of a video of one clip, beside others that have more.
            (None, Some(_), Mode::Compat) => 0.0,
            _ => return (clip.clone(), measured.clone()),
        };
        let (within, mapped) = (measured.score.value(), mapped(dimension, score));
        let alone = mode == Mode::Compat && mapped == 0.0;
        let fused = if alone { within } else { within * (1.0 - SHARE) + mapped * SHARE };
        let fused = Measured { extra: measured.extra.clone(), ..Measured::new(fused) }
            .with("inclip_score", within)
            .with("clip2clip_score", score)
            .with("mapped_clip2clip_score", mapped);
        (clip.clone(), fused)
    }
}

/// The score within clips that is as rare as this one is from clip to clip, by the reference's tables: between two of their hundred and
/// one places on a line, beyond them the first or the last.
fn mapped(dimension: Dimension, score: f64) -> f64 {
    static TABLES: LazyLock<BTreeMap<Dimension, Vec<f64>>> = LazyLock::new(|| {
        let text = include_str!("../../../../assets/vbench/clip_to_clip.json");
        serde_json::from_str(text).expect("the tables are whole")
    });
    let table = &TABLES[&dimension];
    let steps = (table.len() - 1) as f64;
    let key = |place: usize| place as f64 / steps;
    let place = (0..table.len()).take_while(|place| key(*place) < score).count();
    match place {
        0 => table[0],
        place if place == table.len() => table[place - 1],
        place => {
            let (x0, x1, y0, y1) = (key(place - 1), key(place), table[place - 1], table[place]);
            y0 + (y1 - y0) * (score - x0) / (x1 - x0)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Python and Rust compute the same sums of doubles in the same order.
    const TOLERANCE: f64 = 0.0;

    fn golden() -> Value {
        serde_json::from_str(include_str!("golden/long.json")).unwrap()
    }

    #[test]
    fn scores_are_mapped_and_fused_as_by_the_reference() {
        let golden = golden();
        for (dimension, cases) in golden["fused"].as_object().unwrap() {
            let dimension: Dimension = dimension.parse().unwrap();
            for case in cases.as_array().unwrap() {
                let number = |key: &str| case[key].as_f64().unwrap();
                let found = mapped(dimension, number("clip2clip_score"));
                let expected = number("mapped_clip2clip_score");
                assert!((found - expected).abs() <= TOLERANCE, "{case}: {found}");
                let (clip, video) = ("a_000.mp4".to_owned(), "a.mp4".to_owned());
                let outcome = Outcome {
                    clips: [(clip.clone(), video.clone())].into(),
                    between: [(dimension, [(video, number("clip2clip_score"))].into())].into(),
                    ..Outcome::default()
                };
                let clip = (clip, Measured::new(number("inclip_score")));
                let (_, fused) = outcome.fused(dimension, &clip, Mode::Compat);
                assert!(
                    (fused.score.value() - number("video_results")).abs() <= TOLERANCE,
                    "{case}: {fused:?}"
                );
                for key in ["inclip_score", "clip2clip_score", "mapped_clip2clip_score"] {
                    assert_eq!(fused.extra[key], case[key], "{case}");
                }
            }
        }
    }

    #[test]
    fn sums_of_fused_scores_are_the_reference_s_and_by_video_in_fixed() {
        let golden = golden();
        let mut outcome = Outcome::default();
        let dimension = Dimension::SubjectConsistency;
        let clips = |of: &str| golden["fused_suite"][of].as_object().unwrap();
        for (video, scores) in clips("inclip") {
            for (index, score) in scores.as_array().unwrap().iter().enumerate() {
                let clip = format!("split_clip/{video}_{index:03}.mp4");
                outcome.clips.insert(clip.clone(), format!("{video}.mp4"));
                let measured = Measured::new(score.as_f64().unwrap());
                outcome.measured.entry(dimension).or_default().push((clip, measured));
            }
        }
        for (video, score) in clips("clip2clip") {
            outcome.compared(dimension, &format!("{video}.mp4"), score.as_f64().unwrap());
        }
        let results = outcome.results(Mode::Compat);
        let found = &results.dimensions[&dimension];
        let expected = golden["fused_suite"]["overall"].as_f64().unwrap();
        assert!((found.overall - expected).abs() < 1e-15, "{} and {expected}", found.overall);
        // One clip.
        let alone = found.videos.last().unwrap();
        for (key, expected) in
            [("inclip_score", alone.score.value()), ("clip2clip_score", 0.0), ("mapped_clip2clip_score", 0.0)]
        {
            assert_eq!(alone.extra[key], expected, "{key}");
        }
        let fixed = &outcome.results(Mode::Fixed).dimensions[&dimension];
        assert!(!fixed.videos.last().unwrap().extra.contains_key("inclip_score"));
        let by_video = outcome.results(Mode::Fixed).dimensions[&dimension].overall;
        let long: Vec<f64> = found.long.iter().map(|video| video.score.value()).collect();
        assert!((by_video - long.iter().sum::<f64>() / long.len() as f64).abs() < 1e-15);
        assert!(by_video != found.overall);
    }

    #[test]
    fn a_video_whose_clips_are_nothing_alike_is_fused_in_fixed_alone() {
        let dimension = Dimension::BackgroundConsistency;
        let outcome = Outcome {
            clips: [("c".to_owned(), "v".to_owned())].into(),
            between: [(dimension, [("v".to_owned(), 0.0)].into())].into(),
            ..Outcome::default()
        };
        let clip = ("c".to_owned(), Measured::new(0.75));
        let score = |mode| outcome.fused(dimension, &clip, mode).1.score.value();
        assert_eq!((score(Mode::Compat), score(Mode::Fixed)), (0.75, 0.375));
    }
}
