//! Element by element: activations, gated residuals, exponentials. Each is one pass over memory, on all threads.
//!
//! The bodies are plain Rust that the compiler vectorises at each instruction set; the oracle is the same formula in f64,
//! in the tests.

mod activation;

use rayon::prelude::*;

use crate::isa::multiversion;
use crate::threads::{Fresh, SharedMut, for_pieces, for_ranges};
pub use activation::{Activation, activate, activate_backward, activate_in_place};
pub(crate) use activation::{add_and_map, silu_derivative, tanh};

/// Elements of a task at least: below this a thread costs more than it gives.
const GRAIN: usize = 16 * 1024;

/// `eˣ`, relative error below 3e-7 for `x` in ±87, saturating outside; NaN stays NaN. Neither the result nor its
/// inverse is denormal: arithmetic on such numbers takes some hundred cycles on many machines.
///
/// `eˣ = 2ⁿ · eʳ` with `n` the integer nearest to `x / ln 2`, found by adding 1.5·2²³ (the sum's low bits are `n`), `r`
/// reduced with `ln 2` in two parts, and the polynomial of Cephes' `expf` (Moshier) for `eʳ`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0 + 127.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons and not `clamp`, so that NaN passes through.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 87.0 { 87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    (p * r * r + r + 1.0) * f32::from_bits(shifted.to_bits() << 23)
}

#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

multiversion! {
    /// `row[i] = scale · row[i] + bias[i]`.
    pub(crate) fn scale_and_add(row: &mut [f32], scale: f32, bias: &[f32]) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value = *value * scale + bias;
        }
    }
}

/// `2ᵗ`, relative error below 2e-7 for `t` in ±126, saturating outside; NaN stays NaN. Like [`exp`] never denormal.
///
/// `2ᵗ = 2ⁿ · 2ʳ` with `n` the nearest integer, and for `2ʳ`, |r| ≤ ½, the polynomial of degree 6 with `p(0) = 1` whose largest
/// relative error is smallest (found by Remez' exchange: 2.6e-9 before rounding).
#[inline(always)]
pub(crate) fn exp2(t: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0 + 127.0;
    let t = if t < -126.0 { -126.0 } else { t };
    let t = if t > 126.0 { 126.0 } else { t };
    let shifted = t + SHIFT;
    let r = t - (shifted - SHIFT);
    let p = 1.559_467_8e-4_f32;
    let p = p * r + 1.340_664_4e-3;
    let p = p * r + 9.617_693e-3;
    let p = p * r + 5.550_310_6e-2;
    let p = p * r + 0.240_226_53;
    let p = p * r + std::f32::consts::LN_2;
    (p * r + 1.0) * f32::from_bits(shifted.to_bits() << 23)
}

multiversion! {
    /// `row[i] = exp(scale · row[i] − shift)`; returns the sum.
    pub(crate) fn exp_shifted_sum(row: &mut [f32], scale: f32, shift: f32) -> f32 {
        let (scale, shift) = (scale * std::f32::consts::LOG2_E, shift * std::f32::consts::LOG2_E);
        let mut sums = [0.0f32; 16];
        let mut chunks = row.chunks_exact_mut(16);
        for chunk in &mut chunks {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *value = exp2(*value * scale - shift);
                *sum += *value;
            }
        }
        let mut rest = 0.0;
        for value in chunks.into_remainder() {
            *value = exp2(*value * scale - shift);
            rest += *value;
        }
        sums.iter().sum::<f32>() + rest
    }
}

/// `out = a + b`.
pub fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    assert_eq!(a.len(), b.len());
    let fresh = Fresh::new(a.len());
    for_pieces(a.len(), GRAIN, |range| {
        // SAFETY: ranges are disjoint.
        let out = unsafe { fresh.slice(range.start, range.len()) };
        sum_of_two(&a[range.clone()], &b[range], out);
    });
    // SAFETY: ranges cover the whole.
    unsafe { fresh.finish(a.len()) }
}

