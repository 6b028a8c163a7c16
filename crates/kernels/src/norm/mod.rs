//! Normalisation with what follows it, in one pass over memory: layer norm + adaLN modulation, RMS norm + rotary
//! positions, RMS norm + SiLU. Statistics are f32 over one row, whatever the threads; those of group norm, over a whole map, f64.

mod group;
mod layer;
mod rms;

pub use group::{Affine, group_norm_in_place};
pub use layer::{ModulatedNorm, layer_norm, layer_norm_modulate, layer_norm_modulate_backward};
pub use rms::{RmsTail, rms_norm, rms_norm_backward, rms_norm_behind};

#[cfg(test)]
mod tests;

/// Rows that one task takes at least.
pub(crate) fn grain(width: usize) -> usize {
    8 * 1024 / width + 1
}

/// Sum of products in sixteen lanes, so that the compiler can vectorise it without reordering on its own.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Sum in sixteen lanes.
#[inline(always)]
pub(crate) fn sum(a: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = a.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for a in chunks {
        for (lane, a) in lanes.iter_mut().zip(a) {
            *lane += a;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
