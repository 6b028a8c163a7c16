//! The causal video VAE: 4× in time, 8× along height and width, frame 0 alone.
//!
//! Pixels are folded into blocks of 4 × 4 × 4 first (frame 0 repeated to fill its block), so that every convolution runs
//! at latent frame rate. Residual blocks see the present latent frame and the one before; that one frame is all the
//! memory that streamed decoding keeps.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use vidit_ops::{ConvGeometry, Tail};
use vidit_video::Compression;

use crate::nn::{Conv3d, Init, Linear, RmsNorm};

/// Sizes of the VAE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Latent channels, `C`.
    pub latent_channels: usize,
    /// Width at a quarter of the pixels' height and width.
    pub fine_width: usize,
    /// Width at an eighth.
    pub coarse_width: usize,
    /// Residual blocks at each level of the encoder.
    pub encoder_blocks: usize,
    /// Residual blocks at each level of the decoder.
    pub decoder_blocks: usize,
    /// Widths of the decoder at a quarter and at an eighth, where they are not the encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_widths: Option<[usize; 2]>,
}

/// Pixels and frames folded into channels before the first layer.
const FOLD: usize = 4;
/// Values of one folded block, `4 × 4 × 4 × RGB`.
const FOLDED: usize = FOLD * FOLD * FOLD * 3;

const CAUSAL: ConvGeometry = ConvGeometry { kernel: [2, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] };
/// The same with the previous frame given instead of zeros.
const STREAMED: ConvGeometry = ConvGeometry { padding: [0, 1, 1], ..CAUSAL };
const SPATIAL: ConvGeometry = ConvGeometry { kernel: [1, 3, 3], stride: [1, 1, 1], padding: [0, 1, 1] };
const DOWN: ConvGeometry = ConvGeometry { kernel: [1, 2, 2], stride: [1, 2, 2], padding: [0, 0, 0] };

impl VaeConfig {
    /// Widths of the decoder at a quarter and at an eighth.
    pub fn widths_of_decoder(&self) -> [usize; 2] {
        self.decoder_widths.unwrap_or([self.fine_width, self.coarse_width])
    }

    /// The arithmetic between pixels and latents for a transformer of this patch size.
    pub fn compression(&self, patch: usize) -> Compression {
        Compression { time: FOLD, space: 2 * FOLD, channels: self.latent_channels, patch }
    }
}

/// Two convolutions around a skip; the first looks one latent frame back.
#[derive(Module, Debug)]
struct ResidualBlock {
    norm1: RmsNorm,
    conv1: Conv3d,
    norm2: RmsNorm,
    conv2: Conv3d,
}

impl ResidualBlock {
    fn new(init: &mut Init, width: usize) -> Self {
        Self {
            norm1: RmsNorm::new(init, width),
            conv1: Conv3d::new(init, CAUSAL.kernel, width, width, 1.4),
            norm2: RmsNorm::new(init, width),
            conv2: Conv3d::new(init, SPATIAL.kernel, width, width, 0.3),
        }
    }

    /// `[B, F, H, W, C]` → the same. `memory` is the last frame this block saw; with none, time begins with zeros.
    fn forward(&self, x: Tensor<5>, memory: Option<&mut Option<Tensor<5>>>) -> Tensor<5> {
        let width = x.dims()[4];
        let mut h = self.norm1.forward(x.clone(), width, Tail::Silu);
        let mut geometry = CAUSAL;
        if let Some(memory) = memory {
            let frames = h.dims()[1];
            let last = h.clone().narrow(1, frames - 1, 1); // [B, 1, H, W, C]
            if let Some(previous) = memory.replace(last) {
                h = Tensor::cat(vec![previous, h], 1); // [B, 1 + F, H, W, C]
                geometry = STREAMED;
            }
        }
        let h = self.conv1.forward(h, geometry, None);
        let h = self.norm2.forward(h, width, Tail::Silu);
        self.conv2.forward(h, SPATIAL, Some(x))
    }
}

/// Frames → mean and log-variance of latents.
#[derive(Module, Debug)]
struct Encoder {
    input: Linear,
    fine: Vec<ResidualBlock>,
    down: Conv3d,
    coarse: Vec<ResidualBlock>,
    norm: RmsNorm,
    output: Linear,
}

/// Latents → frames.
#[derive(Module, Debug)]
struct Decoder {
    input: Linear,
    coarse: Vec<ResidualBlock>,
    up: Linear,
    fine: Vec<ResidualBlock>,
    norm: RmsNorm,
    output: Linear,
}

/// Encoder and decoder.
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Encoder,
    decoder: Decoder,
}

