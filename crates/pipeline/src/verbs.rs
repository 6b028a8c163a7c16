//! What can be done with clips, each as what is given to one and the same generation, and how its result is joined to them.
//!
//! | verb | given at the beginning | given at the end | what is kept of what is made |
//! |---|---|---|---|
//! | animate | an image | an image that rests, or nothing | all |
//! | extend forward | the clip's last frames | – | what follows them |
//! | extend backward | – | the clip's first frames | what leads to them |
//! | lead | the first clip's last frames | the second's first | what lies between |
//! | connect | the same, and between them both clips at rest, one fading into the other, the middle down to a noise level | | what lies between |
//! | loop | an image | the same image, at rest | all before it comes again |
//! | remix | the clip, down to a noise level | | all |
//! | blend | both clips, one fading into the other, the middle down to a noise level | | all |

use std::ops::Range;

use vidit_models::mini::DEFAULT_SHAPE;
use vidit_motion::Guide;
use vidit_video::{Frames, PixelShape};

use crate::seam::{self, Again};
use crate::{Given, Mask, Request};

/// Pixel frames of a latent frame.
pub const TIME: usize = 4;
/// Frames of a clip that its extension sees, `4n + 1`: what training gave at most.
const HEAD: usize = 9;
/// The same for what comes before a clip, `4n`.
const TAIL: usize = 8;
/// Frames that one generation is trained to make at most.
pub const TOLD_AT_ONCE: usize = 49;
/// New frames that one generation makes of an extension at most: with nine given ones a clip as long as those of training.
pub const EXTENSION: usize = 16;

/// Which way a clip is extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What happens next.
    Forward,
    /// What happened before.
    Backward,
}

/// A request, and what becomes of its frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// What is generated.
    pub request: Request,
    /// Frames of it that are wanted.
    made: Range<usize>,
    /// What they follow, the source as it was.
    before: Option<Frames>,
    /// What follows them.
    after: Option<Frames>,
    /// Of a remix: the clip, and which of its pixels are made anew, all if nothing is said.
    source: Option<(Frames, Option<Mask>)>,
    /// Of a loop: the frame of the request that shows the first one again.
    again: Option<usize>,
}

impl Wish {
    /// Noise level in the middle of a connection, where nothing else is asked for.
    pub const CONNECTED: f32 = 0.8;
    /// The same of a remix.
    pub const REMIXED: f32 = 0.8;
    /// The same in the middle of a blend.
    pub const BLENDED: f32 = 0.7;

    /// A clip that begins as an image, ends as one, on which its last four frames rest, or both; further images and clips stand where
    /// they are said to. Its length is the request's.
    pub fn animate(
        request: Request,
        first: Option<Frames>,
        last: Option<Frames>,
        others: Vec<Given>,
    ) -> Self {
        let wanted = request.shape.frames;
        let mut request = request;
        request.given.extend(first.map(|image| Given::kept(image, 0)));
        request.given.extend(others);
        request.given.extend(last.map(|image| Given::kept(image, wanted.saturating_sub(TIME))));
        Self::alone(request, wanted)
    }

    /// `count` frames from nothing but words, however many: the model's own number of frames may be a few more.
    pub fn begin(request: Request, count: usize) -> Self {
        let frames = (count - 1).next_multiple_of(TIME) + 1;
        let shape = PixelShape { frames, ..request.shape };
        Self::alone(Request { shape, ..request }, count)
    }

    /// The same with pictures and clips at frames of the whole clip that it is a part of, as for [`Self::steered`]. Within a clip
    /// they stand at the nearest step of four frames, clips without what does not fill one. Of a clip that began in an earlier part
    /// the rest is shown.
    pub fn shown(mut self, pictures: &[(usize, Frames)], first: usize) -> Self {
        let frames = self.request.shape.frames;
        for (at, picture) in pictures {
            let over = first.saturating_sub(*at);
            let Some(rest) = picture.shape().frames.checked_sub(over).filter(|rest| *rest > 0) else {
                continue;
            };
            // What is left of a clip that began before is worth showing if it fills a step.
            if over > 0 && rest < TIME {
                continue;
            }
            let picture = &picture.part(over..over + rest);
            let here = at.max(&first) - first + self.made.start;
            if here >= self.made.end {
                continue;
            }
            let count = picture.shape().frames;
            if here == 0 {
                let kept = (count - 1).min(frames - 1) / TIME * TIME + 1;
                self.request.given.push(Given::kept(picture.part(0..kept), 0));
                continue;
            }
            let at = ((here + 1) / TIME * TIME + 1).min(frames - TIME);
            let kept = count.min(frames - at) / TIME * TIME;
            self.request.given.push(Given::kept(picture.part(0..kept.max(1)), at));
        }
        self
    }

