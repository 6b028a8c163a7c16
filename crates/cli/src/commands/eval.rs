//! `vidit eval`

use std::fmt::Display;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use serde::Serialize;
use vidit_data::Pack;
use vidit_eval::{
    EvalError, EvalOptions, EvalProgress, Judge, Makers, evaluate, evaluate_boxes, evaluate_languages,
    evaluate_sora,
};
use vidit_kernels::on_pool;
use vidit_pipeline::{Device, Error, Limits, Model, Request, RequestError, generate, in_boxes, reconstruct};
use vidit_video::Frames;

use super::model;
use crate::args::{EvalMini, MiniSuite};
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{output, settings};

pub fn mini(args: EvalMini) -> Outcome {
    check_adapters(&args)?;
    let request = args.sampling.apply(Request::new(""));
    request.check_sampling(&Limits::default())?;
    settings::apply(&args.network.compute)?;
    let stop = interrupt::install(Grace::Short)?;
    let load = |adapter| model::load_with_boxes(&args.network, adapter);
    let model = match args.suite {
        MiniSuite::Boxes => load(args.box_adapter.as_deref())?,
        _ => model::load(&args.network)?,
    };
    if args.suite == MiniSuite::Boxes && !model.follows_boxes() {
        return Err(RequestError::NoBoxAdapter.into());
    }
    let second = args.without_self_tracking.as_deref().map(|path| load(Some(path))).transpose()?;
    let pack = Pack::embedded();
    let judge = Judge::embedded(&pack, &Device::flex())?;
    let options = EvalOptions { limit: args.limit.map(|limit| limit as usize), seed: args.seed };
    let mut bars = Bars::new(args.speech.json || args.speech.quiet);
    let mut on_progress =
        |progress: EvalProgress| bars.show("eval", progress.done as u64, progress.total as u64, "");
    match args.suite {
        MiniSuite::Text => {
            let report = on_pool(|| {
                evaluate(
                    &pack,
                    &judge,
                    &mut |prompt, seed| {
                        let asked =
                            Request { prompt: prompt.to_owned(), seed: Some(seed), ..request.clone() };
                        make(&model, asked, stop)
                    },
                    &mut |frames| reconstruct(&model, frames, stop),
                    &options,
                    stop,
                    &mut on_progress,
                )
            });
            bars.finish();
            tell(report, args.speech.json)
        }
        MiniSuite::Languages => {
            let report = on_pool(|| {
                let mut make = |request| Ok(make(&model, request, stop)?);
                evaluate_languages(&pack, &judge, &request, &mut make, &options, stop, &mut on_progress)
            });
            bars.finish();
            tell(report, args.speech.json)
        }
        MiniSuite::Sora => {
            let report = on_pool(|| {
                let mut make = |request| Ok(make(&model, request, stop)?);
                let mut again = |frames: &Frames| Ok(reconstruct(&model, frames, stop)?);
                let makers = Makers { make: &mut make, again: &mut again };
                evaluate_sora(&pack, &judge, &request, makers, &options, stop, &mut on_progress)
            });
            bars.finish();
            tell(report, args.speech.json)
        }
        MiniSuite::Boxes => {
            let report = on_pool(|| {
                let mut by_first = |request| Ok(make_in_boxes(&model, request, stop)?);
                let mut again = |frames: &Frames| Ok(reconstruct(&model, frames, stop)?);
                let makers = Makers { make: &mut by_first, again: &mut again };
                let mut by_second =
                    second.as_ref().map(|model| move |request| Ok(make_in_boxes(model, request, stop)?));
                evaluate_boxes(
                    &pack,
                    &judge,
                    &request,
                    makers,
                    by_second.as_mut().map(|make| make as _),
                    &options,
                    stop,
                    &mut on_progress,
                )
            });
            bars.finish();
            tell(report, args.speech.json)
        }
    }
}

/// Adapters are nothing to suites that draw without boxes.
fn check_adapters(args: &EvalMini) -> Outcome {
    let named =
        [("--box-adapter", &args.box_adapter), ("--without-self-tracking", &args.without_self_tracking)];
    match named.into_iter().find(|(_, path)| path.is_some()) {
        Some((option, _)) if args.suite != MiniSuite::Boxes => Err(Failure::usage(anyhow!(
            "`{option}` has no say in this suite\nhint: `--suite boxes` scores box adapters"
        ))),
        _ => Ok(()),
    }
}

fn make(model: &Model, request: Request, stop: &AtomicBool) -> Result<Frames, Error> {
    let request = request.validate(model, &Limits::default())?;
    Ok(generate(model, &request, |_| {}, stop)?.frames)
}

/// As `generate` makes a clip with boxes.
fn make_in_boxes(model: &Model, mut request: Request, stop: &AtomicBool) -> Result<Frames, Error> {
    let guides = std::mem::take(&mut request.guides);
    let mut seed = request.seed;
    in_boxes(&request, request.shape.frames, &guides, &mut |wish| {
        let made = make(model, Request { seed, ..wish.request.clone() }, stop)?;
        // Each part has noise of its own, as from the command line.
        seed = seed.map(|seed| seed.wrapping_add(1));
        wish.join(&made, false, &mut |frames| reconstruct(model, frames, stop))
    })
}

fn tell(report: Result<impl Serialize + Display, EvalError>, json: bool) -> Outcome {
    let report = report.map_err(|error| match error {
        EvalError::Interrupted { .. } => Failure::Interrupted("nothing was written".to_owned()),
        error => error.into(),
    })?;
    match json {
        true => output::line(serde_json::to_string(&report)?),
        false => output::print(report.to_string()),
    }
}
