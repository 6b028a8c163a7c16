//! What was measured, and the reference's files of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value};

use crate::nearest::nearest;
use crate::{Dimension, VbenchError};

/// What one video scored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Score {
    /// A number, on the scale of [`Dimension::video_scale`].
    Number(f64),
    /// Passed or failed.
    Flag(bool),
}

impl Score {
    /// The number; 1 for passed, 0 for failed.
    pub fn value(self) -> f64 {
        match self {
            Self::Number(value) => value,
            Self::Flag(passed) => f64::from(u8::from(passed)),
        }
    }
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<bool> for Score {
    fn from(passed: bool) -> Self {
        Self::Flag(passed)
    }
}

/// One video in one dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoResult {
    /// The file that was measured.
    pub path: String,
    /// Its score.
    pub score: Score,
    /// What a dimension says beside it: `frame_results`, `success_frame_count` …
    pub extra: Map<String, Value>,
}

impl VideoResult {
    /// A result that says nothing beside its score.
    pub fn new(path: impl Into<String>, score: impl Into<Score>) -> Self {
        Self { path: path.into(), score: score.into(), extra: Map::new() }
    }
}

/// One dimension over all its videos.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DimensionResult {
    /// The raw score, 0 to 1.
    pub overall: f64,
    /// The videos; empty where only the score is known. Of a long run, the clips.
    pub videos: Vec<VideoResult>,
    /// Of a long run, the videos that the clips are of: their scores are means.
    pub long: Vec<VideoResult>,
    /// Means by what was asked for, where the reference gives them (`camera_motion`); `None` of what no video was asked for, where it
    /// says NaN.
    pub by_type: Vec<(&'static str, Option<f64>)>,
}

/// All that was measured of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// By dimension, in the order of VBench's tables.
    pub dimensions: BTreeMap<Dimension, DimensionResult>,
}

/// Something about results that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it is about: a dimension, or a key of the file.
    pub key: String,
    /// What was expected, what was found.
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.hint.map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// A file of results, and what is odd about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultsFile {
    /// The dimensions of VBench.
    pub results: Results,
    /// Scores under other names, such as those of VBench-I2V.
    pub others: BTreeMap<String, f64>,
    /// Of these, the dimensions of VBench-I2V, with their videos.
    pub given: Results,
    /// What can be lived with.
    pub warnings: Vec<Problem>,
}

const PERCENT: &str = "scores are shares of 1 here, not percents: divide by 100";
const LAYOUT: &str = "a dimension is `\"<dimension>\": [score, [one object a video]]`";
const VIDEO_LAYOUT: &str = "a video is `{\"video_path\": \"…\", \"video_results\": number or boolean}`";
const UNMEASURED: &str = "a video that could not be read, or an empty list of videos, makes such scores; find it with `vidit eval preflight`";

impl Results {
    /// The raw scores.
    pub fn raw(&self) -> BTreeMap<Dimension, f64> {
        self.dimensions.iter().map(|(&dimension, result)| (dimension, result.overall)).collect()
    }

    /// The text of the reference's `…_eval_results.json`.
    ///
    /// # Errors
    /// If a score is not finite: JSON has no word for it.
    pub fn results_json(&self) -> Result<String, VbenchError> {
        for (dimension, result) in &self.dimensions {
            let videos = result
                .videos
                .iter()
                .map(|video| (format!("{dimension}: {}", video.path), video.score.value()));
            let all = std::iter::once((dimension.to_string(), result.overall)).chain(videos);
            if let Some((key, found)) = all.into_iter().find(|(_, score)| !score.is_finite()) {
                return Err(VbenchError::NotFinite { key, found });
            }
        }
        let mut bytes = Vec::new();
        let mut writer =
            serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
        self.serialize(&mut writer).expect("finite scores under text keys become JSON");
        Ok(String::from_utf8(bytes).expect("JSON is UTF-8"))
    }
}

impl Serialize for Results {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.dimensions.iter();
        serializer.collect_map(all.map(|(dimension, result)| (dimension.name(), Written(*dimension, result))))
    }
}

