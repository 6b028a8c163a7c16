//! Where should things move? Boxes on frames, keyframes of them, and what lies between.

mod outline;
mod script;

pub use outline::{COLOURS, paint_outline};
pub use script::{
    BoxKind, BoxScript, Guide, GuideBox, Keyframe, OBJECTS_MAX, ObjectScript, RELAXED_BY, ScriptError,
};

use serde::{Deserialize, Serialize};

/// An axis-aligned box in fractions of the frame: `0..1`, origin top left, `x1 ≤ x2`, `y1 ≤ y2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitBox {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl UnitBox {
    /// Centre, `(x, y)`.
    pub fn centre(&self) -> (f32, f32) {
        ((self.x1 + self.x2) / 2.0, (self.y1 + self.y2) / 2.0)
    }

    /// Whether `(x, y)` lies within it or on its border.
    pub fn holds(&self, (x, y): (f32, f32)) -> bool {
        (self.x1..=self.x2).contains(&x) && (self.y1..=self.y2).contains(&y)
    }

    /// Area as a fraction of the frame.
    pub fn area(&self) -> f32 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// The box on a straight way to another one.
    pub fn towards(&self, to: &Self, share: f32) -> Self {
        let between = |from: f32, to: f32| from + (to - from) * share;
        Self {
            x1: between(self.x1, to.x1),
            y1: between(self.y1, to.y1),
            x2: between(self.x2, to.x2),
            y2: between(self.y2, to.y2),
        }
    }

    /// The largest difference of a side, a fraction of the frame.
    pub fn farthest_corner(&self, other: &Self) -> f32 {
        let sides = [self.x1 - other.x1, self.y1 - other.y1, self.x2 - other.x2, self.y2 - other.y2];
        sides.into_iter().fold(0.0, |most: f32, side| most.max(side.abs()))
    }

    /// The box moved; what leaves the frame is cut off.
    pub fn moved(&self, dx: f32, dy: f32) -> Self {
        Self { x1: self.x1 + dx, y1: self.y1 + dy, x2: self.x2 + dx, y2: self.y2 + dy }.clipped()
    }

    /// Each side (left, top, right, bottom) moved outwards by a fraction of the frame, at most to its border.
    pub fn relaxed(&self, by: [f32; 4]) -> Self {
        Self { x1: self.x1 - by[0], y1: self.y1 - by[1], x2: self.x2 + by[2], y2: self.y2 + by[3] }.clipped()
    }

    /// What is left of it when it has gone out of the frame where it is nearest to the border: a line along that.
    pub fn at_border(&self) -> Self {
        let lines = [
            (self.x1, Self { x1: 0.0, x2: 0.0, ..*self }),
            (1.0 - self.x2, Self { x1: 1.0, x2: 1.0, ..*self }),
            (self.y1, Self { y1: 0.0, y2: 0.0, ..*self }),
            (1.0 - self.y2, Self { y1: 1.0, y2: 1.0, ..*self }),
        ];
        let nearest = lines.into_iter().min_by(|(a, _), (b, _)| a.total_cmp(b));
        nearest.expect("four lines").1
    }

    fn clipped(self) -> Self {
        let clip = |value: f32| value.clamp(0.0, 1.0);
        Self { x1: clip(self.x1), y1: clip(self.y1), x2: clip(self.x2), y2: clip(self.y2) }
    }

    /// Intersection over union, `0..1`; 0 when both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let overlap = UnitBox {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        }
        .area();
        let union = self.area() + other.area() - overlap;
        if union > 0.0 { overlap / union } else { 0.0 }
    }
}

/// One object through a clip: a box per pixel frame, `None` where it is wholly outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Stable name of the object within the clip.
    pub id: String,
    /// What it is called in the caption.
    pub phrase: String,
    /// A box for each pixel frame.
    pub boxes: Vec<Option<UnitBox>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_half_overlap_is_a_third() {
        let a = UnitBox { x1: 0.0, y1: 0.0, x2: 0.5, y2: 1.0 };
        let b = UnitBox { x1: 0.25, y1: 0.0, x2: 0.75, y2: 1.0 };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&a), 1.0);
    }

    #[test]
    fn what_goes_out_leaves_a_line_on_the_nearest_border() {
        let corners = |x1, y1, x2, y2| UnitBox { x1, y1, x2, y2 };
        for (before, line) in [
            (corners(0.0, 0.2, 0.3, 0.6), corners(0.0, 0.2, 0.0, 0.6)),
            (corners(0.6, 0.2, 0.95, 0.6), corners(1.0, 0.2, 1.0, 0.6)),
            (corners(0.4, 0.1, 0.6, 0.6), corners(0.4, 0.0, 0.6, 0.0)),
            (corners(0.4, 0.5, 0.6, 0.9), corners(0.4, 1.0, 0.6, 1.0)),
        ] {
            assert_eq!(before.at_border(), line);
        }
    }
}
