//! `vidit eval weights list|fetch|verify|convert`

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::anyhow;
use serde::Serialize;
use vidit_media::check_file;
use vidit_vbench::checkpoints::{
    CHECKPOINTS, Checkpoint, CheckpointError, Presence, Size, Verdict, fetch as fetch_file, sha256_of,
};
use vidit_weights::TorchCheckpoint;

use crate::args::weights as args;
use crate::interrupt::{self, Grace};
use crate::output;
use crate::progress::Bars;
use crate::report::{Failure, Outcome};

const MEBIBYTE: u64 = 1 << 20;

pub fn run(args: args::Weights) -> Outcome {
    match args {
        args::Weights::List(args) => list(&args),
        args::Weights::Fetch(args) => fetch(&args),
        args::Weights::Verify(args) => verify(&args),
        args::Weights::Convert(args) => convert(&args),
    }
}

/// One line of `list --json`.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    file: &'static str,
    url: &'static str,
    bytes: u64,
    bytes_exact: bool,
    sha256: String,
    code_licence: &'static str,
    licence: &'static str,
    non_commercial: bool,
    state: &'static str,
    path: Option<String>,
    bytes_present: u64,
}

fn list(args: &args::List) -> Outcome {
    let rows: Vec<_> = CHECKPOINTS.iter().map(|c| (c, c.presence(&args.folder.weights))).collect();
    if args.json {
        let lines =
            rows.iter().map(|(checkpoint, presence)| serde_json::to_string(&listed(checkpoint, presence)));
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        return output::line(lines.join("\n"));
    }
    let mut text =
        format!("{:<20} {:>8}  {:<13} {:<42} file\n", "name", "MiB", "here", "licence of the weights");
    for (checkpoint, presence) in &rows {
        let here = match presence {
            Presence::Absent => "–".to_owned(),
            Presence::Partial { bytes } => format!("{} %", percent(*bytes, checkpoint.size.bytes())),
            Presence::Present { .. } => "yes".to_owned(),
        };
        let limit = if checkpoint.non_commercial.is_some() { " (not for commerce)" } else { "" };
        let licence = format!("{}{limit}", checkpoint.licence);
        let (name, size) = (checkpoint.name, mebibytes(checkpoint.size));
        let _ = writeln!(text, "{name:<20} {size:>8}  {here:<13} {licence:<42} {}", checkpoint.file);
    }
    let _ = writeln!(text, "\nFetch with `vidit eval weights fetch NAME`; nothing is fetched unasked.");
    output::print(text)
}

fn listed(checkpoint: &Checkpoint, presence: &Presence) -> Listed {
    let (state, path, bytes_present) = match presence {
        Presence::Absent => ("absent", None, 0),
        Presence::Partial { bytes } => ("partial", None, *bytes),
        Presence::Present { path, bytes } => ("present", Some(path.display().to_string()), *bytes),
    };
    Listed {
        name: checkpoint.name,
        file: checkpoint.file,
        url: checkpoint.url,
        bytes: checkpoint.size.bytes(),
        bytes_exact: matches!(checkpoint.size, Size::Exact(_)),
        sha256: checkpoint.sha256.describe(),
        code_licence: checkpoint.code_licence,
        licence: checkpoint.licence,
        non_commercial: checkpoint.non_commercial.is_some(),
        state,
        path,
        bytes_present,
    }
}

fn percent(bytes: u64, total: u64) -> u64 {
    (bytes.saturating_mul(100) / total.max(1)).min(99)
}

fn mebibytes(size: Size) -> String {
    let whole = (size.bytes() as f64 / MEBIBYTE as f64).ceil();
    if matches!(size, Size::Exact(_)) { format!("{whole}") } else { format!("~{whole}") }
}

fn fetch(args: &args::Fetch) -> Outcome {
    let stop = interrupt::install(Grace::Short)?;
    let mut bars = Bars::new(args.quiet);
    for name in &args.names {
        let checkpoint = Checkpoint::named(name).map_err(Failure::usage)?;
        let outcome =
            fetch_file(checkpoint, &args.folder.weights, &args.accept_licence, stop, |done, total| {
                bars.show(name, done / MEBIBYTE, total.div_ceil(MEBIBYTE), "MiB")
            });
        bars.finish();
        let fetched = outcome.map_err(failure)?;
        let path = fetched.path.display();
        match &fetched.sha256 {
            None => output::line(format!("{name}: `{path}` is there already"))?,
            Some(sha256) => {
                let words = said(checkpoint, fetched.verdict, fetched.bytes);
                output::line(format!("{name}: `{path}`, sha256 {sha256}: {words}"))?;
            }
        }
    }
    Ok(())
}

