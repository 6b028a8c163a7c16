//! Layers whose weights are packed once, for inference: a product reads them as they lie, and what follows it happens while
//! its rows are in the cache. On devices other than the CPU they keep plain tensors and compute the same.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use vidit_kernels::gemm::{Bias, BiasActivate, BiasGate, BiasResidual, LaneMajor, WeightFormat, Weights};
use vidit_kernels::mlp::{Mlp, MlpWeights};
use vidit_kernels::pointwise::Activation;

use crate::cpu::{Values, tensor};
use crate::{activate, add, gated_residual, linear, runs_on_kernels};

/// What follows a product in the same pass.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // a few tensors' handles, passed by value a few times a block
pub enum After {
    /// Nothing.
    Nothing,
    /// An activation.
    Activate(Activation),
    /// `residual + y`.
    Add(Tensor<3>),
    /// `residual + gate ∘ y`, `gate [B, G, D]`, each for `L/G` consecutive tokens.
    Gate {
        /// `[B, L, D]`.
        residual: Tensor<3>,
        /// `[B, G, D]`.
        gate: Tensor<3>,
    },
}

/// `x [B, L, K] · weight [K, N] + bias [N]`, and what follows; on the tape like its parts.
pub fn linear_then(x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>, after: After) -> Tensor<3> {
    let y = linear(x, weight, bias);
    match after {
        After::Nothing => y,
        After::Activate(activation) => activate(y, activation),
        After::Add(residual) => add(residual, y),
        After::Gate { residual, gate } => gated_residual(residual, y, gate),
    }
}

/// `x · weight + bias` with packed weights. Has no gradient.
#[derive(Clone, Debug)]
pub struct PackedLinear(Held<CpuLinear, [(Tensor<2>, Tensor<1>); 1]>);

/// `residual + gate ∘ (gelu(x · up + b₁) · down + b₂)` with packed weights, the hidden activations never whole. Has no
/// gradient.
#[derive(Clone, Debug)]
pub struct PackedMlp(Held<Mlp, [(Tensor<2>, Tensor<1>); 2]>);

#[derive(Debug)]
enum Held<C, T> {
    Kernels(Arc<C>),
    Tensors(T),
}

impl<C, T: Clone> Clone for Held<C, T> {
    fn clone(&self) -> Self {
        match self {
            Held::Kernels(packed) => Held::Kernels(packed.clone()),
            Held::Tensors(tensors) => Held::Tensors(tensors.clone()),
        }
    }
}

/// Packed weights and the bias of one layer.
pub struct CpuLinear {
    weight: Weights,
    bias: Vec<f32>,
}

impl std::fmt::Debug for CpuLinear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "packed [{}, {}]", self.weight.depth(), self.weight.columns())
    }
}

/// What follows, without its tensors.
#[derive(Clone, Copy, Debug)]
pub enum CpuAfter {
    /// Nothing.
    Nothing,
    /// An activation.
    Activate(Activation),
    /// The residual, the second tensor.
    Add,
    /// The residual and the gate, second and third tensor.
    Gate,
}

#[backend_extension(Flex)]
pub trait PackedOps: Backend {
    /// `residual` and `gate` are read where `after` says so.
    fn linear_packed(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        layer: Arc<CpuLinear>,
        after: CpuAfter,
    ) -> FloatTensor<Self>;

    /// The whole branch.
    fn mlp_packed(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        mlp: Arc<Mlp>,
    ) -> FloatTensor<Self>;
}

impl PackedOps for Flex {
    fn linear_packed(
        x: FlexTensor,
        residual: FlexTensor,
        gate: FlexTensor,
        layer: Arc<CpuLinear>,
        after: CpuAfter,
    ) -> FlexTensor {
        let x = Values::new(x);
        let CpuLinear { weight, bias } = &*layer;
        let (k, n) = (weight.depth(), weight.columns());
        assert_eq!(x.last(), k, "the layer takes [.., {k}]");
        let m = x.len() / k;
        let a = LaneMajor { data: &x, stride: k };
        let out = match after {
            CpuAfter::Nothing => weight.product(m, a, &Bias(bias)),
            CpuAfter::Activate(activation) => weight.product(m, a, &BiasActivate { bias, activation }),
            CpuAfter::Add => {
                let residual = Values::new(residual);
                assert_eq!(residual.len(), m * n, "the residual is shaped as the product");
                weight.product(m, a, &BiasResidual { bias, residual: &residual })
            }
            CpuAfter::Gate => {
                let (residual, gate) = (Values::new(residual), Values::new(gate));
                assert_eq!(residual.len(), m * n, "the residual is shaped as the product");
                let gates = gate.len() / n;
                assert!(gates > 0 && m % gates == 0, "{gates} gates do not divide {m} tokens");
                let epilogue = BiasGate { bias, residual: &residual, gate: &gate, rows_per_gate: m / gates };
                weight.product(m, a, &epilogue)
            }
        };
        let mut shape = x.shape().as_slice().to_vec();
        *shape.last_mut().expect("rank ≥ 1") = n;
        tensor(out, shape.into()) // [.., N]
    }

    fn mlp_packed(x: FlexTensor, residual: FlexTensor, gate: FlexTensor, mlp: Arc<Mlp>) -> FlexTensor {
        let (x, residual, gate) = (Values::new(x), Values::new(residual), Values::new(gate));
        tensor(mlp.forward(&x, &residual, &gate), x.shape())
    }
}

/// Why bytes are refused: a plain tensor would give another answer.
const NO_BYTES: &str = "only the CPU's kernels multiply int8 weights";

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().into_data().iter::<f32>().collect()
}

