//! What every verb that makes a video goes through: checks, the model, one or more generations, the file, the report.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::json;
use vidit_kernels::on_pool;
use vidit_media::{
    Coded, FrameRate, MediaError, WriteOptions, check_clip, check_target, file_stem_from_prompt, free_name,
    write_video,
};
use vidit_pipeline::{
    Generated, Latents, Limits, Model, Request, Timings, Wish, drawn_seed, generate, reconstruct,
};
use vidit_video::{Frames, PixelShape};

use super::model;
use crate::args::Making;
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{output, settings};

/// A verb before it has a model.
pub struct Work<'a> {
    making: &'a Making,
    limits: Limits,
    started: Instant,
    target: PathBuf,
    /// What the target is called after, where its name is ours to choose.
    stem: String,
    extension: &'a str,
    /// The prompt as the user wrote it, where it was expanded.
    asked: Option<String>,
    /// What is told of the prompt, where there are several.
    told: Option<String>,
    /// Clips whose frames the video has again.
    sources: Vec<Coded>,
}

impl<'a> Work<'a> {
    /// Checks where the video goes. Without a name of its own it is called after `name`, in the format `extension`.
    pub fn new(making: &'a Making, name: &str, extension: &'a str) -> Result<Self, Failure> {
        let stem = file_stem_from_prompt(name);
        let target = match &making.output {
            Some(path) => {
                check_target(path, making.overwrite).map_err(Failure::usage)?;
                path.clone()
            }
            None => {
                let path = free_name(Path::new(""), &stem, extension);
                check_target(&path, false).map_err(Failure::usage)?;
                path
            }
        };
        let (limits, started) = (model::limits(), Instant::now());
        Ok(Self {
            making,
            limits,
            started,
            target,
            stem,
            extension,
            asked: None,
            told: None,
            sources: vec![],
        })
    }

    /// Where the video goes.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Tells of this prompt in place of the last generation's.
    pub fn told_as(self, prompt: String) -> Self {
        Self { told: Some(prompt), ..self }
    }

    /// Takes over frames of these clips as they are encoded.
    pub fn going_on_from(self, sources: impl IntoIterator<Item = Option<Coded>>) -> Self {
        Self { sources: sources.into_iter().flatten().collect(), ..self }
    }

    /// Keeps what the user wrote beside the prompt that was made of it.
    pub fn asked_as(self, prompt: Option<String>) -> Self {
        Self { asked: prompt, ..self }
    }

    /// Checks that a clip fits the format that it is written in.
    pub fn check_clip(&self, shape: PixelShape, fps: FrameRate) -> Result<(), Failure> {
        check_clip(&self.target, shape, fps).map_err(Failure::usage)
    }

    /// Loads the model and lets `make` make the clip.
    pub fn run(
        self,
        fps: FrameRate,
        make: impl FnOnce(&mut Maker) -> Result<Frames, Failure> + Send,
    ) -> Outcome {
        self.run_and_keep(fps, make, |_| Ok(()))
    }

