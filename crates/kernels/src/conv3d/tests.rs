use super::*;
use crate::gemm::Bias;
use crate::isa::Isa;
use crate::testing::{Lcg, check_gradient, force_each_isa};

/// Sums of up to 27·C products in another order.
const TOLERANCE: f32 = 1e-4;

fn shapes() -> Vec<Conv3dShape> {
    let base = Conv3dShape {
        batch: 2,
        input: [3, 7, 6],
        channels_in: 5,
        channels_out: 18,
        kernel: [3, 3, 3],
        stride: [1, 1, 1],
        padding: [2, 1, 1],
    };
    vec![
        base,
        Conv3dShape { kernel: [1, 1, 1], padding: [0, 0, 0], ..base },
        Conv3dShape {
            input: [1, 12, 29],
            kernel: [1, 7, 7],
            padding: [0, 3, 3],
            stride: [1, 2, 2],
            channels_in: 3,
            ..base
        },
        Conv3dShape { kernel: [3, 1, 1], padding: [2, 0, 0], channels_in: 16, ..base },
        Conv3dShape { kernel: [1, 3, 3], padding: [0, 1, 1], stride: [1, 2, 2], ..base },
        Conv3dShape { kernel: [2, 3, 3], padding: [1, 1, 1], stride: [2, 1, 1], channels_in: 48, ..base },
        Conv3dShape {
            batch: 1,
            input: [1, 9, 9],
            kernel: [1, 4, 4],
            padding: [0, 1, 1],
            stride: [1, 2, 2],
            ..base
        },
    ]
}

#[test]
fn forward_agrees_with_the_definition_at_every_isa() {
    force_each_isa(|isa| {
        for shape in shapes() {
            let mut random = Lcg::new(shape.channels_in as u64);
            let x = random.normal(shape.positions_in() * shape.channels_in);
            let weights = random.normal(shape.depth() * shape.channels_out);
            let bias = random.normal(shape.channels_out);
            let found = forward(&x, &weights, shape, &Bias(&bias), Precision::F32);
            let expected = scalar::forward(&x, &weights, shape);
            assert_eq!(found.len(), expected.len());
            let channels = [shape.channels_in, shape.channels_out];
            let packed = PackedKernel::new(&weights, shape.kernel, shape.stride, channels);
            assert!(found == forward_packed(&x, &packed, shape, &Bias(&bias)), "{isa} {shape:?}, packed");
            for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                let e = e + bias[i % shape.channels_out];
                assert!((f - e).abs() < TOLERANCE, "{isa} {shape:?}[{i}]: {f} ≠ {e}");
            }
        }
    });
}

/// Rounding of values at points and of what is made of them, for outputs of variance one: 9e-6 was seen, with 3.5 million of them.
const WINOGRAD_TOLERANCE: f32 = 3e-5;

fn winograd_shapes() -> Vec<Conv3dShape> {
    let base = Conv3dShape {
        batch: 2,
        input: [3, 13, 18],
        channels_in: 24,
        channels_out: 40,
        kernel: [3, 3, 3],
        stride: [1, 1, 1],
        padding: [2, 1, 1],
    };
    vec![
        Conv3dShape { batch: 4, ..base },
        Conv3dShape { channels_in: 37, channels_out: 27, input: [9, 17, 9], batch: 1, ..base },
        Conv3dShape { kernel: [1, 3, 3], padding: [0, 1, 1], input: [5, 11, 20], ..base },
        Conv3dShape { kernel: [2, 3, 3], padding: [1, 0, 2], input: [2, 22, 25], channels_in: 64, ..base },
        Conv3dShape { kernel: [3, 3, 3], padding: [0, 1, 0], input: [4, 18, 33], ..base },
        Conv3dShape { kernel: [1, 3, 3], padding: [0, 1, 1], input: [600, 1, 1], batch: 3, ..base },
        Conv3dShape { kernel: [2, 3, 3], padding: [3, 1, 1], input: [2, 16, 16], ..base },
    ]
}

/// Weights that give outputs of variance one.
fn weights_of(shape: &Conv3dShape, random: &mut Lcg) -> Vec<f32> {
    let scale = (shape.depth() as f32).sqrt().recip();
    random.normal(shape.depth() * shape.channels_out).iter().map(|w| w * scale).collect()
}

