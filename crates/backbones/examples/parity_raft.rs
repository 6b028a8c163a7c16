//! RAFT beside the reference: `parity_raft FILE`, written by `src/raft/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::raft::{Raft, padding};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let raft = Raft::load(weights)?;
    let steps = golden.text("iterations")?.parse()?;
    let [first, second] = golden.frames()?.map(|frame| padding(frame.height, frame.width).pad(&frame));
    let features = [raft.features(&first)?, raft.features(&second)?];
    let context = raft.context(&first)?;
    golden.compare("features.0.thinned2", &features[0].map().thinned(2).data);
    golden.compare("features.1.thinned2", &features[1].map().thinned(2).data);
    let mut estimate = raft.estimate(&features[0], &features[1], &context);
    for step in 0..steps {
        estimate.step();
        let name = format!("flow.{step}");
        if golden.has(&name) {
            golden.compare(&name, &estimate.flow_at_eighth().data);
        }
    }
    golden.compare("upsampled.thinned3", &estimate.upsampled().thinned(3).data);
    time("features of one frame", 5, || drop(raft.features(&first)));
    time("context", 5, || drop(raft.context(&first)));
    time("flow of these", 5, || drop(raft.flow(&features[0], &features[1], &context, steps)));
    print_peak();
    Ok(())
}
