//! The real networks of Wan 2.1 at random weights: T2V-1.3B, one of its blocks, and the decoder of its VAE.

use burn::tensor::{Device, Tensor};
use vidit_diffusion::noise::normal;
use vidit_kernels::Precision;
use vidit_kernels::gemm::WeightFormat;
use vidit_models::nn::Init;
use vidit_models::wan::config::{PATCH, TEXT_TOKENS, TransformerConfig, VaeConfig};
use vidit_models::wan::transformer::{Block, PackedBlock, TokenBlock, Transformer, rope_table};
use vidit_models::wan::vae::{StreamMemory, VaeDecoder};
use vidit_video::{LatentShape, PixelShape, ShapeError};

use crate::Case;

/// Tokens of 17 frames of 240×416 and of 33 frames of 480×832.
pub const TOKENS: [usize; 2] = [1950, 14_040];

/// One block on so many tokens, text of 512 tokens, weights packed beforehand.
pub fn wan_block(tokens: usize, format: WeightFormat) -> Case {
    let config = TransformerConfig::T2V_1_3B;
    Case {
        name: format!("wan_block_{tokens}"),
        flop: Some(block_flop(&config, tokens)),
        dtype: format,
        prepare: Box::new(move || {
            vidit_ops::set_precision(beside(format));
            let device = Device::flex();
            let d = config.width;
            let block = PackedBlock::new(&Block::new(&config, &mut Init::new(1, &device)), format);
            let (x, e0, context) = (
                normal([1, tokens, d], 1, &device),
                normal([1, 1, 6, d], 2, &device),
                normal([1, TEXT_TOKENS, d], 3, &device),
            );
            let rope = rope_table([1, 1, tokens], config.head_dim(), &device);
            Box::new(move || {
                drop(block.forward(x.clone(), e0.clone(), context.clone(), rope.clone()));
            })
        }),
    }
}

/// One prediction of the whole network on so many tokens, all in one frame, text of 512 tokens, weights packed beforehand. A
/// step with guidance is two.
pub fn wan_step(tokens: usize, format: WeightFormat) -> Case {
    let config = TransformerConfig::T2V_1_3B;
    Case {
        name: format!("wan_step_{tokens}"),
        flop: Some(step_flop(&config, tokens)),
        dtype: format,
        prepare: Box::new(move || {
            vidit_ops::set_precision(beside(format));
            let device = Device::flex();
            let transformer = Transformer::new(&config, &mut Init::new(1, &device)).pack(format);
            let [_, h, w] = PATCH;
            let x: Tensor<5> = normal([1, 1, h, w * tokens, config.channels_in], 1, &device);
            let timesteps = Tensor::full([1, 1], 500.0, &device);
            let text: Tensor<3> = normal([1, TEXT_TOKENS, config.text_width], 2, &device);
            Box::new(move || {
                drop(transformer.predict(x.clone(), timesteps.clone(), text.clone()));
            })
        }),
    }
}

/// What attention multiplies in beside layers of this format.
fn beside(format: WeightFormat) -> Precision {
    format.precision().unwrap_or_else(Precision::native)
}

/// The blocks, patches in and out, and the text's embedding; what a timestep costs is nothing beside them.
fn step_flop(config: &TransformerConfig, tokens: usize) -> f64 {
    let (d, patch) = (config.width, PATCH.iter().product::<usize>());
    let ends = tokens * patch * (config.channels_in + config.channels_out) * d;
    let text = TEXT_TOKENS * (config.text_width + d) * d;
    config.blocks as f64 * block_flop(config, tokens) + 2.0 * (ends + text) as f64
}

/// Linear layers on tokens and on text, both attentions.
fn block_flop(config: &TransformerConfig, tokens: usize) -> f64 {
    let (d, l, s) = (config.width, tokens, TEXT_TOKENS);
    let on_tokens = 6 * d * d + 2 * d * config.mlp_width;
    2.0 * (l * on_tokens + s * 2 * d * d + 2 * l * (l + s) * d) as f64
}

