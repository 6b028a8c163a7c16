use super::*;
use crate::testing::{Lcg, check_gradient, force_each_isa, hold_isa};

/// exp by polynomial (2e-7 relative) and sums in another order.
const TOLERANCE_F32: f32 = 1e-5;
/// Scores and probabilities kept in 16 bits.
const TOLERANCE_TWO_PARTS: f32 = 2e-4;
/// Scores and probabilities rounded to 8 bits.
const TOLERANCE_BF16: f32 = 3e-2;

fn case(shape: AttentionShape) -> [Vec<f32>; 4] {
    let mut random = Lcg::new(shape.keys as u64);
    let width = shape.heads * shape.head_dim;
    let (q, kv) = (shape.batch * shape.queries * width, shape.batch * shape.keys * width);
    [random.normal(q), random.normal(kv), random.normal(kv), random.normal(q)]
}

/// A bias for two groups of queries where they can be halved, one where they cannot; every third key is hidden.
fn bias(shape: &AttentionShape) -> (Vec<f32>, usize) {
    let groups = if shape.queries % 2 == 0 { 2 } else { 1 };
    let mut values = Lcg::new(7).normal(shape.batch * groups * shape.keys);
    values.iter_mut().skip(2).step_by(3).for_each(|value| *value = f32::NEG_INFINITY);
    (values, groups)
}

const SHAPES: [AttentionShape; 4] = [
    AttentionShape { batch: 2, heads: 3, head_dim: 64, queries: 100, keys: 300 },
    AttentionShape { batch: 1, heads: 1, head_dim: 16, queries: 1, keys: 1 },
    AttentionShape { batch: 2, heads: 2, head_dim: 24, queries: 97, keys: 129 },
    AttentionShape { batch: 3, heads: 2, head_dim: 8, queries: 5, keys: 17 },
];

#[test]
fn forward_agrees_with_the_oracle_at_every_isa() {
    force_each_isa(|isa| {
        for shape in SHAPES {
            let [q, k, v, _] = case(shape);
            let lengths: Vec<usize> = (0..shape.batch).map(|b| (shape.keys / (b + 1)).max(1)).collect();
            let (values, groups) = bias(&shape);
            let bias = Some(KeyBias { values: &values, groups });
            let lengths = Some(lengths.as_slice());
            for which in [Keys::default(), Keys { lengths, bias: None }, Keys { lengths, bias }] {
                let expected = scalar::forward(&q, &k, &v, shape, which);
                for (precision, tolerance) in [
                    (Precision::F32, TOLERANCE_F32),
                    (Precision::TwoParts, TOLERANCE_TWO_PARTS),
                    (Precision::Bf16, TOLERANCE_BF16),
                ] {
                    let found = forward(&q, &k, &v, shape, which, precision).out;
                    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                        assert!((f - e).abs() < tolerance, "{isa} {precision:?} {shape:?}[{i}]: {f} ≠ {e}");
                    }
                }
            }
        }
    });
}

#[test]
fn tables_of_scores_are_added_at_every_isa() {
    force_each_isa(|isa| {
        for shape in SHAPES {
            let [q, k, v, _] = case(shape);
            let (values, groups) = bias(&shape);
            let bias = Some(KeyBias { values: &values, groups });
            for (samples, heads) in [(1, 1), (1, shape.heads), (shape.batch, 1), (shape.batch, shape.heads)] {
                let mut values = Lcg::new(9).normal(samples * heads * shape.keys * shape.queries);
                // Whole rows of keys stay visible to every query.
                for row in values.chunks_exact_mut(shape.queries).skip(1).step_by(2) {
                    row.iter_mut().step_by(3).for_each(|value| *value = f32::NEG_INFINITY);
                }
                let table = ScoreTable { values: &values, samples, heads };
                for which in [Keys::default(), Keys { lengths: None, bias }] {
                    let expected = scalar::forward_with_table(&q, &k, &v, shape, which, Some(table));
                    let found = forward_with_table(&q, &k, &v, shape, which, table, Precision::F32).out;
                    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                        assert!((f - e).abs() < TOLERANCE_F32, "{isa} {shape:?}[{i}]: {f} ≠ {e}");
                    }
                }
            }
        }
    });
}

