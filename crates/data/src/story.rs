//! Clips that begin or end as something else does: what extending, looping, connecting and arriving is learned from.
//!
//! A story is a scene with another timeline, and says how many of its first and last pixel frames are known beforehand: those of
//! the clip that is extended, of the two that are connected, of the picture at which it ends.

use serde::{Deserialize, Serialize};
use vidit_motion::Track;
use vidit_video::PixelShape;

use crate::caption::{Description, describe, transition};
use crate::motion::Path;
use crate::render::{Composite, compose, render};
use crate::sprite::{Placement, SPRITE_FRAMES};
use crate::{Motion, Pack, Random, Region, Scene, Split};

/// How a clip is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Story {
    /// One scene from start to end.
    #[default]
    Plain,
    /// The same with two objects, each in a half of the frame.
    Pair,
    /// Two objects that go anywhere, across each other's way too.
    Crossing,
    /// A scene that comes to rest: its last frames, one latent frame's worth, are one picture. First and last are known.
    Arrival,
    /// An arrival at where it began. What leaves the frame comes back in on the other side.
    Loop,
    /// An object that did something else before; that is known.
    Continuation,
    /// A scene that becomes another one. Both ends are known.
    Transition,
    /// A scene whose object comes in from outside of the frame, or goes out. Of one frame, it may stand across the border.
    Passage,
    /// Two objects that are apart when it begins and when it ends, and meet on their way.
    Meeting,
    /// Three or four objects, each in a quarter of the frame or going anywhere.
    Crowd,
}

/// A clip of a story.
pub struct Told {
    /// The clip, and boxes of what is known to be in it from start to end: nothing, for a transition.
    pub composite: Composite,
    /// Pixel frames at the beginning that are known: 0, or `4n + 1`.
    pub head: usize,
    /// Pixel frames at the end that are known: `4n`.
    pub tail: usize,
}

/// Pixel frames of a latent frame, but the first.
const LATENT: usize = 4;
/// Motions that lead across the border when they begin earlier or end later.
const PASSING: [Motion; 5] = [Motion::Left, Motion::Right, Motion::Up, Motion::Down, Motion::Diagonal];

impl Story {
    /// Fewest frames that a clip of it has.
    pub fn frames_min(self) -> usize {
        match self {
            Self::Arrival | Self::Loop => 1 + 2 * LATENT,
            Self::Continuation | Self::Transition => 1 + 5 * LATENT,
            _ => 1,
        }
    }

    /// Whether some of its frames, at one end or both, are known beforehand: each clip then says how many.
    pub fn knows_ends(self) -> bool {
        matches!(self, Self::Arrival | Self::Loop | Self::Continuation | Self::Transition)
    }

