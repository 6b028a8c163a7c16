//! `vidit image`, `extend`, `loop`, `connect`, `blend` and `remix`

use std::path::Path;

use anyhow::anyhow;
use vidit_media::FrameRate;
use vidit_pipeline::{DEFAULT_FPS, Direction, FRAMES_PER_LATENT, Request, Wish, check_strength, go_on};
use vidit_video::PixelShape;

use super::making::Work;
use super::prompt::Prompt;
use super::source::{self, Source};
use super::{boxes, model};
use crate::args::{Blend, Connect, DirectionName, Extend, Image, Lasting, Loop, Remix};
use crate::report::{Failure, Outcome};

/// Frames of a loop when none are asked for, from a prompt and from a clip.
const LOOP_FRAMES: (u32, u32) = (24, 16);
/// Most new frames of one command.
const NEW_MAX: usize = 1024;

pub fn image(args: Image) -> Outcome {
    let shape = PixelShape::new(1, args.size.height, args.size.width);
    let mut prompt = Prompt::read(&args.making, &args.prompt)?;
    let request = Request { shape, ..prompt.request()? };
    request.check(&model::limits()).map_err(Failure::usage)?;
    let work = Work::new(&args.making, &request.prompt, "png")?.asked_as(prompt.asked());
    let fps = FrameRate::from(DEFAULT_FPS);
    let guides = boxes::asked(&args.making, 1)?;
    let request = Request { guides, ..prompt.rewritten(request)? };
    prompt.run(work, fps, |maker| {
        maker.check(&request, shape, fps)?;
        maker.make(request)
    })
}

pub fn extend(args: Extend) -> Outcome {
    let mut prompt = Prompt::read(&args.joining.making, &args.prompt)?;
    let request = prompt.checked_request()?;
    let Source { frames: clip, fps, coded } = source::clip(&args.input, args.joining.source.size)?;
    let work = Work::new(&args.joining.making, &request.prompt, "mp4")?
        .going_on_from([coded])
        .asked_as(prompt.asked());
    let (count, shape) = (lasting(args.frames, &args.lasting, fps, 1)?, clip.shape());
    let direction = match args.direction {
        DirectionName::Forward => Direction::Forward,
        DirectionName::Backward => Direction::Backward,
    };
    let written = if args.joining.only_new { count } else { shape.frames + count };
    work.check_clip(PixelShape { frames: written, ..shape }, fps)?;
    let guides = boxes::asked(&args.joining.making, shape.frames + count)?;
    let request = prompt.rewritten(request)?;
    prompt.run(work, fps, |maker| {
        let before = clip.shape().frames;
        let mut fulfil = |wish: &Wish| maker.fulfil(wish, false);
        let whole = go_on(&request, clip, direction, count, &guides, 0, &mut fulfil)?;
        Ok(match (args.joining.only_new, direction) {
            (false, _) => whole,
            (true, Direction::Forward) => whole.part(before..before + count),
            (true, Direction::Backward) => whole.part(0..count),
        })
    })
}

pub fn repeat(args: Loop) -> Outcome {
    let path = Path::new(&args.prompt_or_clip);
    if !path.exists() {
        return repeat_prompt(&args);
    }
    if let Some(fps) = args.fps {
        return Err(Failure::usage(anyhow!(
            "a loop of a clip has the clip's frame rate, found `--fps {fps}`\nhint: leave `--fps` out"
        )));
    }
    let mut prompt = Prompt::read_optional(&args.joining.making, args.prompt.as_ref())?;
    let request = prompt.request()?;
    let Source { frames: clip, fps, coded } = source::clip(path, args.joining.source.size)?;
    let name = name_of(path, &request.prompt, "loop");
    let work = Work::new(&args.joining.making, &name, "mp4")?.going_on_from([coded]).asked_as(prompt.asked());
    let count = lasting(args.frames.unwrap_or(LOOP_FRAMES.1), &args.lasting, fps, FRAMES_PER_LATENT)?;
    let shape = clip.shape();
    let written = if args.joining.only_new { count } else { shape.frames + count };
    work.check_clip(PixelShape { frames: written, ..shape }, fps)?;
    // What leads from the end of the clip to its own beginning.
    let guides = boxes::asked(&args.joining.making, shape.frames + count)?;
    let request = prompt.rewritten(request)?;
    let wish = Wish::lead(request, clip.clone(), clip, count).steered(&guides, shape.frames);
    prompt.run(work, fps, |maker| {
        let new = maker.fulfil(&wish, true)?;
        Ok(if args.joining.only_new { new } else { wish.before_and(&new) })
    })
}

