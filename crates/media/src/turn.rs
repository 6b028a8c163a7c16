//! Cameras write the sensor's rows and say how the camera was held.

/// A clockwise turn for display, by quarters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// As stored.
    None,
    /// 90°.
    Quarter,
    /// 180°.
    Half,
    /// 270°.
    ThreeQuarters,
}

impl Turn {
    /// Width and height after the turn.
    pub fn size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::None | Self::Half => (width, height),
            Self::Quarter | Self::ThreeQuarters => (height, width),
        }
    }

    /// Writes `from [H, W, 3]` turned to `to`. `width` is that of `from`.
    ///
    /// # Panics
    /// If the two differ in length: a bug of the caller.
    pub fn apply(self, from: &[u8], width: usize, to: &mut [u8]) {
        assert_eq!(from.len(), to.len(), "a turn keeps every pixel");
        if self == Self::None {
            return to.copy_from_slice(from);
        }
        let height = from.len() / (width * 3);
        let (new_width, _) = self.size(width, height);
        for (at, pixel) in to.chunks_exact_mut(3).enumerate() {
            let (y, x) = (at / new_width, at % new_width);
            let (from_y, from_x) = match self {
                Self::None => (y, x),
                Self::Quarter => (height - 1 - x, y),
                Self::Half => (height - 1 - y, width - 1 - x),
                Self::ThreeQuarters => (x, width - 1 - y),
            };
            let start = (from_y * width + from_x) * 3;
            pixel.copy_from_slice(&from[start..start + 3]);
        }
    }
}
