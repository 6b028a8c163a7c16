//! Which videos stand still: the filter that VBench's own protocol puts before flicker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use serde_json::json;

use super::engine::walk;
use super::{Measure, MeasureOptions, Outcome, Plan, Progress, Task, networks};
use crate::hash::sha256;
use crate::{Dimension, Network, VbenchError};

/// Of each prompt, so many videos that stand still go on to be measured.
pub const STILL_MAX: usize = 5;

/// The videos of a prompt that stand still; of a long run, the clips.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Still {
    /// How many there are.
    pub static_count: usize,
    /// Which, in order of their paths.
    pub static_path: Vec<PathBuf>,
}

/// Looks which videos of `plan` stand still, with RAFT of `options.weights`; resumably, as [`measure`](super::measure()) does, and
/// kept in the same journal.
///
/// # Errors
/// As [`measure`](super::measure()).
pub fn look_for_still(
    plan: &Plan,
    options: &MeasureOptions,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Option<Outcome>, VbenchError> {
    let weights = options.weights.hash(Network::Raft)?;
    // Bumped whenever the arithmetic changes.
    const VERSION: u32 = 2;
    let same = json!(["static filter", VERSION, options.mode.name(), weights]);
    let same = sha256(same.to_string().as_bytes());
    let load = |_: &[Dimension]| -> Result<Vec<Box<dyn Measure>>, VbenchError> {
        Ok(vec![networks::static_filter(options)?])
    };
    walk(plan, options, &|_: &Task, _: Dimension| same.clone(), &load, stop, on_progress)
}

/// The still videos of every prompt of the plan, the first `max` by path; of a long run, the clips. A prompt without any video has
/// none, as in the reference's list.
pub fn still_by_prompt(plan: &Plan, outcome: &Outcome, max: usize) -> BTreeMap<String, Still> {
    let mut prompts: BTreeMap<String, Still> = BTreeMap::new();
    prompts.extend(plan.prompts.iter().map(|prompt| (prompt.clone(), Still::default())));
    let mut prompt_of: BTreeMap<String, &str> = BTreeMap::new();
    for task in &plan.tasks {
        prompts.entry(task.prompt.clone()).or_default();
        prompt_of.insert(task.path.display().to_string(), &task.prompt);
    }
    let looked_at = outcome.measured.get(&Dimension::TemporalFlickering).into_iter().flatten();
    for (path, _) in looked_at.filter(|(_, measured)| measured.score.value() == 1.0) {
        let video = outcome.video_of(path).unwrap_or(path);
        let prompt = prompt_of.get(video).and_then(|prompt| prompts.get_mut(*prompt));
        prompt.into_iter().for_each(|of| of.static_path.push(path.into()));
    }
    for of in prompts.values_mut() {
        of.static_path.sort();
        of.static_path.truncate(max);
        of.static_count = of.static_path.len();
    }
    prompts
}

impl Outcome {
    /// Of a long run, leaves out the flicker of clips that are not among `still`.
    pub fn keep_still(&mut self, still: &BTreeMap<String, Still>) {
        let kept: BTreeSet<String> =
            still.values().flat_map(|of| &of.static_path).map(|path| path.display().to_string()).collect();
        if let Some(clips) = self.measured.get_mut(&Dimension::TemporalFlickering) {
            clips.retain(|(path, _)| kept.contains(path));
        }
        self.only_still = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Measured;
    use crate::{DimensionResult, Mode};

    #[test]
    fn the_first_still_videos_of_each_prompt_are_taken() {
        let task = |prompt: &str, sample: usize| Task {
            path: format!("v/{prompt}-{sample}.mp4").into(),
            prompt: prompt.to_owned(),
            dimensions: vec![Dimension::TemporalFlickering],
            auxiliary: BTreeMap::new(),
            picture: None,
            cut: None,
        };
        let tasks: Vec<Task> = (0..4).rev().map(|i| task("a cup", i)).chain([task("a cat", 0)]).collect();
        let plan = Plan { tasks, ..Plan::default() };
        let measured = |task: &Task| {
            let path = task.path.display().to_string();
            let still = !path.ends_with("cup-1.mp4") && !path.contains("cat");
            (path, Measured::new(still))
        };
        let measured =
            BTreeMap::from([(Dimension::TemporalFlickering, plan.tasks.iter().map(measured).collect())]);
        let outcome = Outcome { measured, ..Outcome::default() };
        let found = still_by_prompt(&plan, &outcome, 2);
        assert_eq!(found["a cup"].static_path, ["v/a cup-0.mp4", "v/a cup-2.mp4"].map(PathBuf::from));
        assert_eq!((found["a cup"].static_count, found["a cat"].static_count), (2, 0));
        let asked = ["a cup", "a dog"].map(str::to_owned).into();
        let found = still_by_prompt(&Plan { prompts: asked, ..plan }, &outcome, 2);
        let counts: Vec<_> = found.iter().map(|(prompt, of)| (prompt.as_str(), of.static_count)).collect();
        assert_eq!(counts, [("a cat", 0), ("a cup", 2), ("a dog", 0)]);
    }

    #[test]
    fn still_clips_are_taken_by_prompt_and_summed_up_by_video() {
        let dimension = Dimension::TemporalFlickering;
        let tasks = ["a cup-0", "a cup-1"].map(|name| Task {
            path: format!("v/{name}.mp4").into(),
            prompt: "a cup".to_owned(),
            dimensions: vec![dimension],
            auxiliary: BTreeMap::new(),
            picture: None,
            cut: Some(2),
        });
        let plan = Plan { tasks: tasks.into(), ..Plan::default() };
        let (mut found, mut scored) = (Outcome::default(), Outcome::default());
        for (clip, still, score) in [
            ("0_000", true, 0.25),
            ("0_001", false, 0.0),
            ("0_002", true, 0.75),
            ("1_000", true, 1.0),
            ("1_001", true, 0.0),
        ] {
            let path = format!("v/split_clip/a cup-{clip}.mp4");
            for (outcome, measured) in
                [(&mut found, Measured::new(still)), (&mut scored, Measured::new(score))]
            {
                outcome.clips.insert(path.clone(), format!("v/a cup-{}.mp4", &clip[..1]));
                outcome.measured.entry(dimension).or_default().push((path.clone(), measured));
            }
        }
        let still = still_by_prompt(&plan, &found, 3);
        assert_eq!(still["a cup"].static_count, 3);
        scored.keep_still(&still);
        let results = scored.results(Mode::Compat);
        let DimensionResult { overall, videos, long, .. } = &results.dimensions[&dimension];
        let clips: Vec<&str> = videos.iter().map(|clip| clip.path.as_str()).collect();
        assert_eq!(clips, ["0_000", "0_002", "1_000"].map(|clip| format!("v/split_clip/a cup-{clip}.mp4")));
        // Clips that the filter lets pass are grouped as they are meant to be.
        assert_eq!((long.len(), *overall), (2, 0.75));
    }
}
