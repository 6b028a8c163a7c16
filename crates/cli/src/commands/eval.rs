//! `vidit eval`

use std::fmt::Display;

use serde::Serialize;
use vidit_data::Pack;
use vidit_eval::{EvalError, EvalOptions, EvalProgress, Judge, evaluate, evaluate_sora};
use vidit_kernels::on_pool;
use vidit_pipeline::{Device, Limits, Request, generate, reconstruct};

use super::model;
use crate::args::{EvalMini, MiniSuite};
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{output, settings};

pub fn mini(args: EvalMini) -> Outcome {
    settings::apply(&args.network.compute)?;
    let stop = interrupt::install(Grace::Short)?;
    let model = model::load(&args.network)?;
    let pack = Pack::embedded();
    let judge = Judge::embedded(&pack, &Device::flex())?;
    let options = EvalOptions { limit: args.limit.map(|limit| limit as usize), seed: args.seed };
    let mut bars = Bars::new(args.speech.json || args.speech.quiet);
    let request = args.sampling.apply(Request::new(""));
    let make = |request: Request| {
        let request = request.validate(&model, &Limits::default())?;
        generate(&model, &request, |_| {}, stop).map(|made| made.frames)
    };
    let mut on_progress =
        |progress: EvalProgress| bars.show("eval", progress.done as u64, progress.total as u64, "");
    match args.suite {
        MiniSuite::Text => {
            let report = on_pool(|| {
                evaluate(
                    &pack,
                    &judge,
                    &mut |prompt, seed| {
                        make(Request { prompt: prompt.to_owned(), seed: Some(seed), ..request.clone() })
                    },
                    &mut |frames| reconstruct(&model, frames),
                    &options,
                    stop,
                    &mut on_progress,
                )
            });
            bars.finish();
            tell(report, args.speech.json)
        }
        MiniSuite::Sora => {
            let report = on_pool(|| {
                evaluate_sora(
                    &pack,
                    &judge,
                    &request,
                    &mut |request| Ok(make(request)?),
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
