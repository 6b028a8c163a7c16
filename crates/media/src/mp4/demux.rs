//! Finds the samples of the video track. Walks the boxes that it needs and skips all others, so that sound, chapters
//! and makers' boxes cannot make a file unreadable.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use mp4_atom::{
    Atom, Avcc, Co64, Colr, Ctts, Decode, DecodeMaybe, Elst, FourCC, Header, Mdhd, Mvhd, Stco, Stsc, Stss,
    Stsz, StszSamples, Stts, Tkhd, Visual,
};

use crate::colour::ColourTags;
use crate::turn::Turn;
use crate::{MediaError, ReadLimits, Result};

/// The H.264 track of a file.
pub(crate) struct Track {
    /// Parameter sets, NAL units without start codes.
    pub(crate) parameter_sets: Vec<Vec<u8>>,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub(crate) length_bytes: usize,
    /// Where each sample lies in the file, in decoding order; checked against the file's size.
    pub(crate) samples: Vec<Range<usize>>,
    /// For each frame in display order, whether the edit list shows it.
    pub(crate) shown: Vec<bool>,
    /// Samples that ffmpeg keeps of the track: from the key frame that the edit begins after to the first one behind its end.
    pub(crate) indexed: usize,
    /// Frames are shown in another order than they are decoded: there are B-frames.
    pub(crate) reorders: bool,
    /// Mean frames per second.
    pub(crate) fps: f64,
    /// Clockwise turn for display.
    pub(crate) turn: Turn,
    /// Colours as the container describes them.
    pub(crate) colour: Option<ColourTags>,
}

