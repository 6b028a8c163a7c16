use std::fmt;

use crate::{MediaError, Result};

/// Frames per second as an exact fraction, so that 30000/1001 stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// The lowest rate that we write, in frames per second.
    pub const MIN: f64 = 0.01;

    /// The highest rate that we write, in frames per second.
    pub const MAX: u32 = 1000;

    /// `numerator / denominator` frames per second, for instance 30000 / 1001.
    pub const fn new(numerator: u32, denominator: u32) -> Self {
        Self { numerator, denominator }
    }

    /// The fraction that someone meant by a decimal number: whole, NTSC (n·1000/1001), or to three decimals.
    pub fn nearest(hz: f64) -> Self {
        // Relative; tells 29.97 from 30 (1e-3 apart) and absorbs the rounding of measured durations.
        const SAME: f64 = 1e-4;
        let whole = hz.round();
        if (hz - whole).abs() < whole * SAME {
            return Self::new(whole as u32, 1);
        }
        let ntsc = (hz * 1.001).round();
        if (hz - ntsc / 1.001).abs() < hz * SAME {
            return Self::new((ntsc * 1000.0) as u32, 1001);
        }
        Self::new((hz * 1000.0).round() as u32, 1000)
    }

    /// Numerator of the fraction.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// Denominator of the fraction.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Frames per second.
    pub fn hz(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// When frame `index` starts, in units of `1 / ticks_per_second`, rounded.
    pub(crate) fn start(self, index: usize, ticks_per_second: u64) -> u64 {
        let numerator = u64::from(self.numerator);
        (index as u64 * u64::from(self.denominator) * ticks_per_second + numerator / 2) / numerator
    }

    pub(crate) fn check(self) -> Result<()> {
        // A denominator of zero gives infinity or NaN.
        if (Self::MIN..=f64::from(Self::MAX)).contains(&self.hz()) {
            return Ok(());
        }
        Err(MediaError::FrameRate { found: self.to_string(), min: Self::MIN, max: Self::MAX })
    }
}

impl From<u32> for FrameRate {
    fn from(hz: u32) -> Self {
        Self::new(hz, 1)
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_the_fraction_that_was_meant() {
        assert_eq!(FrameRate::nearest(24.0), FrameRate::new(24, 1));
        assert_eq!(FrameRate::nearest(30000.0 / 1001.0), FrameRate::new(30000, 1001));
        assert_eq!(FrameRate::nearest(23.976), FrameRate::new(24000, 1001));
        assert_eq!(FrameRate::nearest(12.5), FrameRate::new(12500, 1000));
        for hz in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e30] {
            assert!(FrameRate::nearest(hz).check().is_err(), "{hz}");
        }
        assert!(FrameRate::new(24, 0).check().is_err());
        assert!(FrameRate::from(0).check().is_err());
    }

    #[test]
    fn starts_do_not_drift() {
        let rate = FrameRate::from(24);
        assert_eq!((0..=4).map(|i| rate.start(i, 100)).collect::<Vec<_>>(), [0, 4, 8, 13, 17]);
        assert_eq!(rate.start(24_000, 100), 100_000);
    }
}
