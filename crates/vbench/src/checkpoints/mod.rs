//! The weights that VBench measures with: whose they are, where they lie, and whether a file is one of them.

mod error;
mod fetch;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub use error::CheckpointError;
pub use fetch::{Fetched, fetch};
pub use table::CHECKPOINTS;

use crate::Network;
use crate::hash::sha256_while;

/// One file of weights, or of the words that go with them, as its authors give it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What it is called here: the network's name, or that of words which networks share.
    pub name: &'static str,
    /// The network whose weights these are.
    pub network: Option<Network>,
    /// Name of the file.
    pub file: &'static str,
    /// Folder that the reference keeps it in, below its cache.
    pub folder: &'static str,
    /// Where it is given out.
    pub url: &'static str,
    /// Path within a zip archive, if it is given out in one.
    pub member: Option<&'static str>,
    /// Size in bytes: exact, or what is said of it.
    pub size: Size,
    /// What is known of its SHA-256.
    pub sha256: KnownHash,
    /// Licence of the authors' code.
    pub code_licence: &'static str,
    /// Licence of the weights.
    pub licence: &'static str,
    /// The name of a licence that forbids commercial use, to be accepted by name before fetching.
    pub non_commercial: Option<&'static str>,
}

/// How large a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Bytes.
    Exact(u64),
    /// Bytes, as far as it is said: a few per cent off, and more for files of some kilobytes.
    About(u64),
}

impl Size {
    /// Bytes, exact or not.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Exact(bytes) | Self::About(bytes) => bytes,
        }
    }

    /// Whether a file of so many bytes can be it.
    pub fn fits(self, bytes: u64) -> bool {
        /// What is said of a size is nearer to it than this; what came in its place, such as the page of an error, is not.
        const FACTOR: u64 = 4;
        match self {
            Self::Exact(exact) => bytes == exact,
            Self::About(about) => {
                bytes.saturating_mul(FACTOR) >= about && bytes <= about.saturating_mul(FACTOR)
            }
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(bytes) => write!(f, "`{bytes}`"),
            Self::About(bytes) => write!(f, "about `{bytes}`"),
        }
    }
}

/// What is known of a SHA-256, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownHash {
    /// All of it.
    Whole(&'static str),
    /// How it begins and how it ends.
    Ends(&'static str, &'static str),
    /// Nothing was published.
    Nothing,
}

/// What a file's SHA-256 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one that was published.
    Published,
    /// It begins and ends as the one that was published, of which no more is known.
    Ends,
    /// None was published.
    Unknown,
    /// It is another file.
    Other,
}

impl KnownHash {
    /// What a hash in hexadecimal says.
    pub fn judge(self, sha256: &str) -> Verdict {
        match self {
            Self::Whole(known) if sha256 == known => Verdict::Published,
            Self::Ends(first, last) if sha256.starts_with(first) && sha256.ends_with(last) => Verdict::Ends,
            Self::Nothing => Verdict::Unknown,
            _ => Verdict::Other,
        }
    }

    /// As words: whole, `bfee78a0…1e69fecd`, or nothing.
    pub fn describe(self) -> String {
        match self {
            Self::Whole(known) => known.to_owned(),
            Self::Ends(first, last) => format!("{first}…{last}"),
            Self::Nothing => "not published".to_owned(),
        }
    }
}

/// What a folder of weights holds of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// A download that can go on.
    Partial {
        /// Bytes that are there.
        bytes: u64,
    },
    /// The file.
    Present {
        /// Where.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

impl Checkpoint {
    /// The checkpoint of a network.
    pub fn of(network: Network) -> &'static Self {
        let found = CHECKPOINTS.iter().find(|checkpoint| checkpoint.network == Some(network));
        found.expect("every network has a row")
    }

    /// The checkpoint of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<&'static Self, CheckpointError> {
        CHECKPOINTS.iter().find(|checkpoint| checkpoint.name == name).ok_or_else(|| {
            let known: Vec<_> = CHECKPOINTS.iter().map(|checkpoint| checkpoint.name).collect();
            CheckpointError::Unknown { found: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The first file of these names in the top of `folder`, or where the reference's cache has it.
    pub(crate) fn find(&self, folder: &Path, names: &[&str]) -> Option<PathBuf> {
        let folders = [folder.to_owned(), folder.join(self.folder)];
        let mut paths = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
        paths.find(|path| path.is_file())
    }

    /// What `folder` holds of it: in its top, or where the reference's cache has it.
    pub fn presence(&self, folder: &Path) -> Presence {
        if let Some(path) = self.find(folder, &[self.file])
            && let Ok(found) = fs::metadata(&path)
        {
            return Presence::Present { path, bytes: found.len() };
        }
        match fs::metadata(fetch::partial(folder, self)) {
            Ok(found) => Presence::Partial { bytes: found.len() },
            Err(_) => Presence::Absent,
        }
    }
}

/// SHA-256 of a file in hexadecimal.
///
/// # Errors
/// The file cannot be read, or `stop` was raised.
pub fn sha256_of(
    path: &Path,
    stop: &AtomicBool,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<String, CheckpointError> {
    let go_on = |done, total| {
        on_progress(done, total);
        !stop.load(Ordering::Relaxed)
    };
    match sha256_while(path, go_on) {
        Ok(Some(sha256)) => Ok(sha256),
        Ok(None) => Err(CheckpointError::Interrupted),
        Err(source) => Err(CheckpointError::Io { action: "read", path: path.to_owned(), source }),
    }
}
