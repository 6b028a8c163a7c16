//! How an object moves: the ten motions and their paths over a clip.

use serde::{Deserialize, Serialize};
use vidit_video::PixelShape;

use crate::Random;
use crate::pack::Side;
use crate::sprite::Placement;

/// What the object does as a whole, beside its own animation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Motion {
    /// Crosses to the left.
    Left,
    /// Crosses to the right.
    Right,
    /// Rises.
    Up,
    /// Sinks.
    Down,
    /// Crosses from corner to corner, to any of the four.
    Diagonal,
    /// Grows, as if it came closer.
    ZoomIn,
    /// Shrinks, as if it went away.
    ZoomOut,
    /// Goes once around a circle.
    Circle,
    /// Hops like a ball.
    Bounce,
    /// Stays in place.
    Still,
}

impl Motion {
    /// All ten.
    pub const ALL: [Self; 10] = [
        Self::Left,
        Self::Right,
        Self::Up,
        Self::Down,
        Self::Diagonal,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::Circle,
        Self::Bounce,
        Self::Still,
    ];

    /// The name in metadata and in the held-out split.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Up => "up",
            Self::Down => "down",
            Self::Diagonal => "diagonal",
            Self::ZoomIn => "zoom_in",
            Self::ZoomOut => "zoom_out",
            Self::Circle => "circle",
            Self::Bounce => "bounce",
            Self::Still => "still",
        }
    }
}

/// A rectangle of the frame in fractions that an object keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Left and right edge.
    pub x: (f32, f32),
    /// Top and bottom edge.
    pub y: (f32, f32),
}

impl Region {
    /// The whole frame.
    pub const FRAME: Self = Self { x: (0.0, 1.0), y: (0.0, 1.0) };
}

/// A path with all its random choices made.
///
/// Positions are fractions of the *free room*: 0 touches the region's left (top) edge, 1 its right (bottom) edge, so that
/// every path stays visible at every aspect ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Where the object may be.
    pub region: Region,
    /// First position, `(x, y)`.
    pub from: (f32, f32),
    /// Last position, `(x, y)`; a bounce's ground lies at `y`.
    pub to: (f32, f32),
    /// First and last side, fractions of the shorter side of the frame.
    pub side: (f32, f32),
    /// What is laid over the straight line.
    pub swing: Swing,
    /// Whether the sprite is mirrored left to right.
    pub mirrored: bool,
}

/// What is laid over a path's straight line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Swing {
    /// Nothing.
    None,
    /// One turn around a circle.
    Circle {
        /// Radius, a fraction of the smaller free room.
        radius: f32,
        /// Starting angle in turns; 0 is right of the centre, 0.25 below it.
        phase: f32,
        /// Clockwise as seen on the screen.
        clockwise: bool,
    },
    /// Parabolic hops.
    Hops {
        /// How many in the clip.
        count: f32,
        /// Height, a fraction of the free room.
        height: f32,
    },
}

/// Sizes and extents of paths, fractions as in [`Path`].
struct Scale {
    side: (f32, f32),
    side_far: (f32, f32),
    side_near: (f32, f32),
}

const SCALE_ALONE: Scale = Scale { side: (0.42, 0.58), side_far: (0.26, 0.34), side_near: (0.60, 0.70) };
const SCALE_IN_PAIR: Scale = Scale { side: (0.36, 0.44), side_far: (0.19, 0.24), side_near: (0.40, 0.46) };
const SCALE_IN_CROWD: Scale = Scale { side: (0.28, 0.36), side_far: (0.19, 0.24), side_near: (0.36, 0.42) };

/// How near to the edge a crossing starts and ends.
const EDGE: (f32, f32) = (0.0, 0.12);
/// Where an object that does not move along an axis stands on it.
const MIDDLE: (f32, f32) = (0.25, 0.75);

