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

/// The decoder on latents of a clip of this shape, one latent frame at a time.
///
/// # Errors
/// If the shape is off the VAE's grid.
pub fn vae_decode(shape: PixelShape, dtype: Precision) -> Result<Case, ShapeError> {
    let config = VaeConfig::WAN_2_1;
    let LatentShape { frames, height, width, channels } = config.compression().latent_from_pixel(shape)?;
    Ok(Case {
        name: format!("vae_decode_{}x{}x{}", shape.frames, shape.height, shape.width),
        flop: None,
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
    fn a_block_costs_what_the_facts_say() {
        let config = TransformerConfig::T2V_1_3B;
        assert!((block_flop(&config, 1950) / 1e12 - 0.197).abs() < 0.002);
        assert!((block_flop(&config, 14_040) / 1e12 - 2.43).abs() < 0.02);
        let blocks = 30.0 * block_flop(&config, 1950);
        assert!(step_flop(&config, 1950) > blocks && step_flop(&config, 1950) < 1.01 * blocks);
    }
}