    /// `count` frames that follow a clip or lead to it. The request's size becomes the clip's.
    pub fn extend(request: Request, clip: Frames, direction: Direction, count: usize) -> Self {
        let whole = count.next_multiple_of(TIME);
        match direction {
            Direction::Forward => {
                let end = ending(&clip);
                let head = end.shape().frames;
                let given = vec![Given::kept(end, 0)];
                Self::around(request, head + whole, given, head..head + count, Some(clip), None)
            }
            Direction::Backward => {
                let given = beginning(&clip);
                let tail = given.shape().frames.max(TIME);
                let end = whole + 1;
                let given = vec![Given::kept(given, end)];
                Self::around(request, end + tail, given, end - count..end, None, Some(clip))
            }
        }
    }

    /// `count` frames, a multiple of four, from the end of one clip to the beginning of another of the same size that shows the same
    /// scene: a clip led back to its own beginning.
    pub fn lead(request: Request, from: Frames, to: Frames, count: usize) -> Self {
        let (start, end) = (ending(&from), beginning(&to));
        let (head, tail) = (start.shape().frames, end.shape().frames.max(TIME));
        let given = vec![Given::kept(start, 0), Given::kept(end, head + count)];
        let frames = head + count + tail;
        Self::around(request, frames, given, head..head + count, Some(from), Some(to))
    }

    /// `count` frames, a multiple of four, between two clips of one size: the first rests where it ends and goes over into the second,
    /// which rests where it begins, as training tells of transitions. The middle is made anew from noise level `strength`, both ends
    /// stay.
    pub fn connect(request: Request, from: Frames, to: Frames, count: usize, strength: f32) -> Self {
        let (start, end) = (ending(&from), beginning(&to));
        let head = start.shape().frames;
        let share = |frame: f32| {
            let moment = (frame + 1.0) / (count + 1) as f32;
            // 6t⁵ − 15t⁴ + 10t³: rests at both ends, where one clip alone is to be seen
            moment.powi(3) * (moment * (6.0 * moment - 15.0) + 10.0)
        };
        let rest = |clip: &Frames, frame: usize| {
            one_after_another(std::iter::repeat_n(&clip.part(frame..frame + 1), count))
        };
        let faded = rest(&from, from.shape().frames - 1).dissolve(&rest(&to, 0), |frame| share(frame as f32));
        let tail = end.shape().frames.max(TIME);
        let remade = (0..count / TIME).map(|latent| {
            let share = share((latent * TIME) as f32 + (TIME - 1) as f32 / 2.0);
            strength * 4.0 * share * (1.0 - share)
        });
        let kept = |frames: usize| std::iter::repeat_n(0.0, frames.div_ceil(TIME));
        let levels = kept(head).chain(remade).chain(kept(tail)).collect();
        let parts = [&start, &faded].into_iter().chain(std::iter::repeat_n(&end, tail / end.shape().frames));
        let given = vec![Given { frames: one_after_another(parts), at: 0, levels }];
        Self::around(request, head + count + tail, given, head..head + count, Some(from), Some(to))
    }

    /// A clip that leads back to the image it begins with: `count` frames, a multiple of four, the last of which goes over into
    /// the first.
    pub fn repeat(request: Request, image: Frames, count: usize) -> Self {
        let again = count + 1;
        let given = vec![Given::kept(image.clone(), 0), Given::kept(image, again)];
        let shape = PixelShape { frames: again + TIME, ..request.shape };
        let request = Request { shape, given, ..request };
        Self { again: Some(again), ..Self::alone(request, count) }
    }

    /// A clip made anew from noise level `strength`, all of it or what a mask shows. What is not made anew stays as it was.
    pub fn remix(request: Request, clip: Frames, strength: f32, mask: Option<Mask>) -> Self {
        let wanted = clip.shape().frames;
        let stays = strength == 0.0 || mask.is_some();
        let source = stays.then(|| (clip.clone(), mask.clone().filter(|_| strength > 0.0)));
        let clip = whole(clip);
        let shape = clip.shape();
        let given = vec![Given { frames: clip, at: 0, levels: vec![strength] }];
        Self { source, ..Self::alone(Request { shape, given, mask, ..request }, wanted) }
    }

