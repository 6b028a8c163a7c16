//! Composed clips as plain files: PNG frames and one line of metadata per clip.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use image::{ExtendedColorType, ImageFormat};
use rayon::prelude::*;
use serde::Serialize;
use vidit_motion::Track;
use vidit_video::{Frames, PixelShape};

use crate::{Colour, DataError, Language, Motion, Pack, Scene, Split, describe, render};

/// Which clips to compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compose {
    /// The stream of samples; see [`Scene::sample`].
    pub seed: u64,
    /// How many: samples `0..count` of the stream.
    pub count: u64,
    /// Frames and size of each.
    pub shape: PixelShape,
    /// From which side of the split.
    pub split: Split,
}

/// A line of `metadata.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    file_name: &'a str,
    caption: &'a str,
    language: Language,
    colour: Colour,
    gradient: bool,
    objects: Vec<&'a str>,
    motions: Vec<Motion>,
    boxes: &'a [Track],
}

/// Clips that are rendered at once; bounds the memory, not the result.
const BATCH: u64 = 32;

/// Writes composed clips to a new folder `dir`: frames as `00000/000.png`… and `metadata.jsonl`, which
/// [`ClipFolder`](crate::ClipFolder) reads. `on_clip` hears the number of clips written so far.
///
/// Everything is written to `dir.incomplete` first and renamed at the end, so `dir` is whole or absent. An error removes what was
/// written.
///
/// # Errors
/// If `dir` exists or something cannot be written; [`DataError::Cancelled`] when `cancel` is raised.
pub fn compose_to_folder(
    pack: &Pack,
    compose: Compose,
    dir: &Path,
    cancel: &AtomicBool,
    on_clip: impl FnMut(u64),
) -> Result<(), DataError> {
    if dir.exists() {
        return Err(DataError::Exists { path: dir.to_owned() });
    }
    let aside = aside(dir);
    if aside.exists() {
        // What an interrupted run has left.
        fs::remove_dir_all(&aside).map_err(DataError::writing(&aside))?;
    }
    fs::create_dir_all(&aside).map_err(DataError::writing(&aside))?;
    let filled = fill(pack, compose, &aside, cancel, on_clip);
    if filled.is_err() {
        // The error says more than a folder that will not go.
        let _ = fs::remove_dir_all(&aside);
    }
    filled?;
    fs::rename(&aside, dir).map_err(DataError::writing(dir))
}

/// Writes all clips and their metadata into the folder `dir`.
fn fill(
    pack: &Pack,
    compose: Compose,
    dir: &Path,
    cancel: &AtomicBool,
    mut on_clip: impl FnMut(u64),
) -> Result<(), DataError> {
    let metadata = dir.join("metadata.jsonl");
    let mut lines = BufWriter::new(File::create(&metadata).map_err(DataError::writing(&metadata))?);
    for start in (0..compose.count).step_by(BATCH as usize) {
        let batch = start..(start + BATCH).min(compose.count);
        let written = batch.into_par_iter().map(|index| write_clip(pack, compose, index, dir, cancel));
        for (offset, line) in written.collect::<Result<Vec<_>, _>>()?.into_iter().enumerate() {
            writeln!(lines, "{line}").map_err(DataError::writing(&metadata))?;
            on_clip(start + offset as u64 + 1);
        }
    }
    lines.flush().map_err(DataError::writing(&metadata))
}

/// Writes the frames of sample `index` and gives its line of metadata.
fn write_clip(
    pack: &Pack,
    compose: Compose,
    index: u64,
    dir: &Path,
    cancel: &AtomicBool,
) -> Result<String, DataError> {
    check(cancel)?;
    let scene = Scene::sample(pack, compose.seed, index, compose.split);
    let mut clip = render(pack, &scene, compose.shape);
    let description = describe(pack, &scene, scene.language, index);
    for (track, phrase) in clip.tracks.iter_mut().zip(description.phrases) {
        track.phrase = phrase;
    }
    let name = format!("{index:05}");
    write_frames(&clip.frames, &dir.join(&name), cancel)?;
    let line = Line {
        file_name: &name,
        caption: &description.text,
        language: scene.language,
        colour: scene.background.colour,
        gradient: scene.background.gradient.is_some(),
        objects: scene.actors.iter().map(|actor| pack.objects()[actor.object].id.as_str()).collect(),
        motions: scene.actors.iter().map(|actor| actor.motion).collect(),
        boxes: &clip.tracks,
    };
    Ok(serde_json::to_string(&line).expect("strings, enums and finite numbers serialise"))
}

