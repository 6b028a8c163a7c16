//! Integrators of `dx/dσ = v(x, σ)`, each a function over a grid of levels.

use burn::tensor::{Device, Tensor};

use crate::noise;

/// An integrator, named by its paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// One prediction a step, first order.
    Euler,
    /// Two predictions a step but the last, second order (Karras et al. 2022, algorithm 1 without noise).
    Heun,
    /// One prediction a step, and noise drawn anew behind each: of the data and the noise that a prediction tells apart, the data is
    /// kept (Ho et al. 2020 and Karras et al. 2022, with all of the noise exchanged). What earlier predictions were wrong about
    /// does not stay in the noise.
    Ancestral,
}

impl Sampler {
    /// All of them.
    pub const ALL: [Sampler; 3] = [Sampler::Euler, Sampler::Heun, Sampler::Ancestral];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Sampler::Euler => "euler",
            Sampler::Heun => "heun",
            Sampler::Ancestral => "ancestral",
        }
    }

    /// The sampler of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sampler| sampler.name() == name)
    }

    /// Predictions that a run of `steps` takes.
    pub fn model_calls(self, steps: usize) -> usize {
        match self {
            Sampler::Euler | Sampler::Ancestral => steps,
            Sampler::Heun => 2 * steps - 1,
        }
    }

    /// Walks `x [B, F, H, W, C]` from the first level of the grid to the last, each frame no higher than its own of `levels`: one
    /// of level 0 stays as it is, one between waits at its level until the others come down to it. `predict(x, σ)` gives the
    /// velocity at one level a frame; `on_step(done)` follows each step. `seed` is for noise drawn on the way.
    ///
    /// # Errors
    /// The first error of `predict`.
    pub fn sample<E>(
        self,
        mut x: Tensor<5>,
        levels: &[f32],
        sigmas: &[f32],
        seed: u64,
        mut predict: impl FnMut(Tensor<5>, &[f32]) -> Result<Tensor<5>, E>,
        mut on_step: impl FnMut(usize),
    ) -> Result<Tensor<5>, E> {
        let device = x.device();
        let at = |sigma: f32| -> Vec<f32> { levels.iter().map(|level| level.min(sigma)).collect() };
        for (step, pair) in sigmas.windows(2).enumerate() {
            let (now, next) = (at(pair[0]), at(pair[1]));
            if now != next {
                let velocity = predict(x.clone(), &now)?;
                let [from, to] = [&now, &next].map(|levels| per_frame(levels, &device)); // [1, F, 1, 1, 1]
                let way = to.clone() - from.clone();
                x = match self {
                    Sampler::Heun if pair[1] > 0.0 => {
                        let there = x.clone() + velocity.clone() * way.clone();
                        let velocity_there = predict(there, &next)?;
                        x + (velocity + velocity_there) * (way * 0.5)
                    }
                    Sampler::Euler | Sampler::Heun => x + velocity * way,
                    Sampler::Ancestral => {
                        let moves: Vec<f32> =
                            now.iter().zip(&next).map(|(now, next)| f32::from(now != next)).collect();
                        let moves = per_frame(&moves, &device);
                        let clean = x.clone() - velocity * from; // x0
                        let fresh = noise::normal(x.dims(), fresh_seed(seed, step), &device);
                        let there = clean * (to.clone() * -1.0 + 1.0) + fresh * to; // (1 − σ)·x0 + σ·ε
                        x.clone() + (there - x) * moves
                    }
                };
            }
            on_step(step + 1);
        }
        Ok(x)
    }
}

