//! `vidit eval run`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use anyhow::anyhow;
use serde_json::json;
use vidit_kernels::{Isa, Precision, thread_count};
use vidit_vbench::run::{
    MeasureOptions, Outcome as Measured, Plan, STILL_MAX, Still, Task, WeightsFolder, look_for_still,
    measure, still_by_prompt,
};
use vidit_vbench::transforms::MusiqRule;
use vidit_vbench::{
    Dimension, I2vTotals, Manifest, Mode, NAME_BYTES_MAX, Network, PreflightOptions, Report, SAMPLES, Suite,
    Totals, WeightsOrigin, WeightsUsed, multiply_in_two_parts, preflight, products, published_row,
    read_facts, sha256_of_file,
};
use vidit_weights::{hint_of, write_atomically};

use super::measuring::{check_videos, check_weights, read_limits, tell_failed, walk};
use super::vbench::{clip_thumbnails, thumbnails};
use crate::args::vbench::Run;
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{output, settings};

pub fn run(args: Run) -> Outcome {
    settings::apply(&args.compute)?;
    multiply_in_two_parts(!args.exact);
    let stop = interrupt::install(Grace::Unlimited)?;
    let mode = args.mode.mode();
    check_name(&args.name)?;
    check_videos(&args.videos, args.custom)?;
    let own = args.suite.as_deref().map(Suite::read).transpose().map_err(Failure::usage)?;
    let plain = !args.custom && args.suite.is_none();
    if args.i2v.is_some() && plain {
        return Err(Failure::usage(anyhow!(
            "`--i2v` needs a suite that names pictures, found VBench's own\nhint: `--suite vbench2_i2v_full_info.json` of VBench-I2V, or `--custom`"
        )));
    }
    let given = args.dimensions.iter().find(|dimension| dimension.needs_picture());
    if let (None, Some(dimension)) = (&args.i2v, given) {
        return Err(Failure::usage(anyhow!(
            "`{dimension}` compares videos with given pictures, found none\nhint: `--i2v PICTURES` names the folder of them, or the only one"
        )));
    }
    let (mut plan, complete, mut warnings) = match args.custom {
        true => (custom(&args)?, false, Vec::new()),
        false => of_suite(&args, own.as_ref().unwrap_or_else(|| Suite::standard()))?,
    };
    warnings.extend(plan.told_passed_over());
    if args.i2v.is_some() && !plan.dimensions().iter().any(|dimension| dimension.needs_picture()) {
        return Err(Failure::usage(anyhow!(
            "`--i2v` names pictures for i2v_subject and i2v_background, found neither\nhint: add one to `--dimensions`, or leave `--i2v` out"
        )));
    }
    if let Some(pictures) = &args.i2v {
        plan.begin_with(pictures, &|task| match &own {
            Some(suite) => suite.image_name(&task.prompt).map(str::to_owned),
            None => Some(picture_name(pictures, &task.prompt)),
        });
    }
    let limits = read_limits(args.long);
    if args.long {
        plan.cut((!args.custom).then(|| own.as_ref().unwrap_or_else(|| Suite::standard())));
        plan.between = args.clip_to_clip;
        plan.scenes = args.scenes;
        let dimensions = plan.dimensions();
        if args.clip_to_clip && dimensions.iter().all(|dimension| dimension.networks_between().is_empty()) {
            return Err(Failure::usage(anyhow!(
                "`--clip-to-clip` compares clips for subject and background consistency, found neither\nhint: add one to `--dimensions`, or leave `--clip-to-clip` out"
            )));
        }
        warnings.extend(lacking(&args, &dimensions));
    }
    let imaging = imaging_rule(&args, &plan)?;
    let mut beside = Vec::new();
    for name in args.published.iter().filter(|name| !name.is_empty()) {
        beside.push(published_row(name).map_err(Failure::usage)?);
    }
    let weights = WeightsFolder::of(args.weights.as_deref(), &plan.networks()).map_err(Failure::usage)?;
    check_weights(args.weights.as_deref())?;
    plan.check_pictures(&limits).map_err(Failure::usage)?;
    let filter = args.static_filter.then(|| Filter::new(&args, &plan)).transpose()?;
    // Where the reference takes no prompts, and names for them; not before clips that stand still were told apart by prompt.
    let told = args.prompt.is_some() || args.prompt_file.is_some();
    if args.long && args.custom && !told && mode == Mode::Compat {
        plan.take_whole_names();
    }
    let options = MeasureOptions { mode, weights: &weights, folder: &args.output, limits, imaging };
    let quiet = args.speech.json || args.speech.quiet;
    let began = SystemTime::now();
    let still = match &filter {
        Some(Filter { plan, weights }) => {
            let options = MeasureOptions { weights, ..options };
            let looked = walk(look_for_still, plan, &options, stop, quiet)?;
            Some((still_by_prompt(plan, &looked, STILL_MAX), looked.failed))
        }
        None => None,
    };
    let mut outcome = walk(measure, &plan, &options, stop, quiet)?;
    if let Some((still, failed)) = still {
        outcome.keep_still(&still);
        outcome.failed.extend(failed);
        warnings.extend(few_still(&still));
    }
    // What was there need not have been measured.
    let complete = complete && outcome.failed.is_empty();
    warnings.extend(doubts(&args, &outcome, complete));
    let mut used = weights.used();
    used.extend(filter.map(|filter| filter.weights.used()).unwrap_or_default());
    used.sort_by_key(|weights| weights.network);
    used.dedup();
    let manifest = manifest(&args, &outcome, used, complete, began)?;
    let results = outcome.results(mode);
    let report = Report {
        title: args.title.clone().unwrap_or_else(|| args.name.clone()),
        mode,
        sums: Mode::Fixed,
        manifest: Some(manifest),
        beside,
        thumbnails: match args.long {
            true => clip_thumbnails(&outcome, &limits, &mut Bars::new(quiet)),
            false => thumbnails(&results, &mut Bars::new(quiet)),
        },
        warnings,
        results,
    };
    write(&args, &plan, &outcome, &report)?;
    tell(&args, &outcome, &report)?;
    match outcome.failed.len() {
        0 => Ok(()),
        count => Err(Failure::from(anyhow!(
            "{count} measurements failed, as `{}` says\nhint: mend or remake these videos and run the same command: the others are not measured again",
            args.output.join("failed.json").display()
        ))),
    }
}

