//! `vidit generate`

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::json;
use vidit_kernels::on_pool;
use vidit_media::{WriteOptions, check_clip, check_target, file_stem_from_prompt, free_name, write_video};
use vidit_pipeline::{Generated, Latents, Limits, Model, Request, ValidRequest, generate};
use vidit_video::PixelShape;

use super::model;
use crate::args::Generate;
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{output, settings};

/// Pixel frames to a latent frame.
const FRAMES_PER_LATENT: usize = 4;

pub fn run(args: Generate) -> Outcome {
    let started = Instant::now();
    let limits = model::limits();
    let request = request(&args, &limits)?;
    request.check(&limits).map_err(Failure::usage)?;
    let target = target(&args, &request)?;
    if let Some(path) = &args.save_latents {
        check_latents_target(path, args.overwrite)?;
    }
    settings::apply(&args.network.compute)?;
    let cancel = interrupt::install(Grace::Short)?;

    let model = model::load(&args.network)?;
    let noise = args.init_latents.as_deref().map(Latents::read).transpose()?;
    let request = Request { noise, ..request }.validate(&model, &limits)?;
    check_clip(&target, request.shape(), request.request().fps).map_err(Failure::usage)?;
    let load = started.elapsed();

    let mut bars = Bars::new(args.speech.json || args.speech.quiet);
    let made = on_pool(|| generate(&model, &request, |progress| bars.stage(progress), cancel))?;
    bars.finish();

    interrupt::clean_beside(&target);
    let writing = Instant::now();
    write(&args, &target, &model, &request, &made)?;
    let write = writing.elapsed();
    let report =
        Report { path: &target, model: &model, request: &request, made: &made, load, write, started };
    match (args.speech.json, args.speech.quiet) {
        (true, _) => output::line(report.json().to_string()),
        (false, true) => output::line(target.display().to_string()),
        (false, false) => output::print(report.words()),
    }
}

fn request(args: &Generate, limits: &Limits) -> Result<Request, Failure> {
    Ok(Request {
        negative: utf8("negative prompt", &args.negative)?,
        shape: PixelShape::new(frames(args, limits)?, args.size.height, args.size.width),
        fps: args.fps,
        seed: args.seed,
        ..args.sampling.apply(Request::new(utf8("prompt", &args.prompt)?))
    })
}

fn utf8(which: &str, text: &OsString) -> Result<String, Failure> {
    let valid = text.to_str().map(str::to_owned);
    valid.ok_or_else(|| {
        let found = text.to_string_lossy();
        Failure::usage(anyhow!(
            "the {which} is not valid UTF-8, found `{found}`\nhint: set the terminal to UTF-8"
        ))
    })
}

/// The number of frames, given or nearest to the seconds.
fn frames(args: &Generate, limits: &Limits) -> Result<usize, Failure> {
    let Some(seconds) = args.seconds else {
        return Ok(args.frames.unwrap_or(vidit_pipeline::DEFAULT_SHAPE.frames));
    };
    if !(seconds.is_finite() && seconds > 0.0) {
        return Err(Failure::usage(anyhow!("seconds must be above 0, found `{seconds}`\nhint: 2 is usual")));
    }
    let wanted = seconds * f64::from(args.fps);
    if wanted > limits.frames_max as f64 {
        let longest = limits.frames_max as f64 / f64::from(args.fps);
        return Err(Failure::usage(anyhow!(
            "seconds must be at most {longest:.1} at {} frames a second, found `{seconds}`\nhint: ask for less",
            args.fps
        )));
    }
    Ok(nearest_legal(wanted))
}

/// The nearest `4n + 1`.
fn nearest_legal(frames: f64) -> usize {
    let latents = ((frames - 1.0) / FRAMES_PER_LATENT as f64).round().max(0.0);
    latents as usize * FRAMES_PER_LATENT + 1
}

