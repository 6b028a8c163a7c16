//! Pictures and clips that a verb begins with.

use std::ops::Range;
use std::path::Path;

use anyhow::anyhow;
use vidit_media::{Clip, Coded, FrameRate, ReadLimits, fit, read_coded, read_video};
use vidit_pipeline::{DEFAULT_FPS, DEFAULT_SHAPE, Mask, Request};
use vidit_video::{Frames, PixelShape};

use super::model;
use crate::args::Size;
use crate::report::Failure;

/// Sides of clips are multiples of this: a token of the model.
const GRID: usize = 16;
/// Rates no further apart than this are one: 24 and 23.976, 12 and what a GIF makes of it.
const SAME_RATE: f64 = 0.05;

/// A clip that a verb begins with.
pub struct Source {
    pub frames: Frames,
    pub fps: FrameRate,
    /// Its frames as they are encoded, which a video that has them again takes over.
    pub coded: Option<Coded>,
}

/// A clip at the asked size, or at its own, which has to lie on the grid.
pub fn clip(path: &Path, size: Option<Size>) -> Result<Source, Failure> {
    size.map_or(Ok(()), check_size)?;
    let (clip, coded) = read_coded(path, &ReadLimits::default())?;
    let (fps, shape) = (rate(path, &clip), clip.frames.shape());
    let on_grid = shape.width.is_multiple_of(GRID) && shape.height.is_multiple_of(GRID);
    let frames = match size {
        Some(size) => fit(&clip.frames, size.width, size.height),
        None if on_grid => clip.frames,
        None => {
            let near = near(shape);
            return Err(Failure::usage(anyhow!(
                "`{}` must have sides that are multiples of {GRID}, found {}x{}\nhint: scale it with `--size {}x{}`",
                path.display(),
                shape.width,
                shape.height,
                near.width,
                near.height
            )));
        }
    };
    Ok(Source { frames, fps, coded })
}

/// That a model could make a clip of this size, before anything is scaled to it.
fn check_size(size: Size) -> Result<(), Failure> {
    let Size { width, height } = size;
    let shape = PixelShape::new(1, height, width);
    Request { shape, ..Request::new("any") }.check(&model::limits()).map_err(Failure::usage)?;
    let on_grid = [width, height].iter().all(|side| *side > 0 && side.is_multiple_of(GRID));
    match on_grid {
        true => Ok(()),
        false => Err(Failure::usage(anyhow!(
            "`--size` must have sides that are multiples of {GRID}, found `{width}x{height}`\nhint: {}x{} is near",
            snap(width as f64),
            snap(height as f64)
        ))),
    }
}

/// The rate at which a source is shown.
pub fn rate(path: &Path, clip: &Clip) -> FrameRate {
    match is_untimed(path, &clip.frames) {
        true => FrameRate::from(DEFAULT_FPS),
        false => FrameRate::nearest(clip.fps),
    }
}

/// Whether a source has no rate of its own: a folder of frames, or one picture. It is shown at the usual rate, or at another clip's.
fn is_untimed(path: &Path, frames: &Frames) -> bool {
    path.is_dir() || frames.shape().frames == 1
}

/// Two clips of one size, the first one's where none is asked for, and of one rate.
pub fn pair(from: &Path, to: &Path, size: Option<Size>) -> Result<[Source; 2], Failure> {
    let [mut first, mut second] = [clip(from, size)?, clip(to, size)?];
    let (fps, second_fps) = (first.fps, second.fps);
    let fps = match (is_untimed(from, &first.frames), is_untimed(to, &second.frames)) {
        (false, false) if (fps.hz() / second_fps.hz() - 1.0).abs() > SAME_RATE => {
            return Err(Failure::usage(anyhow!(
                "the clips must have one frame rate, found {fps} and {second_fps} frames a second: one of them would be shown too fast or too \
                 slowly\nhint: write one of them anew at the rate of the other, for instance with `ffmpeg -i IN -r {fps} OUT.mp4`"
            )));
        }
        (true, false) => second_fps,
        _ => fps,
    };
    (first.fps, second.fps) = (fps, fps);
    let (a, b) = (first.frames.shape(), second.frames.shape());
    if (a.width, a.height) != (b.width, b.height) {
        return Err(Failure::usage(anyhow!(
            "the clips must have one size, found {}x{} and {}x{}\nhint: scale both with `--size {}x{}`",
            a.width,
            a.height,
            b.width,
            b.height,
            a.width,
            a.height
        )));
    }
    Ok([first, second])
}

