//! How far is RAFT at its published size from the official code, and how long does it take?
//!
//! `cargo run --release -p vidit-backbones --example parity_raft -- raft-240x320.safetensors` with a file of
//! `src/raft/golden/export.py --full`. For each activation: the largest difference, its share of the largest value, the cosine.

use std::path::Path;
use std::time::Instant;

use vidit_backbones::Grid;
use vidit_backbones::layers::Padding;
use vidit_backbones::raft::{Raft, padding};
use vidit_testkit::difference;
use vidit_weights::TensorStore;

/// As the exporter has them.
const STEPS: usize = 20;
const SHIFT: [usize; 2] = [2, 5];

fn main() {
    let path = std::env::args().nth(1).expect("the path of a file of export.py --full");
    let store = TensorStore::read(Path::new(&path)).expect("the file can be read");
    let raft = Raft::load(store.under("weights.")).expect("the weights are RAFT's");
    let texture = &store.tensors["input.texture"];
    let [rows, columns] = [texture.shape[0] - SHIFT[0], texture.shape[1] - SHIFT[1]];
    let texture = Grid::new(texture.values.clone(), [1, texture.shape[0], texture.shape[1], 3]);
    let [first, second] = [[0, 0], SHIFT].map(|[down, right]| {
        let crop = Padding { rows: [down, SHIFT[0] - down], columns: [right, SHIFT[1] - right] };
        padding(rows, columns).pad(&crop.unpad(&texture))
    });
    let compare = |name: &str, found: &[f32]| {
        let expected = &store.tensors[name].values;
        let worst = difference(name, found, expected).expect("the values can be compared");
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum::<f64>();
        let cosine = dot(found, expected) / (dot(found, found) * dot(expected, expected)).sqrt();
        let share = worst.largest / largest;
        println!(
            "{name:28} largest difference {:.2e}, of {largest:.3}: {share:.2e}, cosine {cosine:.9}",
            worst.largest
        );
    };
    let features = [&first, &second].map(|frame| raft.features(frame).expect("a frame of a legal size"));
    let context = raft.context(&first).expect("a frame of a legal size");
    compare("features.0.thinned2", &thinned(features[0].map(), 2));
    compare("features.1.thinned2", &thinned(features[1].map(), 2));
    let mut estimate = raft.estimate(&features[0], &features[1], &context);
    for step in 0..STEPS {
        estimate.step();
        let name = format!("flow.{step}");
        if store.tensors.contains_key(&name) {
            compare(&name, &estimate.flow_at_eighth().data);
        }
    }
    compare("upsampled.thinned3", &thinned(&estimate.upsampled(), 3));
    let mut seconds: Vec<[f64; 3]> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let features = [&first, &second].map(|frame| raft.features(frame).expect("as above"));
            let of_features = start.elapsed().as_secs_f64();
            let context = raft.context(&first).expect("as above");
            let of_context = start.elapsed().as_secs_f64() - of_features;
            std::hint::black_box(raft.flow(&features[0], &features[1], &context, STEPS));
            [of_features, of_context, start.elapsed().as_secs_f64()]
        })
        .collect();
    seconds.sort_by(|a, b| a[2].total_cmp(&b[2]));
    let [of_features, of_context, total] = seconds[2];
    println!(
        "{rows}x{columns}: median {total:.3} s, of which features of both {of_features:.3}, context {of_context:.3}"
    );
}

/// Every so many rows and columns.
fn thinned(x: &Grid, every: usize) -> Vec<f32> {
    let places = (0..x.height).step_by(every).flat_map(|y| (0..x.width).step_by(every).map(move |x| (y, x)));
    places.flat_map(|(y, column)| x.at(0, y, column)).copied().collect()
}