/// A dimension in the reference's layout.
struct Written<'a>(Dimension, &'a DimensionResult);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(dimension, DimensionResult { overall, videos, long, by_type }) = self;
        // What the reference compares from clip to clip, it lists by clip alone, whether or not that counts.
        let has_long = !long.is_empty() && dimension.networks_between().is_empty();
        match (has_long, by_type.is_empty()) {
            (true, _) => (overall, videos, long).serialize(serializer),
            (false, true) => (overall, videos).serialize(serializer),
            (false, false) => (overall, ByType(by_type), videos).serialize(serializer),
        }
    }
}

struct ByType<'a>(&'a [(&'static str, Option<f64>)]);

impl Serialize for ByType<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Serialize for VideoResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("video_path", &self.path)?;
        match self.score {
            Score::Number(value) => map.serialize_entry("video_results", &value)?,
            Score::Flag(passed) => map.serialize_entry("video_results", &passed)?,
        }
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Reads the reference's layout `{"<dimension>": [score, [{"video_path", "video_results", …}]]}`. A bare score is taken, too.
/// `None` if the root is no object: the leaderboard passes over such files.
///
/// # Errors
/// If the text is no JSON, or a score is no finite number from −1 to 1.
pub fn parse_results(path: &Path, text: &str) -> Result<Option<ResultsFile>, VbenchError> {
    let Value::Object(root) = parse_json(path, text)? else { return Ok(None) };
    let mut file = ResultsFile::default();
    let mut problems = Vec::new();
    for (key, value) in &root {
        let Some(dimension) = Dimension::from_name(key) else {
            file.warnings.push(unknown(key));
            continue;
        };
        let overall = match overall(key, value) {
            Ok(overall) => overall,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        match check_range(dimension, overall) {
            Some((problem, true)) => problems.push(problem),
            Some((problem, false)) => file.warnings.push(problem),
            None => {}
        }
        // What is not of the sixteen has a name among the others.
        if Dimension::GIVEN.contains(&dimension) {
            file.others.insert(dimension.name().to_owned(), overall);
            // Means by type may come before the videos.
            let list = value.as_array().and_then(|parts| parts[1..].iter().find(|part| part.is_array()));
            let videos = list.map(|list| videos(dimension, list, &mut file.warnings)).unwrap_or_default();
            let result = DimensionResult { overall, videos, ..DimensionResult::default() };
            file.given.dimensions.insert(dimension, result);
            continue;
        }
        let videos = match value.get(1) {
            None => {
                file.warnings.push(Problem {
                    key: key.clone(),
                    text: format!("`{key}` has a score and no videos"),
                    hint: Some("the leaderboard wants `[score, [one object a video]]`"),
                });
                Vec::new()
            }
            Some(list) => videos(dimension, list, &mut problems),
        };
        if let Some(problem) = check_mean(dimension, overall, &videos) {
            file.warnings.push(problem);
        }
        file.results
            .dimensions
            .insert(dimension, DimensionResult { overall, videos, ..DimensionResult::default() });
    }
    if problems.is_empty() {
        return Ok(Some(file));
    }
    Err(VbenchError::Scores { path: path.to_owned(), problems })
}

/// Parses JSON, and Python's dialect of it with bare `NaN` and `Infinity`, which become texts.
pub(crate) fn parse_json(path: &Path, text: &str) -> Result<Value, VbenchError> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|error| {
        serde_json::from_str(&quote_bare_words(text))
            .map_err(|_| VbenchError::Json { path: path.to_owned(), reason: error.to_string() })
    })
}

fn quote_bare_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let bare =
            ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !in_text && rest.starts_with(word));
        if let Some(word) = bare {
            out += &format!("\"{word}\"");
            rest = &rest[word.len()..];
            continue;
        }
        match c {
            '"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// `[score, …]` or a bare score.
fn overall(key: &str, value: &Value) -> Result<f64, Problem> {
    let first = match value {
        Value::Array(list) => list.first().unwrap_or(&Value::Null),
        other => other,
    };
    match first.as_f64() {
        Some(score) => Ok(score),
        None => Err(Problem {
            key: key.to_owned(),
            text: format!("`{key}` must begin with its score, a number, found {}", shown(first)),
            hint: Some(if is_bare_word(first) { UNMEASURED } else { LAYOUT }),
        }),
    }
}

fn is_bare_word(value: &Value) -> bool {
    matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity"))
}

/// A value in few words.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if is_bare_word(value) => format!("`{text}`"),
        Value::String(text) => format!("the text `{}`", text.chars().take(40).collect::<String>()),
        other => format!("`{other}`"),
    }
}

