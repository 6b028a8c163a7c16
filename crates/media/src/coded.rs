//! What of a clip is taken over as it was encoded: one that goes on from an mp4 of ours has that file's own frames, to the bit, and not
//! what a second encoding would make of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use vidit_video::Frames;

use crate::h264::{NAL_IDR, NAL_SLICE, Sample, Stream, idr_number, length_prefixed, nal_type};
use crate::mp4::demux::Track;
use crate::sps::Sps;
use crate::turn::Turn;

/// The encoded frames of a clip, as [`read_coded`](crate::read_coded) found them.
#[derive(Clone, Debug)]
pub struct Coded {
    sps: Vec<u8>,
    pps: Vec<u8>,
    frames: Vec<CodedFrame>,
}

#[derive(Clone, Debug)]
struct CodedFrame {
    sample: Sample,
    /// Of what it decodes to.
    hash: u64,
}

/// Bytes of the length before each NAL unit, as we write it.
const LENGTH_BYTES: usize = 4;

/// A part of a clip that is to be encoded.
#[derive(Debug, PartialEq)]
pub(crate) enum Part<'a> {
    /// Taken over.
    Kept(Vec<&'a Sample>),
    /// These frames are encoded; they stand behind a sample and before one.
    New { frames: Range<usize>, before: Option<&'a Sample>, after: Option<&'a Sample> },
}

impl Coded {
    /// Of a track that decodes to these frames. `None` where a frame is not one sample, in order, as it is shown.
    pub(crate) fn of(file: &[u8], track: &Track, frames: &Frames) -> Option<Self> {
        let [sps, pps] = track.parameter_sets.as_slice() else { return None };
        let count = frames.shape().frames;
        let plain = track.length_bytes == LENGTH_BYTES
            && track.samples.len() == count
            && track.indexed == count
            && !track.reorders
            && track.turn == Turn::None;
        if !plain {
            return None;
        }
        let parsed = Sps::parse(sps)?;
        let of = |(index, place): (usize, &Range<usize>)| {
            let data = file[place.clone()].to_vec();
            let sample = Sample { key: key(&data, &parsed)?, data };
            Some(CodedFrame { sample, hash: hash(frames.frame(index)) })
        };
        let frames = track.samples.iter().enumerate().map(of).collect::<Option<Vec<_>>>()?;
        Some(Self { sps: sps.clone(), pps: pps.clone(), frames })
    }

    /// How many frames from this one on are those of `wanted`, where decoding may start at it.
    fn run(&self, from: usize, wanted: &[u64]) -> usize {
        let frames = self.frames[from..].iter().zip(wanted);
        match self.frames[from].sample.key {
            None => 0,
            Some(_) => frames.take_while(|(frame, wanted)| frame.hash == **wanted).count(),
        }
    }
}

/// What of `frames` is in `sources`, whose parameter sets are these, and what is not.
pub(crate) fn parts<'a>(frames: &Frames, sources: &'a [Coded], sps: &[u8], pps: &[u8]) -> Vec<Part<'a>> {
    let hashes: Vec<u64> = (0..frames.shape().frames).map(|index| hash(frames.frame(index))).collect();
    let fitting: Vec<&Coded> =
        sources.iter().filter(|source| (&*source.sps, &*source.pps) == (sps, pps)).collect();
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0;
    while at < hashes.len() {
        let last = match parts.last() {
            Some(Part::Kept(samples)) => samples.last().copied(),
            _ => None,
        };
        let runs = fitting.iter().flat_map(|source| {
            let starts = 0..source.frames.len();
            starts.map(|from| &source.frames[from..][..source.run(from, &hashes[at..])])
        });
        // Two key frames in a row must have different numbers (H.264, 7.4.3).
        let follows = |run: &&[CodedFrame]| {
            run.first().is_some_and(|first| last.is_none_or(|last| !last.is_taken_for(&first.sample)))
        };
        match runs.filter(follows).max_by_key(|run| run.len()) {
            Some(run) => {
                if let Some(Part::New { after, .. }) = parts.last_mut() {
                    *after = Some(&run[0].sample);
                }
                parts.push(Part::Kept(run.iter().map(|frame| &frame.sample).collect()));
                at += run.len();
            }
            None => {
                match parts.last_mut() {
                    Some(Part::New { frames, .. }) => frames.end += 1,
                    _ => parts.push(Part::New { frames: at..at + 1, before: last, after: None }),
                }
                at += 1;
            }
        }
    }
    parts
}

