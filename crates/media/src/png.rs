//! PNG: one image, or a folder of frames `00000.png`, `00001.png`, …

use std::io::Write;
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use vidit_video::Frames;

use crate::{MediaError, Result, atomic};

/// Writes `[height, width, 3]` bytes as one image.
pub(crate) fn write(out: &mut dyn Write, rgb: &[u8], width: usize, height: usize) -> Result<()> {
    let failed = |e: image::ImageError| MediaError::encode("png", e);
    let side = |side| u32::try_from(side).map_err(|_| MediaError::encode("png", "the image is too large"));
    PngEncoder::new(out)
        .write_image(rgb, side(width)?, side(height)?, ExtendedColorType::Rgb8)
        .map_err(failed)
}

/// One frame as the bytes of a PNG file.
///
/// # Errors
/// If it has no pixels.
///
/// # Panics
/// If there is no such frame.
pub fn png_bytes(frames: &Frames, index: usize) -> Result<Vec<u8>> {
    let shape = frames.shape();
    let mut bytes = Vec::new();
    write(&mut bytes, frames.frame(index), shape.width, shape.height)?;
    Ok(bytes)
}

/// Writes every frame into `folder`. Returns the bytes of all files.
pub(crate) fn write_frames(folder: &Path, frames: &Frames) -> Result<u64> {
    let shape = frames.shape();
    let write_frame = |index| {
        let path = folder.join(format!("{index:05}.png"));
        atomic::write_file(&path, false, |out| write(out, frames.frame(index), shape.width, shape.height))
    };
    (0..shape.frames).map(write_frame).sum()
}

#[cfg(test)]
mod tests {
    use vidit_video::PixelShape;

    use super::*;
    use crate::fixtures::{gradient, read_back};

    #[test]
    fn bytes_are_a_file_of_one_frame() {
        let frames = gradient(PixelShape::new(3, 5, 7));
        let back = read_back("a.png", &png_bytes(&frames, 2).unwrap());
        assert_eq!(back.frames, frames.part(2..3));
    }
}
