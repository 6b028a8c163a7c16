//! `vidit eval aggregate|compare|preflight|report|submission`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;

use anyhow::anyhow;
use serde::Serialize;
use vidit_media::{MediaError, ReadLimits, check_file};
use vidit_vbench::run::Outcome as Measurements;
use vidit_vbench::{
    Column, Comparison, Dimension, Group, I2V_MEMBERS, I2vTotals, Loaded, Manifest, Mode, PreflightOptions,
    Problem, Report, Results, Suite, Totals, load_results, published_row, read_facts, thumbnail,
    thumbnails_of,
};
use vidit_video::Frames;
use vidit_weights::write_atomically;

use super::measuring::{check_videos, read_limits};
use crate::args::vbench as args;
use crate::output;
use crate::progress::Bars;
use crate::report::{Failure, Outcome};

/// One score of `aggregate --json`.
#[derive(Serialize)]
struct Member {
    raw: f64,
    normalised: f64,
    weight: f64,
}

pub fn aggregate(args: args::Aggregate) -> Outcome {
    let mut loaded = load_results(&args.results[0])?;
    for path in &args.results[1..] {
        let more = load_results(path)?;
        loaded.results.dimensions.extend(more.results.dimensions);
        loaded.others.extend(more.others);
        loaded.warnings.extend(more.warnings);
    }
    warn(&loaded.warnings);
    let mode = args.rules.mode.mode();
    if args.i2v {
        return aggregate_i2v(&loaded, mode, args.json);
    }
    if loaded.results.dimensions.is_empty() {
        return Err(Failure::from(anyhow!(
            "there are no scores of VBench's dimensions\nhint: `--i2v` makes the totals of VBench-I2V"
        )));
    }
    let raw = loaded.results.raw();
    let totals = Totals::new(&raw, mode);
    if totals.is_partial() {
        let missing = totals.missing_of(None);
        match mode {
            Mode::Compat => {
                eprintln!("warning: partial: these count as raw 0, as in the reference: {missing}")
            }
            Mode::Fixed => eprintln!("warning: the total is not given: missing {missing}"),
        }
    }
    let members = raw.iter().map(|(&dimension, &raw)| {
        let member = Member { raw, normalised: dimension.normalise(raw), weight: dimension.weight() };
        (dimension, member)
    });
    let members: BTreeMap<Dimension, Member> = members.collect();
    if args.json {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(flatten)]
            totals: &'a Totals,
            partial: bool,
            dimensions: &'a BTreeMap<Dimension, Member>,
            warnings: &'a [Problem],
        }
        let partial = totals.is_partial();
        let line = Line { totals: &totals, partial, dimensions: &members, warnings: &loaded.warnings };
        return output::line(serde_json::to_string(&line)?);
    }
    let rows = members.iter().map(|(dimension, member)| (dimension.title(), member));
    let mut text = table(rows);
    for (name, points, group) in [
        ("quality", totals.quality, Some(Group::Quality)),
        ("semantic", totals.semantic, Some(Group::Semantic)),
        ("total", totals.total, None),
    ] {
        text += &sum(name, points, &totals.missing_of(group));
    }
    output::print(text)
}

fn aggregate_i2v(loaded: &Loaded, mode: Mode, json: bool) -> Outcome {
    let mut raw = loaded.others.clone();
    raw.extend(
        loaded.results.raw().into_iter().map(|(dimension, score)| (dimension.name().to_owned(), score)),
    );
    let totals = I2vTotals::new(&raw, mode);
    if !totals.missing.is_empty() {
        eprintln!("warning: missing {}", totals.missing.join(", "));
    }
    let members = I2V_MEMBERS.iter().filter_map(|member| {
        let &raw = raw.get(member.name)?;
        Some((member.name, Member { raw, normalised: member.normalise(raw), weight: member.weight }))
    });
    let members: Vec<(&str, Member)> = members.collect();
    if json {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(flatten)]
            totals: &'a I2vTotals,
            partial: bool,
            dimensions: BTreeMap<&'a str, Member>,
        }
        let partial = !totals.missing.is_empty();
        let line = Line { totals: &totals, partial, dimensions: members.into_iter().collect() };
        return output::line(serde_json::to_string(&line)?);
    }
    let mut text = table(members.iter().map(|(name, member)| (name.replace('_', " "), member)));
    text += &sum("quality", totals.quality, &totals.missing_of(Some(false)));
    text += &sum("i2v", totals.i2v, &totals.missing_of(Some(true)));
    text += &sum("total", totals.total, &totals.missing_of(None));
    output::print(text)
}

