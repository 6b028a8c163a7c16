//! Against VBench's copy of ViCLIP at a tiny size; `golden/export.py` writes it.

use super::ViClip;
use crate::clip::Config;
use crate::golden::Golden;
use crate::{BackboneError, Grid};

const TINY: Config = Config { head_width: 12 };
/// Sums of f32 in another order, over two blocks.
const TOLERANCE: f32 = 1e-5;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

#[test]
fn video_features_are_the_references() {
    let golden = golden();
    let network = ViClip::load(golden.weights(), TINY).unwrap();
    assert_eq!((network.video.frames(), network.video.side(), network.video.output()), (3, 8, 10));
    let video = Grid::from_channels_first(golden.values("input.video"), [3, 3, 8, 8]);
    let single = Grid::new(video.data[..8 * 8 * 3].to_vec(), [1, 8, 8, 3]);
    for (case, frames) in [("video", video), ("single", single)] {
        let mut count = 0;
        network.video.watched(&frames, &mut |name, found| {
            golden.check([(format!("{case}.{name}").as_str(), found)], TOLERANCE);
            count += 1;
        });
        assert_eq!(count, 5);
    }
}

#[test]
fn text_features_are_the_references() {
    let golden = golden();
    let network = ViClip::load(golden.weights(), TINY).unwrap();
    let ids: Vec<u32> = golden.values("input.texts").iter().map(|id| *id as u32).collect();
    let texts: Vec<Vec<u32>> = ids.chunks_exact(network.text.context()).map(<[u32]>::to_vec).collect();
    let features = network.text.forward(&texts).unwrap();
    golden.check([("text.feature", &features[..])], TOLERANCE);
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let load = |key: &str, shape: &[usize]| {
        let mut store = golden().weights();
        store.insert(key, shape.to_vec(), vec![0.0; shape.iter().product()]);
        ViClip::load(store, TINY).err()
    };
    let several = load("vision_encoder.conv1.weight", &[24, 3, 2, 4, 4]);
    assert!(several.is_some_and(|error| error.to_string().contains("[D, 3, 1, P, P]")));
    let times = load("vision_encoder.temporal_positional_embedding", &[1, 3, 20]);
    assert!(matches!(times, Some(BackboneError::Shape { .. })));
    let unused = load("vision_encoder.extra", &[1]);
    assert!(matches!(unused, Some(BackboneError::Unused { count: 1, .. })));
}