    /// Sample `index` of stream `seed` at `shape`, for training: `4n + 1` frames, [`Self::frames_min`] at least.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn tell(self, pack: &Pack, seed: u64, index: u64, shape: PixelShape) -> Told {
        assert!(shape.frames >= self.frames_min(), "{self:?} of {shape}");
        let mut random = Random::new(seed ^ 0x0073_746f_7279, index);
        let scene = self.scene(pack, seed, index);
        let last = shape.frames - 1;
        let (composite, head, tail) = match self {
            Self::Plain | Self::Pair | Self::Crossing | Self::Meeting | Self::Crowd => {
                (render(pack, &scene, shape), 0, 0)
            }
            Self::Passage => {
                let composite = scene.passing(pack, shape, random.bits());
                (composite.expect("its motion leads across the border"), 0, 0)
            }
            Self::Arrival => {
                let arrived = last - LATENT;
                let at = |path: &Path, frame: usize| {
                    let frame = frame.min(arrived);
                    (path.place(frame as f32 / arrived as f32, shape), frame)
                };
                (compose(pack, &scene, shape, at), 1, LATENT)
            }
            Self::Loop => {
                let arrived = last - LATENT;
                let motion = scene.actors[0].motion;
                let at = |path: &Path, frame: usize| {
                    let progress = (frame.min(arrived) % arrived) as f32 / arrived as f32;
                    let picture = frame.min(arrived) % arrived * SPRITE_FRAMES / arrived;
                    (around(path, motion, progress, shape), picture)
                };
                (compose(pack, &scene, shape, at), 1, LATENT)
            }
            Self::Continuation => {
                let head = 1 + LATENT * random.below(3);
                let (before, after) = legs(&scene, shape, &mut random);
                let at = |_: &Path, frame: usize| {
                    let place = match frame.checked_sub(head - 1) {
                        None => before.place(1.0 - (head - 1 - frame) as f32 / last as f32, shape),
                        Some(since) => after.place(since as f32 / (last + 1 - head) as f32, shape),
                    };
                    (place, frame)
                };
                (compose(pack, &scene, shape, at), head, 0)
            }
            Self::Transition => {
                let (head, tail) = (1 + LATENT * (1 + random.below(2)), LATENT * (1 + random.below(2)));
                let begin = shape.frames - tail;
                let from = compose(pack, &scene, shape, |path: &Path, frame| {
                    let left = (head - 1).saturating_sub(frame);
                    (path.place(1.0 - left as f32 / last as f32, shape), frame)
                });
                let to = compose(pack, &self.second(pack, seed, index), shape, |path: &Path, frame| {
                    (path.place(frame.saturating_sub(begin) as f32 / last as f32, shape), frame)
                });
                let share = |frame: usize| {
                    ((frame + 1).saturating_sub(head) as f32 / (begin + 1 - head) as f32).min(1.0)
                };
                let frames = from.frames.dissolve(&to.frames, share);
                (Composite { frames, tracks: Vec::<Track>::new() }, head, tail)
            }
        };
        Told { composite, head, tail }
    }

    /// A caption of sample `index`, and what it calls the objects; `variant` chooses among its wordings.
    pub fn describe(self, pack: &Pack, seed: u64, index: u64, variant: u64) -> Description {
        let scene = self.scene(pack, seed, index);
        match self {
            Self::Transition => {
                let second = self.second(pack, seed, index);
                let text = transition(pack, &scene, &second, scene.language, variant);
                Description { text, phrases: Vec::new() }
            }
            _ => describe(pack, &scene, scene.language, variant),
        }
    }

    /// The scene, or the first of two.
    fn scene(self, pack: &Pack, seed: u64, index: u64) -> Scene {
        let stream = seed ^ (self as u64) << 32;
        let mut random = Random::new(stream, index);
        match self {
            Self::Plain => Scene::sample(pack, seed, index, Split::Train),
            Self::Pair => Scene::sample_train(pack, 1.0, &mut random),
            Self::Crossing => Scene::crossing(pack, &mut random),
            Self::Meeting => loop {
                let scene = Scene::crossing(pack, &mut random);
                if meet(&scene.actors[0].path, &scene.actors[1].path) {
                    return scene;
                }
            },
            Self::Crowd => Scene::on_side(Split::Train, pack, &mut random, |random| {
                let count = 3 + random.below(2);
                Scene::crowd(pack, count, random)
            }),
            Self::Arrival | Self::Continuation | Self::Transition => {
                Scene::sample_train(pack, 0.0, &mut random)
            }
            Self::Passage => loop {
                let scene = Scene::sample_train(pack, 0.0, &mut random);
                if PASSING.contains(&scene.actors[0].motion) {
                    return scene;
                }
            },
            Self::Loop => loop {
                let scene = Scene::sample_train(pack, 0.0, &mut random);
                if !matches!(scene.actors[0].motion, Motion::ZoomIn | Motion::ZoomOut) {
                    return scene;
                }
            },
        }
    }

    /// What a transition becomes, in the language of its first scene.
    fn second(self, pack: &Pack, seed: u64, index: u64) -> Scene {
        let language = self.scene(pack, seed, index).language;
        let mut random = Random::new(seed ^ 0x7365_636f_6e64, index);
        loop {
            let mut scene = Scene::sample_train(pack, 0.0, &mut random);
            if !scene.is_held_out(pack, language) {
                scene.language = language;
                return scene;
            }
        }
    }
}

impl Scene {
    /// A scene that ends where this one, on another path of the same motion, goes on; and that one. Of scenes of one object.
    pub fn led_up_to(&self, shape: PixelShape, seed: u64) -> (Self, Self) {
        let (before, after) = legs(self, shape, &mut Random::new(seed, 0));
        let with = |path: Path| {
            let mut scene = self.clone();
            scene.actors[0].path = path;
            scene
        };
        (with(before), with(after))
    }

