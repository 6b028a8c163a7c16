//! Learning rate by step.

use crate::config::{Decay, OptimizerConfig};

/// The rate of step `step` (from 0) of `steps`.
pub fn learning_rate(config: &OptimizerConfig, step: u64, steps: u64) -> f32 {
    if step < config.warmup {
        return config.learning_rate * (step + 1) as f32 / config.warmup as f32;
    }
    let span = steps.saturating_sub(config.warmup).max(1) as f32;
    let progress = ((step - config.warmup) as f32 / span).min(1.0);
    let fraction = match config.decay {
        Decay::Constant => 1.0,
        Decay::Linear => 1.0 - (1.0 - config.final_fraction) * progress,
        Decay::Cosine => {
            let half = 0.5 * (1.0 + (std::f32::consts::PI * progress).cos());
            config.final_fraction + (1.0 - config.final_fraction) * half
        }
    };
    config.learning_rate * fraction
}

/// Decay of the averages: the configured one, but shorter at first so that random weights are soon forgotten.
pub fn ema_decay(configured: f32, step: u64) -> f32 {
    configured.min((1.0 + step as f32) / (10.0 + step as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_climbs_then_falls_to_the_final_fraction() {
        let mut config = OptimizerConfig {
            rule: Default::default(),
            learning_rate: 1.0,
            warmup: 10,
            decay: Decay::Cosine,
            final_fraction: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.0,
            clip_norm: 1.0,
            ema: 0.999,
        };
        assert_eq!(learning_rate(&config, 0, 110), 0.1);
        assert_eq!(learning_rate(&config, 10, 110), 1.0);
        assert!((learning_rate(&config, 60, 110) - 0.55).abs() < 1e-6);
        assert!((learning_rate(&config, 110, 110) - 0.1).abs() < 1e-6);
        config.decay = Decay::Linear;
        assert!((learning_rate(&config, 60, 110) - 0.55).abs() < 1e-6);
        config.decay = Decay::Constant;
        assert_eq!(learning_rate(&config, 109, 110), 1.0);
        assert!(ema_decay(0.999, 0) < 0.2 && ema_decay(0.999, 1_000_000) == 0.999);
    }
}
