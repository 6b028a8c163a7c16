use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use vidit_video::{Frames, PixelShape};

use crate::mp4::demux;
use crate::turn::Turn;
use crate::{Coded, MediaError, ReadLimits, Result, ffmpeg, h264, jpeg};

/// Frames per second of a [`Clip`] from a source that has no time: an image or a folder of frames.
pub const UNTIMED_FPS: f64 = 24.0;

/// What an animation shows that gives no delays; browsers agree on a tenth of a second.
const DELAYLESS_FPS: f64 = 10.0;

/// A clip that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// The pictures; alpha is dropped, turns are applied.
    pub frames: Frames,
    /// Mean frames per second; [`UNTIMED_FPS`] if the source has no time.
    pub fps: f64,
}

/// Reads a video, an animation, an image (one frame) or a folder of images, whatever its name ends in.
///
/// Built in are MP4 and MOV with H.264 (8 bit 4:2:0, progressive), GIF, WebP, PNG and JPEG. For everything else the
/// `ffmpeg` program is asked if it is on `PATH`.
///
/// # Errors
/// The file is missing, larger than `limits`, damaged, or in a format that neither we nor `ffmpeg` read.
pub fn read_video(path: &Path, limits: &ReadLimits) -> Result<Clip> {
    read_with(path, limits, ffmpeg::PROGRAM)
}

/// Reads one picture as it is stored: no orientation turns it, alpha is dropped, and a JPEG is what libjpeg, and so Pillow's
/// `convert("RGB")`, makes of it to the bit.
///
/// # Errors
/// The file is missing, larger than `limits`, damaged, or no PNG, JPEG or WebP; or a JPEG is in CMYK.
pub fn read_picture(path: &Path, limits: &ReadLimits) -> Result<Frames> {
    let file = read_file(path, limits)?;
    match Kind::of(&file) {
        Kind::Image(ImageFormat::Jpeg) => jpeg::decode(path, limits, &file),
        Kind::Image(format) => read_image(path, limits, &file, format, Turned::AsStored),
        Kind::WebP => read_image(path, limits, &file, ImageFormat::WebP, Turned::AsStored),
        _ => Err(MediaError::corrupt(path, "expected one PNG, JPEG or WebP picture")),
    }
}

/// [`read_video`], and of an mp4 whose frames are one sample each, in order, those samples, for a file that holds them again
/// ([`WriteOptions::sources`](crate::WriteOptions)).
///
/// # Errors
/// As [`read_video`].
pub fn read_coded(path: &Path, limits: &ReadLimits) -> Result<(Clip, Option<Coded>)> {
    if !fs::metadata(path).map_err(|e| MediaError::reading(path, e))?.is_dir() {
        let file = read_file(path, limits)?;
        if Kind::of(&file) == Kind::Mp4
            && let Ok(track) = demux::track(path, limits, &file)
            && let Ok(clip) = read_mp4(path, limits, &file)
        {
            let coded = Coded::of(&file, &track, &clip.frames);
            return Ok((clip, coded));
        }
    }
    Ok((read_video(path, limits)?, None))
}

/// [`read_video`] with the name of the program for what is not built in.
pub(crate) fn read_with(path: &Path, limits: &ReadLimits, program: &str) -> Result<Clip> {
    if fs::metadata(path).map_err(|e| MediaError::reading(path, e))?.is_dir() {
        return read_folder(path, limits);
    }
    let file = read_file(path, limits)?;
    match read_built_in(path, limits, &file) {
        Err(MediaError::Unsupported { what, .. }) => {
            drop(file);
            ffmpeg::read(path, limits, program, what)
        }
        Err(undecodable @ MediaError::Undecodable { .. }) => {
            drop(file);
            match ffmpeg::read(path, limits, program, "its stream".to_owned()) {
                Err(MediaError::Unsupported { .. }) => Err(undecodable),
                outcome => outcome,
            }
        }
        outcome => outcome,
    }
}

fn read_built_in(path: &Path, limits: &ReadLimits, file: &[u8]) -> Result<Clip> {
    match Kind::of(file) {
        Kind::Mp4 => read_mp4(path, limits, file),
        Kind::Gif => read_gif(path, limits, file),
        Kind::WebP => read_webp(path, limits, file),
        Kind::Image(format) => {
            let image = read_image(path, limits, file, format, Turned::AsHeld)?;
            Ok(Clip { frames: image, fps: UNTIMED_FPS })
        }
        Kind::Other(what) => Err(MediaError::unsupported(path, what)),
    }
}