fn unknown(key: &str) -> Problem {
    let mut text = format!("`{key}` is no dimension of VBench and is not counted");
    if let Some(nearest) = nearest(key, Dimension::ALL.iter().map(|dimension| dimension.name())) {
        text += &format!("; did you mean `{nearest}`?");
    }
    Problem { key: key.to_owned(), text, hint: None }
}

/// A score out of range, and whether it is out of all reason.
fn check_range(dimension: Dimension, raw: f64) -> Option<(Problem, bool)> {
    // Means of shares may pass 1 by rounding.
    const ROUNDING: f64 = 1e-6;
    if (0.0..=1.0 + ROUNDING).contains(&raw) {
        return None;
    }
    let fatal = raw.abs() > 1.0 + ROUNDING || !dimension.may_be_negative();
    let problem = Problem {
        key: dimension.to_string(),
        text: format!("`{dimension}` must be a share from 0 to 1, found `{raw}`"),
        hint: (raw > 1.0).then_some(PERCENT),
    };
    Some((problem, fatal))
}

/// Whatever the weights of its mean, a score lies within its videos' scores.
pub(crate) fn check_mean(dimension: Dimension, overall: f64, videos: &[VideoResult]) -> Option<Problem> {
    const ROUNDING: f64 = 1e-5;
    // On several processes the reference takes the mean of last frames there.
    if dimension == Dimension::AppearanceStyle || videos.is_empty() {
        return None;
    }
    let scores = videos.iter().map(|video| video.score.value() / dimension.video_scale());
    let (low, high) = scores
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| (low.min(score), high.max(score)));
    if (low - ROUNDING..=high + ROUNDING).contains(&overall) {
        return None;
    }
    Some(Problem {
        key: dimension.to_string(),
        text: format!(
            "`{dimension}` must lie within its videos' scores, `{low}` to `{high}`, found `{overall}`"
        ),
        hint: Some("was the file put together from parts, or edited?"),
    })
}

