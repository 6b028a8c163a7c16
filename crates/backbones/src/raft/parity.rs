//! Against the official code at a tiny configuration; `golden/export.py` wrote what it gave.

use super::*;
use crate::golden::Golden;

/// f32 sums of up to some hundred values in another order, through a dozen layers and four steps.
const TOLERANCE: f32 = 2e-5;
/// Rows and columns of the frames, and how far the second lies in the texture.
const SIZE: [usize; 2] = [125, 131];
const SHIFT: [usize; 2] = [2, 5];
const STEPS: usize = 4;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

/// The two frames.
fn frames(golden: &Golden) -> [Grid; 2] {
    let shape = golden.shape("input.texture");
    let texture = Grid::new(golden.values("input.texture").to_vec(), [1, shape[0], shape[1], shape[2]]);
    [[0, 0], SHIFT].map(|[down, right]| {
        let [rows, columns] = SIZE;
        let crop = Padding {
            rows: [down, texture.height - down - rows],
            columns: [right, texture.width - right - columns],
        };
        padding(rows, columns).pad(&crop.unpad(&texture))
    })
}

/// Every so many rows and columns.
fn thinned(x: &Grid, every: usize) -> Vec<f32> {
    let places = (0..x.height).step_by(every).flat_map(|y| (0..x.width).step_by(every).map(move |x| (y, x)));
    places.flat_map(|(y, column)| x.at(0, y, column)).copied().collect()
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
            ("features.0.thinned2", &thinned(features[0].map(), 2)[..]),
            ("features.1.thinned2", &thinned(features[1].map(), 2)),
            ("context.thinned2", &thinned(&context.encoded, 2)),
        ],
        TOLERANCE,
    );
    let mut estimate = raft.estimate(&features[0], &features[1], &context);
    let correlation = by_columns(&estimate.correlation());
    let motion = raft.update.motion(&estimate.correlation(), &estimate.flow_at_eighth());
    golden.check(
        [
            ("correlation.0.thinned5", &thinned(&correlation, 5)[..]),
            ("motion.0.thinned2", &thinned(&motion, 2)),
        ],
        TOLERANCE,
    );
    for step in 0..STEPS {
        if step + 1 == STEPS {
            let correlation = by_columns(&estimate.correlation());
            golden.check([("correlation.last.thinned5", &thinned(&correlation, 5)[..])], TOLERANCE);
        }
        estimate.step();
        if step == 0 {
            golden.check([("hidden.0.thinned2", &thinned(&estimate.hidden, 2)[..])], TOLERANCE);
        }
        let name = format!("flow.{step}");
        if golden.has(&name) {
            golden.check([(&name[..], &estimate.flow_at_eighth().data[..])], TOLERANCE);
        }
    }
    let flow = raft.flow(&features[0], &features[1], &context, STEPS);
    assert!(flow == estimate.upsampled(), "steps are the same whoever counts them");
    golden.check([("upsampled.thinned3", &thinned(&flow, 3)[..])], TOLERANCE);
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