/// All bytes of a file that is not empty.
pub(crate) fn read_file(path: &Path, limits: &ReadLimits) -> Result<Vec<u8>> {
    let failed = |e| MediaError::reading(path, e);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    limits.check_bytes(path, size)?;
    let mut bytes = Vec::with_capacity(size as usize);
    // The size of a pipe or a growing file is not what its metadata says.
    file.take(limits.file_bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    limits.check_bytes(path, bytes.len() as u64)?;
    if bytes.is_empty() {
        return Err(MediaError::corrupt(path, "the file is empty"));
    }
    Ok(bytes)
}

/// What the first bytes of a file say that it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mp4,
    Gif,
    WebP,
    Image(ImageFormat),
    Other(&'static str),
}

impl Kind {
    pub(crate) fn of(file: &[u8]) -> Self {
        const BOXES: [&[u8]; 7] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"];
        if let (Some(kind), Some(brand)) = (file.get(4..8), file.get(8..12).or(Some(&[])))
            && BOXES.contains(&kind)
        {
            return match brand {
                b"heic" | b"heix" | b"mif1" | b"msf1" => Self::Other("HEIF"),
                b"avif" | b"avis" => Self::Other("AVIF"),
                _ => Self::Mp4,
            };
        }
        let starts = |magic: &[u8]| file.starts_with(magic);
        let riff = |form: &[u8]| starts(b"RIFF") && file.get(8..12) == Some(form);
        if starts(b"GIF8") {
            Self::Gif
        } else if riff(b"WEBP") {
            Self::WebP
        } else if starts(b"\x89PNG\r\n\x1a\n") {
            Self::Image(ImageFormat::Png)
        } else if starts(b"\xff\xd8\xff") {
            Self::Image(ImageFormat::Jpeg)
        } else if starts(b"\x1a\x45\xdf\xa3") {
            Self::Other("Matroska or WebM")
        } else if riff(b"AVI ") {
            Self::Other("AVI")
        } else if starts(b"FLV") {
            Self::Other("FLV")
        } else if starts(b"OggS") {
            Self::Other("Ogg")
        } else if starts(b"YUV4MPEG2") {
            Self::Other("YUV4MPEG2")
        } else if starts(b"\x47") && file.get(188) == Some(&0x47) {
            Self::Other("an MPEG transport stream")
        } else if starts(b"\x00\x00\x01\xba") {
            Self::Other("an MPEG program stream")
        } else {
            Self::Other("its format")
        }
    }
}

fn read_mp4(path: &Path, limits: &ReadLimits, file: &[u8]) -> Result<Clip> {
    let track = demux::track(path, limits, file)?;
    let samples = track.samples.iter().map(|range| &file[range.clone()]);
    let frames =
        h264::decode(path, limits, &track.parameter_sets, track.length_bytes, samples, track.colour)?;
    let frames = turned(shown(frames, &track.shown), track.turn);
    Ok(Clip { frames, fps: track.fps })
}

/// The frames that are marked.
fn shown(frames: Frames, marks: &[bool]) -> Frames {
    let shape = frames.shape();
    let kept: Vec<_> = (0..shape.frames).filter(|&index| marks[index]).collect();
    if kept.len() == shape.frames {
        return frames;
    }
    let rgb = kept.iter().flat_map(|&index| frames.frame(index)).copied().collect();
    Frames::from_rgb(PixelShape { frames: kept.len(), ..shape }, rgb)
}

fn turned(frames: Frames, turn: Turn) -> Frames {
    let PixelShape { frames: count, height, width } = frames.shape();
    if turn == Turn::None {
        return frames;
    }
    let (new_width, new_height) = turn.size(width, height);
    let mut to = Frames::black(PixelShape::new(count, new_height, new_width));
    for index in 0..count {
        turn.apply(frames.frame(index), width, to.frame_mut(index));
    }
    to
}

fn read_gif(path: &Path, limits: &ReadLimits, file: &[u8]) -> Result<Clip> {
    let damaged = |e: image::ImageError| MediaError::corrupt(path, format!("the GIF is malformed ({e})"));
    let mut decoder = GifDecoder::new(Cursor::new(file)).map_err(damaged)?;
    let size = checked_size(path, limits, &mut decoder)?;
    animation(path, limits, size, decoder.into_frames(), damaged)
}

fn read_webp(path: &Path, limits: &ReadLimits, file: &[u8]) -> Result<Clip> {
    let damaged = |e: image::ImageError| MediaError::corrupt(path, format!("the WebP is malformed ({e})"));
    // The decoder takes an animation that is cut off for a shorter one.
    let claimed =
        file.get(4..8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from(u32::from_le_bytes(*b)));
    if claimed + 8 > file.len() as u64 {
        return Err(MediaError::corrupt(path, "the WebP is cut off"));
    }
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(damaged)?;
    let size = checked_size(path, limits, &mut decoder)?;
    if decoder.has_animation() {
        return animation(path, limits, size, decoder.into_frames(), damaged);
    }
    Ok(Clip { frames: read_image(path, limits, file, ImageFormat::WebP, Turned::AsHeld)?, fps: UNTIMED_FPS })
}

/// Width and height, after both sides have passed the limits.
pub(crate) fn checked_size(
    path: &Path,
    limits: &ReadLimits,
    decoder: &mut impl ImageDecoder,
) -> Result<(usize, usize)> {
    let (width, height) = decoder.dimensions();
    limits.check_clip(path, 1, width as usize, height as usize)?;
    let _ = decoder.set_limits(decoder_limits(limits));
    Ok((width as usize, height as usize))
}

fn decoder_limits(limits: &ReadLimits) -> Limits {
    let side = u32::try_from(limits.side_max).unwrap_or(u32::MAX);
    let mut decoder_limits = Limits::default();
    decoder_limits.max_image_width = Some(side);
    decoder_limits.max_image_height = Some(side);
    // 16-bit RGBA is 8 bytes a pixel; the decoders keep up to two pictures.
    decoder_limits.max_alloc = Some(limits.pixels_max.saturating_mul(16));
    decoder_limits
}

fn animation(
    path: &Path,
    limits: &ReadLimits,
    (width, height): (usize, usize),
    pictures: image::Frames<'_>,
    damaged: impl Fn(image::ImageError) -> MediaError,
) -> Result<Clip> {
    let mut rgb = Vec::new();
    let mut delays = Vec::new();
    for picture in pictures {
        let picture = picture.map_err(&damaged)?;
        limits.check_clip(path, delays.len() + 1, width, height)?;
        let (numerator, denominator) = picture.delay().numer_denom_ms();
        delays.push(f64::from(numerator) / f64::from(denominator.max(1)));
        let pixels = picture.into_buffer();
        if pixels.dimensions() != (width as u32, height as u32) {
            return Err(MediaError::corrupt(path, "its pictures do not fit its canvas"));
        }
        rgb.extend(pixels.chunks_exact(4).flat_map(|pixel| &pixel[..3]));
    }
    if delays.is_empty() {
        return Err(MediaError::corrupt(path, "it holds no pictures"));
    }
    let repeats = repeats(&delays);
    let count = repeats.iter().fold(0usize, |count, &repeats| count.saturating_add(repeats));
    limits.check_clip(path, count, width, height)?;
    let milliseconds: f64 = delays.iter().sum();
    let fps = match (count, milliseconds > 0.0) {
        (1, false) => UNTIMED_FPS,
        (_, false) => DELAYLESS_FPS,
        (_, true) => count as f64 * 1000.0 / milliseconds,
    };
    if count > delays.len() {
        let pictures = rgb.chunks_exact(width * height * 3).zip(repeats);
        rgb = pictures
            .flat_map(|(picture, repeats)| std::iter::repeat_n(picture, repeats))
            .flatten()
            .copied()
            .collect();
    }
    Ok(Clip { frames: Frames::from_rgb(PixelShape::new(count, height, width), rgb), fps })
}

/// How often each picture is a frame at one rate for all. Encoders merge frames that are alike into a longer one.
fn repeats(delays: &[f64]) -> Vec<usize> {
    let shortest = delays.iter().copied().filter(|&delay| delay > 0.0).fold(f64::INFINITY, f64::min);
    delays.iter().map(|delay| ((delay / shortest).round() as usize).max(1)).collect()
}

/// Which way is up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turned {
    /// As the camera was held.
    AsHeld,
    /// As the rows are stored.
    AsStored,
}

