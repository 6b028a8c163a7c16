//! What is asked for, and real clips that show it.

use vidit_data::{Composite, Description, Pack, Random, Scene, Split, prompt_with_phrases, render};
use vidit_models::mini::DEFAULT_SHAPE;
use vidit_motion::{BoxKind, BoxScript, Guide, Keyframe, ObjectScript, Track, UnitBox};
use vidit_video::{Frames, PixelShape};

use super::measures::Appearance;
use crate::crops::Window;
use crate::suite::{held_out, random};

/// Streams of choices.
const ALONE: u64 = 1;
const CROSSING: u64 = 2;
const PASSING: u64 = 3;
const CROWD: u64 = 4;
/// How far the ways between keyframes stray from those of a clip, a fraction of the frame.
const TOLERANCE: f32 = 0.05;
/// The last frame: boxes are asked for there and at frame 0.
pub(crate) const LAST: usize = DEFAULT_SHAPE.frames - 1;

/// A held-out scene of one object or more, and what is asked of a clip of it.
pub(crate) struct Case {
    pub scene: Scene,
    pub prompt: String,
    /// Of the noise.
    pub seed: u64,
    /// One an object: a hard box on the first and on the last frame, soft ones between.
    pub guides: Vec<Guide>,
    pub real: Composite,
    /// Of several objects, what each looks like; of one, nothing.
    pub appearances: Vec<Appearance>,
}

impl Case {
    /// One object.
    pub fn alone(pack: &Pack, seed: u64, case: usize) -> Self {
        let (scene, said, mut random) = held_out(pack, seed, ALONE, case);
        let real = render(pack, &scene, DEFAULT_SHAPE);
        Self::new(scene, said, real, &mut random)
    }

    /// Two objects, apart on the first and on the last frame, that meet in between.
    pub fn crossing(pack: &Pack, seed: u64, case: usize) -> Self {
        let mut random = random(seed, CROSSING, case);
        loop {
            let scene = Scene::sample_crossing_held_out(pack, random.bits(), case as u64);
            let real = render(pack, &scene, DEFAULT_SHAPE);
            if apart_at_both_ends(&real.tracks, DEFAULT_SHAPE) && meet(&real.tracks) {
                return Self::of_several(pack, scene, real, &mut random);
            }
        }
    }

    /// Three objects, apart on the first and on the last frame.
    pub fn crowd(pack: &Pack, seed: u64, case: usize) -> Self {
        let mut random = random(seed, CROWD, case);
        loop {
            let scene = Scene::sample_crowd_held_out(pack, random.bits(), case as u64);
            let real = render(pack, &scene, DEFAULT_SHAPE);
            if apart_at_both_ends(&real.tracks, DEFAULT_SHAPE) {
                return Self::of_several(pack, scene, real, &mut random);
            }
        }
    }

    fn of_several(pack: &Pack, scene: Scene, real: Composite, random: &mut Random) -> Self {
        let said = prompt_with_phrases(pack, &scene, scene.language, random.bits());
        let appearances = scene.actors.iter().map(|actor| {
            let alone = Scene { actors: vec![*actor], ..scene.clone() };
            Appearance::of_clip(&render(pack, &alone, DEFAULT_SHAPE))
        });
        let appearances = appearances.collect();
        Self { appearances, ..Self::new(scene, said, real, random) }
    }

    /// One object that comes in from outside of the frame, or goes out.
    pub fn passing(pack: &Pack, seed: u64, case: usize) -> Self {
        let mut random = random(seed, PASSING, case);
        loop {
            let scene = Scene::sample(pack, random.bits(), case as u64, Split::HeldOut);
            let Some(real) = scene.passing(pack, DEFAULT_SHAPE, random.bits()) else { continue };
            let track = &real.tracks[0];
            let seen: Vec<usize> = (0..=LAST).filter(|frame| track.boxes[*frame].is_some()).collect();
            // Outside at one end, and seen for a third of the time at least.
            if !(LAST / 3..LAST).contains(&seen.len()) {
                continue;
            }
            let said = prompt_with_phrases(pack, &scene, scene.language, random.bits());
            let script = ObjectScript::from_track(&track.id, &track.boxes, TOLERANCE);
            let mut script = ObjectScript { phrase: said.phrases[0].clone(), ..script.expect("it is seen") };
            let line = |frame: usize, seen: usize| {
                let place = track.boxes[seen].expect("seen").at_border();
                let corners = [place.x1, place.y1, place.x2, place.y2];
                Keyframe { frame, corners, kind: BoxKind::Hard }
            };
            let (first, last) = (seen[0], seen[seen.len() - 1]);
            if first > 0 {
                script.keyframes.insert(0, line(first - 1, first));
            }
            if last < LAST {
                script.keyframes.push(line(last + 1, last));
            }
            let script = BoxScript { boxes: vec![script] };
            let guides = script.guides(DEFAULT_SHAPE.frames).expect("boxes of a clip make a script");
            return Self { scene, prompt: said.text, seed: random.bits(), guides, real, appearances: vec![] };
        }
    }

