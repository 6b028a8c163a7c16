//! Activation functions, values and derivatives.

use rayon::prelude::*;

use super::{GRAIN, exp, sigmoid};
use crate::isa::multiversion;
use crate::threads::{Fresh, for_pieces};

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)` by the tanh formula (Hendrycks & Gimpel 2016).
    GeluTanh,
    /// `x · Φ(x)`, Φ by [`normal_tail`].
    Gelu,
    /// `x · σ(1.702 x)` (the same paper), as CLIP has it.
    QuickGelu,
    /// `x · σ(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `σ(x)`.
    Sigmoid,
    /// `tanh x`.
    Tanh,
}

const GELU_SCALE: f32 = 0.797_884_6; // √(2/π)
const GELU_CUBE: f32 = 0.044_715;
/// `1 − Φ(13)` is less than any normal number.
const FAR: f32 = 14.0;
const QUICK: f32 = 1.702;

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // x · ½(1 + tanh u) = x · σ(2u)
    x * sigmoid(2.0 * GELU_SCALE * (x + GELU_CUBE * x * x * x))
}

#[inline(always)]
fn gelu_tanh_derivative(x: f32) -> f32 {
    let s = sigmoid(2.0 * GELU_SCALE * (x + GELU_CUBE * x * x * x));
    s + x * s * (1.0 - s) * 2.0 * GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * x * x)
}

/// `1 − Φ(|x|)`, the share of a normal distribution above |x|, from erf by Abramowitz & Stegun 7.1.26 (error 1.5e-7).
#[inline(always)]
fn normal_tail(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4_f32;
    let p = p * t - 1.453_152;
    let p = p * t + 1.421_413_7;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    0.5 * p * t * exp(-z * z)
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    // Beyond, nothing is left of the tail, and ∞ · 0 would be NaN. A NaN passes.
    let near = if x > FAR { FAR } else { x };
    let near = if near < -FAR { -FAR } else { near };
    let tail = near * normal_tail(near);
    if x > 0.0 { x - tail } else { tail }
}

#[inline(always)]
fn gelu_derivative(x: f32) -> f32 {
    let tail = normal_tail(x);
    let below = if x > 0.0 { 1.0 - tail } else { tail };
    below + x * 0.398_942_3 * exp(-0.5 * x * x) // 1/√(2π)
}

#[inline(always)]
pub(crate) fn silu_derivative(x: f32) -> f32 {
    let s = sigmoid(x);
    s * (1.0 + x * (1.0 - s))
}

#[inline(always)]
fn quick_gelu_derivative(x: f32) -> f32 {
    let s = sigmoid(QUICK * x);
    s * (1.0 + QUICK * x * (1.0 - s))
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    // A NaN stays.
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// Compiles `$body` once for each function, under the name `$function`: a loop in it is then one over a known function.
macro_rules! with_function {
    ($activation:expr, $function:ident => $body:expr) => {{
        use $crate::pointwise::Activation;
        macro_rules! with {
            ($one:expr) => {{
                let $function = $one;
                $body
            }};
        }
        match $activation {
            Activation::GeluTanh => with!(gelu_tanh),
            Activation::Gelu => with!(gelu),
            Activation::QuickGelu => with!(|x: f32| x * sigmoid(QUICK * x)),
            Activation::Silu => with!(|x: f32| x * sigmoid(x)),
            Activation::Relu => with!(relu),
            Activation::Sigmoid => with!(sigmoid),
            Activation::Tanh => with!(tanh),
        }
    }};
}

multiversion! {
    fn map(x: &[f32], out: &mut [f32], activation: Activation) {
        with_function!(activation, f => {
            for (out, x) in out.iter_mut().zip(x) {
                *out = f(*x);
            }
        });
    }
}

multiversion! {
    fn map_in_place(x: &mut [f32], activation: Activation) {
        with_function!(activation, f => {
            for x in x {
                *x = f(*x);
            }
        });
    }
}

multiversion! {
    /// `row = activation(row + bias)`.
    pub(crate) fn add_and_map(row: &mut [f32], bias: &[f32], activation: Activation) {
        with_function!(activation, f => {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value = f(*value + bias);
            }
        });
    }
}

