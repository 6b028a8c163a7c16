//! `vidit train`

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use vidit_kernels::on_pool;
use vidit_train::{feed_file, train_file};

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
    if args.batches {
        return batches(&args, stop, &mut bars);
    }
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

/// Batches as bytes on standard output, see [`vidit_train::feed`].
fn batches(args: &Train, stop: &AtomicBool, bars: &mut Bars) -> Outcome {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        return Err(Failure::usage(anyhow!(
            "batches are bytes, and standard output is a terminal\nhint: `| program` or `> file`"
        )));
    }
    let mut steps = 0;
    let written = feed_file(&args.config, args.encode_first, stop, &mut out, &mut |batch, batches| {
        steps = batches;
        bars.show("batches", batch, batches, "");
    })?;
    bars.finish();
    if stop.load(Ordering::SeqCst) && written < steps {
        return Err(Failure::Interrupted(format!("{written} of {steps} batches are written")));
    }
    Ok(())
}
