//! RMS norm (Zhang & Sennrich 2019) over groups of channels, with a weight a channel, and what follows it in place:
//! nothing, SiLU, or the rotation of neighbouring pairs (RoPE, Su et al. 2021).

use super::{dot, grain};
use crate::isa::multiversion;
use crate::pointwise::{sigmoid, silu_derivative};
use crate::threads::{Fresh, SharedMut, for_ranges};

/// What follows the norm in the same pass.
#[derive(Clone, Copy, Debug)]
pub enum RmsTail<'a> {
    /// Nothing.
    None,
    /// `x · σ(x)`.
    Silu,
    /// Pair `(2i, 2i+1)` of each head is turned by its angle. `table [L, Dh]` holds `cos, sin` of pair `i` of token `l`
    /// at `[l, 2i]` and `[l, 2i + 1]`; row `r` of `x` is token `r mod L`.
    Rope {
        /// `[L, Dh]`.
        table: &'a [f32],
        /// Width of a head, `Dh`.
        head_dim: usize,
    },
}

/// `y = tail(weight ∘ x / rms(x))`, `x [R, D]`, `weight [D]`; the mean square runs over each `group` channels of a row
/// (`D` for a norm of the full width, `Dh` for one a head).
pub fn rms_norm(x: &[f32], weight: &[f32], group: usize, epsilon: f32, tail: RmsTail) -> Vec<f32> {
    rms_norm_behind(&[], x, 1, weight, group, epsilon, tail)
}

/// The same behind rows that stay as they are: `past [B, P, D]`, `x [B, R, D]` → `[B, P + R, D]`. What a convolution that looks
/// back reads, without another pass to put the two together.
pub fn rms_norm_behind(
    past: &[f32],
    x: &[f32],
    batch: usize,
    weight: &[f32],
    group: usize,
    epsilon: f32,
    tail: RmsTail,
) -> Vec<f32> {
    let width = weight.len();
    check(x, width, group, &tail);
    let each = [past, x].map(|values| values.len() / (batch * width));
    assert_eq!(
        each.map(|rows| rows * batch * width),
        [past.len(), x.len()],
        "not [B, .., D] of {batch} samples"
    );
    let ([before, behind], len) = (each, past.len() + x.len());
    let fresh = Fresh::new(len);
    for_ranges(len / width, grain(width), |rows| {
        for row in rows {
            // SAFETY: rows are disjoint.
            let out = unsafe { fresh.slice(row * width, width) };
            let (sample, row) = (row / (before + behind), row % (before + behind));
            match row.checked_sub(before) {
                None => out.copy_from_slice(&past[(sample * before + row) * width..][..width]),
                Some(row) => {
                    let row = sample * behind + row;
                    forward_row(&x[row * width..][..width], weight, group, epsilon, tail, row, out);
                }
            }
        }
    });
    // SAFETY: every row was written.
    unsafe { fresh.finish(len) }
}

fn check(x: &[f32], width: usize, group: usize, tail: &RmsTail) {
    assert!(width > 0 && x.len() % width == 0, "x is not [R, {width}]");
    assert!(group > 0 && width % group == 0, "groups of {group} do not divide {width} channels");
    if let RmsTail::Rope { table, head_dim } = tail {
        assert!(
            head_dim % 2 == 0 && width % head_dim == 0 && table.len() % head_dim == 0,
            "rope table is not [L, Dh]"
        );
        let tokens = table.len() / head_dim;
        assert!(
            tokens > 0 && (x.len() / width) % tokens == 0,
            "rope table of {tokens} tokens does not divide the rows"
        );
    }
}

multiversion! {
    fn forward_row(
        x: &[f32],
        weight: &[f32],
        group: usize,
        epsilon: f32,
        tail: RmsTail,
        row: usize,
        out: &mut [f32],
    ) {
        for ((x, weight), out) in x.chunks_exact(group).zip(weight.chunks_exact(group)).zip(out.chunks_exact_mut(group)) {
            let inverse = 1.0 / (dot(x, x) / group as f32 + epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * weight;
            }
        }
        match tail {
            RmsTail::None => {}
            RmsTail::Silu => {
                for out in out.iter_mut() {
                    *out *= sigmoid(*out);
                }
            }
            RmsTail::Rope { table, head_dim } => rotate(out, table, head_dim, row, 1.0),
        }
    }
}

