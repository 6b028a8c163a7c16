//! The ops on burn's CPU storage: kernels forward and backward, recorded on the tape.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Shape};
use vidit_kernels::attention::{self, AttentionShape, Keys};
use vidit_kernels::conv3d::{self, Conv3dShape};
use vidit_kernels::gemm::{Bias, BiasResidual, DepthMajor, LaneMajor, Plain, gemm_new};
use vidit_kernels::norm::{self, RmsTail};
use vidit_kernels::pointwise::{self, Activation};
use vidit_kernels::rearrange::{self, View};
use vidit_kernels::softmax;

use crate::precision;
use crate::tape::{Saved, record};

/// Tokens whose keys a sample may see, `None` for all: one count a sample.
pub type KeyLengths = Option<Arc<Vec<usize>>>;

/// What follows an RMS norm.
#[derive(Clone, Copy, Debug)]
pub enum CpuTail {
    /// Nothing.
    None,
    /// SiLU.
    Silu,
    /// Rotation of heads of this width; the table is the third tensor.
    Rope(usize),
}

#[backend_extension(Flex, Autodiff)]
pub trait VideoOps: Backend {
    /// `x [.., K] · w [K, N] + b [N]`
    fn linear(x: FloatTensor<Self>, w: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    fn linear_grad(
        g: FloatTensor<Self>,
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
    fn activate_grad(g: FloatTensor<Self>, x: FloatTensor<Self>, activation: Activation)
    -> FloatTensor<Self>;

    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Over the last axis.
    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// From its result.
    fn softmax_rows_grad(g: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self>;

    fn gated_residual(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn gated_residual_grad(
        g: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn layer_norm_modulate(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
    /// Output and row statistics.
    fn layer_norm_modulate_keep(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn layer_norm_modulate_grad(
        g: FloatTensor<Self>,
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `table` is read by [`CpuTail::Rope`] alone.
    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        table: FloatTensor<Self>,
        group: usize,
        epsilon: f32,
        tail: CpuTail,
    ) -> FloatTensor<Self>;
    fn rms_norm_grad(
        g: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        table: FloatTensor<Self>,
        group: usize,
        epsilon: f32,
        tail: CpuTail,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The same behind `past [B, P, .., D]`, along the second axis.
    fn rms_norm_behind(
        past: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        group: usize,
        epsilon: f32,
        tail: CpuTail,
    ) -> FloatTensor<Self>;
    fn rms_norm_behind_grad(
        g: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        group: usize,
        epsilon: f32,
        tail: CpuTail,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// What a view shows, in the order of its axes.
    fn contiguous(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
        key_lengths: KeyLengths,
    ) -> FloatTensor<Self>;
    /// Output and log-sum-exp.
    fn attention_keep(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
        key_lengths: KeyLengths,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn attention_grad(
        g: FloatTensor<Self>,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        out: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        heads: usize,
        key_lengths: KeyLengths,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `x [B, F, H, W, C]`, `w [taps·C, O]`, `b [O]`
    fn conv3d(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        shape: Conv3dShape,
    ) -> FloatTensor<Self>;
    /// The same plus a residual of the output's shape.
    fn conv3d_residual(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        shape: Conv3dShape,
    ) -> FloatTensor<Self>;
    fn conv3d_grad(
        g: FloatTensor<Self>,
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        shape: Conv3dShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// A contiguous f32 tensor's values.
pub(crate) struct Values(FlexTensor);

impl Values {
    pub fn new(tensor: FlexTensor) -> Self {
        assert_eq!(tensor.dtype(), DType::F32, "kernels take f32 activations");
        let layout = tensor.layout();
        let view = View {
            data: tensor.storage(),
            offset: layout.start_offset(),
            shape: layout.shape().as_slice(),
            strides: layout.strides(),
        };
        // Else single values are picked, as by a transposition: burn does it in tiles.
        if !tensor.is_contiguous() && view.has_whole_rows() {
            return Self(self::tensor(rearrange::contiguous(view), layout.shape().clone()));
        }
        Self(tensor.to_contiguous())
    }

    pub fn shape(&self) -> Shape {
        self.0.layout().shape().clone()
    }

    /// From `start` to `end` along the second axis, `[B, L, ..]` → `[B, end − start, ..]`.
    fn along_second(&self, start: usize, end: usize) -> FlexTensor {
        let mut shape = self.shape().as_slice().to_vec();
        let row: usize = shape[2..].iter().product();
        let view = View {
            data: self,
            offset: start * row,
            shape: &[shape[0], (end - start) * row],
            strides: &[(shape[1] * row) as isize, 1],
        };
        let values = rearrange::contiguous(view);
        shape[1] = end - start;
        tensor(values, Shape::from(shape))
    }

    pub fn last(&self) -> usize {
        let shape = self.shape();
        shape.as_slice()[shape.as_slice().len() - 1]
    }
}

impl std::ops::Deref for Values {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        self.0.as_slice().expect("contiguous f32")
    }
}

pub(crate) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

fn attention_shape(q: &Values, k: &Values, heads: usize) -> AttentionShape {
    let (q, k) = (q.shape(), k.shape());
    let (q, k) = (q.as_slice(), k.as_slice());
    AttentionShape { batch: q[0], heads, head_dim: q[2] / heads, queries: q[1], keys: k[1] }
}

fn tail<'a>(tail: CpuTail, table: &'a Values) -> RmsTail<'a> {
    match tail {
        CpuTail::None => RmsTail::None,
        CpuTail::Silu => RmsTail::Silu,
        CpuTail::Rope(head_dim) => RmsTail::Rope { table, head_dim },
    }
}

fn which(key_lengths: &KeyLengths) -> Keys<'_> {
    Keys { lengths: key_lengths.as_ref().map(|lengths| lengths.as_slice()), bias: None }
}

impl VideoOps for Flex {
    fn linear(x: FlexTensor, w: FlexTensor, b: FlexTensor) -> FlexTensor {
        let (x, w, b) = (Values::new(x), Values::new(w), Values::new(b));
        let (k, n) = (x.last(), w.last());
        let m = x.len() / k;
        let (lhs, rhs) = (LaneMajor { data: &x, stride: k }, DepthMajor { data: &w, stride: n });
        let out = gemm_new([m, n, k], &lhs, &rhs, &Bias(&b), precision());
        let mut shape = x.shape().as_slice().to_vec();
        *shape.last_mut().expect("rank ≥ 1") = n;
        tensor(out, Shape::from(shape)) // [.., N]
    }

    fn linear_grad(g: FlexTensor, x: FlexTensor, w: FlexTensor) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (g, x, w) = (Values::new(g), Values::new(x), Values::new(w));
        let (k, n) = (x.last(), w.last());
        let m = x.len() / k;
        let (lhs, rhs) = (LaneMajor { data: &g, stride: n }, LaneMajor { data: &w, stride: n });
        let dx = gemm_new([m, k, n], &lhs, &rhs, &Plain, precision());
        let (lhs, rhs) = (DepthMajor { data: &x, stride: k }, DepthMajor { data: &g, stride: n });
        let dw = gemm_new([k, n, m], &lhs, &rhs, &Plain, precision());
        let db = pointwise::column_sums(&g, n);
        (tensor(dx, x.shape()), tensor(dw, w.shape()), tensor(db, Shape::from(vec![n])))
    }

    fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
        let x = Values::new(x);
        tensor(pointwise::activate(&x, activation), x.shape())
    }

    fn activate_grad(g: FlexTensor, x: FlexTensor, activation: Activation) -> FlexTensor {
        let (g, x) = (Values::new(g), Values::new(x));
        tensor(pointwise::activate_backward(&x, &g, activation), x.shape())
    }

    fn add(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        let (a, b) = (Values::new(a), Values::new(b));
        tensor(pointwise::add(&a, &b), a.shape())
    }

    fn softmax_rows(x: FlexTensor) -> FlexTensor {
        let x = Values::new(x);
        tensor(softmax::softmax(&x, x.last()), x.shape())
    }

    fn softmax_rows_grad(g: FlexTensor, y: FlexTensor) -> FlexTensor {
        let (g, y) = (Values::new(g), Values::new(y));
        tensor(softmax::softmax_backward(&y, &g, y.last()), y.shape())
    }

    fn gated_residual(x: FlexTensor, y: FlexTensor, gate: FlexTensor) -> FlexTensor {
        let (x, y, gate) = (Values::new(x), Values::new(y), Values::new(gate));
        tensor(pointwise::gated_residual(&x, &y, &gate, x.last()), x.shape())
    }

    fn gated_residual_grad(g: FlexTensor, y: FlexTensor, gate: FlexTensor) -> (FlexTensor, FlexTensor) {
        let (g, y, gate) = (Values::new(g), Values::new(y), Values::new(gate));
        let (dy, dgate) = pointwise::gated_residual_backward(&y, &gate, &g, y.last());
        (tensor(dy, y.shape()), tensor(dgate, gate.shape()))
    }

    fn layer_norm_modulate(x: FlexTensor, shift: FlexTensor, scale: FlexTensor, epsilon: f32) -> FlexTensor {
        <Flex as VideoOps>::layer_norm_modulate_keep(x, shift, scale, epsilon).0
    }

    fn layer_norm_modulate_keep(
        x: FlexTensor,
        shift: FlexTensor,
        scale: FlexTensor,
        epsilon: f32,
    ) -> (FlexTensor, FlexTensor) {
        let (x, shift, scale) = (Values::new(x), Values::new(shift), Values::new(scale));
        let width = x.last();
        let normed = norm::layer_norm_modulate(&x, &shift, &scale, width, epsilon);
        let rows = x.len() / width;
        (tensor(normed.out, x.shape()), tensor(normed.statistics, Shape::from(vec![rows, 2])))
    }

    fn layer_norm_modulate_grad(
        g: FlexTensor,
        x: FlexTensor,
        scale: FlexTensor,
        statistics: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (g, x) = (Values::new(g), Values::new(x));
        let (scale, statistics) = (Values::new(scale), Values::new(statistics));
        let (dx, dshift, dscale) = norm::layer_norm_modulate_backward(&x, &scale, &statistics, &g, x.last());
        (tensor(dx, x.shape()), tensor(dshift, scale.shape()), tensor(dscale, scale.shape()))
    }

    fn rms_norm(
        x: FlexTensor,
        weight: FlexTensor,
        table: FlexTensor,
        group: usize,
        epsilon: f32,
        kind: CpuTail,
    ) -> FlexTensor {
        let (x, weight, table) = (Values::new(x), Values::new(weight), Values::new(table));
        tensor(norm::rms_norm(&x, &weight, group, epsilon, tail(kind, &table)), x.shape())
    }

    fn rms_norm_grad(
        g: FlexTensor,
        x: FlexTensor,
        weight: FlexTensor,
        table: FlexTensor,
        group: usize,
        epsilon: f32,
        kind: CpuTail,
    ) -> (FlexTensor, FlexTensor) {
        let (g, x) = (Values::new(g), Values::new(x));
        let (weight, table) = (Values::new(weight), Values::new(table));
        let (dx, dweight) = norm::rms_norm_backward(&x, &weight, group, epsilon, tail(kind, &table), &g);
        (tensor(dx, x.shape()), tensor(dweight, weight.shape()))
    }

    fn rms_norm_behind(
        past: FlexTensor,
        x: FlexTensor,
        weight: FlexTensor,
        group: usize,
        epsilon: f32,
        kind: CpuTail,
    ) -> FlexTensor {
        let (past, x, weight) = (Values::new(past), Values::new(x), Values::new(weight));
        let mut shape = x.shape().as_slice().to_vec();
        let tail = tail(kind, &weight);
        let out = norm::rms_norm_behind(&past, &x, shape[0], &weight, group, epsilon, tail);
        shape[1] += past.shape().as_slice()[1];
        tensor(out, Shape::from(shape))
    }

    fn rms_norm_behind_grad(
        g: FlexTensor,
        x: FlexTensor,
        weight: FlexTensor,
        group: usize,
        epsilon: f32,
        kind: CpuTail,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let g = Values::new(g);
        let [all, behind] = [&g.shape(), x.layout().shape()].map(|shape| shape.as_slice()[1]);
        let d_past = g.along_second(0, all - behind);
        let g = g.along_second(all - behind, all);
        let (dx, d_weight) =
            <Flex as VideoOps>::rms_norm_grad(g, x, weight.clone(), weight, group, epsilon, kind);
        (d_past, dx, d_weight)
    }

    fn contiguous(x: FlexTensor) -> FlexTensor {
        Values::new(x).0
    }

    fn attention(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        heads: usize,
        key_lengths: KeyLengths,
    ) -> FlexTensor {
        <Flex as VideoOps>::attention_keep(q, k, v, heads, key_lengths).0
    }

    fn attention_keep(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        heads: usize,
        key_lengths: KeyLengths,
    ) -> (FlexTensor, FlexTensor) {
        let (q, k, v) = (Values::new(q), Values::new(k), Values::new(v));
        let shape = attention_shape(&q, &k, heads);
        let attended = attention::forward(&q, &k, &v, shape, which(&key_lengths), precision());
        let rows = Shape::from(vec![shape.batch, heads, shape.queries]);
        (tensor(attended.out, q.shape()), tensor(attended.log_sum_exp, rows))
    }

    fn attention_grad(
        g: FlexTensor,
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        out: FlexTensor,
        log_sum_exp: FlexTensor,
        heads: usize,
        key_lengths: KeyLengths,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (g, q, k, v) = (Values::new(g), Values::new(q), Values::new(k), Values::new(v));
        let shape = attention_shape(&q, &k, heads);
        let (out, lse) = (Values::new(out), Values::new(log_sum_exp));
        let d = attention::backward(&q, &k, &v, &out, &lse, &g, shape, which(&key_lengths), precision());
        (tensor(d.q, q.shape()), tensor(d.k, k.shape()), tensor(d.v, v.shape()))
    }

    fn conv3d(x: FlexTensor, w: FlexTensor, b: FlexTensor, shape: Conv3dShape) -> FlexTensor {
        let (x, w, b) = (Values::new(x), Values::new(w), Values::new(b));
        tensor(conv3d::forward(&x, &w, shape, &Bias(&b), precision()), conv_output(&shape))
    }

    fn conv3d_residual(
        x: FlexTensor,
        w: FlexTensor,
        b: FlexTensor,
        residual: FlexTensor,
        shape: Conv3dShape,
    ) -> FlexTensor {
        let (x, w, b, residual) = (Values::new(x), Values::new(w), Values::new(b), Values::new(residual));
        let epilogue = BiasResidual { bias: &b, residual: &residual };
        tensor(conv3d::forward(&x, &w, shape, &epilogue, precision()), conv_output(&shape))
    }

    fn conv3d_grad(
        g: FlexTensor,
        x: FlexTensor,
        w: FlexTensor,
        shape: Conv3dShape,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (g, x, w) = (Values::new(g), Values::new(x), Values::new(w));
        let dx = conv3d::backward_input(&w, &g, shape, precision());
        let dw = conv3d::backward_weights(&x, &g, shape, precision());
        let db = pointwise::column_sums(&g, shape.channels_out);
        (tensor(dx, x.shape()), tensor(dw, w.shape()), tensor(db, Shape::from(vec![shape.channels_out])))
    }
}

fn conv_output(shape: &Conv3dShape) -> Shape {
    let [f, h, w] = shape.output();
    Shape::from(vec![shape.batch, f, h, w, shape.channels_out])
}

impl<B: Backend + VideoOps, C: CheckpointStrategy> VideoOps for Autodiff<B, C> {
    fn linear(x: FloatTensor<Self>, w: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((x, nx), (w, nw), (b, nb)) = (x.into_parts(), w.into_parts(), b.into_parts());
        record::<B, C, (), 3>(
            [nx, nw, nb],
            |g, saved| {
                let [x, w] = saved.tensors.try_into().expect("two tensors");
                B::linear_grad(g, x, w).into()
            },
            || {
                (
                    <B as VideoOps>::linear(x.clone(), w.clone(), b),
                    Saved { tensors: vec![x, w], arguments: () },
                )
            },
        )
    }

    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let (x, nx) = x.into_parts();
        record::<B, C, Activation, 1>(
            [nx],
            |g, saved| {
                let [x] = saved.tensors.try_into().expect("one tensor");
                [B::activate_grad(g, x, saved.arguments)]
            },
            || (B::activate(x.clone(), activation), Saved { tensors: vec![x], arguments: activation }),
        )
    }

    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((a, na), (b, nb)) = (a.into_parts(), b.into_parts());
        record::<B, C, (), 2>(
            [na, nb],
            |g, _| [g.clone(), g],
            || (B::add(a, b), Saved { tensors: vec![], arguments: () }),
        )
    }

    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, nx) = x.into_parts();
        record::<B, C, (), 1>(
            [nx],
            |g, saved| {
                let [y] = saved.tensors.try_into().expect("one tensor");
                [B::softmax_rows_grad(g, y)]
            },
            || {
                let y = B::softmax_rows(x);
                (y.clone(), Saved { tensors: vec![y], arguments: () })
            },
        )
    }

    fn gated_residual(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let ((x, nx), (y, ny), (gate, ng)) = (x.into_parts(), y.into_parts(), gate.into_parts());
        record::<B, C, (), 3>(
            [nx, ny, ng],
            |g, saved| {
                let [y, gate] = saved.tensors.try_into().expect("two tensors");
                let (dy, dgate) = B::gated_residual_grad(g.clone(), y, gate);
                [g, dy, dgate]
            },
            || {
                let out = B::gated_residual(x, y.clone(), gate.clone());
                (out, Saved { tensors: vec![y, gate], arguments: () })
            },
        )
    }

    fn layer_norm_modulate(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let ((x, nx), (shift, nh), (scale, nc)) = (x.into_parts(), shift.into_parts(), scale.into_parts());
        record::<B, C, (), 3>(
            [nx, nh, nc],
            |g, saved| {
                let [x, scale, statistics] = saved.tensors.try_into().expect("three tensors");
                B::layer_norm_modulate_grad(g, x, scale, statistics).into()
            },
            || {
                let (out, stat) = B::layer_norm_modulate_keep(x.clone(), shift, scale.clone(), epsilon);
                (out, Saved { tensors: vec![x, scale, stat], arguments: () })
            },
        )
    }

    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        table: FloatTensor<Self>,
        group: usize,
        epsilon: f32,
        tail: CpuTail,
    ) -> FloatTensor<Self> {
        let ((x, nx), (weight, nw), (table, _)) = (x.into_parts(), weight.into_parts(), table.into_parts());
        record::<B, C, (usize, f32, CpuTail), 2>(
            [nx, nw],
            |g, saved| {
                let [x, weight, table] = saved.tensors.try_into().expect("three tensors");
                let (group, epsilon, tail) = saved.arguments;
                B::rms_norm_grad(g, x, weight, table, group, epsilon, tail).into()
            },
            || {
                let out = B::rms_norm(x.clone(), weight.clone(), table.clone(), group, epsilon, tail);
                (out, Saved { tensors: vec![x, weight, table], arguments: (group, epsilon, tail) })
            },
        )
    }

    fn rms_norm_behind(
        past: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        group: usize,
        epsilon: f32,
        tail: CpuTail,
    ) -> FloatTensor<Self> {
        let ((past, np), (x, nx), (weight, nw)) = (past.into_parts(), x.into_parts(), weight.into_parts());
        record::<B, C, (usize, f32, CpuTail), 3>(
            [np, nx, nw],
            |g, saved| {
                let [x, weight] = saved.tensors.try_into().expect("two tensors");
                let (group, epsilon, tail) = saved.arguments;
                B::rms_norm_behind_grad(g, x, weight, group, epsilon, tail).into()
            },
            || {
                let out = B::rms_norm_behind(past, x.clone(), weight.clone(), group, epsilon, tail);
                (out, Saved { tensors: vec![x, weight], arguments: (group, epsilon, tail) })
            },
        )
    }

    fn contiguous(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, nx) = x.into_parts();
        record::<B, C, (), 1>(
            [nx],
            |g, _| [g],
            || (B::contiguous(x), Saved { tensors: vec![], arguments: () }),
        )
    }

    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
        key_lengths: KeyLengths,
    ) -> FloatTensor<Self> {
        let ((q, nq), (k, nk), (v, nv)) = (q.into_parts(), k.into_parts(), v.into_parts());
        record::<B, C, (usize, KeyLengths), 3>(
            [nq, nk, nv],
            |g, saved| {
                let [q, k, v, out, lse] = saved.tensors.try_into().expect("five tensors");
                let (heads, key_lengths) = saved.arguments;
                B::attention_grad(g, q, k, v, out, lse, heads, key_lengths).into()
            },
            || {
                let (out, lse) =
                    B::attention_keep(q.clone(), k.clone(), v.clone(), heads, key_lengths.clone());
                (out.clone(), Saved { tensors: vec![q, k, v, out, lse], arguments: (heads, key_lengths) })
            },
        )
    }