/// What the file of results is called.
fn results_file(name: &str) -> String {
    format!("{name}_eval_results.json")
}

/// Files are called after it, in the folder of the results.
fn check_name(name: &str) -> Outcome {
    let is_name = Path::new(name).file_name().is_some_and(|file| file == name) && !name.starts_with('.');
    if !is_name {
        return Err(Failure::usage(anyhow!(
            "`--name` must be what a file can be called after, found `{name}`\nhint: `--output` says where the results go"
        )));
    }
    let limit = NAME_BYTES_MAX - results_file("").len();
    match name.len() {
        found if found > limit => Err(Failure::usage(anyhow!(
            "`--name` must be at most {limit} bytes long, found `{found}`\nhint: `--title` can be longer"
        ))),
        _ => Ok(()),
    }
}

/// What the picture of a prompt is called in a folder.
fn picture_name(folder: &Path, prompt: &str) -> String {
    let names = ["png", "jpg", "jpeg", "webp"].map(|ending| format!("{prompt}.{ending}"));
    let there = names.iter().find(|name| folder.join(name).is_file());
    there.unwrap_or(&names[0]).clone()
}

/// Only prompts of a suite say how the camera should move, and not those of every suite.
fn wanted(args: &Run, all: &[Dimension], suite: Option<&Suite>) -> Vec<Dimension> {
    let told = suite.is_some_and(|suite| suite.entries_of(Dimension::CameraMotion).next().is_some());
    match (args.dimensions.is_empty(), &args.i2v) {
        (false, _) => args.dimensions.clone(),
        (true, Some(_)) => Dimension::i2v().filter(|d| told || *d != Dimension::CameraMotion).collect(),
        (true, None) => all.to_vec(),
    }
}

/// The search for clips that stand still.
struct Filter {
    plan: Plan,
    weights: WeightsFolder,
}

impl Filter {
    fn new(args: &Run, plan: &Plan) -> Result<Self, Failure> {
        let dimension = Dimension::TemporalFlickering;
        let of = plan.tasks.iter().filter(|task| task.dimensions.contains(&dimension));
        let tasks: Vec<_> = of.map(|task| Task { dimensions: vec![dimension], ..task.clone() }).collect();
        if tasks.is_empty() {
            return Err(Failure::usage(anyhow!(
                "`--static-filter` looks for the clips that flicker is measured on, found no video of temporal_flickering\nhint: add it to `--dimensions`, or leave `--static-filter` out"
            )));
        }
        let weights = WeightsFolder::of(args.weights.as_deref(), &[Network::Raft]).map_err(Failure::usage)?;
        Ok(Self { plan: Plan { tasks, scenes: args.scenes, ..Plan::default() }, weights })
    }
}

