//! Ctrl-C: the first asks the work to stop, the second ends the process.
//!
//! A single network call on a large clip can outlast a user's patience, so generation gets a grace period after which
//! the process ends by itself. Either way no part of a file is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::report::{Failure, INTERRUPTED, Outcome};

/// How long work may go on after the first Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// Under a second: there is nothing to save.
    Short,
    /// As long as it takes: a checkpoint is being written.
    Unlimited,
}

/// Below the second that we promise.
const GRACE: Duration = Duration::from_millis(700);
/// Worker threads may still be writing while we clean up: how long we keep at it. Leaving nothing comes before the second.
const CLEANUP_MAX: Duration = Duration::from_secs(5);
/// Looks in a row that find nothing, after which we are done, and the time between looks.
const CALM_LOOKS: usize = 3;
const LOOK_AGAIN: Duration = Duration::from_millis(15);

static FLAG: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();
static ABANDONING: AtomicBool = AtomicBool::new(false);
static LEFTOVERS: Mutex<Vec<Leftover>> = Mutex::new(Vec::new());

/// What an abrupt end would leave.
#[derive(Clone, Debug)]
enum Leftover {
    /// Unfinished siblings of a target, recognised by our process' number.
    Beside(PathBuf),
    /// A folder that is being filled.
    Folder(PathBuf),
}

/// Catches Ctrl-C from now on; gives the flag that it raises. The first call's grace holds.
pub fn install(grace: Grace) -> Result<&'static AtomicBool, Failure> {
    if INSTALLED.set(()).is_err() {
        return Ok(&FLAG);
    }
    ctrlc::set_handler(move || {
        if FLAG.swap(true, Ordering::SeqCst) {
            abandon();
        }
        if grace == Grace::Short {
            thread::spawn(|| {
                thread::sleep(GRACE);
                abandon();
            });
        }
    })
    .context("cannot catch Ctrl-C")?;
    Ok(&FLAG)
}

/// An error if Ctrl-C was pressed: between steps that cannot be stopped themselves.
pub fn check() -> Outcome {
    match FLAG.load(Ordering::SeqCst) {
        true => Err(vidit_pipeline::Error::Cancelled.into()),
        false => Ok(()),
    }
}

/// From now on an abrupt end removes unfinished siblings of `target`.
pub fn clean_beside(target: &Path) {
    add(Leftover::Beside(target.to_owned()));
}

/// From now on an abrupt end removes the unfinished folder at `path`.
pub fn clean_folder(path: PathBuf) {
    add(Leftover::Folder(path));
}

fn add(leftover: Leftover) {
    LEFTOVERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(leftover);
}

/// Call before the process ends by itself. Removing unfinished files under the feet of a command makes it fail; that is
/// no failure to report, and ending here would cut the removal short.
pub fn give_way() {
    while ABANDONING.load(Ordering::SeqCst) {
        thread::park();
    }
}

fn abandon() -> ! {
    ABANDONING.store(true, Ordering::SeqCst);
    let leftovers = LEFTOVERS.lock().map(|leftovers| leftovers.clone()).unwrap_or_default();
    // Other threads work on until the process ends: what they were about to create may appear after a look.
    let mut calm = 0;
    let began = Instant::now();
    while began.elapsed() < CLEANUP_MAX {
        // Every one of them is removed, so `any`, which stops at the first, will not do.
        let removed = leftovers.iter().filter(|leftover| remove(leftover)).count();
        calm = if removed == 0 { calm + 1 } else { 0 };
        if calm == CALM_LOOKS {
            break;
        }
        thread::sleep(LOOK_AGAIN);
    }
    eprintln!("interrupted");
    std::process::exit(INTERRUPTED.into());
}

/// Whether there was anything to remove.
fn remove(leftover: &Leftover) -> bool {
    match leftover {
        Leftover::Folder(path) => {
            // Workers find the folder by its name: once it has another, what they still write cannot keep it from going.
            let away = path.with_extension(format!("{}.incomplete", std::process::id()));
            let _ = fs::rename(path, &away);
            away.exists() && (fs::remove_dir_all(&away).is_ok() || away.exists())
        }
        Leftover::Beside(target) => {
            let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let Ok(entries) = fs::read_dir(parent) else { return false };
            let mut any = false;
            for entry in entries.flatten() {
                if is_ours(&entry.file_name().to_string_lossy(), std::process::id()) {
                    any = true;
                    let path = entry.path();
                    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                }
            }
            any
        }
    }
}

/// Whether a file name is that of an unfinished file of this process: `.NAME.PID-N.incomplete`, `NAME.PID.incomplete`.
fn is_ours(name: &str, process: u32) -> bool {
    let Some(stem) = name.strip_suffix(".incomplete") else { return false };
    let last = stem.rsplit('.').next().unwrap_or_default();
    last.split('-').next() == Some(process.to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_unfinished_files_are_ours() {
        for ours in [".cat.mp4.42-0.incomplete", "a.safetensors.42.incomplete", ".x.42-17.incomplete"] {
            assert!(is_ours(ours, 42), "{ours}");
        }
        for theirs in
            [".cat.mp4.421-0.incomplete", "cat.mp4", ".cat.mp4.4-42.incomplete", "42.mp4", "runs.incomplete"]
        {
            assert!(!is_ours(theirs, 42), "{theirs}");
        }
    }
}
