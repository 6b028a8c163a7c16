//! Which noise levels: a sampler's grid, and the levels that training draws.

use std::fmt;

/// Moves levels towards noise for `shift > 1`: `σ' = sσ / (1 + (s − 1)σ)` (Esser et al. 2024, eq. 23).
pub fn shifted(sigma: f32, shift: f32) -> f32 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

/// `steps + 1` levels from 1 down to 0, evenly spaced before the shift.
pub fn sigmas(steps: usize, shift: f32) -> Vec<f32> {
    (0..=steps).map(|i| shifted(1.0 - i as f32 / steps as f32, shift)).collect()
}

/// How training draws a level from a uniform number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelDistribution {
    /// Every level alike.
    Uniform,
    /// `σ = sigmoid(z)`, `z` normal (Esser et al. 2024): the middle more often than the ends.
    LogitNormal,
}

impl LevelDistribution {
    /// Its name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::LogitNormal => "logit-normal",
        }
    }

    /// The distribution of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::LogitNormal].into_iter().find(|d| d.name() == name)
    }

    /// A level in 0..1 from two independent uniform numbers in 0..1 (the second is read by [`Self::LogitNormal`] alone).
    pub fn level(self, u: f32, v: f32, shift: f32) -> f32 {
        let sigma = match self {
            Self::Uniform => u,
            Self::LogitNormal => {
                let z = (-2.0 * (1.0 - u).max(1e-7).ln()).sqrt() * (std::f32::consts::TAU * v).cos();
                1.0 / (1.0 + (-z).exp())
            }
        };
        shifted(sigma, shift)
    }
}

impl fmt::Display for LevelDistribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_run_from_one_to_zero_and_shift_towards_noise() {
        let plain = sigmas(4, 1.0);
        assert_eq!(plain, [1.0, 0.75, 0.5, 0.25, 0.0]);
        let moved = sigmas(4, 5.0);
        assert_eq!((moved[0], moved[4]), (1.0, 0.0));
        for (found, expected) in moved[1..4].iter().zip([0.9375, 0.833_333_3, 0.625]) {
            assert!((found - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn logit_normal_is_centred() {
        let n = 200;
        let levels: Vec<f32> = (0..n * n)
            .map(|i| {
                let (u, v) = ((i / n) as f32 + 0.5, (i % n) as f32 + 0.5);
                LevelDistribution::LogitNormal.level(u / n as f32, v / n as f32, 1.0)
            })
            .collect();
        let mean = levels.iter().sum::<f32>() / levels.len() as f32;
        let middle = levels.iter().filter(|s| (0.25..0.75).contains(*s)).count() as f32 / levels.len() as f32;
        assert!((mean - 0.5).abs() < 1e-3, "{mean}");
        // P(|z| < ln 3) = 0.728
        assert!((middle - 0.728).abs() < 0.01, "{middle}");
        assert_eq!(LevelDistribution::from_name("logit-normal"), Some(LevelDistribution::LogitNormal));
    }
}
