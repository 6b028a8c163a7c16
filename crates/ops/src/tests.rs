//! Kernels under burn against burn's own ops: values and every gradient.

use std::sync::Arc;

use burn::tensor::{Device, Distribution, Tensor};

use crate::{Activation, ConvGeometry, Tail, composed};

/// f32 sums in another order, through a forward and a backward pass.
const TOLERANCE: f32 = 2e-4;

/// `device`, its products in f32: every test asks through this, as all in one process share the precision.
pub(crate) fn exact(device: Device) -> Device {
    crate::set_precision(crate::Precision::F32);
    device
}

fn device() -> Device {
    exact(Device::flex().autodiff())
}

fn random<const D: usize>(dims: [usize; D]) -> Tensor<D> {
    Tensor::random(dims, Distribution::Normal(0.0, 1.0), &device()).require_grad()
}

fn assert_same<const D: usize>(what: &str, a: Tensor<D>, b: Tensor<D>) {
    assert_eq!(a.dims(), b.dims(), "{what}");
    let difference = (a - b).abs().max().into_scalar::<f32>();
    assert!(difference < TOLERANCE, "{what} differs by {difference}");
}

/// Compares outputs, then gradients of a random projection of them for each listed input.
macro_rules! compare {
    ($ours:expr, $theirs:expr, [$($input:ident),+]) => {{
        let (ours, theirs) = ($ours, $theirs);
        assert_same("output", ours.clone(), theirs.clone());
        let weights = random(ours.dims()).detach();
        let ours = (ours * weights.clone()).sum().backward();
        let theirs = (theirs * weights).sum().backward();
        $(assert_same(
            concat!("gradient of ", stringify!($input)),
            $input.grad(&ours).expect("ours"),
            $input.grad(&theirs).expect("theirs"),
        );)+
    }};
}

#[test]
fn linear_and_activations() {
    let (x, w, b) = (random([2, 5, 7]), random([7, 9]), random([9]));
    compare!(
        crate::linear(x.clone(), w.clone(), b.clone()),
        composed::linear(x.clone(), w.clone(), b.clone()),
        [x, w, b]
    );
    for activation in [
        Activation::Silu,
        Activation::GeluTanh,
        Activation::Gelu,
        Activation::QuickGelu,
        Activation::Sigmoid,
        Activation::Tanh,
    ] {
        compare!(crate::activate(x.clone(), activation), composed::activate(x.clone(), activation), [x]);
    }
    let y = random([2, 5, 7]);
    compare!(crate::add(x.clone(), y.clone()), x.clone() + y.clone(), [x, y]);
    compare!(crate::softmax(x.clone()), composed::softmax(x.clone()), [x]);
}

#[test]
fn modulation_with_one_group_a_frame() {
    let (x, y) = (random([2, 12, 10]), random([2, 12, 10]));
    let (shift, scale) = (random([2, 3, 10]), random([2, 3, 10]));
    compare!(
        crate::layer_norm_modulate(x.clone(), shift.clone(), scale.clone(), 1e-6),
        composed::layer_norm_modulate(x.clone(), shift.clone(), scale.clone(), 1e-6),
        [x, shift, scale]
    );
    compare!(
        crate::gated_residual(x.clone(), y.clone(), scale.clone()),
        composed::gated_residual(x.clone(), y.clone(), scale.clone()),
        [x, y, scale]
    );
}

#[test]
fn rms_norm_and_its_tails() {
    let (x, weight) = (random([2, 3, 16]), random([16]));
    let table = random([3, 8]).detach();
    for (group, tail) in
        [(16, Tail::None), (16, Tail::Silu), (8, Tail::Rope(table.clone())), (16, Tail::Rope(table))]
    {
        compare!(
            crate::rms_norm(x.clone(), weight.clone(), group, 1e-6, tail.clone()),
            composed::rms_norm(x.clone(), weight.clone(), group, 1e-6, tail),
            [x, weight]
        );
    }
}

#[test]
fn a_norm_behind_frames_that_are_known() {
    let (past, x, weight) = (random([2, 2, 3, 16]), random([2, 4, 3, 16]), random([16]));
    for tail in [Tail::None, Tail::Silu] {
        let normed = composed::rms_norm(x.clone(), weight.clone(), 16, 1e-6, tail.clone());
        compare!(
            crate::rms_norm_behind(past.clone(), x.clone(), weight.clone(), 16, 1e-6, tail),
            Tensor::cat(vec![past.clone(), normed], 1),
            [past, x, weight]
        );
    }
}

#[test]
fn views_made_contiguous() {
    let x = random([2, 3, 4, 5]);
    // Axes in another order, a part, each row twice; last, single values that are picked.
    compare!(
        crate::contiguous(x.clone().permute([2, 0, 1, 3])).reshape([8, 15]),
        x.clone().permute([2, 0, 1, 3]).reshape([8, 15]),
        [x]
    );
    compare!(crate::contiguous(x.clone().narrow(2, 1, 2)), x.clone().narrow(2, 1, 2), [x]);
    let twice = |x: Tensor<4>| x.reshape::<5, _>([2, 3, 4, 1, 5]).expand([2, 3, 4, 2, 5]);
    compare!(
        crate::contiguous(twice(x.clone())).reshape([2, 3, 8, 5]),
        twice(x.clone()).reshape([2, 3, 8, 5]),
        [x]
    );
    compare!(crate::contiguous(x.clone().swap_dims(1, 3)), x.clone().swap_dims(1, 3), [x]);
}

#[test]
fn attention_with_and_without_key_lengths() {
    let (q, k, v) = (random([2, 9, 16]), random([2, 6, 16]), random([2, 6, 16]));
    for lengths in [None, Some(Arc::new(vec![6, 2]))] {
        compare!(
            crate::attention(q.clone(), k.clone(), v.clone(), 2, lengths.clone()),
            composed::attention(q.clone(), k.clone(), v.clone(), 2, lengths),
            [q, k, v]
        );
    }
}

#[test]
fn conv3d_causal_strided_and_with_residual() {
    let x = random([2, 3, 6, 4, 5]);
    for (kernel, stride, padding) in [
        ([2, 3, 3], [1, 1, 1], [1, 1, 1]),
        ([1, 2, 2], [1, 2, 2], [0, 0, 0]),
        ([3, 1, 1], [1, 1, 1], [2, 0, 0]),
    ] {
        let geometry = ConvGeometry { kernel, stride, padding };
        let (w, b) = (random([kernel.iter().product::<usize>() * 5, 5]), random([5]));
        let plain = crate::conv3d(x.clone(), w.clone(), b.clone(), geometry, None);
        let r = random(plain.dims());
        compare!(
            crate::conv3d(x.clone(), w.clone(), b.clone(), geometry, Some(r.clone())),
            composed::conv3d(x.clone(), w.clone(), b.clone(), geometry, Some(r.clone())),
            [x, w, b, r]
        );
        compare!(plain, composed::conv3d(x.clone(), w.clone(), b.clone(), geometry, None), [x, w, b]);
    }
}
