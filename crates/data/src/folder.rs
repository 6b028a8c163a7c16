//! Folders of the user's own clips: which files, and what they are called. Decoding is the caller's.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use vidit_motion::Track;

use crate::DataError;

/// One clip of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderClip {
    /// The file, or the folder of PNG frames that [`compose_to_folder`](crate::compose_to_folder) writes.
    pub path: PathBuf,
    /// What it shows.
    pub caption: String,
    /// Where the objects are, when the metadata says so.
    pub boxes: Vec<Track>,
}

/// A folder of captioned clips, listed but not decoded.
///
/// Either `metadata.jsonl` with a line `{"file_name": "a.mp4", "caption": "a cat walks"}` per clip (`text` works like
/// `caption`; `boxes` is optional), or a caption file `a.txt` beside each clip `a.mp4`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFolder {
    clips: Vec<FolderClip>,
}

/// Files that count as clips when a caption file of the same name lies beside them.
const CLIP_EXTENSIONS: [&str; 8] = ["mp4", "m4v", "mov", "webm", "gif", "webp", "png", "jpg"];

#[derive(Deserialize)]
struct Line {
    file_name: String,
    caption: Option<String>,
    text: Option<String>,
    #[serde(default)]
    boxes: Vec<Track>,
}

impl ClipFolder {
    /// Lists the clips of a folder: in the order of `metadata.jsonl`, else by file name.
    ///
    /// # Errors
    /// If the folder cannot be read, holds no clips, or a line of the metadata is malformed, lacks a caption, or names a
    /// file that is missing or outside of the folder; the error says which file and line.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, DataError> {
        let dir = dir.as_ref();
        let metadata = dir.join("metadata.jsonl");
        let clips = if metadata.is_file() { from_metadata(dir, &metadata)? } else { from_sidecars(dir)? };
        if clips.is_empty() {
            return Err(DataError::NoClips { path: dir.to_owned() });
        }
        Ok(Self { clips })
    }

    /// The clips; never empty.
    pub fn clips(&self) -> &[FolderClip] {
        &self.clips
    }
}

fn from_metadata(dir: &Path, metadata: &Path) -> Result<Vec<FolderClip>, DataError> {
    let file = BufReader::new(File::open(metadata).map_err(DataError::reading(metadata))?);
    let mut clips = Vec::new();
    for (index, line) in file.lines().enumerate() {
        let line = line.map_err(DataError::reading(metadata))?;
        if line.trim().is_empty() {
            continue;
        }
        let refuse =
            |reason, hint| DataError::Metadata { path: metadata.to_owned(), line: index + 1, reason, hint };
        let line: Line = serde_json::from_str(&line).map_err(|error| {
            refuse(
                format!("not a clip: {error}"),
                "each line is one object like {\"file_name\": \"a.mp4\", \"caption\": \"a cat walks\"}",
            )
        })?;
        let caption = line.caption.or(line.text).map(|caption| caption.trim().to_owned()).unwrap_or_default();
        if caption.is_empty() {
            let reason = format!("`{}` has no caption", line.file_name);
            return Err(refuse(reason, "say in `caption` (or `text`) what the clip shows"));
        }
        let within = Path::new(&line.file_name).components().all(|part| matches!(part, Component::Normal(_)));
        let path = dir.join(&line.file_name);
        if !within || !path.exists() {
            let reason = format!("`{}` is not a file in `{}`", line.file_name, dir.display());
            return Err(refuse(reason, "`file_name` is relative to the folder of the metadata"));
        }
        clips.push(FolderClip { path, caption, boxes: line.boxes });
    }
    Ok(clips)
}

fn from_sidecars(dir: &Path) -> Result<Vec<FolderClip>, DataError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(DataError::reading(dir))? {
        paths.push(entry.map_err(DataError::reading(dir))?.path());
    }
    paths.sort();
    let mut clips = Vec::new();
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let sidecar = path.with_extension("txt");
        if !CLIP_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) || !sidecar.is_file() {
            continue;
        }
        let text = fs::read_to_string(&sidecar).map_err(DataError::reading(&sidecar))?;
        let caption = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if caption.is_empty() {
            return Err(DataError::Metadata {
                path: sidecar,
                line: 1,
                reason: "the caption file is empty".to_owned(),
                hint: "write into it what the clip shows, or remove it",
            });
        }
        clips.push(FolderClip { path, caption, boxes: Vec::new() });
    }
    Ok(clips)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn metadata_gives_paths_captions_and_boxes() {
        let folder = Scratch::new("metadata");
        folder.write("b.mp4", "");
        folder.write("a.mp4", "");
        folder.write(
            "metadata.jsonl",
            concat!(
                "{\"file_name\": \"b.mp4\", \"caption\": \" a cat \", \"fps\": 12}\n\n",
                "{\"file_name\": \"a.mp4\", \"text\": \"一只狗\", \"boxes\": [{\"id\": \"dog\", \"phrase\": \"狗\", ",
                "\"boxes\": [null, {\"x1\": 0.1, \"y1\": 0.2, \"x2\": 0.3, \"y2\": 0.4}]}]}\n",
            ),
        );
        let opened = ClipFolder::open(folder.path()).unwrap();
        let captions: Vec<_> = opened.clips().iter().map(|clip| clip.caption.as_str()).collect();
        assert_eq!(captions, ["a cat", "一只狗"]);
        assert_eq!(opened.clips()[1].path, folder.path().join("a.mp4"));
        assert_eq!(opened.clips()[1].boxes[0].boxes[1].unwrap().x2, 0.3);
    }

    #[test]
    fn sidecars_give_captions() {
        let folder = Scratch::new("sidecars");
        for (name, text) in
            [("b.mp4", ""), ("b.txt", "a dog\nruns\n"), ("a.GIF", ""), ("a.txt", "a cat"), ("c.mp4", "")]
        {
            folder.write(name, text);
        }
        let opened = ClipFolder::open(folder.path()).unwrap();
        let captions: Vec<_> = opened.clips().iter().map(|clip| clip.caption.as_str()).collect();
        assert_eq!(captions, ["a cat", "a dog runs"]);
    }

    #[test]
    fn errors_name_file_and_line() {
        for (line, reason) in [
            ("{\"file_name\": 3}", "not a clip"),
            ("{\"file_name\": \"a.mp4\"}", "no caption"),
            ("{\"file_name\": \"missing.mp4\", \"caption\": \"x\"}", "`missing.mp4` is not a file"),
            ("{\"file_name\": \"../a.mp4\", \"caption\": \"x\"}", "`../a.mp4` is not a file"),
        ] {
            let folder = Scratch::new("bad");
            folder.write("a.mp4", "");
            folder.write(
                "metadata.jsonl",
                &format!("{{\"file_name\": \"a.mp4\", \"caption\": \"x\"}}\n{line}\n"),
            );
            let error = ClipFolder::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains("metadata.jsonl:2: ") && error.contains(reason), "{error}");
            assert!(error.contains("\nhint: "), "{error}");
        }
    }

    #[test]
    fn a_folder_without_clips_says_what_it_needs() {
        let folder = Scratch::new("empty");
        let error = ClipFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no captioned clips") && error.contains("metadata.jsonl"), "{error}");
    }
}
