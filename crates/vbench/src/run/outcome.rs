//! What a run has found, and how the reference sums it up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::Measured;
use crate::dimensions::camera_motion::{CameraType, PROMPT_TYPE};
use crate::dimensions::names_an_action;
use crate::{Dimension, DimensionResult, Mode, Results, VideoResult, stem_of};

/// A video that has no score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The file.
    pub path: PathBuf,
    /// In which dimension; `None` if it could not be read at all.
    pub dimension: Option<Dimension>,
    /// Why.
    pub reason: String,
}

/// What a run has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// By dimension, in the order of the plan: the path, and what was measured.
    pub measured: BTreeMap<Dimension, Vec<(String, Measured)>>,
    /// What could not be measured.
    pub failed: Vec<Failed>,
    /// SHA-256 of each video by its path.
    pub videos: BTreeMap<String, String>,
    /// SHA-256 of each given picture by its path.
    pub pictures: BTreeMap<String, String>,
    /// Of a long run, the video of each clip, or its scene where these were told apart, both by their paths.
    pub clips: BTreeMap<String, String>,
    /// The video of each scene, both by their paths.
    pub scenes: BTreeMap<String, String>,
    /// Of a long run, how alike the clips of a video are, by dimension and the video's path: before it is mapped and fused.
    pub between: BTreeMap<Dimension, BTreeMap<String, f64>>,
    /// Of the clips, those alone that stand still have a score of flicker.
    pub only_still: bool,
    /// Videos whose results were there before.
    pub reused: usize,
    /// Who decoded, and how often: `openh264`, `ffmpeg`.
    pub decoders: BTreeMap<String, usize>,
    /// Videos whose frames are not known to equal the reference's to the byte.
    pub inexact: Vec<String>,
}

impl Outcome {
    /// The reference's results: overall scores are sums over videos, or over frames where these count (`subject_consistency`, in
    /// [`Mode::Compat`] alone; `background_consistency`, `appearance_style` and what counts frames).
    ///
    /// Of a long run they are means over clips in [`Mode::Compat`]; in [`Mode::Fixed`] over videos, each the mean of its clips.
    ///
    /// Where clips were compared with each other, a clip's score is that within it and its video's from clip to clip, half and half.
    ///
    /// A dimension without any video that counts is left out.
    pub fn results(&self, mode: Mode) -> Results {
        let mut results = Results::default();
        for (&dimension, videos) in &self.measured {
            // The reference does not list what it does not count.
            let counted = videos.iter().filter(|(_, measured)| measured.count > 0.0);
            let counted: Vec<_> = counted.map(|clip| self.fused(dimension, clip, mode)).collect();
            let long = self.long(&counted);
            // Of videos of one clip each the reference says what it says of short ones; this differs where frames weigh alike.
            let as_short = mode == Mode::Compat
                && dimension == Dimension::SubjectConsistency
                && long.len() == counted.len();
            let overall = match (long.is_empty() || as_short, mode) {
                (true, _) => overall(dimension, counted.iter().map(|(_, measured)| measured), mode),
                // It means to sum up by video; but its groups go by the path of the clip, and each clip is one. That of a clip that was
                // found to stand still is cut off before the clip's name.
                (false, Mode::Compat) if !(self.only_still && dimension == Dimension::TemporalFlickering) => {
                    mean(counted.iter().map(|(_, measured)| measured.score.value()))
                }
                (false, _) => mean(long.iter().map(|video| video.score.value())),
            };
            if let Some(overall) = overall {
                let overall = overall / dimension.video_scale();
                let videos = counted.iter().map(|(path, measured)| VideoResult {
                    path: path.clone(),
                    score: measured.score,
                    extra: measured.extra.clone(),
                });
                let videos = videos.collect();
                let by_type = by_type(dimension, &counted);
                results.dimensions.insert(dimension, DimensionResult { overall, videos, long, by_type });
            }
        }
        results
    }

