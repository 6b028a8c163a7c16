//! Against the official code at a tiny configuration; `golden/export.py` wrote what it gave.

use super::*;
use crate::golden::Golden;
use crate::layers::Padding;

/// f32 sums of up to some hundred values in another order, through a dozen layers.
const TOLERANCE: f32 = 2e-5;
/// The same after steps that each begin with sines of the former's places times up to 970: what rounding moves by 1e-6 of a pixel moves
/// them by 1e-3, of which the weights here take a fiftieth.
const STEPS_TOLERANCE: f32 = 5e-5;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

fn network(golden: &Golden) -> CoTracker {
    let heads = golden.text("heads").parse().unwrap();
    CoTracker::load(golden.weights(), Config { heads }).unwrap()
}

fn numbers(golden: &Golden, name: &str) -> Vec<usize> {
    golden.text(name).split(' ').map(|n| n.parse().unwrap()).collect()
}

/// Crops of the texture, each lower and further right.
fn frames(golden: &Golden) -> Vec<Grid> {
    let shape = golden.shape("input.texture"); // [H, W, 3]
    let texture = Grid::new(golden.values("input.texture").to_vec(), [1, shape[0], shape[1], 3]);
    let (size, shift) = (numbers(golden, "size"), numbers(golden, "shift"));
    let crop = |i: usize| {
        let (y, x) = (i * shift[0], i * shift[1]);
        let padding = Padding { rows: [y, shape[0] - size[0] - y], columns: [x, shape[1] - size[1] - x] };
        padding.unpad(&texture)
    };
    (0..numbers(golden, "frames")[0]).map(crop).collect()
}

/// Every so many rows of `[A, B, D]` along both axes.
fn thinned(values: &[f32], shape: [usize; 3], every: [usize; 2]) -> Vec<f32> {
    let grid = Tokens::new(values.to_vec(), shape);
    let rows = (0..shape[0]).step_by(every[0]);
    rows.flat_map(|a| (0..shape[1]).step_by(every[1]).map(move |b| (a, b)))
        .flat_map(|(a, b)| grid.at(a, b).to_vec())
        .collect()
}

fn tracks(network: &CoTracker, frames: &[Grid], side: usize, watch: &mut dyn FnMut(&str, &[f32])) -> Tracks {
    let mut tracker = Tracker::new(side);
    frames.iter().for_each(|frame| tracker.push_watched(network, frame, watch));
    tracker.finish_watched(network, watch)
}

#[test]
fn tiny_network_agrees_with_the_official_code() {
    let golden = golden();
    let network = network(&golden);
    let side = numbers(&golden, "grid")[0];
    let (points, times) = (side * side, network.window());
    let map = [1, network.positions.height, network.positions.width, network.encoder.output()];
    let mut seen = 0;
    let mut watch = |name: &str, values: &[f32]| {
        let (part, tolerance) = match name.strip_prefix("window.0.step.0.") {
            Some(part) => (part, TOLERANCE),
            None if name.contains(".step.") => return,
            None => (name, if name.starts_with("window") { STEPS_TOLERANCE } else { TOLERANCE }),
        };
        let width = values.len() / points / times;
        let (part, values) = match part {
            "features.0" | "features.1" => {
                (format!("{part}.thinned2"), Grid::new(values.to_vec(), map).thinned(2).data)
            }
            "inputs" => (part.to_owned(), thinned(values, [points, times, width], [1, 3])),
            // Time by time.
            "points.0" | "virtual.0" | "virtual2point.0" | "space.0" | "point2virtual.0" => {
                let width = network.former.width();
                let shape = [times, values.len() / times / width, width];
                (part.trim_end_matches(".0").to_owned(), thinned(values, shape, [3, 1]))
            }
            _ => (part.to_owned(), values.to_vec()),
        };
        if golden.has(&part) {
            golden.check([(&part[..], &values[..])], tolerance);
            seen += 1;
        }
    };
    let found = tracks(&network, &frames(&golden), side, &mut watch);
    let values: Vec<f32> = found.places.iter().flatten().flatten().copied().collect();
    golden.check([("tracks", &values[..])], STEPS_TOLERANCE);
    assert_eq!(seen, 2 + 7 + 3 * 4, "every activation was compared");
}

#[test]
fn waves_are_those_of_the_official_code() {
    let golden = golden();
    let moves = golden.values("input.moves").chunks_exact(2);
    let found: Vec<f32> = moves.flat_map(|moved| waves([moved[0], moved[1]])).collect();
    // Sines of the same numbers.
    golden.check([("waves", &found[..])], 1e-6);
}

#[test]
fn tracks_are_the_same_whatever_the_number_of_threads() {
    let golden = golden();
    let (network, frames) = (network(&golden), frames(&golden));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tracks(&network, &frames[..5], 3, &mut |_, _| {}))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn a_window_is_padded_with_its_last_frame_and_one_frame_stays_where_it_is() {
    let golden = golden();
    let (network, frames) = (network(&golden), frames(&golden));
    let few = tracks(&network, &frames[..2], 3, &mut |_, _| {});
    let padded: Vec<Grid> = [0, 1, 1, 1].map(|i: usize| frames[i].clone()).into();
    assert_eq!(few.places[..], tracks(&network, &padded, 3, &mut |_, _| {}).places[..2]);
    let one = tracks(&network, &frames[..1], 3, &mut |_, _| {});
    assert_eq!(one.places, few.places[..1]);
    assert_eq!(Tracker::new(3).finish(&network).places.len(), 0);
}

#[test]
fn no_key_may_be_missing_misshapen_or_left_over() {
    let golden = golden();
    let config = Config { heads: golden.text("heads").parse().unwrap() };
    let load = |change: &dyn Fn(&mut TensorStore)| {
        let mut weights = golden.weights();
        change(&mut weights);
        CoTracker::load(weights, config).err().unwrap().to_string()
    };
    for key in ["pos_emb", "time_emb", "norm.weight", "updateformer.virual_tracks"] {
        let error = load(&|weights| drop(weights.tensors.remove(key)));
        assert!(error.contains(&format!("lack `{key}`")), "{error}");
    }
    let more = load(&|weights| weights.insert("fnet.norm1.weight", vec![1], vec![0.0]));
    assert!(more.contains("`fnet.norm1.weight`"), "{more}");
    let heads = CoTracker::load(golden.weights(), Config { heads: 5 }).err().unwrap().to_string();
    assert!(heads.contains("expected a multiple of 5 heads"), "{heads}");
}
