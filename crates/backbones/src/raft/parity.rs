//! Against the official code at a tiny configuration; `golden/export.py` wrote what it gave.

use super::*;
use crate::golden::Golden;

/// f32 sums of up to some hundred values in another order, through a dozen layers and four steps.
const TOLERANCE: f32 = 2e-5;
const STEPS: usize = 4;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

/// The two frames, padded as the network wants them.
fn frames(golden: &Golden) -> [Grid; 2] {
    golden.frames().map(|frame| padding(frame.height, frame.width).pad(&frame))
}

/// Windows column by column, as the official code has them.
fn by_columns(correlation: &Grid) -> Grid {
    let across = (correlation.channels / CORRELATION_LEVELS).isqrt();
    let mut out = correlation.clone();
    for (to, from) in
        out.data.chunks_exact_mut(across * across).zip(correlation.data.chunks_exact(across * across))
    {
        for (i, to) in to.iter_mut().enumerate() {
            *to = from[i % across * across + i / across];
        }
    }
    out
}

#[test]
fn tiny_network_agrees_with_the_official_code() {
    let golden = golden();
    let raft = Raft::load(golden.weights()).unwrap();
    let [first, second] = frames(&golden);
    assert_eq!(first.shape(), [1, 128, 136, 3]);
    let features = [&first, &second].map(|frame| raft.features(frame).unwrap());
    let context = raft.context(&first).unwrap();
    golden.check(
        [
            ("features.0.thinned2", &features[0].map().thinned(2).data[..]),
            ("features.1.thinned2", &features[1].map().thinned(2).data),
            ("context.thinned2", &context.encoded.thinned(2).data),
        ],
        TOLERANCE,
    );
    let mut estimate = raft.estimate(&features[0], &features[1], &context);
    let correlation = by_columns(&estimate.correlation());
    let motion = raft.update.motion(&estimate.correlation(), &estimate.flow_at_eighth());
    golden.check(
        [
            ("correlation.0.thinned5", &correlation.thinned(5).data[..]),
            ("motion.0.thinned2", &motion.thinned(2).data),
        ],
        TOLERANCE,
    );
    for step in 0..STEPS {
        if step + 1 == STEPS {
            let correlation = by_columns(&estimate.correlation());
            golden.check([("correlation.last.thinned5", &correlation.thinned(5).data[..])], TOLERANCE);
        }
        estimate.step();
        if step == 0 {
            golden.check([("hidden.0.thinned2", &estimate.hidden.thinned(2).data[..])], TOLERANCE);
        }
        let name = format!("flow.{step}");
        if golden.has(&name) {
            golden.check([(&name[..], &estimate.flow_at_eighth().data[..])], TOLERANCE);
        }
    }
    let flow = raft.flow(&features[0], &features[1], &context, STEPS);
    assert!(flow == estimate.upsampled(), "steps are the same whoever counts them");
    golden.check([("upsampled.thinned3", &flow.thinned(3).data[..])], TOLERANCE);
}

#[test]
fn keys_may_lack_their_prefix_and_none_may_be_missing_or_left_over() {
    let weights = golden().weights();
    let bare = weights.under("module.");
    assert!(bare.tensors.len() > 50 && Raft::load(bare.clone()).is_ok());
    let mut lacking = bare.clone();
    lacking.tensors.remove("update_block.gru.convq2.bias");
    let error = Raft::load(lacking).err().unwrap();
    assert!(matches!(error, BackboneError::Missing { ref key, .. } if key == "update_block.gru.convq2.bias"));
    let mut more = bare;
    more.insert("fnet.layer4.weight", vec![1], vec![0.0]);
    let error = Raft::load(more).err().unwrap();
    assert!(matches!(error, BackboneError::Unused { ref first, .. } if first == "fnet.layer4.weight"));
}

#[test]
fn small_and_unpadded_frames_are_refused() {
    let raft = Raft::load(golden().weights()).unwrap();
    for shape in [[1, 120, 200, 3], [1, 128, 131, 3]] {
        let frame = Grid::zeros(shape);
        let error = raft.features(&frame).err().unwrap();
        assert_eq!(Some(&error), raft.context(&frame).err().as_ref());
        assert!(error.to_string().contains(&format!("{} × {}", shape[1], shape[2])), "{error}");
    }
}