/// `a += b`, where it is.
pub fn add_in_place(a: &mut [f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    a.par_chunks_mut(GRAIN).zip(b.par_chunks(GRAIN)).for_each(|(a, b)| add_slice(a, b));
}

/// `a = activation(a + b)`, where it is.
pub fn add_and_activate_in_place(a: &mut [f32], b: &[f32], activation: Activation) {
    assert_eq!(a.len(), b.len());
    a.par_chunks_mut(GRAIN).zip(b.par_chunks(GRAIN)).for_each(|(a, b)| add_and_map(a, b, activation));
}

multiversion! {
    fn sum_of_two(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a + b;
        }
    }
}

multiversion! {
    /// `out = x + gate ∘ y`.
    fn gated_row(x: &[f32], y: &[f32], gate: &[f32], out: &mut [f32]) {
        for (((out, x), y), gate) in out.iter_mut().zip(x).zip(y).zip(gate) {
            *out = x + gate * y;
        }
    }
}

multiversion! {
    /// `dy = d ∘ gate`, `dgate += d ∘ y`.
    fn gated_row_backward(y: &[f32], gate: &[f32], d: &[f32], dy: &mut [f32], dgate: &mut [f32]) {
        for ((((y, gate), d), dy), dgate) in y.iter().zip(gate).zip(d).zip(dy).zip(dgate) {
            *dy = d * gate;
            *dgate += d * y;
        }
    }
}

multiversion! {
    fn add_slice(a: &mut [f32], b: &[f32]) {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
    }
}

/// `out[r] = x[r] + gate[r / rows_per_group] ∘ y[r]`: the gated residual of adaLN. `x, y [R, D]`, `gate [G, D]`.
pub fn gated_residual(x: &[f32], y: &[f32], gate: &[f32], width: usize) -> Vec<f32> {
    let rows_per_group = rows_per_group(x.len(), gate.len(), width);
    assert_eq!(x.len(), y.len());
    let fresh = Fresh::new(x.len());
    for_ranges(x.len() / width, GRAIN / width + 1, |rows| {
        for row in rows {
            let at = row * width..(row + 1) * width;
            let gate = &gate[row / rows_per_group * width..][..width];
            // SAFETY: rows are disjoint.
            let out = unsafe { fresh.slice(at.start, width) };
            gated_row(&x[at.clone()], &y[at], gate, out);
        }
    });
    // SAFETY: ranges cover the whole.
    unsafe { fresh.finish(x.len()) }
}

/// Gradients of [`gated_residual`] for `y` and `gate`; that of `x` is `d_out` itself.
pub fn gated_residual_backward(y: &[f32], gate: &[f32], d_out: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let rows_per_group = rows_per_group(y.len(), gate.len(), width);
    assert_eq!(y.len(), d_out.len());
    let dy_fresh = Fresh::new(y.len());
    let mut dgate = vec![0.0; gate.len()];
    let dgate_shared = SharedMut::new(&mut dgate);
    for_ranges(gate.len() / width, 1, |groups| {
        for group in groups {
            let gate = &gate[group * width..][..width];
            // SAFETY: groups are disjoint.
            let dgate = unsafe { dgate_shared.slice(group * width, width) };
            for row in group * rows_per_group..(group + 1) * rows_per_group {
                let at = row * width..(row + 1) * width;
                // SAFETY: rows of a group are this task's.
                let dy = unsafe { dy_fresh.slice(at.start, width) };
                gated_row_backward(&y[at.clone()], gate, &d_out[at], dy, dgate);
            }
        }
    });
    // SAFETY: groups cover every row.
    (unsafe { dy_fresh.finish(y.len()) }, dgate)
}

/// Rows of `x` that share one row of `group`.
///
/// # Panics
/// If rows of `width` do not share groups evenly.
pub(crate) fn rows_per_group(x_len: usize, group_len: usize, width: usize) -> usize {
    assert!(
        group_len > 0 && x_len % group_len == 0 && group_len % width == 0,
        "{x_len} values cannot share {group_len} modulations of width {width} evenly"
    );
    x_len / group_len
}