/// The diagonal normal distribution that the encoder gives for a clip.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// `[B, F, H, W, C]`.
    pub mean: Tensor<5>,
    /// `[B, F, H, W, C]`, clamped to -20..10.
    pub log_variance: Tensor<5>,
}

/// What streamed decoding keeps between chunks: one frame a residual block.
#[derive(Clone, Debug, Default)]
pub struct DecoderMemory {
    frames: Vec<Option<Tensor<5>>>,
    started: bool,
}

impl Vae {
    /// Random weights.
    pub fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let (fine, coarse) = (config.fine_width, config.coarse_width);
        let blocks = |init: &mut Init, count, width| -> Vec<_> {
            (0..count).map(|_| ResidualBlock::new(init, width)).collect()
        };
        let encoder = Encoder {
            input: Linear::new(init, FOLDED, fine, 1.0),
            fine: blocks(init, config.encoder_blocks, fine),
            down: Conv3d::new(init, DOWN.kernel, fine, coarse, 1.0),
            coarse: blocks(init, config.encoder_blocks, coarse),
            norm: RmsNorm::new(init, coarse),
            output: Linear::new(init, coarse, 2 * config.latent_channels, 0.5),
        };
        let [fine, coarse] = config.widths_of_decoder();
        let decoder = Decoder {
            input: Linear::new(init, config.latent_channels, coarse, 1.0),
            coarse: blocks(init, config.decoder_blocks, coarse),
            up: Linear::new(init, coarse, 4 * fine, 1.0),
            fine: blocks(init, config.decoder_blocks, fine),
            norm: RmsNorm::new(init, fine),
            output: Linear::new(init, fine, FOLDED, 0.3),
        };
        Self { encoder, decoder }
    }

    /// Encodes clips `[B, Fp, Hp, Wp, 3]` in -1..1, `Fp = 4n + 1`, sides multiples of 8.
    ///
    /// # Shapes
    /// Output `[B, F, H, W, C]` with `F = (Fp − 1)/4 + 1`, `H = Hp/8`, `W = Wp/8`.
    pub fn encode(&self, pixels: Tensor<5>) -> Posterior {
        let encoder = &self.encoder;
        let mut x = encoder.input.forward(fold(pixels)); // [B, F, Hp/4, Wp/4, fine]
        for block in &encoder.fine {
            x = block.forward(x, None);
        }
        let mut x = encoder.down.forward(x, DOWN, None); // [B, F, H, W, coarse]
        for block in &encoder.coarse {
            x = block.forward(x, None);
        }
        let width = x.dims()[4];
        let x = encoder.output.forward(encoder.norm.forward(x, width, Tail::Silu)); // [B, F, H, W, 2C]
        let channels = x.dims()[4] / 2;
        Posterior {
            mean: x.clone().narrow(4, 0, channels),
            log_variance: x.narrow(4, channels, channels).clamp(-20.0, 10.0),
        }
    }

    /// Decodes whole latents `[B, F, H, W, C]` to clips `[B, Fp, Hp, Wp, 3]`, about -1..1.
    pub fn decode(&self, latents: Tensor<5>) -> Tensor<5> {
        unfold(self.decode_blocks(latents, None), true)
    }

    /// Decodes the next latent frames of a stream; memory does not grow with its length. The first chunk yields
    /// `4(F − 1) + 1` frames, later ones `4F`; their concatenation equals [`Self::decode`] of the whole.
    pub fn decode_next(&self, latents: Tensor<5>, memory: &mut DecoderMemory) -> Tensor<5> {
        let first = !memory.started;
        memory.started = true;
        unfold(self.decode_blocks(latents, Some(memory)), first)
    }

    fn decode_blocks(&self, latents: Tensor<5>, memory: Option<&mut DecoderMemory>) -> Tensor<5> {
        let decoder = &self.decoder;
        let blocks = decoder.coarse.len() + decoder.fine.len();
        let mut slots = memory.map(|memory| {
            memory.frames.resize(blocks, None);
            memory.frames.iter_mut()
        });
        let mut slot = || slots.as_mut().and_then(Iterator::next);
        let mut x = decoder.input.forward(latents); // [B, F, H, W, coarse]
        for block in &decoder.coarse {
            x = block.forward(x, slot());
        }
        let mut x = pixel_shuffle(decoder.up.forward(x)); // [B, F, 2H, 2W, fine]
        for block in &decoder.fine {
            x = block.forward(x, slot());
        }
        let width = x.dims()[4];
        decoder.output.forward(decoder.norm.forward(x, width, Tail::Silu)) // [B, F, 2H, 2W, 192]
    }
}

