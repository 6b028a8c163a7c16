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

    /// These frames going over into others of the same shape, of which `share(frame)`, 0 to 1, is seen.
    ///
    /// # Panics
    /// If shapes differ.
    pub fn dissolve(&self, to: &Self, share: impl Fn(usize) -> f32) -> Self {
        assert_eq!(self.shape, to.shape, "frames of one shape dissolve");
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for frame in 0..self.shape.frames {
            let share = share(frame);
            let pixels = self.frame(frame).iter().zip(to.frame(frame));
            rgb.extend(
                pixels.map(|(&a, &b)| (f32::from(a) + (f32::from(b) - f32::from(a)) * share + 0.5) as u8),
            );
        }
        Self { shape: self.shape, rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_dissolve_by_their_share() {
        let shape = PixelShape::new(3, 1, 1);
        let of = |value: u8| Frames::from_rgb(shape, vec![value; 9]);
        let found = of(100).dissolve(&of(201), |frame| frame as f32 / 2.0);
        assert_eq!(found.rgb(), [100, 100, 100, 151, 151, 151, 201, 201, 201]);
    }
}