/// Sum of each column of `x [R, D]`, rows added in order within blocks and blocks in order: the same for any threads.
pub fn column_sums(x: &[f32], width: usize) -> Vec<f32> {
    const BLOCK: usize = 256;
    let rows = x.len() / width;
    let blocks = rows.div_ceil(BLOCK);
    let mut partial = vec![0.0; blocks * width];
    let shared = SharedMut::new(&mut partial);
    for_ranges(blocks, 4, |range| {
        for block in range {
            // SAFETY: blocks are disjoint.
            let sums = unsafe { shared.slice(block * width, width) };
            for row in x[block * BLOCK * width..rows.min((block + 1) * BLOCK) * width].chunks_exact(width) {
                add_slice(sums, row);
            }
        }
    });
    let mut sums = vec![0.0; width];
    partial.chunks_exact(width).for_each(|row| add_slice(&mut sums, row));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Lcg, check_gradient, force_each_isa};

    #[test]
    fn exp_is_accurate_over_its_range_and_keeps_nan() {
        let mut x = -87.0f32;
        while x < 87.0 {
            let relative = (exp(x) as f64 / (x as f64).exp() - 1.0).abs();
            assert!(relative < 3e-7, "exp({x}) is off by {relative}");
            x += 0.0137;
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY).is_finite());
        for x in [f32::NEG_INFINITY, -90.0, 90.0, f32::INFINITY] {
            assert!(exp(x).is_normal() && sigmoid(x).is_normal(), "{x}");
        }
    }

    #[test]
    fn exp2_is_accurate_over_its_range_and_keeps_nan() {
        let mut t = -126.0f32;
        while t < 126.0 {
            let relative = (exp2(t) as f64 / (t as f64).exp2() - 1.0).abs();
            assert!(relative < 2e-7, "2^{t} is off by {relative}");
            t += 0.0137;
        }
        assert!(exp2(f32::NAN).is_nan() && exp2(0.0) == 1.0);
        for t in [f32::NEG_INFINITY, -127.0, 127.0, f32::INFINITY] {
            assert!(exp2(t).is_normal(), "{t}");
        }
    }

    #[test]
    fn sums_are_activated_where_they_are_at_every_isa() {
        let mut random = Lcg::new(6);
        let (a, b) = (random.normal(GRAIN + 37), random.normal(GRAIN + 37));
        force_each_isa(|isa| {
            let mut sums = a.clone();
            add_and_activate_in_place(&mut sums, &b, Activation::Relu);
            for i in 0..a.len() {
                assert_eq!(sums[i], (a[i] + b[i]).max(0.0), "{isa} [{i}]");
            }
        });
    }

    #[test]
    fn gated_residual_and_its_gradients() {
        let (rows, groups, width) = (12, 3, 7);
        let mut random = Lcg::new(5);
        let (x, y, w) =
            (random.normal(rows * width), random.normal(rows * width), random.normal(rows * width));
        let gate = random.normal(groups * width);
        let loss = |y: &[f32], gate: &[f32]| -> f64 {
            (0..rows * width)
                .map(|i| {
                    let g = gate[i / width / 4 * width + i % width] as f64;
                    (x[i] as f64 + g * y[i] as f64) * w[i] as f64
                })
                .sum()
        };
        let out = gated_residual(&x, &y, &gate, width);
        let total: f64 = out.iter().zip(&w).map(|(o, w)| *o as f64 * *w as f64).sum();
        assert!((total - loss(&y, &gate)).abs() < 1e-4);
        let (dy, dgate) = gated_residual_backward(&y, &gate, &w, width);
        check_gradient("y", &y, &dy, |y| loss(y, &gate));
        check_gradient("gate", &gate, &dgate, |gate| loss(&y, gate));
    }

    #[test]
    fn column_sums_add_every_row_once() {
        let x = Lcg::new(2).normal(1000 * 3);
        let sums = column_sums(&x, 3);
        for c in 0..3 {
            let expected: f64 = x.iter().skip(c).step_by(3).map(|v| *v as f64).sum();
            assert!((sums[c] as f64 - expected).abs() < 1e-3);
        }
    }
}
