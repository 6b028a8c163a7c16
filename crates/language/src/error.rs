use std::io;
use std::path::PathBuf;

use vidit_data::Language;

/// Why no prompt was rewritten.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// A file could not be read.
    #[error("cannot read `{path}`\nhint: is it there, and may it be read?")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither a GGUF file nor a folder with a configuration.
    #[error(
        "`{path}` is no language model: expected a GGUF file, or a folder with config.json, tokenizer.json and *.safetensors, found {found}\nhint: name the file itself, or the folder that holds all three"
    )]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// A file that breaks off, or breaks the rules of its format.
    #[error("`{path}` is damaged: {reason}\nhint: is it whole? compare its size with the original's")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A network that is not one of ours.
    #[error(
        "`{path}` holds a `{found}`, expected one of llama, qwen2 and qwen3\nhint: use a model of one of these"
    )]
    Architecture {
        /// The file.
        path: PathBuf,
        /// Its architecture.
        found: String,
    },
    /// A setting is missing, of the wrong kind, or asks for what we do not compute.
    #[error(
        "`{path}`: `{what}` must be {expected}, found `{found}`\nhint: use another model, or its original files"
    )]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting.
        what: String,
        /// What we need.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A tensor is missing or of another shape.
    #[error(
        "`{path}`: the tensor `{name}` must have shape {expected:?}, found {found}\nhint: are weights and settings of one model?"
    )]
    Tensor {
        /// The file or folder.
        path: PathBuf,
        /// Its name.
        name: String,
        /// The shape that the settings imply.
        expected: Vec<usize>,
        /// What is there.
        found: String,
    },
    /// No tokenizer, or one that we do not read.
    #[error("`{path}`: {reason}\nhint: put the model's tokenizer.json beside the file")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// Instructions, prompt and answer are longer than what the network saw in training.
    #[error(
        "instructions, prompt and answer take `{found}` tokens, the language model has room for {limit}\nhint: shorten the prompt, or allow a shorter answer"
    )]
    TooLong {
        /// Tokens needed.
        found: usize,
        /// The model's context.
        limit: usize,
    },
    /// The library that computes gave up.
    #[error("the language model could not be computed: {0}")]
    Compute(String),
    /// Logits that are not numbers.
    #[error("the language model produced values that are not finite\nhint: are the weights whole?")]
    NotFinite,
    /// The model said nothing that is left after cleaning.
    #[error(
        "the language model's answer holds no description, found `{answer}`\nhint: try another `--seed`, say more, or use a larger model"
    )]
    NoAnswer {
        /// What it said.
        answer: String,
    },
    /// The model answered in another language than it was asked in.
    #[error(
        "the language model must answer in {}, found `{answer}`\nhint: use a model that speaks the prompt's language, or leave out `--lm`",
        name(*expected)
    )]
    OtherLanguage {
        /// The prompt's language.
        expected: Language,
        /// What it said.
        answer: String,
    },
    /// Not one sentence within the limit.
    #[error(
        "the language model's answer has no whole sentence within {limit} tokens, found `{answer}`\nhint: allow more with `--max-tokens`, or try another `--seed`"
    )]
    Unfinished {
        /// The limit.
        limit: usize,
        /// What it said.
        answer: String,
    },
    /// The caller raised the flag.
    #[error("cancelled")]
    Cancelled,
}

impl From<candle_core::Error> for LanguageError {
    /// The library's first line: what follows it is a trace of calls.
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(first_line(&error))
    }
}

/// The first line of what an error says.
pub(crate) fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// A language's English name.
fn name(language: Language) -> &'static str {
    match language {
        Language::En => "English",
        Language::Zh => "Chinese",
        Language::Ar => "Arabic",
    }
}
