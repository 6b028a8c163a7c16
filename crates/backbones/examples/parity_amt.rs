//! AMT-S beside the reference: `parity_amt FILE`, written by `src/amt/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::amt::Amt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let amt = Amt::load(weights)?;
    let [first, second] = golden.frames()?.map(|mut frame| {
        frame.data.iter_mut().for_each(|value| *value /= 255.0);
        frame
    });
    let eighth = first.height.next_multiple_of(16) / 8;
    let found = amt.midpoint_observed(&first, &second, &mut |name, found| {
        // The last decoder's values come before what the official code makes of them.
        if !name.ends_with(".1") || name.starts_with("features") || name.starts_with("pyramid") {
            golden.compare(&format!("{name}.thinned1"), &found.thinned((found.height / eighth).max(1)).data);
        }
    })?;
    golden.compare("midpoint.thinned2", &found.thinned(2).data);
    time(&format!("{}×{}", first.height, first.width), 5, || drop(amt.midpoint(&first, &second)));
    print_peak();
    Ok(())
}
