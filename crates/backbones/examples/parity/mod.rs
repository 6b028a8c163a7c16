//! What the examples that compare networks with goldens share.

use std::time::Instant;

use vidit_backbones::Grid;
use vidit_weights::TensorStore;

/// The golden that the command line names.
pub fn golden() -> TensorStore {
    let path = std::env::args().nth(1).expect("usage: parity_… FILE, a file of `export.py --full DIR`");
    TensorStore::read(path.as_ref()).expect("the golden can be read")
}

/// A tensor `[B, H, W, C]` of it.
pub fn grid(golden: &TensorStore, name: &str) -> Grid {
    let entry = &golden.tensors[name];
    Grid::new(entry.values.clone(), entry.shape[..].try_into().expect("a tensor has four axes"))
}

/// Prints how far an activation is from the golden's.
pub fn report(golden: &TensorStore, name: &str, found: &[f32]) {
    let expected = &golden.tensors[name].values;
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
        "{name:18} largest difference {worst:.3e}, of the largest value {:.3e}, cosine {cosine:.9}",
        worst / largest
    );
}

/// Prints how long some runs take.
pub fn time(mut run: impl FnMut()) {
    for _ in 0..5 {
        let start = Instant::now();
        run();
        println!("{:.3} s", start.elapsed().as_secs_f64());
    }
}