    /// Of a long run the clips of each video, by the video's path: their names and the frames in their middles, in order.
    pub fn middles(&self) -> BTreeMap<&str, BTreeSet<(usize, &str)>> {
        let mut found: BTreeMap<&str, BTreeSet<(usize, &str)>> = BTreeMap::new();
        for (clip, measured) in self.measured.values().flatten() {
            let frames = measured.extra.get("frames").and_then(Value::as_array);
            let ends = frames.and_then(|ends| Some((ends.first()?.as_u64()?, ends.get(1)?.as_u64()?)));
            if let (Some(video), Some((start, end))) = (self.video_of(clip), ends) {
                found.entry(video).or_default().insert((usize::midpoint(start as usize, end as usize), clip));
            }
        }
        found
    }

    /// The path of the video that a clip is of, whatever its scene; `None` if it is no clip.
    pub(super) fn video_of(&self, clip: &str) -> Option<&String> {
        let of = self.clips.get(clip)?;
        Some(self.scenes.get(of).unwrap_or(of))
    }

    /// The videos that clips are of; none if these are no clips.
    fn long(&self, clips: &[(String, Measured)]) -> Vec<VideoResult> {
        let video = |clip: &(String, Measured)| self.clips.get(&clip.0);
        let videos = clips.chunk_by(|a, b| video(a) == video(b));
        let videos = videos.filter_map(|clips| {
            let score = mean(clips.iter().map(|(_, measured)| measured.score.value()))?;
            Some(VideoResult::new(video(&clips[0])?, score))
        });
        videos.collect()
    }

    /// Videos whose names say none of the 400 actions: by the reference's rules they score 0, whatever they show.
    pub fn unknown_actions(&self) -> Vec<&str> {
        let videos = self.measured.get(&Dimension::HumanAction).into_iter().flatten();
        videos.map(|(path, _)| path.as_str()).filter(|path| !names_an_action(stem_of(path))).collect()
    }

    /// Videos without an object of the colour, which a dimension leaves out of its mean.
    pub fn left_out(&self, dimension: Dimension) -> usize {
        self.measured
            .get(&dimension)
            .map_or(0, |videos| videos.iter().filter(|(_, measured)| measured.count == 0.0).count())
    }
}

/// Before it is divided by the dimension's scale.
fn overall<'a>(dimension: Dimension, videos: impl Iterator<Item = &'a Measured>, mode: Mode) -> Option<f64> {
    // One process of the reference weighs each pair of frames alike, several each video: quirk Q1.
    let by_video = dimension == Dimension::SubjectConsistency && mode == Mode::Fixed;
    let (mut sum, mut count) = (0.0, 0.0);
    for measured in videos.filter(|measured| measured.count > 0.0) {
        sum += if by_video { measured.score.value() } else { measured.sum };
        count += if by_video { 1.0 } else { measured.count };
    }
    (count > 0.0).then(|| sum / count)
}

/// Means by what videos were asked for, where these have types.
fn by_type(dimension: Dimension, videos: &[(String, Measured)]) -> Vec<(&'static str, Option<f64>)> {
    if dimension != Dimension::CameraMotion {
        return Vec::new();
    }
    let of = |kind: CameraType| {
        let asked = videos.iter().map(|(_, measured)| measured);
        let asked =
            asked.filter(|measured| measured.extra.get(PROMPT_TYPE).is_some_and(|at| at == kind.name()));
        (kind.name(), mean(asked.map(|measured| measured.score.value())))
    };
    CameraType::ALL.map(of).into()
}

