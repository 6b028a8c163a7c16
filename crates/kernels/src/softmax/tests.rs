use super::*;
use crate::testing::{Lcg, check_gradient, force_each_isa};

fn oracle(x: &[f32], width: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks(width) {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shares: Vec<f64> = row.iter().map(|x| (f64::from(*x) - f64::from(top)).exp()).collect();
        let sum: f64 = shares.iter().sum();
        out.extend(shares.iter().map(|share| share / sum));
    }
    out
}

#[test]
fn rows_of_any_width_and_their_gradients() {
    force_each_isa(|isa| {
        for (rows, width) in [(1, 1), (5, 3), (7, 16), (9, 37), (3, 4099)] {
            let mut random = Lcg::new(width as u64);
            let mut x = random.normal(rows * width);
            // Rows far from 0, where a share is told by small differences of large numbers.
            x.iter_mut().for_each(|x| *x = 4.0 * *x + 1e4);
            let y = softmax(&x, width);
            for (i, (found, expected)) in y.iter().zip(oracle(&x, width)).enumerate() {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-6,
                    "{isa}, {rows}x{width}, [{i}]: {found} ≠ {expected}"
                );
            }
            let x = random.normal(rows * width);
            let weights = random.normal(rows * width);
            let loss = |x: &[f32]| -> f64 {
                oracle(x, width).iter().zip(&weights).map(|(y, w)| y * f64::from(*w)).sum()
            };
            check_gradient("x", &x, &softmax_backward(&softmax(&x, width), &weights, width), loss);
        }
    });
}

#[test]
fn what_is_hidden_is_nothing_and_what_is_no_number_reaches_its_row() {
    force_each_isa(|isa| {
        let width = 35;
        let clean = Lcg::new(3).normal(3 * width);
        let expected = softmax(&clean, width);
        // In the middle of a vector, and behind the last whole one.
        for at in [width + 5, width + 33] {
            let mut x = clean.clone();
            x[at] = f32::NEG_INFINITY;
            let found = softmax(&x, width);
            assert_eq!(found[at], 0.0, "{isa}");
            let sum: f32 = found[width..2 * width].iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{isa}: {sum}");
            for bad in [f32::NAN, f32::INFINITY] {
                x[at] = bad;
                let found = softmax(&x, width);
                assert!(found[width..2 * width].iter().all(|y| y.is_nan()), "{isa}, {bad}");
                assert_eq!(found[..width], expected[..width], "{isa}, {bad}");
                assert_eq!(found[2 * width..], expected[2 * width..], "{isa}, {bad}");
            }
        }
        assert!(softmax(&[f32::NEG_INFINITY; 20], 20).iter().all(|y| y.is_nan()), "{isa}");
    });
}
