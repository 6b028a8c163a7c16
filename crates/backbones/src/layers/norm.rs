use vidit_kernels::norm::{Affine, group_norm_in_place, layer_norm};
use vidit_kernels::pointwise::Activation;

use crate::{BackboneError, Grid, Weights};

/// Layer norm with weights.
pub struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// Takes `weight [D]` and `bias [D]`.
    ///
    /// # Errors
    /// If one is absent or has another shape.
    pub fn load(weights: &Weights, width: usize, epsilon: f32) -> Result<Self, BackboneError> {
        Ok(Self { weight: weights.take("weight", &[width])?, bias: weights.take("bias", &[width])?, epsilon })
    }

    /// Without weights.
    pub fn plain(width: usize, epsilon: f32) -> Self {
        Self { weight: vec![1.0; width], bias: vec![0.0; width], epsilon }
    }

    /// `x [R, D]`, the norm over each row.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

/// Group norm with weights.
pub struct GroupNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    groups: usize,
    epsilon: f32,
}

impl GroupNorm {
    /// Takes `weight [C]` and `bias [C]`.
    ///
    /// # Errors
    /// As [`LayerNorm::load`].
    pub fn load(
        weights: &Weights,
        channels: usize,
        groups: usize,
        epsilon: f32,
    ) -> Result<Self, BackboneError> {
        let (weight, bias) = (weights.take("weight", &[channels])?, weights.take("bias", &[channels])?);
        Ok(Self { weight, bias, groups, epsilon })
    }

    /// The norm of each map, and what follows.
    pub fn apply(&self, x: &mut Grid, activation: Option<Activation>) {
        let shape = [x.batch, x.channels];
        let affine = Affine { weight: &self.weight, bias: &self.bias };
        group_norm_in_place(&mut x.data, shape, self.groups, Some(affine), self.epsilon, activation);
    }
}

/// Instance norm without weights, ε = 1e-5 as PyTorch has it, and what follows.
pub fn instance_norm(x: &mut Grid, activation: Option<Activation>) {
    let shape = [x.batch, x.channels];
    group_norm_in_place(&mut x.data, shape, x.channels, None, 1e-5, activation);
}

/// What batch norm with running statistics (ε = 1e-5) multiplies each channel by, and what it adds: to be folded into the convolution
/// before it. Takes `weight, bias, running_mean, running_var [C]`.
///
/// # Errors
/// As [`LayerNorm::load`].
pub fn batch_norm_folded(weights: &Weights, channels: usize) -> Result<(Vec<f32>, Vec<f32>), BackboneError> {
    let take = |name| weights.take(name, &[channels]);
    let (mut scale, mut shift) = (take("weight")?, take("bias")?);
    let (mean, variance) = (take("running_mean")?, take("running_var")?);
    weights.skip("num_batches_tracked");
    for c in 0..channels {
        scale[c] /= (variance[c] + 1e-5).sqrt();
        shift[c] -= mean[c] * scale[c];
    }
    Ok((scale, shift))
}