/// What a verdict on a file of so many bytes means, in words.
fn said(checkpoint: &Checkpoint, verdict: Verdict, bytes: u64) -> String {
    match verdict {
        Verdict::Published => "the published file".to_owned(),
        Verdict::Ends => {
            format!("begins and ends as published ({}); no more of it is known", checkpoint.sha256.describe())
        }
        Verdict::Unknown => "nothing to compare it with was published".to_owned(),
        Verdict::Other if !checkpoint.size.fits(bytes) => {
            format!("not the published file: it has `{bytes}` bytes, expected {}", checkpoint.size)
        }
        Verdict::Other => {
            format!("not the published file: its SHA-256 is another than {}", checkpoint.sha256.describe())
        }
    }
}

fn failure(error: CheckpointError) -> Failure {
    match error {
        CheckpointError::Interrupted => {
            Failure::Interrupted("what has come is kept, and the same command goes on".to_owned())
        }
        CheckpointError::Licence { .. } | CheckpointError::Unknown { .. } => Failure::usage(error),
        error => error.into(),
    }
}

/// One line of `verify --json`.
#[derive(Serialize)]
struct Verified {
    name: &'static str,
    path: String,
    bytes: u64,
    sha256: String,
    verdict: &'static str,
}

fn verify(args: &args::Verify) -> Outcome {
    let stop = interrupt::install(Grace::Short)?;
    let mut bars = Bars::new(args.quiet || args.json);
    let (mut looked, mut wrong) = (0, Vec::new());
    for checkpoint in &CHECKPOINTS {
        let name = checkpoint.name;
        let asked = args.names.iter().any(|asked| asked == name);
        if !asked && !args.names.is_empty() {
            continue;
        }
        let Presence::Present { path, bytes } = checkpoint.presence(&args.folder.weights) else {
            if asked {
                wrong.push(format!("`{name}` is not there"));
            }
            continue;
        };
        looked += 1;
        let sha256 = sha256_of(&path, stop, |done, total| {
            bars.show(name, done / MEBIBYTE, total.div_ceil(MEBIBYTE), "MiB");
        });
        bars.finish();
        let sha256 = sha256.map_err(failure)?;
        let mut verdict = checkpoint.sha256.judge(&sha256);
        if !checkpoint.size.fits(bytes) {
            verdict = Verdict::Other;
        }
        let words = said(checkpoint, verdict, bytes);
        if verdict == Verdict::Other {
            wrong.push(format!("`{name}` is {words}"));
        }
        if args.json {
            let verdict = match verdict {
                Verdict::Published => "published",
                Verdict::Ends => "ends",
                Verdict::Unknown => "unknown",
                Verdict::Other => "other",
            };
            let line = Verified { name, path: path.display().to_string(), bytes, sha256, verdict };
            output::line(serde_json::to_string(&line)?)?;
        } else {
            output::line(format!("{name}: `{}`, sha256 {sha256}: {words}", path.display()))?;
        }
    }
    let folder = args.folder.weights.display();
    if !wrong.is_empty() {
        return Err(
            anyhow!("{}\nhint: remove it and fetch it again into `{folder}`", wrong.join(", ")).into()
        );
    }
    if looked == 0 {
        return Err(
            anyhow!("there are no weights in `{folder}`\nhint: `vidit eval weights fetch NAME`").into()
        );
    }
    Ok(())
}

/// What `convert --json` prints.
#[derive(Serialize)]
struct Made {
    output: String,
    tensors: usize,
    parameters: u64,
    bytes: u64,
    root: Option<String>,
    skipped: BTreeMap<String, String>,
}

fn convert(args: &args::Convert) -> Outcome {
    check_file(&args.output, args.overwrite).map_err(Failure::usage)?;
    let stop = interrupt::install(Grace::Short)?;
    interrupt::clean_beside(&args.output);
    let sha256 = sha256_of(&args.checkpoint, stop, |_, _| {}).map_err(failure)?;
    let mut checkpoint = TorchCheckpoint::open(&args.checkpoint)?;
    let file = args.checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let metadata = BTreeMap::from([("source_file".to_owned(), file), ("source_sha256".to_owned(), sha256)]);
    let converted = checkpoint.convert(&args.output, &metadata)?;
    let root = checkpoint.root().map(str::to_owned);
    if args.json {
        let skipped = converted.skipped.into_iter().map(|skipped| (skipped.key, skipped.reason)).collect();
        return output::line(serde_json::to_string(&Made {
            output: args.output.display().to_string(),
            tensors: converted.tensors,
            parameters: converted.values,
            bytes: converted.bytes,
            root,
            skipped,
        })?);
    }
    let part = root.map_or(String::new(), |root| format!(" of its `{root}`"));
    let (tensors, values, output) = (converted.tensors, converted.values, args.output.display());
    let mut text = format!("`{output}`: {tensors} tensors{part}, {values} parameters\n");
    for skipped in &converted.skipped {
        let _ = writeln!(text, "left out: `{}`, {}", skipped.key, skipped.reason);
    }
    output::print(text)
}