impl Path {
    /// A random path of a motion, of one of so many `objects`: the fewer, the larger. `faces` says where the sprite looks:
    /// an object that goes to a side is mirrored to look there.
    pub fn sample(
        motion: Motion,
        region: Region,
        objects: usize,
        faces: Option<Side>,
        random: &mut Random,
    ) -> Self {
        let scale = match objects {
            0 | 1 => SCALE_ALONE,
            2 => SCALE_IN_PAIR,
            _ => SCALE_IN_CROWD,
        };
        let mut between = |(low, high): (f32, f32)| random.between(low, high);
        let (near_start, near_end) = (between(EDGE), 1.0 - between(EDGE));
        let stand = (between(MIDDLE), between(MIDDLE));
        let side = between(scale.side);
        let (far, near) = (between(scale.side_far), between(scale.side_near));
        let (other_start, other_end) = (between(EDGE), 1.0 - between(EDGE));

        let (mut from, mut to, mut sides, mut swing) = (stand, stand, (side, side), Swing::None);
        match motion {
            Motion::Left => (from.0, to.0) = (near_end, near_start),
            Motion::Right => (from.0, to.0) = (near_start, near_end),
            Motion::Up => (from.1, to.1) = (near_end, near_start),
            Motion::Down => (from.1, to.1) = (near_start, near_end),
            Motion::Diagonal => {
                (from, to) = ((near_start, other_start), (near_end, other_end));
                if random.chance(0.5) {
                    (from.0, to.0) = (to.0, from.0);
                }
                if random.chance(0.5) {
                    (from.1, to.1) = (to.1, from.1);
                }
            }
            Motion::ZoomIn => sides = (far, near),
            Motion::ZoomOut => sides = (near, far),
            Motion::Circle => {
                (from, to) = ((0.5, 0.5), (0.5, 0.5));
                swing = Swing::Circle {
                    radius: random.between(0.38, 0.5),
                    phase: random.unit(),
                    clockwise: random.chance(0.5),
                };
            }
            Motion::Bounce => {
                let ground = random.between(0.9, 1.0);
                let drift = if random.chance(0.5) { 0.0 } else { random.between(-0.3, 0.3) };
                (from, to) = ((stand.0 - drift, ground), (stand.0 + drift, ground));
                let count = if random.chance(0.5) { 2.0 } else { 3.0 };
                swing = Swing::Hops { count, height: random.between(0.6, 0.85) };
            }
            Motion::Still => {}
        }
        let goes = match to.0 - from.0 {
            dx if dx < -0.2 => Some(Side::Left),
            dx if dx > 0.2 => Some(Side::Right),
            _ => faces,
        };
        Self { region, from, to, side: sides, swing, mirrored: faces.is_some() && goes != faces }
    }

    /// The horizontal and vertical way from start to end: negative is left, and up.
    pub(crate) fn way(&self) -> (f32, f32) {
        (self.to.0 - self.from.0, self.to.1 - self.from.1)
    }

    /// Where the object is at `progress` in `0..=1` of the clip.
    pub(crate) fn place(&self, progress: f32, shape: PixelShape) -> Placement {
        let (width, height) = (shape.width as f32, shape.height as f32);
        let side = blend(self.side, progress) * width.min(height);
        let room = |(low, high): (f32, f32), length: f32| ((high - low) * length - side).max(0.0);
        let (room_x, room_y) = (room(self.region.x, width), room(self.region.y, height));
        // A region smaller than the object centres it there.
        let start =
            |(low, high): (f32, f32), length: f32, room: f32| ((low + high) * length - side - room) / 2.0;
        let mut left =
            start(self.region.x, width, room_x) + room_x * blend((self.from.0, self.to.0), progress);
        let mut top =
            start(self.region.y, height, room_y) + room_y * blend((self.from.1, self.to.1), progress);
        match self.swing {
            Swing::None => {}
            Swing::Circle { radius, phase, clockwise } => {
                let angle = phase + if clockwise { progress } else { -progress };
                let radius = radius * room_x.min(room_y);
                left += radius * sine(angle + 0.25);
                top += radius * sine(angle);
            }
            Swing::Hops { count, height } => {
                let within_hop = (progress * count).fract();
                top -= height * room_y * 4.0 * within_hop * (1.0 - within_hop);
            }
        }
        Placement { left, top, side, mirrored: self.mirrored }
    }
}

