//! NaN and ±∞ in products: what reads them is not finite, nothing else notices.

use vidit_kernels::Isa;
use vidit_kernels::gemm::{LaneMajor, Plain, WeightFormat, Weights};

/// Odd sizes, and such with whole tiles of every kernel.
const SIZES: [[usize; 3]; 3] = [[1, 1, 1], [7, 35, 19], [70, 67, 130]];

/// Numbers between −1 and 1, none of them 0.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) | 1) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Checks every format of weights under every instruction set: `spoil` puts `bad` somewhere into `x [M, K]` or
/// `weights [K, N]`, and `reads` tells which outputs `[m, n]` are made of it.
fn check(
    spoil: impl Fn(&mut [f32], &mut [f32], [usize; 3], f32),
    reads: impl Fn(usize, usize, [usize; 3]) -> bool,
) {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        isa.force().unwrap();
        for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::TwoParts, WeightFormat::Int8] {
            for sizes @ [m, n, k] in SIZES {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let what = format!("{isa}, {format:?}, {m}x{n}x{k}, {bad}");
                    let (mut x, mut weights) = (values(m * k, 1), values(n * k, 2));
                    let product = |x: &[f32], weights: &[f32]| {
                        let weights = Weights::new(weights, n, k, format);
                        weights.product(m, LaneMajor { data: x, stride: k }, &Plain)
                    };
                    let clean = product(&x, &weights);
                    spoil(&mut x, &mut weights, sizes, bad);
                    let found = product(&x, &weights); // [M, N]
                    for (i, (found, clean)) in found.iter().zip(&clean).enumerate() {
                        let at = format!("{what}: [{}, {}]", i / n, i % n);
                        match reads(i / n, i % n, sizes) {
                            true => assert!(!found.is_finite(), "{at} is {found}"),
                            false => assert!(found == clean, "{at} is {found}, was {clean}"),
                        }
                    }
                }
            }
        }
    }
    Isa::best().force().unwrap();
}

#[test]
fn of_inputs_they_reach_their_row() {
    check(|x, _, [m, _, k], bad| x[m / 2 * k + k / 3] = bad, |row, _, [m, ..]| row == m / 2);
}

#[test]
fn of_weights_they_reach_their_column() {
    check(
        |_, weights, [_, n, k], bad| weights[k / 3 * n + n / 2] = bad,
        |_, column, [_, n, _]| column == n / 2,
    );
}