fn table<'a>(rows: impl Iterator<Item = (String, &'a Member)>) -> String {
    let mut text = format!("{:24}{:>10}{:>12}{:>8}\n", "", "raw", "normalised", "weight");
    for (name, member) in rows {
        let _ =
            writeln!(text, "{name:24}{:>10.4}{:>12.4}{:>8}", member.raw, member.normalised, member.weight);
    }
    text
}

fn sum(name: &str, points: Option<f64>, missing: &str) -> String {
    match points {
        Some(points) if missing.is_empty() => format!("{name:24}{points:>10.2}\n"),
        Some(points) => format!("{name:24}{points:>10.2}  partial: missing {missing}\n"),
        None => format!("{name:24}not given: missing {missing}\n"),
    }
}

/// Problems that can be lived with, on standard error.
fn warn(problems: &[Problem]) {
    let mut hints: Vec<&str> = Vec::new();
    for problem in problems {
        eprintln!("warning: {}", problem.text);
        hints.extend(problem.hint.filter(|hint| !hints.contains(hint)));
    }
    for hint in hints {
        eprintln!("hint: {hint}");
    }
}

pub fn compare(args: args::Compare) -> Outcome {
    let mode = args.rules.mode.mode();
    let mut columns = Vec::new();
    for path in &args.results {
        let column = match path.to_str().and_then(|text| text.strip_prefix("published:")) {
            Some(name) => Column::published(published_row(name).map_err(Failure::usage)?),
            None => {
                let loaded = load_results(path)?;
                warn(&loaded.warnings);
                Column::measured(name_of(path), loaded.all().raw(), mode)
            }
        };
        columns.push(column);
    }
    for name in &args.published {
        columns.push(Column::published(published_row(name).map_err(Failure::usage)?));
    }
    let comparison = Comparison::new(columns);
    match args.json {
        true => output::line(serde_json::to_string(&comparison)?),
        false => output::print(comparison.to_string()),
    }
}

/// What results are called: their file without what VBench adds to it.
fn name_of(path: &Path) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    name.strip_suffix("_eval_results").unwrap_or(&name).to_owned()
}

pub fn preflight(args: args::Preflight) -> Outcome {
    check_videos(&args.videos, false)?;
    let own = args.suite.as_deref().map(Suite::read).transpose().map_err(Failure::usage)?;
    let suite = own.as_ref().unwrap_or_else(|| Suite::standard());
    let dimensions = match args.dimensions.is_empty() {
        true => suite.dimensions(),
        false => args.dimensions,
    };
    let options = PreflightOptions {
        suite,
        dimensions,
        samples: args.samples as usize,
        read: !args.names_only,
        long: args.long,
    };
    let limits = read_limits(args.long);
    let bars = Mutex::new(Bars::new(args.json));
    let on_progress = |done: usize, total: usize| {
        if let Ok(mut bars) = bars.lock() {
            bars.show("read", done as u64, total as u64, "");
        }
    };
    let found =
        vidit_vbench::preflight(&args.videos, &options, &|path| read_facts(path, &limits), &on_progress)?;
    if let Ok(mut bars) = bars.into_inner() {
        bars.finish();
    }
    match args.json {
        true => output::line(serde_json::to_string(&found)?)?,
        false => output::print(found.to_string())?,
    }
    match found.complete {
        true => Ok(()),
        false => Err(Failure::from(anyhow!("{}", found.why_incomplete()))),
    }
}

