use std::ops::Range;

use crate::PixelShape;

/// Decoded video: 8-bit sRGB, `[Fp, Hp, Wp, 3]`, rows top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    shape: PixelShape,
    rgb: Vec<u8>,
}

impl Frames {
    /// Frames from `[Fp, Hp, Wp, 3]` bytes.
    ///
    /// # Panics
    /// If `rgb` has not exactly `Fp·Hp·Wp·3` bytes: that is a bug of the caller, not of the user.
    pub fn from_rgb(shape: PixelShape, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), shape.pixels() * 3, "frames need Fp·Hp·Wp·3 bytes for {shape}");
        Self { shape, rgb }
    }

    /// Black frames.
    pub fn black(shape: PixelShape) -> Self {
        Self { shape, rgb: vec![0; shape.pixels() * 3] }
    }

    /// Number of frames and their size.
    pub fn shape(&self) -> PixelShape {
        self.shape
    }

    /// All bytes, `[Fp, Hp, Wp, 3]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// All bytes, mutable.
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// The bytes of one frame, `[Hp, Wp, 3]`.
    pub fn frame(&self, index: usize) -> &[u8] {
        let bytes = self.shape.height * self.shape.width * 3;
        &self.rgb[index * bytes..(index + 1) * bytes]
    }

    /// The bytes of one frame, mutable.
    pub fn frame_mut(&mut self, index: usize) -> &mut [u8] {
        let bytes = self.shape.height * self.shape.width * 3;
        &mut self.rgb[index * bytes..(index + 1) * bytes]
    }

    /// Some of the frames.
    ///
    /// # Panics
    /// If they are not there.
    pub fn part(&self, range: Range<usize>) -> Self {
        let bytes = self.shape.height * self.shape.width * 3;
        let rgb = self.rgb[range.start * bytes..range.end * bytes].to_vec();
        Self { shape: PixelShape { frames: range.len(), ..self.shape }, rgb }
    }
}
