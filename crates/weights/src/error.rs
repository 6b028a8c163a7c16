use std::path::PathBuf;

/// Why weights could not be read, written or put into a module.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// `read`, `write` …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
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
    #[error("tensor `{key}` has type {found}, expected F64, F32, F16 or BF16")]
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
    #[error("`{key}` has shape {found:?}, expected {expected:?}")]
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
    #[error("weights metadata `{key}` {reason}")]
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
