//! `vidit train`

use std::sync::atomic::Ordering;

use vidit_kernels::on_pool;
use vidit_train::train_file;

use crate::args::Train;
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{ALLOCATOR, output, settings};

/// A training step frees and takes the same blocks over and over: keep them all.
const KEPT_BYTES_MAX: usize = 3 << 30;

pub fn run(args: Train) -> Outcome {
    settings::apply(&args.compute)?;
    ALLOCATOR.set_kept_bytes_max(KEPT_BYTES_MAX);
    let stop = interrupt::install(Grace::Unlimited)?;
    let mut bars = Bars::new(args.quiet);
    let mut steps = 0;
    let summary = on_pool(|| {
        train_file(&args.config, args.resume, stop, &mut |progress| {
            steps = progress.steps;
            let message = format!("loss {:.4}", progress.loss);
            bars.show("train", progress.step, progress.steps, &message);
        })
    })?;
    bars.finish();
    let folder = summary.folder.display();
    if stop.load(Ordering::SeqCst) && summary.steps < steps {
        return Err(Failure::Interrupted(format!(
            "step {} of {steps} is kept in `{folder}`; `vidit train {} --resume` goes on",
            summary.steps,
            args.config.display()
        )));
    }
    output::line(format!("{folder}\n  {} steps", summary.steps))
}
