use std::sync::atomic::{AtomicBool, Ordering};

use vidit_kernels::gemm::{Bias, BiasActivate, BiasResidual, DepthMajor, LaneMajor, Packed, gemm_packed_new};
use vidit_kernels::pointwise::Activation;
use vidit_kernels::{Isa, Precision};

use crate::{BackboneError, Weights};

static IN_TWO_PARTS: AtomicBool = AtomicBool::new(false);

/// Whether [`Linear`] layers that are loaded from now on multiply in [`Precision::TwoParts`], which keeps five digits of f32's
/// seven and runs on AMX's tiles; elsewhere it changes nothing. At first they do not.
pub fn multiply_in_two_parts(yes: bool) {
    IN_TWO_PARTS.store(yes, Ordering::Relaxed);
}

/// How [`Linear`] layers that are loaded now multiply on this machine.
pub fn products() -> Precision {
    match IN_TWO_PARTS.load(Ordering::Relaxed) && Isa::current() == Isa::Amx {
        true => Precision::TwoParts,
        false => Precision::F32,
    }
}

/// `y = x Wᵀ + b`, `weight [O, I]`, kept packed.
pub struct Linear {
    weight: Packed,
    bias: Vec<f32>,
}

impl Linear {
    /// Takes `weight [O, I]` and `bias [O]`.
    ///
    /// # Errors
    /// If one is absent or has another shape.
    pub fn load(weights: &Weights, [input, output]: [usize; 2]) -> Result<Self, BackboneError> {
        let weight = weights.take("weight", &[output, input])?;
        Ok(Self::new(&weight, weights.take("bias", &[output])?))
    }

    /// Takes `weight [O, I]` alone.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_without_bias(weights: &Weights, [input, output]: [usize; 2]) -> Result<Self, BackboneError> {
        Ok(Self::new(&weights.take("weight", &[output, input])?, vec![0.0; output]))
    }

    /// Takes a matrix that is multiplied from the right, `name [I, O]`, as CLIP keeps its projections.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_transposed(
        weights: &Weights,
        name: &str,
        [input, output]: [usize; 2],
    ) -> Result<Self, BackboneError> {
        let weight = weights.take(name, &[input, output])?;
        let weight = Packed::new(&DepthMajor { data: &weight, stride: output }, output, input, products());
        Ok(Self { weight, bias: vec![0.0; output] })
    }

    /// Of `weight [O, I]` and `bias [O]`.
    pub fn new(weight: &[f32], bias: Vec<f32>) -> Self {
        let output = bias.len();
        let input = weight.len() / output.max(1);
        assert_eq!(weight.len(), input * output, "weight is not [{output}, I]");
        let weight = Packed::new(&LaneMajor { data: weight, stride: input }, output, input, products());
        Self { weight, bias }
    }

    /// `I`.
    pub fn input(&self) -> usize {
        self.weight.depth()
    }

    /// `O`.
    pub fn output(&self) -> usize {
        self.weight.columns()
    }

    fn rows<'a>(&self, x: &'a [f32]) -> (usize, LaneMajor<'a>) {
        let depth = self.input();
        assert_eq!(x.len() % depth, 0, "x is not [R, {depth}]");
        (x.len() / depth, LaneMajor { data: x, stride: depth })
    }

    /// `x [R, I]` → `[R, O]`.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (rows, x) = self.rows(x);
        gemm_packed_new(rows, &x, &self.weight, &Bias(&self.bias))
    }

    /// `activation(x Wᵀ + b)`.
    pub fn activated(&self, x: &[f32], activation: Activation) -> Vec<f32> {
        let (rows, x) = self.rows(x);
        gemm_packed_new(rows, &x, &self.weight, &BiasActivate { bias: &self.bias, activation })
    }

    /// `residual + x Wᵀ + b`.
    pub fn added(&self, x: &[f32], residual: &[f32]) -> Vec<f32> {
        let (rows, x) = self.rows(x);
        assert_eq!(residual.len(), rows * self.output(), "residual is not [R, O]");
        gemm_packed_new(rows, &x, &self.weight, &BiasResidual { bias: &self.bias, residual })
    }
}
