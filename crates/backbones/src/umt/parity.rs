//! Against VBench's copy of UMT at a tiny size; `golden/export.py` writes it.

use super::{Config, Umt, positions};
use crate::golden::Golden;
use crate::{BackboneError, Grid};

const TINY: Config = Config { frames: 5, side: 8, heads: 3 };
/// Sums of f32 in another order, over two blocks.
const TOLERANCE: f32 = 1e-5;
/// PyTorch makes the weights of its interpolation in another order: a few units in the last place.
const TABLE_TOLERANCE: f32 = 1e-6;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

fn video(golden: &Golden) -> Grid {
    Grid::from_channels_first(golden.values("input.video"), [5, 3, 8, 8])
}

#[test]
fn logits_are_the_references() {
    let golden = golden();
    let network = Umt::load(golden.weights(), TINY).unwrap();
    assert_eq!(network.classes(), 7);
    let mut count = 0;
    network.watched(&video(&golden), &mut |name, found| {
        golden.check([(name, found)], TOLERANCE);
        count += 1;
    });
    assert_eq!(count, 6);
}

#[test]
fn a_table_among_the_weights_takes_the_sinusoids_place() {
    let golden = golden();
    let mut store = golden.weights();
    store.insert("pos_embed", vec![1, 20, 24], golden.values("learned.pos_embed").to_vec());
    let logits = Umt::load(store, TINY).unwrap().forward(&video(&golden));
    golden.check([("learned.logits", &logits[..])], TOLERANCE);
}

#[test]
fn tables_are_stretched_as_in_the_reference() {
    let golden = golden();
    for (name, frames, side) in [("table.16", 16, 14), ("table.8", 8, 14), ("table.8.small", 8, 5)] {
        let table = positions::table(frames, side, 4);
        golden.check([(name, &table[..])], TABLE_TOLERANCE);
    }
    assert!(positions::is_fixed(8, 14) && !positions::is_fixed(16, 14));
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let load = |key: &str, shape: &[usize], config: Config| {
        let mut store = golden().weights();
        store.insert(key, shape.to_vec(), vec![0.0; shape.iter().product()]);
        Umt::load(store, config).err()
    };
    let table = load("pos_embed", &[1, 16, 24], TINY);
    assert!(matches!(table, Some(BackboneError::Shape { ref key, .. }) if key == "pos_embed"));
    assert!(matches!(load("norm.weight", &[24], TINY), Some(BackboneError::Unused { count: 1, .. })));
    let error = |config| Umt::load(golden().weights(), config).err().unwrap().to_string();
    assert!(error(Config { side: 9, ..TINY }).contains("not made of patches of 4"));
    assert!(error(Config { heads: 5, ..TINY }).contains("not made of 5 heads"));
}
