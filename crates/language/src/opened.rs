//! A model before its network is built.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::weights::Weights;
use crate::{Config, LanguageError, folder, gguf};

pub(crate) struct Opened {
    pub config: Config,
    pub tokenizer: Tokenizer,
    pub weights: Weights,
    /// The token that opens a text.
    pub begin: Option<u32>,
    /// Whether it does; not all files say so.
    pub begins: Option<bool>,
    /// Tokens that end an answer.
    pub ends: Vec<u32>,
    /// The chat template, a program that is not run.
    pub template: Option<String>,
    /// What numbers the weights are: `Q4_1`, `BF16`.
    pub quantisation: String,
}

/// Opens a GGUF file or a folder.
pub(crate) fn open(path: &Path) -> Result<Opened, LanguageError> {
    if path.is_dir() { folder::open(path) } else { gguf::open(path) }
}

/// The tokenizer.json beside a file.
pub(crate) fn tokenizer_beside(path: &Path) -> Result<Option<Tokenizer>, LanguageError> {
    let path = path.with_file_name("tokenizer.json");
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(|source| LanguageError::Read { path: path.clone(), source })?;
    let read = Tokenizer::from_bytes(&bytes);
    read.map(Some).map_err(|error| LanguageError::Damaged { path, reason: crate::error::first_line(&error) })
}

/// More than any published network has of anything but positions; products of two sizes do not overflow.
const SIZE_MAX: usize = 1 << 24;

impl Config {
    /// Whether the sizes fit one another. Nothing is allocated before.
    pub(crate) fn check(&self, path: &Path) -> Result<(), LanguageError> {
        let wrong = |what: &str, expected: String, found: usize| LanguageError::Setting {
            path: path.to_owned(),
            what: what.to_owned(),
            expected,
            found: found.to_string(),
        };
        let sizes = [
            ("layers", self.layers),
            ("width", self.width),
            ("feed-forward width", self.hidden),
            ("heads", self.heads),
            ("key heads", self.kv_heads),
            ("head width", self.head_width),
            ("vocabulary", self.vocabulary),
        ];
        if let Some((what, size)) = sizes.into_iter().find(|(_, size)| !(1..=SIZE_MAX).contains(size)) {
            return Err(wrong(what, format!("1 to {SIZE_MAX}"), size));
        }
        if self.context == 0 {
            return Err(wrong("context", "above 0".to_owned(), 0));
        }
        if self.heads % self.kv_heads != 0 {
            return Err(wrong("heads", format!("a multiple of {} key heads", self.kv_heads), self.heads));
        }
        if self.head_width % 2 != 0 {
            return Err(wrong("head width", "even".to_owned(), self.head_width));
        }
        Ok(())
    }
}
