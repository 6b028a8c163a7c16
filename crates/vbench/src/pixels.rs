//! The bytes that the reference's two readers return for a file.
//!
//! OpenCV and decord both leave colours to swscale, which repeats chroma and computes in 16 bits. Frames of 8-bit 4:2:0
//! H.264 come out of our own decoder and equal theirs in every byte; what `ffmpeg` decodes, it converts too.

use std::path::Path;

use rayon::prelude::*;
use vidit_media::{ColourTags, ForeignVideo, MediaError, Picture, Pictures, ReadLimits, Rules, Stills, Turn};

use crate::Mode;
use crate::gif_facts::{GifFacts, gif_facts};

/// Through which of the reference's readers a dimension looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `cv2.VideoCapture`: BT.601 and no turn, whatever the file says.
    OpenCv,
    /// decord: the file's matrix and turn. Frames that an edit list hides are missing in the beginning and made up for
    /// by repeating the last one.
    Decord,
}

/// OpenCV does not look at matrix and turn, and the fixed mode does wherever the reference does not.
fn blind(reader: Reader, mode: Mode) -> bool {
    (reader, mode) == (Reader::OpenCv, Mode::Compat)
}

/// One frame of 8-bit RGB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RgbFrame {
    /// Rows.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// `[H, W, 3]`.
    pub rgb: Vec<u8>,
}

/// What is known of a file before its first frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamInfo {
    /// Whose frames these are.
    pub reader: Reader,
    /// Rows of each frame.
    pub height: usize,
    /// Pixels of each row.
    pub width: usize,
    /// Number of frames, where the container tells.
    pub frames: Option<usize>,
    /// Mean frames per second as the container tells; single pictures have none.
    pub fps: Option<f64>,
    /// Who decoded: `openh264`, `ffmpeg` or `image`.
    pub decoder: &'static str,
    /// The file's own tags, where they are known.
    pub tags: Option<ColourTags>,
    /// The code of the matrix that was used, where we convert.
    pub matrix_coefficients: Option<u8>,
    /// The frames are the pictures of a GIF or a PNG.
    pub stills: bool,
    /// Both readers return the same frames.
    pub readers_agree: bool,
    /// Every byte is what the reference's readers return; see [`PicturesInfo::exact`](vidit_media::PicturesInfo::exact).
    pub exact: bool,
}

/// The frames of a video, a GIF or a PNG, one after the other. Memory holds the file and a few frames.
pub struct FrameStream {
    source: Source,
    info: StreamInfo,
}

enum Source {
    Pictures(Box<Converted>),
    Stills(Stills),
    Foreign(ForeignVideo),
}

struct Converted {
    pictures: Pictures,
    picture: Picture,
    tables: Tables,
    turn: Turn,
    upright: Vec<u8>,
    /// How often the last frame comes again.
    repeats: usize,
    ended: bool,
}

