//! Which clips VBench-Long cuts a long video into. They are ranges of its frames: the reference decodes the video whole and encodes each
//! clip anew, and what that loses is measured along with the video.

use std::ops::Range;
use std::path::Path;

use super::Refusal;
use crate::Mode;
use crate::naming::stem_of;

/// Seconds of the clips of videos of one's own.
pub(super) const CLIP_SECS: usize = 2;

/// What is measured as one: a video, or a clip of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The video's path, or that which the reference gives to the clip's file.
    pub path: String,
    /// The clip's frames; `None` if it is the whole video, however many that has.
    pub frames: Option<Range<usize>>,
    /// What it is a clip of: the video's path, or that which the reference gives to the scene's file.
    pub of: String,
}

impl Part {
    pub fn whole(video: &Path) -> Self {
        let path = video.display().to_string();
        Self { path: path.clone(), frames: None, of: path }
    }

    /// A clip of the video or of the scene that `of` is, which lies where the reference writes it.
    fn clip(video: &Path, of: &Path, name: &str, frames: Range<usize>) -> Self {
        let of = of.display().to_string();
        let stem = stem_of(&of);
        let path = video.with_file_name("split_clip").join(stem).join(format!("{stem}_{name}.mp4"));
        Self { path: path.display().to_string(), frames: Some(frames), of }
    }

    /// Which share of the work it is, in any unit.
    pub fn size(&self) -> usize {
        self.frames.as_ref().map_or(1, Range::len)
    }

    /// What went wrong, and where in the video.
    pub fn refusal(&self, reason: &str) -> Refusal {
        match &self.frames {
            Some(frames) => format!("the clip of frames {} to {}: {reason}", frames.start, frames.end - 1),
            None => reason.to_owned(),
        }
    }
}

/// Clips of `secs` seconds that cover a video of `frames`, one after the other; the last one reaches back as far as it must to be as long as
/// the others. In [`Mode::Compat`] a rate is cut off to a whole one, as by the reference, and a shorter video is one clip.
pub(super) fn cut(
    video: &Path,
    frames: usize,
    fps: f64,
    secs: usize,
    mode: Mode,
) -> Result<Vec<Part>, Refusal> {
    let length = length(frames, fps, secs, mode)?;
    if frames < length && mode == Mode::Fixed {
        return Err(format!(
            "it has `{frames}` frames, expected the `{length}` of a clip of {secs} s or more\nhint: measure it without `--long`"
        ));
    }
    Ok(clips(video, video, 0..frames, length))
}

/// The same of each scene of a video. A scene that is shorter than a clip is one.
pub(super) fn cut_scenes(
    video: &Path,
    scenes: &[Range<usize>],
    fps: f64,
    secs: usize,
    mode: Mode,
) -> Result<Vec<Part>, Refusal> {
    let length = length(scenes.last().map_or(0, |scene| scene.end), fps, secs, mode)?;
    let shown = video.display().to_string();
    let stem = stem_of(&shown);
    let of = |index| video.with_file_name("split_scene").join(stem).join(format!("{stem}-Scene-{index}.mp4"));
    let clips =
        scenes.iter().enumerate().flat_map(|(index, scene)| clips(video, &of(index), scene.clone(), length));
    Ok(clips.collect())
}

/// Frames of a clip.
fn length(frames: usize, fps: f64, secs: usize, mode: Mode) -> Result<usize, Refusal> {
    let length = match mode {
        Mode::Compat => (fps as usize).saturating_mul(secs),
        Mode::Fixed => (fps * secs as f64).round_ties_even() as usize,
    };
    if length == 0 || frames == 0 {
        return Err(format!(
            "it has `{frames}` frames at `{fps}` a second, expected one or more at one or more a second"
        ));
    }
    Ok(length)
}

/// Clips that cover some frames of a video.
fn clips(video: &Path, of: &Path, frames: Range<usize>, length: usize) -> Vec<Part> {
    if frames.len() < length {
        return vec![Part::clip(video, of, "full", frames)];
    }
    let clip = |index: usize| {
        let start = frames.start + (index * length).min(frames.len() - length);
        Part::clip(video, of, &format!("{index:03}"), start..start + length)
    };
    (0..frames.len().div_ceil(length)).map(clip).collect()
}