    /// This scene, of one object, which comes in from outside of the frame or goes out, as [`Story::Passage`] tells it; `None` where
    /// its motion does not lead across the border.
    pub fn passing(&self, pack: &Pack, shape: PixelShape, seed: u64) -> Option<Composite> {
        let actor = &self.actors[0];
        PASSING.contains(&actor.motion).then(|| {
            let (from, to) = passage(&actor.path, shape, &mut Random::new(seed, 0));
            let last = (shape.frames - 1).max(1) as f32;
            compose(pack, self, shape, |path, frame| {
                (path.place(from + (to - from) * frame as f32 / last, shape), frame)
            })
        })
    }

    /// A training scene of two objects, each in a half of the frame; the first named is on the left, or above.
    pub fn sample_pair(pack: &Pack, seed: u64, index: u64) -> Self {
        Self::sample_train(pack, 1.0, &mut Random::new(seed, index))
    }

    /// A scene as [`Story::Crossing`] tells it, in a language in which at least one of its two combinations is held out, so that
    /// training never sees it.
    pub fn sample_crossing_held_out(pack: &Pack, seed: u64, index: u64) -> Self {
        let mut random = Random::new(seed, index);
        Self::on_side(Split::HeldOut, pack, &mut random, |random| Self::crossing(pack, random))
    }

    /// A scene of three objects as [`Story::Crowd`] tells it, in a language in which at least one of its combinations is held out.
    pub fn sample_crowd_held_out(pack: &Pack, seed: u64, index: u64) -> Self {
        let mut random = Random::new(seed, index);
        Self::on_side(Split::HeldOut, pack, &mut random, |random| Self::crowd(pack, 3, random))
    }

    /// A training scene of two objects that go anywhere.
    fn crossing(pack: &Pack, random: &mut Random) -> Self {
        let mut scene = Self::sample_train(pack, 1.0, random);
        for actor in &mut scene.actors {
            let faces = pack.objects()[actor.object].faces;
            actor.path = Path::sample(actor.motion, Region::FRAME, 2, faces, random);
        }
        scene
    }
}

/// Whether the squares of two paths are apart at both ends, and overlap by an eighth of the smaller one's side or more in between.
fn meet(a: &Path, b: &Path) -> bool {
    const LAST: usize = 24;
    let shape = PixelShape::new(LAST + 1, 128, 128);
    // How far one reaches into the other along the axis on which it does so least, a fraction of the smaller side; below 0 apart.
    let overlap = |frame: usize| {
        let [a, b] = [a, b].map(|path| path.place(frame as f32 / LAST as f32, shape));
        let along =
            |a_start: f32, b_start: f32| (a_start + a.side).min(b_start + b.side) - a_start.max(b_start);
        along(a.left, b.left).min(along(a.top, b.top)) / a.side.min(b.side)
    };
    overlap(0) < 0.0 && overlap(LAST) < 0.0 && (1..LAST).any(|frame| overlap(frame) > 0.125)
}

/// What the object of a scene did before, and what it does then, which is its motion.
fn legs(scene: &Scene, shape: PixelShape, random: &mut Random) -> (Path, Path) {
    let actor = &scene.actors[0];
    loop {
        let motion = *random.choose(&Motion::ALL);
        let mut before = Path::sample(motion, actor.path.region, 1, None, random);
        before.mirrored = actor.path.mirrored;
        if let Some(after) = before.continued(actor.motion, shape, random) {
            return (before, after);
        }
    }
}

/// Progress on a path when a clip begins and when it ends, one of them beyond the border: of one frame, where it stands.
fn passage(path: &Path, shape: PixelShape, random: &mut Random) -> (f32, f32) {
    // How much longer the way would be if it led out of the frame, where the object goes mostly.
    let (dx, dy) = path.way();
    let (at, then) = (path.place(0.0, shape), path.place(1.0, shape));
    let out = match dx.abs() > dy.abs() {
        true => at.side / (then.left - at.left).abs().max(1.0),
        false => at.side / (then.top - at.top).abs().max(1.0),
    };
    let (beyond, inside) = (out * random.between(0.5, 1.6), random.between(0.3, 1.0));
    let (from, to) = (-beyond, inside);
    let (from, to) = if random.chance(0.5) { (from, to) } else { (1.0 - to, 1.0 - from) };
    if shape.frames > 1 { (from, to) } else { (random.between(from, to), to) }
}

