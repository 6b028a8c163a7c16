//! `vidit generate`

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use vidit_media::{FrameRate, check_file, fit};
use vidit_pipeline::{
    DEFAULT_SHAPE, FRAMES_PER_LATENT, Given, Latents, Limits, Request, TOLD_AT_ONCE, Wish, in_boxes, timeline,
};
use vidit_video::{Frames, PixelShape};

use super::making::Work;
use super::prompt::Prompt;
use super::{boxes, model, source, storyboard};
use crate::args::{Generate, Size};
use crate::interrupt;
use crate::report::{Failure, Outcome};

pub fn run(args: Generate) -> Outcome {
    if let Some(path) = &args.storyboard {
        return storyboard::run(&args, path);
    }
    let limits = model::limits();
    let pictures = Pictures::read(&args)?;
    let size = args.size.map_or_else(|| pictures.size(&limits), Ok)?;
    let shape = PixelShape::new(frames(&args, &limits)?, size.height, size.width);
    let typed = args.prompt.as_ref().expect("the parser asks for one without a storyboard");
    let mut prompt = Prompt::read(&args.making, typed)?;
    let request = Request { shape, fps: args.fps, ..prompt.request()? };
    request.check(&limits).map_err(Failure::usage)?;
    let work = Work::new(&args.making, &request.prompt, "mp4")?.asked_as(prompt.asked());
    if let Some(path) = &args.save_latents {
        check_file(path, args.making.overwrite).map_err(Failure::usage)?;
        if place(path) == place(work.target()) {
            return Err(Failure::usage(anyhow!(
                "the video and its latents cannot both be `{}`\nhint: give them two names",
                path.display()
            )));
        }
    }
    pictures.check(shape.frames)?;
    let fps = FrameRate::from(args.fps);
    let noise = args.init_latents.as_deref().map(Latents::read).transpose()?;
    let guides = boxes::asked(&args.making, shape.frames)?;
    let request = prompt.rewritten(request)?;
    // What is longer than the model was trained for goes on from its own end, unless it is asked for as one.
    let at_once = noise.is_some() || args.save_latents.is_some() || pictures.last.is_some();
    if shape.frames > TOLD_AT_ONCE && !at_once {
        let request = Request { shape: PixelShape { frames: 1, ..shape }, ..request };
        let pictures = pictures.placed(size);
        return prompt.run(work, fps, |maker| {
            maker.check(&request, shape, fps)?;
            timeline(&[(0..shape.frames, request)], &pictures, &guides, &mut |wish| maker.fulfil(wish, false))
        });
    }
    if !guides.is_empty() && !at_once && pictures.none() {
        return prompt.run(work, fps, |maker| {
            let whole = Request { guides: guides.clone(), ..request.clone() };
            maker.check(&whole, shape, fps)?;
            in_boxes(&request, shape.frames, &guides, &mut |wish| maker.fulfil(wish, false))
        });
    }
    let wish = pictures.wish(Request { noise, ..request }, size).steered(&guides, 0);
    work.run_and_keep(
        fps,
        |maker| {
            maker.check(&wish.request, shape, fps).map_err(|failure| prompt.about(failure))?;
            maker.fulfil(&wish, false)
        },
        |maker| match &args.save_latents {
            None => Ok(()),
            Some(path) => {
                interrupt::clean_beside(path);
                Ok(maker.latents().write(path)?)
            }
        },
    )
}

/// What is given of the clip.
struct Pictures {
    first: Option<Frames>,
    last: Option<Frames>,
    others: Vec<(usize, Frames)>,
}

impl Pictures {
    fn read(args: &Generate) -> Result<Self, Failure> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(source::picture).transpose();
        let others = args.frame.iter().map(|frame| Ok((frame.at, source::pictures(&frame.path)?)));
        Ok(Self {
            first: read(&args.image)?,
            last: read(&args.last_image)?,
            others: others.collect::<Result<_, Failure>>()?,
        })
    }

    /// Whether nothing is given.
    fn none(&self) -> bool {
        self.first.is_none() && self.last.is_none() && self.others.is_empty()
    }

    /// That no two of them stand in one place.
    fn check(&self, frames: usize) -> Outcome {
        let first = self.first.iter().map(|_| (0..1, "the first image"));
        let last = self.last.iter().map(|_| {
            (frames.saturating_sub(FRAMES_PER_LATENT)..frames, "the last image, which rests for four frames")
        });
        let others =
            self.others.iter().map(|(at, frames)| (*at..at + frames.shape().frames, "what `--frame` gives"));
        match source::overlap(first.chain(last).chain(others).collect()) {
            None => Ok(()),
            Some([(_, earlier), (span, later)]) => Err(Failure::usage(anyhow!(
                "two pictures stand at frame {}: {earlier} and {later}\nhint: leave one out, or move it",
                span.start
            ))),
        }
    }

    /// The size when none is asked for.
    fn size(&self, limits: &Limits) -> Result<Size, Failure> {
        let pictures =
            self.first.iter().chain(&self.last).chain(self.others.iter().map(|(_, frames)| frames));
        let shape = pictures.map(Frames::shape).next().unwrap_or(DEFAULT_SHAPE);
        source::near_within(shape, limits.side_max)
    }

    /// The first picture and others at their frames, scaled.
    fn placed(self, size: Size) -> Vec<(usize, Frames)> {
        let first = self.first.into_iter().map(|picture| (0, picture));
        let placed = first.chain(self.others);
        placed.map(|(at, frames)| (at, fit(&frames, size.width, size.height))).collect()
    }

    fn wish(self, request: Request, size: Size) -> Wish {
        let scaled = |frames: &Frames| fit(frames, size.width, size.height);
        let image = |frames: Option<Frames>| frames.map(|frames| scaled(&frames.part(0..1)));
        let others = self.others.iter().map(|(at, frames)| Given::kept(scaled(frames), *at)).collect();
        Wish::animate(request, image(self.first), image(self.last), others)
    }
}

/// The number of frames, given or nearest to the seconds.
fn frames(args: &Generate, limits: &Limits) -> Result<usize, Failure> {
    let Some(seconds) = args.seconds else {
        return Ok(args.frames.unwrap_or(vidit_pipeline::DEFAULT_SHAPE.frames));
    };
    if !(seconds.is_finite() && seconds > 0.0) {
        return Err(Failure::usage(anyhow!("seconds must be above 0, found `{seconds}`\nhint: 2 is usual")));
    }
    let wanted = seconds * f64::from(args.fps);
    if wanted > limits.frames_max as f64 {
        let longest = limits.frames_max as f64 / f64::from(args.fps);
        return Err(Failure::usage(anyhow!(
            "seconds must be at most {longest:.1} at {} frames a second, found `{seconds}`\nhint: ask for less",
            args.fps
        )));
    }
    Ok(nearest_legal(wanted))
}

/// The nearest `4n + 1`.
fn nearest_legal(frames: f64) -> usize {
    let latents = ((frames - 1.0) / FRAMES_PER_LATENT as f64).round().max(0.0);
    latents as usize * FRAMES_PER_LATENT + 1
}

/// A path by which two names of one file are the same, whether it exists or not.
fn place(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
    parent.join(path.file_name().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_the_nearest_legal_frames() {
        for (wanted, frames) in [(0.1, 1), (2.9, 1), (3.1, 5), (24.0, 25), (25.0, 25), (26.9, 25), (27.1, 29)]
        {
            assert_eq!(nearest_legal(wanted), frames, "{wanted}");
        }
    }
}
