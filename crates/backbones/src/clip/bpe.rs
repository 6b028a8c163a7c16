//! CLIP's tokens: byte pair encoding (Sennrich et al. 2016) of the bytes of words.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use regex::Regex;
use thiserror::Error;

use super::clean::clean;

/// Words: the two marks and English endings in any case, letters, one digit, and anything else that is no white space. U+0345 falls
/// through: it is no letter, and without regard to case Python's engine takes it for the Greek one that it is a form of.
const WORDS: &str =
    r"(?i:<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}\x{345}]+";
/// Merges that count, of the published file's 262,144.
const MERGES: usize = 49_152 - 256 - 2;

/// Why a vocabulary or a text cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TextError {
    /// The file is not a list of merges.
    #[error(
        "vocabulary cannot be read: {reason}\nhint: it is CLIP's `bpe_simple_vocab_16e6.txt`, also as `.gz`"
    )]
    Vocabulary {
        /// What is wrong, in a sentence.
        reason: String,
    },
    /// A text does not fit.
    #[error(
        "text has `{found}` tokens, expected at most {most}: `{text}`\nhint: both marks count; say it in fewer words"
    )]
    Long {
        /// The text.
        text: String,
        /// Its tokens.
        found: usize,
        /// The network's context.
        most: usize,
    },
}

/// What to do with a text that has more tokens than the network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// Refuse it, as CLIP does.
    Refuse,
    /// Cut it and let the last token be the end mark, as ViCLIP does.
    Cut,
}

/// CLIP's tokenizer.
pub struct Tokenizer {
    /// The id of a byte within a word; at its end 256 more.
    bytes: [u32; 256],
    /// Rank and result of a pair of ids.
    merges: HashMap<(u32, u32), (u32, u32)>,
    words: Regex,
    start: u32,
}

impl Tokenizer {
    /// Of the content of `bpe_simple_vocab_16e6.txt`, gzipped or not: a line that is skipped, then a merge a line. Fewer merges than the
    /// published 48,894 make a smaller vocabulary.
    ///
    /// # Errors
    /// If it is damaged, no UTF-8, or a line is not two symbols.
    pub fn new(file: &[u8]) -> Result<Self, TextError> {
        let refuse = |reason: String| TextError::Vocabulary { reason };
        let mut unpacked = String::new();
        let mut plain = file;
        let read = if file.starts_with(&[0x1f, 0x8b]) {
            MultiGzDecoder::new(file).read_to_string(&mut unpacked)
        } else {
            plain.read_to_string(&mut unpacked)
        };
        read.map_err(|error| refuse(error.to_string()))?;

        let characters = byte_characters();
        let mut ids = HashMap::new();
        for (i, (_, c)) in characters.iter().enumerate() {
            ids.insert(c.to_string(), i as u32);
            ids.insert(format!("{c}</w>"), i as u32 + 256);
        }
        let mut pairs = Vec::new();
        for (number, line) in unpacked.lines().enumerate().skip(1).take(MERGES) {
            if line.is_empty() {
                break;
            }
            let symbols: Vec<&str> = line.split_whitespace().collect();
            let [first, second] = symbols[..] else {
                return Err(refuse(format!("line {} is `{line}`, expected two symbols", number + 1)));
            };
            // Of merges with one result the last one's id counts.
            ids.insert(format!("{first}{second}"), 512 + pairs.len() as u32);
            pairs.push((first, second));
        }
        let mut merges = HashMap::new();
        for (rank, (first, second)) in pairs.iter().enumerate() {
            // A pair with a symbol that no merge makes can never be met.
            if let (Some(a), Some(b)) = (ids.get(*first), ids.get(*second)) {
                merges.insert((*a, *b), (rank as u32, ids[&format!("{first}{second}")]));
            }
        }
        let mut bytes = [0; 256];
        for (i, (byte, _)) in characters.iter().enumerate() {
            bytes[*byte as usize] = i as u32;
        }
        let words = Regex::new(WORDS).expect("the pattern is constant");
        Ok(Self { bytes, merges, words, start: 512 + pairs.len() as u32 })
    }

    /// How many different tokens there are; the two highest are the marks.
    pub fn vocabulary(&self) -> usize {
        self.start as usize + 2
    }

    /// The mark at the beginning.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The mark at the end, the highest id.
    pub fn end(&self) -> u32 {
        self.start + 1
    }

    /// A text between its marks; at most `context` tokens, and not filled up to it.
    ///
    /// # Errors
    /// [`TextError::Long`] if it has more and they are not to be cut.
    ///
    /// # Panics
    /// If `context` has no room for both marks.
    pub fn encode(&self, text: &str, context: usize, too_long: TooLong) -> Result<Vec<u32>, TextError> {
        assert!(context >= 2, "a text has at least two tokens");
        let mut ids = vec![self.start];
        for word in self.words.find_iter(&clean(text)) {
            match word.as_str() {
                "<|startoftext|>" => ids.push(self.start()),
                "<|endoftext|>" => ids.push(self.end()),
                word => self.encode_word(word, &mut ids),
            }
        }
        ids.push(self.end());
        if ids.len() > context {
            if too_long == TooLong::Refuse {
                return Err(TextError::Long { text: text.to_owned(), found: ids.len(), most: context });
            }
            ids.truncate(context - 1);
            ids.push(self.end());
        }
        Ok(ids)
    }

    /// Joins the pair of the lowest rank wherever it stands, until no pair has one.
    fn encode_word(&self, word: &str, out: &mut Vec<u32>) {
        let mut symbols: Vec<u32> = word.bytes().map(|byte| self.bytes[byte as usize]).collect();
        if let Some(last) = symbols.last_mut() {
            *last += 256;
        }
        let merge = |pair: &[u32]| self.merges.get(&(pair[0], pair[1])).copied();
        while let Some(best) = symbols.windows(2).filter_map(merge).min() {
            let mut joined = Vec::with_capacity(symbols.len());
            let mut i = 0;
            while i < symbols.len() {
                if symbols.get(i..i + 2).and_then(merge) == Some(best) {
                    joined.push(best.1);
                    i += 2;
                } else {
                    joined.push(symbols[i]);
                    i += 1;
                }
            }
            symbols = joined;
        }
        out.extend(symbols);
    }
}

/// GPT-2's characters for bytes (Radford et al. 2019), in the order of their ids: what can be printed first, as itself.
fn byte_characters() -> Vec<(u8, char)> {
    let printed = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255).filter(|byte| !printed(byte));
    let others = others.zip('\u{100}'..);
    (0..=255).filter(printed).map(|byte| (byte, char::from(byte))).chain(others).collect()
}
