use super::*;
use crate::pointwise::Activation;
use crate::testing::{Lcg, force_each_isa};

/// f32 sums in another order: about √K roundings of 2⁻²⁴ each.
const TOLERANCE_F32: f32 = 2e-6;
/// Sixteen bits of each operand: 2⁻¹⁷ a rounding, and a product left out.
const TOLERANCE_TWO_PARTS: f32 = 2.5e-5;

fn naive(
    [m, n, k]: [usize; 3],
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            c[i * n + j] = (0..k).map(|d| a(i, d) as f64 * b(d, j) as f64).sum::<f64>() as f32;
        }
    }
    c
}

fn assert_close(found: &[f32], expected: &[f32], k: usize, what: &str) {
    assert_within(TOLERANCE_F32, found, expected, k, what);
}

fn assert_within(tolerance: f32, found: &[f32], expected: &[f32], k: usize, what: &str) {
    let scale = (k as f32).sqrt().max(1.0);
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale * scale.max(e.abs()), "{what}[{i}]: {f} ≠ {e}");
    }
}

const SHAPES: [[usize; 3]; 9] = [
    [1, 1, 1],
    [5, 7, 3],
    [16, 16, 64],
    [33, 65, 31],
    [97, 33, 257],
    [200, 1040, 40],
    [7, 300, 600],
    [64, 48, 512],
    [35, 40, 3300],
];

#[test]
fn every_isa_layout_and_odd_size_agrees_with_the_naive_product() {
    force_each_isa(|isa| {
        for [m, n, k] in SHAPES {
            let mut random = Lcg::new((m * n * k) as u64);
            let (x, y) = (random.normal(m * k), random.normal(k * n));
            for precision in [Precision::F32, Precision::Bf16, Precision::TwoParts] {
                let round = |v: f32| match precision {
                    Precision::F32 | Precision::TwoParts => v,
                    Precision::Bf16 => half::bf16::from_f32(v).to_f32(),
                };
                let expected = naive([m, n, k], |i, d| round(x[i * k + d]), |d, j| round(y[d * n + j]));
                let xt: Vec<f32> = (0..k * m).map(|i| x[(i % m) * k + i / m]).collect();
                let yt: Vec<f32> = (0..k * n).map(|i| y[(i % k) * n + i / k]).collect();
                // Sentinels after each row show writes outside.
                let ldc = n + 3;
                let what = format!("{isa} {precision:?} {m}x{n}x{k}");
                let run = |a: &dyn DynOperand, b: &dyn DynOperand| {
                    let mut c = vec![7.5; m * ldc];
                    gemm([m, n, k], &a, &b, &mut c, ldc, Into::Overwrite, &Plain, precision);
                    for row in c.chunks(ldc) {
                        assert_eq!(&row[n..], [7.5; 3], "{what}: a sentinel was overwritten");
                    }
                    let rows: Vec<f32> = c.chunks(ldc).flat_map(|row| row[..n].to_vec()).collect();
                    let tolerance = match precision {
                        Precision::TwoParts => TOLERANCE_TWO_PARTS / (k as f32).sqrt() + TOLERANCE_F32,
                        _ => TOLERANCE_F32,
                    };
                    assert_within(tolerance, &rows, &expected, k, &what);
                };
                run(&LaneMajor { data: &x, stride: k }, &DepthMajor { data: &y, stride: n });
                run(&DepthMajor { data: &xt, stride: m }, &LaneMajor { data: &yt, stride: k });
            }
        }
    });
}

