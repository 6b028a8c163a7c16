//! H.264 pictures as they were coded, one after the other.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use openh264::formats::YUVSource;

use crate::colour::ColourTags;
use crate::h264::Units;
use crate::mp4::demux::{self, Track};
use crate::read::{Kind, read_file};
use crate::turn::Turn;
use crate::{MediaError, ReadLimits, Result};

/// One 8-bit 4:2:0 picture: what the decoder made, before any conversion of colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Shown pixels of a row; even.
    pub width: usize,
    /// Shown rows; even.
    pub height: usize,
    /// Luma, `[H, W]`.
    pub luma: Vec<u8>,
    /// Blue difference, `[H / 2, W / 2]`.
    pub cb: Vec<u8>,
    /// Red difference, `[H / 2, W / 2]`.
    pub cr: Vec<u8>,
}

impl Picture {
    /// Takes what is shown, keeping the memory.
    fn copy_from(&mut self, source: &impl YUVSource) {
        (self.width, self.height) = source.dimensions();
        let (luma_stride, cb_stride, cr_stride) = source.strides();
        let chroma = self.width.div_ceil(2);
        for (to, from, stride, width, height) in [
            (&mut self.luma, source.y(), luma_stride, self.width, self.height),
            (&mut self.cb, source.u(), cb_stride, chroma, self.height.div_ceil(2)),
            (&mut self.cr, source.v(), cr_stride, chroma, self.height.div_ceil(2)),
        ] {
            to.clear();
            from.chunks(stride).take(height).for_each(|row| to.extend(&row[..width]));
        }
    }
}

/// What is known before the first picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PicturesInfo {
    /// Pixels of a row as coded, before the turn.
    pub width: usize,
    /// Rows as coded, before the turn.
    pub height: usize,
    /// Pictures that the edit list shows.
    pub shown: usize,
    /// Pictures in the file.
    pub coded: usize,
    /// Samples in ffmpeg's index of the track: those from the key frame that the edit begins after to the first one behind its end.
    pub indexed: usize,
    /// Mean frames per second.
    pub fps: f64,
    /// How colours are meant.
    pub colour: ColourTags,
    /// How the camera was held.
    pub turn: Turn,
    /// Every byte is what H.264 says. With B-frames a few are not: openh264 2.6 compares the references of their blocks
    /// list by list when it decides how much to smooth an edge, where 8.7.2.1 asks for the pictures. Found
    /// over 33 encodes: at most 1 byte of RGB in 390, by at most 9 levels.
    pub exact: bool,
}

/// The pictures of an MP4 or MOV file with H.264, in display order. Memory holds the file and a few pictures.
pub struct Pictures {
    path: PathBuf,
    limits: ReadLimits,
    file: Vec<u8>,
    track: Track,
    units: Units,
    info: PicturesInfo,
    next_sample: usize,
    /// Pictures that came out, shown or not.
    decoded: usize,
    flushed: bool,
    waiting: VecDeque<Picture>,
}

impl Pictures {
    /// Opens a file. Of `limits`, `pixels_max` holds for each picture, not for all together.
    ///
    /// # Errors
    /// The file is missing, too large, damaged, or (`Unsupported`) not H.264 with 8 bits, 4:2:0, progressive.
    pub fn open(path: &Path, limits: &ReadLimits) -> Result<Self> {
        let file = read_file(path, limits)?;
        match Kind::of(&file) {
            Kind::Mp4 => {}
            Kind::Other(what) => return Err(MediaError::unsupported(path, what)),
            _ => return Err(MediaError::unsupported(path, "a picture or an animation as a video")),
        }
        let each = ReadLimits { pixels_max: u64::MAX, ..*limits };
        let track = demux::track(path, &each, &file)?;
        let units = Units::new(path, &each, &track.parameter_sets, track.length_bytes, track.samples.len())?;
        let (width, height) = units.size();
        limits.check_clip(path, 1, width, height)?;
        let info = PicturesInfo {
            width,
            height,
            shown: track.shown.iter().filter(|&&shown| shown).count(),
            coded: track.samples.len(),
            indexed: track.indexed,
            fps: track.fps,
            colour: units.colour(track.colour),
            turn: track.turn,
            exact: !track.reorders,
        };
        let path = path.to_owned();
        let (next_sample, decoded, flushed, waiting) = (0, 0, false, VecDeque::new());
        Ok(Self { path, limits: each, file, track, units, info, next_sample, decoded, flushed, waiting })
    }

    /// What is known before the first picture.
    pub fn info(&self) -> &PicturesInfo {
        &self.info
    }

    /// Puts the next picture that is shown into `picture`; false at the end.
    ///
    /// # Errors
    /// The stream is damaged, or uses what the decoder lacks.
    pub fn read(&mut self, picture: &mut Picture) -> Result<bool> {
        while self.advance(picture)? {
            self.decoded += 1;
            if (picture.width, picture.height) != (self.info.width, self.info.height)
                || self.decoded > self.info.coded
            {
                return Err(MediaError::corrupt(&self.path, "its pictures do not fit its headers"));
            }
            if self.track.shown[self.decoded - 1] {
                return Ok(true);
            }
        }
        if self.decoded < self.info.coded {
            let (found, expected) = (self.decoded, self.info.coded);
            let what = format!("the H.264 stream (`{found}` of `{expected}` frames came out)");
            return Err(MediaError::unsupported(&self.path, what));
        }
        Ok(false)
    }

    /// The next picture of the decoder.
    fn advance(&mut self, picture: &mut Picture) -> Result<bool> {
        while let Some(range) = self.track.samples.get(self.next_sample) {
            self.next_sample += 1;
            let sample = &self.file[range.clone()];
            if let Some(decoded) = self.units.decode(&self.path, &self.limits, sample)? {
                picture.copy_from(&decoded);
                return Ok(true);
            }
        }
        if !self.flushed {
            self.flushed = true;
            for decoded in &self.units.flush(&self.path)? {
                let mut rest = Picture::default();
                rest.copy_from(decoded);
                self.waiting.push_back(rest);
            }
        }
        Ok(self.waiting.pop_front().map(|rest| *picture = rest).is_some())
    }
}
