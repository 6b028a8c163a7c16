//! Sample sheets.

use std::path::Path;

use vidit_media::{WriteOptions, grid, write_image};
use vidit_video::Frames;

use crate::TrainError;

/// Writes one row a clip, `columns` frames of each, over what stood there before.
pub fn write_sheet(clips: &[Frames], columns: usize, path: &Path) -> Result<(), TrainError> {
    let rows: Vec<&Frames> = clips.iter().collect();
    let options = WriteOptions { overwrite: true, ..Default::default() };
    write_image(&grid(&rows, columns), path, &options)
        .map_err(|error| TrainError::Data(error.to_string()))?;
    Ok(())
}
