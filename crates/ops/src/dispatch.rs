//! The public ops: CPU tensors go to the kernels, all others to burn.

use std::sync::Arc;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, Tensor};
use vidit_kernels::conv3d::Conv3dShape;
use vidit_kernels::pointwise::Activation;

use crate::ConvGeometry;
use crate::composed;
use crate::cpu::{CpuTail, OnDevice, VideoOps};

/// Whether tensors of this device are computed by our kernels (burn's `flex` CPU storage, with or without autodiff).
pub fn runs_on_kernels(device: &Device) -> bool {
    let inner = device.clone().inner();
    matches!(inner.as_dispatch(), DispatchDevice::Flex(_))
}

/// What follows an RMS norm in the same pass.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // a tensor's handle, passed by value a few times a block
pub enum Tail {
    /// Nothing.
    None,
    /// `x · σ(x)`.
    Silu,
    /// Neighbouring pairs of each head are turned by the angles of `table [L, Dh]` (`cos, sin` per pair).
    Rope(Tensor<2>),
}

/// `x [.., K] · weight [K, N] + bias [N] → [.., N]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    if runs_on_kernels(&x.device()) {
        let out = OnDevice::linear(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(out);
    }
    composed::linear(x, weight, bias)
}

/// `activation(x)`.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    if runs_on_kernels(&x.device()) {
        return Tensor::from_dispatch(OnDevice::activate(x.into_dispatch(), activation));
    }
    composed::activate(x, activation)
}

/// `a + b` of one shape.
pub fn add<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    assert_eq!(a.dims(), b.dims(), "add takes tensors of one shape");
    if runs_on_kernels(&a.device()) {
        return Tensor::from_dispatch(OnDevice::add(a.into_dispatch(), b.into_dispatch()));
    }
    a + b
}

/// `exp(x) / Σ exp(x)` over the last axis.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if runs_on_kernels(&x.device()) {
        return Tensor::from_dispatch(OnDevice::softmax_rows(x.into_dispatch()));
    }
    composed::softmax(x)
}

/// `x + gate ∘ y`: `x, y [B, L, D]`, `gate [B, G, D]`, each gate for `L/G` consecutive tokens.
pub fn gated_residual(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    if runs_on_kernels(&x.device()) {
        let out = OnDevice::gated_residual(x.into_dispatch(), y.into_dispatch(), gate.into_dispatch());
        return Tensor::from_dispatch(out);
    }
    composed::gated_residual(x, y, gate)
}

/// `norm(x) · (1 + scale) + shift`: `x [B, L, D]`, `shift, scale [B, G, D]`, each for `L/G` consecutive tokens.
pub fn layer_norm_modulate(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>, epsilon: f32) -> Tensor<3> {
    if runs_on_kernels(&x.device()) {
        let (shift, scale) = (shift.into_dispatch(), scale.into_dispatch());
        return Tensor::from_dispatch(OnDevice::layer_norm_modulate(
            x.into_dispatch(),
            shift,
            scale,
            epsilon,
        ));
    }
    composed::layer_norm_modulate(x, shift, scale, epsilon)
}

/// `tail(weight ∘ x / rms(x))`: `x [.., D]`, `weight [D]`, the mean square over each `group` channels.
pub fn rms_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    group: usize,
    epsilon: f32,
    tail: Tail,
) -> Tensor<D> {
    if runs_on_kernels(&x.device()) {
        let (kind, table) = match tail {
            Tail::None => (CpuTail::None, weight.clone().into_dispatch()),
            Tail::Silu => (CpuTail::Silu, weight.clone().into_dispatch()),
            Tail::Rope(table) => (CpuTail::Rope(table.dims()[1]), table.into_dispatch()),
        };
        let weight = weight.into_dispatch();
        return Tensor::from_dispatch(OnDevice::rms_norm(
            x.into_dispatch(),
            weight,
            table,
            group,
            epsilon,
            kind,
        ));
    }
    composed::rms_norm(x, weight, group, epsilon, tail)
}

/// [`rms_norm`] of `x [B, L, .., D]` behind `past [B, P, .., D]`, which stays as it is: `[B, P + L, .., D]`, what a convolution that
/// looks back reads.
///
/// # Panics
/// With [`Tail::Rope`]: frames behind others have no positions.
pub fn rms_norm_behind<const D: usize>(
    past: Tensor<D>,
    x: Tensor<D>,
    weight: Tensor<1>,
    group: usize,
    epsilon: f32,
    tail: Tail,
) -> Tensor<D> {
    if runs_on_kernels(&x.device()) {
        let kind = match tail {
            Tail::None => CpuTail::None,
            Tail::Silu => CpuTail::Silu,
            Tail::Rope(_) => panic!("frames behind others have no positions"),
        };
        let (past, x, weight) = (past.into_dispatch(), x.into_dispatch(), weight.into_dispatch());
        return Tensor::from_dispatch(OnDevice::rms_norm_behind(past, x, weight, group, epsilon, kind));
    }
    Tensor::cat(vec![past, composed::rms_norm(x, weight, group, epsilon, tail)], 1)
}

/// What a permuted, narrowed or expanded view shows, in the order of its axes. On the CPU one pass on all threads while the
/// last axis stays whole, so that the reshape that follows copies nothing.
pub fn contiguous<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if runs_on_kernels(&x.device()) {
        return Tensor::from_dispatch(OnDevice::contiguous(x.into_dispatch()));
    }
    x
}

/// `softmax(q kᵀ / √Dh) v` with heads side by side: `q [B, Lq, N·Dh]`, `k, v [B, Lk, N·Dh]` → `[B, Lq, N·Dh]`.
/// Sample `b` sees its first `key_lengths[b]` keys, or all.
pub fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    key_lengths: Option<Arc<Vec<usize>>>,
) -> Tensor<3> {
    if runs_on_kernels(&q.device()) {
        let (k, v) = (k.into_dispatch(), v.into_dispatch());
        return Tensor::from_dispatch(OnDevice::attention(q.into_dispatch(), k, v, heads, key_lengths));
    }
    composed::attention(q, k, v, heads, key_lengths)
}

/// Convolution of `x [B, F, H, W, C]` with `weight [Kt·Kh·Kw·C, O]`, plus bias, plus a residual of the output's shape.
pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    geometry: ConvGeometry,
    residual: Option<Tensor<5>>,
) -> Tensor<5> {
    let [batch, f, h, w, channels_in] = x.dims();
    let shape = Conv3dShape {
        batch,
        input: [f, h, w],
        channels_in,
        channels_out: weight.dims()[1],
        kernel: geometry.kernel,
        stride: geometry.stride,
        padding: geometry.padding,
    };
    if runs_on_kernels(&x.device()) {
        let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(match residual {
            None => OnDevice::conv3d(x, weight, bias, shape),
            Some(residual) => OnDevice::conv3d_residual(x, weight, bias, residual.into_dispatch(), shape),
        });
    }
    composed::conv3d(x, weight, bias, geometry, residual)
}
