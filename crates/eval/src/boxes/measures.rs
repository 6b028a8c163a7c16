//! What is seen of boxes in one clip.

use vidit_data::Composite;
use vidit_motion::{GuideBox, UnitBox};
use vidit_video::Frames;

use super::cases::{Case, LAST};
use crate::Judge;
use crate::colour::oklab;
use crate::crops::{CHANNELS, Window, cut};
use crate::foreground::{find, find_each, track};
use crate::judge::most_probable;

/// One object.
pub(crate) struct Look {
    /// Overlap with the box that is asked for, a frame; 0 where nothing is seen.
    pub ious: Vec<f64>,
    /// The same with the object's box in the composed clip.
    pub ious_with_real: Vec<f64>,
    /// Seen in every frame.
    pub tracked: bool,
    /// Its centre is within every box, hard and soft.
    pub inside: bool,
    /// What the judge names is what the prompt names.
    pub named: bool,
    /// The judge's probability of that.
    pub confidence: f64,
}

impl Look {
    pub fn at(judge: &Judge, case: &Case, frames: &Frames) -> Self {
        let found = track(frames);
        let wanted = case.scene.actors[0].object;
        let probabilities = judge.probabilities(frames, &found);
        let bounds: Vec<Option<UnitBox>> =
            found.iter().map(|frame| frame.blob.map(|blob| blob.bounds)).collect();
        let ious = |truth: &dyn Fn(usize) -> Option<UnitBox>| {
            let iou = |(frame, bounds): (usize, &Option<UnitBox>)| {
                bounds.zip(truth(frame)).map_or(0.0, |(bounds, truth)| f64::from(bounds.iou(&truth)))
            };
            bounds.iter().enumerate().map(iou).collect()
        };
        let within = |(bounds, asked): (&Option<UnitBox>, &Option<GuideBox>)| {
            bounds.zip(*asked).is_some_and(|(bounds, asked)| asked.place.holds(bounds.centre()))
        };
        Self {
            ious: ious(&|frame| Some(case.asked(0, frame))),
            ious_with_real: ious(&|frame| case.real.tracks[0].boxes[frame]),
            tracked: bounds.iter().all(Option::is_some),
            inside: bounds.iter().zip(&case.guides[0].boxes).all(within),
            named: probabilities.as_ref().is_some_and(|all| most_probable(all) == wanted),
            confidence: probabilities.map_or(0.0, |all| f64::from(all[wanted])),
        }
    }
}

/// One object that is outside of the frame for a part of the time.
pub(crate) struct LookAtPassing {
    /// Overlap with the object of the composed clip, of every frame in which that is seen; 0 where nothing is.
    pub ious: Vec<f64>,
    /// Nothing is seen in any frame in which the object is outside.
    pub absent: bool,
    /// What the judge names is what the prompt names, by the frames in which it is seen whole.
    pub named: bool,
}

/// A share of its largest box with which an object is whole.
const WHOLE: f32 = 0.9;
/// A share of the frame that is less than an object: what a decoder leaves of one.
const SPECK: f32 = 0.01;

impl LookAtPassing {
    pub fn at(judge: &Judge, case: &Case, frames: &Frames) -> Self {
        let mut found = track(frames);
        let real = &case.real.tracks[0].boxes;
        let bounds = found.iter().map(|frame| frame.blob.map(|blob| blob.bounds));
        let (mut ious, mut absent) = (Vec::new(), true);
        for (found, real) in bounds.zip(real) {
            match real {
                Some(real) => ious.push(found.map_or(0.0, |found| f64::from(found.iou(real)))),
                None => absent &= found.is_none_or(|found| found.area() < SPECK),
            }
        }
        let area = |place: &Option<UnitBox>| place.map_or(0.0, |place| place.area());
        let largest = real.iter().map(area).fold(0.0, f32::max);
        for (found, real) in found.iter_mut().zip(real) {
            found.blob = found.blob.filter(|_| area(real) > WHOLE * largest);
        }
        let named = judge.object(frames, &found) == Some(case.scene.actors[0].object);
        Self { ious, absent, named }
    }
}