/// Whether a prompt is more likely the name of a file that is not there.
fn is_called_like_a_clip(path: &Path) -> bool {
    const ENDINGS: [&str; 12] =
        ["mp4", "m4v", "mov", "webm", "mkv", "avi", "gif", "webp", "png", "jpg", "jpeg", "y4m"];
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ENDINGS.contains(&ending.as_str())
}

/// A loop from a prompt: its picture, then the way from that picture back to it.
fn repeat_prompt(args: &Loop) -> Outcome {
    if args.prompt.is_some() || is_called_like_a_clip(Path::new(&args.prompt_or_clip)) {
        let found = args.prompt_or_clip.to_string_lossy();
        return Err(Failure::usage(anyhow!(
            "cannot read the clip `{found}`: it does not exist\nhint: a loop from a prompt takes the prompt alone"
        )));
    }
    if args.joining.only_new {
        return Err(Failure::usage(anyhow!(
            "all frames of a loop from a prompt are new, found `--only-new`\nhint: leave it out; it is for loops of a clip"
        )));
    }
    let mut prompt = Prompt::read(&args.joining.making, &args.prompt_or_clip)?;
    let request = prompt.checked_request()?;
    let size = args
        .joining
        .source
        .size
        .map_or(vidit_pipeline::DEFAULT_SHAPE, |size| PixelShape::new(1, size.height, size.width));
    let fps = args.fps.unwrap_or(DEFAULT_FPS);
    let request = Request { shape: PixelShape { frames: 1, ..size }, fps, ..request };
    request.check(&model::limits()).map_err(Failure::usage)?;
    let work = Work::new(&args.joining.making, &request.prompt, "mp4")?.asked_as(prompt.asked());
    let fps = FrameRate::from(fps);
    let count = lasting(args.frames.unwrap_or(LOOP_FRAMES.0), &args.lasting, fps, FRAMES_PER_LATENT)?;
    work.check_clip(PixelShape { frames: count, ..size }, fps)?;
    let guides = boxes::asked(&args.joining.making, count)?;
    let request = prompt.rewritten(request)?;
    prompt.run(work, fps, |maker| {
        let first = Wish::animate(request.clone(), None, None, Vec::new()).steered(&guides, 0);
        let image = maker.fulfil(&first, true)?;
        maker.fulfil(&Wish::repeat(request, image, count).steered(&guides, 0), true)
    })
}

pub fn connect(args: Connect) -> Outcome {
    check_strength(args.strength).map_err(Failure::usage)?;
    let mut prompt = Prompt::read(&args.joining.making, &args.prompt)?;
    let request = prompt.checked_request()?;
    let [from, to] = source::pair(&args.from, &args.to, args.joining.source.size)?;
    let work = Work::new(&args.joining.making, &request.prompt, "mp4")?
        .going_on_from([from.coded, to.coded])
        .asked_as(prompt.asked());
    let (from, to, fps) = (from.frames, to.frames, from.fps);
    let (count, shape) = (lasting(args.frames, &args.lasting, fps, FRAMES_PER_LATENT)?, from.shape());
    let written = if args.joining.only_new { count } else { shape.frames + count + to.shape().frames };
    work.check_clip(PixelShape { frames: written, ..shape }, fps)?;
    let guides = boxes::asked(&args.joining.making, shape.frames + count + to.shape().frames)?;
    let request = prompt.rewritten(request)?;
    let wish = Wish::connect(request, from, to, count, args.strength).steered(&guides, shape.frames);
    prompt.run(work, fps, |maker| maker.fulfil(&wish, args.joining.only_new))
}

