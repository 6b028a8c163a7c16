//! The same formulas in burn's own ops, for devices without kernels of ours. Also the reference of this crate's tests.

use std::sync::Arc;

use burn::tensor::activation::{self, gelu, relu, sigmoid, tanh};
use burn::tensor::module::conv3d as burn_conv3d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use vidit_kernels::pointwise::Activation;

use crate::{ConvGeometry, Tail};

pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let mut dims = x.dims();
    let (k, n) = (dims[D - 1], weight.dims()[1]);
    let rows = dims.iter().product::<usize>() / k;
    dims[D - 1] = n;
    (x.reshape([rows, k]).matmul(weight) + bias.unsqueeze::<2>()).reshape(dims) // [.., N]
}

pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Silu => x.clone() * sigmoid(x),
        Activation::Gelu => gelu(x),
        Activation::QuickGelu => x.clone() * sigmoid(x * 1.702),
        Activation::Relu => relu(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => tanh(x),
        Activation::GeluTanh => {
            let u = (x.clone() + x.clone().powi_scalar(3) * 0.044_715) * (2.0 * 0.797_884_6);
            x * sigmoid(u)
        }
    }
}

pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softmax(x, D - 1)
}

/// One row a group → one row a token.
fn spread(group: Tensor<3>, tokens: usize) -> Tensor<3> {
    let [b, g, d] = group.dims();
    group.reshape([b, g, 1, d]).expand([b, g, tokens / g, d]).reshape([b, tokens, d]) // [B, L, D]
}

pub fn gated_residual(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    let tokens = x.dims()[1];
    x + spread(gate, tokens) * y
}

pub fn layer_norm_modulate(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>, epsilon: f32) -> Tensor<3> {
    let tokens = x.dims()[1];
    let centred = x.clone() - x.mean_dim(2);
    let deviation = (centred.clone().powi_scalar(2).mean_dim(2) + epsilon).sqrt();
    centred / deviation * (spread(scale, tokens) + 1.0) + spread(shift, tokens)
}

pub fn rms_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    group: usize,
    epsilon: f32,
    tail: Tail,
) -> Tensor<D> {
    let dims = x.dims();
    let width = dims[D - 1];
    let rows = dims.iter().product::<usize>() / width;
    let x = x.reshape([rows, width / group, group]);
    let rms = (x.clone().powi_scalar(2).mean_dim(2) + epsilon).sqrt();
    let normed = (x / rms).reshape([rows, width]) * weight.unsqueeze::<2>(); // [R, D]
    match tail {
        Tail::None => normed.reshape(dims),
        Tail::Silu => (normed.clone() * sigmoid(normed)).reshape(dims),
        Tail::Rope(table) => {
            let [tokens, head_dim] = table.dims();
            let heads = width / head_dim;
            let pairs = normed.reshape([rows / tokens, tokens, heads, head_dim / 2, 2]);
            let table = table.reshape([1, tokens, 1, head_dim / 2, 2]);
            let (a, b) = (pairs.clone().narrow(4, 0, 1), pairs.narrow(4, 1, 1));
            let (cos, sin) = (table.clone().narrow(4, 0, 1), table.narrow(4, 1, 1));
            let first = a.clone() * cos.clone() - b.clone() * sin.clone();
            Tensor::cat(vec![first, a * sin + b * cos], 4).reshape(dims)
        }
    }
}

pub fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    key_lengths: Option<Arc<Vec<usize>>>,
) -> Tensor<3> {
    let [b, lq, width] = q.dims();
    let lk = k.dims()[1];
    let head_dim = width / heads;
    let split = |x: Tensor<3>, l: usize| x.reshape([b, l, heads, head_dim]).swap_dims(1, 2); // [B, N, L, Dh]
    let (q, k, v) = (split(q, lq), split(k, lk), split(v, lk));
    let mut scores = q.matmul(k.swap_dims(2, 3)) / (head_dim as f32).sqrt(); // [B, N, Lq, Lk]
    if let Some(lengths) = key_lengths {
        let mask: Vec<f32> =
            lengths.iter().flat_map(|&l| (0..lk).map(move |j| if j < l { 0.0 } else { -1e9 })).collect();
        let device = scores.device();
        scores = scores + Tensor::<4>::from_data(TensorData::new(mask, [b, 1, 1, lk]), &device);
    }
    softmax(scores).matmul(v).swap_dims(1, 2).reshape([b, lq, width]) // [B, Lq, N·Dh]
}

pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    geometry: ConvGeometry,
    residual: Option<Tensor<5>>,
) -> Tensor<5> {
    let [b, _, h, w, c] = x.dims();
    let out_channels = weight.dims()[1];
    let ([kt, kh, kw], [pt, ph, pw]) = (geometry.kernel, geometry.padding);
    let weight = weight.reshape([kt, kh, kw, c, out_channels]).permute([4, 3, 0, 1, 2]); // [O, C, Kt, Kh, Kw]
    let mut x = x.permute([0, 4, 1, 2, 3]); // [B, C, F, H, W]
    if pt > 0 {
        let zeros = Tensor::zeros([b, c, pt, h, w], &x.device());
        x = Tensor::cat(vec![zeros, x], 2);
    }
    let options = ConvOptions::new(geometry.stride, [0, ph, pw], [1, 1, 1], 1);
    let out = burn_conv3d(x, weight, Some(bias), options).permute([0, 2, 3, 4, 1]); // [B, F', H', W', O]
    match residual {
        None => out,
        Some(residual) => out + residual,
    }
}
