use std::io;
use std::path::{Path, PathBuf};

use vidit_weights::hint_of;

use crate::listing::ENDINGS;
use crate::naming::shown;
use crate::{Dimension, Network, Problem};

/// Why a suite, results or a submission could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum VbenchError {
    /// The file system said no.
    #[error("cannot {action} `{}`: {source}\nhint: {}", path.display(), hint_of(source))]
    Io {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A video that results, which are JSON, cannot name.
    #[error(
        "the path of a video must be UTF-8, found `{}`\nhint: rename the file, or its folder",
        shown(path)
    )]
    NotText {
        /// Where it is.
        path: PathBuf,
    },
    /// Another process that measures into the same folder.
    #[error("another process measures into `{}`\nhint: wait for its end, or name another folder with `--output`", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A name that is none of the sixteen.
    #[error("`{found}` is no dimension of VBench\nhint: did you mean `{nearest}`?")]
    UnknownDimension {
        /// What was given.
        found: String,
        /// The name nearest to it.
        nearest: String,
    },
    /// A score of VBench-Long that is a part of another.
    #[error(
        "`{dimension}_clip2clip` is no dimension of its own, but a half of `{dimension}` of long videos\nhint: `--long --clip-to-clip --dimensions {dimension}`"
    )]
    ClipToClip {
        /// What it is a half of.
        dimension: Dimension,
    },
    /// A name that no published row has.
    #[error("no published row is called `{found}`\nhint: known are {known}")]
    UnknownPublished {
        /// What was given.
        found: String,
        /// All names, or those that begin so.
        known: String,
    },
    /// Text that is no JSON.
    #[error("`{}` is not JSON: {reason}\nhint: is the file whole?", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// A file that does not say how scores came about.
    #[error("cannot read the manifest `{}`: {reason}\nhint: a run leaves one beside its results, `manifest.json`", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A file that holds no results at all.
    #[error("`{}` holds no results: expected {expected}, found {found}\nhint: results are `{{\"<dimension>\": [score, [one object a video]]}}`, in a file, a folder or a zip", path.display())]
    NoResults {
        /// Which file or folder.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Scores that cannot be taken for what they claim to be.
    #[error("`{}` holds scores that cannot be used{}", path.display(), listed(problems))]
    Scores {
        /// Which file.
        path: PathBuf,
        /// Every one of them.
        problems: Vec<Problem>,
    },
    /// A score that cannot be written.
    #[error(
        "the score of `{key}` is not finite, found `{found}`\nhint: one of its videos could not be measured"
    )]
    NotFinite {
        /// Dimension, and the video if it is one video's.
        key: String,
        /// The value.
        found: f64,
    },
    /// JSON that is no prompt suite.
    #[error("`{}` is no suite: expected a list of prompts, found {found}\nhint: `assets/vbench/VBench_full_info.json` is one, and docs/vbench.md tells of the layout", path.display())]
    NoSuite {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        found: &'static str,
    },
    /// A prompt suite that breaks a rule.
    #[error("prompt {index} of the suite {problem}\nhint: {hint}")]
    Suite {
        /// Which entry, from 0.
        index: usize,
        /// What was expected and found.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// Videos, but none of a prompt that is asked for.
    #[error("none of the videos in `{}` is called after a prompt of `{dimension}`\nhint: `--all` takes every video, `--suite` names other prompts", path.display())]
    NoneOfSuite {
        /// Which folder.
        path: PathBuf,
        /// Whose prompts.
        dimension: Dimension,
    },
    /// A damaged zip, or one that is too large.
    #[error("cannot read the zip `{}`: {reason}\nhint: it is the contents of a results folder, compressed", path.display())]
    Zip {
        /// Which file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Results that the leaderboard would not score as a whole suite.
    #[error("`{}` is no complete submission{}\nhint: an incomplete suite is never a standard score; measure what is missing first", path.display(), listed(problems))]
    Incomplete {
        /// The results folder.
        path: PathBuf,
        /// All that is missing or wrong.
        problems: Vec<Problem>,
    },
    /// A dimension that has to be told what to look for.
    #[error(
        "`{dimension}` has to be told what each video should hold, which videos of one's own do not say\nhint: put them into a suite, `--suite FILE.json`, with `auxiliary_info`"
    )]
    NotForCustom {
        /// The dimension.
        dimension: Dimension,
    },
    /// A folder without videos.
    #[error("`{}` holds no videos\nhint: expected are files that end in {}", path.display(), listed_endings())]
    NoVideos {
        /// The folder.
        path: PathBuf,
    },
    /// Pictures that videos should begin with, and that are not there or cannot be read.
    #[error(
        "{count} given pictures cannot be used, the first: {first}\nhint: each video needs one PNG, JPEG or WebP picture that it should begin with"
    )]
    Pictures {
        /// How many.
        count: usize,
        /// Why, in one line.
        first: String,
    },
    /// A video whose prompt nobody told.
    #[error("the file of prompts has none for `{}`\nhint: it is `{{\"file name\": \"prompt\", …}}` for every video", path.display())]
    NoPrompt {
        /// The video.
        path: PathBuf,
    },
    /// Networks whose weights are not there.
    #[error("{} lacks the weights of {}\nhint: `vidit eval weights list` names the files and `fetch` fetches them; `--dimensions` leaves out what needs them", shown_folder(folder), missing.iter().map(|network| format!("`{}`", network.name())).collect::<Vec<_>>().join(", "))]
    NoWeights {
        /// Where they were looked for; `None` if no folder was named.
        folder: Option<PathBuf>,
        /// The networks.
        missing: Vec<Network>,
    },
    /// A vocabulary that is not there.
    #[error(
        "{} lacks `{file}`, which goes with a network's weights\nhint: `vidit eval weights fetch {name}` fetches it",
        shown_folder(folder)
    )]
    NoVocabulary {
        /// Where it was looked for.
        folder: Option<PathBuf>,
        /// What it is called here.
        name: &'static str,
        /// What the file is called.
        file: &'static str,
    },
    /// A journal of an earlier run that cannot be read.
    #[error("`{}`: line {line} is none of a journal: {reason}\nhint: measure into another folder, or remove the file to measure all again", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What the parser found.
        reason: String,
    },
    /// A vocabulary that is damaged.
    #[error("cannot use `{}`: {source}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: vidit_backbones::clip::TextError,
    },
    /// Weights that are not of their network.
    #[error("cannot use {}: {source}", listed_files(files))]
    OtherWeights {
        /// The files.
        files: Vec<PathBuf>,
        /// What is wrong.
        source: vidit_backbones::BackboneError,
    },
    /// A network that cannot be made, whatever its weights.
    #[error(transparent)]
    Backbone(#[from] vidit_backbones::BackboneError),
    /// A thumbnail could not be encoded.
    #[error(transparent)]
    Media(#[from] vidit_media::MediaError),
    /// A file could not be written.
    #[error(transparent)]
    Weights(#[from] vidit_weights::WeightsError),
}

impl VbenchError {
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io { action: "read", path: path.to_owned(), source }
    }
}

fn listed_endings() -> String {
    ENDINGS.map(|ending| format!("`.{ending}`")).join(", ")
}

fn listed_files(files: &[PathBuf]) -> String {
    files.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(" with ")
}

fn shown_folder(folder: &Option<PathBuf>) -> String {
    folder.as_ref().map_or("no folder was named with `--weights`, which".to_owned(), |path| {
        format!("`{}`", path.display())
    })
}

/// Problems on lines of their own, then their hints, each once.
fn listed(problems: &[Problem]) -> String {
    let mut hints: Vec<&str> = Vec::new();
    let mut text = String::new();
    for problem in problems {
        text += &format!("\n{}", problem.text);
        if let Some(hint) = problem.hint
            && !hints.contains(&hint)
        {
            hints.push(hint);
        }
    }
    for hint in hints {
        text += &format!("\nhint: {hint}");
    }
    text
}