#[test]
fn fewer_multiplications_give_the_definition_at_every_isa_and_number_of_threads() {
    for shape in winograd_shapes() {
        let mut random = Lcg::new(shape.channels_in as u64);
        let x = random.normal(shape.positions_in() * shape.channels_in);
        let weights = weights_of(&shape, &mut random);
        let bias = random.normal(shape.channels_out);
        let channels = [shape.channels_in, shape.channels_out];
        let defined = scalar::forward(&x, &weights, shape);
        let check = |found: &[f32], factor: f32, what: &str| {
            assert_eq!(found.len(), defined.len());
            for (i, (found, defined)) in found.iter().zip(&defined).enumerate() {
                let expected = factor * defined + bias[i % shape.channels_out];
                let close = (found - expected).abs() < WINOGRAD_TOLERANCE;
                assert!(close, "{what} {shape:?}[{i}]: {found} ≠ {expected}");
            }
        };
        force_each_isa(|isa| {
            assert_eq!(winograd::fits(&shape, Precision::F32), isa != Isa::Scalar, "{isa} {shape:?}");
            let found = forward(&x, &weights, shape, &Bias(&bias), Precision::F32);
            check(&found, 1.0, isa.name());
            let mut packed = PackedKernel::new(&weights, shape.kernel, shape.stride, channels);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
            let again = pool.install(|| forward_packed(&x, &packed, shape, &Bias(&bias)));
            assert!(found == again, "{isa} {shape:?}: threads matter, or packing does");
            packed.scale_columns(&vec![-0.5; shape.channels_out]);
            check(&forward_packed(&x, &packed, shape, &Bias(&bias)), -0.5, isa.name());
        });
    }
}

#[test]
fn its_gradient_is_the_transpose_of_the_definition() {
    for shape in winograd_shapes() {
        let mut random = Lcg::new(3);
        let weights = weights_of(&shape, &mut random);
        let x = random.normal(shape.positions_in() * shape.channels_in);
        let d_out = random.normal(shape.positions_out() * shape.channels_out);
        let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum() };
        let forth = dot(&scalar::forward(&x, &weights, shape), &d_out);
        force_each_isa(|isa| {
            let found = backward_input(&weights, &d_out, shape, Precision::F32);
            assert_eq!(found.len(), x.len());
            // ⟨conv(x), d⟩ = ⟨x, convᵀ(d)⟩; the sums are of so many independent terms.
            let (back, scale) = (dot(&x, &found), (d_out.len() as f64).sqrt());
            assert!((forth - back).abs() < 1e-5 * scale, "{isa} {shape:?}: {forth} ≠ {back}");
        });
    }
}

/// What is not finite stays within the tiles that read it.
#[test]
fn infinite_and_nan_inputs_reach_their_tiles_alone() {
    force_each_isa(|isa| {
        let shape = Conv3dShape { input: [2, 40, 40], batch: 1, ..winograd_shapes()[0] };
        let mut random = Lcg::new(5);
        let weights = weights_of(&shape, &mut random);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = random.normal(shape.positions_in() * shape.channels_in);
            x[((40 + 9) * 40 + 22) * shape.channels_in + 3] = bad;
            let found = forward(&x, &weights, shape, &Plain, Precision::F32);
            for (i, value) in found.iter().enumerate() {
                let at = i / shape.channels_out;
                let (frame, y, x) = (at / 1600, at / 40 % 40, at % 40);
                // Rows 8 to 10 and columns 21 to 23 by the definition, of the frame that holds it: their tiles.
                let tiles = frame == 1 && (8..12).contains(&y) && (20..24).contains(&x);
                let touched = frame == 1 && (8..=10).contains(&y) && (21..=23).contains(&x);
                assert!(value.is_finite() || tiles, "{isa} {bad} reaches {frame} {y} {x}");
                assert!(!value.is_finite() || !touched, "{isa} {bad} does not reach {frame} {y} {x}");
            }
        }
    });
}

