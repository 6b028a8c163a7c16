//! `vidit decode`

use std::time::Instant;

use serde_json::json;
use vidit_kernels::on_pool;
use vidit_media::{WriteOptions, check_clip, check_target, write_video};
use vidit_pipeline::{DEFAULT_FPS, Latents, decode_latents};

use super::model;
use crate::args::Decode;
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{output, settings};

pub fn run(args: Decode) -> Outcome {
    let started = Instant::now();
    let target = &args.output;
    check_target(target, args.overwrite).map_err(Failure::usage)?;
    settings::apply(&args.network.compute)?;
    let cancel = interrupt::install(Grace::Short)?;

    let latents = Latents::read(&args.latents)?;
    let model = model::load(&args.network)?;
    let fps = args.fps.or(latents.provenance.fps).unwrap_or(DEFAULT_FPS);
    let shape = model.check_latents(&latents, &model::limits())?;
    check_clip(target, shape, fps).map_err(Failure::usage)?;

    let mut bars = Bars::new(args.speech.json || args.speech.quiet);
    let frames = on_pool(|| {
        decode_latents(&model, &latents, &model::limits(), |progress| bars.stage(progress), cancel)
    })?;
    bars.finish();

    interrupt::check()?;
    interrupt::clean_beside(target);
    let provenance = &latents.provenance;
    let metadata = [
        ("vidit.software", Some(concat!("vidit ", env!("CARGO_PKG_VERSION")).to_owned())),
        ("vidit.model", Some(model.name().to_owned())),
        ("vidit.prompt", provenance.prompt.clone()),
        ("vidit.seed", provenance.seed.map(|seed| seed.to_string())),
    ];
    let metadata = metadata.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let options = WriteOptions { overwrite: args.overwrite, metadata, ..WriteOptions::default() };
    write_video(&frames, fps, target, &options)?;

    let total = started.elapsed().as_secs_f64();
    let path = target.display().to_string();
    match (args.speech.json, args.speech.quiet) {
        (true, _) => output::line(
            json!({
                "path": path,
                "model": model.name(),
                "width": shape.width,
                "height": shape.height,
                "frames": shape.frames,
                "fps": fps,
                "seconds": {"total": total},
            })
            .to_string(),
        ),
        (false, true) => output::line(path),
        (false, false) => output::print(format!("{path}\n  {shape} at {fps} fps\n  total {total:.1} s\n")),
    }
}
