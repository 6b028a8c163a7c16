//! `vidit generate --storyboard`: timed prompts, pictures and clips along one timeline.
//!
//! Each prompt holds until the next one. The first is generated, every further one extends what there is; pictures stand at their
//! moment within.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::Deserialize;
use vidit_media::{FrameRate, ReadLimits, fit};
use vidit_pipeline::{DEFAULT_SHAPE, FRAMES_PER_LATENT, Request, timeline};
use vidit_video::{Frames, PixelShape};

use super::making::{Work, request, utf8};
use super::{boxes, model, source};
use crate::args::Generate;
use crate::report::{Failure, Outcome};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Board {
    /// Frames of the whole.
    frames: usize,
    /// What happens when.
    card: Vec<Card>,
}

/// A moment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    /// When, in frames; or
    frame: Option<usize>,
    /// when, in seconds.
    seconds: Option<f64>,
    /// What happens from now on.
    prompt: Option<String>,
    /// A picture, or a clip, that stands here; a path from the file's own folder.
    image: Option<PathBuf>,
}

/// From this frame to that one, this happens.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    from: usize,
    to: usize,
    prompt: String,
}

pub fn run(args: &Generate, path: &Path) -> Outcome {
    let limits = model::limits();
    let first_prompt = args.prompt.as_ref().map(|prompt| utf8("prompt", prompt)).transpose()?;
    let text = std::fs::read_to_string(path)
        .with_context(|| {
            format!("cannot read the storyboard `{}`\nhint: it is a file of TOML", path.display())
        })
        .map_err(Failure::usage)?;
    let board: Board = toml::from_str(&text)
        .map_err(|error| anyhow!("cannot read the storyboard `{}`: {error}\nhint: `frames = 49`, then `[[card]]`s of `frame`, `prompt`, `image`", path.display()))
        .map_err(Failure::usage)?;
    let of_board =
        |error: anyhow::Error| Failure::usage(anyhow!("in the storyboard `{}`: {error}", path.display()));
    let parts = parts(&board, first_prompt, args.fps).map_err(of_board)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut pictures = Vec::new();
    for card in &board.card {
        if let Some(image) = &card.image {
            pictures.push((at(card, args.fps).map_err(of_board)?, source::pictures(&folder.join(image))?));
        }
    }
    check_places(&pictures).map_err(of_board)?;
    let size = match args.size {
        Some(size) => size,
        None => {
            let first = pictures.first().map_or(DEFAULT_SHAPE, |(_, picture)| picture.shape());
            source::near_within(first, limits.side_max)?
        }
    };
    let shape = PixelShape::new(board.frames, size.height, size.width);
    let of_part = |part: &Part| -> Result<(Range<usize>, Request), Failure> {
        let one = PixelShape { frames: 1, ..shape };
        let request = Request { shape: one, fps: args.fps, ..request(&args.making, part.prompt.clone())? };
        request.check(&limits).map_err(Failure::usage)?;
        Ok((part.from..part.to, request))
    };
    let told: Vec<_> = parts.iter().map(of_part).collect::<Result<_, Failure>>()?;
    check_length(shape).map_err(of_board)?;
    let pictures: Vec<(usize, Frames)> =
        pictures.iter().map(|(at, frames)| (*at, fit(frames, size.width, size.height))).collect();
    let guides = boxes::asked(&args.making, board.frames)?;
    let said = parts.iter().map(|part| part.prompt.as_str()).collect::<Vec<_>>().join("; ");
    let work = Work::new(&args.making, &parts[0].prompt, "mp4")?.told_as(said);
    let fps = FrameRate::from(args.fps);
    work.check_clip(shape, fps)?;
    work.run(fps, |maker| {
        // A prompt that the model refuses is refused before the first part is made.
        told.iter().try_for_each(|(_, request)| maker.check(request, shape, fps))?;
        timeline(&told, &pictures, &guides, &mut |wish| maker.fulfil(wish, false))
    })
}

/// That a clip of all its frames could be read again, too.
fn check_length(shape: PixelShape) -> anyhow::Result<()> {
    let limits = ReadLimits::default();
    let most = (limits.pixels_max as usize / (shape.height * shape.width).max(1)).min(limits.frames_max);
    match shape.frames <= most {
        true => Ok(()),
        false => Err(anyhow!(
            "`frames` of a storyboard must be at most {most} at {}x{}, found `{}`\nhint: make two, and `vidit connect` them",
            shape.width,
            shape.height,
            shape.frames
        )),
    }
}

/// That no two pictures or clips stand in one place: a step of the model is four frames.
fn check_places(pictures: &[(usize, Frames)]) -> anyhow::Result<()> {
    let spans = pictures.iter().map(|(at, frames)| match (*at, frames.shape().frames) {
        (0, 1) => (0..1, ()),
        (at, frames) => (at..at + frames.next_multiple_of(FRAMES_PER_LATENT), ()),
    });
    match source::overlap(spans.collect()) {
        None => Ok(()),
        Some([(earlier, ()), (later, ())]) => Err(anyhow!(
            "the picture at frame {} must come after the one at frame {} has ended, at frame {}\nhint: a picture stands for four frames, a clip \
             for as many as it has; move one of them",
            later.start,
            earlier.start,
            earlier.end
        )),
    }
}