impl FrameStream {
    /// Opens a file. Of `limits`, `pixels_max` holds for each frame, not for all together.
    ///
    /// What is built in decodes GIF, PNG and H.264 with 8 bits, 4:2:0, progressive; the rest is left to `ffmpeg`.
    ///
    /// # Errors
    /// As [`Pictures::open`], [`Stills::open`] and [`ForeignVideo::open`].
    pub fn open(path: &Path, limits: &ReadLimits, reader: Reader, mode: Mode) -> Result<Self, MediaError> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        if matches!(extension.as_deref(), Some("gif" | "png")) {
            return Ok(Self::stills(Stills::open(path, limits)?, reader, gif_facts(path, limits)));
        }
        match Pictures::open(path, limits) {
            Ok(pictures) => Ok(Self::pictures(pictures, reader, mode)),
            Err(MediaError::Unsupported { what, .. }) => {
                Self::through_ffmpeg(path, limits, reader, mode, what)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a video with the `ffmpeg` program, even if a decoder is built in: for files on which
    /// [`StreamInfo::exact`] is false. `what` names the file's format if the program is missing.
    ///
    /// # Errors
    /// As [`ForeignVideo::open`].
    pub fn through_ffmpeg(
        path: &Path,
        limits: &ReadLimits,
        reader: Reader,
        mode: Mode,
        what: String,
    ) -> Result<Self, MediaError> {
        let rules = if blind(reader, mode) { Rules::Ignored } else { Rules::Honoured };
        let video = ForeignVideo::open(path, limits, what, rules)?;
        let (width, height) = video.size();
        let info = StreamInfo {
            reader,
            height,
            width,
            frames: None,
            fps: Some(video.fps()),
            decoder: "ffmpeg",
            tags: None,
            matrix_coefficients: None,
            stills: false,
            readers_agree: false,
            exact: !video.is_deep(),
        };
        Ok(Self { source: Source::Foreign(video), info })
    }

    fn pictures(pictures: Pictures, reader: Reader, mode: Mode) -> Self {
        let blind = blind(reader, mode);
        let of = *pictures.info();
        let turn = if blind { Turn::None } else { of.turn };
        let tags = match blind {
            true => ColourTags { matrix_coefficients: ColourTags::UNSAID, ..of.colour },
            false => of.colour,
        };
        let (width, height) = turn.size(of.width, of.height);
        let repeats = match (reader, mode) {
            (Reader::Decord, Mode::Compat) => of.indexed.saturating_sub(of.shown),
            _ => 0,
        };
        let info = StreamInfo {
            reader,
            height,
            width,
            frames: Some(of.shown + repeats),
            fps: Some(of.fps),
            decoder: "openh264",
            tags: Some(of.colour),
            matrix_coefficients: Some(tags.matrix_coefficients),
            stills: false,
            readers_agree: of.turn == Turn::None
                && of.coded == of.shown
                && coefficients(of.colour.matrix_coefficients) == coefficients(ColourTags::UNSAID),
            exact: of.exact,
        };
        let source = Source::Pictures(Box::new(Converted {
            pictures,
            picture: Picture::default(),
            tables: Tables::new(tags),
            turn,
            upright: Vec::new(),
            repeats,
            ended: false,
        }));
        Self { source, info }
    }

    /// What is known of a GIF is `gif`; of a PNG there is nothing to know.
    fn stills(stills: Stills, reader: Reader, gif: Option<GifFacts>) -> Self {
        let (width, height) = stills.size();
        let info = StreamInfo {
            reader,
            height,
            width,
            frames: None,
            fps: gif.and_then(|gif| gif.fps),
            decoder: "image",
            tags: None,
            matrix_coefficients: None,
            stills: true,
            readers_agree: true,
            exact: gif.is_none_or(|gif| gif.opaque),
        };
        Self { source: Source::Stills(stills), info }
    }

    /// What is known before the first frame.
    pub fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// Number of frames from here to the end, found by reading them all.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn count(mut self) -> Result<usize, MediaError> {
        let (mut frame, mut count) = (RgbFrame::default(), 0);
        while self.read(&mut frame)? {
            count += 1;
        }
        Ok(count)
    }

    /// Puts the next frame into `frame`, keeping its memory; false at the end, which leaves `frame` as it was or empty.
    ///
    /// # Errors
    /// The file is damaged, uses what the decoder lacks, or holds more frames than the limits allow.
    pub fn read(&mut self, frame: &mut RgbFrame) -> Result<bool, MediaError> {
        (frame.height, frame.width) = (self.info.height, self.info.width);
        match &mut self.source {
            Source::Pictures(converted) => converted.read(&mut frame.rgb),
            Source::Stills(stills) => stills.read(&mut frame.rgb),
            Source::Foreign(video) => video.read(&mut frame.rgb),
        }
    }
}

impl Iterator for FrameStream {
    type Item = Result<RgbFrame, MediaError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut frame = RgbFrame::default();
        self.read(&mut frame).map(|found| found.then_some(frame)).transpose()
    }
}

impl Converted {
    fn read(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        self.ended = self.ended || !self.pictures.read(&mut self.picture)?;
        if self.ended {
            if self.repeats == 0 {
                return Ok(false);
            }
            self.repeats -= 1;
        }
        rgb.resize(self.picture.width * self.picture.height * 3, 0);
        if self.turn == Turn::None {
            self.tables.convert(&self.picture, rgb);
        } else {
            self.upright.resize(rgb.len(), 0);
            self.tables.convert(&self.picture, &mut self.upright);
            self.turn.apply(&self.upright, self.picture.width, rgb);
        }
        Ok(true)
    }
}

