//! What passes over rows: norms, and the feed-forward branch.

use vidit_kernels::gemm::WeightFormat;
use vidit_kernels::mlp::{Mlp, MlpWeights};
use vidit_kernels::norm::{RmsTail, layer_norm, layer_norm_modulate, rms_norm};
use vidit_kernels::pointwise::Activation;

use crate::{Random, for_each, rounded};

const EPSILON: f32 = 1e-6;

fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() < tolerance, "{what} [{i}]: {found} ≠ {expected}");
    }
}

/// `(x − mean) / deviation` of a row.
fn normalised(row: &[f32]) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    row.iter().map(|x| (f64::from(*x) - mean) / (variance + f64::from(EPSILON)).sqrt()).collect()
}

#[test]
fn norms_of_any_size() {
    for_each(40, |random, what| {
        // One value has no deviation.
        let (width, groups, each) = (1 + random.size(700), random.between(1, 3), random.size(40));
        let rows = groups * each;
        let what = format!("{what}: {groups} times {each} rows of {width}");
        let x = random.values(rows * width);
        let [shift, scale] = [0, 1].map(|_| random.values(groups * width));
        let modulated = x.chunks(width).enumerate().flat_map(|(row, values)| {
            let at = row / each * width;
            let (shift, scale) = (&shift[at..], &scale[at..]);
            let out = normalised(values).into_iter().enumerate();
            out.map(|(c, value)| value * (1.0 + f64::from(scale[c])) + f64::from(shift[c]))
                .collect::<Vec<_>>()
        });
        let found = layer_norm_modulate(&x, &shift, &scale, width, EPSILON);
        // Two values that are nearly equal lie a hundred deviations of rounding apart.
        let tolerance = if width == 2 { 1e-2 } else { 2e-5 };
        assert_close(&found.out, &modulated.collect::<Vec<_>>(), tolerance, &what);
        let [weight, bias] = [&scale[..width], &shift[..width]];
        let weighted = x.chunks(width).flat_map(|values| {
            let out = normalised(values).into_iter().enumerate();
            out.map(|(c, value)| value * f64::from(weight[c]) + f64::from(bias[c])).collect::<Vec<_>>()
        });
        let expected = weighted.collect::<Vec<_>>();
        assert_close(&layer_norm(&x, weight, bias, EPSILON), &expected, tolerance, &what);
    });
}

#[test]
fn rms_norms_of_any_size_group_and_tail() {
    for_each(40, |random, what| {
        let (group, heads, rows) = (2 * random.size(60), random.between(1, 4), random.size(60));
        let (width, tokens) = (group * heads, rows.div_ceil(2));
        let rows = tokens * 2;
        let (x, weight) = (random.values(rows * width), random.values(width));
        let table: Vec<f32> = (0..tokens * group / 2)
            .flat_map(|_| {
                let angle = random.values(1)[0] * 3.0;
                [angle.cos(), angle.sin()]
            })
            .collect();
        for (tail, name) in [
            (RmsTail::None, "none"),
            (RmsTail::Silu, "silu"),
            (RmsTail::Rope { table: &table, head_dim: group }, "rope"),
        ] {
            let mut expected: Vec<f64> = x
                .chunks(group)
                .enumerate()
                .flat_map(|(part, values)| {
                    let square = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / group as f64;
                    let factor = 1.0 / (square + f64::from(EPSILON)).sqrt();
                    let weight = &weight[part % heads * group..][..group];
                    let out = values.iter().zip(weight);
                    out.map(|(x, w)| f64::from(*x) * factor * f64::from(*w)).collect::<Vec<_>>()
                })
                .collect();
            match tail {
                RmsTail::None => {}
                RmsTail::Silu => expected.iter_mut().for_each(|x| *x /= 1.0 + (-*x).exp()),
                RmsTail::Rope { .. } => {
                    for (part, pairs) in expected.chunks_mut(group).enumerate() {
                        let angles = &table[part / heads % tokens * group..][..group];
                        for (pair, angle) in pairs.chunks_mut(2).zip(angles.chunks(2)) {
                            let [a, b, cos, sin] =
                                [pair[0], pair[1], f64::from(angle[0]), f64::from(angle[1])];
                            (pair[0], pair[1]) = (a * cos - b * sin, a * sin + b * cos);
                        }
                    }
                }
            }
            let found = rms_norm(&x, &weight, group, EPSILON, tail);
            assert_close(
                &found,
                &expected,
                1e-5,
                &format!("{what}: {rows} rows of {heads} times {group}, {name}"),
            );
        }
    });
}

fn relu_branch(
    x: &[f32],
    residual: &[f32],
    gate: &[f32],
    weights: &MlpWeights,
    round: impl Fn(f32) -> f64,
) -> Vec<f64> {
    let (width, hidden) = (weights.down_bias.len(), weights.up_bias.len());
    let rows_per_gate = x.len() / width / (gate.len() / width);
    let mut out = Vec::new();
    for (row, x) in x.chunks(width).enumerate() {
        let inner: Vec<f64> = (0..hidden)
            .map(|h| {
                let sum: f64 = (0..width).map(|c| round(x[c]) * round(weights.up[c * hidden + h])).sum();
                (sum + f64::from(weights.up_bias[h])).max(0.0)
            })
            .collect();
        let gate = &gate[row / rows_per_gate * width..];
        out.extend((0..width).map(|c| {
            let sum: f64 = (0..hidden).map(|h| inner[h] * round(weights.down[h * width + c])).sum();
            let branch = sum + f64::from(weights.down_bias[c]);
            f64::from(residual[row * width + c]) + f64::from(gate[c]) * branch
        }));
    }
    out
}

#[test]
fn feed_forward_branches_of_any_size_in_every_format() {
    for_each(16, |random: &mut Random, what| {
        let (width, hidden, groups, each) =
            (random.size(70), random.size(300), random.between(1, 2), random.size(60));
        let format = [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::TwoParts, WeightFormat::Int8]
            [random.between(0, 3)];
        let [up, down] = [0, 1].map(|_| random.values(width * hidden));
        let (up_bias, down_bias) = (random.values(hidden), random.values(width));
        let [x, residual] = [0, 1].map(|_| random.values(groups * each * width));
        let gate = random.values(groups * width);
        let weights = MlpWeights { up: &up, up_bias: &up_bias, down: &down, down_bias: &down_bias };
        let expected = relu_branch(&x, &residual, &gate, &weights, |value| match format.precision() {
            Some(precision) => rounded(precision, value),
            None => f64::from(value),
        });
        // Seen: a fourth of it. Of a hidden activation, which is some root of `width` large: what is lost of one, relative, when it is rounded; errors go
        // either way. Bytes lose of the input and of all weights, too.
        let lost = match format {
            WeightFormat::F32 => 3e-7,
            WeightFormat::TwoParts => 2e-5,
            WeightFormat::Bf16 => 1e-3,
            WeightFormat::Int8 => 5e-3,
        };
        let tolerance = 3.0 * lost * ((width + 4) as f64 * (hidden + 4) as f64).sqrt();
        let found = Mlp::new(weights, Activation::Relu, format).forward(&x, &residual, &gate);
        assert_close(
            &found,
            &expected,
            tolerance,
            &format!("{what}: {groups}x{each}x{width}x{hidden} {format:?}"),
        );
    });
}