impl PackedLinear {
    /// Packs `weight [K, N]` and `bias [N]` for the present instruction set.
    ///
    /// # Panics
    /// If bytes are asked for on a device other than the CPU.
    pub fn new(weight: &Tensor<2>, bias: &Tensor<1>, format: WeightFormat) -> Self {
        if !runs_on_kernels(&weight.device()) {
            assert!(format != WeightFormat::Int8, "{NO_BYTES}");
            return Self(Held::Tensors([(weight.clone(), bias.clone())]));
        }
        let ([k, n], data) = (weight.dims(), values(weight));
        let weight = Weights::new(&data, n, k, format);
        Self(Held::Kernels(Arc::new(CpuLinear { weight, bias: values(bias) })))
    }

    /// `x [B, L, K]` → `[B, L, N]`.
    ///
    /// # Panics
    /// If `x` wants a gradient: packed layers are for inference.
    pub fn forward(&self, x: Tensor<3>, after: After) -> Tensor<3> {
        match &self.0 {
            Held::Kernels(layer) => {
                let x = x.into_dispatch();
                let (residual, gate, after) = match after {
                    After::Nothing => (x.clone(), x.clone(), CpuAfter::Nothing),
                    After::Activate(activation) => (x.clone(), x.clone(), CpuAfter::Activate(activation)),
                    After::Add(residual) => (residual.into_dispatch(), x.clone(), CpuAfter::Add),
                    After::Gate { residual, gate } => {
                        (residual.into_dispatch(), gate.into_dispatch(), CpuAfter::Gate)
                    }
                };
                Tensor::from_dispatch(Dispatch::linear_packed(x, residual, gate, layer.clone(), after))
            }
            Held::Tensors([(weight, bias)]) => linear_then(x, weight.clone(), bias.clone(), after),
        }
    }
}

impl PackedMlp {
    /// Packs `up [D, hidden]`, `down [hidden, D]` and their biases for the present instruction set.
    ///
    /// # Panics
    /// If bytes are asked for on a device other than the CPU.
    pub fn new(up: (&Tensor<2>, &Tensor<1>), down: (&Tensor<2>, &Tensor<1>), format: WeightFormat) -> Self {
        if !runs_on_kernels(&up.0.device()) {
            assert!(format != WeightFormat::Int8, "{NO_BYTES}");
            let own = |(weight, bias): (&Tensor<2>, &Tensor<1>)| (weight.clone(), bias.clone());
            return Self(Held::Tensors([own(up), own(down)]));
        }
        let weights = MlpWeights {
            up: &values(up.0),
            up_bias: &values(up.1),
            down: &values(down.0),
            down_bias: &values(down.1),
        };
        Self(Held::Kernels(Arc::new(Mlp::new(weights, Activation::GeluTanh, format))))
    }

    /// `x, residual [B, L, D]`, `gate [B, G, D]` → `[B, L, D]`.
    ///
    /// # Panics
    /// If `x` wants a gradient: packed layers are for inference.
    pub fn forward(&self, x: Tensor<3>, residual: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
        match &self.0 {
            Held::Kernels(mlp) => {
                let (residual, gate) = (residual.into_dispatch(), gate.into_dispatch());
                Tensor::from_dispatch(Dispatch::mlp_packed(x.into_dispatch(), residual, gate, mlp.clone()))
            }
            Held::Tensors([(up, up_bias), (down, down_bias)]) => {
                let gelu = After::Activate(Activation::GeluTanh);
                let inner = linear_then(x, up.clone(), up_bias.clone(), gelu);
                linear_then(inner, down.clone(), down_bias.clone(), After::Gate { residual, gate })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn difference(a: Tensor<3>, b: Tensor<3>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn packed_layers_agree_with_plain_ones() {
        let device = crate::tests::exact(Device::flex());
        fn normal<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
            Tensor::random(dims, Distribution::Normal(0.0, 1.0), device)
        }
        let (x, residual, gate) =
            (normal([2, 12, 24], &device), normal([2, 12, 24], &device), normal([2, 3, 24], &device));
        let (up, up_bias) = (normal([24, 40], &device), normal([40], &device));
        let (down, down_bias) = (normal([40, 24], &device), normal([24], &device));
        let format = WeightFormat::F32;
        let packed = PackedLinear::new(&up, &up_bias, format);
        let plain = linear(x.clone(), up.clone(), up_bias.clone()); // [2, 12, 40]
        let close = 1e-3;
        assert!(difference(packed.forward(x.clone(), After::Nothing), plain.clone()) < close);
        let inner = activate(plain, Activation::GeluTanh);
        let found = packed.forward(x.clone(), After::Activate(Activation::GeluTanh));
        assert!(difference(found, inner.clone()) < close);
        let packed = PackedLinear::new(&down, &down_bias, format);
        let plain = linear(inner.clone(), down.clone(), down_bias.clone()); // [2, 12, 24]
        let found = packed.forward(inner.clone(), After::Add(residual.clone()));
        assert!(difference(found, plain.clone() + residual.clone()) < close);
        let gated = gated_residual(residual.clone(), plain, gate.clone());
        let after = After::Gate { residual: residual.clone(), gate: gate.clone() };
        assert!(difference(packed.forward(inner, after), gated.clone()) < close);
        let mlp = PackedMlp::new((&up, &up_bias), (&down, &down_bias), format);
        assert!(difference(mlp.forward(x, residual, gate), gated) < close);
    }
}
