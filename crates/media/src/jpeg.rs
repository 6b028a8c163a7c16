//! JPEG as libjpeg decodes it, which other decoders do not equal to the bit: the transform's rounding and the way that chroma
//! is made larger are not in the standard.

use std::any::Any;
use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mozjpeg::{ColorSpace, Decompress};
use vidit_video::{Frames, PixelShape};

use crate::{MediaError, ReadLimits, Result};

/// The picture, not turned; a grey one in three equal channels.
pub(crate) fn decode(path: &Path, limits: &ReadLimits, file: &[u8]) -> Result<Frames> {
    // libjpeg leaves by unwinding.
    let outcome = catch_unwind(AssertUnwindSafe(|| rows(path, limits, file)));
    outcome.unwrap_or_else(|cause| Err(malformed(path, &said(cause.as_ref()))))
}

fn rows(path: &Path, limits: &ReadLimits, file: &[u8]) -> Result<Frames> {
    let failed = |error: io::Error| malformed(path, &error.to_string());
    let ended = Cell::new(false);
    let decoder = Decompress::new_reader(Bytes { rest: file, ended: &ended }).map_err(failed)?;
    let (width, height) = decoder.size();
    limits.check_clip(path, 1, width, height)?;
    if matches!(decoder.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK) {
        return Err(MediaError::unsupported(path, "a JPEG of four inks (CMYK)"));
    }
    let rgb: Vec<u8> = decoder.rgb().and_then(|mut rows| rows.read_scanlines()).map_err(failed)?;
    // Where bytes lack, libjpeg goes on in grey.
    if ended.get() {
        return Err(malformed(path, "it ends before its last row"));
    }
    if rgb.len() != width * height * 3 {
        return Err(malformed(path, "it has other rows than it says"));
    }
    Ok(Frames::from_rgb(PixelShape::new(1, height, width), rgb))
}

fn malformed(path: &Path, what: &str) -> MediaError {
    MediaError::corrupt(path, format!("the image is malformed ({what})"))
}

fn said(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("libjpeg gave up").to_owned()
}

/// The bytes of a file, and whether more were asked for than there are.
struct Bytes<'a> {
    rest: &'a [u8],
    ended: &'a Cell<bool>,
}

impl Read for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.rest.read(into)
    }
}

impl BufRead for Bytes<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            self.ended.set(true);
        }
        Ok(self.rest)
    }

    fn consume(&mut self, count: usize) {
        self.rest.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::{MediaError, ReadLimits, read_picture};

    fn golden(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name)
    }

    #[test]
    fn pixels_are_pillows() {
        for name in ["420", "422", "444", "progressive", "grey", "turned"] {
            let read =
                |ending: &str| read_picture(&golden(&format!("{name}.{ending}")), &ReadLimits::default());
            let (found, expected) = (read("jpg").unwrap(), read("png").unwrap());
            assert_eq!(found.shape(), expected.shape(), "{name}");
            let differing = found.rgb().iter().zip(expected.rgb()).filter(|(f, e)| f != e).count();
            assert_eq!(differing, 0, "{name}");
        }
    }

    #[test]
    fn what_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.jpg");
        let whole = std::fs::read(golden("420.jpg")).unwrap();
        let mut lengths: Vec<usize> = (3..whole.len() - 2).step_by(37).collect();
        lengths.push(whole.len() - 30);
        for length in lengths {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = read_picture(&path, &ReadLimits::default()).unwrap_err().to_string();
            assert!(error.contains("damaged.jpg") && error.contains("malformed"), "{length}: {error}");
        }
        // Noise behind the header is a picture like any other, but never a crash.
        for at in (20..whole.len()).step_by(23) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            std::fs::write(&path, &bytes).unwrap();
            let _ = read_picture(&path, &ReadLimits::default());
        }
    }

    #[test]
    fn large_pictures_and_inks_are_refused() {
        let small = ReadLimits { side_max: 16, ..ReadLimits::default() };
        assert!(matches!(read_picture(&golden("420.jpg"), &small), Err(MediaError::Limit { .. })));
        let error = read_picture(&golden("inks.jpg"), &ReadLimits::default()).unwrap_err().to_string();
        assert!(error.contains("CMYK"), "{error}");
    }
}
