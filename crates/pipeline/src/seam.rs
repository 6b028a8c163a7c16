//! Seams: where frames that were made meet frames that are kept, a loop its beginning, and one latent frame the next.
//!
//! A VAE makes four frames of each latent frame. Within the four things move too little, the step into the next four makes up for it,
//! and what a latent frame shows wrongly it shows four frames long: a seam between two of them is seen. So the frames around it go through
//! the VAE once more, a few frames shifted, so that the seam lies within the four frames of one latent frame, and what comes back is faded
//! into what was made.

use vidit_video::{Frames, PixelShape};

use crate::Direction;
use crate::verbs::TIME;

/// Frames over which a difference to the source's own frames fades.
const FADE: usize = 8;
/// Levels by which a pixel has changed since the edge at which nothing of the difference there belongs to it any more: what was an
/// outline of an object would be left behind as its ghost.
const MOVED: f32 = 64.0;
/// Pixels around what has changed that are taken for changed, too, at most; as many as frames lie between, none beside the edge, where an
/// object has hardly moved and is to be seen as it was.
const HALO: usize = 4;
/// Frames on a side of a seam that are seen anew; the one beside it nine tenths, each further one less by [`SHARE_STEP`].
const MENDED: usize = 6;
const SHARE_STEP: f32 = 0.15;
/// Frames that go through the VAE once more, `4n + 1`: all that is mended on both sides, and what leads to it.
const WINDOW: usize = 17;
/// How much a frame counts by where it lies within its four, if it is seen twice: those in the middle are seen best.
const TRUST: [f32; TIME] = [1.0, 3.0, 3.0, 1.0];
/// Frames before a seam that share a latent frame with those after it, where what follows was made: three of the four are mended.
const BEFORE_MADE: usize = 1;
/// The same where what follows is kept, and what leads to it was made.
const BEFORE_KEPT: usize = 3;

/// Levels by which a pixel may differ from the edge and still count as one that shows the same: what the picture drifts by is told
/// from these. Up to half as much is taken back whole, from there on less: a picture that brightens on purpose is not held back.
const SAME: f32 = 8.0;
/// Frames of the kept clip that tell how its colours were changing anyway.
const TREND: usize = 8;
/// Levels a frame up to which colours change by chance; from twice as much on they do on purpose. Over the length of an extension such a
/// chance would add up to as much as is to be taken back.
const STRAY: f32 = 0.25;

/// Frames through the VAE and back.
pub type Again<'a, E> = &'a mut dyn FnMut(&Frames) -> Result<Frames, E>;

/// Mends the seam between a clip that is kept and `new`, which follows it or, backward, leads to it.
///
/// # Errors
/// Those of `again`.
pub(crate) fn meet<E>(
    new: &mut Frames,
    kept: &Frames,
    direction: Direction,
    again: Again<E>,
) -> Result<(), E> {
    match direction {
        Direction::Forward => {
            let [before, mut after] = around(kept, new, &[BEFORE_MADE], again)?;
            take_back(&mut after, nearest(kept, direction), nearest(&before, direction), direction, false);
            fade_in(new, &after, direction);
        }
        Direction::Backward => {
            let [mut before, after] = around(new, kept, &[BEFORE_KEPT], again)?;
            take_back(&mut before, nearest(kept, direction), nearest(&after, direction), direction, false);
            fade_in(new, &before, direction);
        }
    }
    Ok(())
}

/// Mends the seam between the end of a loop and its beginning.
///
/// # Errors
/// Those of `again`.
pub(crate) fn close<E>(new: &mut Frames, again: Again<E>) -> Result<(), E> {
    let [before, after] = around(new, new, &[BEFORE_MADE, BEFORE_KEPT], again)?;
    fade_in(new, &after, Direction::Forward);
    fade_in(new, &before, Direction::Backward);
    Ok(())
}

