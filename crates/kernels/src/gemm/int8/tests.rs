use super::*;
use crate::gemm::{Bias, Plain};
use crate::testing::{Lcg, force_each_isa};

/// The definition, in 64-bit integers.
fn by_definition([m, n, k]: [usize; 3], a: &[f32], b: &[f32]) -> Vec<f32> {
    let scale = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0f32, |s, v| s.max(v.abs())) / 127.0;
    let step = |value: f32, scale: f32| (value * inverse(scale)).round_ties_even() as i64;
    let mut out = Vec::new();
    for i in 0..m {
        let row = scale(&mut (0..k).map(|d| a[i * k + d]));
        for j in 0..n {
            let column = scale(&mut (0..k).map(|d| b[d * n + j]));
            let sum: i64 = (0..k).map(|d| step(a[i * k + d], row) * step(b[d * n + j], column)).sum();
            out.push(sum as f32 * (row * column));
        }
    }
    out
}

#[test]
fn every_kernel_gives_the_bits_of_the_definition() {
    force_each_isa(|isa| {
        for [m, n, k] in
            [[1, 1, 1], [5, 7, 3], [33, 65, 31], [97, 33, 257], [13, 1100, 70], [7, 30, 2500], [5, 290, 6300]]
        {
            let mut random = Lcg::new((m * n * k) as u64);
            let (a, b, bias) = (random.normal(m * k), random.normal(k * n), random.normal(n));
            let expected = by_definition([m, n, k], &a, &b);
            let left = LaneMajor { data: &a, stride: k };
            for (choice, micro) in Micro::all_int8().into_iter().enumerate() {
                let packed = PackedInt8::with(micro, &b, n, k);
                assert!(gemm_int8_new(m, left, &packed, &Plain) == expected, "{isa}, {choice} {m}x{n}x{k}");
            }
            let packed = PackedInt8::new(&b, n, k);
            assert_eq!((packed.columns(), packed.depth()), (n, k));
            let ldc = n + 2;
            let mut c = vec![5.5; m * ldc];
            gemm_int8_serial(m, left, &packed, &mut c, ldc, &Bias(&bias));
            for (row, (found, expected)) in c.chunks(ldc).zip(expected.chunks(n)).enumerate() {
                let expected: Vec<f32> = expected.iter().zip(&bias).map(|(e, b)| e + b).collect();
                assert!(found[..n] == expected, "{isa} {m}x{n}x{k}, row {row} with a bias");
                assert_eq!(found[n..], [5.5; 2], "{isa}: a sentinel was overwritten");
            }
        }
    });
}

#[test]
fn errs_by_less_than_two_percent_on_normal_values() {
    let [m, n, k] = [40, 50, 1000];
    let mut random = Lcg::new(1);
    let (a, b) = (random.normal(m * k), random.normal(k * n));
    let found = gemm_int8_new(m, LaneMajor { data: &a, stride: k }, &PackedInt8::new(&b, n, k), &Plain);
    let (mut error, mut size) = (0.0, 0.0);
    for i in 0..m {
        for j in 0..n {
            let exact: f64 = (0..k).map(|d| a[i * k + d] as f64 * b[d * n + j] as f64).sum();
            error += (found[i * n + j] as f64 - exact).powi(2);
            size += exact * exact;
        }
    }
    let relative = (error / size).sqrt();
    // Steps of max/127 ≈ 0.025 deviations, an error of step/√12 on each side: 0.7 % each, 1 % together.
    assert!(relative > 0.003 && relative < 0.02, "{relative}");
}

#[test]
fn the_extremes_of_bytes_do_not_overflow() {
    force_each_isa(|isa| {
        let k = 4096;
        for (x, y) in [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)] {
            let (a, b) = (vec![x; 2 * k], vec![y; k * 3]);
            for (choice, micro) in Micro::all_int8().into_iter().enumerate() {
                let packed = PackedInt8::with(micro, &b, 3, k);
                for value in gemm_int8_new(2, LaneMajor { data: &a, stride: k }, &packed, &Plain) {
                    assert!((value - x * y * k as f32).abs() < 1e-2, "{isa}, {choice}: {value}");
                }
            }
        }
    });
}

#[test]
fn what_is_not_finite_is_not_hidden_and_zeros_stay_zeros() {
    let k = 40;
    let mut a = vec![0.5; 4 * k];
    a[k + 7] = f32::NAN;
    a[2 * k + 39] = f32::INFINITY;
    a[3 * k..].fill(0.0);
    let b = vec![0.25; k * 2];
    let found = gemm_int8_new(4, LaneMajor { data: &a, stride: k }, &PackedInt8::new(&b, 2, k), &Plain);
    assert!((found[0] - 5.0).abs() < 1e-4 && found[0] == found[1]);
    assert!(found[2..6].iter().all(|value| value.is_nan()), "{found:?}");
    assert_eq!(found[6..], [0.0, 0.0]);
    let mut b = b;
    b[3] = f32::NAN; // column 1
    let found = gemm_int8_new(1, LaneMajor { data: &a, stride: k }, &PackedInt8::new(&b, 2, k), &Plain);
    assert!(found[0].is_finite() && found[1].is_nan());
}
