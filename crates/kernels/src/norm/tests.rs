use super::*;
use crate::testing::{Lcg, check_gradient, force_each_isa};

const EPSILON: f32 = 1e-5;

fn layer_oracle(x: &[f32], shift: &[f32], scale: &[f32], width: usize) -> Vec<f64> {
    let per_group = x.len() / scale.len();
    let mut out = Vec::new();
    for (r, row) in x.chunks(width).enumerate() {
        let mean = row.iter().map(|v| *v as f64).sum::<f64>() / width as f64;
        let variance = row.iter().map(|v| (*v as f64 - mean).powi(2)).sum::<f64>() / width as f64;
        for (i, v) in row.iter().enumerate() {
            let g = r / per_group * width + i;
            let n = (*v as f64 - mean) / (variance + EPSILON as f64).sqrt();
            out.push(n * (1.0 + scale[g] as f64) + shift[g] as f64);
        }
    }
    out
}

fn rms_oracle(x: &[f32], weight: &[f32], group: usize, tail: RmsTail) -> Vec<f64> {
    let width = weight.len();
    let mut out = Vec::new();
    for (r, row) in x.chunks(width).enumerate() {
        let mut normed = Vec::new();
        for (g, values) in row.chunks(group).enumerate() {
            let mean = values.iter().map(|v| (*v as f64).powi(2)).sum::<f64>() / group as f64;
            normed.extend(
                values
                    .iter()
                    .enumerate()
                    .map(|(i, v)| *v as f64 / (mean + EPSILON as f64).sqrt() * weight[g * group + i] as f64),
            );
        }
        match tail {
            RmsTail::None => {}
            RmsTail::Silu => normed.iter_mut().for_each(|v| *v /= 1.0 + (-*v).exp()),
            RmsTail::Rope { table, head_dim } => {
                let token = r % (table.len() / head_dim);
                for i in (0..width).step_by(2) {
                    let at = token * head_dim + i % head_dim;
                    let (c, s) = (table[at] as f64, table[at + 1] as f64);
                    let (a, b) = (normed[i], normed[i + 1]);
                    (normed[i], normed[i + 1]) = (a * c - b * s, a * s + b * c);
                }
            }
        }
        out.extend(normed);
    }
    out
}

fn weighted(values: &[f64], weights: &[f32]) -> f64 {
    values.iter().zip(weights).map(|(v, w)| v * *w as f64).sum()
}

fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((*f as f64 - e).abs() < 2e-5, "[{i}]: {f} ≠ {e}");
    }
}

#[test]
fn layer_norm_modulate_and_its_gradients() {
    force_each_isa(|_| {
        let (rows, groups, width) = (12, 4, 37);
        let mut random = Lcg::new(1);
        let (x, w) = (random.normal(rows * width), random.normal(rows * width));
        let (shift, scale) = (random.normal(groups * width), random.normal(groups * width));
        let normed = layer_norm_modulate(&x, &shift, &scale, width, EPSILON);
        assert_close(&normed.out, &layer_oracle(&x, &shift, &scale, width));
        let (dx, dshift, dscale) = layer_norm_modulate_backward(&x, &scale, &normed.statistics, &w, width);
        check_gradient("x", &x, &dx, |x| weighted(&layer_oracle(x, &shift, &scale, width), &w));
        check_gradient("shift", &shift, &dshift, |s| weighted(&layer_oracle(&x, s, &scale, width), &w));
        check_gradient("scale", &scale, &dscale, |s| weighted(&layer_oracle(&x, &shift, s, width), &w));
    });
}

#[test]
fn rms_norm_with_every_tail_and_its_gradients() {
    force_each_isa(|_| {
        let (rows, tokens, head_dim, width) = (6, 3, 20, 40);
        let mut random = Lcg::new(2);
        let (x, w) = (random.normal(rows * width), random.normal(rows * width));
        let weight = random.normal(width);
        let angles = random.normal(tokens * head_dim / 2);
        let table: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
        let rope = RmsTail::Rope { table: &table, head_dim };
        for (group, tail) in [(width, RmsTail::None), (width, RmsTail::Silu), (head_dim, rope), (width, rope)]
        {
            let out = rms_norm(&x, &weight, group, EPSILON, tail);
            assert_close(&out, &rms_oracle(&x, &weight, group, tail));
            let (dx, dweight) = rms_norm_backward(&x, &weight, group, EPSILON, tail, &w);
            check_gradient("x", &x, &dx, |x| weighted(&rms_oracle(x, &weight, group, tail), &w));
            check_gradient("weight", &weight, &dweight, |g| weighted(&rms_oracle(&x, g, group, tail), &w));
        }
    });
}

#[test]
fn layer_norm_with_weights_agrees_with_its_definition() {
    let [rows, width] = [37, 53];
    let mut random = Lcg::new(8);
    let (x, weight, bias) = (random.normal(rows * width), random.normal(width), random.normal(width));
    force_each_isa(|isa| {
        let found = layer_norm(&x, &weight, &bias, 1e-6);
        for (row, found) in x.chunks_exact(width).zip(found.chunks_exact(width)) {
            let mean = row.iter().map(|x| *x as f64).sum::<f64>() / width as f64;
            let variance = row.iter().map(|x| (*x as f64 - mean).powi(2)).sum::<f64>() / width as f64;
            for c in 0..width {
                let normed = (row[c] as f64 - mean) / (variance + 1e-6).sqrt();
                let expected = normed * weight[c] as f64 + bias[c] as f64;
                assert!((found[c] as f64 - expected).abs() < 1e-5, "{isa}: {} ≠ {expected}", found[c]);
            }
        }
    });
}

#[test]
fn a_norm_behind_rows_that_stay_as_they_are() {
    let (batch, before, rows, width) = (3, 2, 5, 24);
    let mut random = Lcg::new(5);
    let (past, x) = (random.normal(batch * before * width), random.normal(batch * rows * width));
    let weight = random.normal(width);
    let table = random.normal(rows * 8);
    force_each_isa(|_| {
        for tail in [RmsTail::None, RmsTail::Silu, RmsTail::Rope { table: &table, head_dim: 8 }] {
            let normed = rms_norm(&x, &weight, width, EPSILON, tail);
            let found = rms_norm_behind(&past, &x, batch, &weight, width, EPSILON, tail);
            let expected: Vec<f32> = past
                .chunks(before * width)
                .zip(normed.chunks(rows * width))
                .flat_map(|(past, normed)| [past, normed].concat())
                .collect();
            assert_eq!(found, expected);
        }
    });
}
