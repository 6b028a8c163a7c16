use vidit_kernels::Precision;
use vidit_kernels::conv3d::{Conv3dShape, backward_input, backward_weights, forward, scalar};
use vidit_kernels::gemm::Plain;

use crate::{Random, close_in, for_each};

fn any(random: &mut Random) -> Conv3dShape {
    let kernel = [random.between(1, 3), random.between(1, 3), random.between(1, 3)];
    Conv3dShape {
        batch: random.between(1, 2),
        input: kernel.map(|k| k + random.between(0, 6)),
        channels_in: random.size(40),
        channels_out: random.size(40),
        kernel,
        stride: [random.between(1, 2), random.between(1, 2), random.between(1, 2)],
        padding: [random.between(0, 2), random.between(0, 1), random.between(0, 1)],
    }
}

/// A shape and a precision, and input and weights for them.
fn case(random: &mut Random) -> (Conv3dShape, Precision, [Vec<f32>; 2]) {
    let (shape, precision) = (any(random), random.precision());
    let counts = [shape.positions_in() * shape.channels_in, shape.depth() * shape.channels_out];
    (shape, precision, counts.map(|count| random.operand(count, precision)))
}

#[test]
fn convolutions_of_any_kernel_stride_padding_and_precision() {
    for_each(60, |random, what| {
        let (shape, precision, [x, weights]) = case(random);
        let expected = scalar::forward(&x, &weights, shape);
        let found = forward(&x, &weights, shape, &Plain, precision);
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                close_in(precision, *found, *expected as f64, shape.depth()),
                "{what}: {precision:?} {shape:?} [{i}]: {found} ≠ {expected}"
            );
        }
    });
}

/// Σ a · b.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn gradients_of_convolutions_are_their_transposes() {
    for_each(40, |random, what| {
        let (shape, precision, [x, weights]) = case(random);
        let d_out = random.operand(shape.positions_out() * shape.channels_out, precision);
        let d_x = backward_input(&weights, &d_out, shape, precision);
        let d_weights = backward_weights(&x, &d_out, shape, precision);
        assert_eq!((d_x.len(), d_weights.len()), (x.len(), weights.len()));
        // Linear in either: ⟨conv(x′, w), d⟩ = ⟨x′, d_x⟩ and ⟨conv(x, w′), d⟩ = ⟨w′, d_w⟩ for any x′ and w′.
        let others = [x.len(), weights.len()].map(|count| random.values(count));
        for (name, of_conv, of_gradient) in [
            ("x", dot(&scalar::forward(&others[0], &weights, shape), &d_out), dot(&others[0], &d_x)),
            ("weights", dot(&scalar::forward(&x, &others[1], shape), &d_out), dot(&others[1], &d_weights)),
        ] {
            let products = (d_out.len() * shape.depth()) as f64;
            let tolerance =
                if precision == Precision::TwoParts { 2e-5 } else { 2e-6 } * products.sqrt() + 1e-5;
            assert!(
                (of_conv - of_gradient).abs() < tolerance,
                "{what}: {precision:?} {shape:?} of {name}: {of_gradient} ≠ {of_conv}"
            );
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "no instruction set that Miri knows takes them")]
fn convolutions_of_fewer_multiplications() {
    for_each(12, |random, what| {
        let kernel = [random.between(1, 3), 3, 3];
        let shape = Conv3dShape {
            batch: random.between(1, 2),
            input: [random.between(kernel[0], 4), random.between(20, 33), random.between(26, 37)],
            channels_in: random.between(24, 41),
            channels_out: random.between(24, 41),
            kernel,
            stride: [1; 3],
            padding: [random.between(1, 2), random.between(0, 2), random.between(0, 2)],
        };
        let x = random.values(shape.positions_in() * shape.channels_in);
        let weights = random.values(shape.depth() * shape.channels_out);
        let expected = scalar::forward(&x, &weights, shape);
        let found = forward(&x, &weights, shape, &Plain, Precision::F32);
        assert_eq!(found.len(), expected.len());
        // Seen: 9e-6 of the deviation of a sum.
        let tolerance = 4e-5 * (shape.depth() as f32).sqrt();
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < tolerance, "{what}: {shape:?} [{i}]: {found} ≠ {expected}");
        }
    });
}