/// Says that prompts have few clips that stand still, if some do.
fn few_still(still: &BTreeMap<String, Still>) -> Option<String> {
    let mut few = still.iter().filter(|(_, still)| still.static_count < STILL_MAX);
    let (first, _) = few.next()?;
    Some(format!(
        "{} prompts have fewer than {STILL_MAX} clips that stand still, the first is `{first}`",
        few.count() + 1
    ))
}

/// How frames are made smaller for imaging quality, if that is measured.
fn imaging_rule(args: &Run, plan: &Plan) -> Result<MusiqRule, Failure> {
    let rule = args.imaging_quality_preprocessing.rule();
    if rule != MusiqRule::default() && !plan.dimensions().contains(&Dimension::ImagingQuality) {
        return Err(Failure::usage(anyhow!(
            "`--imaging-quality-preprocessing {}` has no say in what is measured\nhint: add imaging_quality to `--dimensions`, or leave the option out",
            rule.name()
        )));
    }
    Ok(rule)
}

/// What of VBench-Long was not asked for, if it bears on these dimensions.
fn lacking(args: &Run, dimensions: &[Dimension]) -> Vec<String> {
    let mut lacking = Vec::new();
    for dimension in dimensions.iter().filter(|dimension| !dimension.networks_between().is_empty()) {
        if !args.clip_to_clip {
            lacking.push(format!(
                "{dimension} is that within clips: `--clip-to-clip` compares clips with each other, too"
            ));
        }
    }
    if dimensions.contains(&Dimension::TemporalFlickering) && !args.static_filter {
        let what = "temporal_flickering is measured on all clips, also on those that move: `--static-filter` leaves these out";
        lacking.push(what.to_owned());
    }
    lacking
}

fn custom(args: &Run) -> Result<Plan, Failure> {
    // VBench-Long measures flicker on its own prompts alone.
    let counts = |dimension: &Dimension| !args.long || *dimension != Dimension::TemporalFlickering;
    let quality: Vec<_> = Dimension::quality().filter(counts).collect();
    let prompts = args.prompt_file.as_deref().map(read_prompts).transpose()?;
    Plan::custom(&args.videos, &wanted(args, &quality, None), args.prompt.as_deref(), prompts.as_ref())
        .map_err(Failure::usage)
}