    /// The same; `before_writing` may keep what else was made.
    pub fn run_and_keep(
        self,
        fps: FrameRate,
        make: impl FnOnce(&mut Maker) -> Result<Frames, Failure> + Send,
        before_writing: impl FnOnce(&Maker) -> Outcome,
    ) -> Outcome {
        let Self { making, limits, started, mut target, stem, extension, asked, told, sources } = self;
        settings::apply(&making.network.compute)?;
        let cancel = interrupt::install(Grace::Short)?;
        let model = match making.boxes {
            None => model::load(&making.network)?,
            Some(_) => model::load_with_boxes(&making.network, making.box_adapter.as_deref())?,
        };
        let load = started.elapsed();

        let speech = making.speech;
        let seed = making.seed.unwrap_or_else(drawn_seed);
        let bars = Bars::new(speech.json || speech.quiet);
        let (timings, last) = (Timings::default(), None);
        let mut maker =
            Maker { target: target.clone(), model, limits, cancel, bars, seed, timings, last, asked, told };
        let frames = on_pool(|| make(&mut maker))?;
        maker.bars.finish();

        let writing = Instant::now();
        interrupt::check()?;
        before_writing(&maker)?;
        let overwrite = making.overwrite && making.output.is_some();
        let options = WriteOptions { overwrite, metadata: maker.metadata(), sources };
        loop {
            interrupt::clean_beside(&target);
            match write_video(&frames, fps, &target, &options) {
                // A name that we chose ourselves was free when the work began; whatever took it since stays.
                Err(MediaError::TargetExists { .. }) if making.output.is_none() => {
                    target = free_name(Path::new(""), &stem, extension);
                }
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        let write = writing.elapsed();
        let report =
            Report { path: &target, maker: &maker, shape: frames.shape(), fps, load, write, started };
        match (speech.json, speech.quiet) {
            (true, _) => output::line(report.json().to_string()),
            (false, true) => output::line(target.display().to_string()),
            (false, false) => output::print(report.words()),
        }
    }
}

/// A model at work.
pub struct Maker {
    target: PathBuf,
    model: Model,
    limits: Limits,
    cancel: &'static AtomicBool,
    bars: Bars,
    /// Seed of the first generation; those that follow count on.
    seed: u64,
    timings: Timings,
    /// The last request, as it was fulfilled, and its latents.
    last: Option<(vidit_pipeline::ValidRequest, Latents)>,
    /// As in [`Work`].
    asked: Option<String>,
    /// As in [`Work`].
    told: Option<String>,
}

impl Maker {
    /// Whether the model can fulfil a request, and the file hold its clip: what [`Self::make`] would find too late or not at all.
    pub fn check(&self, request: &Request, shape: PixelShape, fps: FrameRate) -> Result<(), Failure> {
        request.clone().validate(&self.model, &self.limits)?;
        check_clip(&self.target, shape, fps).map_err(Failure::usage)
    }

    /// One generation.
    pub fn make(&mut self, request: Request) -> Result<Frames, Failure> {
        let seed = match &self.last {
            None => self.seed,
            Some((last, _)) => last.seed().wrapping_add(1),
        };
        let request = Request { seed: Some(seed), ..request }.validate(&self.model, &self.limits)?;
        let Self { model, bars, cancel, .. } = self;
        let Generated { frames, latents, timings } =
            generate(model, &request, |progress| bars.stage(progress), cancel)?;
        self.timings.encode += timings.encode;
        self.timings.denoise += timings.denoise;
        self.timings.decode += timings.decode;
        self.last = Some((request, latents));
        Ok(frames)
    }

    /// One generation, joined to what it was made from.
    pub fn fulfil(&mut self, wish: &Wish, only_new: bool) -> Result<Frames, Failure> {
        let made = self.make(wish.request.clone())?;
        let started = Instant::now();
        let joined =
            wish.join(&made, only_new, &mut |frames| reconstruct(&self.model, frames, self.cancel))?;
        self.timings.decode += started.elapsed();
        Ok(joined)
    }

    /// Latents of the last generation.
    pub fn latents(&self) -> &Latents {
        &self.request_and_latents().1
    }

    fn request_and_latents(&self) -> &(vidit_pipeline::ValidRequest, Latents) {
        self.last.as_ref().expect("a verb makes something before it writes")
    }

    fn prompt(&self) -> String {
        self.told.clone().unwrap_or_else(|| self.request_and_latents().0.prompt())
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let request = &self.request_and_latents().0;
        let asked = request.request();
        let metadata = [
            ("software", concat!("vidit ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("model", self.model.name().to_owned()),
            ("prompt", self.prompt()),
            ("negative", asked.negative.clone()),
            ("seed", self.seed.to_string()),
            ("steps", asked.steps.to_string()),
            ("guidance", asked.guidance().to_string()),
            ("sampler", asked.sampler().name().to_owned()),
        ];
        let asked = self.asked.iter().map(|prompt| ("asked", prompt.clone()));
        metadata.into_iter().chain(asked).map(|(key, value)| (format!("vidit.{key}"), value)).collect()
    }
}

/// The request that the shared arguments describe.
pub fn request(making: &Making, prompt: String) -> Result<Request, Failure> {
    let negative = utf8("negative prompt", &making.negative)?;
    Ok(Request { negative, ..making.sampling.apply(Request::new(prompt)) })
}

/// Frames a second, whole where they are, so that readers who expect a whole number find one.
pub fn fps_json(fps: FrameRate) -> serde_json::Value {
    match fps.denominator() {
        1 => json!(fps.numerator()),
        _ => json!(fps.hz()),
    }
}

/// Text as it was typed.
pub fn utf8(which: &str, text: &OsString) -> Result<String, Failure> {
    let valid = text.to_str().map(str::to_owned);
    valid.ok_or_else(|| {
        let found = text.to_string_lossy();
        Failure::usage(anyhow!(
            "the {which} is not valid UTF-8, found `{found}`\nhint: set the terminal to UTF-8"
        ))
    })
}

/// What is told at the end.
struct Report<'a> {
    path: &'a Path,
    maker: &'a Maker,
    shape: PixelShape,
    fps: FrameRate,
    load: Duration,
    write: Duration,
    started: Instant,
}

impl Report<'_> {
    fn seconds(&self) -> [(&'static str, f64); 6] {
        let timings = &self.maker.timings;
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
        let request = &self.maker.request_and_latents().0;
        let seconds: serde_json::Map<_, _> =
            self.seconds().into_iter().map(|(name, seconds)| (name.to_owned(), json!(seconds))).collect();
        let mut told = json!({
            "path": self.path.display().to_string(),
            "model": self.maker.model.name(),
            "prompt": self.maker.prompt(),
            "seed": self.maker.seed,
            "width": self.shape.width,
            "height": self.shape.height,
            "frames": self.shape.frames,
            "fps": fps_json(self.fps),
            "steps": request.request().steps,
            "seconds": seconds,
        });
        if let Some(asked) = &self.maker.asked {
            told["asked"] = json!(asked);
        }
        told
    }

    fn words(&self) -> String {
        let seconds = self.seconds().map(|(name, seconds)| format!("{name} {seconds:.1} s")).join(", ");
        let (seed, shape, fps) = (self.maker.seed, self.shape, fps_json(self.fps));
        format!("{}\n  seed {seed}, {shape} at {fps} fps\n  {seconds}\n", self.path.display())
    }
}
