use std::io;
use std::path::{Path, PathBuf};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, MediaError>;

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The extension of a target names no format that we write.
    #[error(
        "cannot write `{}`: the format `{found}` is not known\nhint: known are .mp4, .gif, .webp and .png; no extension makes a folder of frames",
        path.display()
    )]
    UnknownExtension {
        /// The target.
        path: PathBuf,
        /// Its extension.
        found: String,
    },
    /// The target is there already.
    #[error(
        "cannot write `{}`: it exists already\nhint: choose another name, or allow it with `--overwrite`",
        path.display()
    )]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The target is, or holds, what we did not write, so we do not replace it.
    #[error(
        "cannot replace `{}`: it is {found}\nhint: choose another name",
        path.display()
    )]
    NotReplaceable {
        /// The target.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The folder that should hold the target is missing.
    #[error(
        "cannot write `{}`: the folder `{}` does not exist\nhint: create it first",
        path.display(), parent.display()
    )]
    MissingParent {
        /// The target.
        path: PathBuf,
        /// The missing folder.
        parent: PathBuf,
    },
    /// What should be the folder that holds the target is something else.
    #[error("cannot write `{}`: `{}` is no folder\nhint: name a folder", path.display(), found.display())]
    NoFolder {
        /// The target.
        path: PathBuf,
        /// The file, or what else it is.
        found: PathBuf,
    },
    /// The target's name is longer than the file system takes.
    #[error(
        "cannot write `{}`: its name is too long for this file system, found `{}` bytes\nhint: choose a shorter name; most take 255",
        path.display(), path.file_name().unwrap_or_default().len()
    )]
    NameTooLong {
        /// The target.
        path: PathBuf,
    },
    /// Permission was refused.
    #[error("cannot {action} `{}`: permission denied\nhint: check who owns it, or choose another folder", path.display())]
    Denied {
        /// What was tried: `write`, `read`.
        action: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("cannot write `{}`: no space is left on the disk\nhint: free some space, or choose another disk; nothing was left behind", path.display())]
    DiskFull {
        /// The target.
        path: PathBuf,
    },
    /// Any other failure of the operating system.
    #[error("cannot {action} `{}`: {source}\nhint: the system refuses it; try another place, or look at the disk", path.display())]
    Io {
        /// What was tried: `write`, `read`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The frames do not fit the format.
    #[error("cannot write {format}: {problem}\nhint: {hint}")]
    Unwritable {
        /// Name of the format.
        format: &'static str,
        /// What was expected, what was found.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A frame rate out of range, or no number.
    #[error("frames per second must be {min} to {max}, found `{found}`\nhint: 24 is usual")]
    FrameRate {
        /// What was asked.
        found: String,
        /// The lowest rate.
        min: f64,
        /// The highest rate.
        max: u32,
    },
    /// An encoder gave up.
    #[error(
        "the {codec} encoder failed: {detail}\nhint: another format may take these frames: .mp4, .gif, .webp, .png, or a folder"
    )]
    Encode {
        /// Name of the codec.
        codec: &'static str,
        /// What it said.
        detail: String,
    },
    /// There is no such file.
    #[error("cannot read `{}`: there is no such file or folder\nhint: check the spelling", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// The input is larger than the limits allow.
    #[error("refusing to read `{}`: {what} must be at most {limit}, found `{found}`\nhint: cut or scale it down first", path.display())]
    Limit {
        /// The input.
        path: PathBuf,
        /// What was counted.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// The input is damaged.
    #[error("cannot read `{}`: {detail}\nhint: the file is damaged or incomplete; copy or download it again", path.display())]
    Corrupt {
        /// The input.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A stream in a built-in codec that the decoder gives up on.
    #[error("cannot read `{}`: its H.264 stream cannot be decoded {place}\nhint: the file is damaged there; if other programs play it, `ffmpeg` on PATH is asked, too", path.display())]
    Undecodable {
        /// The input.
        path: PathBuf,
        /// Where.
        place: String,
    },
    /// The input is in a format or codec that is not built in, and there is no `ffmpeg`.
    #[error("cannot read `{}`: {what} is not built in\nhint: install `ffmpeg` so that it is on PATH, or convert the file to an H.264 mp4", path.display())]
    Unsupported {
        /// The input.
        path: PathBuf,
        /// Container or codec.
        what: String,
    },
    /// `ffmpeg` was tried and failed.
    #[error("cannot read `{}`: {what} is not built in, and `ffmpeg` failed: {detail}\nhint: run `ffmpeg -i` on the file to see more", path.display())]
    Ffmpeg {
        /// The input.
        path: PathBuf,
        /// Container or codec.
        what: String,
        /// The last line that `ffmpeg` said.
        detail: String,
    },
}

impl MediaError {
    /// The error for a failure of the operating system while writing `path`.
    pub(crate) fn writing(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::PermissionDenied => Self::Denied { action: "write", path },
            io::ErrorKind::InvalidFilename => Self::NameTooLong { path },
            _ => Self::Io { action: "write", path, source },
        }
    }

    /// The error for a failure of the operating system while reading `path`.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::Denied { action: "read", path },
            _ => Self::Io { action: "read", path, source },
        }
    }

    pub(crate) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), detail: detail.into() }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_path_buf(), what: what.into() }
    }

    pub(crate) fn encode(codec: &'static str, detail: impl ToString) -> Self {
        Self::Encode { codec, detail: detail.to_string() }
    }
}