    /// How much of the second clip is seen at a moment from 0 to 1 where nothing else is asked for: slowly, then fast, then
    /// slowly.
    pub fn smooth(moment: f32) -> f32 {
        moment * moment * (3.0 - 2.0 * moment)
    }

    /// One clip that goes over into another of the same size and length along the whole of it. `share` says how much of the
    /// second is seen at each moment from 0 to 1; the middle is made anew from noise level `strength`, both ends stay.
    pub fn blend(
        request: Request,
        from: &Frames,
        to: &Frames,
        strength: f32,
        share: impl Fn(f32) -> f32,
    ) -> Self {
        let shape = from.shape();
        let moment = |frame: usize| frame as f32 / (shape.frames - 1).max(1) as f32;
        let share = |frame: usize| share(moment(frame)).clamp(0.0, 1.0);
        let faded = whole(from.dissolve(to, share));
        let latents = 1 + (faded.shape().frames - 1) / TIME;
        let levels = (0..latents).map(|latent| {
            let share = share((latent * TIME).min(shape.frames - 1));
            // Where one clip alone is seen nothing is to be done.
            strength * (4.0 * share * (1.0 - share)).sqrt()
        });
        let levels = levels.collect();
        let request = Request { shape: faded.shape(), ..request };
        Self::alone(Request { given: vec![Given { frames: faded, at: 0, levels }], ..request }, shape.frames)
    }

    /// The same with boxes, which are those of the whole clip that it is a part of: `first` is the frame there of the first frame
    /// that is wanted. Frames that are given may have boxes, too.
    pub fn steered(mut self, guides: &[Guide], first: usize) -> Self {
        let of_whole = |frame: usize| (first + frame).checked_sub(self.made.start);
        let boxes = |guide: &Guide| {
            let at = |frame| of_whole(frame).and_then(|frame| guide.boxes.get(frame).copied().flatten());
            (0..self.request.shape.frames).map(at).collect()
        };
        let part = |guide: &Guide| Guide { boxes: boxes(guide), ..guide.clone() };
        self.request.guides = guides.iter().map(part).collect();
        self
    }

    /// A request whose first `count` frames are the whole.
    fn alone(request: Request, count: usize) -> Self {
        Self { request, made: 0..count, before: None, after: None, source: None, again: None }
    }

    /// A request for so many frames of the size of the clips beside those that are wanted.
    fn around(
        request: Request,
        frames: usize,
        given: Vec<Given>,
        made: Range<usize>,
        before: Option<Frames>,
        after: Option<Frames>,
    ) -> Self {
        let size = before.as_ref().or(after.as_ref()).map_or(request.shape, Frames::shape);
        Self {
            request: Request { shape: PixelShape { frames, ..size }, given, ..request },
            made,
            before,
            after,
            source: None,
            again: None,
        }
    }

    /// The whole clip, or what is new of it: source frames as they were, joined to those that were made.
    ///
    /// A VAE gives back nearly what it was given. So that no colour jumps at a joint, what it changed there is taken back from the
    /// frames beside it: what it changed of the whole picture from all of them, the rest from eight frames, less and less. The last
    /// frames of a loop meet its first one in the same way: a picture decodes otherwise at the end of a clip than at its beginning.
    /// What the whole picture drifts by in an extension is taken back, too, so that many of them in a row keep its colours.
    /// Then the frames around each joint go through the VAE once more: `again` is [`crate::reconstruct`] of the model, which shows them
    /// as if the joint lay within a latent frame.
    ///
    /// # Errors
    /// Those of `again`.
    ///
    /// # Panics
    /// If `made` are not the frames of the request.
    pub fn join<E>(&self, made: &Frames, only_new: bool, again: Again<E>) -> Result<Frames, E> {
        assert_eq!(made.shape(), self.request.shape, "frames of another request");
        let mut new = made.part(self.made.clone());
        let before = self.before.as_ref().map(|clip| (clip, self.made.start - 1, Direction::Forward));
        let after = self.after.as_ref().map(|clip| (clip, self.made.end, Direction::Backward));
        let both = before.is_some() && after.is_some();
        // All colours first: what is seen anew at one edge may reach the other.
        for (clip, found, direction) in before.into_iter().chain(after) {
            let right = seam::nearest(clip, direction);
            seam::take_back(&mut new, right, made.frame(found), direction, both);
        }
        for (clip, _, direction) in before.into_iter().chain(after) {
            if !both {
                seam::settle(&mut new, clip, direction);
            }
            seam::meet(&mut new, clip, direction, again)?;
        }
        if let Some(repeated) = self.again {
            // The first frame has nothing to take back: it is what the last one leads to.
            seam::take_back(&mut new, made.frame(0), made.frame(repeated), Direction::Backward, true);
            seam::close(&mut new, again)?;
        }
        if let Some((source, remade)) = &self.source {
            new = keep(source, remade.as_ref(), &new);
        }
        Ok(match only_new {
            true => new,
            false => one_after_another(self.before.iter().chain([&new]).chain(&self.after)),
        })
    }