/// Red by Cr, blue by Cb, green by Cb and by Cr (both to be subtracted), in 16.16 for limited range: swscale's table, by
/// the code of the matrix. They are 2 (1 − Kr) · 255/224 and so on, but for codes 4 and 7 not to the last digit.
fn coefficients(matrix_coefficients: u8) -> [i64; 4] {
    match matrix_coefficients {
        1 => [117_489, 138_438, 13_975, 34_925],
        4 => [104_448, 132_798, 24_759, 53_109],
        7 => [117_579, 136_230, 16_907, 35_559],
        9 | 10 => [110_013, 140_363, 12_277, 42_626],
        _ => [104_597, 132_201, 25_675, 53_279],
    }
}

/// What each code adds to a colour: the products of swscale's 16-bit path, in which a value of 8 · code is multiplied by
/// a coefficient in 2.13 and the upper 16 bits are kept.
struct Tables {
    luma: [i16; 256],
    cr_to_r: [i16; 256],
    cb_to_b: [i16; 256],
    cb_to_g: [i16; 256],
    cr_to_g: [i16; 256],
}

impl Tables {
    fn new(tags: ColourTags) -> Self {
        const ONE: i64 = 1 << 16;
        let [cr_to_r, cb_to_b, cb_to_g, cr_to_g] = coefficients(tags.matrix_coefficients);
        // Chroma of full range spans 255 codes instead of 224.
        let range = |x: i64| if tags.full_range { x * 224 / 255 } else { x };
        let (luma, black) = if tags.full_range { (ONE, 0) } else { (ONE * 255 / 219, 16) };
        let table = |coefficient: i64, zero: i64| {
            let coefficient = (coefficient * (1 << 13) + (1 << 15)) >> 16;
            std::array::from_fn(|code| ((8 * (code as i64 - zero) * coefficient) >> 16) as i16)
        };
        Self {
            luma: table(luma, black),
            cr_to_r: table(range(cr_to_r), 128),
            cb_to_b: table(range(cb_to_b), 128),
            cb_to_g: table(-range(cb_to_g), 128),
            cr_to_g: table(-range(cr_to_g), 128),
        }
    }

