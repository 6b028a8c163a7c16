//! Does the camera move as was asked for? CoTracker's points at the middles of the four edges, from the first frame to the last.
//!
//! Points that go left show a camera that pans right, those that go apart one that zooms in. VBench-I2V's dimension of this name.

use vidit_backbones::cotracker::{CoTracker, Tracker};

use super::raw;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measure, Measured, Refusal};
use crate::{Dimension, Mode};

/// Points along a side of the grid.
const SIDE: usize = 10;
/// What a point has to move to be moved, in shares of the shorter side.
const MOVED: f64 = 0.005;

/// What a camera can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CameraType {
    /// It turns to the left.
    PanLeft,
    /// It turns to the right.
    PanRight,
    /// It turns up.
    TiltUp,
    /// It turns down.
    TiltDown,
    /// Things come nearer.
    ZoomIn,
    /// Things go away.
    ZoomOut,
    /// It rests.
    Static,
}

impl CameraType {
    /// All, in the reference's order.
    pub const ALL: [Self; 7] = [
        Self::PanLeft,
        Self::PanRight,
        Self::TiltUp,
        Self::TiltDown,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::Static,
    ];

    /// Its name in results: `pan_left`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PanLeft => "pan_left",
            Self::PanRight => "pan_right",
            Self::TiltUp => "tilt_up",
            Self::TiltDown => "tilt_down",
            Self::ZoomIn => "zoom_in",
            Self::ZoomOut => "zoom_out",
            Self::Static => "static",
        }
    }

    /// What prompts and names of files call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::PanLeft => "camera pans left",
            Self::PanRight => "camera pans right",
            Self::TiltUp => "camera tilts up",
            Self::TiltDown => "camera tilts down",
            Self::ZoomIn => "camera zooms in",
            Self::ZoomOut => "camera zooms out",
            Self::Static => "camera static",
        }
    }

    /// Those that a text names.
    fn named_in(text: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| text.contains(kind.words()))
    }
}

