//! Language models that rewrite prompts: where they are, and how they are run.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use vidit_language::{ChangeKind, LanguageModel, Options, Progress, Rewritten};

use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::Failure;
use crate::settings;

/// Models that an error lists at most.
const LISTED_MAX: usize = 20;

/// A rewritten prompt and how long its words took.
pub struct Said {
    pub rewritten: Rewritten,
    pub writing: Duration,
}

impl Said {
    /// Runs of words that were added, or removed.
    pub fn words(&self, kind: ChangeKind) -> Vec<&str> {
        let of_kind = self.rewritten.changes.iter().filter(|change| change.kind == kind);
        of_kind.map(|change| change.words.as_str()).collect()
    }

    /// Both, a line each.
    pub fn changes(&self) -> String {
        let list = |kind| match self.words(kind) {
            runs if runs.is_empty() => "nothing".to_owned(),
            runs => runs.join(" · "),
        };
        format!("  added: {}\n  removed: {}\n", list(ChangeKind::Added), list(ChangeKind::Removed))
    }
}

/// Opens the model and lets it rewrite the prompt.
pub fn rewrite(
    lm: &OsStr,
    prompt: &str,
    options: &Options,
    silent: bool,
) -> Result<(LanguageModel, Said), Failure> {
    let path = find(lm)?;
    let cancel = interrupt::install(Grace::Short)?;
    let mut model = LanguageModel::open(&path)?;
    let mut bars = Bars::new(silent);
    let mut began: Option<Instant> = None;
    let rewritten = model.rewrite(
        prompt,
        options,
        |Progress { writing, done, total }| {
            let (name, speed) = match writing {
                false => ("read", "tokens".to_owned()),
                true => {
                    let seconds = began.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
                    ("write", format!("{:.0} tokens/s", done as f64 / seconds.max(f64::MIN_POSITIVE)))
                }
            };
            bars.show(name, done as u64, total as u64, &speed);
        },
        cancel,
    )?;
    bars.finish();
    let writing = began.map_or(Duration::ZERO, |began| began.elapsed());
    Ok((model, Said { rewritten, writing }))
}

/// Where a model is: a path as it is, a name in the folder of models.
fn find(lm: &OsStr) -> Result<PathBuf, Failure> {
    let path = Path::new(lm);
    let is_name = path.components().count() == 1
        && path.extension().is_none_or(|extension| extension != "gguf")
        && !path.exists();
    if !is_name {
        return match path.exists() {
            true => Ok(path.to_owned()),
            false => Err(Failure::usage(anyhow!(
                "there is no language model at `{}`\nhint: `--lm` takes a GGUF file, a folder, or a name in the folder ${}",
                path.display(),
                settings::MODELS
            ))),
        };
    }
    let name = lm.to_string_lossy();
    let Some(folder) = settings::models_folder()? else {
        return Err(Failure::usage(anyhow!(
            "no language model is called `{name}`: ${} is not set\nhint: set it to the folder with your models, or give a path",
            settings::MODELS
        )));
    };
    let candidates = [folder.join(format!("{name}.gguf")), folder.join(path)];
    if let Some(found) = candidates.into_iter().find(|candidate| candidate.exists()) {
        return Ok(found);
    }
    let found = match names(&folder) {
        Ok(names) if names.is_empty() => "holds none".to_owned(),
        Ok(names) if names.len() > LISTED_MAX => {
            format!("holds {}, and {} others", names[..LISTED_MAX].join(", "), names.len() - LISTED_MAX)
        }
        Ok(names) => format!("holds {}", names.join(", ")),
        Err(error) => format!("cannot be read ({error})"),
    };
    Err(Failure::usage(anyhow!(
        "no language model is called `{name}`: `{}` {found}\nhint: give one of its names, or a path",
        folder.display()
    )))
}

/// What a folder of models holds, sorted.
fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_file = path.extension().is_some_and(|extension| extension == "gguf");
        let name = match is_file {
            true => path.file_stem(),
            false if path.join("config.json").is_file() => path.file_name(),
            false => None,
        };
        names.extend(name.map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