/// Mends the seams within a clip that the VAE made, between every two latent frames: it is seen again shifted by half of one, and each
/// frame is the mean of both views, by how well they see it. What the second one changes of a whole frame, its colour, is not let in: the
/// last two frames, behind which nothing is known, and the first, a latent frame of its own, stay as they are.
///
/// # Errors
/// Those of `again`.
pub(crate) fn within<E>(frames: &mut Frames, again: Again<E>) -> Result<(), E> {
    const SHIFT: usize = TIME / 2;
    let shape = frames.shape();
    let seen_frames = (shape.frames - 1 + SHIFT) / TIME * TIME + 1;
    if shape.frames <= TIME {
        return Ok(());
    }
    let rgb = (0..seen_frames).flat_map(|index| frames.frame(index.saturating_sub(SHIFT))).copied().collect();
    let seen = again(&Frames::from_rgb(PixelShape { frames: seen_frames, ..shape }, rgb))?;
    for at in 1 + SHIFT..seen_frames {
        let frame = at - SHIFT;
        let [of_found, of_seen] = [frame, at].map(trust);
        let share = of_seen / (of_found + of_seen);
        let colour = median_difference(seen.frame(at), frames.frame(frame));
        for (pixel, seen) in frames.frame_mut(frame).chunks_exact_mut(3).zip(seen.frame(at).chunks_exact(3)) {
            for ((byte, seen), colour) in pixel.iter_mut().zip(seen).zip(colour) {
                let found = f32::from(*byte);
                *byte = (found + share * (f32::from(*seen) - colour - found)).round().clamp(0.0, 255.0) as u8;
            }
        }
    }
    Ok(())
}

/// The median in each channel of what a frame is above another.
fn median_difference(frame: &[u8], than: &[u8]) -> [f32; 3] {
    std::array::from_fn(|channel| {
        let of_channel = frame.iter().zip(than).skip(channel).step_by(3);
        let mut values: Vec<f32> = of_channel.map(|(a, b)| f32::from(*a) - f32::from(*b)).collect();
        let middle = values.len() / 2;
        *values.select_nth_unstable_by(middle, f32::total_cmp).1
    })
}

/// How much a frame of what the VAE made counts; the first one is no part of four.
fn trust(frame: usize) -> f32 {
    TRUST[(frame + TIME - 1) % TIME]
}

fn last(frames: &Frames) -> usize {
    frames.shape().frames - 1
}

/// Which of the frames that follow a seam or, backward, lead to it is so far from it.
fn from_seam(frames: &Frames, edge: Direction, distance: usize) -> usize {
    match edge {
        Direction::Forward => distance,
        Direction::Backward => last(frames) - distance,
    }
}

/// The frame of a kept clip beside the seam with what follows it or, backward, leads to it.
pub(crate) fn nearest(kept: &Frames, edge: Direction) -> &[u8] {
    match edge {
        Direction::Forward => kept.frame(last(kept)),
        Direction::Backward => kept.frame(0),
    }
}

/// The [`MENDED`] frames before a seam and as many after it, as the VAE shows them when so many frames before the seam share a latent
/// frame with those after it; of several such views the mean.
fn around<E>(before: &Frames, after: &Frames, views: &[usize], again: Again<E>) -> Result<[Frames; 2], E> {
    let frame = before.frame(0).len();
    let mut sums = vec![0.0; 2 * MENDED * frame];
    let mut trusted = [0.0; 2 * MENDED];
    for shared in views {
        // The first frame is a latent frame of its own.
        let lead = 1 + TIME + shared;
        let seen = again(&window(before, after, lead))?;
        for (slot, (sums, trusted)) in sums.chunks_exact_mut(frame).zip(&mut trusted).enumerate() {
            let at = lead + slot - MENDED;
            let trust = trust(at);
            *trusted += trust;
            sums.iter_mut().zip(seen.frame(at)).for_each(|(sum, byte)| *sum += trust * f32::from(*byte));
        }
    }
    let mean = |slot: usize| {
        let sums = &sums[slot * frame..(slot + 1) * frame];
        sums.iter().map(move |sum| (sum / trusted[slot]).round() as u8)
    };
    let shape = PixelShape { frames: MENDED, ..before.shape() };
    Ok([0, MENDED].map(|first| Frames::from_rgb(shape, (first..first + MENDED).flat_map(mean).collect())))
}