    fn conv3d(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        shape: Conv3dShape,
    ) -> FloatTensor<Self> {
        let ((x, nx), (w, nw), (b, nb)) = (x.into_parts(), w.into_parts(), b.into_parts());
        record::<B, C, Conv3dShape, 3>(
            [nx, nw, nb],
            |g, saved| {
                let [x, w] = saved.tensors.try_into().expect("two tensors");
                B::conv3d_grad(g, x, w, saved.arguments).into()
            },
            || {
                (
                    <B as VideoOps>::conv3d(x.clone(), w.clone(), b, shape),
                    Saved { tensors: vec![x, w], arguments: shape },
                )
            },
        )
    }

    fn conv3d_residual(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        shape: Conv3dShape,
    ) -> FloatTensor<Self> {
        let ((x, nx), (w, nw), (b, nb)) = (x.into_parts(), w.into_parts(), b.into_parts());
        let (residual, nr) = residual.into_parts();
        record::<B, C, Conv3dShape, 4>(
            [nx, nw, nb, nr],
            |g, saved| {
                let [x, w] = saved.tensors.try_into().expect("two tensors");
                let (dx, dw, db) = B::conv3d_grad(g.clone(), x, w, saved.arguments);
                [dx, dw, db, g]
            },
            || {
                let out = B::conv3d_residual(x.clone(), w.clone(), b, residual, shape);
                (out, Saved { tensors: vec![x, w], arguments: shape })
            },
        )
    }

    // Gradients of gradients do not exist here: burn's tape is first order.
    fn linear_grad(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn activate_grad(_: FloatTensor<Self>, _: FloatTensor<Self>, _: Activation) -> FloatTensor<Self> {
        unreachable!("{SECOND_ORDER}")
    }
    fn softmax_rows_grad(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{SECOND_ORDER}")
    }
    fn gated_residual_grad(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn layer_norm_modulate_keep(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn layer_norm_modulate_grad(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn rms_norm_grad(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f32,
        _: CpuTail,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn rms_norm_behind_grad(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f32,
        _: CpuTail,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn attention_keep(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: KeyLengths,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn attention_grad(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: KeyLengths,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
    fn conv3d_grad(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Conv3dShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
}

const SECOND_ORDER: &str = "gradient ops run below the tape";

/// The dispatch type that the macro implements the trait for.
pub type OnDevice = Dispatch;
