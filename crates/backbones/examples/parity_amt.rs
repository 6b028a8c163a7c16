//! How far is AMT-S at its published size from the official code, and how long does it take?
//!
//! `cargo run --release -p vidit-backbones --example parity_amt -- amt-240x320.safetensors` with a file of
//! `src/amt/golden/export.py --full`. For each activation: the largest difference, its share of the largest value, the cosine.

use std::path::Path;
use std::time::Instant;

use vidit_backbones::Grid;
use vidit_backbones::amt::Amt;
use vidit_backbones::layers::Padding;
use vidit_testkit::difference;
use vidit_weights::TensorStore;

/// As the exporter has it.
const SHIFT: [usize; 2] = [2, 5];

fn main() {
    let path = std::env::args().nth(1).expect("the path of a file of export.py --full");
    let store = TensorStore::read(Path::new(&path)).expect("the file can be read");
    let amt = Amt::load(store.under("weights.")).expect("the weights are AMT-S's");
    let texture = &store.tensors["input.texture"];
    let [rows, columns] = [texture.shape[0] - SHIFT[0], texture.shape[1] - SHIFT[1]];
    let values = texture.values.iter().map(|value| value / 255.0).collect();
    let texture = Grid::new(values, [1, texture.shape[0], texture.shape[1], 3]);
    let [first, second] = [[0, 0], SHIFT].map(|[down, right]| {
        Padding { rows: [down, SHIFT[0] - down], columns: [right, SHIFT[1] - right] }.unpad(&texture)
    });
    let eighth = rows.next_multiple_of(16) / 8;
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
    let found = amt.midpoint_observed(&first, &second, &mut |name, found| {
        let name = format!("{name}.thinned1");
        // The last decoder's values come before what the official code makes of them.
        if !name.ends_with(".1.thinned1") || name.starts_with("features") || name.starts_with("pyramid") {
            compare(&name, &thinned(found, (found.height / eighth).max(1)));
        }
    });
    let found = found.expect("frames of a legal size");
    compare("midpoint.thinned2", &thinned(&found, 2));
    let mut seconds: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(amt.midpoint(&first, &second).expect("as above"));
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    println!("{rows}x{columns}: median {:.3} s", seconds[2]);
}

/// Every so many rows and columns.
fn thinned(x: &Grid, every: usize) -> Vec<f32> {
    let places = (0..x.height).step_by(every).flat_map(|y| (0..x.width).step_by(every).map(move |x| (y, x)));
    places.flat_map(|(y, column)| x.at(0, y, column)).copied().collect()
}