fn read_image(
    path: &Path,
    limits: &ReadLimits,
    file: &[u8],
    format: ImageFormat,
    turned: Turned,
) -> Result<Frames> {
    let damaged = |e: image::ImageError| MediaError::corrupt(path, format!("the image is malformed ({e})"));
    let mut decoder = ImageReader::with_format(Cursor::new(file), format).into_decoder().map_err(damaged)?;
    checked_size(path, limits, &mut decoder)?;
    // Cameras write the sensor's rows and say how the camera was held.
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    if turned == Turned::AsHeld {
        image.apply_orientation(orientation);
    }
    let image = image.into_rgb8();
    let shape = PixelShape::new(1, image.height() as usize, image.width() as usize);
    Ok(Frames::from_rgb(shape, image.into_raw()))
}

/// Images of one size, ordered by the number in their name.
fn read_folder(path: &Path, limits: &ReadLimits) -> Result<Clip> {
    let failed = |e| MediaError::reading(path, e);
    let mut images = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let image = entry.map_err(failed)?.path();
        if is_image(&image) {
            images.push(image);
            limits.check_clip(path, images.len(), 0, 0)?;
        }
    }
    if images.is_empty() {
        return Err(MediaError::corrupt(path, "the folder holds no .png, .jpg or .webp images"));
    }
    images.sort_by_cached_key(|image| (trailing_number(image), image.clone()));
    let mut rgb: Vec<u8> = Vec::new();
    let mut size: Option<PixelShape> = None;
    let mut bytes = 0;
    for image_path in &images {
        let file = read_file(image_path, limits)?;
        bytes += file.len() as u64;
        limits.check_bytes(path, bytes)?;
        let format = match Kind::of(&file) {
            Kind::Image(format) => format,
            Kind::WebP => ImageFormat::WebP,
            _ => return Err(MediaError::corrupt(image_path, "it is not a PNG, JPEG or WebP image")),
        };
        let image = read_image(image_path, limits, &file, format, Turned::AsHeld)?;
        let shape = image.shape();
        match size {
            None => {
                limits.check_clip(path, images.len(), shape.width, shape.height)?;
                size = Some(shape);
            }
            Some(first) if first != shape => {
                let detail = format!(
                    "it is {}x{}, but the frames before it are {}x{}",
                    shape.width, shape.height, first.width, first.height
                );
                return Err(MediaError::corrupt(image_path, detail));
            }
            Some(_) => {}
        }
        rgb.extend(image.rgb());
    }
    let shape = size.map_or(PixelShape::new(0, 0, 0), |s| PixelShape { frames: images.len(), ..s });
    Ok(Clip { frames: Frames::from_rgb(shape, rgb), fps: UNTIMED_FPS })
}