/// One stream of all parts. `encode` encodes some frames as the `n`-th of several streams whose key frames have different numbers.
pub(crate) fn joined<E>(
    parts: Vec<Part>,
    sps: Vec<u8>,
    pps: Vec<u8>,
    mut encode: impl FnMut(Range<usize>, usize) -> Result<Vec<Sample>, E>,
) -> Result<Stream, E> {
    /// Of so many at least one differs from the sample before and from the one after.
    const NUMBERINGS: usize = 3;
    let mut samples = Vec::new();
    for part in parts {
        match part {
            Part::Kept(kept) => samples.extend(kept.into_iter().cloned()),
            Part::New { frames, before, after } => {
                let mut numbering = 0;
                samples.extend(loop {
                    let new = encode(frames.clone(), numbering)?;
                    let (first, last) = (&new[0], &new[new.len() - 1]);
                    let collides = before.is_some_and(|before| before.is_taken_for(first))
                        || after.is_some_and(|after| last.is_taken_for(after));
                    numbering += 1;
                    if !collides || numbering == NUMBERINGS {
                        break new;
                    }
                });
            }
        }
    }
    Ok(Stream { sps, pps, samples })
}

/// The number of a key frame, `Some(None)` of another frame; `None` of what is not slices alone.
fn key(data: &[u8], sps: &Sps) -> Option<Option<u32>> {
    let mut key = None;
    for nal in length_prefixed(data, LENGTH_BYTES) {
        match nal_type(nal?)? {
            NAL_SLICE => {}
            NAL_IDR => key = Some(idr_number(nal?, sps)?),
            _ => return None,
        }
    }
    Some(key)
}

