//! Results from a file, a folder or a zip, put together as the leaderboard does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::{Dimension, Problem, Results, VbenchError, parse_results};

/// All that a path holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The dimensions of VBench.
    pub results: Results,
    /// Scores under other names, such as those of VBench-I2V.
    pub others: BTreeMap<String, f64>,
    /// Of these, the dimensions of VBench-I2V, with their videos.
    pub given: Results,
    /// What can be lived with.
    pub warnings: Vec<Problem>,
    /// The files that gave scores, in the order in which they were read.
    pub files: Vec<String>,
    /// Dimensions that several files give with different scores; the last file's counts.
    pub disputed: Vec<Dimension>,
}

impl Loaded {
    /// The dimensions of VBench and those of VBench-I2V.
    pub fn all(&self) -> Results {
        let both = self.results.dimensions.iter().chain(&self.given.dimensions);
        Results { dimensions: both.map(|(dimension, result)| (*dimension, result.clone())).collect() }
    }
}

/// A file of results takes 3 MB; these bounds are for zips that lie about their size.
const FILE_BYTES_MAX: u64 = 256 << 20;
const ARCHIVE_BYTES_MAX: u64 = 1 << 30;

/// Reads a file of results, a folder of them, or a zip of such a folder. Of folders and zips every `*.json` counts at the top and
/// one folder below, except names that begin with `.` or `__`; files in order of their names, later ones over earlier ones.
///
/// # Errors
/// If nothing there holds results, or scores are out of all reason.
pub fn load_results(path: &Path) -> Result<Loaded, VbenchError> {
    let metadata = fs::metadata(path).map_err(|error| VbenchError::reading(path, error))?;
    let texts = if metadata.is_dir() {
        folder_texts(path)?
    } else if is_zip(path)? {
        zip_texts(path)?
    } else {
        vec![(path.to_owned(), read_text(path)?)]
    };
    let mut loaded = Loaded::default();
    let mut strange: Vec<String> = Vec::new();
    for (name, text) in &texts {
        let Some(file) = parse_results(name, text)? else { continue };
        // A manifest is an object, too, and says nothing of scores.
        if file.results.dimensions.is_empty() && file.others.is_empty() {
            strange.extend(file.warnings.into_iter().map(|problem| problem.text));
            continue;
        }
        for (dimension, result) in file.results.dimensions {
            let before = loaded.results.dimensions.insert(dimension, result);
            if before.is_some_and(|before| before != loaded.results.dimensions[&dimension]) {
                let text =
                    format!("`{dimension}` is given by several files; that of `{}` counts", name.display());
                loaded.warnings.push(Problem { key: dimension.to_string(), text, hint: None });
                loaded.disputed.push(dimension);
            }
        }
        loaded.others.extend(file.others);
        loaded.given.dimensions.extend(file.given.dimensions);
        loaded.warnings.extend(file.warnings);
        loaded.files.push(name.display().to_string());
    }
    if loaded.files.is_empty() {
        let found = match (texts.len(), strange.first()) {
            (0, _) => "no .json file".to_owned(),
            (_, Some(first)) => format!("none: {first}"),
            (1, None) => "an empty object, or none".to_owned(),
            (several, None) => format!("{several} .json files without any"),
        };
        return Err(VbenchError::NoResults {
            path: path.to_owned(),
            expected: "scores of dimensions",
            found,
        });
    }
    Ok(loaded)
}

