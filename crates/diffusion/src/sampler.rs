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

/// Noise `[B, F, H, W, C]` → data, the first frame before the others: it is drawn as an image, then kept clean while the
/// rest is drawn around it (as Emu Video does, Girdhar et al. 2023). `predict(x, given, σ)` gives the velocity of all frames
/// of `x`, the first `given` of which are clean; `on_step(done)` follows each step of both parts, `2 · steps` in all, or
/// `steps` for a single frame.
///
/// # Errors
/// The first error of `predict`.
pub fn first_frame_first<E>(
    sampler: Sampler,
    noise: Tensor<5>,
    sigmas: &[f32],
    mut predict: impl FnMut(Tensor<5>, usize, f32) -> Result<Tensor<5>, E>,
    mut on_step: impl FnMut(usize),
) -> Result<Tensor<5>, E> {
    let frames = noise.dims()[1];
    let first = noise.clone().narrow(1, 0, 1); // [B, 1, H, W, C]
    let first = sampler.sample(first, sigmas, |x, sigma| predict(x, 0, sigma), &mut on_step)?;
    if frames == 1 {
        return Ok(first);
    }
    let rest = noise.narrow(1, 1, frames - 1);
    let steps = sigmas.len() - 1;
    let velocity = |x: Tensor<5>, sigma: f32| {
        let all = Tensor::cat(vec![first.clone(), x], 1); // [B, F, H, W, C]
        Ok(predict(all, 1, sigma)?.narrow(1, 1, frames - 1))
    };
    let rest = sampler.sample(rest, sigmas, velocity, |done| on_step(steps + done))?;
    Ok(Tensor::cat(vec![first, rest], 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::sigmas;
    use burn::tensor::Device;
    use std::convert::Infallible;

    #[test]
    fn the_first_frame_is_drawn_alone_and_kept() {
        let device = Device::flex();
        let noise: Tensor<5> = Tensor::full([2, 3, 1, 1, 2], 1.0, &device);
        let (mut calls, mut steps) = (Vec::new(), Vec::new());
        // The image flows by −2 to 3; the rest by minus what the first frame became, to 4.
        let predict = |x: Tensor<5>, given: usize, _| {
            calls.push((x.dims()[1], given));
            let first = x.clone().narrow(1, 0, 1);
            let velocity = if given == 0 { first.full_like(-2.0) } else { x.full_like(0.0) - first };
            Ok::<_, Infallible>(velocity)
        };
        let Ok(x) =
            first_frame_first(Sampler::Euler, noise, &sigmas(2, 1.0), predict, |done| steps.push(done));
        assert_eq!(calls, [(1, 0), (1, 0), (3, 1), (3, 1)]);
        assert_eq!(steps, [1, 2, 3, 4]);
        let values: Vec<f32> = x.into_data().iter::<f32>().collect();
        assert_eq!(values, [3.0, 3.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0]);
    }

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
