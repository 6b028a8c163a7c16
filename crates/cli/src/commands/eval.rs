//! `vidit eval`

use vidit_data::Pack;
use vidit_eval::{EvalError, EvalOptions, Judge, evaluate, evaluate_sora};
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
    if matches!(args.suite, MiniSuite::Sora) {
        let request = args.sampling.apply(Request::new(""));
        let report = on_pool(|| {
            evaluate_sora(
                &pack,
                &judge,
                &request,
                &mut |request| {
                    let request = request.validate(&model, &Limits::default())?;
                    Ok(generate(&model, &request, |_| {}, stop)?.frames)
                },
                &options,
                stop,
                &mut |progress| bars.show("eval", progress.done as u64, progress.total as u64, ""),
            )
        });
        bars.finish();
        let report = report.map_err(failure)?;
        return match args.speech.json {
            true => output::line(serde_json::to_string(&report)?),
            false => output::print(report.to_string()),
        };
    }
    let report = on_pool(|| {
        evaluate(
            &pack,
            &judge,
            &mut |prompt, seed| {
                let request = Request { seed: Some(seed), ..args.sampling.apply(Request::new(prompt)) };
                let request = request.validate(&model, &Limits::default())?;
                generate(&model, &request, |_| {}, stop).map(|made| made.frames)
            },
            &mut |frames| reconstruct(&model, frames),
            &options,
            stop,
            &mut |progress| bars.show("eval", progress.done as u64, progress.total as u64, ""),
        )
    });
    bars.finish();
    let report = report.map_err(failure)?;
    if args.speech.json {
        output::line(serde_json::to_string(&report)?)
    } else {
        output::print(report.to_string())
    }
}

fn failure(error: EvalError) -> Failure {
    match error {
        EvalError::Interrupted { .. } => Failure::Interrupted("nothing was written".to_owned()),
        error => error.into(),
    }
}