/// `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(dimension: Dimension, measured: [Measured; 2]) -> Outcome {
        let videos = ["a", "b"].map(str::to_owned).into_iter().zip(measured).collect();
        Outcome { measured: BTreeMap::from([(dimension, videos)]), ..Outcome::default() }
    }

    #[test]
    fn frames_weigh_alike_or_videos_do() {
        let dimension = Dimension::SubjectConsistency;
        let outcome =
            outcome(dimension, [Measured::of_frames(0.5, 0.5, 1), Measured::of_frames(1.0, 3.0, 3)]);
        assert_eq!(outcome.results(Mode::Compat).dimensions[&dimension].overall, 0.875);
        assert_eq!(outcome.results(Mode::Fixed).dimensions[&dimension].overall, 0.75);
    }

    #[test]
    fn motions_of_the_camera_have_means_by_type() {
        let dimension = Dimension::CameraMotion;
        let asked = |score, kind: &str| Measured::new(score).with(PROMPT_TYPE, kind);
        let outcome = outcome(dimension, [asked(1.0, "zoom_in"), asked(0.0, "zoom_in")]);
        let found = &outcome.results(Mode::Compat).dimensions[&dimension];
        assert_eq!((found.overall, found.by_type.len()), (0.5, 7));
        for (kind, mean) in &found.by_type {
            assert_eq!(*mean, (*kind == "zoom_in").then_some(0.5), "{kind}");
        }
    }

    #[test]
    fn clips_are_summed_up_as_by_the_reference_or_by_video() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("golden/long.json")).unwrap();
        let mut outcome = Outcome { only_still: true, ..Outcome::default() };
        for dimension in [Dimension::Scene, Dimension::ImagingQuality, Dimension::TemporalFlickering] {
            for (video, scores) in golden["scores"].as_object().unwrap() {
                for (index, score) in scores.as_array().unwrap().iter().enumerate() {
                    let clip = format!("split_clip/{video}_{index:03}.mp4");
                    outcome.clips.insert(clip.clone(), format!("{video}.mp4"));
                    let measured = Measured::new(score.as_f64().unwrap());
                    outcome.measured.entry(dimension).or_default().push((clip, measured));
                }
            }
            let expected = golden["overall"][dimension.name()].as_f64().unwrap();
            let compat = outcome.results(Mode::Compat);
            let found = &compat.dimensions[&dimension];
            assert!((found.overall - expected).abs() < 1e-15, "{} and {expected}", found.overall);
            let long: Vec<_> =
                found.long.iter().map(|video| (video.path.as_str(), video.score.value())).collect();
            assert_eq!(long, [("a cat-0.mp4", 0.375), ("a dog-0.mp4", 1.0), ("a_cup-0.mp4", 0.375)]);
            let by_video = outcome.results(Mode::Fixed).dimensions[&dimension].overall;
            assert!((by_video - 1.75 / 3.0 / dimension.video_scale()).abs() < 1e-15, "{by_video}");
        }
    }

    #[test]
    fn videos_of_one_clip_each_are_summed_up_as_short_ones() {
        let dimension = Dimension::SubjectConsistency;
        let mut outcome =
            outcome(dimension, [Measured::of_frames(0.5, 0.5, 1), Measured::of_frames(1.0, 3.0, 3)]);
        outcome.clips = [("a", "a.mp4"), ("b", "b.mp4")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(outcome.results(Mode::Compat).dimensions[&dimension].overall, 0.875);
        // Where one video has two, a clip is a clip.
        outcome.clips.insert("b".to_owned(), "a.mp4".to_owned());
        assert_eq!(outcome.results(Mode::Compat).dimensions[&dimension].overall, 0.75);
    }

    #[test]
    fn videos_called_after_no_action_are_named() {
        let names = ["v/A person is riding a bike-0.mp4", "v/A person is riding a pig-1.mp4"];
        let videos = names.map(|name| (name.to_owned(), Measured::new(false)));
        let measured = [(Dimension::HumanAction, videos.into())].into();
        let outcome = Outcome { measured, ..Outcome::default() };
        assert_eq!(outcome.unknown_actions(), [names[1]]);
        assert!(Outcome::default().unknown_actions().is_empty());
    }

    #[test]
    fn imaging_quality_is_a_share_and_colours_count_where_there_is_an_object() {
        let imaging = outcome(Dimension::ImagingQuality, [Measured::new(60.0), Measured::new(70.0)]);
        assert_eq!(imaging.results(Mode::Compat).dimensions[&Dimension::ImagingQuality].overall, 0.65);
        let color = outcome(Dimension::Color, [Measured::new(0.5), Measured::of_frames(0.0, 0.0, 0)]);
        let found = &color.results(Mode::Compat).dimensions[&Dimension::Color];
        assert_eq!((found.overall, found.videos.len(), color.left_out(Dimension::Color)), (0.5, 1, 1));
        let none =
            outcome(Dimension::Color, [Measured::of_frames(0.0, 0.0, 0), Measured::of_frames(0.0, 0.0, 0)]);
        assert!(none.results(Mode::Compat).dimensions.is_empty());
    }
}
