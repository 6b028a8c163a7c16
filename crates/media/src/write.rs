use std::path::{Path, PathBuf};

use image::RgbImage;
use vidit_video::{Frames, PixelShape};

use crate::{Coded, FrameRate, MediaError, Result, atomic, gif, h264, mp4, png, sheet, webp};

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// H.264 High 4:2:0 in MP4, BT.709.
    Mp4,
    /// Animated GIF.
    Gif,
    /// Animated WebP, lossy.
    WebP,
    /// One image: the frame itself, or a contact sheet of several.
    Png,
    /// A folder of frames `00000.png`, `00001.png`, …
    Folder,
}

impl Format {
    /// The format that a target's name asks for: by extension, or a folder without one or with a closing slash.
    ///
    /// # Errors
    /// [`MediaError::UnknownExtension`] with the known ones.
    pub fn of(path: &Path) -> Result<Self> {
        let ends_in_separator = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
        let Some(extension) = path.extension().filter(|_| !ends_in_separator) else {
            return Ok(Self::Folder);
        };
        match extension.to_ascii_lowercase().to_str() {
            Some("mp4") => Ok(Self::Mp4),
            Some("gif") => Ok(Self::Gif),
            Some("webp") => Ok(Self::WebP),
            Some("png") => Ok(Self::Png),
            _ => {
                let found = format!(".{}", extension.to_string_lossy());
                Err(MediaError::UnknownExtension { path: path.to_path_buf(), found })
            }
        }
    }
}

/// How to write.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Replace what is there. By default an existing target is an error.
    pub overwrite: bool,
    /// Keys and values for the container. MP4 holds them as `mdta` items; the other formats ignore them.
    pub metadata: Vec<(String, String)>,
    /// Clips of which the frames may be: MP4 takes over what it finds of them as it was encoded, where they were written by us at the
    /// same size. The other formats ignore them.
    pub sources: Vec<Coded>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub path: PathBuf,
    /// As what.
    pub format: Format,
    /// Frames of the clip.
    pub frames: usize,
    /// Size of the file, or of all files in the folder.
    pub bytes: u64,
}

/// Writes a clip in the [`Format`] that its name asks for. The target appears whole or not at all.
///
/// # Errors
/// An unknown extension, a clip that does not fit the format ([`check_clip`]), a target that may not be written
/// ([`check_target`]), a full disk.
pub fn write_video(
    frames: &Frames,
    fps: impl Into<FrameRate>,
    path: &Path,
    options: &WriteOptions,
) -> Result<Written> {
    let rate = fps.into();
    let shape = frames.shape();
    check_clip(path, shape, rate)?;
    let format = Format::of(path)?;
    let overwrite = options.overwrite;
    let bytes = match format {
        Format::Mp4 => atomic::write_file(path, overwrite, |out| {
            let stream = h264::encode(frames, rate, &options.sources)?;
            mp4::mux::write(out, &stream, shape, rate, &options.metadata)
        }),
        Format::Gif => atomic::write_file(path, overwrite, |out| gif::write(out, frames, rate)),
        Format::WebP => atomic::write_file(path, overwrite, |out| webp::write(out, frames, rate)),
        Format::Png if shape.frames == 1 => atomic::write_file(path, overwrite, |out| {
            png::write(out, frames.frame(0), shape.width, shape.height)
        }),
        Format::Png => {
            let (columns, count) = sheet::layout(shape);
            write_image_bytes(&sheet::contact_sheet(frames, columns, count), path, overwrite)
        }
        Format::Folder => atomic::write_folder(path, overwrite, |folder| png::write_frames(folder, frames)),
    }?;
    Ok(Written { path: path.to_path_buf(), format, frames: shape.frames, bytes })
}

/// Writes one image, such as a [`contact_sheet`](crate::contact_sheet), as PNG whatever the extension.
///
/// # Errors
/// As [`write_video`].
pub fn write_image(image: &RgbImage, path: &Path, options: &WriteOptions) -> Result<Written> {
    let bytes = write_image_bytes(image, path, options.overwrite)?;
    Ok(Written { path: path.to_path_buf(), format: Format::Png, frames: 1, bytes })
}

fn write_image_bytes(image: &RgbImage, path: &Path, overwrite: bool) -> Result<u64> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    atomic::write_file(path, overwrite, |out| png::write(out, image, width, height))
}

/// Whether [`write_video`] could put a file at `path`: ask before hours of work.
///
/// # Errors
/// The extension is unknown, or as [`check_file`] of the file or folder that it stands for.
pub fn check_target(path: &Path, overwrite: bool) -> Result<()> {
    let is_folder = Format::of(path)? == Format::Folder;
    atomic::check(path, is_folder, overwrite)
}

/// Whether a file of any kind could be put at `path`: ask before hours of work.
///
/// # Errors
/// The folder is missing, none or refuses files, the name is too long, the target exists (`overwrite` allows that), or is a folder, a
/// device or a pipe.
pub fn check_file(path: &Path, overwrite: bool) -> Result<()> {
    atomic::check(path, false, overwrite)
}