/// Where the object of a loop is: on its path where that is closed, else going round through the edge of the frame.
fn around(path: &Path, motion: Motion, progress: f32, shape: PixelShape) -> Placement {
    let (dx, dy) = path.way();
    let mut at = path.place(0.0, shape);
    let along = |start: f32, way: f32, length: f32| {
        let period = length + at.side;
        (start + at.side + way.signum() * progress * period).rem_euclid(period) - at.side
    };
    match motion {
        Motion::Left | Motion::Right | Motion::Diagonal | Motion::Up | Motion::Down => {
            let (left, top) =
                (along(at.left, dx, shape.width as f32), along(at.top, dy, shape.height as f32));
            if dx != 0.0 {
                at.left = left;
            }
            if dy != 0.0 {
                at.top = top;
            }
            at
        }
        // A drifting bounce would end elsewhere.
        _ => Path { to: path.from, ..*path }.place(progress, shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;

    const SHAPE: PixelShape = PixelShape { frames: 25, height: 64, width: 64 };

    fn mean_difference(a: &[u8], b: &[u8]) -> f32 {
        a.iter().zip(b).map(|(a, b)| f32::from(a.abs_diff(*b))).sum::<f32>() / a.len() as f32
    }

    #[test]
    fn an_arrival_rests_and_a_loop_rests_where_it_began() {
        let pack = Pack::embedded();
        for index in 0..40 {
            for story in [Story::Arrival, Story::Loop] {
                let told = story.tell(&pack, 3, index, SHAPE);
                let frames = &told.composite.frames;
                assert_eq!((told.head, told.tail), (1, 4));
                for frame in 21..25 {
                    assert_eq!(frames.frame(frame), frames.frame(20), "{story:?} {index}");
                }
                assert_eq!(story == Story::Loop, frames.frame(20) == frames.frame(0), "{story:?} {index}");
            }
        }
    }

    #[test]
    fn a_loop_has_no_seam() {
        let pack = Pack::embedded();
        for index in 0..40 {
            let told = Story::Loop.tell(&pack, 4, index, SHAPE);
            let frames = &told.composite.frames;
            let differences: Vec<f32> =
                (0..20).map(|f| mean_difference(frames.frame(f), frames.frame(f + 1))).collect();
            let largest = differences[..19].iter().copied().fold(0.0, f32::max);
            assert!(differences[19] <= 1.3 * largest + 0.5, "{index}: {differences:?}");
        }
    }

    #[test]
    fn a_passage_leads_across_the_border() {
        let pack = Pack::embedded();
        let (mut comes, mut goes, mut outside) = (0, 0, 0);
        for index in 0..60 {
            let told = Story::Passage.tell(&pack, 5, index, SHAPE);
            assert_eq!((told.head, told.tail), (0, 0));
            let boxes = &told.composite.tracks[0].boxes;
            let area = |frame: usize| boxes[frame].map_or(0.0, |place| place.area());
            let most = (0..SHAPE.frames).map(area).fold(0.0, f32::max);
            let at_ends = [0, SHAPE.frames - 1].map(|frame| area(frame) < 0.75 * most);
            (comes, goes) = (comes + usize::from(at_ends[0]), goes + usize::from(at_ends[1]));
            outside += usize::from([0, SHAPE.frames - 1].iter().any(|frame| boxes[*frame].is_none()));
            // It is seen most of the time, and what is seen of it lies at the border where it is not whole.
            assert!(boxes.iter().flatten().count() > SHAPE.frames / 3, "{index}: {boxes:?}");
        }
        assert!(comes > 15 && goes > 15 && comes + goes >= 50 && outside > 10, "{comes} {goes} {outside}");
        let one = PixelShape { frames: 1, ..SHAPE };
        let seen = (0..60).filter(|index| {
            Story::Passage.tell(&pack, 5, *index, one).composite.tracks[0].boxes[0].is_some()
        });
        assert!(seen.count() > 40);
    }

    #[test]
    fn a_continuation_goes_on_without_a_jump() {
        let pack = Pack::embedded();
        for index in 0..60 {
            let told = Story::Continuation.tell(&pack, 5, index, SHAPE);
            assert!([1, 5, 9].contains(&told.head) && told.tail == 0);
            let boxes = &told.composite.tracks[0].boxes;
            for pair in boxes.windows(2) {
                let [(x, y), (u, v)] = [pair[0], pair[1]].map(|b| b.expect("visible").centre());
                assert!((x - u).hypot(y - v) < 0.3, "{index}: {pair:?}");
            }
        }
    }

    #[test]
    fn a_transition_begins_as_one_scene_and_ends_as_another() {
        let pack = Pack::embedded();
        for index in 0..20 {
            let told = Story::Transition.tell(&pack, 6, index, SHAPE);
            let (a, b) =
                (Story::Transition.scene(&pack, 6, index), Story::Transition.second(&pack, 6, index));
            assert_eq!(a.language, b.language);
            let frames = &told.composite.frames;
            let last = render(&pack, &a, SHAPE).frames.frame(24).to_vec();
            // Up to the pictures of the sprite, which go their own way.
            assert!(mean_difference(frames.frame(told.head - 1), &last) < 20.0, "{index}");
            let first = render(&pack, &b, SHAPE).frames.frame(0).to_vec();
            assert!(mean_difference(frames.frame(25 - told.tail), &first) < 20.0, "{index}");
        }
    }

    #[test]
    fn stories_keep_to_their_side_of_the_split_and_have_captions() {
        let pack = Pack::embedded();
        for story in [
            Story::Pair,
            Story::Crossing,
            Story::Passage,
            Story::Arrival,
            Story::Loop,
            Story::Continuation,
            Story::Transition,
            Story::Meeting,
            Story::Crowd,
        ] {
            for index in 0..200 {
                let scene = story.scene(&pack, 7, index);
                assert!(!scene.is_held_out(&pack, scene.language));
                let objects = match story {
                    Story::Pair | Story::Crossing | Story::Meeting => 2..=2,
                    Story::Crowd => 3..=4,
                    _ => 1..=1,
                };
                assert!(objects.contains(&scene.actors.len()), "{story:?} {index}");
                let text = story.describe(&pack, 7, index, index).text;
                assert!(!text.is_empty() && !text.contains(['{', '}', '@', '%', '&']), "{text}");
            }
        }
    }

    #[test]
    fn objects_that_meet_are_apart_at_both_ends() {
        let pack = Pack::embedded();
        for index in 0..60 {
            let told = Story::Meeting.tell(&pack, 5, index, SHAPE);
            let [a, b] = [0, 1].map(|actor| &told.composite.tracks[actor].boxes);
            let overlap = |frame: usize| a[frame].expect("seen").iou(&b[frame].expect("seen"));
            assert_eq!([overlap(0), overlap(SHAPE.frames - 1)], [0.0; 2], "{index}");
        }
        let met = (0..60).filter(|index| {
            let tracks = Story::Meeting.tell(&pack, 5, *index, SHAPE).composite.tracks;
            (0..SHAPE.frames).any(|frame| {
                tracks[0].boxes[frame].expect("seen").iou(&tracks[1].boxes[frame].expect("seen")) > 0.0
            })
        });
        // What is drawn fills its square mostly.
        assert!(met.count() >= 55);
    }

    #[test]
    fn a_crowd_is_of_different_objects_that_are_seen() {
        let pack = Pack::embedded();
        for index in 0..60 {
            let scene = Story::Crowd.scene(&pack, 5, index);
            let objects: std::collections::HashSet<usize> =
                scene.actors.iter().map(|actor| actor.object).collect();
            assert_eq!(objects.len(), scene.actors.len());
            let told = Story::Crowd.tell(&pack, 5, index, SHAPE);
            assert_eq!(told.composite.tracks.len(), scene.actors.len());
            assert!(told.composite.tracks.iter().all(|track| track.boxes.iter().all(Option::is_some)));
        }
    }

    #[test]
    fn crossings_of_the_other_side_are_held_out_in_all_languages() {
        let pack = Pack::embedded();
        let scenes: Vec<_> = (0..90).map(|index| Scene::sample_crossing_held_out(&pack, 7, index)).collect();
        assert!(
            scenes.iter().all(|scene| scene.actors.len() == 2 && scene.is_held_out(&pack, scene.language))
        );
        for language in Language::ALL {
            assert!(scenes.iter().filter(|scene| scene.language == language).count() > 15, "{language:?}");
        }
        assert_eq!(scenes[5], Scene::sample_crossing_held_out(&pack, 7, 5));
    }
}
