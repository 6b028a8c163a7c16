//! A dimension's videos: how they lie, the worst and the best, and all of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use vidit_media::{MediaError, ReadLimits, fit};
use vidit_video::{Frames, PixelShape};

use super::markup::{escape, picture};
use super::spread::spread;
use crate::naming::stem_of;
use crate::pixels::{FrameStream, Reader, RgbFrame};
use crate::{Dimension, DimensionResult, Mode, Score, VbenchError, VideoResult};

/// Clips shown as the worst, and as the best.
const SHOWN_MAX: usize = 5;
/// Letters of what a dimension says beside its score.
const EXTRA_LETTERS_MAX: usize = 160;

/// Width of a thumbnail in pixels.
const THUMBNAIL_WIDTH: usize = 200;

/// A small picture of a video: the frame in its middle, 200 pixels wide or less. One frame is held at a time.
///
/// # Errors
/// If the video cannot be read until there, or has no frames.
pub fn thumbnail(path: &Path, limits: &ReadLimits) -> Result<Frames, MediaError> {
    let stream = open(path, limits)?;
    let frames = match stream.info().frames {
        Some(frames) => frames,
        None => stream.count()?,
    };
    let found = thumbnails_of(path, limits, &[frames / 2])?;
    Ok(found.into_iter().next().expect("one was asked for"))
}

/// Such pictures of these frames, in one decode; `frames` ascend. Behind the last frame it is the last one.
///
/// # Errors
/// As [`thumbnail`].
pub fn thumbnails_of(path: &Path, limits: &ReadLimits, frames: &[usize]) -> Result<Vec<Frames>, MediaError> {
    let mut stream = open(path, limits)?;
    let mut frame = RgbFrame::default();
    let (mut read, mut ended) = (0, false);
    let mut found = Vec::with_capacity(frames.len());
    for &wanted in frames {
        while read <= wanted && !ended {
            ended = !stream.read(&mut frame)?;
            read += 1;
        }
        found.push(small(&frame));
    }
    Ok(found)
}

fn open(path: &Path, limits: &ReadLimits) -> Result<FrameStream, MediaError> {
    FrameStream::open(path, limits, Reader::Decord, Mode::Fixed)
}

fn small(frame: &RgbFrame) -> Frames {
    let RgbFrame { height, width, rgb } = frame;
    let whole = Frames::from_rgb(PixelShape::new(1, *height, *width), rgb.clone());
    match *width <= THUMBNAIL_WIDTH {
        true => whole,
        false => fit(&whole, THUMBNAIL_WIDTH, (height * THUMBNAIL_WIDTH).div_ceil(*width)),
    }
}

/// Places of thumbnails, each in the page once.
pub struct Pictures {
    places: BTreeMap<String, (usize, usize, usize)>,
}

impl Pictures {
    pub fn new(thumbnails: &BTreeMap<String, Frames>) -> Self {
        let place = |(index, (path, frames)): (usize, (&String, &Frames))| {
            let shape = frames.shape();
            (path.clone(), (index, shape.width, shape.height))
        };
        Self { places: thumbnails.iter().enumerate().map(place).collect() }
    }

    /// The pictures as a style of each place.
    pub fn style(&self, thumbnails: &BTreeMap<String, Frames>) -> Result<String, VbenchError> {
        let mut css = String::new();
        for (path, frames) in thumbnails {
            let (index, width, height) = self.places[path];
            let _ = writeln!(
                css,
                ".t{index} {{ background-image: url({}); aspect-ratio: {width} / {height}; }}",
                picture(frames)?
            );
        }
        Ok(css)
    }

    /// The thumbnail of a video, or an empty place.
    pub fn of(&self, path: &str) -> String {
        match self.places.get(path) {
            Some((index, ..)) => {
                format!(
                    "<span class=\"thumb t{index}\" role=\"img\" aria-label=\"{}\"></span>",
                    escape(stem_of(path))
                )
            }
            None => "<span class=\"thumb none\"></span>".to_owned(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// A score as its dimension tells it.
pub fn told(score: Score) -> String {
    match score {
        Score::Flag(true) => "passed".to_owned(),
        Score::Flag(false) => "failed".to_owned(),
        Score::Number(value) => format!("{value:.4}"),
    }
}

pub fn dimension(dimension: Dimension, result: &DimensionResult, pictures: &Pictures) -> String {
    let mut html = format!(
        "<section class=\"dimension\" id=\"{}\">\n<h3>{} <span class=\"score\">{:.2} %</span></h3>\n",
        dimension.name(),
        dimension.title(),
        100.0 * result.overall
    );
    html += &format!(
        "<p class=\"soft\">normalised {:.2}, weight {}, {} videos</p>\n",
        100.0 * dimension.normalise(result.overall),
        dimension.weight(),
        result.videos.len()
    );
    if result.videos.is_empty() {
        return html + "</section>\n";
    }
    html += &format!("<div class=\"scroll spread\">\n{}</div>\n", spread(dimension, result));
    let mut sorted: Vec<&VideoResult> = result.videos.iter().collect();
    sorted.sort_by(|a, b| a.score.value().total_cmp(&b.score.value()).then_with(|| a.path.cmp(&b.path)));
    if dimension.is_boolean() {
        let with = |passed: bool| {
            sorted.iter().filter(move |video| (video.score.value() > 0.5) == passed).take(SHOWN_MAX)
        };
        html += &clips("Failed", with(false), pictures);
        html += &clips("Passed", with(true), pictures);
    } else {
        // No clip is both.
        let shown = SHOWN_MAX.min(sorted.len() / 2);
        html += &clips("Worst", sorted.iter().take(shown), pictures);
        html += &clips("Best", sorted.iter().rev().take(shown), pictures);
    }
    html += &format!(
        "<details><summary>All {} videos, worst first</summary>\n<div class=\"scroll\"><table>\n",
        sorted.len()
    );
    let has_extra = sorted.iter().any(|video| !video.extra.is_empty());
    html += "<tr>";
    if !pictures.is_empty() {
        html += "<th></th>";
    }
    html += "<th>video</th><th class=\"number\">score</th>";
    html += if has_extra { "<th>beside it</th></tr>\n" } else { "</tr>\n" };
    for video in sorted {
        html += "<tr>";
        if !pictures.is_empty() {
            html += &format!("<td>{}</td>", pictures.of(&video.path));
        }
        html += &format!(
            "<td class=\"path\">{}</td><td class=\"number\">{}</td>",
            escape(&video.path),
            told(video.score)
        );
        if has_extra {
            html += &format!("<td class=\"mono\">{}</td>", escape(&extra(video)));
        }
        html += "</tr>\n";
    }
    html + "</table></div></details>\n</section>\n"
}

fn extra(video: &VideoResult) -> String {
    let parts: Vec<String> = video.extra.iter().map(|(key, value)| format!("{key} {value}")).collect();
    let text = parts.join(", ");
    match text.char_indices().nth(EXTRA_LETTERS_MAX) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

fn clips<'a>(title: &str, videos: impl Iterator<Item = &'a &'a VideoResult>, pictures: &Pictures) -> String {
    let mut videos = videos.peekable();
    if videos.peek().is_none() {
        return String::new();
    }
    let mut html = format!("<h4>{title}</h4>\n<div class=\"clips\">\n");
    for video in videos {
        let thumbnail = if pictures.is_empty() { String::new() } else { pictures.of(&video.path) };
        html += &format!(
            "<figure>{thumbnail}<figcaption><b>{}</b>{}</figcaption></figure>\n",
            told(video.score),
            escape(stem_of(&video.path))
        );
    }
    html + "</div>\n"
}