    /// Writes `[H, W, 3]`; each sample of chroma serves the four pixels of its block.
    fn convert(&self, picture: &Picture, rgb: &mut [u8]) {
        let (width, chroma) = (picture.width, picture.width.div_ceil(2));
        let rows = rgb.par_chunks_mut(width * 6).zip(picture.luma.par_chunks(width * 2));
        let chroma_rows = picture.cb.par_chunks(chroma).zip(picture.cr.par_chunks(chroma));
        rows.zip(chroma_rows).for_each(|((rgb, luma), (cb, cr))| {
            for (rgb, luma) in rgb.chunks_exact_mut(width * 3).zip(luma.chunks_exact(width)) {
                let blocks = rgb.chunks_mut(6).zip(luma.chunks(2));
                for ((rgb, luma), (&cb, &cr)) in blocks.zip(cb.iter().zip(cr)) {
                    let red = self.cr_to_r[usize::from(cr)];
                    let green = self.cb_to_g[usize::from(cb)] + self.cr_to_g[usize::from(cr)];
                    let blue = self.cb_to_b[usize::from(cb)];
                    for (rgb, &luma) in rgb.chunks_exact_mut(3).zip(luma) {
                        let luma = self.luma[usize::from(luma)];
                        rgb[0] = (luma + red).clamp(0, 255) as u8;
                        rgb[1] = (luma + green).clamp(0, 255) as u8;
                        rgb[2] = (luma + blue).clamp(0, 255) as u8;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::golden;
    use crate::hash::hexadecimal;

    /// Frames, and the SHA-256 of their bytes.
    fn digest(name: &str, reader: Reader, mode: Mode) -> (StreamInfo, usize, String) {
        let mut stream =
            FrameStream::open(&golden::path(name), &ReadLimits::default(), reader, mode).unwrap();
        let (mut sha, mut count, mut frame) = (Sha256::new(), 0, RgbFrame::default());
        while stream.read(&mut frame).unwrap() {
            assert_eq!(frame.rgb.len(), frame.width * frame.height * 3);
            sha.update(&frame.rgb);
            count += 1;
        }
        assert!(!stream.read(&mut frame).unwrap(), "an ended stream stays ended");
        (*stream.info(), count, hexadecimal(&sha.finalize()))
    }

    #[test]
    fn frames_are_those_of_opencv_and_decord_to_the_byte() {
        let expected = golden::clips();
        for name in ["earth.mp4", "earth_709.mp4"] {
            let clip = &expected[name];
            for (reader, key) in [(Reader::OpenCv, "opencv"), (Reader::Decord, "decord")] {
                let (info, count, sha) = digest(name, reader, Mode::Compat);
                assert_eq!(sha, clip[key], "{name} through {key}");
                assert_eq!((info.height as u64, info.width as u64), golden::size(clip));
                assert_eq!((Some(count), Some(count as u64)), (info.frames, clip["frames"].as_u64()));
                assert_eq!(info.fps, clip["fps"].as_f64());
                assert!(info.exact && info.decoder == "openh264");
            }
            // What is tagged is the same for both readers once the tag is honoured by both.
            let fixed = [Reader::OpenCv, Reader::Decord].map(|reader| digest(name, reader, Mode::Fixed).2);
            assert_eq!(fixed, [&clip["decord"], &clip["decord"]].map(|sha| sha.as_str().unwrap()), "{name}");
        }
        assert!(digest("earth.mp4", Reader::OpenCv, Mode::Compat).0.readers_agree);
        assert!(!digest("earth_709.mp4", Reader::OpenCv, Mode::Compat).0.readers_agree);
    }

    #[test]
    fn a_gif_gives_every_picture_once() {
        let expected = &golden::clips()["earth.gif"];
        let (info, count, sha) = digest("earth.gif", Reader::Decord, Mode::Compat);
        assert_eq!(sha, expected["pil"]);
        assert_eq!((Some(count as u64), info.fps), (expected["frames"].as_u64(), Some(9.375)));
        assert!(info.exact && info.stills);
    }

    #[test]
    fn b_frames_are_told_of() {
        let (info, count, _) = digest("earth_b.mp4", Reader::Decord, Mode::Compat);
        assert_eq!(count, 10);
        assert!(!info.exact);
    }

    #[test]
    fn matrices_and_ranges_have_their_white_black_and_primaries() {
        let picture = |codes: [u8; 3]| Picture {
            width: 2,
            height: 2,
            luma: vec![codes[0]; 4],
            cb: vec![codes[1]],
            cr: vec![codes[2]],
        };
        for (matrix, full_range, codes, expected) in [
            (2, false, [235, 128, 128], [255, 255, 255]),
            (2, false, [16, 128, 128], [0, 0, 0]),
            (2, true, [255, 128, 128], [255, 255, 255]),
            (2, true, [0, 128, 128], [0, 0, 0]),
            // ITU-R BT.601 and BT.709: red at full saturation.
            (6, false, [81, 90, 240], [254, 0, 0]),
            (1, false, [63, 102, 240], [255, 0, 0]),
        ] {
            // Products round down.
            const TOLERANCE: u8 = 1;
            let tags = ColourTags { matrix_coefficients: matrix, full_range };
            let mut rgb = [9; 12];
            Tables::new(tags).convert(&picture(codes), &mut rgb);
            for (found, expected) in rgb.iter().zip(expected.iter().cycle()) {
                assert!(found.abs_diff(*expected) <= TOLERANCE, "{tags:?} {codes:?}: {rgb:?}");
            }
        }
    }

    #[test]
    fn damaged_clips_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let file = std::fs::read(golden::path("earth_709.mp4")).unwrap();
        for length in [0, 7, 40, file.len() / 2, file.len() - 1] {
            std::fs::write(&path, &file[..length]).unwrap();
            let opened = FrameStream::open(&path, &ReadLimits::default(), Reader::OpenCv, Mode::Compat);
            let outcome = opened.and_then(|stream| stream.collect::<Result<Vec<_>, _>>());
            assert!(outcome.is_err(), "{length} bytes were accepted");
        }
        let tight = ReadLimits { side_max: 159, ..Default::default() };
        let path = golden::path("earth_709.mp4");
        let refused = FrameStream::open(&path, &tight, Reader::OpenCv, Mode::Compat).err();
        assert!(matches!(refused, Some(MediaError::Limit { .. })));
    }
}
