use std::fmt;

use serde::{Deserialize, Serialize};

use super::measures::{Look, LookAtPassing, LookAtSeveral};
use super::precision::{Detection, Precision};
use crate::Share;
use crate::suite::mean;

/// How far one object goes where it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// Mean overlap of the tracked object with the box asked for, over all frames of all clips, `0..=1`; between keyframes that is
    /// the way straight from one to the other. Composed circles and bounces leave it, so that real clips do not reach 1.
    pub iou: f64,
    /// Mean overlap with the object of the composed clip, over all frames: what the prompt says of the way counts, too.
    pub iou_with_real: f64,
    /// Mean overlap over the first and the last frame, which have hard boxes.
    pub iou_at_keyframes: f64,
    /// Average precision on those two frames.
    pub precision: Precision,
    /// Its centre is within every box, hard and soft, in every frame; circles and bounces leave soft ones.
    pub inside: Share,
    /// It is seen in every frame; others are no detections.
    pub tracked: Share,
    /// It is the object that the prompt names.
    pub named: Share,
}

impl Followed {
    pub(super) fn of(looks: &[Look]) -> Self {
        let share = |right: fn(&Look) -> bool| Share::of(&looks.iter().map(right).collect::<Vec<_>>());
        let over_all = |ious: fn(&Look) -> &Vec<f64>| {
            mean(&looks.iter().flat_map(|look| ious(look).iter().copied()).collect::<Vec<_>>())
        };
        let at_ends = |look: &Look| [look.ious[0], look.ious[look.ious.len() - 1]];
        let ends: Vec<f64> = looks.iter().flat_map(at_ends).collect();
        let detections: Vec<Detection> = looks
            .iter()
            .filter(|look| look.tracked)
            .flat_map(|look| at_ends(look).map(|iou| Detection { confidence: look.confidence, iou }))
            .collect();
        Self {
            iou: over_all(|look| &look.ious),
            iou_with_real: over_all(|look| &look.ious_with_real),
            iou_at_keyframes: mean(&ends),
            precision: Precision::of(&detections, ends.len()),
            inside: share(|look| look.inside),
            tracked: share(|look| look.tracked),
            named: share(|look| look.named),
        }
    }
}

/// How far one object that comes into the frame, or goes out of it, does so in its boxes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// Mean overlap with the object of the composed clip over all frames in which that is seen, wholly or in part.
    pub iou: f64,
    /// Nothing is seen in any frame in which it is outside.
    pub absent: Share,
    /// It is the object that the prompt names.
    pub named: Share,
}

impl Passed {
    pub(super) fn of(looks: &[LookAtPassing]) -> Self {
        let share =
            |right: fn(&LookAtPassing) -> bool| Share::of(&looks.iter().map(right).collect::<Vec<_>>());
        let ious: Vec<f64> = looks.iter().flat_map(|look| look.ious.iter().copied()).collect();
        Self { iou: mean(&ious), absent: share(|look| look.absent), named: share(|look| look.named) }
    }
}

/// How far several objects begin and end in their own boxes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossed {
    /// Mean overlap, on the first and on the last frame, of each box with what stands out nearest to it.
    pub iou_at_keyframes: f64,
    /// All objects overlap with their boxes by a half at least, on both frames.
    pub placed: Share,
    /// The judge names all of them as the prompt does, looking at the boxes that were asked for.
    pub named: Share,
    /// In each of these the judge finds the box's own object more probable than the others of the clip.
    pub told_apart: Share,
    /// The colours in each of these are more like those of the box's own object than of the others.
    pub coloured: Share,
    /// All of that.
    pub both: Share,
}

/// Overlap of a box that an object fills.
const PLACED: f64 = 0.5;

impl Crossed {
    pub(super) fn of(looks: &[LookAtSeveral]) -> Self {
        let share =
            |right: &dyn Fn(&LookAtSeveral) -> bool| Share::of(&looks.iter().map(right).collect::<Vec<_>>());
        let placed = |look: &LookAtSeveral| look.ious.iter().all(|iou| *iou >= PLACED);
        let ious: Vec<f64> = looks.iter().flat_map(|look| look.ious.iter().copied()).collect();
        Self {
            iou_at_keyframes: mean(&ious),
            placed: share(&placed),
            named: share(&|look| look.named),
            told_apart: share(&|look| look.told_apart),
            coloured: share(&|look| look.coloured),
            both: share(&|look| placed(look) && look.named && look.coloured),
        }
    }
}

