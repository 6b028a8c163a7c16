use std::fmt;

use serde::{Deserialize, Serialize};

use super::measures::PLACES;
use crate::Share;

/// Two objects in one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// Both are where they belong.
    pub both: Share,
    /// At least one is.
    pub one: Share,
    /// Both, in real clips.
    pub real: Share,
}

/// A real image as the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Animated {
    /// Mean peak signal-to-noise ratio of the first frame against the image, in decibels.
    pub first_frame_db: f64,
    /// The prompt's motion is followed.
    pub motion: Share,
    /// The same of real clips.
    pub real: Share,
}

/// Real clips that go on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extended {
    /// Median of the step at the joint over the median step beside it; 1 is no seam.
    pub join_error: f64,
    /// The new part shows the same object.
    pub object: Share,
    /// Mean change of the background after five extensions in a row, in levels of 255.
    pub drift_levels: f64,
    /// The object, in real clips.
    pub real: Share,
}

/// Loops of one length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looped {
    /// Frames of the loop.
    pub frames: usize,
    /// Median of the step from the last frame to the first over the median step inside.
    pub join_error: f64,
    /// The object is the one named.
    pub object: Share,
    /// Mean difference of the middle frame from the first, in levels: a loop that stands still has none.
    pub half_way_levels: f64,
}

/// What lies between two real clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connected {
    /// Medians at the first clip's end and at the second's beginning.
    pub join_errors: [f64; 2],
    /// The first quarter of what is new shows the first clip's object, the last quarter the second's.
    pub both: Share,
    /// The same of as many frames of the clips themselves.
    pub real: Share,
}

/// Two real clips, one of which becomes the other along their whole length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blended {
    /// Noise level from which the middle is made anew.
    pub strength: f32,
    /// The first quarter shows the first clip's object, the last quarter the second's.
    pub both: Share,
    /// Median of the largest step between frames over the median one: a cut has many times as much.
    pub largest_step: f64,
    /// Both, of as many frames of the clips themselves.
    pub real: Share,
}

/// Real clips whose background or object is changed by words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remixed {
    /// Noise level from which clips are made anew.
    pub strength: f32,
    /// It is as asked.
    pub changed: Share,
    /// Mean correlation of the object's track with what it was.
    pub track_correlation: f64,
    /// As asked, in real clips.
    pub real: Share,
}

/// One size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sized {
    /// Frames.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// The object is the one named.
    pub object: Share,
    /// Over the same at the default size; nothing where that is 0.
    pub relative: Option<f64>,
    /// The same of real clips.
    pub real: Share,
}

/// How evenly clips of the default size move: mean steps into each of the four frames of a latent frame, in levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paced {
    /// Generated clips.
    pub steps_levels: [f64; PLACES],
    /// Real clips of the same scenes.
    pub real_levels: [f64; PLACES],
}

/// The result of [`evaluate_sora`](super::evaluate_sora).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoraReport {
    /// Cases of each part.
    pub cases: usize,
    /// Chose cases and noise.
    pub seed: u64,
    /// Two objects in one prompt.
    pub pairs: Pairs,
    /// First images.
    pub animated: Animated,
    /// Extensions.
    pub extended: Extended,
    /// Loops of 2 and 4 seconds.
    pub loops: Vec<Looped>,
    /// Connections.
    pub connected: Connected,
    /// Blends.
    pub blended: Blended,
    /// Remixes.
    pub remixed: Remixed,
    /// The default size, then others.
    pub sizes: Vec<Sized>,
    /// Evenness at the default size.
    pub paced: Paced,
    /// Seconds in all.
    pub seconds: f64,
}

impl fmt::Display for SoraReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases of each, seed {}, {:.0} s", self.cases, self.seed, self.seconds)?;
        writeln!(f)?;
        let mut row = |what: &str, found: String, real: Option<Share>| {
            writeln!(f, "{what:<44}{found:>12}{:>14}", real.map_or(String::new(), |share| share.to_string()))
        };
        row("", "generated".into(), None)?;
        let Self { pairs, animated, extended, connected, blended, remixed, .. } = self;
        row("two objects: both right", pairs.both.to_string(), Some(pairs.real))?;
        row("  at least one", pairs.one.to_string(), None)?;
        row("first image: PSNR of frame 0", format!("{:.1} dB", animated.first_frame_db), None)?;
        row("  motion followed", animated.motion.to_string(), Some(animated.real))?;
        row("extend: join error", format!("{:.2}", extended.join_error), None)?;
        row("  object the same", extended.object.to_string(), Some(extended.real))?;
        row("  drift of five in a row", format!("{:.1}/255", extended.drift_levels), None)?;
        for found in &self.loops {
            row(
                &format!("loop of {} frames: join error", found.frames),
                format!("{:.2}", found.join_error),
                None,
            )?;
            row("  object", found.object.to_string(), None)?;
            row("  change half-way", format!("{:.1}/255", found.half_way_levels), None)?;
        }
        let [from, to] = connected.join_errors;
        row("connect: join errors", format!("{from:.2}, {to:.2}"), None)?;
        row("  both objects at their ends", connected.both.to_string(), Some(connected.real))?;
        row(
            &format!("blend at {}: both objects at their ends", blended.strength),
            blended.both.to_string(),
            Some(blended.real),
        )?;
        row("  largest step", format!("{:.2}", blended.largest_step), None)?;
        row(
            &format!("remix at {}: as asked", remixed.strength),
            remixed.changed.to_string(),
            Some(remixed.real),
        )?;
        row("  track correlation", format!("{:.2}", remixed.track_correlation), None)?;
        for size in &self.sizes {
            let what = format!("object at {}x{}, {} frames", size.width, size.height, size.frames);
            let relative = size.relative.map_or("–".to_owned(), |relative| format!("{relative:.2}×"));
            row(&what, format!("{} {relative}", size.object), Some(size.real))?;
        }
        let levels = |steps: [f64; PLACES]| steps.map(|step| format!("{step:.1}")).join(" ");
        let Paced { steps_levels, real_levels } = self.paced;
        writeln!(
            f,
            "steps into each of a latent frame's four frames: {}, of real clips {}",
            levels(steps_levels),
            levels(real_levels)
        )?;
        writeln!(f, "\nThe last column: real clips that show what was asked.")
    }
}
