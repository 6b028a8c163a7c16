//! What does a network call?
//!
//! One function per op on burn tensors. On the CPU device the work goes to `vidit-kernels`, forward and backward; on every
//! other device the same formula is composed of burn's own ops. This is the only crate that branches on the device.
//!
//! Activations are channels last: `[B, L, D]` for tokens, `[B, F, H, W, C]` for grids.

mod composed;
mod cpu;
mod dispatch;
mod packed;
mod tape;

pub use dispatch::{
    Tail, activate, add, attention, contiguous, conv3d, gated_residual, layer_norm_modulate, linear,
    rms_norm, rms_norm_behind, runs_on_kernels, softmax,
};
pub use packed::{After, PackedLinear, PackedMlp, linear_then};
pub use vidit_kernels::gemm::WeightFormat;
pub use vidit_kernels::pointwise::Activation;
pub use vidit_kernels::{Isa, Precision};

use std::sync::atomic::{AtomicU8, Ordering};

static PRECISION: AtomicU8 = AtomicU8::new(0);

/// Chooses the operand format of every product on the CPU from now on. The default is [`Precision::native`].
pub fn set_precision(precision: Precision) {
    let number = match precision {
        Precision::F32 => 1,
        Precision::Bf16 => 2,
        Precision::TwoParts => 3,
    };
    PRECISION.store(number, Ordering::Relaxed);
}

/// The operand format of products on the CPU.
pub fn precision() -> Precision {
    match PRECISION.load(Ordering::Relaxed) {
        0 => Precision::native(),
        1 => Precision::F32,
        2 => Precision::Bf16,
        _ => Precision::TwoParts,
    }
}

/// Geometry of a convolution over `[B, F, H, W, C]`: zeros in front of time only, on both sides of height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Kernel frames, height, width.
    pub kernel: [usize; 3],
    /// Stride in time, height, width.
    pub stride: [usize; 3],
    /// Zeros in front of time, and on both sides of height and of width.
    pub padding: [usize; 3],
}

#[cfg(test)]
mod tests;