/// The same cases, made in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared<T> {
    /// By the prompt alone.
    pub text: T,
    /// With boxes.
    pub boxes: T,
    /// With hard boxes alone: nothing is asked for between keyframes.
    pub without_soft: Option<T>,
    /// With boxes, by an adapter that was trained without painted outlines.
    pub without_self_tracking: Option<T>,
    /// Composed clips through the VAE: the most that a denoiser can give with it.
    pub rebuilt: T,
    /// Composed clips: the most that the measurement can give.
    pub real: T,
}

/// The result of [`evaluate_boxes`](super::evaluate_boxes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxesReport {
    /// Cases of one object, and as many of two, of one that passes the border and of three.
    pub cases: usize,
    /// Chose cases and noise.
    pub seed: u64,
    /// One object.
    pub alone: Compared<Followed>,
    /// Two whose ways meet.
    pub crossing: Compared<Crossed>,
    /// One that comes in from outside of the frame, or goes out.
    pub passing: Compared<Passed>,
    /// Three at once.
    pub crowd: Compared<Crossed>,
    /// [`Crossed::both`] of composed clips in which the two objects have changed places: it must be near 0.
    pub exchanged: Share,
    /// Seconds in all.
    pub seconds: f64,
}

impl<T> Compared<T> {
    /// A line of the table: what one number is in each column.
    fn row(&self, f: &mut fmt::Formatter<'_>, what: &str, number: impl Fn(&T) -> String) -> fmt::Result {
        let columns = [
            Some(&self.text),
            Some(&self.boxes),
            self.without_soft.as_ref(),
            self.without_self_tracking.as_ref(),
            Some(&self.rebuilt),
            Some(&self.real),
        ];
        write!(f, "{what:<34}")?;
        for column in columns {
            write!(f, "{:>12}", column.map_or("–".to_owned(), &number))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for BoxesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alone, crossing, passing, crowd, .. } = self;
        writeln!(f, "{} cases of each, seed {}, {:.0} s", self.cases, self.seed, self.seconds)?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<34}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "", "text", "boxes", "hard only", "unpainted", "VAE", "real"
        )?;
        let fraction = |value: f64| format!("{value:.3}");
        alone.row(f, "IoU over all frames", |one| fraction(one.iou))?;
        alone.row(f, "  with the object of real clips", |one| fraction(one.iou_with_real))?;
        alone.row(f, "IoU at keyframes", |one| fraction(one.iou_at_keyframes))?;
        alone.row(f, "mAP", |one| fraction(one.precision.mean))?;
        alone.row(f, "AP50", |one| fraction(one.precision.at_50))?;
        alone.row(f, "AP75", |one| fraction(one.precision.at_75))?;
        alone.row(f, "within its boxes", |one| one.inside.to_string())?;
        alone.row(f, "seen in all frames", |one| one.tracked.to_string())?;
        alone.row(f, "the object named", |one| one.named.to_string())?;
        for (what, part) in [("two that meet", crossing), ("three", crowd)] {
            part.row(f, &format!("{what}: IoU at keyframes"), |one| fraction(one.iou_at_keyframes))?;
            part.row(f, "  boxes filled", |one| one.placed.to_string())?;
            part.row(f, "  the objects named", |one| one.named.to_string())?;
            part.row(f, "  its own rather than another", |one| one.told_apart.to_string())?;
            part.row(f, "  their colours", |one| one.coloured.to_string())?;
            part.row(f, "  all of that: each in its own box", |one| one.both.to_string())?;
        }
        passing.row(f, "one that comes or goes: IoU", |one| fraction(one.iou))?;
        passing.row(f, "  not seen while it is outside", |one| one.absent.to_string())?;
        passing.row(f, "  the object named", |one| one.named.to_string())?;
        writeln!(f)?;
        writeln!(f, "Real clips in which the two have changed places: {}.", self.exchanged)?;
        writeln!(
            f,
            "Hard only: nothing asked for between keyframes. Unpainted: trained without self-tracking."
        )?;
        writeln!(f, "The last columns: real clips that show what was asked, through the VAE and as they are.")
    }
}
