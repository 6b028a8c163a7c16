//! What a person says about where things move: keyframes of boxes and paths, as a file of JSON.

use serde::{Deserialize, Serialize};

use crate::UnitBox;

/// Most objects of a script: as many control tokens a latent frame has (Boximator, Wang et al. 2024).
pub const OBJECTS_MAX: usize = 8;
/// How far each side of an interpolated box moves outwards, a fraction of the frame: the mean of what training draws.
pub const RELAXED_BY: f32 = 1.0 / 9.0;

/// Boxes of all objects: `{"boxes": […]}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxScript {
    /// One entry an object, [`OBJECTS_MAX`] at most.
    pub boxes: Vec<ObjectScript>,
}

/// Where one object is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectScript {
    /// A name of one's own; no two objects share it.
    pub id: String,
    /// What the prompt calls it; may be left out where there is one object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phrase: String,
    /// Boxes at some frames, in order.
    pub keyframes: Vec<Keyframe>,
    /// Points `[x, y]` that the centre goes through: from the one box until the last frame, or from the first of two boxes to the
    /// second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<[f32; 2]>,
}

/// A box at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyframe {
    /// Pixel frame, from 0.
    pub frame: usize,
    /// `[x1, y1, x2, y2]`, fractions of the frame. One without width or height has to lie on the border: the object enters or
    /// leaves there.
    #[serde(rename = "box")]
    pub corners: [f32; 4],
    /// Hard where left out.
    #[serde(default)]
    pub kind: BoxKind,
}

/// What a box means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxKind {
    /// The object fills it exactly.
    #[default]
    Hard,
    /// The object is somewhere inside.
    Soft,
}

/// A box of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuideBox {
    /// Where.
    pub place: UnitBox,
    /// How exactly.
    pub kind: BoxKind,
}

/// An object with a box, or none, for each frame of a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Guide {
    /// As in the script.
    pub id: String,
    /// As in the script.
    pub phrase: String,
    /// `None` where the object is free.
    pub boxes: Vec<Option<GuideBox>>,
}

impl Guide {
    /// Of an object that is outside of the frame at first: the first frame in which it stands off the border that it comes in through;
    /// if it never does, the first in which most of it is seen. `None` for other objects.
    pub fn comes_in_at(&self) -> Option<usize> {
        let line = self.boxes.first().copied().flatten().filter(GuideBox::is_outside)?.place;
        let seen = |frame: &usize| self.boxes[*frame].filter(|found| !found.is_outside());
        let off = |place: UnitBox| match (line.x1 == line.x2, line.x1.max(line.x2), line.y1.max(line.y2)) {
            (true, 0.0, _) => place.x1 > 0.0,
            (true, ..) => place.x2 < 1.0,
            (false, _, 0.0) => place.y1 > 0.0,
            (false, ..) => place.y2 < 1.0,
        };
        let frames = 0..self.boxes.len();
        let whole = frames.clone().find(|frame| seen(frame).is_some_and(|found| off(found.place)));
        whole.or_else(|| {
            let area = |frame: &usize| seen(frame).map_or(0.0, |found| found.place.area());
            // Of equal ones the first.
            frames.filter(|frame| seen(frame).is_some()).rev().max_by(|a, b| area(a).total_cmp(&area(b)))
        })
    }

    /// Whether it has a box in a frame that says that it is outside.
    pub fn is_outside_at(&self, frame: usize) -> bool {
        self.boxes[frame].is_some_and(|found| found.is_outside())
    }
}

impl GuideBox {
    /// Whether it is a line along the border.
    pub fn is_outside(&self) -> bool {
        self.place.area() == 0.0
    }
}

