//! Which videos stand still: the filter that VBench's own protocol puts before flicker.

use std::collections::BTreeMap;
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

/// The videos of a prompt that stand still.
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
    const VERSION: u32 = 1;
    let same = json!(["static filter", VERSION, options.mode.name(), weights]);
    let same = sha256(same.to_string().as_bytes());
    let load = |_: &[Dimension]| -> Result<Vec<Box<dyn Measure>>, VbenchError> {
        Ok(vec![networks::static_filter(options)?])
    };
    walk(plan, options, &|_: &Task, _: Dimension| same.clone(), &load, stop, on_progress)
}

/// The still videos of every prompt of the plan, the first `max` by path.
pub fn still_by_prompt(plan: &Plan, outcome: &Outcome, max: usize) -> BTreeMap<String, Still> {
    let still: BTreeMap<&str, bool> = outcome
        .measured
        .get(&Dimension::TemporalFlickering)
        .into_iter()
        .flatten()
        .map(|(path, measured)| (path.as_str(), measured.score.value() == 1.0))
        .collect();
    let mut prompts: BTreeMap<String, Still> = BTreeMap::new();
    for task in &plan.tasks {
        let of = prompts.entry(task.prompt.clone()).or_default();
        if still.get(task.path.display().to_string().as_str()) == Some(&true) {
            of.static_path.push(task.path.clone());
        }
    }
    for of in prompts.values_mut() {
        of.static_path.sort();
        of.static_path.truncate(max);
        of.static_count = of.static_path.len();
    }
    prompts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Measured;

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
        let plan = Plan { tasks, full_info: String::new() };
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
    }
}
