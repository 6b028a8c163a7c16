//! The DreamSim ensemble beside the official code: `parity_dreamsim FILE`, written by `src/dreamsim/golden/export.py --full`.

mod parity;

use std::error::Error;

use parity::{Golden, print_peak, time};
use vidit_backbones::dreamsim::{Adapter, AdapterConfig, Config, DreamSim, Part};

fn main() -> Result<(), Box<dyn Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let config = AdapterConfig::parse(golden.text("adapter_config")?.as_bytes())?;
    let adapter = Adapter::new(weights.under("adapter."), config);
    let part = |part: Part| Ok::<_, Box<dyn Error>>(weights.under(&format!("{}.", part.name())));
    let network = DreamSim::load(part, adapter, Config::ENSEMBLE)?;
    drop(weights);
    let images = golden.channels_first("input.images");
    network.watched(&images, &mut |name, found| golden.compare(name, found));
    time("two images of 224×224", 5, || drop(network.forward(&images)));
    print_peak();
    Ok(())
}