/// The file of `--prompt-file`: prompts by the names of files.
fn read_prompts(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |reason: String, hint: &str| {
        Failure::usage(anyhow!("cannot read the prompts `{}`: {reason}\nhint: {hint}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string(), hint_of(&error)))?;
    let hint = "expected is `{\"file name\": \"prompt\", …}`, with every video";
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string(), hint))
}

/// The plan of a suite, whether its scores will be standard ones if nothing fails, and what a reader should know.
fn of_suite(args: &Run, suite: &Suite) -> Result<(Plan, bool, Vec<String>), Failure> {
    // What compares videos with pictures is measured with `--i2v`.
    let all: Vec<Dimension> = suite.dimensions().into_iter().filter(|d| !d.needs_picture()).collect();
    let dimensions = wanted(args, &all, Some(suite));
    let options = PreflightOptions {
        suite,
        dimensions: dimensions.clone(),
        samples: args.samples as usize,
        read: false,
        long: args.long,
    };
    let limits = read_limits(args.long);
    let found = preflight(&args.videos, &options, &|path| read_facts(path, &limits), &|_, _| {})?;
    let mut warnings = Vec::new();
    if !found.complete {
        if !args.partial {
            eprint!("{found}");
            return Err(Failure::usage(anyhow!(
                "{}\nhint: `--partial` measures what is there, and calls it partial",
                found.why_incomplete()
            )));
        }
        warnings.push(format!(
            "partial: {} of {} videos of the suite are there; this is no standard score",
            found.found, found.expected
        ));
    }
    let plan = Plan::of_suite(suite, &dimensions, &found.located);
    if plan.tasks.is_empty() {
        return Err(Failure::usage(anyhow!("no video of the suite is in `{}`", args.videos.display())));
    }
    let whole = suite.is_standard()
        && !args.long
        && args.dimensions.is_empty()
        && args.samples as usize >= SAMPLES
        && args.mode.mode() == Mode::Compat
        && !args.random_weights
        && args.imaging_quality_preprocessing.rule() == MusiqRule::default();
    Ok((plan, found.complete && whole, warnings))
}

/// Says which videos are called after no action that could be recognised, if some are: the reference scores them 0.
fn unknown_actions(args: &Run, outcome: &Measured) -> Option<String> {
    let unknown = outcome.unknown_actions();
    let first = unknown.first().filter(|_| args.mode.mode() == Mode::Compat)?;
    Some(format!(
        "human_action: {} videos are called after no action of Kinetics-400 and score 0, the first is `{first}`",
        unknown.len()
    ))
}

/// What a reader of the scores should know.
fn doubts(args: &Run, outcome: &Measured, complete: bool) -> Vec<String> {
    let mut doubts = Vec::new();
    if !outcome.failed.is_empty() {
        doubts.push(format!("{} measurements failed: scores leave them out", outcome.failed.len()));
    }
    if !complete {
        let what = match (args.long, args.custom) {
            (true, _) => "of clips of long videos",
            (_, true) => "of videos of one's own",
            _ if args.random_weights => "by weights drawn at random",
            _ if args.mode.mode() == Mode::Fixed => "by the rules of `fixed`",
            _ => "of a part of the suite, or of another one",
        };
        doubts.push(format!("these are scores {what}, not a standard score of VBench"));
    }
    if !args.long && !args.custom && outcome.measured.contains_key(&Dimension::TemporalFlickering) {
        let what = "temporal_flickering is measured on the videos as they are, also on those that move: VBench's protocol takes those that stand still, which `vidit eval filter` finds";
        doubts.push(what.to_owned());
    }
    doubts.extend(unknown_actions(args, outcome));
    let rule = args.imaging_quality_preprocessing.rule();
    if rule != MusiqRule::default() {
        let default = MusiqRule::default().name();
        doubts.push(format!(
            "imaging_quality is of frames made smaller by the rule `{}`, published scores by `{default}`",
            rule.name()
        ));
    }
    match outcome.clips.keys().filter(|clip| clip.ends_with("_full.mp4")).count() {
        0 => {}
        count => doubts.push(format!(
            "{count} videos are shorter than a clip and were measured whole, as the reference does"
        )),
    }
    match outcome.left_out(Dimension::Color) {
        0 => {}
        count => doubts.push(format!(
            "color: {count} videos without an object of the asked name are left out of the mean"
        )),
    }
    if !outcome.inexact.is_empty() {
        doubts.push(format!(
            "{} videos may differ from the reference's reader in some bytes, the first is `{}`",
            outcome.inexact.len(),
            outcome.inexact[0]
        ));
    }
    doubts
}

fn manifest(
    args: &Run,
    outcome: &Measured,
    mut used: Vec<WeightsUsed>,
    complete: bool,
    began: SystemTime,
) -> Result<Manifest, Failure> {
    let mode = args.mode.mode();
    let colour = match mode {
        Mode::Compat => {
            "BT.601 where the reference reads through OpenCV, the file's matrix where through decord"
        }
        Mode::Fixed => "the file's matrix",
    };
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut notes = BTreeMap::from([
        ("began, seconds since 1970".to_owned(), seconds(began).to_string()),
        ("took, seconds".to_owned(), began.elapsed().map_or(0, |d| d.as_secs()).to_string()),
        ("videos measured before".to_owned(), outcome.reused.to_string()),
    ]);
    if !outcome.failed.is_empty() {
        notes.insert("failed".to_owned(), outcome.failed.len().to_string());
    }
    if outcome.measured.contains_key(&Dimension::ImagingQuality) {
        let rule = args.imaging_quality_preprocessing.rule().name();
        notes.insert("imaging quality preprocessing".to_owned(), rule.to_owned());
    }
    if args.long {
        let cut = "VBench-Long's, as ranges of frames that are not encoded anew";
        notes.insert("clips".to_owned(), format!("{} of {cut}", outcome.clips.len()));
        if args.scenes {
            let cut = "videos, by PySceneDetect's rule";
            let videos: BTreeSet<&String> = outcome.scenes.values().collect();
            notes.insert(
                "scenes".to_owned(),
                format!("{} in {} of the {cut}", outcome.scenes.len(), videos.len()),
            );
        }
        let compared: usize = outcome.between.values().map(BTreeMap::len).sum();
        if args.clip_to_clip {
            let what = "first frames not encoded anew, scores mapped and half of the whole";
            notes.insert("clip to clip".to_owned(), format!("{compared} scores of {what}"));
        }
    }
    if args.random_weights {
        used.iter_mut().for_each(|weights| weights.origin = WeightsOrigin::Random);
    }
    let suite_sha256 = args.suite.as_deref().map(sha256_of_file).transpose()?;
    let decoders: Vec<String> =
        outcome.decoders.iter().map(|(name, count)| format!("{name} ({count})")).collect();
    let format = match products() {
        Precision::TwoParts => "f32, products in two parts of bf16",
        Precision::F32 | Precision::Bf16 => "f32",
    };
    Ok(Manifest {
        program: format!("vidit {}", env!("CARGO_PKG_VERSION")),
        mode: mode.name().to_owned(),
        reference: "vbench 0.1.5".to_owned(),
        ranks: Some(1),
        suite: match (&args.suite, args.custom) {
            (_, true) => "custom".to_owned(),
            (Some(path), _) => path.display().to_string(),
            (None, false) => "standard".to_owned(),
        },
        suite_sha256,
        complete,
        weights: used,
        decoder: decoders.join(", "),
        colour_rule: colour.to_owned(),
        device: format!("cpu, {}, {} threads, {format}", Isa::current(), thread_count()),
        videos: outcome.videos.clone(),
        pictures: outcome.pictures.clone(),
        notes,
        ..Manifest::default()
    })
}

fn write(args: &Run, plan: &Plan, outcome: &Measured, report: &Report) -> Outcome {
    let to = |name: &str| args.output.join(name);
    let put = |path: &Path, text: &str| write_atomically(path, text.as_bytes());
    put(&to(&results_file(&args.name)), &report.results.results_json()?)?;
    put(&to(&format!("{}_full_info.json", args.name)), &plan.full_info)?;
    put(&to("manifest.json"), &serde_json::to_string_pretty(&report.manifest)?)?;
    let failed = to("failed.json");
    match outcome.failed.is_empty() {
        false => put(&failed, &serde_json::to_string_pretty(&outcome.failed)?)?,
        true if failed.exists() => std::fs::remove_file(&failed)?,
        true => {}
    }
    put(&to("report.html"), &report.html()?)?;
    Ok(())
}

fn tell(args: &Run, outcome: &Measured, report: &Report) -> Outcome {
    let Report { results, warnings, .. } = report;
    let sums = sums(&results.raw(), args.i2v.is_some());
    if args.speech.json {
        let mut line = json!({
            "output": args.output.display().to_string(),
            "videos": outcome.videos.len(),
            "measured_before": outcome.reused,
            "dimensions": results.raw(),
            "failed": outcome.failed,
            "warnings": warnings,
        });
        sums.into_iter().for_each(|(name, points)| line[name] = json!(points));
        if args.long {
            line["clips"] = json!(outcome.clips.len());
        }
        return output::line(line.to_string());
    }
    tell_failed(outcome);
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    if args.speech.quiet {
        return Ok(());
    }
    let mut text = String::new();
    for (dimension, raw) in results.raw() {
        text += &format!("{:24}{raw:>10.6}\n", dimension.title());
    }
    for (name, points) in sums {
        if let Some(points) = points {
            text += &format!("{name:24}{points:>10.2}\n");
        }
    }
    text += &format!("{}\n", args.output.join("report.html").display());
    output::print(text)
}

/// What raw scores come to, in points: VBench's sums or those of VBench-I2V, each if nothing of it is missing.
fn sums(raw: &BTreeMap<Dimension, f64>, i2v: bool) -> [(&'static str, Option<f64>); 3] {
    if i2v {
        let raw = raw.iter().map(|(dimension, raw)| (dimension.name().to_owned(), *raw)).collect();
        let I2vTotals { total, i2v, quality, .. } = I2vTotals::new(&raw, Mode::Fixed);
        return [("quality", quality), ("i2v", i2v), ("total", total)];
    }
    let totals = Totals::new(raw, Mode::Fixed);
    [("quality", totals.quality), ("semantic", totals.semantic), ("total", totals.total)]
}
