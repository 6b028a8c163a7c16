//! The leaderboard's zip: the contents of a results folder, if they are a whole suite.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::naming::{composed, stem_of};
use crate::results::{check_mean, parse_json};
use crate::source::folder_files;
use crate::{
    Dimension, DimensionResult, Loaded, Manifest, Mode, Problem, SAMPLES, Suite, SuiteVideo, VbenchError,
    WeightsOrigin, load_results,
};

/// A zip to upload, and what is in it.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The bytes of the zip.
    pub zip: Vec<u8>,
    /// Names within it.
    pub files: Vec<String>,
    /// The results.
    pub loaded: Loaded,
    /// What can be lived with.
    pub warnings: Vec<Problem>,
}

/// How scores came about, as a run says it.
const MANIFEST: &str = "manifest.json";

/// What our runs are called in manifests: those of others need not say whether they are whole.
const PROGRAM: &str = "vidit";

/// Of the videos that a dimension may leave out, so many have to be there: fewer are no measurement.
const SHARE_MIN: f64 = 0.1;

/// Names of a list that are shown.
const SHOWN_MAX: usize = 3;

/// Packs a results folder.
///
/// # Errors
/// If a dimension is missing, given twice, or lacks videos of the standard suite; if its score is none of its videos' scores; or if the
/// manifest beside it, where there is one, says that these are no standard scores.
pub fn submission(folder: &Path) -> Result<Submission, VbenchError> {
    let loaded = load_results(folder)?;
    let (mut problems, mut warnings) = check(&loaded);
    for path in folder_files(folder)?.iter().filter(|path| path.ends_with(MANIFEST)) {
        let manifest = Manifest::read(path)?;
        check_manifest(&manifest, loaded.files.len(), &mut problems, &mut warnings);
    }
    if !problems.is_empty() {
        return Err(VbenchError::Incomplete { path: folder.to_owned(), problems });
    }
    warnings.extend(loaded.warnings.iter().cloned());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    // The date is the format's first, so that the same results are the same bytes.
    let options = SimpleFileOptions::default().unix_permissions(0o644);
    let broken = |error: &dyn std::fmt::Display| VbenchError::Zip {
        path: folder.to_owned(),
        reason: error.to_string(),
    };
    let mut files = Vec::new();
    for path in folder_files(folder)? {
        let text = fs::read_to_string(&path).map_err(|error| VbenchError::reading(&path, error))?;
        // The leaderboard takes any object for scores: a manifest would be an error there.
        let is_list = matches!(parse_json(&path, &text)?, Value::Array(_));
        if !is_list && !loaded.files.contains(&path.display().to_string()) {
            continue;
        }
        let inner = path.strip_prefix(folder).unwrap_or(&path);
        let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
        let name = parts.join("/");
        writer.start_file(name.as_str(), options).map_err(|error| broken(&error))?;
        writer.write_all(text.as_bytes()).map_err(|error| broken(&error))?;
        files.push(name);
    }
    let zip = writer.finish().map_err(|error| broken(&error))?.into_inner();
    Ok(Submission { zip, files, loaded, warnings })
}

/// What keeps results from being those of a whole suite, and what does not.
fn check(loaded: &Loaded) -> (Vec<Problem>, Vec<Problem>) {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for dimension in Dimension::ALL {
        match loaded.results.dimensions.get(&dimension) {
            None => problems.push(problem(dimension, "is missing".to_owned())),
            Some(_) if loaded.disputed.contains(&dimension) => {
                problems
                    .push(problem(dimension, "is given by several files with different scores".to_owned()));
            }
            Some(result) => check_videos(dimension, result, &mut problems, &mut warnings),
        }
    }
    (problems, warnings)
}

/// What a manifest says against scores that `files` files give together.
fn check_manifest(
    manifest: &Manifest,
    files: usize,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let problem = |key: &str, text: String, hint| Problem {
        key: key.to_owned(),
        text: format!("`{MANIFEST}`: {text}"),
        hint: Some(hint),
    };
    let mut complain = |key: &str, text: String, hint| problems.push(problem(key, text, hint));
    let random: Vec<&str> = manifest
        .weights
        .iter()
        .filter(|weights| weights.origin == WeightsOrigin::Random)
        .map(|weights| weights.network.name())
        .collect();
    if !random.is_empty() {
        let hint = "measure with the weights that `vidit eval weights fetch` fetches";
        complain("weights", format!("the weights of {} were drawn at random", some(&random)), hint);
    }
    if manifest.mode == Mode::Fixed.name() {
        let hint = "the leaderboard's scores are of `vidit eval run --mode compat`";
        complain("mode", "the mode must be `compat`, found `fixed`".to_owned(), hint);
    }
    if let Some(failed) = manifest.notes.get("failed") {
        let hint = "mend or remake the videos that `failed.json` names, and measure again";
        complain("failed", format!("{failed} measurements failed"), hint);
    }
    let hint = "the leaderboard's scores are of all of VBench's own suite";
    if !matches!(manifest.suite.as_str(), "" | "standard") {
        complain("suite", format!("the suite must be `standard`, found `{}`", manifest.suite), hint);
    }
    if !manifest.complete && manifest.program.starts_with(PROGRAM) {
        let text = "these are no scores of a whole suite".to_owned();
        // Flicker is measured on other videos, and so by a run of its own: what the parts come to is looked at by video.
        let list = if files > 1 { warnings } else { problems };
        list.push(problem("complete", text, hint));
    }
}