impl Path {
    /// The way on from where this path ends, as a path of `motion` that begins there and looks the same way; none where there is
    /// no room for it. Only for paths of the whole frame.
    pub(crate) fn continued(&self, motion: Motion, shape: PixelShape, random: &mut Random) -> Option<Self> {
        debug_assert_eq!(self.region, Region::FRAME);
        let end = self.place(1.0, shape);
        let (width, height) = (shape.width as f32, shape.height as f32);
        let (room_x, room_y) = ((width - end.side).max(1.0), (height - end.side).max(1.0));
        let (x, y) = ((end.left / room_x).clamp(0.0, 1.0), (end.top / room_y).clamp(0.0, 1.0));
        let (near, far) = (random.between(EDGE.0, EDGE.1), 1.0 - random.between(EDGE.0, EDGE.1));
        let side = self.side.1;
        let (mut to, mut sides, mut swing, mut from) = ((x, y), (side, side), Swing::None, (x, y));
        let long_enough = |way: f32| (way.abs() >= LEG_MIN).then_some(());
        match motion {
            Motion::Left => to.0 = near,
            Motion::Right => to.0 = far,
            Motion::Up => to.1 = near,
            Motion::Down => to.1 = far,
            Motion::Diagonal => to = (if x > 0.5 { near } else { far }, if y > 0.5 { near } else { far }),
            Motion::ZoomIn => {
                long_enough(SCALE_ALONE.side_near.0 - side)?;
                sides.1 = (side * 1.8).min(SCALE_ALONE.side_near.1);
            }
            Motion::ZoomOut => {
                long_enough(side - SCALE_ALONE.side_far.0)?;
                sides.1 = (side / 1.8).max(SCALE_ALONE.side_far.0);
            }
            Motion::Circle => {
                // Around the middle of the frame if the object stands far enough from it, else around a point beside it.
                let room = room_x.min(room_y);
                let (dx, dy) = ((x - 0.5) * room_x, (y - 0.5) * room_y);
                let distance = dx.hypot(dy) / room;
                let radius = distance.clamp(0.3, 0.5);
                let phase = if distance > 0.05 { turns_of(dx, dy) } else { random.unit() };
                let centre =
                    |at: f32, room_along: f32, turned: f32| at - radius * room / room_along * sine(turned);
                from = (centre(x, room_x, phase + 0.25), centre(y, room_y, phase));
                if [from.0, from.1].iter().any(|c| !(0.3..=0.7).contains(c)) {
                    return None;
                }
                to = from;
                swing = Swing::Circle { radius, phase, clockwise: random.chance(0.5) };
            }
            Motion::Bounce => {
                long_enough(if y > 0.6 { y } else { 0.0 })?;
                let count = if random.chance(0.5) { 2.0 } else { 3.0 };
                swing = Swing::Hops { count, height: random.between(0.5, 0.85).min(y) };
            }
            Motion::Still => {}
        }
        match motion {
            Motion::Left => long_enough((x - to.0).max(0.0))?,
            Motion::Right => long_enough((to.0 - x).max(0.0))?,
            Motion::Up => long_enough((y - to.1).max(0.0))?,
            Motion::Down => long_enough((to.1 - y).max(0.0))?,
            Motion::Diagonal => {
                long_enough(to.0 - x)?;
                long_enough(to.1 - y)?;
            }
            _ => {}
        }
        Some(Self { from, to, side: sides, swing, ..*self })
    }
}

/// What a leg of a journey goes at least: of the free room, or of the side.
const LEG_MIN: f32 = 0.2;

/// Angle of a direction in turns: 0 is right, 0.25 is down. By the inverse of [`sine`], since the platform's own differs in the
/// last bit.
fn turns_of(dx: f32, dy: f32) -> f32 {
    let target = dy / dx.hypot(dy);
    let (mut low, mut high) = (-0.25f32, 0.25f32);
    for _ in 0..24 {
        let middle = (low + high) / 2.0;
        if sine(middle) < target { low = middle } else { high = middle }
    }
    let turns = (low + high) / 2.0;
    if dx < 0.0 { 0.5 - turns } else { turns }
}

fn blend((from, to): (f32, f32), share: f32) -> f32 {
    from + (to - from) * share
}

