use std::path::PathBuf;

/// What can go wrong with a sprite pack, a folder of clips or an export.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder could not be read or written.
    #[error(
        "could not {verb} `{path}`: {source}\nhint: check that the path exists and that you may {verb} it"
    )]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The catalogue of a pack does not hold what it should.
    #[error("catalogue `{path}` is not usable: {reason}\nhint: rebuild the pack with scripts/emoji/build.sh")]
    Catalogue {
        /// The catalogue file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A sprite strip is missing, undecodable or of the wrong size.
    #[error("sprite `{id}` is not usable: {reason}\nhint: rebuild the pack with scripts/emoji/build.sh")]
    Sprite {
        /// The object's id.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// A line of `metadata.jsonl` (or a sidecar file) is not usable.
    #[error("{path}:{line}: {reason}\nhint: {hint}")]
    Metadata {
        /// The metadata or caption file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// A folder holds no clips.
    #[error(
        "no captioned clips in `{path}`\nhint: add metadata.jsonl with lines like {{\"file_name\": \"a.mp4\", \"caption\": \"a cat walks\"}}, or a caption file a.txt beside each a.mp4"
    )]
    NoClips {
        /// The folder.
        path: PathBuf,
    },
    /// An export would overwrite something.
    #[error("`{path}` already exists\nhint: choose another folder, or remove this one first")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A frame could not be encoded as PNG.
    #[error("could not encode `{path}`: {source}\nhint: check the free space of the disk")]
    Encode {
        /// The frame's file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl DataError {
    /// An adapter for `map_err` on reads of `path`.
    pub(crate) fn reading(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { verb: "read", path, source }
    }

    /// An adapter for `map_err` on writes of `path`.
    pub(crate) fn writing(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { verb: "write", path, source }
    }
}