/// Shapes whose input tiles are read in place, and such as have other strides or channels beside them.
#[test]
fn bf16_agrees_with_the_definition_of_rounded_operands_at_every_isa() {
    let base = Conv3dShape { channels_in: 32, channels_out: 40, ..shapes()[0] };
    let cases = [
        base,
        Conv3dShape { channels_out: 3, input: [2, 3, 45], ..base },
        Conv3dShape { channels_out: 64, kernel: [1, 1, 1], padding: [0, 0, 0], ..base },
        Conv3dShape { channels_in: 64, kernel: [3, 1, 1], padding: [2, 0, 0], batch: 1, ..base },
        Conv3dShape { channels_in: 16, kernel: [1, 2, 2], padding: [0, 1, 0], input: [3, 9, 40], ..base },
        Conv3dShape { channels_in: 48, ..base },
        Conv3dShape { channels_in: 24, kernel: [1, 3, 3], padding: [0, 1, 1], ..base },
        // More weights than are multiplied at once.
        Conv3dShape { channels_in: 512, batch: 1, input: [1, 3, 5], ..base },
        Conv3dShape { channels_in: 7, ..base },
        Conv3dShape { stride: [1, 2, 2], padding: [2, 0, 1], ..base },
    ];
    let round = |values: Vec<f32>| -> Vec<f32> {
        values.into_iter().map(|x| half::bf16::from_f32(x).to_f32()).collect()
    };
    force_each_isa(|isa| {
        for shape in cases {
            let mut random = Lcg::new(shape.channels_in as u64);
            let x = round(random.normal(shape.positions_in() * shape.channels_in));
            let weights = round(random.normal(shape.depth() * shape.channels_out));
            let bias = random.normal(shape.channels_out);
            let found = forward(&x, &weights, shape, &Bias(&bias), Precision::Bf16);
            let expected = scalar::forward(&x, &weights, shape);
            assert_eq!(found.len(), expected.len());
            for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                let e = e + bias[i % shape.channels_out];
                let tolerance = TOLERANCE * (shape.depth() as f32 / 135.0).max(1.0);
                assert!((f - e).abs() < tolerance, "{isa} {shape:?}[{i}]: {f} ≠ {e}");
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            let again = pool.install(|| forward(&x, &weights, shape, &Bias(&bias), Precision::Bf16));
            assert!(found == again, "{isa} {shape:?}: threads matter");
        }
    });
}

#[test]
fn gradients_agree_with_finite_differences() {
    force_each_isa(|_| {
        for shape in shapes() {
            let mut random = Lcg::new(7);
            let x = random.normal(shape.positions_in() * shape.channels_in);
            let weights = random.normal(shape.depth() * shape.channels_out);
            let d_out = random.normal(shape.positions_out() * shape.channels_out);
            let loss = |x: &[f32], weights: &[f32]| -> f64 {
                let out = scalar::forward(x, weights, shape);
                out.iter().zip(&d_out).map(|(o, d)| *o as f64 * *d as f64).sum()
            };
            let dx = backward_input(&weights, &d_out, shape, Precision::F32);
            check_gradient(&format!("input of {shape:?}"), &x, &dx, |x| loss(x, &weights));
            let dw = backward_weights(&x, &d_out, shape, Precision::F32);
            check_gradient(&format!("weights of {shape:?}"), &weights, &dw, |w| loss(&x, w));
        }
    });
}

/// What instruction sets make of rounded operands in bf16 differs from what they make of them in f32 by the order of sums alone; two
/// parts keep sixteen bits.
#[test]
fn gradients_in_every_precision_agree_with_those_in_f32_at_every_isa() {
    let round = |values: Vec<f32>| -> Vec<f32> {
        values.into_iter().map(|x| half::bf16::from_f32(x).to_f32()).collect()
    };
    let wide = Conv3dShape { channels_in: 32, channels_out: 48, ..shapes()[0] };
    force_each_isa(|isa| {
        for shape in shapes().into_iter().chain([wide]) {
            let mut random = Lcg::new(8);
            let x = round(random.normal(shape.positions_in() * shape.channels_in));
            let weights = round(random.normal(shape.depth() * shape.channels_out));
            let d_out = round(random.normal(shape.positions_out() * shape.channels_out));
            let gradients = |precision| {
                let dx = backward_input(&weights, &d_out, shape, precision);
                [dx, backward_weights(&x, &d_out, shape, precision)]
            };
            let exact = gradients(Precision::F32);
            // Products that a sum of each has.
            let summed = [shape.taps() * shape.channels_out, shape.positions_out()];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            for precision in [Precision::F32, Precision::Bf16, Precision::TwoParts] {
                let found = gradients(precision);
                assert!(
                    found == pool.install(|| gradients(precision)),
                    "{isa} {precision:?} {shape:?}: threads"
                );
                for ((found, exact), count) in found.iter().zip(&exact).zip(summed) {
                    let tolerance = 1e-5 * (count as f32).sqrt();
                    let apart = found.iter().zip(exact).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
                    assert!(apart < tolerance, "{isa} {precision:?} {shape:?}: {apart} of {tolerance}");
                }
            }
        }
    });
}

#[test]
#[should_panic(expected = "the kernel does not fit into the padded input")]
fn a_kernel_larger_than_its_input_is_refused() {
    let shape = Conv3dShape {
        input: [1, 1, 1100],
        padding: [0, 0, 0],
        channels_in: 24,
        channels_out: 24,
        ..shapes()[0]
    };
    let x = vec![0.0; shape.positions_in() * shape.channels_in];
    forward(&x, &vec![0.0; shape.depth() * shape.channels_out], shape, &Plain, Precision::F32);
}
