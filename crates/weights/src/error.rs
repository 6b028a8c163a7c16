use std::fmt::Display;
use std::io;
use std::path::PathBuf;

/// Why weights could not be read, written or put into a module.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}\nhint: {}", hint_of(source))]
    Io {
        /// `read`, `write` …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What a file holds is not what it is wanted for.
    #[error("cannot use `{name}`: {source}")]
    InFile {
        /// Which file or embedded blob.
        name: String,
        /// What is wrong with it.
        source: Box<WeightsError>,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("`{name}` is not a whole safetensors file: {reason}\nhint: fetch or copy the file again")]
    Format {
        /// Which file or embedded blob.
        name: String,
        /// What the parser found.
        reason: String,
    },
    /// A data type that weights are not read from.
    #[error(
        "tensor `{key}` has type {found}, expected F64, F32, F16 or BF16\nhint: save it in one of these types"
    )]
    Type {
        /// The tensor.
        key: String,
        /// Its type.
        found: String,
    },
    /// A parameter of the module that the file lacks.
    #[error(
        "weights lack `{key}` of shape {expected:?}\nhint: the file was made by another model or version"
    )]
    Missing {
        /// The parameter's path.
        key: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A tensor in the file that no parameter takes.
    #[error(
        "weights hold `{key}`, which the model does not have\nhint: the file was made by another model or version"
    )]
    Unknown {
        /// The tensor's key.
        key: String,
    },
    /// Shapes differ.
    #[error(
        "`{key}` has shape {found:?}, expected {expected:?}\nhint: the file was made by another model or version"
    )]
    Shape {
        /// The parameter's path.
        key: String,
        /// The model's shape.
        expected: Vec<usize>,
        /// The file's shape.
        found: Vec<usize>,
    },
    /// A value that is not a number.
    #[error("`{key}` holds a value that is not finite\nhint: the file is damaged, or training diverged")]
    NotFinite {
        /// The tensor's key.
        key: String,
    },
    /// A needed metadata entry is absent or malformed.
    #[error("weights metadata `{key}` {reason}\nhint: the file was made by another model or program")]
    Metadata {
        /// Which entry.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a checkpoint of PyTorch, or a damaged one.
    #[error(
        "`{name}` is no checkpoint of PyTorch that is read: {reason}\nhint: fetch or copy the file again"
    )]
    Checkpoint {
        /// Which file.
        name: String,
        /// What was found.
        reason: String,
    },
    /// A checkpoint that wants to call something.
    #[error(
        "refusing `{name}`: it asks for `{global}`, and tensors need nothing of the kind\nhint: such a file can run \
         programs; if you trust it, load it in Python and save its `state_dict` alone"
    )]
    Refused {
        /// Which file.
        name: String,
        /// What it asks for.
        global: String,
    },
}

impl WeightsError {
    /// The same of this file, unless it names one already.
    pub fn in_file(self, name: impl Display) -> Self {
        match self {
            Self::Type { .. }
            | Self::Missing { .. }
            | Self::Unknown { .. }
            | Self::Shape { .. }
            | Self::NotFinite { .. }
            | Self::Metadata { .. } => Self::InFile { name: name.to_string(), source: Box::new(self) },
            Self::Io { .. }
            | Self::InFile { .. }
            | Self::Format { .. }
            | Self::Checkpoint { .. }
            | Self::Refused { .. } => self,
        }
    }
}

/// What to do when the file system says no.
pub fn hint_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the spelling",
        io::ErrorKind::PermissionDenied => "check who owns it, or choose another folder",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or choose another disk"
        }
        io::ErrorKind::FileTooLarge => "allow larger files, or choose another disk",
        io::ErrorKind::IsADirectory => "name a file, not a folder",
        io::ErrorKind::NotADirectory => "what stands for a folder in it is a file",
        io::ErrorKind::InvalidFilename => "choose a shorter name",
        io::ErrorKind::InvalidData => "expected text in UTF-8: is it another file?",
        _ => "does the disk work, and is it still there?",
    }
}