#[test]
fn a_packed_right_hand_side_gives_the_same_bits() {
    force_each_isa(|isa| {
        for [m, n, k] in
            [[1, 1, 1], [97, 33, 257], [33, 2100, 300], [7, 1040, 600], [300, 1100, 1100], [40, 300, 3300]]
        {
            let mut random = Lcg::new((m + n + k) as u64);
            let (x, y) = (random.normal(m * k), random.normal(k * n));
            let (a, b) = (LaneMajor { data: &x, stride: k }, DepthMajor { data: &y, stride: n });
            for precision in [Precision::F32, Precision::Bf16, Precision::TwoParts] {
                let (mut plain, mut packed) = (vec![1.0; m * n], vec![2.0; m * n]);
                gemm([m, n, k], &a, &b, &mut plain, n, Into::Overwrite, &Plain, precision);
                let right = Packed::new(&b, n, k, precision);
                assert_eq!((right.columns(), right.depth()), (n, k));
                gemm_packed(m, &a, &right, &mut packed, n, Into::Overwrite, &Plain);
                assert!(plain == packed, "{isa} {precision:?} {m}x{n}x{k}");
                packed.fill(3.0);
                gemm_serial([m, n, k], &a, &b, &mut packed, n, Into::Overwrite, &Plain, precision);
                assert!(plain == packed, "{isa} {precision:?} {m}x{n}x{k} on one thread");
            }
        }
    });
}

#[test]
fn activations_and_gates_follow_the_sums() {
    use crate::pointwise::activate;
    force_each_isa(|isa| {
        let [m, n, k] = [66, 70, 300];
        let mut random = Lcg::new(8);
        let (x, y) = (random.normal(m * k), random.normal(k * n));
        let (bias, residual, gate) = (random.normal(n), random.normal(m * n), random.normal(3 * n));
        let (a, b) = (LaneMajor { data: &x, stride: k }, DepthMajor { data: &y, stride: n });
        let mut sums = naive([m, n, k], |i, d| x[i * k + d], |d, j| y[d * n + j]);
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += bias[i % n];
        }
        let mut c = vec![0.0; m * n];
        for activation in [Activation::GeluTanh, Activation::Silu] {
            let epilogue = BiasActivate { bias: &bias, activation };
            gemm([m, n, k], &a, &b, &mut c, n, Into::Overwrite, &epilogue, Precision::F32);
            assert_close(&c, &activate(&sums, activation), k, &format!("{isa} {activation:?}"));
        }
        let epilogue = BiasGate { bias: &bias, residual: &residual, gate: &gate, rows_per_gate: 22 };
        gemm([m, n, k], &a, &b, &mut c, n, Into::Overwrite, &epilogue, Precision::F32);
        let gated: Vec<f32> =
            (0..m * n).map(|i| residual[i] + gate[i / n / 22 * n + i % n] * sums[i]).collect();
        assert_close(&c, &gated, k, &format!("{isa} gate"));
    });
}

/// Lets one closure run over operands of several types.
trait DynOperand: Sync {
    fn pack_dyn(&self, geometry: [usize; 5], out: &mut [f32]);
}
impl<T: Operand> DynOperand for T {
    fn pack_dyn(&self, [a, b, c, d, e]: [usize; 5], out: &mut [f32]) {
        self.pack(a, b, c, d, e, out);
    }
}
impl Operand for &dyn DynOperand {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        (**self).pack_dyn([lane0, lanes, width, depth0, depth], out);
    }
}

#[test]
fn epilogues_see_each_element_once_and_accumulation_adds() {
    force_each_isa(|isa| {
        let [m, n, k] = [70, 50, 520];
        let mut random = Lcg::new(3);
        let (x, y) = (random.normal(m * k), random.normal(k * n));
        let (bias, residual) = (random.normal(n), random.normal(m * n));
        let (a, b) = (LaneMajor { data: &x, stride: k }, DepthMajor { data: &y, stride: n });
        let product = naive([m, n, k], |i, d| x[i * k + d], |d, j| y[d * n + j]);
        let mut c = vec![f32::NAN; m * n];
        let epilogue = BiasResidual { bias: &bias, residual: &residual };
        gemm([m, n, k], &a, &b, &mut c, n, Into::Overwrite, &epilogue, Precision::F32);
        let expected: Vec<f32> = (0..m * n).map(|i| product[i] + bias[i % n] + residual[i]).collect();
        assert_close(&c, &expected, k, &format!("{isa} bias + residual"));
        gemm([m, n, k], &a, &b, &mut c, n, Into::Accumulate, &Plain, Precision::F32);
        let twice: Vec<f32> = expected.iter().zip(&product).map(|(e, p)| e + p).collect();
        assert_close(&c, &twice, k, &format!("{isa} accumulate"));
    });
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let [m, n, k] = [150, 130, 700];
    let mut random = Lcg::new(9);
    let (x, y) = (random.normal(m * k), random.normal(k * n));
    let (a, b) = (LaneMajor { data: &x, stride: k }, DepthMajor { data: &y, stride: n });
    force_each_isa(|isa| {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut c = vec![0.0; m * n];
            pool.install(|| gemm([m, n, k], &a, &b, &mut c, n, Into::Overwrite, &Plain, Precision::Bf16));
            c
        };
        let one = with(1);
        assert!(one == with(2) && one == with(5), "{isa} differs between thread counts");
    });
}