/// The frame of a card.
fn at(card: &Card, fps: u32) -> anyhow::Result<usize> {
    match (card.frame, card.seconds) {
        (Some(frame), None) => Ok(frame),
        (None, Some(seconds)) if seconds.is_finite() && seconds >= 0.0 => {
            Ok((seconds * f64::from(fps)).round() as usize)
        }
        (None, Some(seconds)) => Err(anyhow!(
            "`seconds` of a card must be 0 or more, found `{seconds}`\nhint: 1.5 is a second and a half"
        )),
        _ => {
            Err(anyhow!("a card needs `frame` or `seconds`, one of them\nhint: `frame = 0` is the beginning"))
        }
    }
}

/// The timeline cut where prompts change.
fn parts(board: &Board, first: Option<String>, fps: u32) -> anyhow::Result<Vec<Part>> {
    if board.frames == 0 {
        return Err(anyhow!(
            "`frames` of a storyboard must be at least 1, found `0`\nhint: 49 is four seconds"
        ));
    }
    let mut prompts: Vec<(usize, String)> = first.map(|prompt| (0, prompt)).into_iter().collect();
    for card in &board.card {
        let frame = at(card, fps)?;
        if frame >= board.frames {
            let frames = board.frames;
            return Err(anyhow!(
                "a card at frame {frame} is behind the end, {frames} frames\nhint: raise `frames`"
            ));
        }
        match (&card.prompt, &card.image) {
            (Some(prompt), _) => prompts.push((frame, prompt.clone())),
            (None, Some(_)) => {}
            (None, None) => {
                return Err(anyhow!(
                    "the card at frame {frame} says nothing\nhint: give it a `prompt` or an `image`"
                ));
            }
        }
    }
    prompts.sort_by_key(|(frame, _)| *frame);
    if let Some(pair) = prompts.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let frame = pair[0].0;
        return Err(anyhow!("two prompts begin at frame {frame}\nhint: make them one, or move one"));
    }
    if prompts.first().is_none_or(|(frame, _)| *frame != 0) {
        return Err(anyhow!(
            "no prompt begins at frame 0\nhint: add a card there, or name the prompt on the command line"
        ));
    }
    let ends = prompts.iter().skip(1).map(|(frame, _)| *frame).chain([board.frames]).collect::<Vec<_>>();
    Ok(prompts.into_iter().zip(ends).map(|((from, prompt), to)| Part { from, to, prompt }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_apart_and_lengths_end_somewhere() {
        let clip = |frames| Frames::black(PixelShape::new(frames, 16, 16));
        check_places(&[(1, clip(1)), (0, clip(1)), (5, clip(9)), (17, clip(1))]).unwrap();
        for pictures in
            [[(0, clip(25)), (13, clip(1))], [(9, clip(1)), (12, clip(1))], [(2, clip(1)), (1, clip(1))]]
        {
            assert!(check_places(&pictures).unwrap_err().to_string().contains("\nhint: "));
        }
        check_length(PixelShape::new(4096, 128, 128)).unwrap();
        for shape in [
            PixelShape::new(4097, 128, 128),
            PixelShape::new(600, 1024, 1024),
            PixelShape::new(1 << 60, 16, 16),
        ] {
            let error = check_length(shape).unwrap_err().to_string();
            assert!(error.contains(&format!("found `{}`", shape.frames)), "{error}");
        }
    }

    fn read(text: &str, first: Option<&str>) -> anyhow::Result<Vec<Part>> {
        parts(&toml::from_str(text)?, first.map(str::to_owned), 12)
    }

    #[test]
    fn each_prompt_holds_until_the_next() {
        let text =
            "frames = 40\n[[card]]\nseconds = 2.0\nprompt = \"b\"\n[[card]]\nframe = 9\nimage = \"x.png\"";
        let part = |from, to, prompt: &str| Part { from, to, prompt: prompt.to_owned() };
        assert_eq!(read(text, Some("a")).unwrap(), [part(0, 24, "a"), part(24, 40, "b")]);
    }

    #[test]
    fn boards_that_make_no_sense_are_refused_by_name() {
        let card = |inside: &str| format!("frames = 25\n[[card]]\n{inside}");
        for (text, named) in [
            (card("frame = 0"), "says nothing"),
            (card("prompt = \"a\""), "`frame` or `seconds`"),
            (card("frame = 0\nseconds = 0.0\nprompt = \"a\""), "one of them"),
            (card("seconds = -1.0\nprompt = \"a\""), "0 or more"),
            (card("frame = 25\nprompt = \"a\""), "behind the end"),
            (card("frame = 3\nprompt = \"a\""), "frame 0"),
            (card("frame = 0\nprompt = \"a\"\n[[card]]\nframe = 0\nprompt = \"b\""), "two prompts"),
            ("frames = 0\ncard = []".to_owned(), "at least 1"),
            (card("frame = 0\nprompts = \"a\""), "prompts"),
        ] {
            let error = read(&text, None).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