#[test]
fn gradients_agree_with_finite_differences() {
    force_each_isa(|_| {
        for shape in &SHAPES[1..] {
            let [q, k, v, weights] = case(*shape);
            let lengths: Vec<usize> = (0..shape.batch).map(|b| (shape.keys - b).max(1)).collect();
            let (values, groups) = bias(shape);
            let bias = Some(KeyBias { values: &values, groups });
            let which = Keys { lengths: Some(lengths.as_slice()), bias };
            let loss = |q: &[f32], k: &[f32], v: &[f32]| -> f64 {
                let out = scalar::forward(q, k, v, *shape, which);
                out.iter().zip(&weights).map(|(o, w)| *o as f64 * *w as f64).sum()
            };
            let attended = forward(&q, &k, &v, *shape, which, Precision::F32);
            let gradients = backward(
                &q,
                &k,
                &v,
                &attended.out,
                &attended.log_sum_exp,
                &weights,
                *shape,
                which,
                Precision::F32,
            );
            check_gradient("q", &q, &gradients.q, |q| loss(q, &k, &v));
            check_gradient("k", &k, &gradients.k, |k| loss(&q, k, &v));
            check_gradient("v", &v, &gradients.v, |v| loss(&q, &k, v));
        }
    });
}

/// Probabilities and what comes back to scores are rounded, too: tolerances are shares of the largest value.
#[test]
fn gradients_in_every_precision_agree_with_those_in_f32_at_every_isa() {
    force_each_isa(|isa| {
        for shape in SHAPES {
            let [q, k, v, weights] = case(shape);
            let lengths: Vec<usize> = (0..shape.batch).map(|b| (shape.keys - b).max(1)).collect();
            let which = Keys { lengths: Some(lengths.as_slice()), bias: None };
            let gradients = |precision| {
                let Attended { out, log_sum_exp } = forward(&q, &k, &v, shape, which, precision);
                let d = backward(&q, &k, &v, &out, &log_sum_exp, &weights, shape, which, precision);
                [d.q, d.k, d.v]
            };
            let exact = gradients(Precision::F32);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            for (precision, tolerance) in
                [(Precision::F32, 1e-5), (Precision::TwoParts, 2e-4), (Precision::Bf16, 3e-2)]
            {
                let found = gradients(precision);
                assert!(
                    found == pool.install(|| gradients(precision)),
                    "{isa} {precision:?} {shape:?}: threads"
                );
                for (name, (found, exact)) in ["q", "k", "v"].iter().zip(found.iter().zip(&exact)) {
                    let largest = exact.iter().fold(1.0f32, |most, value| most.max(value.abs()));
                    let apart = found.iter().zip(exact).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
                    assert!(
                        apart < tolerance * largest,
                        "{isa} {precision:?} {shape:?} {name}: {apart} of {largest}"
                    );
                }
            }
        }
    });
}

#[test]
#[should_panic(expected = "there is nothing to attend to")]
fn no_keys_are_refused() {
    let shape = AttentionShape { keys: 0, ..SHAPES[1] };
    forward(&[1.0; 16], &[], &[], shape, Keys::default(), Precision::F32);
}

#[test]
fn extreme_scores_stay_finite_and_nan_is_not_hidden() {
    let shape = AttentionShape { batch: 1, heads: 1, head_dim: 4, queries: 1, keys: 200 };
    let mut k = vec![0.0; 800];
    k[4 * 150] = 1e4;
    let q = [100.0, 0.0, 0.0, 0.0];
    let v: Vec<f32> = (0..800).map(|i| (i / 4) as f32).collect();
    let out = forward(&q, &k, &v, shape, Keys::default(), Precision::F32).out;
    assert_eq!(out, [150.0; 4]);
    k[7] = f32::NAN;
    let q = [1.0; 4];
    assert!(forward(&q, &k, &v, shape, Keys::default(), Precision::F32).out[0].is_nan());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads_nor_on_how_many_heads_are_packed_at_once() {
    let _same = hold_isa();
    // 9 M values of keys and values: heads are packed in two goes.
    let shape = AttentionShape { batch: 1, heads: 3, head_dim: 128, queries: 130, keys: 12_000 };
    let [q, k, v, _] = case(shape);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| forward(&q, &k, &v, shape, Keys::default(), Precision::F32).out)
    };
    let one = with(1);
    assert!(one == with(2) && one == with(5));
    let last = |x: &[f32]| x.chunks_exact(384).flat_map(|row| row[256..].to_vec()).collect::<Vec<f32>>();
    let alone = AttentionShape { heads: 1, ..shape };
    let (q, k, v) = (last(&q), last(&k), last(&v));
    assert!(forward(&q, &k, &v, alone, Keys::default(), Precision::F32).out == last(&one));
}
