//! Sizes after resizing, and where a crop lies.

use crate::Mode;

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Window {
    /// All of an image.
    pub fn whole((height, width): (usize, usize)) -> Self {
        Self { top: 0, left: 0, height, width }
    }
}

/// Height and width when the shorter side becomes `side`: the longer one is cut off to a whole number.
pub fn short_side(height: usize, width: usize, side: usize) -> (usize, usize) {
    // Python divides integers to the nearest double and cuts off; up to 2⁵³ that is the integer quotient.
    match width <= height {
        true => (side * height / width, side),
        false => (side, side * width / height),
    }
}

/// The middle `side` × `side`, offsets rounded to even halves as Python does.
///
/// # Panics
/// If a side of the image is smaller: a bug of the caller.
pub fn centre((height, width): (usize, usize), side: usize) -> Window {
    assert!(height >= side && width >= side, "a crop of {side} in {height}x{width}");
    let offset = |length: usize| {
        let rest = length - side;
        // Half of an odd number: to the even neighbour.
        if rest % 4 == 3 { rest / 2 + 1 } else { rest / 2 }
    };
    Window { top: offset(height), left: offset(width), height: side, width: side }
}

/// Which side MUSIQ's limit of 512 pixels is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MusiqRule {
    /// The longer one: the reference's default.
    #[default]
    Longer,
    /// The shorter one.
    Shorter,
    /// The shorter one; then the middle 512 × 512.
    ShorterCentreCrop,
    /// Neither.
    None,
}

impl MusiqRule {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Longer, Self::Shorter, Self::ShorterCentreCrop, Self::None];

    /// The reference's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Longer => "longer",
            Self::Shorter => "shorter",
            Self::ShorterCentreCrop => "shorter_centercrop",
            Self::None => "None",
        }
    }
}

/// Longest side that MUSIQ is given.
pub(super) const MUSIQ_SIDE: usize = 512;

/// Height and width for MUSIQ; the crop is not part of it.
///
/// In [`Mode::Compat`] the limit may become 511: (512 / m) · m is below 512 in doubles for 470 values of m below 4,096.
pub fn musiq_size(height: usize, width: usize, rule: MusiqRule, mode: Mode) -> (usize, usize) {
    let measured = match rule {
        MusiqRule::Longer => height.max(width),
        MusiqRule::Shorter | MusiqRule::ShorterCentreCrop => height.min(width),
        MusiqRule::None => return (height, width),
    };
    if measured <= MUSIQ_SIDE {
        return (height, width);
    }
    match mode {
        Mode::Compat => {
            let scale = MUSIQ_SIDE as f64 / measured as f64;
            ((scale * height as f64) as usize, (scale * width as f64) as usize)
        }
        Mode::Fixed => (MUSIQ_SIDE * height / measured, MUSIQ_SIDE * width / measured),
    }
}
