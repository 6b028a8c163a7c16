//! Does anything move? RAFT's flow between frames about an eighth of a second apart: a clip moves if in enough of the pairs the
//! fastest twentieth of the pixels is fast.

use vidit_backbones::raft::{self, Context, Features, Raft};

use super::motion::speed;
use super::raw;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, Mode};

/// Of the pixels, those that count: the fastest.
const SHARE: f64 = 0.05;

pub(crate) struct DynamicDegree {
    network: Raft,
    mode: Mode,
    interval: usize,
    votes: Votes,
    former: Option<(Features, Context)>,
}

/// What pairs of frames say so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Votes {
    /// Speed in pixels a pair above which a pair moves.
    threshold: f64,
    /// Pairs that have to move.
    needed: usize,
    pairs: usize,
    seen: usize,
    moving: usize,
    /// Known as soon as the pairs to come cannot change it.
    moves: Option<bool>,
}

impl Votes {
    /// Of so many sampled frames, one or more.
    fn of(sampled: usize, height: usize, width: usize) -> Self {
        Self {
            threshold: 6.0 * (height.min(width) as f64 / 256.0),
            needed: (4.0 * (sampled as f64 / 16.0)).round_ties_even() as usize,
            pairs: sampled - 1,
            ..Self::default()
        }
    }

    /// The next pair.
    fn push(&mut self, speed: f64) {
        self.seen += 1;
        self.moving += usize::from(speed > self.threshold);
        if self.moving >= self.needed {
            self.moves = Some(true);
        } else if self.moving + self.pairs - self.seen < self.needed {
            self.moves = Some(false);
        }
    }

    /// Whether no further pair is needed, or none comes.
    fn is_over(&self) -> bool {
        self.moves.is_some() || self.seen == self.pairs
    }
}

impl DynamicDegree {
    pub fn new(network: Raft) -> Self {
        Self { network, mode: Mode::Compat, interval: 1, votes: Votes::default(), former: None }
    }
}

/// Every how manieth frame is looked at.
fn interval(fps: f64) -> usize {
    ((fps / 8.0).round_ties_even() as usize).max(1)
}

impl Measure for DynamicDegree {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::DynamicDegree]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        super::at_least(clip.frames, 1)?;
        let interval = interval(clip.fps);
        let sampled = clip.frames.div_ceil(interval);
        if clip.mode == Mode::Fixed && sampled < 3 {
            return Err(format!(
                "motion needs at least 3 frames an eighth of a second apart, found `{sampled}`"
            ));
        }
        (self.mode, self.interval, self.former) = (clip.mode, interval, None);
        self.votes = Votes::of(sampled, clip.height, clip.width);
        Ok(())
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        if index % self.interval > 0 || self.votes.moves.is_some() {
            return Ok(());
        }
        let padded = raft::padding(frame.height, frame.width).pad(&raw(frame, 1.0)); // [1, H, W, 3]
        let latter = self.network.features(&padded).map_err(|error| error.to_string())?;
        if let Some((former, context)) = self.former.take() {
            self.votes.push(speed(&self.network, (&former, &context), &latter, frame, self.mode, SHARE)?);
        }
        if !self.votes.is_over() {
            let context = self.network.context(&padded).map_err(|error| error.to_string())?;
            self.former = Some((latter, context));
        }
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        self.former = None;
        vec![(Dimension::DynamicDegree, Ok(Measured::new(self.votes.moves.unwrap_or(false))))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::motion::mean_of_fastest;
    use super::*;

    /// After so many pairs it is known whether the clip moves.
    fn known_after(sampled: usize, speeds: impl IntoIterator<Item = f64>) -> (usize, Option<bool>) {
        let mut votes = Votes::of(sampled, 256, 256);
        for speed in speeds {
            if votes.is_over() {
                break;
            }
            votes.push(speed);
        }
        (votes.seen, votes.moves)
    }

    #[test]
    fn limits_are_the_reference_s() {
        // 120 frames of 720p at 24 a second.
        let sampled = 120usize.div_ceil(interval(24.0));
        let votes = Votes::of(sampled, 720, 1280);
        assert_eq!((sampled, votes.threshold, votes.needed, votes.pairs), (40, 16.875, 10, 39));
        // Python rounds halves to the even one: 4 · 2/16 = 0.5, 4 · 6/16 = 1.5, 4 · 10/16 = 2.5.
        assert_eq!([2, 6, 10, 16].map(|sampled| Votes::of(sampled, 256, 256).needed), [0, 2, 2, 4]);
    }

    #[test]
    fn two_frames_always_move_and_one_never_does() {
        assert_eq!(known_after(2, [0.0]), (1, Some(true)));
        assert_eq!(known_after(1, []), (0, None));
    }

    #[test]
    fn looking_ends_once_the_pairs_to_come_cannot_change_it() {
        // Of 15 pairs 4 have to be faster than 6 pixels.
        let fast = |at: &'static [usize]| (0..15).map(|pair| if at.contains(&pair) { 6.5 } else { 6.0 });
        assert_eq!(known_after(16, fast(&[0, 2, 4, 6])), (7, Some(true)));
        assert_eq!(known_after(16, fast(&[])), (12, Some(false)));
        assert_eq!(known_after(16, fast(&[0, 1, 2])), (15, Some(false)));
        assert_eq!(known_after(16, fast(&[0, 1, 2, 14])), (15, Some(true)));
    }

    #[test]
    fn intervals_and_means_are_python_s() {
        assert_eq!([4.0, 8.0, 12.0, 20.0, 24.0, 30.0].map(interval), [1, 1, 2, 2, 3, 4]);
        let mut lengths: Vec<f32> = (0..45).rev().map(|i| i as f32).collect();
        assert_eq!(mean_of_fastest(&mut lengths, 0.05), 43.5);
        assert!(mean_of_fastest(&mut [1.0; 19], 0.05).is_nan());
    }
}
