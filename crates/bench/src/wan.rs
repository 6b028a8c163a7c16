//! The real blocks of Wan 2.1 at random weights: one block of T2V-1.3B, and the decoder of its VAE.

use burn::tensor::{Device, Tensor};
use vidit_diffusion::noise::normal;
use vidit_kernels::Precision;
use vidit_models::nn::Init;
use vidit_models::wan::config::{TEXT_TOKENS, TransformerConfig, VaeConfig};
use vidit_models::wan::transformer::{Block, PackedBlock, rope_table};
use vidit_models::wan::vae::{StreamMemory, VaeDecoder};
use vidit_video::{LatentShape, PixelShape, ShapeError};

use crate::Case;

/// Tokens of 17 frames of 240×416 and of 33 frames of 480×832.
pub const TOKENS: [usize; 2] = [1950, 14_040];

/// One block on so many tokens, text of 512 tokens, weights packed beforehand.
pub fn wan_block(tokens: usize, dtype: Precision) -> Case {
    let config = TransformerConfig::T2V_1_3B;
    Case {
        name: format!("wan_block_{tokens}"),
        flop: Some(block_flop(&config, tokens)),
        dtype,
        prepare: Box::new(move || {
            vidit_ops::set_precision(dtype);
            let device = Device::flex();
            let d = config.width;
            let block = PackedBlock::new(&Block::new(&config, &mut Init::new(1, &device)));
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
        dtype,
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
    }
}