/// Where the clip goes, checked before any work.
fn target(args: &Generate, request: &Request) -> Result<PathBuf, Failure> {
    match &args.output {
        Some(path) => {
            check_target(path, args.overwrite).map_err(Failure::usage)?;
            Ok(path.clone())
        }
        None => {
            let path = free_name(Path::new(""), &file_stem_from_prompt(&request.prompt), "mp4");
            check_target(&path, false).map_err(Failure::usage)?;
            Ok(path)
        }
    }
}

/// Latents are no video: the checks of `check_target` that concern them.
fn check_latents_target(path: &Path, overwrite: bool) -> Outcome {
    let problem = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if !parent.is_dir() => {
            format!("the folder `{}` does not exist\nhint: create it first", parent.display())
        }
        _ if path.file_name().is_none() || path.is_dir() => "it is a folder\nhint: name a file".to_owned(),
        _ if path.exists() && !overwrite => {
            "it exists already\nhint: choose another name, or allow it with `--overwrite`".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Failure::usage(anyhow!("cannot write `{}`: {problem}", path.display())))
}

fn write(args: &Generate, target: &Path, model: &Model, request: &ValidRequest, made: &Generated) -> Outcome {
    interrupt::check()?;
    if let Some(path) = &args.save_latents {
        interrupt::clean_beside(path);
        made.latents.write(path)?;
    }
    let asked = request.request();
    let metadata = [
        ("software", concat!("vidit ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("model", model.name().to_owned()),
        ("prompt", request.prompt()),
        ("negative", asked.negative.clone()),
        ("seed", request.seed().to_string()),
        ("steps", asked.steps.to_string()),
        ("guidance", asked.guidance.to_string()),
        ("sampler", asked.sampler.name().to_owned()),
    ];
    let metadata = metadata.into_iter().map(|(key, value)| (format!("vidit.{key}"), value)).collect();
    // A name that we chose ourselves was free a moment ago; whatever took it since stays.
    let overwrite = args.overwrite && args.output.is_some();
    write_video(&made.frames, asked.fps, target, &WriteOptions { overwrite, metadata })?;
    Ok(())
}

/// What is told at the end.
struct Report<'a> {
    path: &'a Path,
    model: &'a Model,
    request: &'a ValidRequest,
    made: &'a Generated,
    load: Duration,
    write: Duration,
    started: Instant,
}

impl Report<'_> {
    fn seconds(&self) -> [(&'static str, f64); 6] {
        let timings = &self.made.timings;
        [
            ("load", self.load),
            ("encode", timings.encode),
            ("denoise", timings.denoise),
            ("decode", timings.decode),
            ("write", self.write),
            ("total", self.started.elapsed()),
        ]
        .map(|(name, duration)| (name, (duration.as_secs_f64() * 1000.0).round() / 1000.0))
    }

    fn json(&self) -> serde_json::Value {
        let (asked, shape) = (self.request.request(), self.request.shape());
        let seconds: serde_json::Map<_, _> =
            self.seconds().into_iter().map(|(name, seconds)| (name.to_owned(), json!(seconds))).collect();
        json!({
            "path": self.path.display().to_string(),
            "model": self.model.name(),
            "prompt": self.request.prompt(),
            "seed": self.request.seed(),
            "width": shape.width,
            "height": shape.height,
            "frames": shape.frames,
            "fps": asked.fps,
            "steps": asked.steps,
            "seconds": seconds,
        })
    }

    fn words(&self) -> String {
        let seconds = self.seconds().map(|(name, seconds)| format!("{name} {seconds:.1} s")).join(", ");
        let (seed, shape, fps) = (self.request.seed(), self.request.shape(), self.request.request().fps);
        format!("{}\n  seed {seed}, {shape} at {fps} fps\n  {seconds}\n", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_the_nearest_legal_frames() {
        for (wanted, frames) in [(0.1, 1), (2.9, 1), (3.1, 5), (24.0, 25), (25.0, 25), (26.9, 25), (27.1, 29)]
        {
            assert_eq!(nearest_legal(wanted), frames, "{wanted}");
        }
    }
}
