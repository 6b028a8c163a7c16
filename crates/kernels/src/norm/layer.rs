//! `y = norm(x) · (1 + scale) + shift`, layer norm without weights of its own (Peebles & Xie 2023, adaLN).

use super::{dot, grain, sum};
use crate::isa::multiversion;
use crate::pointwise::rows_per_group;
use crate::threads::{Fresh, SharedMut, for_ranges};

/// The output and the statistics that the backward pass needs.
pub struct ModulatedNorm {
    /// `[R, D]`.
    pub out: Vec<f32>,
    /// Mean and inverse deviation of each row, `[R, 2]`.
    pub statistics: Vec<f32>,
}

/// `x [R, D]`, `shift, scale [G, D]`; consecutive `R/G` rows share a modulation.
pub fn layer_norm_modulate(
    x: &[f32],
    shift: &[f32],
    scale: &[f32],
    width: usize,
    epsilon: f32,
) -> ModulatedNorm {
    let per_group = rows_per_group(x.len(), scale.len(), width);
    assert_eq!(shift.len(), scale.len());
    let rows = x.len() / width;
    let (out, statistics) = (Fresh::new(x.len()), Fresh::new(rows * 2));
    for_ranges(rows, grain(width), |range| {
        for row in range {
            let group = row / per_group * width;
            // SAFETY: rows are disjoint.
            let (out, stat) = unsafe { (out.slice(row * width, width), statistics.slice(row * 2, 2)) };
            let (shift, scale) = (&shift[group..][..width], &scale[group..][..width]);
            forward_row(&x[row * width..][..width], shift, scale, epsilon, out, stat);
        }
    });
    // SAFETY: every row was written.
    unsafe { ModulatedNorm { out: out.finish(x.len()), statistics: statistics.finish(rows * 2) } }
}

multiversion! {
    fn forward_row(x: &[f32], shift: &[f32], scale: &[f32], epsilon: f32, out: &mut [f32], stat: &mut [f32]) {
        let inverse_width = 1.0 / x.len() as f32;
        let mean = sum(x) * inverse_width;
        for (out, x) in out.iter_mut().zip(x) {
            *out = x - mean;
        }
        let deviation = 1.0 / (dot(out, out) * inverse_width + epsilon).sqrt();
        for ((out, shift), scale) in out.iter_mut().zip(shift).zip(scale) {
            *out = *out * deviation * (1.0 + scale) + shift;
        }
        stat[0] = mean;
        stat[1] = deviation;
    }
}

/// `y = weight ∘ norm(x) + bias`, `x [R, D]`, `weight, bias [D]` (Ba et al. 2016).
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    let width = weight.len();
    assert!(width > 0 && bias.len() == width && x.len() % width == 0, "x is not [R, {width}]");
    let out = Fresh::new(x.len());
    for_ranges(x.len() / width, grain(width), |range| {
        for row in range {
            // SAFETY: rows are disjoint.
            let out = unsafe { out.slice(row * width, width) };
            affine_row(&x[row * width..][..width], weight, bias, epsilon, out);
        }
    });
    // SAFETY: every row was written.
    unsafe { out.finish(x.len()) }
}

multiversion! {
    fn affine_row(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
        let inverse_width = 1.0 / x.len() as f32;
        let mean = sum(x) * inverse_width;
        for (out, x) in out.iter_mut().zip(x) {
            *out = x - mean;
        }
        let deviation = 1.0 / (dot(out, out) * inverse_width + epsilon).sqrt();
        for ((out, weight), bias) in out.iter_mut().zip(weight).zip(bias) {
            *out = *out * deviation * weight + bias;
        }
    }
}

/// Gradients `(dx [R, D], dshift [G, D], dscale [G, D])` for `d_out [R, D]`.
pub fn layer_norm_modulate_backward(
    x: &[f32],
    scale: &[f32],
    statistics: &[f32],
    d_out: &[f32],
    width: usize,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let per_group = rows_per_group(x.len(), scale.len(), width);
    assert_eq!(x.len(), d_out.len());
    let (mut dshift, mut dscale) = (vec![0.0; scale.len()], vec![0.0; scale.len()]);
    let shared = (Fresh::new(x.len()), SharedMut::new(&mut dshift), SharedMut::new(&mut dscale));
    for_ranges(scale.len() / width, 1, |groups| {
        let mut normed = vec![0.0; width];
        for group in groups {
            // SAFETY: groups are disjoint, and so are their rows.
            let (dshift, dscale) =
                unsafe { (shared.1.slice(group * width, width), shared.2.slice(group * width, width)) };
            let scale = &scale[group * width..][..width];
            for row in group * per_group..(group + 1) * per_group {
                let at = row * width..(row + 1) * width;
                // SAFETY: as above.
                let dx = unsafe { shared.0.slice(at.start, width) };
                let stat = &statistics[row * 2..row * 2 + 2];
                backward_row(&x[at.clone()], scale, stat, &d_out[at], &mut normed, [dx, dshift, dscale]);
            }
        }
    });
    // SAFETY: groups cover every row.
    let dx = unsafe { shared.0.finish(x.len()) };
    (dx, dshift, dscale)
}

multiversion! {
    fn backward_row(
        x: &[f32],
        scale: &[f32],
        stat: &[f32],
        d_out: &[f32],
        normed: &mut [f32],
        gradients: [&mut [f32]; 3],
    ) {
        let [dx, dshift, dscale] = gradients;
        let (mean, deviation) = (stat[0], stat[1]);
        let inverse_width = 1.0 / x.len() as f32;
        for i in 0..x.len() {
            let n = (x[i] - mean) * deviation;
            normed[i] = n;
            dshift[i] += d_out[i];
            dscale[i] += d_out[i] * n;
            dx[i] = d_out[i] * (1.0 + scale[i]);
        }
        let mean_g = sum(dx) * inverse_width;
        let mean_gn = dot(dx, normed) * inverse_width;
        for (dx, n) in dx.iter_mut().zip(normed.iter()) {
            *dx = deviation * (*dx - mean_g - n * mean_gn);
        }
    }
}
