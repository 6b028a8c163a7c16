//! What `vidit eval run` and `vidit eval filter` do alike: they walk over videos, show how far they are, and can be stopped.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use vidit_kernels::on_pool;
use vidit_media::ReadLimits;
use vidit_vbench::VbenchError;
use vidit_vbench::run::{MeasureOptions, Outcome as Measured, Plan, Progress};
use vidit_weights::hint_of;

use crate::ALLOCATOR;
use crate::progress::Bars;
use crate::report::{Failure, Outcome};

/// Networks are large beside what passes through them: of freed blocks no more are kept than a few frames need.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Bars go by thousandths of a video.
const STEPS: usize = 1000;

/// What looks at the videos of a plan.
pub type Walk = fn(
    &Plan,
    &MeasureOptions,
    &AtomicBool,
    &mut dyn FnMut(Progress),
) -> Result<Option<Measured>, VbenchError>;

/// Walks over the videos of a plan, and keeps what is found in `options.folder`.
pub fn walk(
    look: Walk,
    plan: &Plan,
    options: &MeasureOptions,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<Measured, Failure> {
    make_folder(options.folder)?;
    ALLOCATOR.set_kept_bytes_max(KEPT_BYTES_MAX);
    let mut bars = Bars::new(quiet);
    let outcome = on_pool(|| look(plan, options, stop, &mut |progress| show(&mut bars, progress)));
    bars.finish();
    outcome?.ok_or_else(|| {
        Failure::Interrupted("what was measured is kept; the same command goes on from there".to_owned())
    })
}

/// That a folder of videos is there, or, if that may be, a single one.
pub fn check_videos(videos: &Path, or_one: bool) -> Outcome {
    let problem = match (videos.exists(), videos.is_dir() || or_one) {
        (true, true) => return Ok(()),
        (false, _) => "it does not exist\nhint: name the folder of the videos",
        (true, false) => {
            "it is no folder\nhint: name the folder of the videos; `vidit eval run --custom` measures a single one"
        }
    };
    Err(Failure::usage(anyhow!("cannot read the videos `{}`: {problem}", videos.display())))
}

/// Frames of a long video: 9 hours at 30 a second. No memory is taken by their number.
const LONG_FRAMES_MAX: usize = 1 << 20;

/// What a video may cost.
pub fn read_limits(long: bool) -> ReadLimits {
    let limits = ReadLimits::default();
    ReadLimits { frames_max: if long { LONG_FRAMES_MAX } else { limits.frames_max }, ..limits }
}

/// Makes a folder for output.
pub fn make_folder(path: &Path) -> Outcome {
    if path.exists() && !path.is_dir() {
        return Err(Failure::usage(anyhow!(
            "cannot make the folder `{}`: a file is called so\nhint: name another folder with `--output`",
            path.display()
        )));
    }
    std::fs::create_dir_all(path).map_err(|error| {
        let (path, hint) = (path.display(), hint_of(&error));
        Failure::usage(anyhow!("cannot make the folder `{path}`: {error}\nhint: {hint}"))
    })
}

/// That the folder of weights is one, also where no network is needed.
pub fn check_weights(folder: Option<&Path>) -> Outcome {
    match folder {
        Some(path) if !path.is_dir() => Err(Failure::usage(anyhow!(
            "`--weights` must be a folder, found `{}`\nhint: name the folder of the networks' weights, or leave `--weights` out if none is needed",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// A bar over all videos.
fn show(bars: &mut Bars, Progress { done, total, share, path }: Progress) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short: String = name.chars().take(24).collect();
    let at = done * STEPS + (share * STEPS as f64) as usize;
    bars.show("measure", at as u64, (total * STEPS) as u64, &short);
}

/// Names what could not be measured.
pub fn tell_failed(outcome: &Measured) {
    for failed in &outcome.failed {
        let dimension = failed.dimension.map_or(String::new(), |dimension| format!(", {dimension}"));
        eprintln!("failed: `{}`{dimension}: {}", failed.path.display(), failed.reason);
    }
}