multiversion! {
    fn map_backward(x: &[f32], d_out: &[f32], out: &mut [f32], activation: Activation) {
        macro_rules! each {
            ($derivative:expr) => {{
                let derivative = $derivative;
                for ((out, x), d) in out.iter_mut().zip(x).zip(d_out) {
                    *out = d * derivative(*x);
                }
            }};
        }
        match activation {
            Activation::GeluTanh => each!(gelu_tanh_derivative),
            Activation::Gelu => each!(gelu_derivative),
            Activation::QuickGelu => each!(quick_gelu_derivative),
            Activation::Silu => each!(silu_derivative),
            Activation::Relu => each!(|x: f32| if x > 0.0 { 1.0 } else { 0.0 }),
            Activation::Sigmoid => each!(|x: f32| { let s = sigmoid(x); s * (1.0 - s) }),
            Activation::Tanh => each!(|x: f32| { let t = tanh(x); 1.0 - t * t }),
        }
    }
}

/// `out = activation(x)`.
pub fn activate(x: &[f32], activation: Activation) -> Vec<f32> {
    let fresh = Fresh::new(x.len());
    for_pieces(x.len(), GRAIN, |range| {
        // SAFETY: ranges are disjoint.
        let out = unsafe { fresh.slice(range.start, range.len()) };
        map(&x[range], out, activation);
    });
    // SAFETY: ranges cover the whole.
    unsafe { fresh.finish(x.len()) }
}

/// `x = activation(x)`, where it is.
pub fn activate_in_place(x: &mut [f32], activation: Activation) {
    x.par_chunks_mut(GRAIN).for_each(|x| map_in_place(x, activation));
}

/// `dx = d_out · activation'(x)`.
pub fn activate_backward(x: &[f32], d_out: &[f32], activation: Activation) -> Vec<f32> {
    assert_eq!(x.len(), d_out.len());
    let fresh = Fresh::new(x.len());
    for_pieces(x.len(), GRAIN, |range| {
        // SAFETY: ranges are disjoint.
        let out = unsafe { fresh.slice(range.start, range.len()) };
        map_backward(&x[range.clone()], &d_out[range], out, activation);
    });
    // SAFETY: ranges cover the whole.
    unsafe { fresh.finish(x.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Lcg, check_gradient, force_each_isa};

    /// `erf` by its series, exact to f64 for the |x| < 5 that are asked here.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn activations_agree_with_their_formulas_in_f64() {
        let x = Lcg::new(1).normal(70_001);
        let formula = |x: f32, activation| -> f64 {
            let x = x as f64;
            match activation {
                Activation::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
                Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
                Activation::Relu => x.max(0.0),
                Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
                Activation::Tanh => x.tanh(),
                Activation::Silu => x / (1.0 + (-x).exp()),
                Activation::GeluTanh => {
                    0.5 * x * (1.0 + (0.7978845608028654 * (x + 0.044715 * x.powi(3))).tanh())
                }
            }
        };
        force_each_isa(|isa| {
            for activation in [
                Activation::GeluTanh,
                Activation::Gelu,
                Activation::QuickGelu,
                Activation::Silu,
                Activation::Relu,
                Activation::Sigmoid,
                Activation::Tanh,
            ] {
                for (x, y) in x.iter().zip(activate(&x, activation)) {
                    assert!(
                        (y as f64 - formula(*x, activation)).abs() < 1e-6,
                        "{isa} {activation:?}({x}) = {y}"
                    );
                }
                let mut changed = x.clone();
                activate_in_place(&mut changed, activation);
                assert!(changed == activate(&x, activation), "{isa} {activation:?} differs in place");
                // Away from the kink of ReLU.
                let few: Vec<f32> = x.iter().copied().filter(|x| x.abs() > 0.05).take(50).collect();
                let ones = vec![1.0; few.len()];
                let gradient = activate_backward(&few, &ones, activation);
                check_gradient("activation", &few, &gradient, |x| {
                    x.iter().map(|x| formula(*x, activation)).sum()
                });
            }
        });
    }
}