/// Sine of an angle in turns, within 1e-5: a polynomial, since the platform's own differs in the last bit.
pub(crate) fn sine(turns: f32) -> f32 {
    let turns = turns - turns.round(); // -0.5..0.5
    let folded = if turns.abs() > 0.25 { 0.5f32.copysign(turns) - turns } else { turns };
    let x = folded * std::f32::consts::TAU;
    let square = x * x;
    x * (1.0 + square * (-1.0 / 6.0 + square * (1.0 / 120.0 + square * (-1.0 / 5040.0 + square / 362_880.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [(usize, usize); 4] = [(128, 128), (96, 160), (160, 96), (64, 64)];

    fn paths(motion: Motion) -> impl Iterator<Item = Path> {
        let sample =
            move |index| Path::sample(motion, Region::FRAME, 1, Some(Side::Left), &mut Random::new(5, index));
        (0..200).map(sample)
    }

    #[test]
    fn every_path_stays_inside_the_frame() {
        for motion in Motion::ALL {
            for (height, width) in SHAPES {
                let shape = PixelShape::new(25, height, width);
                for path in paths(motion) {
                    for step in 0..=24 {
                        let at = path.place(step as f32 / 24.0, shape);
                        let slack = 0.06 * at.side; // a drifting bounce may lean over the edge
                        assert!(
                            at.left >= -slack && at.left + at.side <= width as f32 + slack,
                            "{motion:?} {at:?}"
                        );
                        assert!(
                            at.top >= -slack && at.top + at.side <= height as f32 + slack,
                            "{motion:?} {at:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn each_motion_goes_where_its_name_says() {
        let shape = PixelShape::new(25, 128, 128);
        let ends = |path: Path| (path.place(0.0, shape), path.place(1.0, shape));
        for path in paths(Motion::Left) {
            let (first, last) = ends(path);
            assert!(last.left < first.left - 35.0 && last.top == first.top && !path.mirrored);
        }
        for path in paths(Motion::Right) {
            let (first, last) = ends(path);
            assert!(last.left > first.left + 35.0 && path.mirrored, "it looks where it goes");
        }
        for path in paths(Motion::Up) {
            let (first, last) = ends(path);
            assert!(last.top < first.top - 35.0 && last.left == first.left);
        }
        for path in paths(Motion::ZoomIn) {
            let (first, last) = ends(path);
            assert!(last.side > first.side * 1.7);
        }
        for path in paths(Motion::Circle) {
            let (first, last) = ends(path);
            let half = path.place(0.5, shape);
            assert!((first.left - last.left).abs() < 0.1 && (first.top - last.top).abs() < 0.1);
            assert!((first.left - half.left).hypot(first.top - half.top) > 35.0);
        }
    }

    #[test]
    fn a_journey_goes_on_where_it_was_and_where_it_is_told_to() {
        let shape = PixelShape::new(25, 128, 128);
        for motion in Motion::ALL {
            let mut found = 0;
            for (index, before) in Motion::ALL.into_iter().flat_map(paths).enumerate() {
                let Some(path) = before.continued(motion, shape, &mut Random::new(6, index as u64)) else {
                    continue;
                };
                found += 1;
                let (end, start) = (before.place(1.0, shape), path.place(0.0, shape));
                let apart =
                    (end.left - start.left).hypot(end.top - start.top).max((end.side - start.side).abs());
                assert!(apart < 1.5 && end.mirrored == start.mirrored, "{motion:?}: {end:?} then {start:?}");
                let last = path.place(1.0, shape);
                match motion {
                    Motion::Left => assert!(last.left < start.left - 6.0),
                    Motion::Down => assert!(last.top > start.top + 6.0),
                    Motion::ZoomOut => assert!(last.side < start.side * 0.9),
                    Motion::Circle => assert!((last.left - start.left).hypot(last.top - start.top) < 1.0),
                    _ => {}
                }
            }
            assert!(found > 100, "{motion:?} follows {found} of 2000 paths");
        }
    }

    #[test]
    fn sine_agrees_with_the_platform() {
        for step in -300..300 {
            let turns = step as f32 / 100.0;
            let expected = (f64::from(turns) * std::f64::consts::TAU).sin();
            assert!((f64::from(sine(turns)) - expected).abs() < 1e-5, "{turns}");
        }
    }
}