fn hash(rgb: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    rgb.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::gradient;
    use crate::{FrameRate, ReadLimits, WriteOptions, read_coded, read_video, write_video};
    use std::path::Path;
    use vidit_video::PixelShape;

    const SIZE: PixelShape = PixelShape { frames: 25, height: 48, width: 64 };

    fn write(path: &Path, frames: &Frames, sources: Vec<Coded>) {
        let options = WriteOptions { sources, ..WriteOptions::default() };
        write_video(frames, 12, path, &options).unwrap();
    }

    /// Frames of another look than [`gradient`]'s.
    fn others(count: usize) -> Frames {
        let mut frames = gradient(PixelShape { frames: count, ..SIZE });
        (0..count).for_each(|index| frames.frame_mut(index).reverse());
        frames
    }

    fn cat(parts: &[&Frames]) -> Frames {
        let rgb: Vec<u8> = parts.iter().flat_map(|part| part.rgb()).copied().collect();
        let frames = parts.iter().map(|part| part.shape().frames).sum();
        Frames::from_rgb(PixelShape { frames, ..parts[0].shape() }, rgb)
    }

    /// At 12 frames a second every 24th is a key frame, so that clips of 25 end with one.
    #[test]
    fn frames_of_a_source_stay_as_they_are_however_often_a_clip_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let limits = ReadLimits::default();
        let path = |generation: usize| dir.path().join(format!("{generation}.mp4"));
        write(&path(0), &gradient(SIZE), vec![]);
        let (first, _) = read_coded(&path(0), &limits).unwrap();
        for generation in 1..6 {
            let (clip, coded) = read_coded(&path(generation - 1), &limits).unwrap();
            let new = others(1 + generation % 3);
            let (whole, kept) = match generation % 2 {
                0 => (cat(&[&new, &clip.frames]), new.shape().frames),
                _ => (cat(&[&clip.frames, &new]), 0),
            };
            write(&path(generation), &whole, vec![coded.expect("our own")]);
            let found = read_video(&path(generation), &limits).unwrap().frames;
            assert_eq!(found.shape(), whole.shape());
            let count = clip.frames.shape().frames;
            assert!(found.part(kept..kept + count) == clip.frames, "generation {generation}");
        }
        let last = read_video(&path(5), &limits).unwrap().frames;
        let begin =
            (1..6).filter(|generation| generation % 2 == 0).map(|generation| 1 + generation % 3).sum();
        assert!(last.part(begin..begin + 25) == first.frames);
    }

    #[test]
    fn two_sources_stand_at_both_ends_and_a_cut_one_from_its_key_frame_on() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, out) = (dir.path().join("a.mp4"), dir.path().join("b.mp4"), dir.path().join("out.mp4"));
        write(&a, &gradient(SIZE), vec![]);
        write(&b, &others(30), vec![]);
        let limits = ReadLimits::default();
        let [(a, in_a), (b, in_b)] = [&a, &b].map(|path| read_coded(path, &limits).unwrap());
        let between = gradient(PixelShape { frames: 4, ..SIZE }).part(3..4);
        let sources = || [&in_a, &in_b].map(|coded| coded.clone().unwrap()).to_vec();
        let whole = cat(&[&a.frames, &between, &b.frames.part(20..30), &a.frames]);
        write(&out, &whole, sources());
        let found = read_video(&out, &limits).unwrap().frames;
        assert!(found.part(0..25) == a.frames && found.part(36..61) == a.frames);
        // What begins at 20 has its first key frame at 24.
        assert!(found.part(30..36) == b.frames.part(24..30));
        assert!(found.part(26..30) != b.frames.part(20..24));

        let [sps, pps] = [&in_a.as_ref().unwrap().sps, &in_a.as_ref().unwrap().pps].map(Vec::clone);
        let all = sources();
        let kinds: Vec<(bool, usize)> = parts(&whole, &all, &sps, &pps)
            .iter()
            .map(|part| match part {
                Part::Kept(samples) => (true, samples.len()),
                Part::New { frames, .. } => (false, frames.len()),
            })
            .collect();
        assert_eq!(kinds, [(true, 25), (false, 5), (true, 6), (true, 25)]);
        assert_eq!(parts(&whole, &all, &sps, &[]).len(), 1, "other parameter sets: nothing is kept");
    }

    #[test]
    fn key_frames_in_a_row_have_different_numbers() {
        let sample = |key| Sample { data: vec![1], key };
        let frame = |key, hash| CodedFrame { sample: sample(key), hash };
        let [one, two, three] = [1u8, 2, 3].map(|level| vec![level; 3]);
        let frames = Frames::from_rgb(PixelShape::new(3, 1, 1), [one.clone(), two, three.clone()].concat());
        let source = |frames| Coded { sps: vec![], pps: vec![], frames };
        let sources = [source(vec![frame(Some(0), hash(&one))]), source(vec![frame(Some(1), hash(&three))])];
        let found = parts(&frames, &sources, &[], &[]);
        let [first, last] = [0, 1].map(|i| &sources[i].frames[0].sample);
        let new = Part::New { frames: 1..2, before: Some(first), after: Some(last) };
        assert_eq!(found, [Part::Kept(vec![first]), new, Part::Kept(vec![last])]);
        let mut asked = Vec::new();
        let stream = joined(found, vec![], vec![], |frames, numbering| {
            asked.push((frames, numbering));
            Ok::<_, ()>(vec![sample(Some(numbering as u32))])
        });
        let keys: Vec<_> = stream.unwrap().samples.iter().map(|sample| sample.key).collect();
        assert_eq!(keys, [Some(0), Some(2), Some(1)]);
        assert_eq!(asked, [(1..2, 0), (1..2, 1), (1..2, 2)]);
        // Side by side, the second is encoded anew.
        let two = frames.part(0..1);
        let twice = cat(&[&two, &two]);
        let found = parts(&twice, &sources, &[], &[]);
        assert!(matches!(&found[..], [Part::Kept(_), Part::New { .. }]), "{found:?}");
    }

    #[test]
    fn what_is_not_ours_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gif");
        write(&path, &gradient(SIZE), vec![]);
        assert!(read_coded(&path, &ReadLimits::default()).unwrap().1.is_none());
        // A file of another size has other parameter sets.
        let (small, large) = (dir.path().join("small.mp4"), dir.path().join("large.mp4"));
        write(&small, &gradient(PixelShape::new(3, 32, 32)), vec![]);
        let coded = read_coded(&small, &ReadLimits::default()).unwrap().1.unwrap();
        write(&large, &gradient(SIZE), vec![coded]);
        let mut plain = Vec::new();
        let stream = crate::h264::encode(&gradient(SIZE), FrameRate::from(12), &[]).unwrap();
        crate::mp4::mux::write(&mut plain, &stream, SIZE, FrameRate::from(12), &[]).unwrap();
        assert!(std::fs::read(&large).unwrap() == plain);
    }
}
