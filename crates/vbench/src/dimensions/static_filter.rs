//! Does nothing move at all? What VBench's own protocol asks of videos before flicker is measured on them: RAFT's flow between all
//! neighbours, and between the first and the last frame both ways.

use std::rc::Rc;

use vidit_backbones::raft::{self, Context, Features, Raft};

use super::motion::speed;
use super::raw;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, Mode};

/// Fewer frames leave no room for motion: of none of their pairs, and of no way at all. Quirk Q9.
const FRAMES_MIN: usize = 5;

/// Of the pixels, those that count: the fastest.
const SHARE: f64 = 0.02;

pub(crate) struct StaticFilter {
    network: Raft,
    mode: Mode,
    frames: usize,
    limits: Limits,
    first: Option<Rc<Seen>>,
    former: Option<Rc<Seen>>,
    /// Neighbours that move.
    moving: usize,
    moves: bool,
}

/// A frame as both sides of pairs.
struct Seen {
    features: Features,
    context: Context,
}

/// From when on something moves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Limits {
    /// Pixels between neighbours.
    speed: f64,
    /// Pairs of neighbours that may be faster.
    pairs: usize,
    /// Pixels between first and last.
    way: f64,
}

impl Limits {
    fn of(frames: usize, height: usize, width: usize) -> Self {
        let speed = 3.0 * (height.min(width) as f64 / 256.0);
        let pairs = (2.0 * (frames as f64 / 16.0)).round_ties_even() as usize;
        Self { speed, pairs, way: speed * pairs as f64 * 2.0 }
    }
}

impl StaticFilter {
    pub fn new(network: Raft) -> Self {
        let (limits, first, former) = (Limits::default(), None, None);
        Self { network, mode: Mode::Compat, frames: 0, limits, first, former, moving: 0, moves: false }
    }

    fn see(&self, frame: &RgbFrame) -> Result<Seen, Refusal> {
        let padded = raft::padding(frame.height, frame.width).pad(&raw(frame, 1.0)); // [1, H, W, 3]
        let features = self.network.features(&padded).map_err(|error| error.to_string())?;
        let context = self.network.context(&padded).map_err(|error| error.to_string())?;
        Ok(Seen { features, context })
    }

    fn speed(&self, from: &Seen, to: &Seen, frame: &RgbFrame) -> Result<f64, Refusal> {
        speed(&self.network, (&from.features, &from.context), &to.features, frame, self.mode, SHARE)
    }
}

impl Measure for StaticFilter {
    /// It has no name among the dimensions: it goes before this one.
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::TemporalFlickering]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        (self.mode, self.frames) = (clip.mode, clip.frames);
        self.limits = Limits::of(clip.frames, clip.height, clip.width);
        (self.first, self.former, self.moving, self.moves) = (None, None, 0, false);
        super::at_least(clip.frames, if clip.mode == Mode::Fixed { FRAMES_MIN } else { 2 })
    }

    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        if self.moves {
            return Ok(());
        }
        let latter = Rc::new(self.see(frame)?);
        if let Some(former) = self.former.take() {
            let speed = self.speed(&former, &latter, frame)?;
            self.moving += usize::from(speed > self.limits.speed);
            self.moves = self.moving > self.limits.pairs;
        }
        let first = Rc::clone(self.first.get_or_insert_with(|| Rc::clone(&latter)));
        if index + 1 == self.frames {
            for (from, to) in [(&first, &latter), (&latter, &first)] {
                self.moves = self.moves || self.speed(from, to, frame)? > self.limits.way;
            }
        }
        self.former = Some(latter);
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        (self.first, self.former) = (None, None);
        vec![(Dimension::TemporalFlickering, Ok(Measured::new(!self.moves)))]
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vidit_weights::TensorStore;

    use super::*;

    #[test]
    fn limits_are_the_reference_s() {
        assert_eq!(Limits::of(16, 256, 512), Limits { speed: 3.0, pairs: 2, way: 12.0 });
        // Python rounds halves to the even one: 2 · 20/16 = 2.5, 2 · 28/16 = 3.5.
        assert_eq!([20, 28, 49].map(|frames| Limits::of(frames, 512, 512).pairs), [2, 4, 6]);
    }

    #[test]
    fn clips_of_which_nothing_could_stand_still_are_refused_in_fixed() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbones/src/raft/golden/tiny.safetensors");
        let weights = TensorStore::read(&path).unwrap().under("weights.");
        let mut filter = StaticFilter::new(Raft::load(weights).unwrap());
        let mut begin = |frames, mode| {
            let clip = ClipFacts {
                frames,
                fps: 8.0,
                height: 128,
                width: 128,
                prompt: "",
                stem: "",
                auxiliary: &|_| None,
                picture: None,
                stills: false,
                mode,
            };
            filter.begin(&clip, &[Dimension::TemporalFlickering])
        };
        for frames in 2..FRAMES_MIN {
            assert_eq!(Limits::of(frames, 128, 128).way, 0.0, "{frames}");
            begin(frames, Mode::Compat).unwrap();
            let refused = begin(frames, Mode::Fixed).unwrap_err();
            assert_eq!(refused, format!("it needs at least 5 frames, found `{frames}`"));
        }
        assert!(Limits::of(FRAMES_MIN, 128, 128).way > 0.0);
        begin(FRAMES_MIN, Mode::Fixed).unwrap();
        assert!(begin(1, Mode::Compat).is_err());
    }
}
