use std::path::PathBuf;

use vidit_motion::ScriptError;
use vidit_video::{LatentShape, PixelShape, ShapeError};
use vidit_weights::WeightsError;

/// Why no video was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for what cannot be made.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Weights or latents could not be read, or do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The binary was built without weights.
    #[error(
        "this build has no embedded model\nhint: train one with `vidit train`, put it at assets/mini/mini.safetensors and build again, or name a weights file with `--model`"
    )]
    NotEmbedded,
    /// A box adapter that was trained beside another model.
    #[error(
        "`{path}` is an adapter for {} blocks of width {}, the model has {} of width {}\nhint: use the model that it was trained on",
        found.1, found.0, expected.1, expected.0
    )]
    OtherAdapter {
        /// The file.
        path: PathBuf,
        /// Width and blocks of the model.
        expected: (usize, usize),
        /// Those that the adapter asks for.
        found: (usize, usize),
    },
    /// A latents file is far larger than latents can be.
    #[error(
        "`{path}` has {found} bytes, more than latents can have (`{limit}`)\nhint: is it a latents file?"
    )]
    LatentsFile {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file of tensors that are no latents.
    #[error(
        "`{}` holds no latents: expected a tensor `latents` of shape [F, H, W, C], found {found}\nhint: `--save-latents` makes such files",
        path.display()
    )]
    NoLatents {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// Latents of another model.
    #[error(
        "latents must have shape [F, H, W, {channels}], found `{found:?}`\nhint: use the model that made them"
    )]
    LatentsShape {
        /// Channels of the model.
        channels: usize,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The caller raised the flag.
    #[error("cancelled")]
    Cancelled,
    /// The sampler ran away.
    #[error("the denoiser produced values that are not finite\nhint: lower the guidance, or take more steps")]
    NotFinite,
}

impl Error {
    /// The same, with the file named that weights are from.
    pub(crate) fn in_file(self, name: &str) -> Self {
        match self {
            Self::Weights(error) => Self::Weights(error.in_file(name)),
            other => other,
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Nothing to show.
    #[error(
        "the prompt is empty\nhint: say what the video should show, such as \"a red car drives to the left\""
    )]
    EmptyPrompt,
    /// Punctuation or symbols alone.
    #[error("the prompt holds no word\nhint: say in words what the video should show")]
    NoWords,
    /// More bytes than the limit.
    #[error("the {which} must be at most {limit} bytes long, found `{found}`\nhint: shorten it")]
    PromptBytes {
        /// `prompt` or `negative prompt`.
        which: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// More tokens than the text encoder has positions.
    #[error(
        "the {which} must be at most {limit} tokens long, found `{found}`\nhint: shorten it; a word that the model does not know takes a token for each of its bytes"
    )]
    PromptTokens {
        /// `prompt` or `negative prompt`.
        which: &'static str,
        /// Its length in tokens.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Bells, escapes, zero bytes.
    #[error("the {which} holds the control character `U+{:04X}` at byte {at}\nhint: remove it", *.found as u32)]
    ControlCharacter {
        /// `prompt` or `negative prompt`.
        which: &'static str,
        /// The character.
        found: char,
        /// Its position in bytes.
        at: usize,
    },
    /// Off the model's grid.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Above a limit.
    #[error("{what} must be at most {limit}, found `{found}`\nhint: ask for less")]
    TooLarge {
        /// `frames`, `width` or `height`.
        what: &'static str,
        /// What was asked.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Each side is legal, but all together are too many.
    #[error(
        "{shape} make `{found}` tokens, more than the limit of {limit}\nhint: ask for fewer frames or a smaller size"
    )]
    TooManyTokens {
        /// What was asked.
        shape: PixelShape,
        /// Its tokens.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// More memory than is allowed.
    #[error(
        "{shape} would take about {:.1} GiB of memory, more than the {:.1} GiB allowed\nhint: ask for fewer frames or a smaller size",
        gib(*found), gib(*limit)
    )]
    TooMuchMemory {
        /// What was asked.
        shape: PixelShape,
        /// The estimate in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A number out of its range, or none at all.
    #[error("{what} must be {range}, found `{found}`\nhint: {usual} is usual")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What is legal, in words.
        range: String,
        /// What was asked.
        found: String,
        /// A good value.
        usual: &'static str,
    },
    /// Given frames of another size.
    #[error(
        "given frames must have the size of the clip, {}x{}, found `{}x{}`\nhint: name the size with `--size`",
        clip.width, clip.height, given.width, given.height
    )]
    GivenSize {
        /// The clip.
        clip: PixelShape,
        /// What is given.
        given: PixelShape,
    },
    /// Given frames where they cannot stand.
    #[error(
        "{count} given frames at frame `{at}` do not fit: expected {expected}\nhint: four frames are one step of the model"
    )]
    GivenPlace {
        /// Where they begin.
        at: usize,
        /// How many they are.
        count: usize,
        /// What would fit, in words.
        expected: String,
    },
    /// Boxes that cannot be followed.
    #[error(transparent)]
    Boxes(#[from] ScriptError),
    /// Boxes for a clip of another length.
    #[error(
        "`{id}` has boxes for {found} frames, the clip has {frames}\nhint: this is likely a mistake of the program that made them"
    )]
    GuideFrames {
        /// The object.
        id: String,
        /// Frames of the clip.
        frames: usize,
        /// Frames with a box, or none.
        found: usize,
    },
    /// Boxes, and nothing that follows them.
    #[error(
        "this model has no box adapter\nhint: name one with `--box-adapter`; `vidit train` of kind `boxes` makes one"
    )]
    NoBoxAdapter,
    /// A mask that leaves nothing to do.
    #[error(
        "the mask is black everywhere, so that nothing is made anew\nhint: paint white what should change"
    )]
    EmptyMask,
    /// Initial noise for another size.
    #[error(
        "the initial noise must have shape {}, found `{}`\nhint: ask for the size and frames that it was made for",
        words(*expected), words(*found)
    )]
    NoiseShape {
        /// The request's latent shape.
        expected: LatentShape,
        /// The noise's.
        found: LatentShape,
    },
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1u64 << 30) as f64
}

/// `[F, H, W, C]`, the order of files.
fn words(shape: LatentShape) -> String {
    format!("[{}, {}, {}, {}]", shape.frames, shape.height, shape.width, shape.channels)
}