/// Two objects or more, of which each has a box on the first and on the last frame.
pub(crate) struct LookAtSeveral {
    /// Overlap with its box of what stands out nearest to it, of all objects on the first frame, then on the last; 0 where nothing does.
    pub ious: Vec<f64>,
    /// The judge names all of these as the prompt does, by crops at the boxes that are asked for.
    pub named: bool,
    /// In all of them the judge finds the box's own object more probable than any other of the clip: none have changed places.
    pub told_apart: bool,
    /// In all of them the colours are more like those of the box's own object than of any other.
    pub coloured: bool,
}

impl LookAtSeveral {
    pub fn at(judge: &Judge, case: &Case, frames: &Frames) -> Self {
        let shape = frames.shape();
        let actors = &case.scene.actors;
        let others = |object: usize| (0..actors.len()).filter(move |other| *other != object);
        let (mut ious, mut named, mut told_apart, mut coloured) = (Vec::new(), true, true, true);
        for frame in [0, LAST] {
            let rgb = frames.frame(frame);
            let places: Vec<UnitBox> = (0..actors.len()).map(|object| case.asked(object, frame)).collect();
            for (object, found) in find_each(rgb, shape, &places).into_iter().enumerate() {
                let place = places[object];
                ious.push(found.blob.map_or(0.0, |blob| f64::from(blob.bounds.iou(&place))));
                let crop = cut(rgb, shape, &found.plane, Window::around(&place, shape));
                coloured &= Appearance::of(&crop).is_some_and(|seen| {
                    let from = |object: usize| seen.distance(&case.appearances[object]);
                    others(object).all(|other| from(object) < from(other))
                });
                let probabilities = judge.probabilities_of_crops(crop);
                let of = |object: usize| probabilities[actors[object].object];
                named &= most_probable(&probabilities) == actors[object].object;
                told_apart &= others(object).all(|other| of(object) > of(other));
            }
        }
        Self { ious, named, told_apart, coloured }
    }
}

/// The colours of an object: mean and deviation of its pixels in Oklab.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Appearance([f32; 6]);

/// A pixel of a crop is the object's where its last channel is larger: far enough from the background to have a colour of its own.
const STANDS_OUT: f32 = 0.25;

impl Appearance {
    /// Of crops; `None` where nothing stands out.
    pub fn of(crops: &[f32]) -> Option<Self> {
        let pixels = crops.chunks_exact(CHANNELS).filter(|pixel| pixel[3] > STANDS_OUT);
        let colours: Vec<[f32; 3]> = pixels
            .map(|pixel| oklab([pixel[0], pixel[1], pixel[2]].map(|level| 127.5 * (level + 1.0))))
            .collect();
        let mean =
            |value: &dyn Fn(&[f32; 3]) -> f32| colours.iter().map(value).sum::<f32>() / colours.len() as f32;
        let means: [f32; 3] = std::array::from_fn(|c| mean(&|colour| colour[c]));
        let deviations: [f32; 3] =
            std::array::from_fn(|c| mean(&|colour| (colour[c] - means[c]).powi(2)).sqrt());
        let [l, a, b] = means;
        let [dl, da, db] = deviations;
        (!colours.is_empty()).then_some(Self([l, a, b, dl, da, db]))
    }

    /// Of an object in a composed clip of its own, in the middle of it: other pictures of the sprite than those at the ends.
    pub fn of_clip(clip: &Composite) -> Self {
        let shape = clip.frames.shape();
        let crops = [LAST / 4, LAST / 2, LAST * 3 / 4].into_iter().flat_map(|frame| {
            let rgb = clip.frames.frame(frame);
            let place = clip.tracks[0].boxes[frame].expect("chosen to be seen all the time");
            cut(rgb, shape, &find(rgb, shape).plane, Window::around(&place, shape))
        });
        // An object of its background's colour has none of its own.
        Self::of(&crops.collect::<Vec<_>>()).unwrap_or(Self([0.0; 6]))
    }

    fn distance(&self, other: &Self) -> f32 {
        self.0.iter().zip(other.0).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    }
}
