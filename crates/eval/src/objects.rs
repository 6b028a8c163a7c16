//! Where do several objects go? Boxes of each frame, joined to tracks by where an object would be if it went on as before.

use vidit_motion::{OBJECTS_MAX, UnitBox};
use vidit_video::Frames;

use crate::foreground::find_all;

/// Frames that a track outlives without being seen: two objects that meet are one for a while.
const UNSEEN_MAX: usize = 10;
/// Steps that a speed is taken over.
const SPEED_OVER: usize = 4;
/// An object is at most this far from where it was expected, a fraction of the frame, and one more for each frame unseen.
const DISTANCE_MAX: f32 = 0.12;
const DISTANCE_PER_UNSEEN: f32 = 0.02;
/// What a change of area by a factor of e costs, as a distance.
const AREA_COST: f32 = 0.15;
/// What is seen in a smaller part of the frames is no object.
const SEEN_MIN: f32 = 0.2;

/// One object: its box in each frame where it stands alone.
struct Track {
    boxes: Vec<Option<UnitBox>>,
}

impl Track {
    /// Frames and boxes where it was seen, the last first.
    fn seen(&self) -> impl Iterator<Item = (usize, UnitBox)> + '_ {
        let seen = |(frame, place): (usize, &Option<UnitBox>)| Some((frame, (*place)?));
        self.boxes.iter().enumerate().rev().filter_map(seen)
    }

    /// What it should be in the next frame.
    fn expected(&self) -> Expected {
        let (last, place) = self.seen().next().expect("a track begins with a box");
        let (before, origin) = self.seen().take(SPEED_OVER + 1).last().expect("the last one at least");
        let ahead = (self.boxes.len() - last) as f32 / (last - before).max(1) as f32;
        let ((x, y), (from_x, from_y)) = (place.centre(), origin.centre());
        Expected {
            centre: (x + (x - from_x) * ahead, y + (y - from_y) * ahead),
            area: place.area(),
            unseen: self.boxes.len() - 1 - last,
        }
    }
}

/// An object in a frame that has not been looked at.
struct Expected {
    /// Beyond the frame where it leaves.
    centre: (f32, f32),
    area: f32,
    /// Frames since it was seen.
    unseen: usize,
}

/// Tracks of what stands out from a plain background, up to [`OBJECTS_MAX`], the longest seen first: of each frame a box, or none where
/// the object is hidden, away, or one with another.
pub fn objects(frames: &Frames) -> Vec<Vec<Option<UnitBox>>> {
    let shape = frames.shape();
    let mut tracks: Vec<Track> = Vec::new();
    for frame in 0..shape.frames {
        let found: Vec<UnitBox> =
            find_all(frames.frame(frame), shape).iter().map(|blob| blob.bounds).collect();
        for (place, track) in found.iter().zip(assign(&tracks, &found)) {
            match track {
                Owner::Track(track) => tracks[track].boxes.push(Some(*place)),
                Owner::New => {
                    let mut boxes = vec![None; frame];
                    boxes.push(Some(*place));
                    tracks.push(Track { boxes });
                }
                Owner::Several => {}
            }
        }
        for track in &mut tracks {
            track.boxes.resize(frame + 1, None);
        }
    }
    let mut tracks: Vec<Track> = tracks
        .into_iter()
        .filter(|track| track.seen().count() as f32 >= SEEN_MIN * shape.frames as f32)
        .collect();
    tracks.sort_by_key(|track| std::cmp::Reverse(track.seen().count()));
    tracks.into_iter().take(OBJECTS_MAX).map(|track| track.boxes).collect()
}

/// Whose a box is.
#[derive(Clone, Copy)]
enum Owner {
    Track(usize),
    New,
    /// Objects that meet: whose outline is whose cannot be told.
    Several,
}