fn videos(dimension: Dimension, list: &Value, problems: &mut Vec<Problem>) -> Vec<VideoResult> {
    let mut complain = |text: String, hint| problems.push(Problem { key: dimension.to_string(), text, hint });
    let Value::Array(list) = list else {
        complain(
            format!("`{dimension}` must go on with a list of videos, found {}", shown(list)),
            Some(LAYOUT),
        );
        return Vec::new();
    };
    let mut videos = Vec::with_capacity(list.len());
    for (index, entry) in list.iter().enumerate() {
        let path = entry.get("video_path").and_then(Value::as_str);
        let score = match entry.get("video_results") {
            Some(Value::Bool(passed)) => Some(Score::Flag(*passed)),
            Some(Value::Number(number)) => number.as_f64().map(Score::Number),
            _ => None,
        };
        let (Some(path), Some(score)) = (path, score) else {
            let found = entry.get("video_results").unwrap_or(&Value::Null);
            let name = path.map_or_else(|| index.to_string(), str::to_owned);
            let text = format!(
                "video `{name}` of `{dimension}` needs `video_path`, a text, and `video_results`, a number or a boolean, found {}",
                shown(found)
            );
            complain(text, Some(if is_bare_word(found) { UNMEASURED } else { VIDEO_LAYOUT }));
            // One of a kind is enough to act on.
            return Vec::new();
        };
        let mut extra = entry.as_object().cloned().unwrap_or_default();
        extra.remove("video_path");
        extra.remove("video_results");
        videos.push(VideoResult { path: path.to_owned(), score, extra });
    }
    videos
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Option<ResultsFile>, VbenchError> {
        parse_results(Path::new("r.json"), text)
    }

    fn refused(text: &str, parts: &[&str]) {
        let error = parse(text).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn the_layout_is_the_reference_s() {
        let mut results = Results::default();
        let mut style = VideoResult::new("v/a-0.mp4", 0.25);
        style.extra.insert("frame_results".to_owned(), json!([0.2, 0.3]));
        results.dimensions.insert(
            Dimension::AppearanceStyle,
            DimensionResult { overall: 0.25, videos: vec![style], ..DimensionResult::default() },
        );
        results.dimensions.insert(
            Dimension::DynamicDegree,
            DimensionResult {
                overall: 0.5,
                videos: vec![VideoResult::new("a", true), VideoResult::new("b", false)],
                ..DimensionResult::default()
            },
        );
        results.dimensions.insert(
            Dimension::ImagingQuality,
            DimensionResult {
                overall: 0.653,
                videos: vec![VideoResult::new("façade", 65.3)],
                ..DimensionResult::default()
            },
        );
        let text = results.results_json().unwrap();
        assert!(text.starts_with("{\n    \"dynamic_degree\": [\n        0.5,\n        [\n            {\n                \"video_path\": \"a\",\n                \"video_results\": true\n"), "{text}");
        let file = parse(&text).unwrap().unwrap();
        assert_eq!(file.results, results);
        assert_eq!((file.warnings, file.others), (vec![], BTreeMap::new()));
    }

    #[test]
    fn types_come_between_the_score_and_the_videos_and_those_without_a_video_have_none() {
        let by_type = vec![("pan_left", Some(1.0)), ("static", None)];
        let videos = vec![VideoResult::new("a-0.mp4", 1.0)];
        let result = DimensionResult { overall: 1.0, videos, by_type, ..DimensionResult::default() };
        let results = Results { dimensions: [(Dimension::CameraMotion, result)].into() };
        let text = results.results_json().unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        let expected = json!({"camera_motion": [1.0, {"pan_left": 1.0, "static": null}, [{"video_path": "a-0.mp4", "video_results": 1.0}]]});
        assert_eq!(told, expected);
        let file = parse(&text).unwrap().unwrap();
        assert_eq!(file.others["camera_motion"], 1.0);
        let given = &file.given.dimensions[&Dimension::CameraMotion];
        assert_eq!(
            (given.overall, &given.videos),
            (1.0, &results.dimensions[&Dimension::CameraMotion].videos)
        );
    }

    #[test]
    fn long_videos_come_after_their_clips_but_where_clips_are_compared() {
        let result = || DimensionResult {
            overall: 0.5,
            videos: vec![VideoResult::new("a_000.mp4", 0.25), VideoResult::new("a_001.mp4", 0.75)],
            long: vec![VideoResult::new("a.mp4", 0.5)],
            ..DimensionResult::default()
        };
        let compared = [Dimension::SubjectConsistency, Dimension::BackgroundConsistency];
        let all = compared.into_iter().chain([Dimension::MotionSmoothness, Dimension::Scene]);
        let results = Results { dimensions: all.map(|dimension| (dimension, result())).collect() };
        let text = results.results_json().unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        let clips = json!([
            {"video_path": "a_000.mp4", "video_results": 0.25},
            {"video_path": "a_001.mp4", "video_results": 0.75}
        ]);
        for (name, found) in told.as_object().unwrap() {
            let expected = match name.ends_with("_consistency") {
                true => json!([0.5, clips]),
                false => json!([0.5, clips, [{"video_path": "a.mp4", "video_results": 0.5}]]),
            };
            assert_eq!(*found, expected, "{name}");
        }
        assert_eq!(parse(&text).unwrap().unwrap().warnings, []);
    }

    #[test]
    fn a_file_that_the_reference_left_comes_back_to_the_byte() {
        let text = include_str!("golden/reference_eval_results.json");
        let file = parse(text).unwrap().unwrap();
        assert_eq!(file.warnings, []);
        assert_eq!(file.results.results_json().unwrap().replace('ç', "\\u00e7"), text);
    }

    #[test]
    fn scores_that_are_not_finite_are_not_written() {
        let mut results = Results::default();
        let video = VideoResult::new("a-0.mp4", f64::NAN);
        results.dimensions.insert(
            Dimension::Scene,
            DimensionResult { overall: 0.5, videos: vec![video], ..DimensionResult::default() },
        );
        let error = results.results_json().unwrap_err().to_string();
        assert!(error.contains("`scene: a-0.mp4`") && error.contains("`NaN`"), "{error}");
    }

    #[test]
    fn bad_scores_are_named() {
        refused(
            r#"{"scene": [NaN, []]}"#,
            &["`scene` must begin with its score, a number, found `NaN`", "hint: a video"],
        );
        refused(r#"{"scene": [-Infinity, []]}"#, &["found `-Infinity`"]);
        refused(
            r#"{"overall_consistency": [323.99, []]}"#,
            &[
                "`overall_consistency` must be a share from 0 to 1, found `323.99`",
                "hint: scores are shares of 1",
            ],
        );
        refused(
            r#"{"color": ["0.8", []], "scene": {}}"#,
            &["`color` must begin", "the text `0.8`", "`scene` must begin", "an object"],
        );
        for name in
            ["subject_consistency", "dynamic_degree", "color", "scene", "i2v subject", "camera_motion"]
        {
            let text = format!(r#"{{"{name}": [-0.001, []]}}"#);
            let name = name.replace(' ', "_");
            refused(&text, &[&format!("`{name}` must be a share from 0 to 1, found `-0.001`")]);
        }
        refused(r#"{"i2v_background": [97.5, {}, []]}"#, &["found `97.5`", "hint: scores are shares of 1"]);
        refused(r#"{"color": []}"#, &["found nothing"]);
        refused(r#"{"scene": ["x"]}"#, &["the text `x`", "\nhint: a dimension is `"]);
        refused(r#"{"color": [true, []]}"#, &["found `true`"]);
        refused(r#"{"color": [0.5, {}]}"#, &["must go on with a list of videos, found an object"]);
        refused(
            r#"{"color": [0.5, [{"video_path": "a-0.mp4", "video_results": NaN}]]}"#,
            &["`a-0.mp4`", "found `NaN`"],
        );
        refused("{\"color\": [0.5, [", &["`r.json` is not JSON", "hint:"]);
        // The text NaN in a name is left alone.
        refused(
            r#"{"color": [0.5, [{"video_path": "\"NaN-0.mp4", "video_results": NaN}]]}"#,
            &["video `\"NaN-0.mp4`"],
        );
    }

    #[test]
    fn odd_files_are_read_with_a_warning() {
        let file = parse(
            r#"{"motion smoothness": 0.98, "colour": [0.5], "i2v_subject": [0.9], "note": "x", "temporal_style": [-0.01, []]}"#,
        );
        let file = file.unwrap().unwrap();
        assert_eq!(file.results.raw()[&Dimension::MotionSmoothness], 0.98);
        let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
        let all = warnings.join("\n");
        for part in [
            "`motion smoothness` has a score and no videos",
            "`colour` is no dimension of VBench and is not counted; did you mean `color`?",
            "`note` is no dimension",
            "`temporal_style` must be a share from 0 to 1, found `-0.01`",
        ] {
            assert!(all.contains(part), "{part:?} is not in {all:?}");
        }
        assert!(!all.contains("i2v_subject"));
        assert_eq!(file.others["i2v_subject"], 0.9);
        assert_eq!(parse("[]").unwrap(), None);
        let mixed =
            parse(r#"{"scene": [0.9, [{"video_path": "a", "video_results": 0.5}]]}"#).unwrap().unwrap();
        assert!(
            mixed.warnings[0]
                .text
                .contains("must lie within its videos' scores, `0.5` to `0.5`, found `0.9`")
        );
    }
}
