//! `vidit boxes`, and the boxes of other verbs.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::json;
use vidit_eval::objects::objects;
use vidit_media::{ReadLimits, WriteOptions, check_file, check_target, read_video, write_video};
use vidit_motion::{BoxKind, BoxScript, COLOURS, Guide, ObjectScript, ScriptError, paint_outline};
use vidit_weights::write_atomically;

use super::{making, source};
use crate::args::{BoxesDraw, BoxesTrack, Making};
use crate::interrupt::{self, Grace};
use crate::output;
use crate::report::{Failure, Outcome};

/// Boxes of one object that goes from the left to the right.
const EXAMPLE: &str = r#"{"boxes": [{"id": "car", "keyframes": [{"frame": 0, "box": [0, 0.4, 0.3, 0.7]}, {"frame": 24, "box": [0.7, 0.4, 1, 0.7]}]}]}"#;

/// Boxes in each frame of a clip of so many.
pub fn guides(path: &Path, frames: usize) -> Result<Vec<Guide>, Failure> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "cannot read the boxes `{}`\nhint: they are a file of JSON, such as {EXAMPLE}; more of it is in docs/verbs.md",
            path.display()
        )
    });
    let of_file = |error: ScriptError| Failure::usage(anyhow!("in `{}`: {error}", path.display()));
    let script = BoxScript::from_json(&text.map_err(Failure::usage)?).map_err(of_file)?;
    script.guides(frames).map_err(of_file)
}

/// The boxes that a verb is asked to keep to, for its whole video of so many frames.
pub fn asked(making: &Making, frames: usize) -> Result<Vec<Guide>, Failure> {
    making.boxes.as_deref().map_or(Ok(Vec::new()), |path| guides(path, frames))
}

pub fn draw(args: BoxesDraw) -> Outcome {
    check_target(&args.output, args.overwrite).map_err(Failure::usage)?;
    interrupt::install(Grace::Short)?;
    let mut clip = read_video(&args.input, &ReadLimits::default())?;
    let shape = clip.frames.shape();
    let thin = (shape.height.min(shape.width) / 128).max(1);
    let guides = guides(&args.boxes, shape.frames)?;
    for (guide, colour) in guides.iter().zip(COLOURS) {
        for (frame, found) in guide.boxes.iter().enumerate() {
            let Some(found) = found else { continue };
            let thickness = if found.kind == BoxKind::Hard { 2 * thin } else { thin };
            paint_outline(&mut clip.frames, frame, &found.place, colour, thickness);
        }
    }
    let (fps, path) = (source::rate(&args.input, &clip), args.output.display().to_string());
    interrupt::check()?;
    interrupt::clean_beside(&args.output);
    let options = WriteOptions { overwrite: args.overwrite, ..WriteOptions::default() };
    write_video(&clip.frames, fps, &args.output, &options)?;
    let told = json!({
        "path": path,
        "width": shape.width,
        "height": shape.height,
        "frames": shape.frames,
        "fps": making::fps_json(fps),
        "objects": guides.len(),
    });
    match (args.speech.json, args.speech.quiet) {
        (true, _) => output::line(told.to_string()),
        (false, true) => output::line(path),
        (false, false) => output::print(format!("{path}\n  {shape} at {fps} fps\n")),
    }
}

pub fn track(args: BoxesTrack) -> Outcome {
    if !(args.tolerance > 0.0 && args.tolerance < 1.0) {
        let found = args.tolerance;
        return Err(Failure::usage(anyhow!(
            "the tolerance must lie between 0 and 1, found `{found}`\nhint: 0.03 is usual"
        )));
    }
    if let Some(path) = &args.output {
        check_file(path, args.overwrite).map_err(Failure::usage)?;
    }
    interrupt::install(Grace::Short)?;
    let clip = read_video(&args.input, &ReadLimits::default())?;
    let tracks = objects(&clip.frames);
    let id = |index: usize| if tracks.len() == 1 { "object".into() } else { format!("object-{}", index + 1) };
    let boxes: Vec<ObjectScript> = tracks
        .iter()
        .enumerate()
        .filter_map(|(index, track)| ObjectScript::from_track(&id(index), track, args.tolerance))
        .collect();
    if boxes.is_empty() {
        return Err(Failure::from(anyhow!(
            "nothing stands out from the background of `{}`\nhint: is the background plain?",
            args.input.display()
        )));
    }
    interrupt::check()?;
    let count = boxes.len();
    let script = BoxScript { boxes };
    let text = serde_json::to_string_pretty(&script)?;
    let Some(path) = &args.output else {
        return output::line(if args.speech.json { serde_json::to_string(&script)? } else { text });
    };
    interrupt::clean_beside(path);
    write_atomically(path, format!("{text}\n").as_bytes())?;
    let path = path.display().to_string();
    match (args.speech.json, args.speech.quiet) {
        (true, _) => output::line(json!({ "path": path, "objects": count }).to_string()),
        (false, true) => output::line(path),
        (false, false) => {
            let objects = if count == 1 { "object" } else { "objects" };
            output::print(format!("{path}\n  {count} {objects}\n"))
        }
    }
}