pub fn report(args: args::Report) -> Outcome {
    check_file(&args.output, args.overwrite).map_err(Failure::usage)?;
    let mut beside = Vec::new();
    for name in args.published.iter().filter(|name| !name.is_empty()) {
        beside.push(published_row(name).map_err(Failure::usage)?);
    }
    let manifest = args.manifest.as_deref().map(Manifest::read).transpose().map_err(Failure::usage)?;
    let loaded = load_results(&args.results)?;
    warn(&loaded.warnings);
    let results = loaded.all();
    let thumbnails =
        if args.thumbnails { thumbnails(&results, &mut Bars::new(false)) } else { BTreeMap::new() };
    let report = Report {
        title: args.title.unwrap_or_else(|| name_of(&args.results)),
        results,
        mode: args.rules.mode.mode(),
        sums: args.rules.mode.mode(),
        manifest,
        beside,
        thumbnails,
        warnings: loaded.warnings.into_iter().map(|problem| problem.text).collect(),
    };
    write_atomically(&args.output, report.html()?.as_bytes())?;
    output::line(args.output.display().to_string())
}

/// A frame of every video that can be read.
pub(super) fn thumbnails(results: &Results, bars: &mut Bars) -> BTreeMap<String, Frames> {
    let videos = results.dimensions.values().flat_map(|result| &result.videos);
    let paths: BTreeSet<&str> = videos.map(|video| video.path.as_str()).collect();
    let look =
        |path: &&str| Ok(vec![((*path).to_owned(), thumbnail(Path::new(path), &ReadLimits::default())?)]);
    seen(paths, look, bars)
}

/// A frame of every clip of long videos that can be read.
pub(super) fn clip_thumbnails(
    outcome: &Measurements,
    limits: &ReadLimits,
    bars: &mut Bars,
) -> BTreeMap<String, Frames> {
    let look = |(video, clips): &(&str, BTreeSet<(usize, &str)>)| {
        let middles: Vec<usize> = clips.iter().map(|(middle, _)| *middle).collect();
        let names = clips.iter().map(|(_, clip)| (*clip).to_owned());
        Ok(names.zip(thumbnails_of(Path::new(video), limits, &middles)?).collect())
    };
    seen(outcome.middles(), look, bars)
}

/// What `look` sees of each video, by the names that it gives.
fn seen<V>(
    videos: impl IntoIterator<Item = V, IntoIter: ExactSizeIterator>,
    look: impl Fn(&V) -> Result<Vec<(String, Frames)>, MediaError>,
    bars: &mut Bars,
) -> BTreeMap<String, Frames> {
    let videos = videos.into_iter();
    let (count, mut unread, mut found) = (videos.len(), 0, BTreeMap::new());
    for (index, video) in videos.enumerate() {
        bars.show("read", index as u64, count as u64, "");
        match look(&video) {
            Ok(frames) => found.extend(frames),
            Err(_) => unread += 1,
        }
    }
    bars.finish();
    if unread > 0 {
        eprintln!("warning: {unread} of {count} videos could not be read for their thumbnails");
    }
    found
}

pub fn submission(args: args::Submission) -> Outcome {
    check_file(&args.output, args.overwrite).map_err(Failure::usage)?;
    if !args.results.is_dir() {
        return Err(Failure::usage(anyhow!(
            "`{}` is no folder of results\nhint: name the folder that holds `…_eval_results.json`",
            args.results.display()
        )));
    }
    let made = vidit_vbench::submission(&args.results)?;
    warn(&made.warnings);
    write_atomically(&args.output, &made.zip)?;
    output::line(args.output.display().to_string())
}
