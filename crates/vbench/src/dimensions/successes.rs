/// Frames of a video that show what was asked for, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Successes {
    /// Frames that do.
    pub success: usize,
    /// All that were looked at.
    pub frames: usize,
}

impl Successes {
    /// Of one verdict a frame.
    pub fn of(frames: impl IntoIterator<Item = bool>) -> Self {
        frames
            .into_iter()
            .fold(Self::default(), |sum, good| sum.and(Self { success: good.into(), frames: 1 }))
    }

    fn and(self, other: Self) -> Self {
        Self { success: self.success + other.success, frames: self.frames + other.frames }
    }

    /// A video's score, 0–1; `None` without frames.
    pub fn rate(&self) -> Option<f64> {
        (self.frames > 0).then(|| self.success as f64 / self.frames as f64)
    }

    /// The dimension's score, 0–1: every frame of every video counts the same. `None` without frames.
    pub fn overall(videos: &[Self]) -> Option<f64> {
        videos.iter().fold(Self::default(), |sum, video| sum.and(*video)).rate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_long_videos_count_as_those_of_short_ones() {
        let (short, long) = (Successes::of([true, true]), Successes::of([false, true, false, false]));
        assert_eq!((short.rate(), long.rate()), (Some(1.0), Some(0.25)));
        assert_eq!(Successes::overall(&[short, long]), Some(0.5));
        assert_eq!((Successes::of([]).rate(), Successes::overall(&[])), (None, None));
    }
}
