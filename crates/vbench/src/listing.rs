//! Which files a folder of videos holds, and which of them a suite's video is.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::naming::{check_text, composed, portable};
use crate::{Dimension, VbenchError};

/// Endings of what is taken for a video, the preferred one first.
pub(crate) const ENDINGS: [&str; 9] = ["mp4", "mov", "m4v", "webm", "mkv", "avi", "gif", "webp", "png"];

/// Which ending of a video a file has, in small letters or in large ones.
pub(crate) fn ending(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_string_lossy().to_ascii_lowercase();
    ENDINGS.into_iter().find(|known| *known == ending)
}

/// Whether a file is called as a video: by its ending.
pub fn is_video(path: &Path) -> bool {
    ending(path).is_some()
}

/// A folder of videos: all in one place, or in one folder a set of prompts, called as [`Dimension::folder`] says.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    videos: Vec<Listed>,
    /// Places in `videos` by folder and composed stem.
    places: HashMap<(String, String), Vec<usize>>,
}

/// A file that may be a video, or a folder, of frames perhaps, which is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub path: PathBuf,
    /// The folder within the listed one; empty at its top.
    pub folder: String,
    /// Name without its ending.
    pub stem: String,
    rank: usize,
}

impl Listed {
    pub fn is_folder(&self) -> bool {
        self.rank == ENDINGS.len()
    }

    /// Whether its path is UTF-8.
    pub fn is_text(&self) -> bool {
        self.path.to_str().is_some()
    }
}

impl Listing {
    /// Lists a folder.
    ///
    /// # Errors
    /// If it cannot be read, or its path is no UTF-8.
    pub fn read(root: &Path) -> Result<Self, VbenchError> {
        check_text(root)?;
        let sets: BTreeSet<&str> = Dimension::ALL
            .iter()
            .chain(&Dimension::GIVEN)
            .flat_map(|dimension| [dimension.folder(), dimension.name()])
            .collect();
        let mut videos = Vec::new();
        let mut open = vec![(root.to_owned(), String::new())];
        while let Some((folder, name)) = open.pop() {
            let failed = |error| VbenchError::reading(&folder, error);
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if file.starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    match name.is_empty() && sets.contains(file.as_str()) {
                        true => open.push((path, file)),
                        false => videos.push(Listed {
                            path,
                            folder: name.clone(),
                            stem: file,
                            rank: ENDINGS.len(),
                        }),
                    }
                    continue;
                }
                let Some((stem, ending)) = file.rsplit_once('.') else { continue };
                let ending = ending.to_ascii_lowercase();
                if let Some(rank) = ENDINGS.iter().position(|known| *known == ending) {
                    videos.push(Listed { stem: stem.to_owned(), path, folder: name.clone(), rank });
                }
            }
        }
        videos.sort_by(|a, b| a.path.cmp(&b.path));
        let mut places: HashMap<_, Vec<usize>> = HashMap::new();
        // What results cannot name is no suite's video.
        let named = |(_, video): &(usize, &Listed)| !video.is_folder() && video.is_text();
        for (index, video) in videos.iter().enumerate().filter(named) {
            places.entry((video.folder.clone(), composed(&video.stem))).or_default().push(index);
        }
        Ok(Self { videos, places })
    }

    /// Everything that may be a video, sorted by path.
    pub(crate) fn videos(&self) -> &[Listed] {
        &self.videos
    }

    /// The files that are the video of this stem for a dimension, the one to take first: those in the dimension's own folder before
    /// those at the top, the exact name before another form of the same letters, `mp4` before other endings.
    pub(crate) fn candidates(&self, stem: &str, dimension: Dimension) -> Vec<usize> {
        let name = composed(stem);
        let found = [dimension.name(), dimension.folder(), ""].into_iter().find_map(|folder| {
            let at = |name: String| self.places.get(&(folder.to_owned(), name));
            at(name.clone()).or_else(|| at(portable(&name)))
        });
        let mut found = found.cloned().unwrap_or_default();
        found.sort_by_key(|&index| {
            let video = &self.videos[index];
            (video.stem != stem, video.rank, index)
        });
        found
    }

    /// The file that is the video of this stem for a dimension.
    pub fn locate(&self, stem: &str, dimension: Dimension) -> Option<&Path> {
        self.candidates(stem, dimension).first().map(|&index| self.videos[index].path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_is_found_wherever_a_suite_may_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        for name in [
            "a cat-0.mp4",
            "a cat-1.gif",
            "a cat-1.MP4",
            "subject_consistency/a dog-0.mp4",
            "scene/alley-0.mp4",
            "color/a cat-0.mp4",
            "fac\u{327}ade-0.mp4",
            "what_-0.mp4",
            "frames-0/00000.png",
            "notes.txt",
            ".a cat-2.mp4",
        ] {
            put(name);
        }
        let listing = Listing::read(dir.path()).unwrap();
        let found = |stem: &str, dimension| {
            listing
                .locate(stem, dimension)
                .map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned())
        };
        let expected = [
            ("a cat-0", Dimension::Scene, Some("a cat-0.mp4")),
            ("a cat-0", Dimension::Color, Some("color/a cat-0.mp4")),
            ("a cat-1", Dimension::Scene, Some("a cat-1.MP4")),
            ("a cat-2", Dimension::Scene, None),
            ("a dog-0", Dimension::DynamicDegree, Some("subject_consistency/a dog-0.mp4")),
            ("a dog-0", Dimension::Scene, None),
            ("alley-0", Dimension::BackgroundConsistency, Some("scene/alley-0.mp4")),
            ("fa\u{e7}ade-0", Dimension::Scene, Some("fac\u{327}ade-0.mp4")),
            ("what?-0", Dimension::Scene, Some("what_-0.mp4")),
            ("frames-0", Dimension::Scene, None),
        ];
        for (stem, dimension, path) in expected {
            assert_eq!(found(stem, dimension).as_deref(), path, "{stem} for {dimension}");
        }
        assert_eq!(listing.videos().len(), 9);
        assert!(Listing::read(&dir.path().join("none")).is_err());
    }
}
