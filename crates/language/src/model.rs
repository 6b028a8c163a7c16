//! A language model that rewrites prompts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tokenizers::Tokenizer;
use vidit_data::{Language, Random, language_of};

use crate::answer::{cleaned, is_in, whole_sentences};
use crate::changes::{Change, changes};
use crate::chat::Chat;
use crate::decoder::Decoder;
use crate::instructions::turns;
use crate::opened::open;
use crate::sampling::{choose, discourage};
use crate::{Config, LanguageError};

/// Prompt tokens that are read at once: Ctrl-C is looked for in between.
const TOKENS_AT_ONCE: usize = 64;

/// Characters of a chat template that an error shows.
const TEMPLATE_SHOWN_MAX: usize = 60;

/// How an answer is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Seed of the draws.
    pub seed: u64,
    /// 0 takes the most probable token each time; 1 draws as the model learned. Either way what was just said is made less
    /// probable.
    pub temperature: f32,
    /// Tokens of the answer at most.
    pub tokens_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, temperature: 0.3, tokens_max: 240 }
    }
}

/// How far a rewriting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whether the answer is being written; the instructions are being read before.
    pub writing: bool,
    /// Tokens read or written.
    pub done: usize,
    /// Tokens to read, or to write at most.
    pub total: usize,
}

/// A rewritten prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten {
    /// The language of both.
    pub language: Language,
    /// The whole prompt.
    pub text: String,
    /// What it says beside the prompt, and what it does not say any more.
    pub changes: Vec<Change>,
    /// Tokens that the model wrote.
    pub tokens: usize,
    /// Whether the answer was cut after its last whole sentence, because it was longer than allowed.
    pub cut: bool,
}

/// A model with its tokenizer.
pub struct LanguageModel {
    path: PathBuf,
    quantisation: String,
    decoder: Decoder,
    tokenizer: Tokenizer,
    chat: Chat,
}

impl LanguageModel {
    /// Opens a GGUF file (its tokenizer is within, or where we cannot read that, a tokenizer.json beside it), or a folder
    /// with config.json, tokenizer.json and *.safetensors.
    ///
    /// # Errors
    /// If it is no language model that we compute, or not whole.
    pub fn open(path: &Path) -> Result<Self, LanguageError> {
        let mut opened = open(path)?;
        let chat = Chat::new(
            &opened.tokenizer,
            opened.begin,
            opened.begins,
            &opened.ends,
            opened.template.as_deref(),
        );
        let Some(chat) = chat else {
            let (path, what) = (path.to_owned(), "chat template".to_owned());
            let expected = "one with `<|im_start|>`, `<|start_header_id|>` or `[INST]`".to_owned();
            let found = opened.template.unwrap_or_default().chars().take(TEMPLATE_SHOWN_MAX).collect();
            return Err(LanguageError::Setting { path, what, expected, found });
        };
        let vocabulary = opened.tokenizer.get_vocab_size(true);
        if vocabulary > opened.config.vocabulary {
            let rows = opened.config.vocabulary;
            let reason = format!("the tokenizer must have at most {rows} entries, found `{vocabulary}`");
            return Err(LanguageError::Tokenizer { path: path.to_owned(), reason });
        }
        let mut tokenizer = opened.tokenizer;
        // Typed text never becomes a special token.
        tokenizer.set_encode_special_tokens(true);
        let decoder = Decoder::load(&mut opened.weights, opened.config)?;
        Ok(Self { path: path.to_owned(), quantisation: opened.quantisation, decoder, tokenizer, chat })
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What numbers the weights are, such as `Q4_1`.
    pub fn quantisation(&self) -> &str {
        &self.quantisation
    }

    /// Sizes of its network.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    /// Makes one long paragraph of a short prompt, in its language.
    ///
    /// # Errors
    /// If the model says nothing, speaks another language, or cannot be computed.
    pub fn rewrite(
        &mut self,
        prompt: &str,
        options: &Options,
        mut progress: impl FnMut(Progress),
        cancel: &AtomicBool,
    ) -> Result<Rewritten, LanguageError> {
        let language = language_of(prompt);
        let asked = self.chat.tokens(&self.tokenizer, &turns(language, prompt.trim()))?;
        if asked.is_empty() {
            let reason = "the tokenizer must have tokens for text, found none".to_owned();
            return Err(LanguageError::Tokenizer { path: self.path.clone(), reason });
        }
        let (written, ended) = self.answer(&asked, options, &mut progress, cancel)?;
        let said = self.text(&written)?;
        let mut text = cleaned(&said);
        if text.is_empty() || !text.chars().any(char::is_alphanumeric) {
            return Err(LanguageError::NoAnswer { answer: said.trim().to_owned() });
        }
        if !is_in(language, &text) {
            return Err(LanguageError::OtherLanguage { expected: language, answer: text });
        }
        if !ended {
            let limit = options.tokens_max;
            let whole = whole_sentences(&text).map(str::to_owned);
            text = whole.ok_or(LanguageError::Unfinished { limit, answer: text })?;
        }
        let changes = changes(prompt, &text);
        Ok(Rewritten { language, text, changes, tokens: written.len(), cut: !ended })
    }

    /// Tokens that follow what was asked, and whether the model ended by itself.
    fn answer(
        &mut self,
        asked: &[u32],
        options: &Options,
        progress: &mut impl FnMut(Progress),
        cancel: &AtomicBool,
    ) -> Result<(Vec<u32>, bool), LanguageError> {
        let (limit, found) = (self.decoder.config().context, asked.len() + options.tokens_max);
        if found > limit {
            return Err(LanguageError::TooLong { found, limit });
        }
        let check = || match cancel.load(Ordering::SeqCst) {
            true => Err(LanguageError::Cancelled),
            false => Ok(()),
        };
        self.decoder.forget();
        let mut logits = Vec::new();
        for (index, part) in asked.chunks(TOKENS_AT_ONCE).enumerate() {
            check()?;
            progress(Progress { writing: false, done: index * TOKENS_AT_ONCE, total: asked.len() });
            logits = self.decoder.read(part)?;
        }
        let mut random = Random::new(options.seed, 0);
        let mut written = Vec::new();
        while written.len() < options.tokens_max {
            check()?;
            progress(Progress { writing: true, done: written.len(), total: options.tokens_max });
            discourage(&mut logits, &written);
            let token = choose(&logits, options.temperature, &mut random);
            if self.chat.ends(token) {
                return Ok((written, true));
            }
            written.push(token);
            logits = self.decoder.read(&[token])?;
        }
        Ok((written, false))
    }

    fn text(&self, tokens: &[u32]) -> Result<String, LanguageError> {
        let text = self.tokenizer.decode(tokens, true);
        text.map_err(|error| LanguageError::Compute(crate::error::first_line(&error)))
    }
}
