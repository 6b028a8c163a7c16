//! NaN and ±∞ in products, attention, norms and activations: what reads them is not finite, nothing else notices.

use vidit_kernels::attention::{self, AttentionShape, Keys};
use vidit_kernels::gemm::{LaneMajor, Plain, WeightFormat, Weights};
use vidit_kernels::norm::{RmsTail, layer_norm, layer_norm_modulate, rms_norm};
use vidit_kernels::pointwise::{self, Activation};
use vidit_kernels::{Isa, Precision};

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
    at_each_isa(|isa| {
        for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::TwoParts, WeightFormat::Int8] {
            for sizes @ [m, n, k] in SIZES {
                for bad in BAD {
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
    });
}

/// Under each instruction set that this machine has, one test after the other: the level is one of the process.
fn at_each_isa(body: impl Fn(Isa)) {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        isa.force().unwrap();
        body(isa);
    }
    Isa::best().force().unwrap();
}

const BAD: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

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

#[test]
fn of_attention_they_reach_who_sees_them_in_their_head() {
    let shape = AttentionShape { batch: 2, heads: 2, head_dim: 24, queries: 37, keys: 70 };
    let AttentionShape { batch, heads, head_dim, queries, keys } = shape;
    let width = heads * head_dim;
    // The second sample, query or key 31, channel 5 of the second head.
    let (sample, token, head, channel) = (1, 31, 1, 5);
    let at = |tokens: usize| (sample * tokens + token) * width + head * head_dim + channel;
    at_each_isa(|isa| {
        for precision in [Precision::F32, Precision::TwoParts, Precision::Bf16] {
            let given = [queries, keys, keys].map(|tokens| values(batch * tokens * width, tokens as u32));
            let run = |[q, k, v]: &[Vec<f32>; 3]| {
                attention::forward(q, k, v, shape, Keys::default(), precision).out
            };
            let clean = run(&given);
            for (part, bad) in [0, 1, 2].into_iter().flat_map(|part| BAD.map(|bad| (part, bad))) {
                // An infinite key hides itself from those with whom its score is −∞.
                if part == 1 && bad.is_infinite() {
                    continue;
                }
                let mut spoiled = given.clone();
                spoiled[part][at(if part == 0 { queries } else { keys })] = bad;
                for (i, (found, clean)) in run(&spoiled).iter().zip(&clean).enumerate() {
                    let (row, column) = (i / width, i % width);
                    let of_head = row / queries == sample && column / head_dim == head;
                    let read = match part {
                        0 => of_head && row % queries == token,
                        1 => of_head,
                        _ => of_head && column % head_dim == channel,
                    };
                    let what = format!(
                        "{isa}, {precision:?}, {bad} in {}: [{row}, {column}]",
                        ["q", "k", "v"][part]
                    );
                    match read {
                        true => assert!(!found.is_finite(), "{what} is {found}"),
                        false => assert!(found == clean, "{what} is {found}, was {clean}"),
                    }
                }
            }
        }
    });
}

#[test]
fn of_norms_they_reach_their_row() {
    let (rows, width) = (9, 48);
    at_each_isa(|isa| {
        let (x, weight, bias) = (values(rows * width, 1), values(width, 2), values(width, 3));
        type Norm<'a> = &'a dyn Fn(&[f32]) -> Vec<f32>;
        let norms: [(&str, Norm); 4] = [
            ("rms", &|x| rms_norm(x, &weight, width, 1e-6, RmsTail::None)),
            ("rms with SiLU", &|x| rms_norm(x, &weight, width, 1e-6, RmsTail::Silu)),
            ("layer", &|x| layer_norm(x, &weight, &bias, 1e-6)),
            ("layer, modulated", &|x| layer_norm_modulate(x, &weight, &bias, width, 1e-6).out),
        ];
        for (name, norm) in norms {
            let clean = norm(&x);
            for bad in BAD {
                let mut spoiled = x.clone();
                spoiled[4 * width + 7] = bad;
                let found = norm(&spoiled);
                let same = |row: usize| found[row * width..][..width] == clean[row * width..][..width];
                assert!((0..rows).all(|row| row == 4 || same(row)), "{isa}, {name}, {bad}: other rows");
                assert!(found[4 * width + 7].is_nan(), "{isa}, {name}, {bad}: {}", found[4 * width + 7]);
                if bad.is_nan() {
                    assert!(found[4 * width..][..width].iter().all(|value| value.is_nan()), "{isa}, {name}");
                }
            }
        }
    });
}

#[test]
fn activations_keep_nan_and_go_to_their_limits() {
    let (nan, infinite) = (f32::NAN, f32::INFINITY);
    at_each_isa(|isa| {
        for (activation, below, above) in [
            (Activation::GeluTanh, 0.0, infinite),
            (Activation::Gelu, 0.0, infinite),
            (Activation::QuickGelu, 0.0, infinite),
            (Activation::Silu, 0.0, infinite),
            (Activation::Relu, 0.0, infinite),
            (Activation::Sigmoid, 0.0, 1.0),
            (Activation::Tanh, -1.0, 1.0),
        ] {
            // In the middle of a vector, and behind the last whole one.
            for at in [5, 40] {
                let mut x = values(41, 4);
                let clean = pointwise::activate(&x, activation);
                let others = |found: &[f32]| (0..41).all(|i| i == at || found[i] == clean[i]);
                for (bad, limit) in [(nan, nan), (infinite, above), (-infinite, below)] {
                    x[at] = bad;
                    let found = pointwise::activate(&x, activation);
                    let what = format!("{isa}, {activation:?} of {bad} is {}", found[at]);
                    // What multiplies the input by a share that vanishes there has no value at −∞ in floating point.
                    let undefined = bad == -infinite && limit == 0.0 && !found[at].is_finite();
                    let there = if limit.is_finite() {
                        (found[at] - limit).abs() < 1e-6
                    } else {
                        found[at].to_bits() << 1 == limit.to_bits() << 1
                            || limit.is_nan() && found[at].is_nan()
                    };
                    assert!(there || undefined, "{what}");
                    assert!(others(&found), "{what}, and others with it");
                }
                x[at] = nan;
                let ones = vec![1.0; 41];
                let back = pointwise::activate_backward(&x, &ones, activation);
                // ReLU's slope is 0 where its input is not above 0, as everywhere.
                assert!(
                    back[at].is_nan() || activation == Activation::Relu,
                    "{isa}, {activation:?}: {}",
                    back[at]
                );
                x[at] = 0.5;
                let mut d = ones.clone();
                d[at] = nan;
                let back = pointwise::activate_backward(&x, &d, activation);
                assert!((0..41).all(|i| back[i].is_nan() == (i == at)), "{isa}, {activation:?}");
            }
        }
    });
}

#[test]
fn sums_and_gates_keep_them_where_they_are() {
    at_each_isa(|isa| {
        let (a, b, gate) = (values(96, 5), values(96, 6), values(48, 7));
        for bad in BAD {
            let mut spoiled = a.clone();
            spoiled[50] = bad;
            let only = |found: Vec<f32>| (0..96).all(|i| found[i].is_finite() == (i != 50));
            assert!(only(pointwise::add(&spoiled, &b)), "{isa}, {bad}");
            assert!(only(pointwise::gated_residual(&spoiled, &b, &gate, 48)), "{isa}, {bad}");
            assert!(only(pointwise::gated_residual(&b, &spoiled, &gate, 48)), "{isa}, {bad}");
        }
    });
}
