use vidit_models::mini::DenoiserConfig;
use vidit_models::mini::vae::VaeConfig;
use vidit_video::{LatentShape, PixelShape};

use crate::generate::LATENT_FRAMES_PER_CHUNK;

/// Bytes that a generation is estimated to hold at once, by stage.
///
/// Simple arithmetic over the tensors that live together, with room for what is not counted one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Parameters.
    pub weights_bytes: u64,
    /// Activations of one denoiser call on conditional and unconditional batch together.
    pub denoise_bytes: u64,
    /// Activations of one decoded chunk, and the frames the decoder remembers.
    pub decode_bytes: u64,
    /// The clip as bytes, and once more in the encoder of the file.
    pub frames_bytes: u64,
    /// The most of all stages together.
    pub peak_bytes: u64,
}

/// The program itself, its tables, and freed blocks that its allocator keeps.
const BASE_BYTES: u64 = 320 << 20;
const F32_BYTES: u64 = 4;
/// Conditional and unconditional.
const BATCH: u64 = 2;

impl MemoryPlan {
    /// The plan for a clip.
    pub(crate) fn new(
        parameters: usize,
        denoiser: &DenoiserConfig,
        vae: &VaeConfig,
        latent: LatentShape,
        pixel: PixelShape,
    ) -> Self {
        let wide = |value: usize| value as u64;
        let cells = wide(latent.height) * wide(latent.width); // of one latent frame
        let transformer = &denoiser.transformer;
        let tokens = BATCH * wide(latent.frames) * cells / wide(transformer.patch * transformer.patch);
        // Residual stream, normed input, q, k, v, their normed copies, and the attended values; or the feed-forward pair.
        let per_token =
            (8 * wide(transformer.width)).max(3 * wide(transformer.width) + 2 * wide(transformer.mlp_width));
        let modulation = BATCH * wide(latent.frames) * 12 * wide(transformer.width);
        let denoise_bytes = F32_BYTES * (tokens * per_token + modulation);

        // One remembered frame stands before the chunk; fine cells are four to a coarse one.
        let frames = wide(LATENT_FRAMES_PER_CHUNK + 1);
        let folded = 4 * 4 * 4 * 3; // values of a folded block of pixels
        let [fine, coarse] = vae.widths_of_decoder().map(wide);
        let widest = (4 * coarse).max(16 * fine).max(4 * (3 * folded + fine));
        let remembered = wide(vae.decoder_blocks) * (coarse + 4 * fine);
        let decode_bytes = F32_BYTES * cells * (frames * widest + remembered);

        let weights_bytes = F32_BYTES * wide(parameters);
        let frames_bytes = 2 * 3 * wide(pixel.pixels());
        let stages = denoise_bytes.max(decode_bytes + frames_bytes);
        // A quarter more: the allocator rounds blocks up.
        let peak_bytes = BASE_BYTES + weights_bytes + stages + stages / 4;
        Self { weights_bytes, denoise_bytes, decode_bytes, frames_bytes, peak_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{denoiser_config, vae_config};

    fn plan(frames: usize, side: usize) -> MemoryPlan {
        let (denoiser, vae) = (denoiser_config(), vae_config());
        let pixel = PixelShape::new(frames, side, side);
        let latent = vae.compression(denoiser.transformer.patch).latent_from_pixel(pixel).unwrap();
        MemoryPlan::new(1000, &denoiser, &vae, latent, pixel)
    }

    #[test]
    fn decoding_does_not_grow_with_time_and_everything_else_does() {
        let (short, long, large) = (plan(5, 64), plan(41, 64), plan(5, 128));
        assert_eq!(short.decode_bytes, long.decode_bytes);
        assert!(long.denoise_bytes > 5 * short.denoise_bytes && long.peak_bytes > short.peak_bytes);
        assert_eq!(large.decode_bytes, 4 * short.decode_bytes);
        assert_eq!(long.frames_bytes, 2 * 41 * 64 * 64 * 3);
    }
}