#[test]
fn zero_depth_leaves_the_epilogue_alone() {
    let mut c = vec![9.0; 6];
    let bias = [1.0, 2.0, 3.0];
    let empty = LaneMajor { data: &[], stride: 0 };
    gemm([2, 3, 0], &empty, &empty, &mut c, 3, Into::Overwrite, &Bias(&bias), Precision::F32);
    assert_eq!(c, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}

#[test]
fn columns_of_packed_weights_are_scaled_at_every_isa() {
    let [m, n, k] = [9, 37, 1100];
    let mut random = Lcg::new(12);
    let (x, y, factors) = (random.normal(m * k), random.normal(k * n), random.normal(n));
    force_each_isa(|isa| {
        let (a, b) = (LaneMajor { data: &x, stride: k }, DepthMajor { data: &y, stride: n });
        let mut packed = Packed::new(&b, n, k, Precision::F32);
        packed.scale_columns(&factors);
        let found = gemm_packed_new(m, &a, &packed, &Plain);
        let expected = naive([m, n, k], |i, d| x[i * k + d], |d, j| y[d * n + j] * factors[j]);
        assert_close(&found, &expected, k, &format!("{isa}"));
    });
}

#[test]
fn slopes_and_sums_of_activations_follow_the_product_at_every_isa() {
    let [m, n, k] = [7, 37, 20];
    let mut random = Lcg::new(15);
    let (x, y, residual) = (random.normal(m * k), random.normal(k * n), random.normal(m * n));
    let (bias, slope) = (random.normal(n), random.normal(n));
    force_each_isa(|isa| {
        let (a, b) = (LaneMajor { data: &x, stride: k }, DepthMajor { data: &y, stride: n });
        let packed = Packed::new(&b, n, k, Precision::F32);
        let plain = gemm_packed_new(m, &a, &packed, &Plain);
        let prelu = |sum: f32, j: usize| if sum < 0.0 { sum * slope[j] } else { sum };
        let relu = |sum: f32| sum.max(0.0);
        let check = |what: &str, found: Vec<f32>, of: &dyn Fn(usize) -> f32| {
            let expected: Vec<f32> = (0..m * n).map(of).collect();
            assert_close(&found, &expected, k, &format!("{isa} {what}"));
        };
        let end = BiasPrelu { bias: &bias, slope: &slope, residual: None };
        check("prelu", gemm_packed_new(m, &a, &packed, &end), &|i| prelu(plain[i] + bias[i % n], i % n));
        let end = BiasPrelu { residual: Some(&residual), ..end };
        let of = |i: usize| prelu(plain[i] + bias[i % n] + residual[i], i % n);
        check("prelu of a residual", gemm_packed_new(m, &a, &packed, &end), &of);
        let end = BiasActivateResidual { bias: &bias, residual: &residual, activation: Activation::Relu };
        let of = |i: usize| relu(relu(plain[i] + bias[i % n]) + residual[i]);
        check("activated twice", gemm_packed_new(m, &a, &packed, &end), &of);
    });
}