/// The last `lead` frames before a seam and what follows it; a clip that is too short rests at its end.
fn window(before: &Frames, after: &Frames, lead: usize) -> Frames {
    let rgb = (0..WINDOW).flat_map(|index| match index.checked_sub(lead) {
        None => before.frame((before.shape().frames + index).saturating_sub(lead)),
        Some(index) => after.frame(index.min(last(after))),
    });
    Frames::from_rgb(PixelShape { frames: WINDOW, ..before.shape() }, rgb.copied().collect())
}

/// Goes from what is seen anew beside the edge over into `frames`.
fn fade_in(frames: &mut Frames, seen: &Frames, edge: Direction) {
    let (count, all) = (frames.shape().frames, seen.shape().frames);
    for distance in 0..count.min(all) {
        let share = SHARE_STEP * (all - distance) as f32;
        let (to, from) = (from_seam(frames, edge, distance), from_seam(seen, edge, distance));
        for (byte, seen) in frames.frame_mut(to).iter_mut().zip(seen.frame(from)) {
            let found = f32::from(*byte);
            *byte = (found + share * (f32::from(*seen) - found)).round() as u8;
        }
    }
}

/// Takes from each frame of `new` what the whole picture has drifted by since the edge of `kept`, which it follows or, backward, leads
/// to: an extension's own extension begins where it ends, and small errors of colour would add up.
pub(crate) fn settle(new: &mut Frames, kept: &Frames, edge: Direction) {
    let count = new.shape().frames;
    let back = TREND.min(last(kept));
    let right = nearest(kept, edge);
    let earlier = match edge {
        Direction::Forward => kept.frame(last(kept) - back),
        Direction::Backward => kept.frame(back),
    };
    // Away from the edge colours go on as they came, if they came on purpose.
    let trend = drift(right, earlier).map(|drift| {
        let trend = drift / back.max(1) as f32;
        trend * (trend.abs() / STRAY - 1.0).clamp(0.0, 1.0)
    });
    for distance in 0..count {
        let frame = from_seam(new, edge, distance);
        let found = drift(new.frame(frame), right);
        let excess: [f32; 3] = std::array::from_fn(|c| found[c] - trend[c] * (distance + 1) as f32);
        let largest = excess.iter().fold(0.0, |largest: f32, excess| largest.max(excess.abs()));
        let share = (2.0 * (1.0 - largest / SAME)).clamp(0.0, 1.0);
        for pixel in new.frame_mut(frame).chunks_exact_mut(3) {
            for (byte, excess) in pixel.iter_mut().zip(excess) {
                *byte = (f32::from(*byte) - share * excess).round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// What a frame is above another in each channel: the mean over the pixels that show the same; nothing where these are fewer than half.
fn drift(frame: &[u8], than: &[u8]) -> [f32; 3] {
    let (mut sums, mut same) = ([0.0; 3], 0);
    for (now, then) in frame.chunks_exact(3).zip(than.chunks_exact(3)) {
        let differences: [f32; 3] = std::array::from_fn(|c| f32::from(now[c]) - f32::from(then[c]));
        if differences.iter().all(|difference| difference.abs() <= SAME) {
            sums.iter_mut().zip(differences).for_each(|(sum, difference)| *sum += difference);
            same += 1;
        }
    }
    let share = same as f32 / (frame.len() / 3).max(1) as f32;
    // Not at once at a half, lest neighbouring frames be treated otherwise.
    let trust = (5.0 * (share - 0.4)).clamp(0.0, 1.0);
    sums.map(|sum| trust * sum / same.max(1) as f32)
}

/// Adds to `frames` what `right` is above `found` at their edge: its median in each channel to all of them (where the other
/// edge has a say, too: linearly less towards it), the rest to the nearest [`FADE`], as far as they show there what `found` shows, and
/// beside it: a decoder's error is around an object as well as in it.
pub(crate) fn take_back(frames: &mut Frames, right: &[u8], found: &[u8], edge: Direction, both: bool) {
    let count = frames.shape().frames;
    let differences: Vec<f32> = right.iter().zip(found).map(|(r, f)| f32::from(*r) - f32::from(*f)).collect();
    let whole = median_difference(right, found);
    for distance in 0..count {
        let frame = from_seam(frames, edge, distance);
        let of_whole = if both { 1.0 - (distance + 1) as f32 / (count + 1) as f32 } else { 1.0 };
        let of_rest = (1.0 - (distance + 1) as f32 / (FADE + 1) as f32).max(0.0) * of_whole.min(1.0);
        let width = frames.shape().width;
        let changed = match of_rest > 0.0 {
            true => most_around(changes(frames.frame(frame), found), width, distance.min(HALO)),
            false => vec![0; found.len() / 3],
        };
        let pixels = frames.frame_mut(frame).chunks_exact_mut(3).zip(changed);
        for ((pixel, changed), difference) in pixels.zip(differences.chunks_exact(3)) {
            let of_rest = of_rest * (1.0 - f32::from(changed) / MOVED).max(0.0);
            for ((byte, difference), whole) in pixel.iter_mut().zip(difference).zip(whole) {
                let add = whole * of_whole + (difference - whole) * of_rest;
                *byte = (f32::from(*byte) + add).round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// How many levels each pixel of one frame is apart from that of another, in the channel where it is most.
fn changes(frame: &[u8], other: &[u8]) -> Vec<u8> {
    let pixels = frame.chunks_exact(3).zip(other.chunks_exact(3));
    pixels.map(|(a, b)| (0..3).map(|c| a[c].abs_diff(b[c])).max().unwrap_or(0)).collect()
}

/// The largest value of each square of `2 reach + 1` pixels around a pixel, of rows of `width`.
fn most_around(values: Vec<u8>, width: usize, reach: usize) -> Vec<u8> {
    let near = |at: usize, length: usize| at.saturating_sub(reach)..(at + reach + 1).min(length);
    let across: Vec<u8> = (0..values.len())
        .map(|i| {
            let row = &values[i / width * width..][..width];
            row[near(i % width, width)].iter().copied().max().unwrap_or(0)
        })
        .collect();
    let height = values.len() / width;
    let down = |i: usize| near(i / width, height).map(|y| across[y * width + i % width]).max().unwrap_or(0);
    (0..values.len()).map(down).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grey frames of these levels.
    fn grey(levels: &[u8]) -> Frames {
        let shape = PixelShape::new(levels.len(), 2, 2);
        Frames::from_rgb(shape, levels.iter().flat_map(|level| [*level; 12]).collect())
    }

    fn levels(frames: &Frames) -> Vec<u8> {
        (0..frames.shape().frames).map(|frame| frames.frame(frame)[5]).collect()
    }

    /// A VAE that shows everything ten levels brighter.
    fn brighter(frames: &Frames) -> Result<Frames, ()> {
        let rgb = frames.rgb().iter().map(|byte| byte + 10).collect();
        Ok(Frames::from_rgb(frames.shape(), rgb))
    }

    /// A VAE that shows of every four frames their mean.
    fn coarse(frames: &Frames) -> Result<Frames, ()> {
        let mut seen = levels(frames);
        for four in seen[1..].chunks_exact_mut(TIME) {
            let mean = four.iter().map(|level| u32::from(*level)).sum::<u32>() / TIME as u32;
            four.fill(mean as u8);
        }
        Ok(grey(&seen))
    }

    /// A spot of these levels on a grey that stays.
    fn spot(levels: &[u8]) -> Frames {
        let shape = PixelShape::new(levels.len(), 2, 2);
        let frame = |level: &u8| [[50; 3], [*level; 3], [50; 3], [50; 3]].concat();
        Frames::from_rgb(shape, levels.iter().flat_map(frame).collect())
    }

    #[test]
    fn what_is_beside_something_that_went_away_leaves_no_ghost() {
        // An object of one pixel with a faint rim, decoded without the rim; four frames before it is not there yet.
        let shape = PixelShape::new(5, 1, 12);
        let row = |levels: [u8; 12]| levels.iter().flat_map(|level| [*level; 3]).collect::<Vec<u8>>();
        let bare = row([50; 12]);
        let found = row([50, 50, 50, 50, 50, 50, 50, 50, 50, 200, 50, 50]);
        let right = row([50, 50, 50, 50, 50, 50, 50, 50, 30, 200, 30, 50]);
        let rgb: Vec<u8> = [bare.clone(), bare.clone(), bare.clone(), bare.clone(), found.clone()].concat();
        let mut frames = Frames::from_rgb(shape, rgb);
        take_back(&mut frames, &right, &found, Direction::Backward, false);
        assert_eq!(frames.frame(3), bare, "one frame away a pixel away");
        assert_eq!(frames.frame(0), bare);
        // Where it is still there, its rim comes back.
        assert_eq!((frames.frame(4)[8 * 3], frames.frame(4)[9 * 3]), (32, 200));
        assert_eq!(most_around(vec![0, 9, 0, 0, 0, 0, 0, 0, 3], 3, 1), [9, 9, 9, 9, 9, 9, 0, 3, 3]);
        assert_eq!(most_around(vec![4, 1, 2], 3, 0), [4, 1, 2]);
    }

    #[test]
    fn a_clip_is_seen_again_shifted_by_half_a_latent_frame() {
        let mut clip = spot(&[10, 20, 30, 40, 50, 60, 70, 80, 90]);
        let mut seen = Vec::new();
        let mut again = |frames: &Frames| {
            seen.push(levels(frames));
            Ok::<_, ()>(spot(&levels(frames).iter().map(|level| level + 10).collect::<Vec<_>>()))
        };
        within(&mut clip, &mut again).unwrap();
        assert_eq!(seen, [[10, 10, 10, 20, 30, 40, 50, 60, 70]]);
        // Ten more, by a quarter where the four begin or end that they are seen in, by three quarters else; first and last two as they were.
        assert_eq!(levels(&clip), [10, 28, 33, 43, 58, 68, 73, 80, 90]);
        // What changes of all is not let in.
        let mut grey = grey(&[10, 20, 30, 40, 50, 60]);
        within(&mut grey, &mut brighter).unwrap();
        assert_eq!(levels(&grey), [10, 20, 30, 40, 50, 60]);
        let mut short = spot(&[10]);
        within(&mut short, &mut brighter).unwrap();
        assert_eq!(levels(&short), [10]);
    }

    #[test]
    fn steps_between_latent_frames_become_smaller() {
        let mut coarse_spot = |frames: &Frames| coarse(frames).map(|seen| spot(&levels(&seen)));
        let even: Vec<u8> = (0..17).map(|frame| 100 + 4 * frame).collect();
        let mut clip = coarse_spot(&spot(&even)).unwrap();
        let largest = |clip: &Frames| levels(clip).windows(2).map(|two| two[1] - two[0]).max().unwrap();
        assert_eq!(largest(&clip), 16);
        within(&mut clip, &mut coarse_spot).unwrap();
        assert!(largest(&clip) <= 8, "{:?}", levels(&clip));
    }

    #[test]
    fn the_seam_lies_within_four_frames_of_what_is_seen_anew() {
        let (before, after) = (grey(&[1, 2, 3]), grey(&[4, 5]));
        let mut seen = Vec::new();
        let mut again = |frames: &Frames| {
            seen.push(levels(frames));
            Ok::<_, ()>(frames.clone())
        };
        let [b, a] = around(&before, &after, &[BEFORE_MADE, BEFORE_KEPT], &mut again).unwrap();
        // The frame alone, four and one, or four and three; the rest of the four begins what follows.
        assert_eq!(seen[0], [1, 1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!(seen[1], [1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!((levels(&b), levels(&a)), (vec![1, 1, 1, 1, 2, 3], vec![4, 5, 5, 5, 5, 5]));
    }

    #[test]
    fn what_the_vae_changes_of_all_frames_is_not_let_in() {
        let kept = grey(&[100; 20]);
        for direction in [Direction::Forward, Direction::Backward] {
            let mut new = grey(&[104; 16]);
            meet(&mut new, &kept, direction, &mut brighter).unwrap();
            assert_eq!(levels(&new), [104; 16]);
        }
        // A loop has nothing to compare with; its own frames stay where nothing is mended.
        let mut new = grey(&[100; 24]);
        close(&mut new, &mut brighter).unwrap();
        assert_eq!(levels(&new)[..8], [109, 108, 106, 105, 103, 102, 100, 100]);
        assert_eq!(levels(&new)[16..], [100, 100, 102, 103, 105, 106, 108, 109]);
    }

    #[test]
    fn colours_stay_or_go_on_as_they_came() {
        let kept = grey(&[100; 20]);
        for direction in [Direction::Forward, Direction::Backward] {
            // Drift is taken back, a change on purpose is left.
            let mut new = grey(&[101, 103, 104, 98, 160]);
            settle(&mut new, &kept, direction);
            assert_eq!(levels(&new), [100, 100, 100, 100, 160]);
        }
        // In between it is taken back less and less.
        let mut new = grey(&[104, 105, 106, 107, 108, 109]);
        settle(&mut new, &kept, Direction::Forward);
        assert_eq!(levels(&new), [100, 101, 103, 105, 108, 109]);
        // What brightens by half a level a frame goes on to.
        let rising: Vec<u8> = (0..20).map(|frame| 100 + frame / 2).collect();
        let mut new = grey(&[109, 110, 110, 111, 111, 112]);
        settle(&mut new, &grey(&rising), Direction::Forward);
        assert_eq!(levels(&new), [110, 110, 111, 111, 112, 112]);
        let mut new = grey(&[98, 98, 99, 99]);
        settle(&mut new, &grey(&rising), Direction::Backward);
        assert_eq!(levels(&new), [98, 99, 99, 100]);
        // A level in eight frames is chance: it would be three in an extension.
        let stray = [[100; 12].as_slice(), &[101; 4]].concat();
        let mut new = grey(&[101, 102, 103, 104]);
        settle(&mut new, &grey(&stray), Direction::Forward);
        assert_eq!(levels(&new), [101; 4]);
    }

    #[test]
    fn an_object_that_moves_is_no_drift() {
        let shape = PixelShape::new(1, 1, 10);
        let with = |level: u8, object: usize| {
            let mut rgb = vec![level; 30];
            rgb[object * 3..object * 3 + 6].fill(250);
            Frames::from_rgb(shape, rgb)
        };
        let mut new = with(102, 5);
        settle(&mut new, &with(100, 2), Direction::Forward);
        assert_eq!((new.frame(0)[0], new.frame(0)[8], new.frame(0)[29]), (100, 100, 100));
    }

    #[test]
    fn a_step_at_the_seam_is_spread_over_what_was_made() {
        let largest = |levels: &[u8]| levels.windows(2).map(|w| w[0].abs_diff(w[1])).max().unwrap();
        let kept = grey(&[100; 20]);
        let mut new = grey(&[140; 16]);
        meet(&mut new, &kept, Direction::Forward, &mut coarse).unwrap();
        let found = levels(&new);
        assert!(largest(&[&[100], &found[..]].concat()) < 20, "{found:?}");
        assert_eq!(found[MENDED..], [140; 10]);
        let mut new = grey(&[140; 16]);
        meet(&mut new, &kept, Direction::Backward, &mut coarse).unwrap();
        let found = levels(&new);
        assert!(largest(&[&found[..], &[100]].concat()) < 20, "{found:?}");
        assert_eq!(found[..10], [140; 10]);
        let ramp: Vec<u8> = (100..124).collect();
        let mut new = grey(&ramp);
        close(&mut new, &mut coarse).unwrap();
        let found = levels(&new);
        let round = [&found[12..], &found[..12]].concat();
        assert!(largest(&round) < 12, "{round:?}");
    }

    #[test]
    fn clips_shorter_than_what_is_mended_are_mended_as_far_as_they_go() {
        for count in 1..8 {
            for direction in [Direction::Forward, Direction::Backward] {
                let mut new = grey(&vec![140; count]);
                meet(&mut new, &grey(&[100]), direction, &mut coarse).unwrap();
                assert_eq!(new.shape().frames, count);
            }
        }
    }
}