pub fn blend(args: Blend) -> Outcome {
    check_strength(args.strength).map_err(Failure::usage)?;
    let mut prompt = Prompt::read_optional(&args.making, args.prompt.as_ref())?;
    let request = prompt.request()?;
    let [Source { frames: from, fps, .. }, Source { frames: to, .. }] =
        source::pair(&args.from, &args.to, args.source.size)?;
    let name = name_of(&args.from, &request.prompt, "blend");
    let work = Work::new(&args.making, &name, "mp4")?.asked_as(prompt.asked());
    let frames = from.shape().frames.min(to.shape().frames);
    if frames < 2 {
        let short = if from.shape().frames < 2 { &args.from } else { &args.to };
        return Err(Failure::usage(anyhow!(
            "a blend needs clips of at least 2 frames, found `1` in `{}`\nhint: `vidit connect` goes over from a picture, or to one",
            short.display()
        )));
    }
    let (from, to) = (from.part(0..frames), to.part(0..frames));
    work.check_clip(from.shape(), fps)?;
    let guides = boxes::asked(&args.making, frames)?;
    let request = prompt.rewritten(request)?;
    let wish = Wish::blend(request, &from, &to, args.strength, |moment| args.curve.share(moment))
        .steered(&guides, 0);
    prompt.run(work, fps, |maker| maker.fulfil(&wish, false))
}

pub fn remix(args: Remix) -> Outcome {
    check_strength(args.strength).map_err(Failure::usage)?;
    let mut prompt = Prompt::read(&args.making, &args.prompt)?;
    let request = prompt.checked_request()?;
    let Source { frames: clip, fps, .. } = source::clip(&args.input, args.source.size)?;
    let mask = args.mask.as_deref().map(|path| source::mask(path, clip.shape())).transpose()?;
    let work = Work::new(&args.making, &request.prompt, "mp4")?.asked_as(prompt.asked());
    work.check_clip(clip.shape(), fps)?;
    let guides = boxes::asked(&args.making, clip.shape().frames)?;
    let request = prompt.rewritten(request)?;
    let wish = Wish::remix(request, clip, args.strength, mask).steered(&guides, 0);
    prompt.run(work, fps, |maker| maker.fulfil(&wish, false))
}

/// How many frames are new: those asked for, or of the seconds the nearest multiple of `step`.
fn lasting(frames: u32, lasting: &Lasting, fps: FrameRate, step: usize) -> Result<usize, Failure> {
    let Some(seconds) = lasting.seconds else { return Ok(frames as usize) };
    let longest = NEW_MAX as f64 / fps.hz();
    if !(seconds > 0.0 && seconds <= longest) {
        return Err(Failure::usage(anyhow!(
            "new seconds must be above 0 and at most {longest:.1} at {fps} frames a second, found `{seconds}`\nhint: 1.5 is usual"
        )));
    }
    Ok(((seconds * fps.hz() / step as f64).round() as usize).max(1) * step)
}

/// What a video without a prompt is called after.
fn name_of(clip: &Path, prompt: &str, verb: &str) -> String {
    match prompt.trim().is_empty() {
        true => format!("{} {verb}", clip.file_stem().unwrap_or_default().to_string_lossy()),
        false => prompt.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_the_nearest_steps() {
        let count = |seconds, step| lasting(16, &Lasting { seconds }, FrameRate::from(12), step);
        assert_eq!(count(None, FRAMES_PER_LATENT).unwrap(), 16);
        for (seconds, extended, looped) in [(1.0, 12, 12), (1.5, 18, 20), (0.01, 1, 4), (2.1, 25, 24)] {
            assert_eq!(count(Some(seconds), 1).unwrap(), extended, "{seconds}");
            assert_eq!(count(Some(seconds), FRAMES_PER_LATENT).unwrap(), looped, "{seconds}");
        }
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 86.0] {
            let Failure::Usage(error) = count(Some(seconds), 1).unwrap_err() else { panic!("{seconds}") };
            assert!(error.to_string().contains("\nhint: "), "{error}");
        }
    }
}
