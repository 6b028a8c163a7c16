//! Compares MUSIQ with a file of `musiq/golden/export.py --full DIR`, activation by activation, and times it.

use std::time::Instant;

use vidit_backbones::Grid;
use vidit_backbones::musiq::{Config, Musiq};
use vidit_weights::TensorStore;

fn main() {
    let path = std::env::args().nth(1).expect("usage: parity_musiq FILE");
    let golden = TensorStore::read(path.as_ref()).expect("the golden can be read");
    let network = Musiq::load(golden.under("weights."), Config::PUBLISHED).expect("the weights fit");
    let image = &golden.tensors["input.image"];
    let [b, h, w, c] = image.shape[..] else { panic!("input.image is not [B, H, W, C]") };
    let images = Grid::new(image.values.clone(), [b, h, w, c]);
    network.scores_watched(images.clone(), &mut |name, found| {
        report(name, found, &golden.tensors[name].values);
    });
    for _ in 0..5 {
        let input = images.clone();
        let start = Instant::now();
        let scores = network.scores(input);
        println!("{:.3} s, scores {scores:?}", start.elapsed().as_secs_f64());
    }
}

fn report(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let (mut worst, mut largest) = (0.0f32, 0.0f32);
    let [mut ff, mut fe, mut ee] = [0.0f64; 3];
    for (f, e) in found.iter().zip(expected) {
        worst = worst.max((f - e).abs());
        largest = largest.max(e.abs());
        let (f, e) = (*f as f64, *e as f64);
        (ff, fe, ee) = (ff + f * f, fe + f * e, ee + e * e);
    }
    let cosine = fe / (ff * ee).sqrt();
    println!(
        "{name:12} largest difference {worst:.3e}, of the largest value {:.3e}, cosine {cosine:.9}",
        worst / largest
    );
}
