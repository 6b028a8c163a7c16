//! Guidance: how predictions with and without the prompt are combined.

use burn::tensor::Tensor;

/// `u + g(c − u)` (Ho & Salimans 2022). With `g = 1` the unconditional prediction is not needed at all.
pub fn classifier_free<const D: usize>(
    conditional: Tensor<D>,
    unconditional: Tensor<D>,
    scale: f32,
) -> Tensor<D> {
    unconditional.clone() + (conditional - unconditional) * scale
}