/// Turns each pair by its angle times `direction` (1 or −1).
#[inline(always)]
fn rotate(x: &mut [f32], table: &[f32], head_dim: usize, row: usize, direction: f32) {
    let token = row % (table.len() / head_dim);
    let table = &table[token * head_dim..][..head_dim];
    for head in x.chunks_exact_mut(head_dim) {
        for (pair, angle) in head.chunks_exact_mut(2).zip(table.chunks_exact(2)) {
            let (a, b) = (pair[0], pair[1]);
            let (cos, sin) = (angle[0], angle[1] * direction);
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }
}

/// Gradients `(dx [R, D], dweight [D])` for `d_out [R, D]`. Recomputes the norm: nothing need be kept from the forward.
pub fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    group: usize,
    epsilon: f32,
    tail: RmsTail,
    d_out: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    const BLOCK: usize = 256; // rows whose weight gradients are summed in order, so that threads do not matter
    let width = weight.len();
    check(x, width, group, &tail);
    assert_eq!(x.len(), d_out.len());
    let rows = x.len() / width;
    let blocks = rows.div_ceil(BLOCK);
    let dx_fresh = Fresh::new(x.len());
    let mut partial = vec![0.0; blocks * width];
    let partial_shared = SharedMut::new(&mut partial);
    for_ranges(blocks, 1, |range| {
        let mut scratch = vec![0.0; width];
        for block in range {
            // SAFETY: blocks are disjoint, and so are their rows.
            let dweight = unsafe { partial_shared.slice(block * width, width) };
            for row in block * BLOCK..rows.min((block + 1) * BLOCK) {
                let at = row * width..(row + 1) * width;
                // SAFETY: as above.
                let dx = unsafe { dx_fresh.slice(at.start, width) };
                let buffers = [dx, &mut *dweight, &mut scratch];
                backward_row(&x[at.clone()], weight, [group, row], epsilon, tail, &d_out[at], buffers);
            }
        }
    });
    let mut dweight = vec![0.0; width];
    for row in partial.chunks_exact(width) {
        for (sum, value) in dweight.iter_mut().zip(row) {
            *sum += value;
        }
    }
    // SAFETY: blocks cover every row.
    (unsafe { dx_fresh.finish(x.len()) }, dweight)
}

multiversion! {
    fn backward_row(
        x: &[f32],
        weight: &[f32],
        group_and_row: [usize; 2],
        epsilon: f32,
        tail: RmsTail,
        d_out: &[f32],
        buffers: [&mut [f32]; 3],
    ) {
        let [group, row] = group_and_row;
        let [dx, dweight, scratch] = buffers;
        // dx holds the gradient after the norm, then becomes that of x.
        dx.copy_from_slice(d_out);
        if let RmsTail::Rope { table, head_dim } = tail {
            rotate(dx, table, head_dim, row, -1.0);
        }
        for g in (0..x.len()).step_by(group) {
            let at = g..g + group;
            let (x, weight) = (&x[at.clone()], &weight[at.clone()]);
            let (dx, dweight, normed) = (&mut dx[at.clone()], &mut dweight[at.clone()], &mut scratch[at]);
            let inverse = 1.0 / (dot(x, x) / group as f32 + epsilon).sqrt();
            for (normed, x) in normed.iter_mut().zip(x) {
                *normed = x * inverse;
            }
            if matches!(tail, RmsTail::Silu) {
                for ((dx, normed), weight) in dx.iter_mut().zip(normed.iter()).zip(weight) {
                    *dx *= silu_derivative(normed * weight);
                }
            }
            for i in 0..group {
                dweight[i] += dx[i] * normed[i];
                dx[i] *= weight[i];
            }
            let mean = dot(dx, normed) / group as f32;
            for (dx, normed) in dx.iter_mut().zip(normed.iter()) {
                *dx = inverse * (*dx - normed * mean);
            }
        }
    }
}