/// Why a script cannot be followed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScriptError {
    /// Not JSON, or of another shape.
    #[error(
        "the boxes cannot be read: {reason}\nhint: expected is {{\"boxes\": [{{\"id\": \"car\", \"keyframes\": [{{\"frame\": 0, \"box\": [0.1, 0.4, 0.4, 0.7]}}]}}]}}"
    )]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// No object, or too many.
    #[error(
        "boxes must be of 1 to {OBJECTS_MAX} objects, found `{found}`\nhint: leave out those that may move freely"
    )]
    Objects {
        /// How many.
        found: usize,
    },
    /// Two objects of one name, or one without.
    #[error("each object needs an id of its own, found `{id}`{}\nhint: give it another, such as `car`", if id.is_empty() { "" } else { " again" })]
    Id {
        /// The name.
        id: String,
    },
    /// Keyframes that do not make a way.
    #[error("keyframes of `{id}` {expected}, found {found}\nhint: {hint}")]
    Keyframes {
        /// The object.
        id: String,
        /// What is wanted, in words.
        expected: &'static str,
        /// What is there.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// A box that is none.
    #[error(
        "the box of `{id}` at frame {frame} {expected}, found `{corners:?}`\nhint: [x1, y1, x2, y2] from the top left, 0 to 1"
    )]
    Corners {
        /// The object.
        id: String,
        /// The frame.
        frame: usize,
        /// What is wanted, in words.
        expected: &'static str,
        /// What is there.
        corners: [f32; 4],
    },
    /// A path that cannot be gone.
    #[error(
        "the path of `{id}` {expected}, found {found}\nhint: a path carries one box to the last frame, or the first of two to the second"
    )]
    Path {
        /// The object.
        id: String,
        /// What is wanted, in words.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

impl BoxScript {
    /// Reads a script of JSON.
    ///
    /// # Errors
    /// If it is not one; what it says is checked by [`Self::guides`].
    pub fn from_json(text: &str) -> Result<Self, ScriptError> {
        serde_json::from_str(text).map_err(|error| ScriptError::Json { reason: error.to_string() })
    }

    /// A box for each object and frame of a clip: those of keyframes as they are; between them interpolated, relaxed and soft; none
    /// before the first and after the last, unless a path goes on. An object whose first or last box is a line along the border is
    /// outside before, or after: the line stays.
    ///
    /// # Errors
    /// If the script does not fit a clip of `frames` frames, or contradicts itself.
    pub fn guides(&self, frames: usize) -> Result<Vec<Guide>, ScriptError> {
        if self.boxes.is_empty() || self.boxes.len() > OBJECTS_MAX {
            return Err(ScriptError::Objects { found: self.boxes.len() });
        }
        for (index, object) in self.boxes.iter().enumerate() {
            if object.id.is_empty() || self.boxes[..index].iter().any(|other| other.id == object.id) {
                return Err(ScriptError::Id { id: object.id.clone() });
            }
        }
        self.boxes.iter().map(|object| object.guide(frames)).collect()
    }
}

impl ObjectScript {
    /// The fewest hard keyframes whose straight ways stay within `tolerance` (a fraction of the frame, at every corner) of a track;
    /// none where it is never seen. Frames without a box are passed over, and so are those before the first and after the last.
    pub fn from_track(id: &str, track: &[Option<UnitBox>], tolerance: f32) -> Option<Self> {
        let seen: Vec<(usize, UnitBox)> =
            track.iter().enumerate().filter_map(|(frame, place)| Some((frame, (*place)?))).collect();
        seen.first()?;
        let mut keep = vec![false; seen.len()];
        keep[0] = true;
        keep[seen.len() - 1] = true;
        // As lines are simplified by Douglas and Peucker (1973): the worst of each stretch becomes a keyframe.
        let mut stretches = vec![(0, seen.len() - 1)];
        while let Some((from, to)) = stretches.pop() {
            let (a, b) = (seen[from], seen[to]);
            let error = |(frame, place): &(usize, UnitBox)| {
                let share = (frame - a.0) as f32 / (b.0 - a.0).max(1) as f32;
                place.farthest_corner(&a.1.towards(&b.1, share))
            };
            let worst = (from + 1..to).max_by(|i, j| error(&seen[*i]).total_cmp(&error(&seen[*j])));
            if let Some(worst) = worst.filter(|worst| error(&seen[*worst]) > tolerance) {
                keep[worst] = true;
                stretches.extend([(from, worst), (worst, to)]);
            }
        }
        let keyframes = seen.iter().zip(keep).filter(|(_, keep)| *keep).map(|((frame, place), _)| Keyframe {
            frame: *frame,
            corners: [place.x1, place.y1, place.x2, place.y2],
            kind: BoxKind::Hard,
        });
        Some(Self {
            id: id.to_owned(),
            phrase: String::new(),
            keyframes: keyframes.collect(),
            path: Vec::new(),
        })
    }

    fn guide(&self, frames: usize) -> Result<Guide, ScriptError> {
        self.check(frames)?;
        let mut boxes = vec![None; frames];
        for keyframe in &self.keyframes {
            boxes[keyframe.frame] = Some(GuideBox { place: keyframe.place(), kind: keyframe.kind });
        }
        for pair in self.keyframes.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            for frame in from.frame + 1..to.frame {
                let share = (frame - from.frame) as f32 / (to.frame - from.frame) as f32;
                boxes[frame] = Some(soft(from.place().towards(&to.place(), share)));
            }
        }
        let outside = |end: Option<&Keyframe>| end.copied().filter(|end| end.place().area() == 0.0);
        if let Some(line) = outside(self.keyframes.first()) {
            let before = boxes[line.frame];
            boxes[..line.frame].fill(before);
        }
        if let Some(line) = outside(self.keyframes.last()) {
            let after = boxes[line.frame];
            boxes[line.frame..].fill(after);
        }
        if let (Some(first), false) = (self.keyframes.first(), self.path.is_empty()) {
            let second = self.keyframes.get(1);
            let centre = |place: UnitBox| [place.centre().0, place.centre().1];
            let mut points = vec![centre(first.place())];
            points.extend(&self.path);
            points.extend(second.map(|second| centre(second.place())));
            // From the first box to the second, or on to the last frame.
            let way = second.map_or(first.frame + 1..frames, |second| first.frame + 1..second.frame);
            let arrives = second.map_or(frames - 1, |second| second.frame);
            for frame in way {
                let share = (frame - first.frame) as f32 / (arrives - first.frame) as f32;
                let place =
                    second.map_or(first.place(), |second| first.place().towards(&second.place(), share));
                let ([x, y], [to_x, to_y]) = (centre(place), along(&points, share));
                boxes[frame] = Some(soft(place.moved(to_x - x, to_y - y)));
            }
        }
        Ok(Guide { id: self.id.clone(), phrase: self.phrase.clone(), boxes })
    }

    fn check(&self, frames: usize) -> Result<(), ScriptError> {
        let id = || self.id.clone();
        let wrong =
            |expected, found: String, hint| Err(ScriptError::Keyframes { id: id(), expected, found, hint });
        if self.keyframes.is_empty() {
            return wrong("are at least one", "none".to_owned(), "say where it is at frame 0");
        }
        for (keyframe, next) in self.keyframes.iter().zip(self.keyframes.iter().skip(1)) {
            if next.frame <= keyframe.frame {
                let found = format!("{} after {}", next.frame, keyframe.frame);
                return wrong("go on in time", found, "sort them, one for each frame");
            }
        }
        if let Some(late) = self.keyframes.iter().find(|keyframe| keyframe.frame >= frames) {
            let found = format!("frame {} of {frames}", late.frame);
            return wrong(
                "lie within the clip",
                found,
                "the first frame is 0; move it, or make the clip longer",
            );
        }
        for keyframe in &self.keyframes {
            keyframe.check(&self.id)?;
        }
        let path = |expected, found: String| Err(ScriptError::Path { id: id(), expected, found });
        if self.path.is_empty() {
            return Ok(());
        }
        if self.keyframes.len() > 2 {
            return path("needs one keyframe or two", format!("{} keyframes", self.keyframes.len()));
        }
        if self.keyframes.len() == 1 && self.keyframes[0].place().area() == 0.0 {
            return path("of one keyframe carries a box with an area", "a line along the border".to_owned());
        }
        if self.keyframes.len() == 1 && self.keyframes[0].frame + 1 >= frames {
            return path("needs frames after its box", format!("a box at the last frame, {}", frames - 1));
        }
        match self.path.iter().flatten().find(|value| !(0.0..=1.0).contains(*value)) {
            None => Ok(()),
            Some(value) => path("lies within 0 and 1", format!("`{value}`")),
        }
    }
}

