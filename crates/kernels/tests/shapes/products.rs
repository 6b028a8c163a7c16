use vidit_kernels::gemm::{
    DepthMajor, Into, LaneMajor, Packed, PackedInt8, Plain, gemm, gemm_int8_new, gemm_int8_serial,
    gemm_packed, gemm_serial,
};

use crate::{close_in, for_each, rounded};

#[test]
fn products_of_any_size_stride_and_layout() {
    for_each(60, |random, what| {
        let [m, n, k] = [random.size(150), random.size(1100), random.size(600)];
        let (pad_a, pad_b, pad_c) = (random.between(0, 5), random.between(0, 5), random.between(0, 5));
        let by_lane = [random.bits() % 2 == 0, random.bits() % 2 == 0];
        let precision = random.precision();
        let into = if random.bits() % 2 == 0 { Into::Overwrite } else { Into::Accumulate };
        let what = format!("{what}: {m}x{n}x{k} by lane {by_lane:?} {precision:?} {into:?}");
        // Lanes × depth, or depth × lanes, with room between rows.
        let stride_a = if by_lane[0] { k + pad_a } else { m + pad_a };
        let stride_b = if by_lane[1] { k + pad_b } else { n + pad_b };
        let a = random.values(stride_a * if by_lane[0] { m } else { k });
        let b = random.values(stride_b * if by_lane[1] { n } else { k });
        let at = |data: &[f32], stride: usize, by_lane: bool, lane: usize, depth: usize| {
            let index = if by_lane { lane * stride + depth } else { depth * stride + lane };
            rounded(precision, data[index])
        };
        let ldc = n + pad_c;
        let before = random.values(m * ldc);
        let check = |c: &[f32]| {
            for (row, (found, before)) in c.chunks(ldc).zip(before.chunks(ldc)).enumerate() {
                assert_eq!(found[n..], before[n..], "{what}: wrote beside row {row}");
                // Every row, and columns in strides: the loop in f64 is what takes time here.
                for column in (row % 7..n).step_by(7) {
                    let mut sum: f64 = (0..k)
                        .map(|d| {
                            at(&a, stride_a, by_lane[0], row, d) * at(&b, stride_b, by_lane[1], column, d)
                        })
                        .sum();
                    if into == Into::Accumulate {
                        sum += before[column] as f64;
                    }
                    assert!(
                        close_in(precision, found[column], sum, k),
                        "{what} [{row}, {column}]: {} ≠ {sum}",
                        found[column]
                    );
                }
            }
        };
        macro_rules! with {
            ($a:expr, $b:expr) => {{
                let mut c = before.clone();
                gemm([m, n, k], $a, $b, &mut c, ldc, into, &Plain, precision);
                check(&c);
                let mut serial = before.clone();
                gemm_serial([m, n, k], $a, $b, &mut serial, ldc, into, &Plain, precision);
                assert!(c == serial, "{what}: threads matter");
                let mut packed = before.clone();
                gemm_packed(m, $a, &Packed::new($b, n, k, precision), &mut packed, ldc, into, &Plain);
                assert!(c == packed, "{what}: packing ahead matters");
            }};
        }
        let (lane_a, depth_a) =
            (LaneMajor { data: &a, stride: stride_a }, DepthMajor { data: &a, stride: stride_a });
        let (lane_b, depth_b) =
            (LaneMajor { data: &b, stride: stride_b }, DepthMajor { data: &b, stride: stride_b });
        match by_lane {
            [true, true] => with!(&lane_a, &lane_b),
            [true, false] => with!(&lane_a, &depth_b),
            [false, true] => with!(&depth_a, &lane_b),
            [false, false] => with!(&depth_a, &depth_b),
        }
    });
}

#[test]
fn products_of_bytes_of_any_size_and_stride() {
    for_each(40, |random, what| {
        let [m, n, k] = [random.size(120), random.size(700), random.size(600)];
        let (stride, ldc) = (k + random.between(0, 5), n + random.between(0, 5));
        let what = format!("{what}: {m}x{n}x{k}");
        let (a, weights) = (random.values(m * stride), random.values(k * n));
        let packed = PackedInt8::new(&weights, n, k);
        let rows = LaneMajor { data: &a, stride };
        let before = random.values(m * ldc);
        let mut c = before.clone();
        gemm_int8_serial(m, rows, &packed, &mut c, ldc, &Plain);
        let all = gemm_int8_new(m, rows, &packed, &Plain);
        // Each factor is off by at most half a step of 1/127, evenly spread: 1/127/√12 · 0.58 for each of two, and errors go either way.
        let tolerance = 7.0 * 0.0019 * (k as f64).sqrt() + 1e-4;
        for (row, (found, before)) in c.chunks(ldc).zip(before.chunks(ldc)).enumerate() {
            assert_eq!(found[n..], before[n..], "{what}: wrote beside row {row}");
            assert_eq!(found[..n], all[row * n..][..n], "{what}: threads matter");
            for column in (row % 7..n).step_by(7) {
                let product = |d: usize| f64::from(a[row * stride + d]) * f64::from(weights[d * n + column]);
                let sum: f64 = (0..k).map(product).sum();
                let apart = (f64::from(found[column]) - sum).abs();
                assert!(apart < tolerance, "{what} [{row}, {column}]: {} ≠ {sum}", found[column]);
            }
        }
    });
}