fn problem(dimension: Dimension, what: String) -> Problem {
    Problem { key: dimension.to_string(), text: format!("`{dimension}` {what}"), hint: None }
}

/// Some of several names.
fn some(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len() {
        count if count > SHOWN_MAX => format!("{shown} and {} more", count - SHOWN_MAX),
        _ => shown,
    }
}

fn check_videos(
    dimension: Dimension,
    result: &DimensionResult,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    if result.videos.is_empty() {
        problems.push(problem(dimension, "lists no videos".to_owned()));
        return;
    }
    let expected: Vec<String> =
        Suite::standard().videos(&[dimension], SAMPLES).iter().map(SuiteVideo::stem).collect();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for video in &result.videos {
        *times.entry(composed(stem_of(&video.path))).or_default() += 1;
    }
    let missing: Vec<&str> =
        expected.iter().map(String::as_str).filter(|stem| !times.contains_key(*stem)).collect();
    if !missing.is_empty() {
        let mut text = format!("lacks {} of {} videos: {}", missing.len(), expected.len(), some(&missing));
        match dimension {
            // The reference leaves out videos in which the object is never seen, and those that move.
            Dimension::Color => text += "; it leaves out videos without the object",
            Dimension::TemporalFlickering => text += "; the static filter leaves out videos that move",
            _ => {}
        }
        let there = 1.0 - missing.len() as f64 / expected.len() as f64;
        let may_lack = matches!(dimension, Dimension::Color | Dimension::TemporalFlickering);
        let lived_with = may_lack && there >= SHARE_MIN;
        let list = if lived_with { &mut *warnings } else { &mut *problems };
        list.push(problem(dimension, text));
    }
    let expected: HashSet<&str> = expected.iter().map(String::as_str).collect();
    let named = |keep: &dyn Fn(&str, usize) -> bool| -> Vec<&str> {
        times.iter().filter(|(stem, count)| keep(stem, **count)).map(|(stem, _)| stem.as_str()).collect()
    };
    let strangers = named(&|stem, _| !expected.contains(stem));
    if !strangers.is_empty() {
        problems.push(problem(
            dimension,
            format!("has videos that the suite does not ask for: {}", some(&strangers)),
        ));
    }
    let twice = named(&|_, count| count > 1);
    if !twice.is_empty() {
        problems.push(problem(dimension, format!("counts videos twice: {}", some(&twice))));
    }
    problems.extend(check_mean(dimension, result.overall, &result.videos));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Network, Results, Score, VideoResult, WeightsUsed};

    /// Scores of every video of the standard suite.
    fn whole() -> Results {
        let mut results = Results::default();
        for dimension in Dimension::ALL {
            let videos = Suite::standard().videos(&[dimension], SAMPLES);
            let score = if dimension.is_boolean() {
                Score::Flag(true)
            } else {
                Score::Number(0.5 * dimension.video_scale())
            };
            let videos = videos
                .iter()
                .map(|video| VideoResult::new(format!("videos/{}.mp4", video.stem()), score))
                .collect();
            let overall = if dimension.is_boolean() { 1.0 } else { 0.5 };
            results
                .dimensions
                .insert(dimension, DimensionResult { overall, videos, ..DimensionResult::default() });
        }
        results
    }

    fn put(dir: &Path, results: &Results) {
        fs::write(dir.join("mine_eval_results.json"), results.results_json().unwrap()).unwrap();
    }

    #[test]
    fn a_whole_suite_is_packed_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut results = whole();
        results.dimensions.get_mut(&Dimension::Color).unwrap().videos.pop();
        put(dir.path(), &results);
        fs::write(dir.path().join("mine_full_info.json"), "[]").unwrap();
        fs::write(dir.path().join("mine_manifest.json"), r#"{"mode": "compat"}"#).unwrap();
        fs::write(dir.path().join("report.html"), "").unwrap();
        let made = submission(dir.path()).unwrap();
        assert_eq!(made.files, ["mine_eval_results.json", "mine_full_info.json"]);
        assert_eq!(made.warnings.len(), 1);
        assert!(made.warnings[0].text.contains("`color` lacks 1 of 425 videos"), "{:?}", made.warnings);
        let zip = dir.path().join("out.zip");
        fs::write(&zip, &made.zip).unwrap();
        assert_eq!(load_results(&zip).unwrap().results, results);
        assert_eq!(submission(dir.path()).unwrap().zip, made.zip, "the same results are the same bytes");
    }

    #[test]
    fn what_is_not_whole_is_refused_by_name() {
        let refused = |change: &dyn Fn(&mut Results), parts: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            let mut results = whole();
            change(&mut results);
            put(dir.path(), &results);
            let error = submission(dir.path()).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{part:?} is not in {error:?}");
            }
        };
        fn videos(results: &mut Results, dimension: Dimension) -> &mut Vec<VideoResult> {
            &mut results.dimensions.get_mut(&dimension).unwrap().videos
        }
        refused(
            &|results| {
                results.dimensions.remove(&Dimension::Scene);
                results.dimensions.remove(&Dimension::Color);
            },
            &["`color` is missing\n`scene` is missing\nhint: an incomplete suite is never a standard score"],
        );
        refused(
            &|results| videos(results, Dimension::ObjectClass).clear(),
            &["`object_class` lists no videos"],
        );
        refused(
            &|results| videos(results, Dimension::TemporalStyle).truncate(400),
            &["`temporal_style` lacks 100 of 500 videos: `", "and 97 more"],
        );
        refused(
            &|results| videos(results, Dimension::Scene).push(VideoResult::new("mine-0.mp4", 0.5)),
            &["`scene` has videos that the suite does not ask for: `mine-0`"],
        );
        refused(
            &|results| {
                let first = videos(results, Dimension::Scene)[0].clone();
                videos(results, Dimension::Scene).push(first);
            },
            &["`scene` counts videos twice: `alley-0`"],
        );
        refused(
            &|results| videos(results, Dimension::Color).truncate(10),
            &["`color` lacks 415 of 425 videos"],
        );
        refused(
            &|results| results.dimensions.get_mut(&Dimension::Scene).unwrap().overall = 0.75,
            &["`scene` must lie within its videos' scores, `0.5` to `0.5`, found `0.75`"],
        );
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &whole());
        let standard = Manifest { program: "vidit 0.1.0".to_owned(), complete: true, ..Manifest::default() };
        let random =
            WeightsUsed { network: Network::Dino, file: None, sha256: None, origin: WeightsOrigin::Random };
        let failed = [("failed".to_owned(), "2".to_owned())].into();
        let say = |manifest: &Manifest| {
            let text = serde_json::to_string(manifest).unwrap();
            fs::write(dir.path().join("manifest.json"), text).unwrap();
        };
        for (manifest, part) in [
            (
                Manifest { weights: vec![random], ..standard.clone() },
                "the weights of `dino` were drawn at random",
            ),
            (
                Manifest { mode: "fixed".to_owned(), ..standard.clone() },
                "the mode must be `compat`, found `fixed`",
            ),
            (Manifest { notes: failed, ..standard.clone() }, "2 measurements failed"),
            (
                Manifest { suite: "custom".to_owned(), ..standard.clone() },
                "the suite must be `standard`, found `custom`",
            ),
            (Manifest { complete: false, ..standard.clone() }, "no scores of a whole suite"),
        ] {
            say(&manifest);
            let error = submission(dir.path()).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("hint: "), "{part:?} is not in {error:?}");
        }
        // Flicker has a run of its own.
        say(&Manifest { complete: false, ..standard.clone() });
        let mut parts = whole();
        let flicker = parts.dimensions.remove(&Dimension::TemporalFlickering).unwrap();
        put(dir.path(), &parts);
        let flicker = Results { dimensions: [(Dimension::TemporalFlickering, flicker)].into() };
        fs::write(dir.path().join("flicker.json"), flicker.results_json().unwrap()).unwrap();
        let warnings = submission(dir.path()).unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.text.contains("no scores of a whole suite")));
        fs::remove_file(dir.path().join("flicker.json")).unwrap();
        put(dir.path(), &whole());
        say(&standard);
        let made = submission(dir.path()).unwrap();
        assert_eq!(made.files, ["mine_eval_results.json"], "the leaderboard takes no manifest");
        fs::write(dir.path().join("other.json"), r#"{"scene": [0.4, []]}"#).unwrap();
        let error = submission(dir.path()).unwrap_err().to_string();
        assert!(error.contains("`scene` is given by several files"), "{error}");
    }
}
