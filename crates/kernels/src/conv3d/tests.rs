use super::*;
use crate::gemm::{Bias, DepthMajor, Packed};
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
            let by_columns = DepthMajor { data: &weights, stride: shape.channels_out };
            let packed = Packed::new(&by_columns, shape.channels_out, shape.depth(), Precision::F32);
            assert!(found == forward_packed(&x, &packed, shape, &Bias(&bias)), "{isa} {shape:?}, packed");
            for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                let e = e + bias[i % shape.channels_out];
                assert!((f - e).abs() < TOLERANCE, "{isa} {shape:?}[{i}]: {f} ≠ {e}");
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
