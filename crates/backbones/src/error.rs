use thiserror::Error;

/// Why a network cannot be made of the weights that were given, or says nothing.
#[derive(Debug, Error, PartialEq)]
pub enum BackboneError {
    /// A tensor is absent.
    #[error(
        "weights lack `{key}`, expected a tensor of shape {expected:?}\nhint: is this the checkpoint of {network}?"
    )]
    Missing {
        /// The network's name.
        network: &'static str,
        /// Its path.
        key: String,
        /// The shape wanted.
        expected: Vec<usize>,
    },
    /// A tensor has another shape.
    #[error(
        "weights: `{key}` has shape {found:?}, expected {expected:?}\nhint: is this the checkpoint of {network}, of this size?"
    )]
    Shape {
        /// The network's name.
        network: &'static str,
        /// Its path.
        key: String,
        /// The shape wanted.
        expected: Vec<usize>,
        /// The shape there.
        found: Vec<usize>,
    },
    /// Tensors that no layer asked for.
    #[error(
        "weights hold {count} tensors that {network} has no use for, the first is `{first}`\nhint: is this its checkpoint, of this size?"
    )]
    Unused {
        /// The network's name.
        network: &'static str,
        /// How many.
        count: usize,
        /// The first, by name.
        first: String,
    },
    /// A size cannot be told from the weights, or is none that the network can have.
    #[error("weights of {network}: {reason}\nhint: is this its checkpoint, and none of another size?")]
    Config {
        /// The network's name.
        network: &'static str,
        /// What is wrong, in a sentence.
        reason: String,
    },
    /// A vocabulary of another size.
    #[error(
        "the vocabulary has `{found}` tokens, expected {expected}\nhint: {network} reads the `vocab.txt` of its own tokenizer"
    )]
    Vocabulary {
        /// The network's name.
        network: &'static str,
        /// Tokens wanted.
        expected: usize,
        /// Tokens there.
        found: usize,
    },
    /// What goes in does not fit the network.
    #[error("{network} cannot read its input: {reason}")]
    Input {
        /// The network's name.
        network: &'static str,
        /// What is wrong, and a hint.
        reason: String,
    },
    /// A frame of a size that the network cannot see.
    #[error(
        "{network}: a frame is {height} × {width}, expected {expected}\nhint: for smaller frames the published code divides by zero"
    )]
    Frame {
        /// The network's name.
        network: &'static str,
        /// Rows found.
        height: usize,
        /// Columns found.
        width: usize,
        /// What sides can be.
        expected: String,
    },
    /// A network broke: what it says is not to be read.
    #[error(
        "{network} gave values that are not finite: {what}\nhint: are its weights whole, and those of {network}?"
    )]
    NotFinite {
        /// The network's name.
        network: &'static str,
        /// Which values.
        what: String,
    },
    /// The pieces of words cannot be told from the bytes that were given.
    #[error(
        "the vocabulary {reason}\nhint: the vocabulary of uncased BERT has 30522 lines, the first is `[PAD]`"
    )]
    Pieces {
        /// What is wrong, the rest of a sentence.
        reason: String,
    },
}
