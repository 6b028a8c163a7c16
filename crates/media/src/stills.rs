//! The pictures of a GIF or a PNG, one after the other, each once.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::read::{Kind, checked_size, read_file};
use crate::{MediaError, ReadLimits, Result};

/// The pictures of a GIF or a PNG as they are stored: no delay repeats one, no orientation turns one, alpha is dropped.
///
/// They equal those of Pillow's `convert("RGB")` but where a GIF is transparent, which Pillow fills from the palette.
pub struct Stills {
    path: PathBuf,
    limits: ReadLimits,
    width: usize,
    height: usize,
    source: Source,
    pictures: usize,
}

enum Source {
    Animation(image::Frames<'static>),
    One(Option<Vec<u8>>),
}

impl Stills {
    /// Opens a file. Of `limits`, `pixels_max` holds for each picture, not for all together.
    ///
    /// # Errors
    /// The file is missing, too large, damaged, or neither a GIF nor a PNG with 8 bits.
    pub fn open(path: &Path, limits: &ReadLimits) -> Result<Self> {
        let file = read_file(path, limits)?;
        let damaged = |e: image::ImageError| malformed(path, e);
        let (width, height, source) = match Kind::of(&file) {
            Kind::Gif => {
                let mut decoder = GifDecoder::new(Cursor::new(file)).map_err(damaged)?;
                let (width, height) = checked_size(path, limits, &mut decoder)?;
                (width, height, Source::Animation(decoder.into_frames()))
            }
            Kind::Image(ImageFormat::Png) => {
                let reader = ImageReader::with_format(Cursor::new(file), ImageFormat::Png);
                let mut decoder = reader.into_decoder().map_err(damaged)?;
                let (width, height) = checked_size(path, limits, &mut decoder)?;
                if matches!(
                    decoder.color_type(),
                    ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16
                ) {
                    return Err(MediaError::unsupported(path, "a PNG of 16 bits"));
                }
                let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
                (width, height, Source::One(Some(image.into_rgb8().into_raw())))
            }
            _ => return Err(MediaError::corrupt(path, "it is neither a GIF nor a PNG")),
        };
        let limits = ReadLimits { pixels_max: u64::MAX, ..*limits };
        Ok(Self { path: path.to_owned(), limits, width, height, source, pictures: 0 })
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Puts the next picture, `[H, W, 3]`, into `rgb`; false at the end.
    ///
    /// # Errors
    /// The file is damaged, or holds more pictures than the limits allow.
    pub fn read(&mut self, rgb: &mut Vec<u8>) -> Result<bool> {
        match &mut self.source {
            Source::One(picture) => Ok(picture.take().map(|picture| *rgb = picture).is_some()),
            Source::Animation(pictures) => {
                let Some(picture) = pictures.next() else { return Ok(false) };
                let picture = picture.map_err(|e| malformed(&self.path, e))?.into_buffer();
                self.pictures += 1;
                self.limits.check_clip(&self.path, self.pictures, self.width, self.height)?;
                if picture.dimensions() != (self.width as u32, self.height as u32) {
                    return Err(MediaError::corrupt(&self.path, "its pictures do not fit its canvas"));
                }
                rgb.clear();
                rgb.extend(picture.chunks_exact(4).flat_map(|pixel| &pixel[..3]));
                Ok(true)
            }
        }
    }
}

fn malformed(path: &Path, error: image::ImageError) -> MediaError {
    MediaError::corrupt(path, format!("the picture is malformed ({error})"))
}