    fn new(scene: Scene, said: Description, real: Composite, random: &mut Random) -> Self {
        let object = |(track, phrase): (&Track, String)| {
            let keyframes = [0, LAST].map(|frame| {
                let place = track.boxes[frame].expect("composed objects begin and end within the frame");
                let corners = [place.x1, place.y1, place.x2, place.y2];
                Keyframe { frame, corners, kind: BoxKind::Hard }
            });
            ObjectScript { id: track.id.clone(), phrase, keyframes: keyframes.to_vec(), path: vec![] }
        };
        let script = BoxScript { boxes: real.tracks.iter().zip(said.phrases).map(object).collect() };
        let guides = script.guides(DEFAULT_SHAPE.frames).expect("boxes of a clip make a script");
        Self { scene, prompt: said.text, seed: random.bits(), guides, real, appearances: vec![] }
    }

    /// The box that an object is asked to fill: at the ends the hard one, between them what the soft one was before it was relaxed.
    pub fn asked(&self, object: usize, frame: usize) -> UnitBox {
        let [first, last] = [0, LAST].map(|frame| self.guides[object].boxes[frame]);
        let [first, last] = [first, last].map(|end| end.expect("both ends are asked for").place);
        first.towards(&last, frame as f32 / LAST as f32)
    }

    /// Names of what is in it, for errors.
    pub fn objects(&self, pack: &Pack) -> String {
        let ids: Vec<&str> =
            self.scene.actors.iter().map(|actor| pack.objects()[actor.object].id.as_str()).collect();
        ids.join("`, `")
    }

    /// No boxes.
    pub fn free(&self) -> Vec<Guide> {
        Vec::new()
    }

    /// All boxes.
    pub fn guided(&self) -> Vec<Guide> {
        self.guides.clone()
    }

    /// Hard boxes alone.
    pub fn guided_at_keyframes(&self) -> Vec<Guide> {
        let mut guides = self.guides.clone();
        for found in guides.iter_mut().flat_map(|guide| &mut guide.boxes) {
            *found = found.filter(|found| found.kind == BoxKind::Hard);
        }
        guides
    }

    /// The composed clip.
    pub fn frames(&self, _: &Pack) -> Frames {
        self.real.frames.clone()
    }

    /// The composed clip in which each of two objects does what the other is asked to do.
    pub fn frames_exchanged(&self, pack: &Pack) -> Frames {
        let mut scene = self.scene.clone();
        let [first, second] = [scene.actors[0].object, scene.actors[1].object];
        (scene.actors[0].object, scene.actors[1].object) = (second, first);
        render(pack, &scene, DEFAULT_SHAPE).frames
    }
}

/// Whether all objects are seen all the time, and at both ends are as far apart as the judge needs to look at one alone.
fn apart_at_both_ends(tracks: &[Track], shape: PixelShape) -> bool {
    let seen = tracks.iter().all(|track| track.boxes.iter().all(Option::is_some));
    seen && [0, LAST].into_iter().all(|frame| {
        let places: Vec<UnitBox> = tracks.iter().filter_map(|track| track.boxes[frame]).collect();
        let clear = |(i, place): (usize, &UnitBox)| {
            let looked_at = Window::around(place, shape).place(shape);
            places.iter().enumerate().all(|(j, other)| i == j || looked_at.iou(other) == 0.0)
        };
        places.iter().enumerate().all(clear)
    })
}

/// Whether two objects overlap at some time.
fn meet(tracks: &[Track]) -> bool {
    let pairs = tracks[0].boxes.iter().zip(&tracks[1].boxes);
    pairs.filter_map(|(a, b)| Some(((*a)?, (*b)?))).any(|(a, b)| a.iou(&b) > 0.0)
}
