//! Against the official code at a tiny configuration; `golden/export.py` wrote what it gave.

use super::*;
use crate::golden::Golden;

/// f32 sums of up to some hundred values in another order, through some forty layers.
const TOLERANCE: f32 = 2e-5;
/// Colours from 0 to 1, which are truncated to 256 levels afterwards.
const TOLERANCE_COLOUR: f32 = 1e-5;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

/// The two frames, 0 to 1.
fn frames(golden: &Golden) -> [Grid; 2] {
    golden.frames().map(|mut frame| {
        frame.data.iter_mut().for_each(|value| *value /= 255.0);
        frame
    })
}

#[test]
fn tiny_network_agrees_with_the_official_code() {
    let golden = golden();
    let amt = Amt::load(golden.weights()).unwrap();
    let [first, second] = frames(&golden);
    let mut seen = Vec::new();
    let mut flow_1 = None;
    let midpoint = amt
        .midpoint_observed(&first, &second, &mut |name, found| {
            let (name, found) = match name {
                "flow.1" => {
                    flow_1 = Some(found.clone());
                    return;
                }
                "decoded.1" => (name, whole_flows(flow_1.as_ref().unwrap(), found)),
                _ => (name, found.clone()),
            };
            // Every second row and column of an eighth of the frame, at every scale.
            let every = (found.height * 8 * 2 / 128).max(1);
            golden.check([(&format!("{name}.thinned2")[..], &found.thinned(every).data[..])], TOLERANCE);
            seen.push(name.to_owned());
        })
        .unwrap();
    assert_eq!(seen.len(), 2 + 8 + 3 * 5 + 1, "{seen:?}");
    assert_eq!(midpoint.shape(), first.shape());
    golden.check([("midpoint.thinned3", &midpoint.thinned(3).data[..])], TOLERANCE_COLOUR);
    let inside = midpoint.data.iter().filter(|value| (0.01..0.99).contains(*value)).count();
    assert!(inside > midpoint.data.len() / 2, "most colours are not clamped");
}

/// What the last decoder gives with the flows and shares that the official code makes of it.
fn whole_flows(flow: &Grid, decoded: &Grid) -> Grid {
    let n = decoded.channels / 8;
    let mut out = decoded.clone();
    for (out, flow) in out.data.chunks_exact_mut(8 * n).zip(flow.data.chunks_exact(4)) {
        for i in 0..2 * n {
            out[i] += 2.0 * flow[i % 2];
            out[2 * n + i] += 2.0 * flow[2 + i % 2];
        }
        out[4 * n..5 * n].iter_mut().for_each(|share| *share = 1.0 / (1.0 + (-*share).exp()));
    }
    out
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let golden = golden();
    let amt = Amt::load(golden.weights()).unwrap();
    let [first, second] = frames(&golden);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| amt.midpoint(&first, &second).unwrap())
    };
    assert!(with(1) == with(3));
}

#[test]
fn weights_may_not_be_missing_or_left_over() {
    let weights = golden().weights();
    let mut lacking = weights.clone();
    lacking.tensors.remove("decoder3.convblock.1.prelu.weight");
    let error = Amt::load(lacking).err().unwrap();
    assert!(
        matches!(error, BackboneError::Missing { ref key, .. } if key == "decoder3.convblock.1.prelu.weight")
    );
    let mut more = weights;
    more.insert("update1.conv.bias", vec![1], vec![0.0]);
    let error = Amt::load(more).err().unwrap();
    assert!(matches!(error, BackboneError::Unused { ref first, .. } if first == "update1.conv.bias"));
}

#[test]
fn small_frames_are_refused() {
    let amt = Amt::load(golden().weights()).unwrap();
    let frame = Grid::zeros([1, 112, 200, 3]);
    let error = amt.midpoint(&frame, &frame).err().unwrap();
    assert!(error.to_string().contains("112 × 200, expected sides of at least 113"), "{error}");
    let frame = Grid::zeros([1, 113, 113, 3]);
    assert!(amt.midpoint(&frame, &frame).is_ok());
}