fn is_image(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    !hidden && matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg" | "webp"))
}

/// The digits at the end of a stem, so that `frame10` comes after `frame9`.
fn trailing_number(path: &Path) -> Option<u128> {
    let stem = path.file_stem()?.to_str()?;
    let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    stem[stem.len() - digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::fixtures::gradient;
    use crate::{WriteOptions, write_video};

    fn written(dir: &Path, name: &str, shape: PixelShape) -> PathBuf {
        let path = dir.join(name);
        write_video(&gradient(shape), 10, &path, &WriteOptions::default()).unwrap();
        path
    }

    #[test]
    fn each_limit_is_enforced_for_each_format() {
        let dir = tempfile::tempdir().unwrap();
        let exact =
            ReadLimits { file_bytes_max: 1 << 20, frames_max: 4, side_max: 48, pixels_max: 4 * 32 * 48 };
        for name in ["a.mp4", "a.gif", "a.webp", "frames"] {
            let path = written(dir.path(), name, PixelShape::new(4, 32, 48));
            read_with(&path, &exact, "vidit-no-such-program").unwrap();
            for tight in [
                ReadLimits { file_bytes_max: 100, ..exact },
                ReadLimits { frames_max: 3, ..exact },
                ReadLimits { side_max: 47, ..exact },
                ReadLimits { pixels_max: 4 * 32 * 48 - 1, ..exact },
            ] {
                let error = read_with(&path, &tight, "vidit-no-such-program").unwrap_err();
                assert!(matches!(error, MediaError::Limit { .. }), "{name}: {error}");
            }
        }
    }

    #[test]
    fn damaged_files_of_every_format_are_errors_without_panic() {
        let dir = tempfile::tempdir().unwrap();
        let limits = ReadLimits { side_max: 256, pixels_max: 1 << 20, ..Default::default() };
        for (name, frames) in [("a.gif", 3), ("a.webp", 3), ("a.png", 1)] {
            let path = written(dir.path(), name, PixelShape::new(frames, 24, 24));
            let file = fs::read(&path).unwrap();
            for at in (0..file.len()).step_by(1 + file.len() / 200) {
                let mut damaged = file.clone();
                damaged[at] ^= 0xff;
                fs::write(&path, &damaged).unwrap();
                let _ = read_with(&path, &limits, "vidit-no-such-program");
                // The tail of a GIF may be missing without harm; the head of none.
                fs::write(&path, &file[..at / 2]).unwrap();
                assert!(
                    read_with(&path, &limits, "vidit-no-such-program").is_err(),
                    "{name} cut at {}",
                    at / 2
                );
            }
        }
    }

    #[test]
    fn other_things_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let limits = ReadLimits::default();
        let missing = read_video(&dir.path().join("none.mp4"), &limits).unwrap_err();
        assert!(matches!(missing, MediaError::NotFound { .. }), "{missing}");
        let empty = read_video(dir.path(), &limits).unwrap_err();
        assert!(empty.to_string().contains("no .png"), "{empty}");
        let text = dir.path().join("text.mp4");
        fs::write(&text, "this is no video").unwrap();
        let error = read_with(&text, &limits, "vidit-no-such-program").unwrap_err();
        assert!(matches!(error, MediaError::Unsupported { .. }), "{error}");
    }

    #[test]
    fn folders_are_read_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for (name, grey) in [("f10.png", 100), ("f9.png", 90), ("f2.png", 20)] {
            let image = image::RgbImage::from_pixel(4, 3, image::Rgb([grey; 3]));
            image.save(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        let clip = read_video(dir.path(), &ReadLimits::default()).unwrap();
        assert_eq!(clip.frames.shape(), PixelShape::new(3, 3, 4));
        assert_eq!([0, 1, 2].map(|i| clip.frames.frame(i)[0]), [20, 90, 100]);
        image::RgbImage::new(5, 3).save(dir.path().join("f11.png")).unwrap();
        let mixed = read_video(dir.path(), &ReadLimits::default()).unwrap_err();
        assert!(mixed.to_string().contains("5x3") && mixed.to_string().contains("4x3"), "{mixed}");
    }

    #[test]
    fn merged_pictures_become_frames_again() {
        assert_eq!(repeats(&[40.0, 50.0, 40.0]), [1, 1, 1]);
        assert_eq!(repeats(&[83.0, 167.0, 250.0, 0.0]), [1, 2, 3, 1]);
        assert_eq!(repeats(&[0.0, 0.0]), [1, 1]);
        let dir = tempfile::tempdir().unwrap();
        let mut frames = Frames::black(PixelShape::new(7, 32, 32));
        [0, 3, 4].into_iter().for_each(|index| frames.frame_mut(index).fill(200));
        for name in ["a.webp", "a.gif"] {
            let path = dir.path().join(name);
            write_video(&frames, 20, &path, &WriteOptions::default()).unwrap();
            let clip = read_video(&path, &ReadLimits::default()).unwrap();
            let bright: Vec<_> = (0..7).filter(|&i| clip.frames.frame(i)[0] > 100).collect();
            assert_eq!((bright, clip.fps), (vec![0, 3, 4], 20.0), "{name}");
        }
    }

    #[test]
    fn turns_are_clockwise() {
        // 1 2 3
        // 4 5 6
        let frames = Frames::from_rgb(PixelShape::new(1, 2, 3), [1, 2, 3, 4, 5, 6].map(|v| [v; 3]).concat());
        let values = |turn| {
            let turned = turned(frames.clone(), turn);
            let values: Vec<_> = turned.rgb().chunks(3).map(|p| p[0]).collect();
            (turned.shape().width, values)
        };
        assert_eq!(values(Turn::Quarter), (2, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(values(Turn::Half), (3, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(values(Turn::ThreeQuarters), (2, vec![3, 6, 2, 5, 1, 4]));
        assert_eq!(values(Turn::None), (3, vec![1, 2, 3, 4, 5, 6]));
    }
}
