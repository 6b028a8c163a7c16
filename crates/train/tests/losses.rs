//! The first ten losses of tiny runs, pinned: whatever changes data, initial weights, loss or optimiser shows here.

mod tiny;

use tiny::{Folder, denoiser_config, train, vae_config};
use vidit_ops::{Precision, set_precision};

/// Relative. Instruction sets sum in other orders.
const TOLERANCE: f32 = 1e-3;

const VAE: [f32; 10] = [
    0.5972886, 1.1907787, 1.02398, 1.0269327, 0.9696181, 0.74364275, 0.58392394, 1.039814, 0.87636364,
    0.9197705,
];
const DENOISER: [f32; 10] =
    [1.9272633, 2.1937258, 1.8537372, 1.8031001, 1.9166315, 1.8869337, 1.81, 1.7740519, 1.5158792, 1.5820608];

#[test]
fn the_first_ten_losses() {
    set_precision(Precision::F32);
    let folder = Folder::new("losses");
    let path = &folder.0;
    for (kind, config, expected) in [
        ("vae", vae_config(path, "vae", 10, 50), VAE),
        ("denoiser", denoiser_config(path, "denoiser", 10), DENOISER),
    ] {
        let mut found = Vec::new();
        train(&config, false, |progress| found.push(progress.loss)).unwrap();
        let agree = found.len() == expected.len()
            && found.iter().zip(expected).all(|(f, e)| (f - e).abs() < TOLERANCE * e.abs());
        assert!(agree, "{kind}: found {found:?}, expected {expected:?}");
    }
}
