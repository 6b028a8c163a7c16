//! Layers that families share, as thin holders of parameters over `vidit-ops`.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use vidit_ops::{After, ConvGeometry, PackedLinear, Tail, WeightFormat};

/// Deterministic normal numbers for initial weights: the same on every device.
#[derive(Clone, Debug)]
pub struct Init {
    state: u64,
    device: Device,
}

impl Init {
    /// Weights drawn from `seed`, placed on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { state: seed ^ 0x5851_f42d_4c95_7f2d, device: device.clone() }
    }

    /// The device that weights are placed on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// SplitMix64 (Steele et al. 2014), 24 bits of it as a number in (0, 1).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 40) as f64 + 0.5) / (1u64 << 24) as f64
    }

    /// A parameter of independent normal values.
    pub fn normal<const D: usize>(&mut self, dims: [usize; D], deviation: f64) -> Param<Tensor<D>> {
        let values: Vec<f32> = (0..dims.iter().product())
            .map(|_| {
                let (u, v) = (self.uniform(), self.uniform());
                ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * deviation) as f32
            })
            .collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, dims), &self.device))
    }

    /// A parameter of one value.
    pub fn constant<const D: usize>(&mut self, dims: [usize; D], value: f32) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::full(dims, value, &self.device))
    }
}

/// `x [.., K] · weight [K, N] + bias [N]`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[K, N]`.
    pub weight: Param<Tensor<2>>,
    /// `[N]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Normal weights of deviation `gain / √K`, bias 0.
    pub fn new(init: &mut Init, inputs: usize, outputs: usize, gain: f64) -> Self {
        Self {
            weight: init.normal([inputs, outputs], gain / (inputs as f64).sqrt()),
            bias: init.constant([outputs], 0.0),
        }
    }

    /// All zeros: the layer adds nothing until it has learned.
    pub fn zero(init: &mut Init, inputs: usize, outputs: usize) -> Self {
        Self { weight: init.constant([inputs, outputs], 0.0), bias: init.constant([outputs], 0.0) }
    }

    /// `[.., K]` → `[.., N]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        vidit_ops::linear(x, self.weight.val(), self.bias.val())
    }

    /// The same layer for inference.
    pub fn pack(&self, format: WeightFormat) -> PackedLinear {
        PackedLinear::new(&self.weight.val(), &self.bias.val(), format)
    }
}

/// A linear layer and what follows it: plain, which learns, or packed, which is faster.
pub trait Layer {
    /// `[B, L, K]` → `[B, L, N]`.
    fn then(&self, x: Tensor<3>, after: After) -> Tensor<3>;
}

impl Layer for Linear {
    fn then(&self, x: Tensor<3>, after: After) -> Tensor<3> {
        vidit_ops::linear_then(x, self.weight.val(), self.bias.val(), after)
    }
}

impl Layer for PackedLinear {
    fn then(&self, x: Tensor<3>, after: After) -> Tensor<3> {
        self.forward(x, after)
    }
}

/// RMS norm with a weight a channel.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[D]`.
    pub weight: Param<Tensor<1>>,
}

/// Added to mean squares.
pub const NORM_EPSILON: f32 = 1e-6;

impl RmsNorm {
    /// Weight 1.
    pub fn new(init: &mut Init, width: usize) -> Self {
        Self { weight: init.constant([width], 1.0) }
    }

    /// `tail(norm(x))` over each `group` channels of the last axis.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, group: usize, tail: Tail) -> Tensor<D> {
        vidit_ops::rms_norm(x, self.weight.val(), group, NORM_EPSILON, tail)
    }
}

/// Causal convolution over `[B, F, H, W, C]`.
#[derive(Module, Debug)]
pub struct Conv3d {
    /// `[Kt·Kh·Kw·C, O]`.
    pub weight: Param<Tensor<2>>,
    /// `[O]`.
    pub bias: Param<Tensor<1>>,
}

impl Conv3d {
    /// Normal weights of deviation `gain / √(taps·C)`, bias 0.
    pub fn new(init: &mut Init, kernel: [usize; 3], inputs: usize, outputs: usize, gain: f64) -> Self {
        let depth = kernel.iter().product::<usize>() * inputs;
        Self {
            weight: init.normal([depth, outputs], gain / (depth as f64).sqrt()),
            bias: init.constant([outputs], 0.0),
        }
    }

    /// `[B, F, H, W, C]` → `[B, F', H', W', O]`, plus `residual`.
    pub fn forward(&self, x: Tensor<5>, geometry: ConvGeometry, residual: Option<Tensor<5>>) -> Tensor<5> {
        vidit_ops::conv3d(x, self.weight.val(), self.bias.val(), geometry, residual)
    }
}