    /// What comes before, then what is new of it: for a loop, whose second clip is its first.
    pub fn before_and(&self, new: &Frames) -> Frames {
        one_after_another(self.before.iter().chain([new]))
    }
}

/// A clip and `count` frames that follow it or lead to it, in as many generations as it takes. `fulfil` makes each and joins all. Boxes
/// are those of a whole clip, of which `before` frames come before this one and what leads to it.
///
/// # Errors
/// The first of `fulfil`.
pub fn go_on<E>(
    request: &Request,
    clip: Frames,
    direction: Direction,
    count: usize,
    guides: &[Guide],
    before: usize,
    fulfil: &mut impl FnMut(&Wish) -> Result<Frames, E>,
) -> Result<Frames, E> {
    let (mut whole, mut left) = (clip, count);
    while left > 0 {
        let now = left.min(EXTENSION);
        left -= now;
        let first = match direction {
            Direction::Forward => whole.shape().frames,
            Direction::Backward => left,
        };
        let wish = Wish::extend(request.clone(), whole, direction, now).steered(guides, before + first);
        whole = fulfil(&wish)?;
    }
    Ok(whole)
}

/// The frame from which a clip of `count` frames with these boxes is begun: where something comes into the frame, the first one that
/// shows all of it. What is drawn first is a picture, and everything else follows from what it shows; drawn of an empty frame, it shows
/// nothing of what is to come. 0 where nothing comes in, and where something else is outside by then.
fn begun_at(guides: &[Guide], count: usize) -> usize {
    let part =
        |guide: &Guide| Guide { boxes: guide.boxes.iter().take(count).copied().collect(), ..guide.clone() };
    // What comes in later still has no say.
    let is_seen = |guide: &Guide| (0..guide.boxes.len()).any(|frame| !guide.is_outside_at(frame));
    let seen: Vec<Guide> = guides.iter().map(part).filter(is_seen).collect();
    let moment = seen.iter().filter_map(Guide::comes_in_at).max().unwrap_or(0);
    if seen.iter().any(|guide| guide.is_outside_at(moment)) { 0 } else { moment }
}

/// A clip of `count` frames, one or more, with these boxes, which may go on behind it: begun where all is to be seen that comes into the
/// frame, and led up to from there. `fulfil` makes each part and joins all.
///
/// # Errors
/// The first of `fulfil`.
pub fn in_boxes<E>(
    request: &Request,
    count: usize,
    guides: &[Guide],
    fulfil: &mut impl FnMut(&Wish) -> Result<Frames, E>,
) -> Result<Frames, E> {
    let before = begun_at(guides, count);
    let begun = fulfil(&Wish::begin(request.clone(), count - before).steered(guides, before))?;
    go_on(request, begun, Direction::Backward, before, guides, 0, fulfil)
}

/// The source where nothing was remade, what was made elsewhere; without a mask the source.
fn keep(source: &Frames, remade: Option<&Mask>, made: &Frames) -> Frames {
    let Some(mask) = remade else { return source.clone() };
    let pixels = source.rgb().chunks_exact(3).zip(made.rgb().chunks_exact(3));
    let remade = mask.remade.iter().cycle();
    let rgb = pixels.zip(remade).flat_map(|((source, made), remade)| if *remade { made } else { source });
    Frames::from_rgb(source.shape(), rgb.copied().collect())
}

/// One timeline, a frame or more: what is asked for in each range of frames, which follow one another from 0, in as many generations as it
/// takes, each of which goes on from the one before. `fulfil` makes each and joins all. Pictures and clips stand at their frames,
/// boxes are those of the whole.
///
/// # Errors
/// The first of `fulfil`.
///
/// # Panics
/// If there is no frame.
pub fn timeline<E>(
    parts: &[(Range<usize>, Request)],
    pictures: &[(usize, Frames)],
    guides: &[Guide],
    fulfil: &mut impl FnMut(&Wish) -> Result<Frames, E>,
) -> Result<Frames, E> {
    let mut told: Option<Frames> = None;
    for (frames, request) in parts {
        let mut from = frames.start;
        while from < frames.end {
            let count =
                (frames.end - from).min(if told.is_none() { DEFAULT_SHAPE.frames } else { EXTENSION });
            let shown = |wish: Wish| wish.shown(pictures, from).steered(guides, from);
            told = Some(match told.take() {
                Some(clip) => fulfil(&shown(Wish::extend(request.clone(), clip, Direction::Forward, count)))?,
                // A picture at the beginning decides what is there to be led up to.
                None if pictures.iter().any(|(at, _)| *at < count) => {
                    fulfil(&shown(Wish::begin(request.clone(), count)))?
                }
                None => in_boxes(request, count, guides, fulfil)?,
            });
            from += count;
        }
    }
    Ok(told.expect("a timeline has a frame or more"))
}

