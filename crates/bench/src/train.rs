//! One optimiser step of `mini`'s denoiser: forward, backward, AdamW and the moving average.

use vidit_diffusion::noise::normal;
use vidit_kernels::Precision;
use vidit_models::mini::text::TextConfig;
use vidit_models::mini::transformer::TransformerConfig;
use vidit_models::mini::{Denoiser, DenoiserConfig};
use vidit_models::nn::Init;
use vidit_train::denoiser::{DenoiserBatch, flow_loss};
use vidit_train::{Decay, Optimizer, OptimizerConfig, Rule};

use burn::tensor::{Device, Tensor};

use crate::Case;

/// Width of `mini`.
const WIDTH: usize = 192;
const BLOCKS: usize = 8;
const LATENT_CHANNELS: usize = 12;
const PATCH: usize = 2;
const VOCABULARY: usize = 1500;
/// Tokens of each prompt.
const PROMPT: usize = 12;

/// Steps on clips of 25 frames of 128×128, and on windows of 64×64 of single images: latents `[F, H, W]`.
pub fn train_step(dtype: Precision) -> Vec<Case> {
    [("8x25x128x128", 8, [7, 16, 16]), ("128x1x64x64", 128, [1, 8, 8])]
        .into_iter()
        .map(|(shape, batch, latent)| Case {
            name: format!("train_step_mini_{shape}"),
            flop: Some(flop(batch, latent)),
            dtype: dtype.into(),
            prepare: Box::new(move || {
                vidit_ops::set_precision(dtype);
                let device = Device::flex().autodiff();
                let mut step = Step::new(batch, latent, &device);
                Box::new(move || step.run())
            }),
        })
        .collect()
}

/// Multiply-adds of the blocks' matrices and attention on tokens, twice; backward costs the forward twice.
fn flop(batch: usize, [f, h, w]: [usize; 3]) -> f64 {
    let tokens = f * h * w / (PATCH * PATCH);
    // Self-attention 4·D², cross-attention 2·D² on tokens (keys and values are on prompts), feed-forward 8·D².
    let matrices = 14 * WIDTH * WIDTH * tokens;
    let attention = 2 * tokens * (tokens + PROMPT) * WIDTH;
    3.0 * 2.0 * (batch * BLOCKS * (matrices + attention)) as f64
}

struct Step {
    model: Denoiser,
    optimizer: Optimizer,
    config: OptimizerConfig,
    clean: Tensor<5>,
    noise: Tensor<5>,
    levels: Vec<f32>,
    prompts: Vec<Vec<u32>>,
}

impl Step {
    fn new(batch: usize, [f, h, w]: [usize; 3], device: &Device) -> Self {
        let config = DenoiserConfig {
            text: TextConfig { tokens_max: 64, layers: 2, width: WIDTH, heads: 3 },
            transformer: TransformerConfig {
                latent_channels: LATENT_CHANNELS,
                patch: PATCH,
                width: WIDTH,
                blocks: BLOCKS,
                heads: 3,
                mlp_width: 4 * WIDTH,
            },
        };
        let model = Denoiser::new(&config, VOCABULARY, &mut Init::new(1, device));
        let dims = [batch, f, h, w, LATENT_CHANNELS];
        let token = |sample: usize, i: usize| ((sample * 31 + i * 7) % VOCABULARY) as u32;
        Self {
            optimizer: Optimizer::new(&model, |_| false),
            model,
            config: OptimizerConfig {
                rule: Rule::AdamW,
                learning_rate: 1e-4,
                warmup: 0,
                decay: Decay::Constant,
                final_fraction: 1.0,
                beta1: 0.9,
                beta2: 0.98,
                weight_decay: 0.01,
                clip_norm: 1.0,
                ema: 0.999,
            },
            clean: normal(dims, 1, device),
            noise: normal(dims, 2, device),
            levels: (0..batch).map(|i| (i as f32 + 0.5) / batch as f32).collect(),
            prompts: (0..batch).map(|sample| (0..PROMPT).map(|i| token(sample, i)).collect()).collect(),
        }
    }

    fn run(&mut self) {
        let batch = DenoiserBatch {
            clean: self.clean.clone(),
            seed: 0,
            levels: self.levels.clone(),
            given: vec![false; self.levels.len() * self.clean.dims()[1]],
            prompts: self.prompts.clone(),
        };
        let gradients = flow_loss(&self.model, batch, self.noise.clone(), None).backward();
        self.optimizer.accumulate(&self.model, &gradients);
        self.optimizer.update(&self.config, self.config.learning_rate, self.config.ema, 1);
        self.model = self.optimizer.apply(self.model.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_costs_what_the_arithmetic_says() {
        // 448 tokens · 8 blocks · (14 · 192² + 2 · 460 · 192) multiply-adds · 6, eight times.
        assert_eq!(flop(8, [7, 16, 16]), 119_172_759_552.0);
    }

    #[test]
    fn a_step_moves_the_weights() {
        let device = Device::flex().autodiff();
        let mut step = Step::new(2, [2, 4, 4], &device);
        let before = step.optimizer.averages();
        // Modulation and output begin at zero: what lies before them moves from the third step on.
        for _ in 0..4 {
            step.run();
        }
        let after = step.optimizer.averages();
        let moved = before.tensors.iter().filter(|(key, old)| after.tensors[*key].values != old.values);
        assert!(moved.count() > 50);
    }
}