/// Pictures as they are, to be scaled when the size is known.
pub fn pictures(path: &Path) -> Result<Frames, Failure> {
    Ok(read_video(path, &ReadLimits::default())?.frames)
}

/// One picture.
pub fn picture(path: &Path) -> Result<Frames, Failure> {
    let found = pictures(path)?;
    match found.shape().frames {
        1 => Ok(found),
        frames => Err(Failure::usage(anyhow!(
            "`{}` must be one picture, found {frames} frames\nhint: give one of them, or with `generate` the clip as `--frame 0={}`",
            path.display(),
            path.display()
        ))),
    }
}

/// The first two of what stands in spans of frames, by where they begin, of which the second begins before the first has ended.
pub fn overlap<T: Copy>(mut spans: Vec<(Range<usize>, T)>) -> Option<[(Range<usize>, T); 2]> {
    spans.sort_by_key(|(span, _)| span.start);
    spans.array_windows().find(|[earlier, later]| earlier.0.end > later.0.start).cloned()
}

/// What of a clip is white in a picture of its size.
pub fn mask(path: &Path, clip: PixelShape) -> Result<Mask, Failure> {
    let picture = pictures(path)?;
    let found = picture.shape();
    if found.frames != 1 {
        return Err(Failure::usage(anyhow!(
            "the mask `{}` must be one picture, found {} frames\nhint: save one of them as a .png, white where the clip is changed",
            path.display(),
            found.frames
        )));
    }
    if (found.width, found.height) != (clip.width, clip.height) {
        return Err(Failure::usage(anyhow!(
            "the mask `{}` must have the size of the clip, {}x{}, found {}x{}\nhint: scale it",
            path.display(),
            clip.width,
            clip.height,
            found.width,
            found.height
        )));
    }
    let remade =
        picture.frame(0).chunks_exact(3).map(|rgb| rgb.iter().map(|c| u32::from(*c)).sum::<u32>() > 382);
    Ok(Mask { height: clip.height, width: clip.width, remade: remade.collect() })
}

/// The legal side that is nearest.
fn snap(side: f64) -> usize {
    ((side / GRID as f64).round().max(1.0) as usize) * GRID
}

/// The legal size of about as many pixels as the default whose shape is nearest to a picture's.
pub fn near(shape: PixelShape) -> Size {
    let aspect = shape.width as f64 / shape.height as f64;
    let pixels = (DEFAULT_SHAPE.width * DEFAULT_SHAPE.height) as f64;
    Size { width: snap((pixels * aspect).sqrt()), height: snap((pixels / aspect).sqrt()) }
}

/// [`near`] of a picture that nobody gave a size for, with sides of at most so many pixels.
pub fn near_within(shape: PixelShape, side_max: usize) -> Result<Size, Failure> {
    let Size { width, height } = near(shape);
    match width.max(height) <= side_max {
        true => Ok(Size { width, height }),
        false => Err(Failure::usage(anyhow!(
            "a video in the shape of the picture, {}x{}, must have sides of at most {side_max}, found `{width}x{height}`\nhint: give it another with `--size`, such as `--size {}x{}`; of the picture the middle is kept",
            shape.width,
            shape.height,
            width.min(side_max),
            height.min(side_max)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_size_has_the_pictures_shape_and_the_models_pixels() {
        for ((width, height), expected) in [
            ((512, 512), (128, 128)),
            ((1920, 1080), (176, 96)),
            ((1080, 1920), (96, 176)),
            ((10_000, 10), (4048, 16)),
        ] {
            let found = near(PixelShape::new(1, height, width));
            assert_eq!((found.width, found.height), expected);
        }
        assert!(near_within(PixelShape::new(1, 1080, 1920), 1024).is_ok());
        let Err(Failure::Usage(error)) = near_within(PixelShape::new(1, 16, 2000), 1024) else {
            panic!("it is too wide")
        };
        let error = error.to_string();
        assert!(error.contains("2000x16") && error.contains("`--size 1024x16`"), "{error}");
    }
}