/// Another seed for each step, far from those that callers count up.
fn fresh_seed(seed: u64, step: usize) -> u64 {
    seed.rotate_left(32) ^ (step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// One value a frame as `[1, F, 1, 1, 1]`.
pub fn per_frame(values: &[f32], device: &Device) -> Tensor<5> {
    Tensor::<1>::from_floats(values, device).reshape([1, values.len(), 1, 1, 1])
}

/// What is known of a clip before it is made.
#[derive(Clone, Debug)]
pub struct Known {
    /// Clean, `[B, F, H, W, C]`; any numbers where the level is 1.
    pub clean: Tensor<5>,
    /// The noise level from which each frame is made anew: 0 keeps it, 1 makes it from noise alone.
    pub levels: Vec<f32>,
}

impl Known {
    /// Nothing, for a clip like this noise.
    pub fn nothing(noise: &Tensor<5>) -> Self {
        Self { clean: noise.zeros_like(), levels: vec![1.0; noise.dims()[1]] }
    }

    /// `(1 − σ)·x0 + σ·ε` at the level of each frame: what is known (Meng et al. 2022, SDEdit) and noise.
    fn start(&self, noise: Tensor<5>) -> Tensor<5> {
        let level = per_frame(&self.levels, &noise.device());
        self.clean.clone() * (level.clone() * -1.0 + 1.0) + noise * level
    }

    /// Some of the frames.
    fn part(&self, from: usize, count: usize) -> Self {
        Self {
            clean: self.clean.clone().narrow(1, from, count),
            levels: self.levels[from..from + count].to_vec(),
        }
    }

    /// Whether a frame is kept as it is.
    fn keeps_any(&self) -> bool {
        self.levels.contains(&0.0)
    }
}

/// Steps that [`draw`] takes.
pub fn steps_of(known: &Known, sigmas: &[f32]) -> usize {
    let steps = sigmas.len() - 1;
    if known.keeps_any() || known.levels.len() == 1 { steps } else { 2 * steps }
}

/// Noise `[B, F, H, W, C]` → data around what is known. Where no frame is kept, the first is made before the others: as an
/// image, then kept clean while the rest is made around it (as Emu Video does, Girdhar et al. 2023). `predict(x, σ)` gives
/// the velocity at one level a frame; `on_step(done)` follows each of [`steps_of`] steps.
///
/// # Errors
/// The first error of `predict`.
pub fn draw<E>(
    sampler: Sampler,
    noise: Tensor<5>,
    known: &Known,
    sigmas: &[f32],
    seed: u64,
    mut predict: impl FnMut(Tensor<5>, &[f32]) -> Result<Tensor<5>, E>,
    mut on_step: impl FnMut(usize),
) -> Result<Tensor<5>, E> {
    let frames = noise.dims()[1];
    if known.keeps_any() || frames == 1 {
        return sampler.sample(known.start(noise), &known.levels, sigmas, seed, predict, on_step);
    }
    let first = known.part(0, 1);
    let start = first.start(noise.clone().narrow(1, 0, 1)); // [B, 1, H, W, C]
    let clean = sampler.sample(start, &first.levels, sigmas, seed, &mut predict, &mut on_step)?;
    let rest = known.part(1, frames - 1);
    let start = rest.start(noise.narrow(1, 1, frames - 1));
    let levels: Vec<f32> = [0.0].into_iter().chain(rest.levels).collect();
    let steps = sigmas.len() - 1;
    let start = Tensor::cat(vec![clean, start], 1); // [B, F, H, W, C]
    sampler.sample(start, &levels, sigmas, seed.wrapping_add(1), predict, |done| on_step(steps + done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::sigmas;
    use std::convert::Infallible;

    fn values(x: Tensor<5>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn the_first_frame_is_drawn_alone_and_kept() {
        let device = Device::flex();
        let noise: Tensor<5> = Tensor::full([2, 3, 1, 1, 2], 1.0, &device);
        let known = Known::nothing(&noise);
        let (mut calls, mut steps) = (Vec::new(), Vec::new());
        // The image flows by −2 to 3; the rest by minus what the first frame became, to 4.
        let predict = |x: Tensor<5>, levels: &[f32]| {
            calls.push(levels.to_vec());
            let first = x.clone().narrow(1, 0, 1);
            let velocity = if levels.len() == 1 { first.full_like(-2.0) } else { x.full_like(0.0) - first };
            Ok::<_, Infallible>(velocity)
        };
        let grid = sigmas(2, 1.0);
        let Ok(x) = draw(Sampler::Euler, noise, &known, &grid, 0, predict, |done| steps.push(done));
        assert_eq!(calls, [vec![1.0], vec![0.5], vec![0.0, 1.0, 1.0], vec![0.0, 0.5, 0.5]]);
        assert_eq!(steps, [1, 2, 3, 4]);
        assert_eq!(steps_of(&known, &grid), 4);
        assert_eq!(values(x), [3.0, 3.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0]);
    }

    #[test]
    fn what_is_kept_stays_and_what_is_edited_begins_at_its_level() {
        let device = Device::flex();
        let noise: Tensor<5> = Tensor::full([1, 3, 1, 1, 1], 8.0, &device);
        let clean = Tensor::<1>::from_floats([5.0, 2.0, 7.0], &device).reshape([1, 3, 1, 1, 1]);
        let known = Known { clean, levels: vec![0.0, 0.25, 1.0] };
        let mut calls = Vec::new();
        let predict = |x: Tensor<5>, levels: &[f32]| {
            calls.push((values(x.clone()), levels.to_vec()));
            Ok::<_, Infallible>(x.full_like(4.0))
        };
        let grid = sigmas(2, 1.0);
        let Ok(x) = draw(Sampler::Euler, noise, &known, &grid, 0, predict, |_| {});
        // ¾·2 + ¼·8 = 3.5 waits while the last frame goes from 8 by 4 a level.
        assert_eq!(
            calls,
            [(vec![5.0, 3.5, 8.0], vec![0.0, 0.25, 1.0]), (vec![5.0, 3.5, 6.0], vec![0.0, 0.25, 0.5])]
        );
        assert_eq!(values(x), [5.0, 2.5, 4.0]);
        assert_eq!(steps_of(&known, &grid), 2);
    }

    #[test]
    fn levels_above_all_frames_cost_no_prediction() {
        let noise: Tensor<5> = Tensor::full([1, 1, 1, 1, 1], 1.0, &Device::flex());
        let known = Known { clean: noise.zeros_like(), levels: vec![0.3] };
        let (mut calls, mut steps) = (0, 0);
        let predict = |x: Tensor<5>, _: &[f32]| {
            calls += 1;
            Ok::<_, Infallible>(x)
        };
        let Ok(_) = draw(Sampler::Euler, noise, &known, &sigmas(10, 1.0), 0, predict, |done| steps = done);
        assert_eq!((calls, steps), (3, 10));
    }

    /// `dx/dσ = x` has the solution `x(0) = x(1)/e`.
    fn error_of(sampler: Sampler, steps: usize) -> f32 {
        let x = Tensor::full([1, 1, 1, 1, 1], 1.0, &Device::flex());
        let mut calls = 0;
        let predict = |x: Tensor<5>, _: &[f32]| {
            calls += 1;
            Ok::<_, Infallible>(x)
        };
        let end = sampler.sample(x, &[1.0], &sigmas(steps, 1.0), 0, predict, |_| {}).unwrap();
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
    fn ancestral_steps_keep_the_data_and_exchange_the_noise() {
        // The velocity to data of 3: whatever the noise, the walk ends there.
        let device = Device::flex();
        let x: Tensor<5> = noise::normal([1, 3, 8, 8, 4], 1, &device);
        let mut seen = Vec::new();
        let predict = |x: Tensor<5>, levels: &[f32]| {
            seen.push((x.clone(), levels.to_vec()));
            let levels: Vec<f32> = levels.iter().map(|level| level.max(1e-9)).collect();
            Ok::<_, Infallible>((x - 3.0) / per_frame(&levels, &Device::flex()))
        };
        // One frame is kept, one waits at half of the way.
        let clean: Tensor<5> = Tensor::full([1, 3, 8, 8, 4], 3.0, &device);
        let known = Known { clean, levels: vec![0.0, 0.5, 1.0] };
        let Ok(end) = draw(Sampler::Ancestral, x, &known, &sigmas(4, 1.0), 7, predict, |_| {});
        assert!((end - 3.0).abs().max().into_scalar::<f32>() < 1e-5);
        let frame = |step: usize, frame: usize| -> Vec<f32> {
            values((seen[step].0.clone() - 3.0 + 3.0 * seen[step].1[frame]).narrow(1, frame, 1))
        };
        for step in 1..4 {
            assert!(frame(step, 0).iter().all(|value| *value == 0.0));
            let level = seen[step].1[2];
            let noise: Vec<f32> = frame(step, 2).iter().map(|value| value / level).collect();
            let before: Vec<f32> =
                frame(step - 1, 2).iter().map(|value| value / seen[step - 1].1[2]).collect();
            let mean =
                |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>() / a.len() as f32;
            assert!((mean(&noise, &noise) - 1.0).abs() < 0.25, "unit noise at {step}");
            assert!(mean(&noise, &before).abs() < 0.25, "and another one than before");
        }
        assert_eq!((frame(1, 1), frame(2, 1)), (frame(0, 1), frame(0, 1)), "what waits stays as it is");
        assert_ne!(frame(3, 1), frame(0, 1));
    }

    #[test]
    fn a_failing_prediction_stops_the_walk() {
        let x = Tensor::full([1, 1, 1, 1, 1], 1.0, &Device::flex());
        let mut done = 0;
        let result = Sampler::Euler.sample(
            x,
            &[1.0],
            &sigmas(5, 1.0),
            0,
            |x, s| if s[0] < 0.5 { Err("no") } else { Ok(x) },
            |d| done = d,
        );
        assert_eq!((result.err(), done), (Some("no"), 3));
    }
}
