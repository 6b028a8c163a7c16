//! Convolution over time, height and width, channels last, as an implicit matrix product: patches are read while the
//! product packs them and never exist as a matrix. In f32, kernels of 3 × 3 in height and width and stride one take a quarter of the
//! multiplications instead (`winograd`).
//!
//! Layout: input `[B, F, H, W, C]`, weights `[Kt·Kh·Kw·C, O]` (taps in order t, h, w), output `[B, F', H', W', O]`.
//! Time is padded in front only (causal); height and width on both sides. All padding is zeros.

#[cfg(target_arch = "x86_64")]
mod direct;
mod patches;
mod winograd;

use rayon::prelude::*;

use crate::gemm::{DepthMajor, Epilogue, Packed, Plain, gemm_new, gemm_packed_new};
use crate::isa::Precision;
use patches::{InputPatches, OutputPatches, PatchesTransposed, WeightsTransposed};

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv3dShape {
    /// Batch, `B`.
    pub batch: usize,
    /// Input frames, height, width.
    pub input: [usize; 3],
    /// Input channels, `C`.
    pub channels_in: usize,
    /// Output channels, `O`.
    pub channels_out: usize,
    /// Kernel frames, height, width.
    pub kernel: [usize; 3],
    /// Stride in time, height, width.
    pub stride: [usize; 3],
    /// Zeros in front of time, and on both sides of height and of width.
    pub padding: [usize; 3],
}

impl Conv3dShape {
    /// Output frames, height, width.
    ///
    /// # Panics
    /// If the kernel is larger than the padded input, or a stride is 0.
    pub fn output(&self) -> [usize; 3] {
        let one = |axis: usize, padded: usize| {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
            assert!(
                stride > 0 && padded >= kernel,
                "the kernel does not fit into the padded input of {self:?}"
            );
            (padded - kernel) / stride + 1
        };
        [
            one(0, self.input[0] + self.padding[0]),
            one(1, self.input[1] + 2 * self.padding[1]),
            one(2, self.input[2] + 2 * self.padding[2]),
        ]
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Rows of the weight matrix, `Kt·Kh·Kw·C`.
    pub fn depth(&self) -> usize {
        self.taps() * self.channels_in
    }

    /// Input positions, `B·F·H·W`.
    pub fn positions_in(&self) -> usize {
        self.batch * self.input.iter().product::<usize>()
    }

    /// Output positions, `B·F'·H'·W'`.
    pub fn positions_out(&self) -> usize {
        self.batch * self.output().iter().product::<usize>()
    }

    fn check(&self, x: &[f32], weights: &[f32]) {
        assert_eq!(
            x.len(),
            self.positions_in() * self.channels_in,
            "input is not [B, F, H, W, C] of {self:?}"
        );
        assert_eq!(
            weights.len(),
            self.depth() * self.channels_out,
            "weights are not [taps·C, O] of {self:?}"
        );
    }
}

/// The forward pass; `epilogue` sees rows of output positions and columns of output channels.
pub fn forward(
    x: &[f32],
    weights: &[f32],
    shape: Conv3dShape,
    epilogue: &impl Epilogue,
    precision: Precision,
) -> Vec<f32> {
    shape.check(x, weights);
    #[cfg(target_arch = "x86_64")]
    if direct::fits(&shape, precision) {
        return direct::forward(x, weights, shape, epilogue);
    }
    if winograd::fits(&shape, precision) {
        let channels = [shape.channels_in, shape.channels_out];
        let weights = winograd::Weights::new(weights, shape.kernel[0], channels);
        return winograd::forward(x, &weights, shape, epilogue);
    }
    let n = shape.channels_out;
    let product = [shape.positions_out(), n, shape.depth()];
    let b = DepthMajor { data: weights, stride: n };
    gemm_new(product, &InputPatches::new(x, shape), &b, epilogue, precision)
}

/// Weights of a convolution, packed once, in the form that its forward pass takes.
pub struct PackedKernel(Form);

enum Form {
    Patches(Packed),
    Winograd(winograd::Weights),
}

impl PackedKernel {
    /// Packs `weights [Kt·Kh·Kw·C, O]` in f32; `channels` are `C` and `O`.
    ///
    /// # Panics
    /// If there are other than so many.
    pub fn new(weights: &[f32], kernel: [usize; 3], stride: [usize; 3], channels: [usize; 2]) -> Self {
        let ([c, o], precision) = (channels, Precision::F32);
        let depth = kernel.iter().product::<usize>() * c;
        assert_eq!(weights.len(), depth * o, "weights are not [taps·C, O] of {kernel:?} and {channels:?}");
        Self(match winograd::suits(kernel, stride, channels, precision) {
            true => Form::Winograd(winograd::Weights::new(weights, kernel[0], channels)),
            false => {
                Form::Patches(Packed::new(&DepthMajor { data: weights, stride: o }, o, depth, precision))
            }
        })
    }