impl Keyframe {
    fn place(&self) -> UnitBox {
        let [x1, y1, x2, y2] = self.corners;
        UnitBox { x1, y1, x2, y2 }
    }

    fn check(&self, id: &str) -> Result<(), ScriptError> {
        let wrong = |expected| {
            let (id, frame, corners) = (id.to_owned(), self.frame, self.corners);
            Err(ScriptError::Corners { id, frame, expected, corners })
        };
        let [x1, y1, x2, y2] = self.corners;
        // Written so that NaN is refused.
        if !self.corners.iter().all(|value| (0.0..=1.0).contains(value)) {
            return wrong("must lie within 0 and 1");
        }
        if x1 > x2 || y1 > y2 {
            return wrong("must have its left before its right and its top before its bottom");
        }
        let on_border = |low: f32, high: f32| low == high && (low == 0.0 || low == 1.0);
        let enters = (on_border(x1, x2) && y1 < y2) || (on_border(y1, y2) && x1 < x2);
        if (x1 == x2 || y1 == y2) && !enters {
            return wrong("must have an area, or lie along the border, where an object enters or leaves");
        }
        Ok(())
    }
}

fn soft(place: UnitBox) -> GuideBox {
    GuideBox { place: place.relaxed([RELAXED_BY; 4]), kind: BoxKind::Soft }
}