/// Owners of boxes, the likeliest pairs first.
fn assign(tracks: &[Track], found: &[UnitBox]) -> Vec<Owner> {
    let expected: Vec<Expected> = tracks.iter().map(Track::expected).collect();
    let alive = |track: &usize| expected[*track].unseen < UNSEEN_MAX;
    let mut owners = vec![Owner::New; found.len()];
    let mut free: Vec<usize> = (0..tracks.len()).filter(alive).collect();
    for (owner, place) in owners.iter_mut().zip(found) {
        let inside: Vec<usize> = free.iter().copied().filter(|t| place.holds(expected[*t].centre)).collect();
        let alone = |t: &usize| found.iter().filter(|other| other.holds(expected[*t].centre)).count() == 1;
        if inside.len() > 1 && inside.iter().all(alone) {
            *owner = Owner::Several;
            free.retain(|track| !inside.contains(track));
        }
    }
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (index, place) in found.iter().enumerate().filter(|(index, _)| matches!(owners[*index], Owner::New)) {
        for &track in &free {
            let Expected { centre: (u, v), area, unseen } = expected[track];
            let (x, y) = place.centre();
            let distance = (x - u).hypot(y - v);
            if distance <= DISTANCE_MAX + DISTANCE_PER_UNSEEN * unseen as f32 {
                let change = (place.area() / area.max(f32::MIN_POSITIVE)).ln().abs();
                pairs.push((distance + AREA_COST * change, index, track));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, index, track) in pairs {
        if matches!(owners[index], Owner::New) && free.contains(&track) {
            owners[index] = Owner::Track(track);
            free.retain(|other| *other != track);
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use vidit_data::{Pack, Scene, Split, render};
    use vidit_video::PixelShape;

    use super::*;

    const CLIP: PixelShape = PixelShape { frames: 25, height: 128, width: 128 };

    /// Mean overlap of the track that fits best with a true one, over the frames where both are.
    fn overlap(tracks: &[Vec<Option<UnitBox>>], truth: &[Option<UnitBox>]) -> f32 {
        let of = |track: &Vec<Option<UnitBox>>| {
            let both = track.iter().zip(truth).filter_map(|(a, b)| Some(a.as_ref()?.iou(b.as_ref()?)));
            let overlaps: Vec<f32> = both.collect();
            overlaps.iter().sum::<f32>() / overlaps.len().max(1) as f32
        };
        tracks.iter().map(of).fold(0.0, f32::max)
    }

    #[test]
    fn one_object_is_one_track() {
        let pack = Pack::embedded();
        let (mut sum, mut right, cases) = (0.0, 0, 30);
        for index in 0..cases {
            let clip = render(&pack, &Scene::sample(&pack, 71, index, Split::HeldOut), CLIP);
            let tracks = objects(&clip.frames);
            // Some sprites are of pieces that stand far apart.
            right += usize::from(tracks.len() == 1 && tracks[0].len() == 25);
            sum += overlap(&tracks, &clip.tracks[0].boxes);
        }
        let mean = sum / cases as f32;
        println!("{right} of {cases} have one track, overlap {mean}");
        assert!(right >= 27 && mean > 0.92, "{right} of {cases}, {mean}");
    }

    #[test]
    fn two_objects_are_two_tracks() {
        let pack = Pack::embedded();
        let (mut sum, mut right, cases) = (0.0, 0, 30);
        for index in 0..cases {
            let clip = render(&pack, &Scene::sample_pair(&pack, 9, index), CLIP);
            let tracks = objects(&clip.frames);
            right += usize::from(tracks.len() == 2);
            sum += clip.tracks.iter().map(|truth| overlap(&tracks, &truth.boxes)).sum::<f32>() / 2.0;
        }
        let mean = sum / cases as f32;
        println!("{right} of {cases} have two tracks, overlap {mean}");
        assert!(right >= 24 && mean > 0.85, "{right} of {cases}, {mean}");
    }

    #[test]
    fn objects_that_cross_stay_who_they_are() {
        // Two squares, one from left to right and one from right to left, through one another.
        let mut frames = Frames::black(PixelShape { frames: 17, height: 64, width: 96 });
        let mut truth = [Vec::new(), Vec::new()];
        for frame in 0..17 {
            frames.frame_mut(frame).fill(200);
            for (square, left) in [4 + 4 * frame, 72 - 4 * frame].into_iter().enumerate() {
                let top = 20 + 6 * square;
                for y in top..top + 16 {
                    for x in left..left + 16 {
                        frames.frame_mut(frame)[(y * 96 + x) * 3..][..3].fill(40 * square as u8);
                    }
                }
                truth[square].push(Some(UnitBox {
                    x1: left as f32 / 96.0,
                    y1: top as f32 / 64.0,
                    x2: (left + 16) as f32 / 96.0,
                    y2: (top + 16) as f32 / 64.0,
                }));
            }
        }
        let tracks = objects(&frames);
        assert_eq!(tracks.len(), 2);
        for truth in &truth {
            assert!(overlap(&tracks, truth) > 0.99);
        }
        let hidden = tracks[0].iter().filter(|place| place.is_none()).count();
        assert!((2..12).contains(&hidden), "{hidden} frames as one");
    }

    #[test]
    fn nothing_is_no_object() {
        assert!(objects(&Frames::black(PixelShape { frames: 3, height: 32, width: 32 })).is_empty());
    }
}
