//! Measuring: one decode of each video feeds every dimension, and what was measured is kept at once.
//!
//! [`Plan`] says which videos, [`measure`] walks them, [`Outcome`] is what came out of it: results in the reference's layout, and every
//! video that could not be measured by name.

mod between;
mod engine;
mod journal;
mod long;
mod networks;
mod outcome;
mod plan;
mod still;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use engine::{MeasureOptions, Progress, measure};
pub use networks::WeightsFolder;
pub use outcome::{Failed, Outcome};
pub use plan::{PassedOver, Plan, Task};
pub use still::{STILL_MAX, Still, look_for_still, still_by_prompt};

use crate::pixels::RgbFrame;
use crate::{Auxiliary, Dimension, Mode, Score};

/// What one video scored in one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its score.
    pub score: Score,
    /// Its part of the overall score's numerator.
    pub sum: f64,
    /// Its part of the denominator: frames where these are counted, else 1, or 0 for a video that does not count.
    pub count: f64,
    /// What the reference says beside the score.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl Measured {
    /// A video that counts as one.
    pub fn new(score: impl Into<Score>) -> Self {
        let score = score.into();
        Self { score, sum: score.value(), count: 1.0, extra: Map::new() }
    }

    /// One whose frames count.
    pub fn of_frames(score: impl Into<Score>, sum: f64, count: usize) -> Self {
        Self { score: score.into(), sum, count: count as f64, extra: Map::new() }
    }

    /// The same, with something beside the score.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    fn is_finite(&self) -> bool {
        self.score.value().is_finite() && self.sum.is_finite()
    }
}

/// What a measure knows of a video before its first frame.
#[derive(Clone, Copy)]
pub(crate) struct ClipFacts<'a> {
    pub frames: usize,
    /// Frames a second.
    pub fps: f64,
    pub height: usize,
    pub width: usize,
    pub prompt: &'a str,
    /// The file's name without its ending.
    pub stem: &'a str,
    /// Of those dimensions that it is measured for.
    pub auxiliary: &'a dyn Fn(Dimension) -> Option<&'a Auxiliary>,
    /// The picture that it should begin with.
    pub picture: Option<&'a Path>,
    /// Its frames are the pictures of a GIF or a PNG.
    pub stills: bool,
    pub mode: Mode,
}

/// Why a video has no score, in a sentence for its maker.
pub(crate) type Refusal = String;

/// What some dimensions make of a video: told of it, shown its frames in order, asked for scores.
pub(crate) trait Measure {
    /// The dimensions that this can measure; a video is measured for one or more of them.
    fn dimensions(&self) -> &'static [Dimension];

    /// A video begins; it is to be measured for `wanted`.
    fn begin(&mut self, clip: &ClipFacts, wanted: &[Dimension]) -> Result<(), Refusal>;

    /// The next frame.
    fn frame(&mut self, index: usize, frame: &RgbFrame) -> Result<(), Refusal>;

    /// The scores of the dimensions that were wanted; the video is forgotten.
    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)>;
}