/// Convolutions of the decoder by their definition, and its attention, on so many latent frames of so many rows and columns.
fn decode_flop(config: &VaeConfig, [frames, h, w]: [usize; 3]) -> f64 {
    let widths = config.multipliers.map(|multiplier| config.width * multiplier);
    // Of the first latent frame one is made at every level, of each later one as many as its level has steps in time.
    let frames_at = |level: usize| 1 + [4, 4, 2, 1][level] * (frames - 1);
    let cells_at = |level: usize| (h << (3 - level)) * (w << (3 - level));
    let positions = |level: usize| frames_at(level) * cells_at(level);
    let residual = |inputs: usize, width: usize| {
        let shortcut = if inputs == width { 0 } else { inputs * width };
        27 * width * (inputs + width) + shortcut
    };
    let (latent, coarsest) = (config.latent_channels, widths[3]);
    let ends = (latent * latent + 27 * latent * coarsest) * positions(3) + 27 * widths[0] * 3 * positions(0);
    let attention = 4 * coarsest * coarsest * positions(3) + 2 * frames * cells_at(3).pow(2) * coarsest;
    let mut products = ends + attention + 2 * residual(coarsest, coarsest) * positions(3);
    for level in 0..4 {
        let width = widths[level];
        let inputs = if level == 3 { width } else { widths[level + 1] / 2 };
        let blocks = residual(inputs, width) + config.residual_blocks * residual(width, width);
        products += blocks * positions(level);
        if level > 0 {
            let doubled = frames_at(level - 1) > frames_at(level);
            let in_time =
                if doubled { 3 * width * 2 * width * (frames_at(level) - 1) * cells_at(level) } else { 0 };
            products += in_time + 9 * width * (width / 2) * frames_at(level - 1) * cells_at(level - 1);
        }
    }
    2.0 * products as f64
}

/// The decoder on latents of a clip of this shape, one latent frame at a time.
///
/// # Errors
/// If the shape is off the VAE's grid.
pub fn vae_decode(shape: PixelShape, dtype: Precision) -> Result<Case, ShapeError> {
    let config = VaeConfig::WAN_2_1;
    let LatentShape { frames, height, width, channels } = config.compression().latent_from_pixel(shape)?;
    Ok(Case {
        name: format!("vae_decode_{}x{}x{}", shape.frames, shape.height, shape.width),
        flop: Some(decode_flop(&config, [frames, height, width])),
        dtype: dtype.into(),
        prepare: Box::new(move || {
            vidit_ops::set_precision(dtype);
            let device = Device::flex();
            let decoder = VaeDecoder::new(&config, &mut Init::new(1, &device));
            let latents: Tensor<5> = normal([1, frames, height, width, channels], 1, &device);
            Box::new(move || {
                let mut memory = StreamMemory::default();
                for frame in 0..frames {
                    drop(decoder.decode_next(latents.clone().narrow(1, frame, 1), &mut memory));
                }
            })
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_and_the_decoder_cost_what_the_facts_say() {
        let config = TransformerConfig::T2V_1_3B;
        assert!((block_flop(&config, 1950) / 1e12 - 0.197).abs() < 0.002);
        assert!((block_flop(&config, 14_040) / 1e12 - 2.43).abs() < 0.02);
        // Others count 13.1 TFLOP for a latent frame of 480×832.
        let decode = |frames| decode_flop(&VaeConfig::WAN_2_1, [frames, 60, 104]) / 1e12;
        assert!((decode(3) - decode(2) - 13.1).abs() < 0.5, "{}", decode(3) - decode(2));
        let blocks = 30.0 * block_flop(&config, 1950);
        assert!(step_flop(&config, 1950) > blocks && step_flop(&config, 1950) < 1.01 * blocks);
    }
}
