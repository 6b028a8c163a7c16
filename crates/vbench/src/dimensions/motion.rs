//! How fast is what moves fastest? RAFT's flow between two frames, for `dynamic_degree` and the static filter.

use vidit_backbones::raft::{self, Context, Features, Raft};

use crate::Mode;
use crate::pixels::RgbFrame;
use crate::run::Refusal;

/// Rounds of refinement.
const ITERATIONS: usize = 20;

/// Mean length of the fastest `share` of the flow from one frame to another, in pixels; `frame` is either, for its size.
pub(super) fn speed(
    network: &Raft,
    (from, context): (&Features, &Context),
    to: &Features,
    frame: &RgbFrame,
    mode: Mode,
    share: f64,
) -> Result<f64, Refusal> {
    let flow = network.flow(from, to, context, ITERATIONS); // [1, H, W, 2]
    // The reference takes the padding along: quirk Q8.
    let flow = match mode {
        Mode::Compat => flow,
        Mode::Fixed => raft::padding(frame.height, frame.width).unpad(&flow),
    };
    let mut lengths: Vec<f32> =
        flow.data.chunks_exact(2).map(|uv| (uv[0] * uv[0] + uv[1] * uv[1]).sqrt()).collect();
    let speed = mean_of_fastest(&mut lengths, share);
    match speed.is_finite() {
        true => Ok(speed),
        false => Err("the network gave a flow that is not finite".to_owned()),
    }
}

/// Mean of the largest `share` of lengths; NaN if these are none.
pub(super) fn mean_of_fastest(lengths: &mut [f32], share: f64) -> f64 {
    let count = (lengths.len() as f64 * share) as usize;
    if count < lengths.len() && count > 0 {
        lengths.select_nth_unstable_by(count, |a, b| b.total_cmp(a));
    }
    lengths[..count].iter().map(|length| f64::from(*length)).sum::<f64>() / count as f64
}
