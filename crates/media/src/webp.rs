//! Animated WebP, lossy.

use std::io::Write;

use vidit_video::{Frames, PixelShape};
use webp_animation::{Encoder, EncoderOptions, EncodingConfig, EncodingType, LossyEncodingConfig};

use crate::{FrameRate, MediaError, Result};

/// Of 100. Above 90 the files grow fast and nothing is seen.
const QUALITY: f32 = 90.0;

/// Largest side of the format (WebP container specification, VP8 frame header).
const SIDE_MAX: usize = 16_383;

/// Whether a clip of this size fits into a WebP.
pub(crate) fn check(shape: PixelShape) -> Result<()> {
    if shape.width <= SIDE_MAX && shape.height <= SIDE_MAX {
        return Ok(());
    }
    Err(MediaError::Unwritable {
        format: "webp",
        problem: format!("sides must be at most {SIDE_MAX}, found `{}x{}`", shape.width, shape.height),
        hint: "scale the clip".to_owned(),
    })
}

/// Writes a clip that repeats forever. It must have passed [`check`].
pub(crate) fn write(out: &mut dyn Write, frames: &Frames, rate: FrameRate) -> Result<()> {
    let failed = |e: webp_animation::Error| MediaError::encode("webp", format!("{e:?}"));
    let PixelShape { frames: count, height, width } = frames.shape();
    let options = EncoderOptions {
        encoding_config: Some(EncodingConfig {
            encoding_type: EncodingType::Lossy(LossyEncodingConfig { segments: 4, ..Default::default() }),
            quality: QUALITY,
            ..Default::default()
        }),
        // Every frame whole: differences leave "similar" pixels as they were, and over a clip that drifts by 20 dB.
        kmin: 0,
        kmax: 1,
        ..Default::default()
    };
    let mut encoder = Encoder::new_with_options((width as u32, height as u32), options).map_err(failed)?;
    let milliseconds = |index| {
        i32::try_from(rate.start(index, 1000))
            .map_err(|_| MediaError::encode("webp", "the clip lasts too long"))
    };
    let mut rgba = vec![255; width * height * 4];
    for index in 0..count {
        for (to, from) in rgba.chunks_exact_mut(4).zip(frames.frame(index).chunks_exact(3)) {
            to[..3].copy_from_slice(from);
        }
        encoder.add_frame(&rgba, milliseconds(index)?).map_err(failed)?;
    }
    let encoded = encoder.finalize(milliseconds(count)?).map_err(failed)?;
    out.write_all(&encoded).map_err(|e| MediaError::encode("webp", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{gradient, psnr, read_back};

    #[test]
    fn a_moving_gradient_survives_with_its_timing() {
        let shape = PixelShape::new(24, 65, 97);
        let frames = gradient(shape);
        let mut out = Vec::new();
        write(&mut out, &frames, 25.into()).unwrap();
        let clip = read_back("a.webp", &out);
        assert_eq!(clip.frames.shape(), shape);
        assert_eq!(clip.fps, 25.0);
        // The last frame is as good as the first: nothing accumulates.
        let of = |frames: &Frames, index| {
            Frames::from_rgb(PixelShape { frames: 1, ..shape }, frames.frame(index).to_vec())
        };
        for index in [0, 23] {
            let quality = psnr(&of(&clip.frames, index), &of(&frames, index));
            assert!(quality > 38.0, "frame {index}: {quality}");
        }
    }
}