/// `[B, Fp, Hp, Wp, 3]` → `[B, F, Hp/4, Wp/4, 192]`; frame 0 fills a block of its own.
fn fold(pixels: Tensor<5>) -> Tensor<5> {
    let [b, fp, hp, wp, rgb] = pixels.dims();
    let first = pixels.clone().narrow(1, 0, 1).expand([b, FOLD - 1, hp, wp, rgb]);
    let frames = (fp - 1) / FOLD + 1;
    let (h, w) = (hp / FOLD, wp / FOLD);
    let blocks = Tensor::cat(vec![first, pixels], 1) // [B, 4F, Hp, Wp, 3]
        .reshape::<8, _>([b, frames, FOLD, h, FOLD, w, FOLD, rgb])
        .permute([0, 1, 3, 5, 2, 4, 6, 7]);
    vidit_ops::contiguous(blocks).reshape([b, frames, h, w, FOLDED])
}

/// `[B, F, Hp/4, Wp/4, 192]` → `[B, Fp, Hp, Wp, 3]`; the first block keeps its last frame alone when it opens a clip.
fn unfold(blocks: Tensor<5>, opens_clip: bool) -> Tensor<5> {
    let [b, f, h, w, _] = blocks.dims();
    let frames = blocks.reshape::<8, _>([b, f, h, w, FOLD, FOLD, FOLD, 3]).permute([0, 1, 4, 2, 5, 3, 6, 7]);
    let frames = vidit_ops::contiguous(frames).reshape([b, f * FOLD, h * FOLD, w * FOLD, 3]);
    if opens_clip { frames.narrow(1, FOLD - 1, f * FOLD - (FOLD - 1)) } else { frames }
}

/// `[B, F, H, W, 4C]` → `[B, F, 2H, 2W, C]`.
fn pixel_shuffle(x: Tensor<5>) -> Tensor<5> {
    let [b, f, h, w, c] = x.dims();
    let cells = x.reshape::<7, _>([b, f, h, w, 2, 2, c / 4]).permute([0, 1, 2, 4, 3, 5, 6]);
    vidit_ops::contiguous(cells).reshape([b, f, 2 * h, 2 * w, c / 4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn tiny() -> (Vae, Device) {
        // One precision for all tests of this process, or it might change between two sides of a comparison.
        vidit_ops::set_precision(vidit_ops::Precision::F32);
        let device = Device::flex();
        let config = VaeConfig {
            latent_channels: 3,
            fine_width: 8,
            coarse_width: 12,
            encoder_blocks: 1,
            decoder_blocks: 2,
            decoder_widths: Some([10, 16]),
        };
        (Vae::new(&config, &mut Init::new(1, &device)), device)
    }

    #[test]
    fn folding_loses_nothing() {
        let pixels: Tensor<5> = Tensor::random([1, 9, 8, 16, 3], Distribution::Default, &Device::flex());
        let back = unfold(fold(pixels.clone()), true);
        assert_eq!((back - pixels).abs().max().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn shapes_and_streaming_equal_the_whole() {
        let (vae, device) = tiny();
        let pixels: Tensor<5> = Tensor::random([2, 17, 16, 24, 3], Distribution::Normal(0.0, 1.0), &device);
        let latents = vae.encode(pixels).mean;
        assert_eq!(latents.dims(), [2, 5, 2, 3, 3]);
        let whole = vae.decode(latents.clone());
        assert_eq!(whole.dims(), [2, 17, 16, 24, 3]);
        let mut memory = DecoderMemory::default();
        let chunks: Vec<Tensor<5>> = [(0, 1), (1, 3), (4, 1)]
            .map(|(start, length)| vae.decode_next(latents.clone().narrow(1, start, length), &mut memory))
            .into();
        assert_eq!(chunks[0].dims()[1], 1);
        let streamed = Tensor::cat(chunks, 1);
        // The same sums in the same order: equal to the bit.
        assert_eq!((streamed - whole).abs().max().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn later_frames_never_reach_earlier_latents() {
        let (vae, device) = tiny();
        let pixels: Tensor<5> = Tensor::random([1, 9, 16, 16, 3], Distribution::Normal(0.0, 1.0), &device);
        let changed =
            Tensor::cat(vec![pixels.clone().narrow(1, 0, 5), pixels.clone().narrow(1, 5, 4) + 1.0], 1);
        let difference = (vae.encode(pixels).mean - vae.encode(changed).mean).abs();
        assert_eq!(difference.clone().narrow(1, 0, 2).max().into_scalar::<f32>(), 0.0);
        assert!(difference.narrow(1, 2, 1).max().into_scalar::<f32>() > 0.0);
    }
}
