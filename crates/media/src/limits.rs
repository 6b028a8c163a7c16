use std::path::Path;

use crate::{MediaError, Result};

/// What a file from outside may cost. Each limit is checked before memory is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Size of the file, or of all files of a folder together, in bytes.
    pub file_bytes_max: u64,
    /// Frames in the clip.
    pub frames_max: usize,
    /// Width and height in pixels.
    pub side_max: usize,
    /// Pixels of all frames together; three bytes of memory each.
    pub pixels_max: u64,
}

impl Default for ReadLimits {
    /// 2 GiB of file, 4,096 frames, sides of 8,192, and 2²⁹ pixels (1.5 GiB of memory; 258 frames of 1920x1080).
    fn default() -> Self {
        Self { file_bytes_max: 2 << 30, frames_max: 4096, side_max: 8192, pixels_max: 1 << 29 }
    }
}

impl ReadLimits {
    pub(crate) fn check_bytes(&self, path: &Path, bytes: u64) -> Result<()> {
        check(path, "its size in bytes", bytes, self.file_bytes_max)
    }

    pub(crate) fn check_clip(&self, path: &Path, frames: usize, width: usize, height: usize) -> Result<()> {
        check(path, "its frames", frames as u64, self.frames_max as u64)?;
        check(path, "its width", width as u64, self.side_max as u64)?;
        check(path, "its height", height as u64, self.side_max as u64)?;
        let pixels = (frames as u64).saturating_mul(width as u64).saturating_mul(height as u64);
        check(path, "the pixels of all frames", pixels, self.pixels_max)
    }
}

fn check(path: &Path, what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(MediaError::Limit { path: path.to_path_buf(), what, found, limit })
}
