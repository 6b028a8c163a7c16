use std::fmt;

/// The size of a clip in pixel space: `Fp × Hp × Wp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelShape {
    /// Number of frames, `Fp`.
    pub frames: usize,
    /// Height in pixels, `Hp`.
    pub height: usize,
    /// Width in pixels, `Wp`.
    pub width: usize,
}

impl PixelShape {
    /// A shape from frames, height and width, in this order.
    pub fn new(frames: usize, height: usize, width: usize) -> Self {
        Self { frames, height, width }
    }

    /// Pixels in all frames together.
    pub fn pixels(&self) -> usize {
        self.frames * self.height * self.width
    }
}

impl fmt::Display for PixelShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames of {}x{}", self.frames, self.width, self.height)
    }
}

/// The size of a clip in latent space: `C × F × H × W`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LatentShape {
    /// Channels, `C`.
    pub channels: usize,
    /// Latent frames, `F`.
    pub frames: usize,
    /// Latent rows, `H`.
    pub height: usize,
    /// Latent columns, `W`.
    pub width: usize,
}

/// How a causal video VAE compresses: frame 0 alone, then `time` frames to one latent frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Pixel frames per latent frame after the first.
    pub time: usize,
    /// Pixels per latent cell, along height and width.
    pub space: usize,
    /// Latent channels.
    pub channels: usize,
    /// Latent cells per token along height and width (the transformer's patch).
    pub patch: usize,
}

/// A clip size that the grid of a model does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The number of frames is not `time·n + 1`.
    #[error(
        "frames must be {time}n+1, found `{found}`\nhint: the nearest legal values are {below} and {above}"
    )]
    Frames {
        /// Frames per latent.
        time: usize,
        /// What was asked.
        found: usize,
        /// Largest legal value below.
        below: usize,
        /// Smallest legal value above.
        above: usize,
    },
    /// Zero frames.
    #[error("frames must be at least 1, found `0`\nhint: 1 makes an image, 25 is the default clip")]
    NoFrames,
    /// Height or width off the grid.
    #[error(
        "{axis} must be a positive multiple of {multiple}, found `{found}`\nhint: the nearest legal values are {near}"
    )]
    OffGrid {
        /// `width` or `height`.
        axis: &'static str,
        /// Required divisor in pixels.
        multiple: usize,
        /// What was asked.
        found: usize,
        /// Nearest legal values, in words.
        near: String,
    },
}

impl Compression {
    /// Pixels that one token covers along an axis.
    pub fn pixels_per_token(&self) -> usize {
        self.space * self.patch
    }

    /// The latent shape of a clip.
    ///
    /// # Errors
    /// If frames are not `time·n + 1` or a side is not a positive multiple of [`Self::pixels_per_token`].
    pub fn latent_from_pixel(&self, pixel: PixelShape) -> Result<LatentShape, ShapeError> {
        if pixel.frames == 0 {
            return Err(ShapeError::NoFrames);
        }
        if !(pixel.frames - 1).is_multiple_of(self.time) {
            let below = (pixel.frames - 1) / self.time * self.time + 1;
            return Err(ShapeError::Frames {
                time: self.time,
                found: pixel.frames,
                below,
                above: below + self.time,
            });
        }
        let multiple = self.pixels_per_token();
        for (axis, found) in [("width", pixel.width), ("height", pixel.height)] {
            if found == 0 || !found.is_multiple_of(multiple) {
                let below = found / multiple * multiple;
                let near = if below == 0 {
                    format!("{multiple}")
                } else {
                    format!("{below} and {}", below + multiple)
                };
                return Err(ShapeError::OffGrid { axis, multiple, found, near });
            }
        }
        Ok(LatentShape {
            channels: self.channels,
            frames: (pixel.frames - 1) / self.time + 1,
            height: pixel.height / self.space,
            width: pixel.width / self.space,
        })
    }

    /// The clip that a latent decodes to.
    pub fn pixel_from_latent(&self, latent: LatentShape) -> PixelShape {
        PixelShape {
            frames: (latent.frames - 1) * self.time + 1,
            height: latent.height * self.space,
            width: latent.width * self.space,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINI: Compression = Compression { time: 4, space: 8, channels: 12, patch: 2 };

    #[test]
    fn shapes_walk_both_ways() {
        for frames in [1, 5, 25, 49] {
            let pixel = PixelShape::new(frames, 96, 160);
            let latent = MINI.latent_from_pixel(pixel).unwrap();
            assert_eq!(latent.frames, (frames - 1) / 4 + 1);
            assert_eq!(MINI.pixel_from_latent(latent), pixel);
        }
    }

    #[test]
    fn off_grid_sizes_name_the_nearest_legal_ones() {
        let frames = MINI.latent_from_pixel(PixelShape::new(16, 64, 64)).unwrap_err();
        assert_eq!(frames, ShapeError::Frames { time: 4, found: 16, below: 13, above: 17 });
        let width = MINI.latent_from_pixel(PixelShape::new(17, 64, 100)).unwrap_err();
        assert!(width.to_string().contains("96 and 112"), "{width}");
        assert!(MINI.latent_from_pixel(PixelShape::new(0, 64, 64)).is_err());
        assert!(MINI.latent_from_pixel(PixelShape::new(1, 0, 64)).is_err());
    }
}