    /// Multiplies each output channel by its factor, `[O]`.
    ///
    /// # Panics
    /// If there are other than `O` factors.
    pub fn scale_columns(&mut self, factors: &[f32]) {
        match &mut self.0 {
            Form::Patches(packed) => packed.scale_columns(factors),
            Form::Winograd(weights) => weights.scale_columns(factors),
        }
    }
}

/// The forward pass with weights that were packed before; see [`forward`].
///
/// # Panics
/// If input or weights are not of this shape.
pub fn forward_packed(
    x: &[f32],
    weights: &PackedKernel,
    shape: Conv3dShape,
    epilogue: &impl Epilogue,
) -> Vec<f32> {
    assert_eq!(
        x.len(),
        shape.positions_in() * shape.channels_in,
        "input is not [B, F, H, W, C] of {shape:?}"
    );
    let (c, o) = (shape.channels_in, shape.channels_out);
    match &weights.0 {
        Form::Patches(packed) => {
            assert!(
                packed.depth() == shape.depth() && packed.columns() == o,
                "weights are not [taps·C, O] of {shape:?}"
            );
            gemm_packed_new(shape.positions_out(), &InputPatches::new(x, shape), packed, epilogue)
        }
        Form::Winograd(weights) => {
            assert!(
                weights.sizes() == [shape.kernel[0], c, o]
                    && shape.kernel[1..] == [3, 3]
                    && shape.stride == [1; 3],
                "weights are not those of {shape:?}"
            );
            winograd::forward(x, weights, shape, epilogue)
        }
    }
}

/// Gradient of the input, `[B, F, H, W, C]`, for `d_out [B, F', H', W', O]`.
pub fn backward_input(weights: &[f32], d_out: &[f32], shape: Conv3dShape, precision: Precision) -> Vec<f32> {
    assert_eq!(d_out.len(), shape.positions_out() * shape.channels_out, "d_out is not [B, F', H', W', O]");
    if winograd::fits(&shape, precision) && shape.padding[1..].iter().all(|zeros| *zeros < 3) {
        let channels = [shape.channels_in, shape.channels_out];
        let weights = winograd::Weights::transposed(weights, shape.kernel[0], channels);
        return winograd::backward_input(&weights, d_out, shape);
    }
    let n = shape.channels_in;
    let product = [shape.positions_in(), n, shape.taps() * shape.channels_out];
    let (a, b) = (OutputPatches::new(d_out, shape), WeightsTransposed { weights, shape });
    gemm_new(product, &a, &b, &Plain, precision)
}

/// Gradient of the weights, `[Kt·Kh·Kw·C, O]`.
pub fn backward_weights(x: &[f32], d_out: &[f32], shape: Conv3dShape, precision: Precision) -> Vec<f32> {
    assert_eq!(d_out.len(), shape.positions_out() * shape.channels_out, "d_out is not [B, F', H', W', O]");
    let (n, depth) = (shape.channels_out, shape.depth());
    // The product is taken transposed, [O, taps·C]: patches are then the side that is packed once for all rows.
    let (a, b) = (DepthMajor { data: d_out, stride: n }, PatchesTransposed::new(x, shape));
    let product = [n, depth, shape.positions_out()];
    let transposed = gemm_new(product, &a, &b, &Plain, precision);
    let mut dw = vec![0.0; depth * n];
    // Sixteen values of a row, which lie side by side, become as many of a column.
    dw.par_chunks_mut(16 * n).enumerate().for_each(|(block, dw)| {
        for (column, row) in transposed.chunks_exact(depth).enumerate() {
            for (dw, value) in dw.chunks_exact_mut(n).zip(&row[block * 16..]) {
                dw[column] = *value;
            }
        }
    });
    dw
}

pub mod scalar;
#[cfg(test)]
mod tests;