/// Frames a second of a clip.
pub(super) fn rate(fps: f64, mode: Mode) -> f64 {
    if mode == Mode::Compat { fps.floor() } else { fps }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn clips_are_those_that_the_reference_writes() {
        let golden: Value = serde_json::from_str(include_str!("golden/long.json")).unwrap();
        let video = Path::new("videos/a cat-0.mp4");
        for case in golden["cuts"].as_array().unwrap() {
            let number = |key: &str| case[key].as_u64().unwrap() as usize;
            // The reference cuts the rate off.
            for more in [0.0, 0.976] {
                let fps = number("fps") as f64 + more;
                let found = cut(video, number("frames"), fps, number("secs"), Mode::Compat).unwrap();
                let found: Vec<Value> = found
                    .iter()
                    .map(|part| {
                        let name = part.path.strip_prefix("videos/split_clip/a cat-0/").unwrap();
                        let frames = part.frames.clone().unwrap();
                        serde_json::json!([name, frames.start, frames.end, rate(fps, Mode::Compat) as u64])
                    })
                    .collect();
                assert_eq!(Value::from(found), case["clips"], "{case}");
            }
        }
    }

    #[test]
    fn scenes_are_cut_each_by_itself_and_short_ones_are_clips() {
        let video = Path::new("videos/a cat-0.mp4");
        for mode in [Mode::Compat, Mode::Fixed] {
            let found = cut_scenes(video, &[0..20, 20..35, 35..80], 8.0, CLIP_SECS, mode).unwrap();
            let found: Vec<_> =
                found.iter().map(|part| (part.path.as_str(), part.frames.clone().unwrap())).collect();
            assert_eq!(
                found,
                [
                    ("videos/split_clip/a cat-0-Scene-0/a cat-0-Scene-0_000.mp4", 0..16),
                    ("videos/split_clip/a cat-0-Scene-0/a cat-0-Scene-0_001.mp4", 4..20),
                    ("videos/split_clip/a cat-0-Scene-1/a cat-0-Scene-1_full.mp4", 20..35),
                    ("videos/split_clip/a cat-0-Scene-2/a cat-0-Scene-2_000.mp4", 35..51),
                    ("videos/split_clip/a cat-0-Scene-2/a cat-0-Scene-2_001.mp4", 51..67),
                    ("videos/split_clip/a cat-0-Scene-2/a cat-0-Scene-2_002.mp4", 64..80),
                ]
            );
        }
    }

    #[test]
    fn rates_are_rounded_where_the_reference_cuts_them_off() {
        let video = Path::new("a.mp4");
        let ranges = |frames, fps, mode| {
            let parts = cut(video, frames, fps, CLIP_SECS, mode);
            parts.map(|parts| parts.into_iter().map(|part| part.frames.unwrap()).collect::<Vec<_>>())
        };
        let ntsc = 30_000.0 / 1001.0;
        assert_eq!(ranges(120, ntsc, Mode::Fixed).unwrap(), [0..60, 60..120]);
        assert_eq!(ranges(120, ntsc, Mode::Compat).unwrap(), [0..58, 58..116, 62..120]);
        assert_eq!(rate(ntsc, Mode::Fixed), ntsc);
        let short = ranges(59, ntsc, Mode::Fixed).unwrap_err();
        assert!(short.contains("`59` frames, expected the `60`") && short.contains("hint: "), "{short}");
        for (frames, fps, mode) in [
            (9, 0.9, Mode::Compat),
            (9, 0.1, Mode::Fixed),
            (0, 8.0, Mode::Compat),
            (9, f64::NAN, Mode::Fixed),
        ] {
            let error = ranges(frames, fps, mode).unwrap_err();
            assert!(error.contains(&format!("`{fps}` a second")), "{error}");
        }
    }
}
