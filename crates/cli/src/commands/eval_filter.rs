//! `vidit eval filter`

use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::json;
use vidit_media::ReadLimits;
use vidit_vbench::run::{MeasureOptions, Plan, STILL_MAX, WeightsFolder, look_for_still, still_by_prompt};
use vidit_vbench::transforms::MusiqRule;
use vidit_vbench::{Dimension, Network, Suite, video_stem};
use vidit_weights::write_atomically;

use super::measuring::{check_videos, make_folder, tell_failed, walk};
use crate::args::vbench::Filter;
use crate::interrupt::{self, Grace};
use crate::report::{Failure, Outcome};
use crate::{output, settings};

const VIDEOS: &str = "filtered_videos";
const LIST: &str = "filtered_static_video.json";

pub fn run(args: Filter) -> Outcome {
    settings::apply(&args.compute)?;
    let stop = interrupt::install(Grace::Unlimited)?;
    check_videos(&args.videos, false)?;
    let own = args.suite.as_deref().map(Suite::read).transpose().map_err(Failure::usage)?;
    let suite = own.as_ref().unwrap_or_else(|| Suite::standard());
    let prompts: Vec<&str> =
        suite.entries_of(Dimension::TemporalFlickering).map(|entry| entry.prompt.as_str()).collect();
    let prompts = (!args.all).then_some(&prompts[..]);
    let plan =
        Plan::called_after(&args.videos, Dimension::TemporalFlickering, prompts).map_err(Failure::usage)?;
    let weights = WeightsFolder::of(args.weights.as_deref(), &[Network::Raft]).map_err(Failure::usage)?;
    let options = MeasureOptions {
        mode: args.mode.mode(),
        weights: &weights,
        folder: &args.output,
        limits: ReadLimits::default(),
        imaging: MusiqRule::default(),
    };
    let outcome = walk(look_for_still, &plan, &options, stop, args.speech.json || args.speech.quiet)?;

    make_folder(&args.output.join(VIDEOS))?;
    let still = still_by_prompt(&plan, &outcome, if args.all { usize::MAX } else { STILL_MAX });
    for (prompt, still) in &still {
        for (sample, path) in still.static_path.iter().enumerate() {
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            copy(path, &args.output.join(VIDEOS).join(format!("{}.{ending}", video_stem(prompt, sample))))?;
        }
    }
    write_atomically(&args.output.join(LIST), serde_json::to_string_pretty(&still)?.as_bytes())?;

    let found: usize = still.values().map(|still| still.static_count).sum();
    let short: Vec<&String> =
        still.iter().filter(|(_, still)| still.static_count < STILL_MAX).map(|(prompt, _)| prompt).collect();
    if args.speech.json {
        output::line(
            json!({
                "output": args.output,
                "videos": plan.tasks.len(),
                "measured_before": outcome.reused,
                "static": found,
                "short": short,
                "failed": outcome.failed,
            })
            .to_string(),
        )?;
    } else {
        tell_failed(&outcome);
        if let (false, [first, ..]) = (args.all, &short[..]) {
            eprintln!(
                "warning: {} prompts have fewer than {STILL_MAX} videos that stand still, the first is `{first}`\nhint: make more samples of these; VBench's authors make 25 to 40",
                short.len()
            );
        }
        if !args.speech.quiet {
            output::print(format!(
                "{found} of {} videos stand still: {}\n",
                plan.tasks.len(),
                args.output.join(VIDEOS).display()
            ))?;
        }
    }
    match outcome.failed.len() {
        0 => Ok(()),
        count => Err(anyhow!(
            "{count} videos could not be looked at\nhint: mend or remake them and run the same command: the others are not looked at again"
        )
        .into()),
    }
}

/// Copies a file: aside, then renamed.
fn copy(from: &Path, to: &Path) -> Outcome {
    let bytes = std::fs::read(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    Ok(write_atomically(to, &bytes)?)
}