fn read_text(path: &Path) -> Result<String, VbenchError> {
    let bytes = fs::read(path).map_err(|error| VbenchError::reading(path, error))?;
    text_of(path, bytes)
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, VbenchError> {
    String::from_utf8(bytes)
        .map_err(|error| VbenchError::Json { path: path.to_owned(), reason: error.utf8_error().to_string() })
}

fn is_zip(path: &Path) -> Result<bool, VbenchError> {
    let mut magic = Vec::new();
    let file = File::open(path).map_err(|error| VbenchError::reading(path, error))?;
    file.take(4).read_to_end(&mut magic).map_err(|error| VbenchError::reading(path, error))?;
    Ok(magic.starts_with(b"PK"))
}

/// Whether the leaderboard would read a file of this place in the folder: `a.json` or `b/a.json`.
fn counts(parts: &[&str]) -> bool {
    let hidden = |part: &&str| part.starts_with('.') || part.starts_with("__");
    parts.len() <= 2
        && !parts.iter().any(hidden)
        && parts.last().is_some_and(|name| name.to_ascii_lowercase().ends_with(".json"))
}

/// Paths of the files of a results folder that count, sorted.
pub(crate) fn folder_files(folder: &Path) -> Result<Vec<PathBuf>, VbenchError> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        let failed = |error| VbenchError::reading(&current, error);
        for entry in fs::read_dir(&current).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let inner = path.strip_prefix(folder).unwrap_or(&path);
            let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
            let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            match path.is_dir() {
                true if parts.len() == 1 => open.push(path),
                true => {}
                false if counts(&parts) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

fn folder_texts(folder: &Path) -> Result<Vec<(PathBuf, String)>, VbenchError> {
    folder_files(folder)?.into_iter().map(|path| Ok((path.clone(), read_text(&path)?))).collect()
}

fn zip_texts(path: &Path) -> Result<Vec<(PathBuf, String)>, VbenchError> {
    let broken = |reason: &dyn std::fmt::Display| VbenchError::Zip {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let file = File::open(path).map_err(|error| VbenchError::reading(path, error))?;
    let mut archive = ZipArchive::new(file).map_err(|error| broken(&error))?;
    let mut texts = Vec::new();
    let mut total = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let name = entry.name().replace('\\', "/");
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
        if entry.is_dir() || !counts(&parts) {
            continue;
        }
        let name = PathBuf::from(&name);
        let mut bytes = Vec::new();
        entry.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        total += bytes.len() as u64;
        if bytes.len() as u64 > FILE_BYTES_MAX || total > ARCHIVE_BYTES_MAX {
            return Err(broken(&format!("`{}` is larger than any results", name.display())));
        }
        texts.push((name.clone(), text_of(&name, bytes)?));
    }
    texts.sort();
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    const FILES: [(&str, &str); 8] = [
        ("a_eval_results.json", r#"{"scene": [0.25, []], "color": [0.5, []]}"#),
        ("a_full_info.json", r#"[{"prompt_en": "a"}]"#),
        ("b/b_eval_results.json", r#"{"scene": [0.75, []]}"#),
        ("b/deeper/c.json", r#"{"scene": [0.1, []]}"#),
        ("__MACOSX/a.json", r#"{"scene": [0.2, []]}"#),
        (".hidden.json", r#"{"scene": [0.3, []]}"#),
        ("manifest.json", r#"{"mode": "fixed"}"#),
        ("notes.txt", "no JSON"),
    ];

    fn check(loaded: &Loaded) {
        let raw: Vec<_> = loaded.results.raw().into_iter().collect();
        assert_eq!(raw, [(Dimension::Color, 0.5), (Dimension::Scene, 0.75)]);
        assert_eq!(loaded.disputed, [Dimension::Scene]);
        assert_eq!(loaded.files.len(), 2);
        assert!(loaded.warnings[0].text.contains("given by several files; that of"), "{:?}", loaded.warnings);
    }

    #[test]
    fn folders_and_zips_are_read_as_the_leaderboard_does() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("results");
        let zip = dir.path().join("results.zip");
        let mut writer = ZipWriter::new(File::create(&zip).unwrap());
        for (name, text) in FILES {
            write(&folder, name, text);
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        check(&load_results(&folder).unwrap());
        check(&load_results(&zip).unwrap());
        let one = load_results(&folder.join("b/b_eval_results.json")).unwrap();
        assert_eq!(one.results.raw()[&Dimension::Scene], 0.75);
    }

    #[test]
    fn what_holds_no_results_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str, part: &str| {
            let error = load_results(&dir.path().join(name)).unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        };
        refused("none", "cannot read");
        refused("", "found no .json file");
        write(dir.path(), "a.json", "[]");
        refused("a.json", "found an empty object, or none");
        write(dir.path(), "b.json", r#"{"colour": [0.5]}"#);
        refused(
            "b.json",
            "found none: `colour` is no dimension of VBench and is not counted; did you mean `color`?",
        );
        refused("", "did you mean `color`?");
        write(dir.path(), "c.zip", "PK\u{3}\u{4} and so on");
        refused("c.zip", "cannot read the zip");
        fs::write(dir.path().join("d.json"), [b'{', 0xff]).unwrap();
        refused("d.json", "is not JSON");
    }
}
