//! `vidit data`

use anyhow::anyhow;
use vidit_data::{Compose as Composing, Pack, Split, compose_to_folder};
use vidit_pipeline::Limits;
use vidit_video::PixelShape;

use crate::args::{Compose, SplitName};
use crate::interrupt::{self, Grace};
use crate::progress::Bars;
use crate::report::{Failure, Outcome};
use crate::{output, settings};

/// Makes a folder of composed clips.
pub fn compose(args: Compose) -> Outcome {
    let shape = PixelShape::new(args.frames, args.size.height, args.size.width);
    let limits = Limits::default();
    let bounded = [
        ("count", args.count, u64::MAX),
        ("frames", args.frames as u64, limits.frames_max as u64),
        ("width", args.size.width as u64, limits.side_max as u64),
        ("height", args.size.height as u64, limits.side_max as u64),
    ];
    for (what, found, limit) in bounded {
        if found == 0 || found > limit {
            let range = if limit == u64::MAX { "at least 1".to_owned() } else { format!("1 to {limit}") };
            return Err(Failure::usage(anyhow!("{what} must be {range}, found `{found}`")));
        }
    }
    if args.output.exists() {
        return Err(Failure::usage(vidit_data::DataError::Exists { path: args.output }));
    }
    settings::apply(&args.compute)?;
    let cancel = interrupt::install(Grace::Short)?;
    // Where `compose_to_folder` keeps the folder until it is whole.
    let mut aside = args.output.file_name().unwrap_or_default().to_owned();
    aside.push(".incomplete");
    interrupt::clean_folder(args.output.with_file_name(aside));

    let split = match args.split {
        SplitName::Train => Split::Train,
        SplitName::HeldOut => Split::HeldOut,
    };
    let composing = Composing { seed: args.seed, count: args.count, shape, split };
    let mut bars = Bars::new(args.quiet);
    compose_to_folder(&Pack::embedded(), composing, &args.output, cancel, |done| {
        bars.show("clips", done, args.count, "")
    })?;
    bars.finish();
    output::line(args.output.display().to_string())
}