/// Whether a clip of this shape and rate fits the format of `path`: ask before hours of work.
///
/// # Errors
/// No frames, a rate out of range, odd sides for `.mp4`, more than 50 frames per second for `.gif`, sides that the
/// format does not hold.
pub fn check_clip(path: &Path, shape: PixelShape, fps: impl Into<FrameRate>) -> Result<()> {
    let rate = fps.into();
    let format = Format::of(path)?;
    rate.check()?;
    if shape.pixels() == 0 {
        return Err(MediaError::Unwritable {
            format: "a clip",
            problem: format!("it needs at least one frame of at least 1x1, found `{shape}`"),
            hint: "this is likely a mistake of the program that made it".to_owned(),
        });
    }
    match format {
        Format::Mp4 => h264::check_size(shape.width, shape.height),
        Format::Gif => gif::check(shape, rate),
        Format::WebP => webp::check(shape),
        Format::Png | Format::Folder => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::gradient;
    use crate::{ReadLimits, read_video};

    fn write(frames: &Frames, path: &Path) -> Result<Written> {
        write_video(frames, 24, path, &WriteOptions::default())
    }

    #[test]
    fn every_format_comes_back_through_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let frames = gradient(PixelShape::new(6, 48, 64));
        for (name, format) in [
            ("a.mp4", Format::Mp4),
            ("A.MP4", Format::Mp4),
            ("a.gif", Format::Gif),
            ("a.webp", Format::WebP),
            ("frames", Format::Folder),
            ("v1.5/", Format::Folder),
        ] {
            let path = dir.path().join(name);
            let written = write(&frames, &path).unwrap();
            assert_eq!((written.format, written.frames), (format, 6), "{name}");
            let clip = read_video(&path, &ReadLimits::default()).unwrap();
            assert_eq!(clip.frames.shape(), frames.shape(), "{name}");
            match format {
                Format::Folder => assert_eq!(clip.frames, frames),
                _ => assert_eq!(written.bytes, path.metadata().unwrap().len()),
            }
        }
        assert_eq!(std::fs::read_dir(dir.path().join("frames")).unwrap().count(), 6);
        assert!(dir.path().join("frames/00005.png").exists());
    }

    #[test]
    fn png_is_the_frame_or_a_sheet() {
        let dir = tempfile::tempdir().unwrap();
        let one = gradient(PixelShape::new(1, 33, 47));
        write(&one, &dir.path().join("one.png")).unwrap();
        let clip = read_video(&dir.path().join("one.png"), &ReadLimits::default()).unwrap();
        assert_eq!(clip.frames, one);
        let many = gradient(PixelShape::new(9, 33, 47));
        write(&many, &dir.path().join("many.png")).unwrap();
        let sheet = read_video(&dir.path().join("many.png"), &ReadLimits::default()).unwrap();
        assert_eq!(sheet.frames.shape(), PixelShape::new(1, 3 * 34 + 1, 3 * 48 + 1));
    }

    #[test]
    fn problems_are_found_before_the_work() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        check_target(&at("a.mp4"), false).unwrap();
        check_target(&at("frames/"), false).unwrap();
        let unknown = check_target(&at("a.avi"), false).unwrap_err().to_string();
        assert!(unknown.contains("`.avi`") && unknown.contains("hint: known are .mp4"), "{unknown}");
        std::fs::write(at("a.mp4"), "").unwrap();
        assert!(matches!(check_target(&at("a.mp4"), false), Err(MediaError::TargetExists { .. })));
        check_target(&at("a.mp4"), true).unwrap();
        assert!(check_target(Path::new("/"), true).is_err());
        assert!(matches!(check_target(&at("a.mp4/b.mp4"), true), Err(MediaError::NoFolder { .. })));
        assert!(matches!(check_file(&at("a.mp4/b.json"), true), Err(MediaError::NoFolder { .. })));
        check_file(&at("a.json"), false).unwrap();
        assert!(matches!(check_target(&at("no/a.mp4"), false), Err(MediaError::MissingParent { .. })));

        let odd = check_clip(&at("a.mp4"), PixelShape::new(1, 33, 32), 24).unwrap_err().to_string();
        assert!(odd.contains("even") && odd.contains("`32x33`") && odd.contains("hint:"), "{odd}");
        check_clip(&at("a.webp"), PixelShape::new(1, 33, 32), 24).unwrap();
        assert!(check_clip(&at("a.mp4"), PixelShape::new(1, 32, 4096), 24).is_err());
        assert!(check_clip(&at("a.mp4"), PixelShape::new(1, 8, 8), 24).is_err());
        assert!(check_clip(&at("a.mp4"), PixelShape::new(1, 32, 32), 0).is_err());
        assert!(check_clip(&at("a.png"), PixelShape::new(0, 32, 32), 24).is_err());
        assert!(write(&Frames::black(PixelShape::new(1, 33, 33)), &at("odd.mp4")).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but a.mp4");
    }

    #[test]
    fn encoder_limits_are_the_ones_we_state() {
        let dir = tempfile::tempdir().unwrap();
        for (height, width) in [(16, 16), (2160, 3840), (3840, 2160), (16, 3840)] {
            let frames = Frames::black(PixelShape::new(1, height, width));
            write(&frames, &dir.path().join(format!("{width}x{height}.mp4"))).unwrap();
        }
    }
}
