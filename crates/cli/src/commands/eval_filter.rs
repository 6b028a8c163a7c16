//! `vidit eval filter`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::json;
use vidit_vbench::run::{MeasureOptions, Plan, STILL_MAX, WeightsFolder, look_for_still, still_by_prompt};
use vidit_vbench::transforms::MusiqRule;
use vidit_vbench::{Dimension, Network, Suite, is_video, split_stem, stem_of, video_stem};
use vidit_weights::write_atomically;

use super::measuring::{check_videos, check_weights, make_folder, read_limits, tell_failed, walk};
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
    let copies = args.output.join(VIDEOS);
    check_apart(&args.videos, &copies)?;
    let own = args.suite.as_deref().map(Suite::read).transpose().map_err(Failure::usage)?;
    let suite = own.as_ref().unwrap_or_else(|| Suite::standard());
    let prompts: Vec<&str> =
        suite.entries_of(Dimension::TemporalFlickering).map(|entry| entry.prompt.as_str()).collect();
    let prompts = (!args.all).then_some(&prompts[..]);
    let plan =
        Plan::called_after(&args.videos, Dimension::TemporalFlickering, prompts).map_err(Failure::usage)?;
    let weights = WeightsFolder::of(args.weights.as_deref(), &[Network::Raft]).map_err(Failure::usage)?;
    check_weights(args.weights.as_deref())?;
    let options = MeasureOptions {
        mode: args.mode.mode(),
        weights: &weights,
        folder: &args.output,
        limits: read_limits(false),
        imaging: MusiqRule::default(),
    };
    let outcome = walk(look_for_still, &plan, &options, stop, args.speech.json || args.speech.quiet)?;

    make_folder(&copies)?;
    let still = still_by_prompt(&plan, &outcome, if args.all { usize::MAX } else { STILL_MAX });
    let mut wanted: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for (prompt, still) in &still {
        for (sample, path) in still.static_path.iter().enumerate() {
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            wanted.insert(copies.join(format!("{}.{ending}", video_stem(prompt, sample))), path);
        }
    }
    remove_others(&copies, &wanted)?;
    wanted.iter().try_for_each(|(to, from)| copy(from, to))?;
    write_atomically(&args.output.join(LIST), serde_json::to_string_pretty(&still)?.as_bytes())?;

    let found: usize = still.values().map(|still| still.static_count).sum();
    let short: Vec<&String> =
        still.iter().filter(|(_, still)| still.static_count < STILL_MAX).map(|(prompt, _)| prompt).collect();
    let passed_over: Vec<String> = plan.told_passed_over().collect();
    if args.speech.json {
        output::line(
            json!({
                "output": args.output.display().to_string(),
                "videos": plan.tasks.len(),
                "measured_before": outcome.reused,
                "static": found,
                "short": short,
                "failed": outcome.failed,
                "warnings": passed_over,
            })
            .to_string(),
        )?;
    } else {
        tell_failed(&outcome);
        passed_over.iter().for_each(|warning| eprintln!("warning: {warning}"));
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
                copies.display()
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

/// That videos do not lie where their copies go, as what lies there is removed.
fn check_apart(videos: &Path, copies: &Path) -> Outcome {
    // Neither is there before the first run.
    let (Ok(at), Ok(from)) = (copies.canonicalize(), videos.canonicalize()) else { return Ok(()) };
    match at == from {
        true => Err(Failure::usage(anyhow!(
            "the videos must not lie where their copies go, found `{}`\nhint: name another folder with `--output`",
            videos.display()
        ))),
        false => Ok(()),
    }
}

/// Removes the copies that an earlier run left and this one does not make.
fn remove_others(copies: &Path, wanted: &BTreeMap<PathBuf, &Path>) -> Outcome {
    let failed = || format!("cannot look into `{}`", copies.display());
    for entry in std::fs::read_dir(copies).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let is_copy = is_video(&path) && split_stem(stem_of(&path.to_string_lossy())).1.is_some();
        if is_copy && path.is_file() && !wanted.contains_key(&path) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}