/// Writes frames as `000.png`, `001.png`… into a new folder. The folder around it is not made anew: who removed it does not want more.
fn write_frames(frames: &Frames, dir: &Path, cancel: &AtomicBool) -> Result<(), DataError> {
    fs::create_dir(dir).map_err(DataError::writing(dir))?;
    let PixelShape { frames: count, height, width } = frames.shape();
    for index in 0..count {
        check(cancel)?;
        let path = dir.join(format!("{index:03}.png"));
        let (rgb, format) = (ExtendedColorType::Rgb8, ImageFormat::Png);
        image::save_buffer_with_format(&path, frames.frame(index), width as u32, height as u32, rgb, format)
            .map_err(|source| DataError::Encode { path, source })?;
    }
    Ok(())
}

fn check(cancel: &AtomicBool) -> Result<(), DataError> {
    if cancel.load(Ordering::Relaxed) { Err(DataError::Cancelled) } else { Ok(()) }
}

/// `dir` with `.incomplete` behind its name.
fn aside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().map(OsString::from).unwrap_or_default();
    name.push(".incomplete");
    dir.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClipFolder;
    use crate::scratch::Scratch;

    static NEVER: AtomicBool = AtomicBool::new(false);

    #[test]
    fn what_is_written_is_what_was_composed() {
        let pack = Pack::embedded();
        let scratch = Scratch::new("export");
        let dir = scratch.path().join("clips");
        let compose = Compose { seed: 3, count: 34, shape: PixelShape::new(3, 32, 48), split: Split::Train };
        let mut heard = Vec::new();
        compose_to_folder(&pack, compose, &dir, &NEVER, |written| heard.push(written)).unwrap();
        assert_eq!(heard, (1..=34).collect::<Vec<_>>());

        let opened = ClipFolder::open(&dir).unwrap();
        assert_eq!(opened.clips().len(), 34);
        for (index, clip) in opened.clips().iter().enumerate() {
            let scene = Scene::sample(&pack, 3, index as u64, Split::Train);
            let composite = render(&pack, &scene, compose.shape);
            let last = image::open(clip.path.join("002.png")).unwrap().into_rgb8();
            assert_eq!(last.as_raw(), composite.frames.frame(2));
            assert!(!clip.path.join("003.png").exists());
            assert_eq!(clip.boxes.len(), composite.tracks.len());
            for (found, expected) in clip.boxes.iter().zip(&composite.tracks) {
                assert_eq!(found.boxes, expected.boxes);
                assert!(clip.caption.contains(&found.phrase), "{clip:?}");
            }
        }
    }

    #[test]
    fn cancelled_work_leaves_nothing() {
        let pack = Pack::embedded();
        let scratch = Scratch::new("cancelled");
        let compose = Compose { seed: 0, count: 70, shape: PixelShape::new(1, 16, 16), split: Split::Train };
        let cancel = AtomicBool::new(false);
        let mut heard = 0;
        let error = compose_to_folder(&pack, compose, &scratch.path().join("clips"), &cancel, |written| {
            heard = written;
            cancel.store(true, Ordering::Relaxed);
        })
        .unwrap_err();
        assert!(matches!(error, DataError::Cancelled));
        // The first batch was told of, the second was not written.
        assert_eq!(heard, BATCH);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_overwritten_and_leftovers_are_cleared() {
        let pack = Pack::embedded();
        let scratch = Scratch::new("again");
        let compose = Compose { seed: 0, count: 1, shape: PixelShape::new(1, 16, 16), split: Split::HeldOut };
        let error = compose_to_folder(&pack, compose, scratch.path(), &NEVER, |_| ()).unwrap_err();
        assert!(matches!(error, DataError::Exists { .. }), "{error}");

        fs::create_dir(scratch.path().join("new.incomplete")).unwrap();
        scratch.write("new.incomplete/leftover", "");
        compose_to_folder(&pack, compose, &scratch.path().join("new"), &NEVER, |_| ()).unwrap();
        assert!(!scratch.path().join("new/leftover").exists());
        assert!(!scratch.path().join("new.incomplete").exists());
    }
}