/// Finds the first video track of `file`.
///
/// # Errors
/// `Corrupt` if a box that we need is missing or lies, `Unsupported` with the codec's name if it is not H.264.
pub(crate) fn track(path: &Path, limits: &ReadLimits, file: &[u8]) -> Result<Track> {
    let reader = Reader { path };
    let moov = reader.find(file, b"moov")?.ok_or_else(|| reader.corrupt("it has no `moov` box"))?;
    let movie_timescale = match reader.find(moov, b"mvhd")? {
        Some(mvhd) => reader.decode::<Mvhd>(mvhd)?.timescale,
        None => return Err(reader.corrupt("it has no `mvhd` box")),
    };
    for (kind, trak) in reader.children(moov)? {
        if kind != FourCC::new(b"trak") {
            continue;
        }
        let mdia = reader.need(trak, b"mdia")?;
        // Read by hand: QuickTime writes the name behind it in another way than MP4.
        if reader.need(mdia, b"hdlr")?.get(8..12) == Some(b"vide") {
            return reader.video_track(limits, file, trak, mdia, movie_timescale);
        }
    }
    Err(reader.corrupt("it has no video track"))
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn corrupt(&self, detail: impl Into<String>) -> MediaError {
        MediaError::corrupt(self.path, detail)
    }

    fn unsupported(&self, what: impl Into<String>) -> MediaError {
        MediaError::unsupported(self.path, what)
    }

    /// The boxes directly in `bytes`: kind and body.
    fn children<'b>(&self, bytes: &'b [u8]) -> Result<Vec<(FourCC, &'b [u8])>> {
        let mut rest = bytes;
        let mut children = Vec::new();
        // Fewer than 8 bytes are padding, as QuickTime writes.
        while rest.len() >= 8 {
            let header = Header::decode_maybe(&mut rest)
                .ok()
                .flatten()
                .ok_or_else(|| self.corrupt("a box header is malformed"))?;
            let size = header.size.unwrap_or(rest.len());
            let Some((body, after)) = rest.split_at_checked(size) else {
                return Err(self.corrupt(format!("the box `{}` is cut off", header.kind)));
            };
            children.push((header.kind, body));
            rest = after;
        }
        Ok(children)
    }

    fn find<'b>(&self, bytes: &'b [u8], kind: &[u8; 4]) -> Result<Option<&'b [u8]>> {
        let kind = FourCC::new(kind);
        Ok(self.children(bytes)?.into_iter().find(|(k, _)| *k == kind).map(|(_, body)| body))
    }

    fn need<'b>(&self, bytes: &'b [u8], kind: &[u8; 4]) -> Result<&'b [u8]> {
        self.find(bytes, kind)?
            .ok_or_else(|| self.corrupt(format!("it has no `{}` box", String::from_utf8_lossy(kind))))
    }

    fn decode<T: Atom>(&self, mut body: &[u8]) -> Result<T> {
        T::decode_body(&mut body)
            .map_err(|e| self.corrupt(format!("the box `{}` is malformed ({e})", T::KIND)))
    }

    fn video_track(
        &self,
        limits: &ReadLimits,
        file: &[u8],
        trak: &[u8],
        mdia: &[u8],
        movie_timescale: u32,
    ) -> Result<Track> {
        let tkhd: Tkhd = self.decode(self.need(trak, b"tkhd")?)?;
        let mdhd: Mdhd = self.decode(self.need(mdia, b"mdhd")?)?;
        let stbl = self.need(self.need(mdia, b"minf")?, b"stbl")?;
        let entry = self.sample_entry(limits, self.need(stbl, b"stsd")?)?;
        let sizes = self.decode::<Stsz>(self.need(stbl, b"stsz")?)?.samples;
        let count = match &sizes {
            StszSamples::Identical { count, .. } => *count as usize,
            StszSamples::Different { sizes } => sizes.len(),
        };
        if count == 0 {
            let fragments = self.children(file)?.iter().any(|(kind, _)| *kind == FourCC::new(b"moof"));
            return Err(if fragments {
                self.unsupported("fragmented mp4")
            } else {
                self.corrupt("its video track is empty")
            });
        }
        limits.check_clip(self.path, count, entry.width, entry.height)?;
        let samples = self.samples(file, stbl, &sizes, count)?;
        let stts: Stts = self.decode(self.need(stbl, b"stts")?)?;
        let starts = self.decode_times(&stts, count);
        let duration = starts[count];
        if duration == 0 || mdhd.timescale == 0 {
            return Err(self.corrupt("its frames have no duration"));
        }
        let fps = count as f64 * f64::from(mdhd.timescale) / duration as f64;
        let ctts: Option<Ctts> = self.find(stbl, b"ctts")?.map(|body| self.decode(body)).transpose()?;
        let times = display_times(&starts[..count], ctts.as_ref());
        let keys: Option<Stss> = self.find(stbl, b"stss")?.map(|body| self.decode(body)).transpose()?;
        let edits: Option<Elst> = match self.find(trak, b"edts")? {
            Some(edts) => self.find(edts, b"elst")?.map(|body| self.decode(body)).transpose()?,
            None => None,
        };
        let span = self.span(edits.as_ref(), mdhd.timescale, movie_timescale)?;
        let shows = |time: &i64| span.as_ref().is_none_or(|span| span.contains(&i128::from(*time)));
        // Writers round; an edit that hides everything is a broken one.
        let span = span.as_ref().filter(|_| times.iter().any(shows));
        let indexed = span.map_or(count, |span| indexed(&starts, &times, keys.as_ref(), span));
        let mut in_order = times.clone();
        in_order.sort_unstable();
        let shown = in_order.iter().map(|time| span.is_none() || shows(time)).collect();
        Ok(Track {
            parameter_sets: entry
                .avcc
                .sequence_parameter_sets
                .into_iter()
                .chain(entry.avcc.picture_parameter_sets)
                .collect(),
            length_bytes: usize::from(entry.avcc.length_size),
            samples,
            shown,
            indexed,
            reorders: !times.is_sorted(),
            fps,
            turn: turn(&tkhd),
            colour: entry.colour,
        })
    }

    fn sample_entry(&self, limits: &ReadLimits, stsd: &[u8]) -> Result<SampleEntry> {
        // Version, flags and the number of entries come first.
        let entries = self.children(stsd.get(8..).unwrap_or_default())?;
        let &(kind, mut body) = entries.first().ok_or_else(|| self.corrupt("its `stsd` box is empty"))?;
        if ![b"avc1", b"avc3"].map(FourCC::new).contains(&kind) {
            return Err(self.unsupported(codec_name(kind)));
        }
        let visual = Visual::decode(&mut body)
            .map_err(|e| self.corrupt(format!("its sample entry is malformed ({e})")))?;
        let (width, height) = (usize::from(visual.width), usize::from(visual.height));
        limits.check_clip(self.path, 1, width, height)?;
        let avcc: Avcc = self.decode(self.need(body, b"avcC")?)?;
        let colour = match self.find(body, b"colr")?.map(|colr| self.decode::<Colr>(colr)).transpose()? {
            Some(Colr::Nclx { matrix_coefficients, full_range_flag, .. }) => Some(ColourTags {
                matrix_coefficients: matrix_coefficients as u8,
                full_range: full_range_flag,
            }),
            Some(Colr::Nclc { matrix_coefficients, .. }) => {
                Some(ColourTags { matrix_coefficients: matrix_coefficients as u8, full_range: false })
            }
            _ => None,
        };
        Ok(SampleEntry { width, height, avcc, colour })
    }

    /// Follows chunks to the samples in them. `count` has passed the limits.
    fn samples(
        &self,
        file: &[u8],
        stbl: &[u8],
        sizes: &StszSamples,
        count: usize,
    ) -> Result<Vec<Range<usize>>> {
        let chunks: Vec<u64> = match self.find(stbl, b"stco")? {
            Some(stco) => self.decode::<Stco>(stco)?.entries.into_iter().map(u64::from).collect(),
            None => self.decode::<Co64>(self.need(stbl, b"co64")?)?.entries,
        };
        let runs = self.decode::<Stsc>(self.need(stbl, b"stsc")?)?.entries;
        let mut runs = runs.iter().peekable();
        let mut per_chunk = 0;
        let mut samples = Vec::with_capacity(count);
        for (number, &chunk) in (1u32..).zip(&chunks) {
            while let Some(run) = runs.next_if(|run| run.first_chunk <= number) {
                per_chunk = run.samples_per_chunk;
            }
            let mut offset = chunk;
            for _ in 0..per_chunk {
                if samples.len() == count {
                    return Ok(samples);
                }
                let size = match sizes {
                    StszSamples::Identical { size, .. } => *size,
                    StszSamples::Different { sizes } => sizes[samples.len()],
                };
                let end = offset.checked_add(u64::from(size)).filter(|&end| end <= file.len() as u64);
                let end = end.ok_or_else(|| {
                    self.corrupt(format!(
                        "frame `{}` of `{count}` lies behind the end of the file",
                        samples.len()
                    ))
                })?;
                samples.push(offset as usize..end as usize);
                offset = end;
            }
        }
        if samples.len() < count {
            return Err(self.corrupt(format!("it lists `{count}` frames but places `{}`", samples.len())));
        }
        Ok(samples)
    }

    /// When each sample is decoded, and the end: `count + 1` times.
    fn decode_times(&self, stts: &Stts, count: usize) -> Vec<u64> {
        let deltas =
            stts.entries.iter().flat_map(|e| std::iter::repeat_n(e.sample_delta, e.sample_count as usize));
        let last = stts.entries.last().map_or(0, |e| e.sample_delta);
        let mut times = Vec::with_capacity(count + 1);
        let mut time = 0;
        times.push(time);
        for delta in deltas.chain(std::iter::repeat(last)).take(count) {
            time += u64::from(delta);
            times.push(time);
        }
        times
    }

    /// What of the track an edit list shows, if it does not show all. Empty edits only delay the start.
    fn span(
        &self,
        edits: Option<&Elst>,
        timescale: u32,
        movie_timescale: u32,
    ) -> Result<Option<Range<i128>>> {
        let edits: Vec<_> = edits
            .iter()
            .flat_map(|elst| &elst.entries)
            .filter_map(|e| Some((e.media_time?, e.segment_duration)))
            .collect();
        let [(start, duration)] = edits[..] else {
            return if edits.is_empty() {
                Ok(None)
            } else {
                Err(self.unsupported("an edit list of several parts"))
            };
        };
        // A duration of zero, or a clock of zero, means to the end.
        let end = match (duration, movie_timescale) {
            (0, _) | (_, 0) => i128::MAX,
            _ => {
                i128::from(start) + i128::from(duration) * i128::from(timescale) / i128::from(movie_timescale)
            }
        };
        Ok(Some(i128::from(start)..end))
    }
}

