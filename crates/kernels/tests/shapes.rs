//! Random shapes and strides of the public kernels against plain loops in f64, with sentinels around what is written.
//!
//! `VIDIT_FUZZ_CASES=5000 cargo test -p vidit-kernels --test shapes` looks further than the default.

use vidit_kernels::attention::{self, AttentionShape, KeyBias, Keys};
use vidit_kernels::conv3d::{self, Conv3dShape};
use vidit_kernels::gemm::{DepthMajor, Into, LaneMajor, Packed, Plain, gemm, gemm_packed, gemm_serial};
use vidit_kernels::{Isa, Precision};

/// 64-bit linear congruential numbers: a failing case names its seed and comes back.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A number in `low..=high`.
    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.bits() as usize % (high - low + 1)
    }

    /// Small more often than large, and often a multiple of 16 or one beside it.
    fn size(&mut self, high: usize) -> usize {
        let high = if cfg!(miri) { high.min(24) } else { high };
        match self.between(0, 3) {
            0 => self.between(1, high.min(9)),
            1 => (self.between(1, high.div_ceil(16)) * 16 + self.between(0, 2))
                .saturating_sub(1)
                .clamp(1, high),
            _ => self.between(1, high),
        }
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.bits() % 2001) as f32 / 1000.0 - 1.0).collect()
    }
}

/// Runs `case` with many seeds under each instruction set of this machine, one after the other: the switch is global.
fn for_each(cases: u64, case: impl Fn(&mut Random, &str)) {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let cases = std::env::var("VIDIT_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        isa.force().unwrap();
        for seed in 0..cases {
            case(&mut Random(seed * 7919 + 17), &format!("{isa}, seed {seed}"));
        }
    }
    Isa::best().force().unwrap();
}

fn rounded(precision: Precision, value: f32) -> f64 {
    match precision {
        Precision::F32 | Precision::TwoParts => value as f64,
        Precision::Bf16 => half::bf16::from_f32(value).to_f64(),
    }
}

/// Values lie in −1..1: `K` products of f32, each rounded to 2⁻²⁴, in another order.
fn close(found: f32, expected: f64, depth: usize) -> bool {
    (found as f64 - expected).abs() <= 1e-6 * (depth as f64).max(4.0)
}

/// The same of products in two parts, each good to sixteen bits; errors go either way, as in a random walk.
fn close_in(precision: Precision, found: f32, expected: f64, depth: usize) -> bool {
    let parts = if precision == Precision::TwoParts { 2e-5 * (depth as f64).sqrt() } else { 0.0 };
    (found as f64 - expected).abs() <= 1e-6 * (depth as f64).max(4.0) + parts
}

#[test]
fn products_of_any_size_stride_and_layout() {
    for_each(60, |random, what| {
        let [m, n, k] = [random.size(150), random.size(1100), random.size(600)];
        let (pad_a, pad_b, pad_c) = (random.between(0, 5), random.between(0, 5), random.between(0, 5));
        let by_lane = [random.bits() % 2 == 0, random.bits() % 2 == 0];
        let precision = [Precision::F32, Precision::Bf16, Precision::TwoParts][random.between(0, 2)];
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
fn attention_of_any_size_and_mask() {
    for_each(60, |random, what| {
        let shape = AttentionShape {
            batch: random.between(1, 3),
            heads: random.between(1, 3),
            head_dim: 8 * random.between(1, 12),
            queries: random.size(220),
            keys: random.size(600),
        };
        let width = shape.heads * shape.head_dim;
        let q = random.values(shape.batch * shape.queries * width);
        let [k, v] = [0, 1].map(|_| random.values(shape.batch * shape.keys * width));
        let lengths: Vec<usize> = (0..shape.batch).map(|_| random.between(1, shape.keys)).collect();
        let lengths = (random.bits() % 2 == 0).then_some(lengths.as_slice());
        let groups = if shape.queries % 2 == 0 { 2 } else { 1 };
        let mut values = random.values(shape.batch * groups * shape.keys);
        values.iter_mut().skip(1).step_by(5).for_each(|value| *value = f32::NEG_INFINITY);
        let bias = (random.bits() % 2 == 0).then_some(KeyBias { values: &values, groups });
        let which = Keys { lengths, bias };
        let expected = attention::scalar::forward(&q, &k, &v, shape, which);
        let found = attention::forward(&q, &k, &v, shape, which, Precision::F32);
        for (i, (found, expected)) in found.out.iter().zip(&expected).enumerate() {
            // A query that sees no key is not a number on both sides.
            let same = (found - expected).abs() < 1e-5 || (found.is_nan() && expected.is_nan());
            assert!(same, "{what}: {shape:?} [{i}]: {found} ≠ {expected}");
        }
    });
}

#[test]
fn convolutions_of_any_kernel_stride_and_padding() {
    for_each(60, |random, what| {
        let kernel = [random.between(1, 3), random.between(1, 3), random.between(1, 3)];
        let shape = Conv3dShape {
            batch: random.between(1, 2),
            input: kernel.map(|k| k + random.between(0, 6)),
            channels_in: random.size(40),
            channels_out: random.size(40),
            kernel,
            stride: [random.between(1, 2), random.between(1, 2), random.between(1, 2)],
            padding: [random.between(0, 2), random.between(0, 1), random.between(0, 1)],
        };
        let x = random.values(shape.positions_in() * shape.channels_in);
        let weights = random.values(shape.depth() * shape.channels_out);
        let expected = conv3d::scalar::forward(&x, &weights, shape);
        let found = conv3d::forward(&x, &weights, shape, &Plain, Precision::F32);
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                close(*found, *expected as f64, shape.depth()),
                "{what}: {shape:?} [{i}]: {found} ≠ {expected}"
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
        let expected = conv3d::scalar::forward(&x, &weights, shape);
        let found = conv3d::forward(&x, &weights, shape, &Plain, Precision::F32);
        assert_eq!(found.len(), expected.len());
        // Seen: 9e-6 of the deviation of a sum.
        let tolerance = 4e-5 * (shape.depth() as f32).sqrt();
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < tolerance, "{what}: {shape:?} [{i}]: {found} ≠ {expected}");
        }
    });
}
