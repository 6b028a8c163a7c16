//! The ten background colours.

use serde::{Deserialize, Serialize};

use crate::Random;

/// A background colour; the ten lie far apart in hue or lightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the colours")]
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Cyan,
    Blue,
    Purple,
    Pink,
    White,
    Gray,
}

impl Colour {
    /// All ten.
    pub const ALL: [Self; 10] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Cyan,
        Self::Blue,
        Self::Purple,
        Self::Pink,
        Self::White,
        Self::Gray,
    ];

    /// The English name, as in metadata and in the held-out split.
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Cyan => "cyan",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
            Self::White => "white",
            Self::Gray => "gray",
        }
    }

    /// The colour without jitter, sRGB.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Red => [214, 40, 40],
            Self::Orange => [250, 140, 30],
            Self::Yellow => [247, 214, 45],
            Self::Green => [52, 160, 70],
            Self::Cyan => [45, 200, 212],
            Self::Blue => [42, 92, 220],
            Self::Purple => [130, 58, 184],
            Self::Pink => [250, 150, 190],
            Self::White => [244, 244, 244],
            Self::Gray => [132, 135, 138],
        }
    }

    /// Shades that a gradient may run to without being called another colour: darker (×) and lighter (towards white).
    fn shades(self) -> &'static [Shade] {
        use Shade::{Darker, Lighter};
        match self {
            // A lighter red is pink, a darker orange brown, a darker yellow olive, a grayer white gray.
            Self::Red => &[Darker(0.62)],
            Self::Orange | Self::Yellow => &[Lighter(0.5)],
            Self::White => &[Darker(0.87)],
            Self::Pink => &[Lighter(0.45), Darker(0.85)],
            Self::Gray => &[Lighter(0.3), Darker(0.7)],
            Self::Green | Self::Cyan | Self::Blue | Self::Purple => &[Lighter(0.4), Darker(0.6)],
        }
    }
}

#[derive(Clone, Copy)]
enum Shade {
    Darker(f32),
    Lighter(f32),
}

/// What lies behind the objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Background {
    /// What it is called.
    pub colour: Colour,
    /// The colour with its jitter, sRGB.
    pub rgb: [u8; 3],
    /// A soft run to another shade of the same hue; `None` is one solid colour.
    pub gradient: Option<Gradient>,
}

/// A linear run from the background's colour to another shade of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gradient {
    /// The shade at the far end, sRGB.
    pub to: [u8; 3],
    /// Direction in turns: 0 runs to the right, 0.25 downwards.
    pub direction_turns: f32,
}

/// How often a background is a gradient.
const GRADIENT_SHARE: f32 = 0.4;

impl Background {
    /// A background of `colour` with random value and, in 40 % of the cases, a gradient.
    pub fn sample(colour: Colour, random: &mut Random) -> Self {
        let value = match colour {
            Colour::White => random.between(0.97, 1.04),
            _ => random.between(0.92, 1.08),
        };
        let rgb = colour.rgb().map(|channel| to_byte(f32::from(channel) * value));
        let gradient = random.chance(GRADIENT_SHARE).then(|| {
            let strength = random.between(0.7, 1.0);
            let to = match *random.choose(colour.shades()) {
                Shade::Darker(factor) => {
                    rgb.map(|channel| to_byte(f32::from(channel) * (1.0 - (1.0 - factor) * strength)))
                }
                Shade::Lighter(share) => rgb.map(|channel| {
                    to_byte(f32::from(channel) + (255.0 - f32::from(channel)) * share * strength)
                }),
            };
            Gradient { to, direction_turns: random.unit() }
        });
        Self { colour, rgb, gradient }
    }
}

fn to_byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_nearest_to_its_own_colour() {
        for colour in Colour::ALL {
            for index in 0..200 {
                let background = Background::sample(colour, &mut Random::new(3, index));
                let distance = |other: &Colour| -> i32 {
                    let both = other.rgb().into_iter().zip(background.rgb);
                    both.map(|(a, b)| (i32::from(a) - i32::from(b)).pow(2)).sum()
                };
                assert_eq!(Colour::ALL.into_iter().min_by_key(distance), Some(colour));
            }
        }
    }
}