/// How many samples ffmpeg's index has of a track of which `span` is shown: those before the last key frame at its beginning are left out,
/// and those behind the first key frame that reaches its end. `starts` are decoding times and the end, `times` display times.
fn indexed(starts: &[u64], times: &[i64], keys: Option<&Stss>, span: &Range<i128>) -> usize {
    let keys: Option<HashSet<usize>> =
        keys.map(|keys| keys.entries.iter().map(|number| *number as usize).collect());
    let is_key = |sample: usize| keys.as_ref().is_none_or(|keys| keys.contains(&(sample + 1)));
    let begins = |sample: &usize| {
        i128::from(starts[*sample]) <= span.start
            && i128::from(times[*sample]) <= span.start
            && is_key(*sample)
    };
    let first = (0..times.len()).rev().find(begins).unwrap_or(0);
    let ends = |sample: &usize| {
        let length = starts[sample + 1] - starts[*sample];
        i128::from(times[*sample]) + i128::from(length) >= span.end && is_key(*sample)
    };
    let last = (first..times.len()).find(ends).unwrap_or(times.len() - 1);
    last - first + 1
}

struct SampleEntry {
    width: usize,
    height: usize,
    avcc: Avcc,
    colour: Option<ColourTags>,
}

/// When frames are shown, in decoding order.
fn display_times(starts: &[u64], ctts: Option<&Ctts>) -> Vec<i64> {
    let offsets = ctts
        .iter()
        .flat_map(|ctts| &ctts.entries)
        .flat_map(|e| std::iter::repeat_n(e.sample_offset, e.sample_count as usize))
        .chain(std::iter::repeat(0));
    starts.iter().zip(offsets).map(|(&start, offset)| start as i64 + offset).collect()
}