/// The type that a video was asked for: the first of the table in its file's name or, in [`Mode::Fixed`], the only one in its prompt.
fn wanted(clip: &ClipFacts) -> Result<CameraType, Refusal> {
    let (of, text) = match clip.mode {
        Mode::Compat => ("name", clip.stem),
        Mode::Fixed => ("prompt", clip.prompt),
    };
    let mut named = CameraType::named_in(text);
    match (named.next(), named.next()) {
        (Some(first), Some(second)) if clip.mode == Mode::Fixed => {
            let (first, second) = (first.words(), second.words());
            Err(format!("its {of} names two motions of the camera, `{first}` and `{second}`, expected one"))
        }
        (Some(first), _) => Ok(first),
        (None, _) => {
            let known = CameraType::ALL.map(|kind| format!("`{}`", kind.words())).join(", ");
            Err(format!("its {of} `{text}` names no motion of the camera, expected one of {known}"))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Left,
    Right,
    Up,
    Down,
    Rest,
}

/// Where a point goes that is moved by x and y: both ways, if it is moved along both.
fn directions([x, y]: [f64; 2], limit: f64) -> Vec<Direction> {
    let along = |moved: f64, back, forth| match moved {
        _ if moved > limit => Some(forth),
        _ if moved < -limit => Some(back),
        _ => None,
    };
    let found = [along(x, Direction::Left, Direction::Right), along(y, Direction::Up, Direction::Down)];
    match found {
        [None, None] => vec![Direction::Rest],
        _ => found.into_iter().flatten().collect(),
    }
}

/// What the points of two opposite edges show together; `apart` is the way that each goes if they go apart.
fn pair(near: &[Direction], far: &[Direction], apart: [Direction; 2]) -> Vec<CameraType> {
    let kind = |near: Direction, far: Direction| match (near, far) {
        (Direction::Left, Direction::Left) => Some(CameraType::PanRight),
        (Direction::Right, Direction::Right) => Some(CameraType::PanLeft),
        (Direction::Down, Direction::Down) => Some(CameraType::TiltUp),
        (Direction::Up, Direction::Up) => Some(CameraType::TiltDown),
        (Direction::Rest, Direction::Rest) => Some(CameraType::Static),
        _ if [near, far] == apart => Some(CameraType::ZoomIn),
        _ if [far, near] == apart => Some(CameraType::ZoomOut),
        _ => None,
    };
    near.iter().flat_map(|near| far.iter().filter_map(|far| kind(*near, *far))).collect()
}

/// What the camera does, in the order of [`CameraType::ALL`]; nothing where the reference says "None". `first` and `last` are
/// `10 × 10` points, row by row, x and y in pixels; `limit` is how many of these a point has to move.
///
/// It rests only if both pairs of edges do: of a pair that shows nothing beside one at rest, nothing is told.
pub fn camera_types(first: &[[f64; 2]], last: &[[f64; 2]], limit: f64) -> Vec<CameraType> {
    let middle = SIDE / 2;
    let at = |row: usize, column: usize| {
        let [first, last] = [first, last].map(|points| points[row * SIDE + column]);
        directions([last[0] - first[0], last[1] - first[1]], limit)
    };
    let (top, bottom) = (at(0, middle), at(SIDE - 1, middle));
    let (left, right) = (at(middle, 0), at(middle, SIDE - 1));
    let pairs = [
        pair(&top, &bottom, [Direction::Up, Direction::Down]),
        pair(&left, &right, [Direction::Left, Direction::Right]),
    ];
    let mut found = pairs.concat();
    found.sort_unstable();
    found.dedup();
    if found.len() > 1 || pairs.iter().any(Vec::is_empty) {
        found.retain(|kind| *kind != CameraType::Static);
    }
    found
}

pub(crate) struct CameraMotion {
    network: CoTracker,
    tracker: Tracker,
    mode: Mode,
    frames: usize,
    wanted: CameraType,
    limit: f64,
}

impl CameraMotion {
    pub fn new(network: CoTracker) -> Self {
        Self {
            network,
            tracker: Tracker::new(SIDE),
            mode: Mode::Compat,
            frames: 0,
            wanted: CameraType::Static,
            limit: 0.0,
        }
    }

    /// The grid in the first frame and in the last.
    fn ends(&mut self) -> Result<[Vec<[f64; 2]>; 2], Refusal> {
        let tracker = std::mem::replace(&mut self.tracker, Tracker::new(SIDE));
        let compat = self.mode == Mode::Compat;
        // The published code finds no window in half as many frames: its tracks end at zero.
        let tracked = !compat || self.frames > self.network.window() / 2;
        let places = tracker.finish(&self.network).places;
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Err("it has no frames".to_owned());
        };
        if last.iter().flatten().any(|place| !place.is_finite()) {
            return Err("the network gave values that are not finite".to_owned());
        }
        // The reference makes whole numbers of them.
        let number = |place: f32| f64::from(if compat { place.trunc() } else { place });
        let numbers = |places: &[[f32; 2]]| places.iter().map(|place| place.map(number)).collect();
        let lost = places.len() > 1 && !tracked;
        let last = if lost { vec![[0.0; 2]; SIDE * SIDE] } else { numbers(last) };
        Ok([numbers(first), last])
    }

    fn measured(&mut self) -> Result<Measured, Refusal> {
        let [first, last] = self.ends()?;
        let found = camera_types(&first, &last, self.limit);
        let score = if found.contains(&self.wanted) { 1.0 } else { 0.0 };
        let names = match found.is_empty() {
            true => vec!["None"],
            false => found.into_iter().map(CameraType::name).collect(),
        };
        Ok(Measured::new(score).with(PROMPT_TYPE, self.wanted.name()).with("predict_type", names))
    }
}

/// The key of what was asked for, by which results are grouped.
pub(crate) const PROMPT_TYPE: &str = "prompt_type";

impl Measure for CameraMotion {
    fn dimensions(&self) -> &'static [Dimension] {
        &[Dimension::CameraMotion]
    }

    fn begin(&mut self, clip: &ClipFacts, _: &[Dimension]) -> Result<(), Refusal> {
        super::at_least(clip.frames, if clip.mode == Mode::Fixed { 2 } else { 1 })?;
        self.wanted = wanted(clip)?;
        self.limit = MOVED * clip.height.min(clip.width) as f64;
        (self.mode, self.frames) = (clip.mode, clip.frames);
        self.tracker = Tracker::new(SIDE);
        Ok(())
    }

    fn frame(&mut self, _: usize, frame: &RgbFrame) -> Result<(), Refusal> {
        self.tracker.push(&self.network, &raw(frame, 1.0)); // [1, H, W, 3]
        Ok(())
    }

    fn finish(&mut self) -> Vec<(Dimension, Result<Measured, Refusal>)> {
        vec![(Dimension::CameraMotion, self.measured())]
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;
    use vidit_backbones::cotracker::Config;
    use vidit_weights::TensorStore;

    use super::*;

    const LIMIT: f64 = 1.0;
    const FAR: f64 = 1.5;
    /// Moves that are none: the limit itself is one.
    const NEAR: f64 = LIMIT;

    /// A grid with these points at the middles of its top, bottom, left and right edge, and others anywhere else.
    fn grid(middles: [[f64; 2]; 4]) -> Vec<[f64; 2]> {
        let mut grid: Vec<[f64; 2]> = (0..100).map(|i| [(i * 37 % 101) as f64, f64::from(i)]).collect();
        for (place, middle) in [5, 95, 50, 59].into_iter().zip(middles) {
            grid[place] = middle;
        }
        grid
    }

    /// What moves of the four middles show.
    fn shown(moves: [[f64; 2]; 4]) -> Vec<&'static str> {
        let start = [[50.0, 2.0], [50.0, 98.0], [2.0, 50.0], [98.0, 50.0]];
        let end: [[f64; 2]; 4] =
            std::array::from_fn(|i| [start[i][0] + moves[i][0], start[i][1] + moves[i][1]]);
        camera_types(&grid(start), &grid(end), LIMIT).into_iter().map(CameraType::name).collect()
    }

    #[test]
    fn every_row_of_the_table_is_found() {
        let (left, right, up, down) = ([-FAR, 0.0], [FAR, 0.0], [0.0, -FAR], [0.0, FAR]);
        // One pair shows it, the other shows nothing: a corner turns, or the two cross.
        let nothing = [left, up];
        for (moved, kind) in [(left, "pan_right"), (right, "pan_left"), (down, "tilt_up"), (up, "tilt_down")]
        {
            assert_eq!(shown([moved; 4]), [kind]);
            assert_eq!(shown([moved, moved, nothing[0], nothing[1]]), [kind]);
            assert_eq!(shown([nothing[0], nothing[1], moved, moved]), [kind]);
        }
        assert_eq!(shown([up, down, left, right]), ["zoom_in"]);
        assert_eq!(shown([down, up, right, left]), ["zoom_out"]);
        assert_eq!(shown([up, down, nothing[0], nothing[1]]), ["zoom_in"]);
        assert_eq!(shown([nothing[0], nothing[1], right, left]), ["zoom_out"]);
        // Edges that part along themselves turn, which is no zoom.
        assert!(shown([left, right, up, down]).is_empty());
    }

    #[test]
    fn rest_counts_where_nothing_else_is_found_and_both_pairs_rest() {
        let (still, left, up) = ([NEAR, -NEAR], [-FAR, 0.0], [0.0, -FAR]);
        assert_eq!(shown([still; 4]), ["static"]);
        assert_eq!(shown([still, still, left, left]), ["pan_right"]);
        assert!(shown([still, still, left, up]).is_empty());
        assert!(shown([left, still, still, still]).is_empty());
        // Aslant is two ways.
        assert_eq!(shown([[FAR, FAR]; 4]), ["pan_left", "tilt_up"]);
        assert_eq!(shown([[-FAR, -FAR], [-FAR, FAR], [-FAR, 0.0], [FAR, 0.0]]), ["pan_right", "zoom_in"]);
    }

    fn golden() -> Value {
        serde_json::from_str(include_str!("golden/camera_motion.json")).expect("JSON")
    }

    #[test]
    fn rules_agree_with_the_reference_on_random_tracks() {
        let golden = golden();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() > 100);
        for (i, case) in cases.iter().enumerate() {
            // Made whole as the dimension makes them.
            let number = |value: &Value| (value.as_f64().unwrap() as f32).trunc().into();
            let points = |name: &str| {
                grid(std::array::from_fn(|p| std::array::from_fn(|axis| number(&case[name][p][axis]))))
            };
            let side =
                case["size"].as_array().unwrap().iter().filter_map(Value::as_f64).fold(f64::MAX, f64::min);
            let found = camera_types(&points("first"), &points("last"), MOVED * side);
            let mut names: Vec<&str> = found.into_iter().map(CameraType::name).collect();
            names.sort_unstable();
            let expected: Vec<&str> =
                case["types"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let expected: Vec<&str> = expected.into_iter().filter(|name| *name != "None").collect();
            assert_eq!(names, expected, "case {i}");
        }
    }

    fn clip<'a>(mode: Mode, stem: &'a str, prompt: &'a str, frames: usize) -> ClipFacts<'a> {
        ClipFacts {
            frames,
            fps: 8.0,
            height: 37,
            width: 45,
            prompt,
            stem,
            auxiliary: &|_| None,
            picture: None,
            stills: false,
            mode,
        }
    }

    #[test]
    fn names_say_what_was_asked_for_as_in_the_reference() {
        for (name, expected) in golden()["names"].as_object().unwrap() {
            let found = wanted(&clip(Mode::Compat, crate::stem_of(name), "", 9)).ok();
            assert_eq!(found.map(CameraType::name), expected.as_str(), "{name}");
        }
    }

    #[test]
    fn a_name_without_a_motion_is_refused_by_name_and_prompts_have_one() {
        let none = wanted(&clip(Mode::Compat, "a cat-0", "camera static", 9)).unwrap_err();
        assert!(
            none.contains("its name `a cat-0` names no motion") && none.contains("`camera zooms in`"),
            "{none}"
        );
        let both = "a dog, camera zooms in, then camera pans left";
        assert_eq!(wanted(&clip(Mode::Compat, both, "", 9)), Ok(CameraType::PanLeft));
        let two = wanted(&clip(Mode::Fixed, "", both, 9)).unwrap_err();
        assert!(two.contains("`camera pans left` and `camera zooms in`, expected one"), "{two}");
        assert_eq!(wanted(&clip(Mode::Fixed, "a cat-0", "camera static", 9)), Ok(CameraType::Static));
    }

    /// A tiny network: windows of four frames.
    fn dimension() -> CameraMotion {
        let path = "../backbones/src/cotracker/golden/tiny.safetensors";
        let store = TensorStore::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        CameraMotion::new(CoTracker::load(store.under("weights."), Config { heads: 3 }).unwrap())
    }

    fn run(dimension: &mut CameraMotion, mode: Mode, frames: usize) -> Result<Measured, Refusal> {
        let name = "a cat, camera pans right";
        dimension.begin(&clip(mode, name, name, frames), &[Dimension::CameraMotion])?;
        for index in 0..frames {
            let rgb = (0..37 * 45 * 3).map(|i| ((i + 9 * index) * 7 % 251) as u8).collect();
            dimension.frame(index, &RgbFrame { height: 37, width: 45, rgb })?;
        }
        let (_, measured) = dimension.finish().pop().unwrap();
        measured
    }

    #[test]
    fn a_video_is_told_with_what_was_asked_for_and_what_was_seen() {
        let mut dimension = dimension();
        let measured = run(&mut dimension, Mode::Compat, 6).unwrap();
        assert_eq!(measured.extra[PROMPT_TYPE], "pan_right");
        let found = measured.extra["predict_type"].as_array().unwrap();
        let right = found.contains(&"pan_right".into());
        assert_eq!(measured.score.value(), f64::from(u8::from(right)));
        // Nothing of a video stays for the next.
        assert_eq!(run(&mut dimension, Mode::Compat, 6), Ok(measured));
    }

    #[test]
    fn videos_of_half_a_window_end_at_zero_in_the_reference_alone() {
        let mut dimension = dimension();
        let types = |measured: Measured| measured.extra["predict_type"].clone();
        // Everything goes to the upper left.
        for frames in [2, 0] {
            let found = run(&mut dimension, Mode::Compat, frames);
            match frames {
                0 => assert!(found.unwrap_err().contains("at least 1 frames")),
                _ => assert_eq!(types(found.unwrap()), serde_json::json!(["pan_right", "tilt_down"])),
            }
        }
        let one = run(&mut dimension, Mode::Compat, 1).unwrap();
        assert_eq!(types(one), serde_json::json!(["static"]));
        assert!(run(&mut dimension, Mode::Fixed, 1).unwrap_err().contains("at least 2 frames"));
        let name = "camera static";
        dimension.begin(&clip(Mode::Fixed, name, name, 2), &[]).unwrap();
        let still = RgbFrame { height: 37, width: 45, rgb: vec![90; 37 * 45 * 3] };
        (0..2).for_each(|index| dimension.frame(index, &still).unwrap());
        let [_, last] = dimension.ends().unwrap();
        assert!(last.iter().any(|place| *place != [0.0; 2]));
    }
}
