//! Integrators of `dx/dσ = v(x, σ)`, each a function over a grid of levels.

use burn::tensor::Tensor;

/// An integrator, named by its paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// One prediction a step, first order.
    Euler,
    /// Two predictions a step but the last, second order (Karras et al. 2022, algorithm 1 without noise).
    Heun,
}

impl Sampler {
    /// All of them.
    pub const ALL: [Sampler; 2] = [Sampler::Euler, Sampler::Heun];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Sampler::Euler => "euler",
            Sampler::Heun => "heun",
        }
    }

    /// The sampler of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sampler| sampler.name() == name)
    }

    /// Predictions that a run of `steps` takes.
    pub fn model_calls(self, steps: usize) -> usize {
        match self {
            Sampler::Euler => steps,
            Sampler::Heun => 2 * steps - 1,
        }
    }

    /// Walks `x` from the first level to the last. `predict(x, σ)` gives the velocity; `on_step(done)` follows each step.
    ///
    /// # Errors
    /// The first error of `predict`.
    pub fn sample<E>(
        self,
        mut x: Tensor<5>,
        sigmas: &[f32],
        mut predict: impl FnMut(Tensor<5>, f32) -> Result<Tensor<5>, E>,
        mut on_step: impl FnMut(usize),
    ) -> Result<Tensor<5>, E> {
        for (step, pair) in sigmas.windows(2).enumerate() {
            let (sigma, next) = (pair[0], pair[1]);
            let velocity = predict(x.clone(), sigma)?;
            let there = x.clone() + velocity.clone() * (next - sigma);
            x = if self == Sampler::Heun && next > 0.0 {
                let velocity_there = predict(there, next)?;
                x + (velocity + velocity_there) * (0.5 * (next - sigma))
            } else {
                there
            };
            on_step(step + 1);
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::sigmas;
    use burn::tensor::Device;
    use std::convert::Infallible;

    /// `dx/dσ = x` has the solution `x(0) = x(1)/e`.
    fn error_of(sampler: Sampler, steps: usize) -> f32 {
        let x = Tensor::full([1, 1, 1, 1, 1], 1.0, &Device::flex());
        let mut calls = 0;
        let predict = |x: Tensor<5>, _| {
            calls += 1;
            Ok::<_, Infallible>(x)
        };
        let end = sampler.sample(x, &sigmas(steps, 1.0), predict, |_| {}).unwrap();
        assert_eq!(calls, sampler.model_calls(steps));
        (end.into_scalar::<f32>() - (-1.0f32).exp()).abs()
    }

    #[test]
    fn halving_the_step_halves_the_error_of_euler_and_quarters_that_of_heun() {
        let euler = error_of(Sampler::Euler, 20) / error_of(Sampler::Euler, 40);
        assert!((1.9..2.1).contains(&euler), "{euler}");
        // The last step is Euler's, of the local order 2 as well.
        let heun = error_of(Sampler::Heun, 20) / error_of(Sampler::Heun, 40);
        assert!((3.5..4.5).contains(&heun), "{heun}");
    }

    #[test]
    fn a_failing_prediction_stops_the_walk() {
        let x = Tensor::full([1, 1, 1, 1, 1], 1.0, &Device::flex());
        let mut done = 0;
        let result = Sampler::Euler.sample(
            x,
            &sigmas(5, 1.0),
            |x, s| if s < 0.5 { Err("no") } else { Ok(x) },
            |d| done = d,
        );
        assert_eq!((result.err(), done), (Some("no"), 3));
    }
}
