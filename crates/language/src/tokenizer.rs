//! Tokenizers from the pieces that a GGUF file lists: byte-level BPE (Radford et al. 2019), cut into words first in the
//! way that the file names.

use std::collections::HashMap;

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// What a file lists.
pub(crate) struct Pieces {
    /// Tokens in the order of their numbers.
    pub tokens: Vec<String>,
    /// Pairs that are joined, the most urgent first, each with a space between.
    pub merges: Vec<String>,
    /// Tokens that stand for no text.
    pub special: Vec<String>,
    /// Tokens of text that is never cut, such as Qwen3's `</think>`.
    pub whole: Vec<String>,
}

/// The word patterns of the published tokenizer.json of Llama 3 and Qwen2; they differ in how many digits stay together.
fn words(digits: &str) -> String {
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        digits,
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
    .join("|")
}

/// Builds a tokenizer; `words_like` is `tokenizer.ggml.pre`.
pub(crate) fn tokenizer(pieces: Pieces, words_like: Option<&str>) -> Result<Tokenizer, String> {
    let (cut, whole_words_first) = match words_like {
        Some("gpt-2" | "gpt2") => (vec![bytes(true)], false),
        Some("smollm") => (vec![Digits::new(true).into(), bytes(true)], false),
        Some("qwen2" | "deepseek-r1-qwen") => (vec![split(r"\p{N}")?, bytes(false)], false),
        Some("llama-bpe" | "llama3" | "llama-v3") => (vec![split(r"\p{N}{1,3}")?, bytes(false)], true),
        other => {
            let found = other.unwrap_or("nothing");
            return Err(format!(
                "`tokenizer.ggml.pre` must be one of gpt-2, smollm, qwen2 and llama-bpe, found `{found}`"
            ));
        }
    };
    let Pieces { tokens, merges, special, whole } = pieces;
    let pair = |merge: &String| {
        let pair = merge.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
        pair.ok_or_else(|| format!("a merge must be two pieces with a space between, found `{merge}`"))
    };
    let merges = merges.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    let numbers: HashMap<String, u32> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect();
    let bpe = BPE::builder()
        .vocab_and_merges(numbers.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        .ignore_merges(whole_words_first)
        .build()
        .map_err(|error| crate::error::first_line(&error))?;
    let mut tokenizer = Tokenizer::new(bpe);
    if matches!(words_like, Some("qwen2")) {
        tokenizer
            .with_normalizer(Some(NormalizerWrapper::from(NFC)))
            .map_err(|error| crate::error::first_line(&error))?;
    }
    tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::from(Sequence::new(cut))));
    tokenizer.with_decoder(Some(ByteLevel::new(false, false, false)));
    let added = |tokens: Vec<String>, special| {
        tokens.into_iter().map(move |token| AddedToken::from(token, special).normalized(false))
    };
    tokenizer.add_special_tokens(added(special, true)).map_err(|error| crate::error::first_line(&error))?;
    tokenizer.add_tokens(added(whole, false)).map_err(|error| crate::error::first_line(&error))?;
    Ok(tokenizer)
}

/// Bytes as letters; `words` cuts into words as GPT-2 did.
fn bytes(words: bool) -> PreTokenizerWrapper {
    ByteLevel::new(false, false, words).into()
}

fn split(digits: &str) -> Result<PreTokenizerWrapper, String> {
    let pattern = SplitPattern::Regex(words(digits));
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
    split.map(PreTokenizerWrapper::from).map_err(|error| crate::error::first_line(&error))
}
