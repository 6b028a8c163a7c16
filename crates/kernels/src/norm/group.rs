//! Group norm of feature maps, channels last (Wu & He 2018); one group a channel is instance norm (Ulyanov et al. 2016).

use rayon::prelude::*;

use crate::isa::multiversion;
use crate::pointwise::{Activation, add_and_map};

/// Positions whose sums are made together: a fixed number, so that sums do not depend on the threads.
const BLOCK: usize = 256;

/// What follows a norm, `weight ∘ x + bias`, `[C]` each.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    /// Factors.
    pub weight: &'a [f32],
    /// Shifts.
    pub bias: &'a [f32],
}

/// `x [B, P, C]` becomes `activation(weight ∘ norm(x) + bias)`; mean and variance run over the `P` positions and the
/// `C / groups` channels of a group, in f64.
///
/// # Panics
/// If `x` is not `[B, P, C]`, or groups do not divide the channels.
pub fn group_norm_in_place(
    x: &mut [f32],
    [batch, channels]: [usize; 2],
    groups: usize,
    affine: Option<Affine>,
    epsilon: f32,
    activation: Option<Activation>,
) {
    assert!(groups > 0 && channels % groups == 0, "{groups} groups do not divide {channels} channels");
    assert!(batch > 0 && x.len() % (batch * channels) == 0, "x is not [{batch}, P, {channels}]");
    let positions = x.len() / batch / channels;
    if positions == 0 {
        return;
    }
    x.chunks_exact_mut(positions * channels).for_each(|x| {
        let (scale, shift) = scale_and_shift(x, channels, groups, affine, epsilon);
        x.par_chunks_mut(BLOCK * channels).for_each(|x| match activation {
            Some(activation) => {
                for row in x.chunks_exact_mut(channels) {
                    scale_row(row, &scale);
                    add_and_map(row, &shift, activation);
                }
            }
            None => x.chunks_exact_mut(channels).for_each(|row| scale_and_shift_row(row, &scale, &shift)),
        });
    });
}

/// What each channel is multiplied by, and what is then added.
fn scale_and_shift(
    x: &[f32],
    channels: usize,
    groups: usize,
    affine: Option<Affine>,
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    let per_group = channels / groups;
    let count = (x.len() / channels * per_group) as f64;
    let of_groups = |sums: Vec<f64>| -> Vec<f64> {
        sums.chunks_exact(per_group).map(|group| group.iter().sum::<f64>() / count).collect()
    };
    let total = |shift: &[f32], square: bool| {
        let blocks: Vec<Vec<f32>> =
            x.par_chunks(BLOCK * channels).map(|x| sums_of_block(x, shift, square)).collect();
        let mut sums = vec![0.0f64; channels];
        for block in blocks {
            sums.iter_mut().zip(block).for_each(|(sum, part)| *sum += part as f64);
        }
        of_groups(sums)
    };
    let spread = |values: &[f64]| -> Vec<f32> {
        values.iter().flat_map(|value| std::iter::repeat_n(*value as f32, per_group)).collect()
    };
    let mean = total(&vec![0.0; channels], false);
    let means = spread(&mean);
    let variance = total(&means, true);
    let (mut scale, mut shift) = (vec![0.0; channels], vec![0.0; channels]);
    for c in 0..channels {
        let deviation = 1.0 / (variance[c / per_group] + epsilon as f64).sqrt();
        let (weight, bias) = affine.map_or((1.0, 0.0), |a| (a.weight[c] as f64, a.bias[c] as f64));
        scale[c] = (deviation * weight) as f32;
        shift[c] = (bias - mean[c / per_group] * deviation * weight) as f32;
    }
    (scale, shift)
}

multiversion! {
    /// Sums over the rows of `x - shift`, or of its squares.
    fn sums_of_block(x: &[f32], shift: &[f32], square: bool) -> Vec<f32> {
        let mut sums = vec![0.0; shift.len()];
        for row in x.chunks_exact(shift.len()) {
            if square {
                for ((sum, x), shift) in sums.iter_mut().zip(row).zip(shift) {
                    *sum += (x - shift) * (x - shift);
                }
            } else {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        }
        sums
    }
}

multiversion! {
    fn scale_row(row: &mut [f32], scale: &[f32]) {
        for (x, scale) in row.iter_mut().zip(scale) {
            *x *= scale;
        }
    }
}

multiversion! {
    fn scale_and_shift_row(row: &mut [f32], scale: &[f32], shift: &[f32]) {
        for ((x, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
            *x = *x * scale + shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Lcg, force_each_isa};

    /// f32 sums of 256 values, and the result rounded twice.
    const TOLERANCE: f32 = 2e-5;

    #[test]
    fn agrees_with_the_definition_at_every_isa() {
        let [batch, positions, channels] = [2, 531, 24];
        let mut random = Lcg::new(3);
        let x: Vec<f32> = random.normal(batch * positions * channels).iter().map(|x| 3.0 * x + 5.0).collect();
        let (weight, bias) = (random.normal(channels), random.normal(channels));
        force_each_isa(|isa| {
            for (groups, affine, relu) in
                [(24, false, false), (8, true, true), (1, true, false), (3, false, true)]
            {
                let mut found = x.clone();
                let with = affine.then_some(Affine { weight: &weight, bias: &bias });
                let activation = relu.then_some(Activation::Relu);
                group_norm_in_place(&mut found, [batch, channels], groups, with, 1e-5, activation);
                let per_group = channels / groups;
                for (i, found) in found.iter().enumerate() {
                    let (b, c) = (i / (positions * channels), i % channels);
                    let group: Vec<f64> = x[b * positions * channels..][..positions * channels]
                        .chunks_exact(channels)
                        .flat_map(|row| &row[c / per_group * per_group..][..per_group])
                        .map(|x| *x as f64)
                        .collect();
                    if i % 97 > 0 {
                        continue;
                    }
                    let mean = group.iter().sum::<f64>() / group.len() as f64;
                    let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / group.len() as f64;
                    let mut expected = (x[i] as f64 - mean) / (variance + 1e-5).sqrt();
                    if affine {
                        expected = expected * weight[c] as f64 + bias[c] as f64;
                    }
                    if relu {
                        expected = expected.max(0.0);
                    }
                    let error = (*found as f64 - expected).abs();
                    assert!(error < TOLERANCE as f64, "{isa} {groups} groups [{i}]: {found} ≠ {expected}");
                }
            }
        });
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let x = Lcg::new(5).normal(3000 * 12);
        let _same = crate::testing::hold_isa();
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut x = x.clone();
            pool.install(|| group_norm_in_place(&mut x, [1, 12], 4, None, 1e-5, None));
            x
        };
        assert!(with(1) == with(3));
    }
}
