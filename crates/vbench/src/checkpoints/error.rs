use std::io;
use std::path::PathBuf;

use vidit_weights::hint_of;

/// Why weights were not fetched or looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// No checkpoint has that name.
    #[error("no weights are called `{found}`\nhint: known are {known}")]
    Unknown {
        /// What was given.
        found: String,
        /// All names.
        known: String,
    },
    /// The weights may not be used commercially, and nobody has said that this is accepted.
    #[error(
        "the weights `{name}` are under {licence}, which forbids commercial use\nhint: if that suits you, say \
         `--accept-licence {licence}`; their home is {url}"
    )]
    Licence {
        /// The network.
        name: &'static str,
        /// The licence.
        licence: &'static str,
        /// Where it can be read of.
        url: &'static str,
    },
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
    /// No answer, or the connection ended.
    #[error(
        "cannot fetch `{url}`: {reason}\nhint: run the command again to go on where it stopped, or lay the file into \
         the folder by other means"
    )]
    Network {
        /// From where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server gave another answer than the file.
    #[error(
        "cannot fetch `{url}`: the server answers {status}\nhint: get the file by other means and lay it into the folder"
    )]
    Status {
        /// From where.
        url: String,
        /// The code, 404 for instance.
        status: u16,
    },
    /// More bytes than the file has.
    #[error(
        "`{url}` gives more than `{limit}` bytes, which the file does not have\nhint: the address leads elsewhere by now"
    )]
    TooLarge {
        /// From where.
        url: String,
        /// What the file may have at most.
        limit: u64,
    },
    /// It is not the file that was published.
    #[error(
        "what came from `{url}` is not the published file: its SHA-256 must be {expected}, found `{found}`; it was \
         removed\nhint: fetch it again; if that does not help, the file at that address has changed"
    )]
    WrongHash {
        /// From where.
        url: String,
        /// What was published.
        expected: String,
        /// What came.
        found: String,
    },
    /// The archive does not hold what it should.
    #[error(
        "the archive from `{url}` holds no whole `{member}`: {reason}; it was removed\nhint: fetch it again"
    )]
    Archive {
        /// From where.
        url: String,
        /// The path within it.
        member: &'static str,
        /// What was found.
        reason: String,
    },
    /// The user stopped it.
    #[error("interrupted; what has come is kept")]
    Interrupted,
}
