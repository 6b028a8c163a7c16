use vidit_kernels::conv3d::{self, Conv3dShape, PackedKernel};
use vidit_kernels::gemm::{Bias, BiasActivate, BiasActivateResidual, BiasPrelu, BiasResidual, Epilogue};
use vidit_kernels::pointwise::Activation;

use crate::{BackboneError, Grid, Weights};

/// A convolution of feature maps, `weight [O, C, Kh, Kw]`, zeros around.
pub struct Conv2d {
    /// `[Kh·Kw·C, O]`.
    weight: PackedKernel,
    bias: Vec<f32>,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Conv2d {
    /// Takes `weight [O, C, K, K]` and `bias [O]`.
    ///
    /// # Errors
    /// If one is absent or has another shape.
    pub fn load(
        weights: &Weights,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Self, BackboneError> {
        Self::load_oblong(weights, channels, [kernel; 2], [stride; 2], [padding; 2])
    }

    /// The same for kernels that are not square.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_oblong(
        weights: &Weights,
        channels: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Result<Self, BackboneError> {
        let bias = weights.take("bias", &[channels[1]])?;
        let weight = weights.take("weight", &[channels[1], channels[0], kernel[0], kernel[1]])?;
        Ok(Self::new(&weight, bias, channels, kernel, stride, padding))
    }

    /// Takes `weight [O, C, K, K]` alone.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_without_bias(
        weights: &Weights,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Self, BackboneError> {
        let weight = weights.take("weight", &[channels[1], channels[0], kernel, kernel])?;
        let bias = vec![0.0; channels[1]];
        Ok(Self::new(&weight, bias, channels, [kernel; 2], [stride; 2], [padding; 2]))
    }

    /// Of `weight [O, C, Kh, Kw]` and `bias [O]`; `channels` are `C` and `O`.
    pub fn new(
        weight: &[f32],
        bias: Vec<f32>,
        channels: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Self {
        let ([input, output], taps) = (channels, kernel[0] * kernel[1]);
        assert_eq!(weight.len(), output * input * taps, "weight is not [{output}, {input}, {kernel:?}]");
        let mut matrix = vec![0.0; weight.len()];
        for o in 0..output {
            for c in 0..input {
                for tap in 0..taps {
                    matrix[(tap * input + c) * output + o] = weight[(o * input + c) * taps + tap];
                }
            }
        }
        let weight =
            PackedKernel::new(&matrix, [1, kernel[0], kernel[1]], [1, stride[0], stride[1]], channels);
        Self { weight, bias, channels, kernel, stride, padding }
    }

    /// Multiplies each output channel by `scale` and adds `shift`, once and for all: batch norm with running statistics.
    pub fn fold(mut self, (scale, shift): (Vec<f32>, Vec<f32>)) -> Self {
        self.weight.scale_columns(&scale);
        for ((bias, scale), shift) in self.bias.iter_mut().zip(&scale).zip(&shift) {
            *bias = *bias * scale + shift;
        }
        self
    }

    /// Output channels.
    pub fn output(&self) -> usize {
        self.channels[1]
    }

    /// The sums without the bias, as `epilogue` leaves them.
    pub fn ended_by(&self, x: &Grid, epilogue: &impl Epilogue) -> Grid {
        assert_eq!(x.channels, self.channels[0], "the convolution reads other channels");
        let shape = Conv3dShape {
            batch: x.batch,
            input: [1, x.height, x.width],
            channels_in: x.channels,
            channels_out: self.channels[1],
            kernel: [1, self.kernel[0], self.kernel[1]],
            stride: [1, self.stride[0], self.stride[1]],
            padding: [0, self.padding[0], self.padding[1]],
        };
        let [_, height, width] = shape.output();
        let data = conv3d::forward_packed(&x.data, &self.weight, shape, epilogue);
        Grid::new(data, [x.batch, height, width, self.channels[1]])
    }

    /// `[B, H, W, C]` → `[B, H', W', O]`.
    pub fn forward(&self, x: &Grid) -> Grid {
        self.ended_by(x, &Bias(&self.bias))
    }

    /// The same, and what follows.
    pub fn activated(&self, x: &Grid, activation: Activation) -> Grid {
        self.ended_by(x, &BiasActivate { bias: &self.bias, activation })
    }

    /// The same with `residual [B, H', W', O]` added.
    pub fn added(&self, x: &Grid, residual: &Grid) -> Grid {
        self.ended_by(x, &BiasResidual { bias: &self.bias, residual: &residual.data })
    }

    /// `activation(residual + activation(convolution))`.
    pub fn activated_and_added(&self, x: &Grid, residual: &Grid, activation: Activation) -> Grid {
        self.ended_by(x, &BiasActivateResidual { bias: &self.bias, residual: &residual.data, activation })
    }

    /// The same with another function of each row of the result, which begins at a column: `(position, column, segment)`; the bias
    /// was added.
    pub fn followed_by(&self, x: &Grid, finish: impl Fn(usize, usize, &mut [f32]) + Sync) -> Grid {
        let bias = Bias(&self.bias);
        self.ended_by(x, &|position: usize, column: usize, segment: &mut [f32]| {
            bias.finish(position, column, segment);
            finish(position, column, segment);
        })
    }
}

/// A convolution and a slope for each channel below zero, as PyTorch's `Sequential(Conv2d, PReLU)` has them.
pub struct ConvPrelu {
    conv: Conv2d,
    slope: Vec<f32>,
}

impl ConvPrelu {
    /// Takes `0.weight [O, C, K, K]`, `0.bias [O]` and the slopes `1.weight [O]`; the padding keeps the size where the stride is 1.
    ///
    /// # Errors
    /// If one is absent or has another shape.
    pub fn load(
        weights: &Weights,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Result<Self, BackboneError> {
        let conv = Conv2d::load(&weights.at(0), channels, kernel, stride, kernel / 2)?;
        Ok(Self::new(conv, weights.at(1).take("weight", &[channels[1]])?))
    }

    /// Of both parts.
    pub fn new(conv: Conv2d, slope: Vec<f32>) -> Self {
        assert_eq!(conv.output(), slope.len(), "there is one slope a channel");
        Self { conv, slope }
    }

    /// Output channels.
    pub fn output(&self) -> usize {
        self.conv.output()
    }

    /// `[B, H, W, C]` → `[B, H', W', O]`.
    pub fn forward(&self, x: &Grid) -> Grid {
        self.conv.ended_by(x, &BiasPrelu { bias: &self.conv.bias, slope: &self.slope, residual: None })
    }

    /// The same with `residual [B, H', W', O]` added before the slope.
    pub fn added(&self, x: &Grid, residual: &Grid) -> Grid {
        let residual = Some(&residual.data[..]);
        self.conv.ended_by(x, &BiasPrelu { bias: &self.conv.bias, slope: &self.slope, residual })
    }
}