/// The turn in a track's matrix; anything but quarter turns is taken for none.
fn turn(tkhd: &Tkhd) -> Turn {
    let matrix = &tkhd.matrix;
    match [matrix.a, matrix.b, matrix.c, matrix.d].map(i32::signum) {
        [0, 1, -1, 0] => Turn::Quarter,
        [-1, 0, 0, -1] => Turn::Half,
        [0, -1, 1, 0] => Turn::ThreeQuarters,
        _ => Turn::None,
    }
}

/// What people call the codec of a sample entry.
fn codec_name(kind: FourCC) -> String {
    let bytes: [u8; 4] = kind.into();
    let name = match &bytes {
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => "HEVC (H.265)",
        b"vvc1" | b"vvi1" => "VVC (H.266)",
        b"av01" => "AV1",
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"mp4v" => "MPEG-4 Part 2",
        b"s263" | b"h263" => "H.263",
        b"jpeg" | b"mjpa" | b"mjpb" => "Motion JPEG",
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "ProRes",
        b"encv" => "encrypted video",
        _ => return format!("the codec `{}`", bytes.escape_ascii()),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of decord 0.6 on twelve frames with key frames 0, 4, 8 and 10.
    #[test]
    fn samples_are_kept_from_key_frame_to_key_frame() {
        let starts: Vec<u64> = (0..=12).map(|frame| 100 * frame).collect();
        let times: Vec<i64> = (0..12).map(|frame| 100 * frame).collect();
        let keys = Stss { entries: vec![1, 5, 9, 11] };
        for (span, kept) in
            [(0..900, 9), (300..900, 9), (0..950, 11), (500..1200, 8), (0..1200, 12), (0..i128::MAX, 12)]
        {
            assert_eq!(indexed(&starts, &times, Some(&keys), &span), kept, "{span:?}");
        }
        assert_eq!(indexed(&starts, &times, Some(&Stss { entries: vec![1] }), &(300..900)), 12);
        assert_eq!(indexed(&starts, &times, None, &(300..900)), 6);
    }
}