/// Clips of one size as one.
fn one_after_another<'a>(clips: impl Iterator<Item = &'a Frames> + Clone) -> Frames {
    let frames = clips.clone().map(|clip| clip.shape().frames).sum();
    let shape = clips.clone().next().map_or(PixelShape::new(0, 0, 0), Frames::shape);
    let rgb = clips.flat_map(|clip| clip.rgb()).copied().collect();
    Frames::from_rgb(PixelShape { frames, ..shape }, rgb)
}

/// A clip of `4n + 1` frames: the last one rests for those that are missing.
fn whole(clip: Frames) -> Frames {
    let shape = clip.shape();
    let frames = (shape.frames - 1).next_multiple_of(TIME) + 1;
    let rests = clip.frame(shape.frames - 1).repeat(frames - shape.frames);
    let mut rgb = clip.rgb().to_vec();
    rgb.extend(rests);
    Frames::from_rgb(PixelShape { frames, ..shape }, rgb)
}

/// The last frames of a clip, as many as stand at the beginning of what follows it.
fn ending(clip: &Frames) -> Frames {
    let count = clip.shape().frames;
    let head = HEAD.min((count - 1) / TIME * TIME + 1);
    clip.part(count - head..count)
}

/// The first frames of a clip, as many as stand at the end of what leads to it; of a short clip the first alone, which rests.
fn beginning(clip: &Frames) -> Frames {
    let count = TAIL.min(clip.shape().frames / TIME * TIME);
    clip.part(0..count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vidit_motion::{BoxKind, GuideBox, UnitBox};

    fn clip(frames: usize, value: u8) -> Frames {
        let shape = PixelShape::new(frames, 16, 16);
        Frames::from_rgb(shape, vec![value; shape.pixels() * 3])
    }

    /// A VAE that loses nothing.
    fn exact(frames: &Frames) -> Result<Frames, ()> {
        Ok(frames.clone())
    }

    fn request() -> Request {
        Request { shape: PixelShape::new(25, 16, 16), ..Request::new("a cat") }
    }

    fn places(wish: &Wish) -> Vec<(usize, usize)> {
        wish.request.given.iter().map(|given| (given.at, given.frames.shape().frames)).collect()
    }

    fn checked(wish: &Wish) {
        for given in &wish.request.given {
            given.check(wish.request.shape, TIME).unwrap();
        }
        assert_eq!(wish.request.shape.frames % TIME, 1);
    }

    #[test]
    fn every_verb_gives_what_fits_on_the_grid() {
        for length in [1, 3, 4, 8, 9, 30] {
            let forward = Wish::extend(request(), clip(length, 9), Direction::Forward, 16);
            checked(&forward);
            assert_eq!(places(&forward), [(0, HEAD.min((length - 1) / 4 * 4 + 1))]);
            for count in [1, 13, 16] {
                let backward = Wish::extend(request(), clip(length, 9), Direction::Backward, count);
                checked(&backward);
                let new = backward.join(&Frames::black(backward.request.shape), true, &mut exact).unwrap();
                assert_eq!(new.shape().frames, count);
            }
            for after in [1, 3, 7, 30] {
                checked(&Wish::lead(request(), clip(length, 9), clip(after, 8), 12));
                checked(&Wish::connect(request(), clip(length, 9), clip(after, 8), 12, 0.8));
            }
        }
        let wish = Wish::animate(request(), Some(clip(1, 1)), Some(clip(1, 2)), vec![]);
        checked(&wish);
        assert_eq!((places(&wish), wish.request.shape.frames), (vec![(0, 1), (21, 1)], 25));
        let wish = Wish::repeat(request(), clip(1, 1), 24);
        checked(&wish);
        assert_eq!((places(&wish), wish.request.shape.frames), (vec![(0, 1), (25, 1)], 29));
        let wish = Wish::blend(request(), &clip(13, 0), &clip(13, 200), 0.8, |moment| moment);
        checked(&wish);
        let given = &wish.request.given[0];
        assert_eq!((given.levels[0], given.levels[3], given.frames.frame(6)[0]), (0.0, 0.0, 100));
        assert!(given.levels[1] > 0.7 && given.levels[2] > 0.7);
    }

    #[test]
    fn a_timeline_goes_on_from_its_own_end_and_shows_the_rest_of_a_clip() {
        let of = |prompt: &str| Request { shape: PixelShape::new(1, 16, 16), ..Request::new(prompt) };
        let parts = [(0..30, of("a")), (30..41, of("b"))];
        let mut seen = Vec::new();
        let told = timeline(&parts, &[(13, clip(25, 7))], &[], &mut |wish| {
            seen.push((wish.request.prompt.clone(), wish.made.len(), places(wish)));
            checked(wish);
            wish.join(&Frames::black(wish.request.shape), false, &mut exact)
        });
        assert_eq!(told.unwrap().shape().frames, 41);
        let seen: Vec<_> =
            seen.iter().map(|(prompt, made, given)| (prompt.as_str(), *made, &given[..])).collect();
        // Twelve frames of the clip, as many as there are to be of the next, and what is left of it behind the first nine.
        assert_eq!(
            seen,
            [("a", 25, &[(13, 12)][..]), ("a", 5, &[(0, 9), (9, 8)]), ("b", 11, &[(0, 9), (9, 8)]),]
        );
    }

    #[test]
    fn what_a_remix_keeps_is_the_source() {
        let source = clip(7, 100);
        let mask = Mask { height: 16, width: 16, remade: (0..256).map(|i| i < 8).collect() };
        let wish = Wish::remix(request(), source.clone(), 0.8, Some(mask));
        let joined = wish.join(&clip(9, 90), false, &mut exact).unwrap();
        assert_eq!(joined.shape().frames, 7);
        for frame in 0..7 {
            let new = |pixel: usize| joined.frame(frame)[pixel * 3] == 90;
            assert!((0..256).all(|pixel| new(pixel) == (pixel < 8)), "frame {frame}");
        }
        let nothing = Wish::remix(request(), source.clone(), 0.0, None);
        assert_eq!(nothing.join(&clip(9, 90), false, &mut exact).unwrap(), source);
        let all = Wish::remix(request(), source, 0.5, None);
        assert_eq!(all.join(&clip(9, 90), false, &mut exact).unwrap(), clip(7, 90));
    }

    #[test]
    fn the_source_stays_as_it_was_and_what_is_made_meets_it() {
        let source = clip(30, 100);
        let wish = Wish::extend(request(), source.clone(), Direction::Forward, 16);
        // The decoder made all of it two levels too dark.
        let joined = wish.join(&clip(25, 98), false, &mut exact).unwrap();
        assert_eq!(joined, clip(46, 100));
        assert_eq!(wish.join(&clip(25, 98), true, &mut exact).unwrap(), clip(16, 100));
        let wish = Wish::extend(request(), source.clone(), Direction::Backward, 16);
        assert_eq!(wish.request.shape.frames, 25);
        assert_eq!(wish.join(&clip(25, 103), false, &mut exact).unwrap(), clip(46, 100));
        let wish = Wish::lead(request(), source, clip(5, 200), 16);
        let frames = wish.request.shape.frames;
        let mut made = clip(frames, 150);
        made.frame_mut(8).fill(98);
        made.frame_mut(25).fill(204);
        let joined = wish.join(&made, false, &mut exact).unwrap();
        assert_eq!(joined.shape().frames, 30 + 16 + 5);
        // Near the first clip nearly its two levels are added, near the second nearly its four are taken.
        assert_eq!((joined.frame(30)[0], joined.frame(45)[0]), (152, 146));
        assert_eq!(joined.frame(29)[0], 100);
        assert_eq!(joined.frame(46)[0], 200);
        let wish = Wish::repeat(request(), clip(1, 100), 24);
        let mut made = clip(29, 100);
        (20..29).for_each(|frame| made.frame_mut(frame).fill(110));
        let looped = wish.join(&made, true, &mut exact).unwrap();
        // What comes again is ten levels too bright: nearly all of them are taken from the last frame, nothing from the first.
        assert_eq!((looped.frame(23)[0], looped.frame(0)[0], looped.shape().frames), (100, 100, 24));
    }

    #[test]
    fn what_has_moved_since_the_edge_takes_nothing_of_it_along() {
        let source = clip(30, 100);
        let mut made = clip(25, 100);
        // The decoder drew an object's pixel too dark; in what it made the object leaves it.
        made.frame_mut(8)[30..33].fill(90);
        made.frame_mut(9)[30..33].fill(90);
        made.frame_mut(10)[30..33].fill(200);
        let wish = Wish::extend(request(), source, Direction::Forward, 16);
        let new = wish.join(&made, true, &mut exact).unwrap();
        assert_eq!((new.frame(0)[30], new.frame(1)[30]), (99, 200));
    }

    #[test]
    fn a_transition_rests_at_both_ends_and_is_made_anew_between() {
        let (mut from, mut to) = (clip(30, 90), clip(13, 210));
        from.frame_mut(29).fill(100);
        to.frame_mut(0).fill(200);
        let boxes = (0..67).map(|frame| {
            let place = UnitBox { x1: 0.0, y1: 0.0, x2: 1.0, y2: 0.01 * frame as f32 };
            Some(GuideBox { place, kind: BoxKind::Soft })
        });
        let whole = [Guide { id: "a".into(), phrase: String::new(), boxes: boxes.collect() }];
        let wish = Wish::connect(request(), from, to, 24, 0.8).steered(&whole, 30);
        let given = &wish.request.given[0];
        let levels = &given.levels;
        assert_eq!((levels.len(), levels[2], levels[9]), (3 + 6 + 2, 0.0, 0.0));
        assert!(levels[3] < 0.1 && levels[5] > 0.7 && levels[6] > 0.7, "{levels:?}");
        // Nine frames of the first clip, the transition, eight of the second.
        let values: Vec<u8> = [7, 8, 9, 32, 33, 34].map(|frame| given.frames.frame(frame)[0]).into();
        assert_eq!(values, [90, 100, 100, 200, 200, 210]);
        let middle = given.frames.frame(20)[0];
        assert!((130..170).contains(&middle), "{middle}");
        // The first new frame is frame 30 of the whole.
        let lowest =
            wish.request.guides[0].boxes[wish.made.start].map(|found| (found.place.y2 * 100.0).round());
        assert_eq!(lowest, Some(30.0));
        let joined = wish.join(&clip(wish.request.shape.frames, 150), false, &mut exact).unwrap();
        assert_eq!(joined.shape().frames, 30 + 24 + 13);
        assert_eq!((joined.frame(29)[0], joined.frame(54)[0]), (100, 200));
    }

    #[test]
    fn pictures_land_on_the_nearest_step_of_their_part() {
        let pictures = [(0, clip(1, 1)), (10, clip(1, 2)), (30, clip(1, 3)), (34, clip(6, 4))];
        let begin = Wish::begin(request(), 24).shown(&pictures, 0);
        assert_eq!((begin.request.shape.frames, places(&begin)), (25, vec![(0, 1), (9, 1)]));
        checked(&begin);
        // Frames 30 and 34 of the whole are 15 and 19 here, nine of 24 being given.
        let extend = Wish::extend(request(), clip(24, 9), Direction::Forward, 16).shown(&pictures, 24);
        assert_eq!(places(&extend), [(0, 9), (17, 1), (21, 4)]);
        checked(&extend);
        let tiny = Wish::begin(request(), 2).shown(&[(1, clip(1, 1))], 0);
        checked(&tiny);
    }

    #[test]
    fn boxes_of_the_whole_clip_land_on_the_frames_of_its_parts() {
        let place = |frame: usize| UnitBox { x1: 0.0, y1: 0.0, x2: 1.0, y2: 0.01 * frame as f32 };
        let boxes =
            (0..46).map(|frame| Some(GuideBox { place: place(frame), kind: BoxKind::Soft })).collect();
        let whole = [Guide { id: "a".into(), phrase: String::new(), boxes }];
        let at = |wish: &Wish, frame: usize| wish.request.guides[0].boxes[frame].map(|found| found.place);
        // 30 frames of source, of which the last nine are given, and 16 new ones.
        let forward = Wish::extend(request(), clip(30, 9), Direction::Forward, 16).steered(&whole, 30);
        assert_eq!(
            [at(&forward, 0), at(&forward, 9), at(&forward, 24)],
            [21, 30, 45].map(|f| Some(place(f)))
        );
        // The first of 17 frames is one too many.
        let backward = Wish::extend(request(), clip(30, 9), Direction::Backward, 16).steered(&whole, 0);
        assert_eq!(
            [at(&backward, 0), at(&backward, 1), at(&backward, 24)],
            [None, Some(place(0)), Some(place(23))]
        );
    }

    #[test]
    fn what_comes_in_is_drawn_where_it_is_whole_and_led_up_to() {
        let guide = |outside: std::ops::Range<usize>| {
            let at = |frame: usize| {
                let x1 = if outside.contains(&frame) { 0.0 } else { 0.01 * frame as f32 };
                let x2 = if outside.contains(&frame) { 0.0 } else { x1 + 0.3 };
                Some(GuideBox { place: UnitBox { x1, y1: 0.2, x2, y2: 0.8 }, kind: BoxKind::Hard })
            };
            Guide { id: "a".into(), phrase: String::new(), boxes: (0..25).map(at).collect() }
        };
        let made = |guides: &[Guide]| {
            let mut wishes = Vec::new();
            let mut fulfil = |wish: &Wish| {
                let shape = wish.request.shape;
                wishes.push((shape.frames, places(wish), wish.request.guides[0].clone(), wish.made.clone()));
                checked(wish);
                wish.join(&clip(shape.frames, 9), false, &mut exact)
            };
            let whole = in_boxes(&request(), 25, guides, &mut fulfil).unwrap();
            assert_eq!(whole.shape().frames, 25);
            wishes
        };
        // Seen from frame 10 on: fifteen frames of seventeen, then ten of twelve that lead to them.
        let parts = made(&[guide(0..10)]);
        assert_eq!(
            parts.iter().map(|part| (part.0, part.1.clone())).collect::<Vec<_>>(),
            [(17, vec![]), (21, vec![(13, 8)])]
        );
        let left = |part: usize, frame: usize| {
            parts[part].2.boxes[frame].map(|found| (found.place.x1 * 100.0).round())
        };
        assert_eq!((left(0, 0), left(0, 14), left(0, 15)), (Some(10.0), Some(24.0), None));
        assert_eq!((parts[1].3.clone(), left(1, 3), left(1, 13)), (3..13, Some(0.0), Some(10.0)));
        // Nothing comes in, or something else is gone by then: all at once.
        for guides in [vec![guide(0..0)], vec![guide(5..25)], vec![guide(0..10), guide(8..25)]] {
            assert_eq!(made(&guides).iter().map(|part| part.0).collect::<Vec<_>>(), [25]);
        }
    }

    #[test]
    fn a_timeline_begins_where_what_comes_in_is_whole() {
        let guide = |inside: usize| {
            let at = |frame: usize| {
                let place = match frame >= inside {
                    true => UnitBox { x1: 0.1, y1: 0.2, x2: 0.5, y2: 0.8 },
                    false => UnitBox { x1: 0.0, y1: 0.2, x2: 0.0, y2: 0.8 },
                };
                Some(GuideBox { place, kind: BoxKind::Hard })
            };
            Guide { id: "a".into(), phrase: String::new(), boxes: (0..60).map(at).collect() }
        };
        let made = |guides: &[Guide], pictures: &[(usize, Frames)]| {
            let mut wishes = Vec::new();
            let mut fulfil = |wish: &Wish| {
                wishes.push(wish.made.clone());
                wish.join(&clip(wish.request.shape.frames, 9), false, &mut exact)
            };
            let told = timeline(&[(0..60, request())], pictures, guides, &mut fulfil).unwrap();
            assert_eq!(told.shape().frames, 60);
            wishes
        };
        let (whole, rest) = (0..25, [9..25, 9..25, 9..12]);
        let all_at_once = [std::slice::from_ref(&whole), &rest].concat();
        // One comes in at frame 12, the other behind the first part.
        assert_eq!(made(&[guide(12), guide(40)], &[]), [&[0..13, 1..13][..], &rest].concat());
        assert_eq!(made(&[guide(40)], &[]), all_at_once);
        assert_eq!(made(&[guide(12)], &[(4, clip(1, 3))]), all_at_once);
    }

    #[test]
    fn what_is_off_in_one_place_fades_away() {
        let mut source = clip(9, 100);
        source.frame_mut(8)[0] = 140;
        let wish = Wish::extend(request(), source, Direction::Forward, 16);
        let new = wish.join(&clip(25, 100), true, &mut exact).unwrap();
        let first: Vec<u8> = (0..16).map(|frame| new.frame(frame)[0]).collect();
        assert!(first[0] > 130 && first.windows(2).all(|pair| pair[1] <= pair[0]), "{first:?}");
        assert_eq!((first[8], new.frame(0)[3]), (100, 100));
    }
}