/// The point that lies a `share` of the length along straight lines between points.
fn along(points: &[[f32; 2]], share: f32) -> [f32; 2] {
    let length = |pair: &[[f32; 2]]| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]);
    let mut left = share * points.windows(2).map(length).sum::<f32>();
    for pair in points.windows(2) {
        let of_this = length(pair);
        if left <= of_this && of_this > 0.0 {
            let share = left / of_this;
            return [0, 1].map(|axis| pair[0][axis] + (pair[1][axis] - pair[0][axis]) * share);
        }
        left -= of_this;
    }
    points[points.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(json: &str) -> BoxScript {
        BoxScript::from_json(json).unwrap()
    }

    fn refused(json: &str) -> String {
        let script = BoxScript::from_json(json);
        let error = script.and_then(|script| script.guides(25)).unwrap_err().to_string();
        assert!(error.contains("\nhint: "), "{error}");
        error
    }

    #[test]
    fn between_keyframes_boxes_are_interpolated_relaxed_and_soft() {
        let script = script(
            r#"{"boxes":[{"id":"car","phrase":"a red car","keyframes":[
                {"frame":4,"box":[0.2,0.2,0.4,0.4]},{"frame":8,"box":[0.6,0.2,0.8,0.4],"kind":"soft"}]}]}"#,
        );
        let guide = script.guides(25).unwrap().remove(0);
        assert_eq!((guide.phrase.as_str(), guide.boxes.len()), ("a red car", 25));
        assert!(guide.boxes[..4].iter().chain(&guide.boxes[9..]).all(Option::is_none));
        let [first, middle, last] = [4, 6, 8].map(|frame| guide.boxes[frame].unwrap());
        assert_eq!((first.kind, middle.kind, last.kind), (BoxKind::Hard, BoxKind::Soft, BoxKind::Soft));
        assert_eq!(first.place, UnitBox { x1: 0.2, y1: 0.2, x2: 0.4, y2: 0.4 });
        assert!((middle.place.x1 - (0.4 - RELAXED_BY)).abs() < 1e-6);
        assert!((middle.place.x2 - (0.6 + RELAXED_BY)).abs() < 1e-6);
    }

    #[test]
    fn a_path_carries_its_box_to_the_last_frame() {
        let script = script(
            r#"{"boxes":[{"id":"a","keyframes":[{"frame":0,"box":[0.0,0.4,0.2,0.6]}],"path":[[0.5,0.5],[0.5,0.9]]}]}"#,
        );
        let guide = script.guides(9).unwrap().remove(0);
        let centre = |frame: usize| guide.boxes[frame].unwrap().place.centre();
        // Half of the way of 0.8 ends at the corner; relaxed boxes at the border lean inwards.
        let (x, y) = centre(4);
        assert!((x - 0.5).abs() < 1e-5 && (y - 0.5).abs() < 1e-5, "{x} {y}");
        let last = guide.boxes[8].unwrap().place;
        assert!((last.x1 - (0.4 - RELAXED_BY)).abs() < 1e-5 && last.y2 == 1.0);
    }

    #[test]
    fn a_path_leads_from_one_box_to_another() {
        let script = script(
            r#"{"boxes":[{"id":"a","keyframes":[{"frame":2,"box":[0.0,0.4,0.2,0.6]},
                {"frame":10,"box":[0.1,0.0,0.5,0.2],"kind":"soft"}],"path":[[0.3,0.5]]}]}"#,
        );
        let guide = script.guides(25).unwrap().remove(0);
        assert!(guide.boxes[..2].iter().chain(&guide.boxes[11..]).all(Option::is_none));
        assert_eq!(guide.boxes[10].unwrap().place, UnitBox { x1: 0.1, y1: 0.0, x2: 0.5, y2: 0.2 });
        // Of a way of 0.2 to the right and 0.4 up half is done a quarter of the way up, with half of the growth.
        let place = guide.boxes[6].unwrap().place;
        let relaxed = UnitBox { x1: 0.15, y1: 0.3, x2: 0.45, y2: 0.5 }.relaxed([RELAXED_BY; 4]);
        assert!(place.farthest_corner(&relaxed) < 1e-5, "{place:?}");
    }

    #[test]
    fn a_track_needs_keyframes_only_where_it_turns() {
        // Right for ten frames, then down; unseen twice.
        let mut track: Vec<Option<UnitBox>> = (0..21)
            .map(|frame: usize| {
                let (x, y) = (frame.min(10) as f32 * 0.05, frame.saturating_sub(10) as f32 * 0.05);
                Some(UnitBox { x1: x, y1: y, x2: x + 0.2, y2: y + 0.2 })
            })
            .collect();
        track[0] = None;
        track[5] = None;
        let script = ObjectScript::from_track("a", &track, 0.02).unwrap();
        let frames: Vec<usize> = script.keyframes.iter().map(|keyframe| keyframe.frame).collect();
        assert_eq!(frames, [1, 10, 20]);
        let guides = BoxScript { boxes: vec![script] }.guides(21).unwrap();
        assert_eq!(guides[0].boxes[10].unwrap().place, track[10].unwrap());
        assert_eq!(ObjectScript::from_track("a", &[None, None], 0.02), None);
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        let one = |keyframes: &str| format!(r#"{{"boxes":[{{"id":"a","keyframes":[{keyframes}]}}]}}"#);
        let object = |id: &str| format!(r#"{{"id":"{id}","keyframes":[{{"frame":0,"box":[0,0,0.5,0.5]}}]}}"#);
        let objects = |ids: &[&str]| {
            format!(r#"{{"boxes":[{}]}}"#, ids.iter().map(|id| object(id)).collect::<Vec<_>>().join(","))
        };
        for (json, named) in [
            ("[".to_owned(), "cannot be read"),
            (r#"{"boxen":[]}"#.to_owned(), "boxen"),
            (r#"{"boxes":[]}"#.to_owned(), "found `0`"),
            (objects(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]), "found `9`"),
            (objects(&["a", "a"]), "`a` again"),
            (one(""), "at least one"),
            (one(r#"{"frame":5,"box":[0,0,1,1]},{"frame":5,"box":[0,0,1,1]}"#), "5 after 5"),
            (one(r#"{"frame":9,"box":[0,0,1,1]},{"frame":5,"box":[0,0,1,1]}"#), "5 after 9"),
            (one(r#"{"frame":25,"box":[0,0,1,1]}"#), "frame 25 of 25"),
            (one(r#"{"frame":0,"box":[0,0,1,1.1]}"#), "within 0 and 1"),
            (one(r#"{"frame":0,"box":[0.5,0,0.4,1]}"#), "left before its right"),
            (one(r#"{"frame":0,"box":[0.5,0.2,0.5,1]}"#), "an area"),
            (one(r#"{"frame":0,"box":[0,0,0,0]}"#), "an area"),
            (
                r#"{"boxes":[{"id":"a","keyframes":[{"frame":0,"box":[0,0,1,1]}],"path":[[2,0]]}]}"#
                    .to_owned(),
                "`2`",
            ),
            (
                r#"{"boxes":[{"id":"a","keyframes":[{"frame":24,"box":[0,0,1,1]}],"path":[[1,0]]}]}"#
                    .to_owned(),
                "frames after its box",
            ),
            (
                r#"{"boxes":[{"id":"a","keyframes":[{"frame":0,"box":[0,0.2,0,1]}],"path":[[1,0]]}]}"#
                    .to_owned(),
                "a line along the border",
            ),
        ] {
            let error = refused(&json);
            assert!(error.contains(named), "{json}: {error}");
        }
        let three = r#"{"frame":0,"box":[0,0,1,1]},{"frame":1,"box":[0,0,1,1]},{"frame":2,"box":[0,0,1,1]}"#;
        let error = refused(&format!(r#"{{"boxes":[{{"id":"a","keyframes":[{three}],"path":[[1,0]]}}]}}"#));
        assert!(error.contains("one keyframe or two, found 3"), "{error}");
    }

    #[test]
    fn an_object_enters_and_leaves_by_lines_along_the_border() {
        let script = script(
            r#"{"boxes":[{"id":"a","keyframes":[{"frame":4,"box":[0,0.2,0,0.6]},{"frame":8,"box":[0.2,0.2,0.6,0.6]},
                {"frame":12,"box":[0.2,1,0.6,1]}]}]}"#,
        );
        let guide = script.guides(25).unwrap().remove(0);
        let [enters, leaves] = [4, 12].map(|frame| guide.boxes[frame]);
        assert!(guide.boxes[..4].iter().all(|found| *found == enters));
        assert!(guide.boxes[13..].iter().all(|found| *found == leaves));
        assert_eq!(leaves.unwrap().place, UnitBox { x1: 0.2, y1: 1.0, x2: 0.6, y2: 1.0 });
        // What is seen of it grows from the line.
        let half = guide.boxes[6].unwrap().place;
        assert!(half.x1 == 0.0 && (half.x2 - (0.3 + RELAXED_BY)).abs() < 1e-6, "{half:?}");
    }

    #[test]
    fn an_object_comes_in_where_it_stands_off_its_border() {
        let guide = |keyframes: &str| {
            let json = format!(r#"{{"boxes":[{{"id":"a","keyframes":[{keyframes}]}}]}}"#);
            BoxScript::from_json(&json).unwrap().guides(25).unwrap().remove(0)
        };
        let key = |frame: usize, corners: [f32; 4]| format!(r#"{{"frame":{frame},"box":{corners:?}}}"#);
        let line = key(4, [0.0, 0.3, 0.0, 0.7]);
        // Soft boxes reach a ninth of the frame farther: 0.4·t > 1/9 at t = 5/16.
        let inside = guide(&[line.clone(), key(20, [0.4, 0.3, 0.8, 0.7])].join(","));
        assert_eq!(inside.comes_in_at(), Some(9));
        assert!(inside.is_outside_at(0) && inside.is_outside_at(4) && !inside.is_outside_at(9));
        // Half of it is all that is ever seen.
        let half =
            guide(&[line.clone(), key(5, [0.0, 0.3, 0.2, 0.7]), key(6, [0.0, 0.3, 0.2, 0.7])].join(","));
        assert_eq!(half.comes_in_at(), Some(5));
        let leaves = guide(&[key(0, [0.4, 0.3, 0.8, 0.7]), key(20, [1.0, 0.3, 1.0, 0.7])].join(","));
        assert_eq!(leaves.comes_in_at(), None);
        let above = guide(&[key(0, [0.3, 0.0, 0.7, 0.0]), key(1, [0.3, 0.1, 0.7, 0.5])].join(","));
        assert_eq!(above.comes_in_at(), Some(1));
    }
}
