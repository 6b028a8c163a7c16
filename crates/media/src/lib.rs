//! How do frames become files, and files frames?
//!
//! [`write_video`] picks the format from the file name, [`read_video`] from the content. Targets appear whole or not
//! at all, and what is read is checked against [`ReadLimits`] before memory is taken for it.

mod atomic;
mod coded;
mod colour;
mod error;
mod ffmpeg;
mod fit;
mod gif;
mod h264;
mod jpeg;
mod limits;
mod mp4;
mod names;
mod pictures;
mod png;
mod rate;
mod read;
mod sheet;
mod sps;
mod stills;
mod turn;
mod webp;
mod write;

#[cfg(test)]
mod fixtures;

pub use coded::Coded;
pub use colour::ColourTags;
pub use error::{MediaError, Result};
pub use ffmpeg::{ForeignVideo, Rules};
pub use fit::fit;
pub use limits::ReadLimits;
pub use names::{file_stem_from_prompt, free_name};
pub use pictures::{Picture, Pictures, PicturesInfo};
pub use png::png_bytes;
pub use rate::FrameRate;
pub use read::{Clip, UNTIMED_FPS, read_coded, read_picture, read_video};
pub use sheet::{contact_sheet, grid};
pub use stills::Stills;
pub use turn::Turn;
pub use write::{
    Format, WriteOptions, Written, check_clip, check_file, check_target, write_image, write_video,
};
