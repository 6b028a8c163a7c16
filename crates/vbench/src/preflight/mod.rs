//! Is everything there that a suite needs? Asked before any hour is spent on measuring.

mod check;
mod names;
mod same;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vidit_media::{MediaError, ReadLimits};

pub use check::preflight;

use crate::naming::serialize_path;
use crate::pixels::{FrameStream, Reader, RgbFrame, StreamInfo};
use crate::{Dimension, Mode, Suite, SuiteVideo};

/// What is asked.
#[derive(Clone, Debug)]
pub struct PreflightOptions<'a> {
    /// The prompts.
    pub suite: &'a Suite,
    /// What is to be measured.
    pub dimensions: Vec<Dimension>,
    /// Videos of each prompt.
    pub samples: usize,
    /// Whether every video is read to its end, too. Names and bytes alone take seconds.
    pub read: bool,
    /// Whether long videos are to be measured in clips, as by VBench-Long: their length is nothing to tell of then.
    pub long: bool,
}

/// What is there, and what is wrong with it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Preflight {
    /// Whether every video that was asked for is there once, and can be measured as far as that was looked at.
    pub complete: bool,
    /// Whether that is all of VBench: its own suite, all dimensions, at least five samples, every file read.
    pub standard: bool,
    /// Why a complete suite is not the standard one; empty if it is.
    pub not_standard_because: Vec<String>,
    /// Videos that were asked for.
    pub expected: usize,
    /// Those that are there by name.
    pub found: usize,
    /// How many videos each dimension has.
    pub dimensions: BTreeMap<Dimension, Coverage>,
    /// Videos that are not there.
    pub missing: Vec<Missing>,
    /// Videos that cannot be measured.
    pub unusable: Vec<Unusable>,
    /// Files of the same bytes under several names: a sample counted twice.
    pub same_bytes: Vec<Vec<PathBuf>>,
    /// Several files for one video.
    pub same_name: Vec<SameName>,
    /// Files that no prompt asks for.
    pub extra: Vec<Extra>,
    /// Files of prompts that other dimensions than those asked for measure.
    pub unasked: usize,
    /// Sizes, lengths and rates, the most frequent first; empty if nothing was read.
    pub kinds: Vec<Kind>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Where each video is, for what measures it.
    #[serde(skip)]
    pub located: Vec<Located>,
}

impl Preflight {
    /// Dimensions that were asked for, and that the suite has no prompt for.
    fn without_prompts(&self) -> Vec<&'static str> {
        self.dimensions.iter().filter(|(_, found)| found.expected == 0).map(|(d, _)| d.name()).collect()
    }

    /// What keeps the suite from being complete, in a sentence.
    pub fn why_incomplete(&self) -> String {
        let without = self.without_prompts();
        if !without.is_empty() {
            return format!(
                "the suite has no prompt for {}, which `--dimensions` asks for",
                without.join(", ")
            );
        }
        format!(
            "the suite is not complete: {} of {} videos are missing, {} cannot be measured, {} are there twice",
            self.missing.len(),
            self.expected,
            self.unusable.len(),
            self.same_bytes.len() + self.same_name.len()
        )
    }
}

/// Videos of a dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Asked for.
    pub expected: usize,
    /// There by name.
    pub found: usize,
}

/// A video of the suite, and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The video.
    pub video: SuiteVideo,
    /// The file that each dimension measures.
    pub paths: BTreeMap<Dimension, PathBuf>,
}

/// A video that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What its file should be called.
    pub name: String,
    /// What would measure it.
    pub dimensions: Vec<Dimension>,
    /// What probably happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A file that cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Several files that are one video: other endings, or the same letters in another form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SameName {
    /// What the video is called.
    pub name: String,
    /// The files; the first would be measured.
    pub paths: Vec<PathBuf>,
}

/// A file that no prompt asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extra {
    /// The file.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// Why it does not count.
    pub reason: String,
    /// What it should probably be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meant: Option<String>,
}

/// A shape of videos, and how many have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kind {
    /// The shape.
    #[serde(flatten)]
    pub facts: VideoFacts,
    /// How many videos.
    pub videos: usize,
}

/// What reading a video tells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VideoFacts {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Number of frames.
    pub frames: usize,
    /// Frames a second; single pictures have no rate.
    pub fps: Option<f64>,
}

/// Reads a video to its end, frame by frame, as measuring does.
///
/// # Errors
/// Why it cannot be read, in one line.
pub fn read_facts(path: &Path, limits: &ReadLimits) -> Result<VideoFacts, String> {
    let line = |error: MediaError| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        // The file is named beside it already.
        line.strip_prefix(&format!("cannot read `{}`: ", path.display())).unwrap_or(line).to_owned()
    };
    let mut stream = FrameStream::open(path, limits, Reader::Decord, Mode::Compat).map_err(line)?;
    let StreamInfo { width, height, frames: told, fps, .. } = *stream.info();
    let (mut frame, mut frames) = (RgbFrame::default(), 0);
    while stream.read(&mut frame).map_err(line)? {
        frames += 1;
    }
    match told {
        Some(told) if told != frames => {
            Err(format!("it has `{frames}` frames, expected the `{told}` that its container tells of"))
        }
        _ => Ok(VideoFacts { width, height, frames, fps }),
    }
}
