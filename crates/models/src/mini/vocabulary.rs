//! Prompts as token numbers: words for scripts that part them by spaces, single characters for Chinese, bytes for all
//! that was never seen in training.

use std::collections::{BTreeMap, HashMap};

/// Opens every prompt; alone it is the empty prompt of guidance.
const BEGIN: u32 = 0;
const FIRST_BYTE: u32 = 1;
const FIRST_WORD: u32 = FIRST_BYTE + 256;

/// A learned vocabulary.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// The pieces that occur at least `count_min` times in a corpus, in the order of their spelling.
    pub fn learn(corpus: impl Iterator<Item = String>, count_min: usize) -> Self {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in corpus {
            for piece in pieces(&text) {
                *counts.entry(piece).or_default() += 1;
            }
        }
        Self::from_words(
            counts.into_iter().filter(|(_, count)| *count >= count_min).map(|(word, _)| word).collect(),
        )
    }

    /// A vocabulary of these words, numbered in order.
    pub fn from_words(words: Vec<String>) -> Self {
        let ids = words.iter().enumerate().map(|(i, word)| (word.clone(), FIRST_WORD + i as u32)).collect();
        Self { words, ids }
    }

    /// The words, in order.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// How many token numbers there are.
    pub fn size(&self) -> usize {
        FIRST_WORD as usize + self.words.len()
    }

    /// Token numbers of a prompt, never empty.
    pub fn encode(&self, prompt: &str) -> Vec<u32> {
        let mut tokens = vec![BEGIN];
        for piece in pieces(prompt) {
            match self.ids.get(&piece) {
                Some(id) => tokens.push(*id),
                None => tokens.extend(piece.bytes().map(|byte| FIRST_BYTE + byte as u32)),
            }
        }
        tokens
    }
}

/// Lower-case words and single Chinese characters; punctuation parts words and is dropped, Arabic is stripped of vowel
/// signs and of spellings that writers mix.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        let c = match c {
            'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
            'ى' => 'ي',
            '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{640}' => continue,
            c => c,
        };
        let ideograph =
            matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
        if !c.is_alphanumeric() || ideograph {
            if !word.is_empty() {
                pieces.push(std::mem::take(&mut word));
            }
            if ideograph {
                pieces.push(c.to_string());
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        pieces.push(word);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_three_scripts() {
        assert_eq!(pieces("A red Car, drives!"), ["a", "red", "car", "drives"]);
        assert_eq!(pieces("一只猫 ok"), ["一", "只", "猫", "ok"]);
        assert_eq!(pieces("إلى اليَسار"), ["الي", "اليسار"]);
        assert!(pieces(" .,!").is_empty());
    }

    #[test]
    fn known_words_are_one_token_and_unknown_ones_bytes() {
        let corpus = ["a cat", "a dog", "a cat"].map(str::to_owned);
        let vocabulary = Vocabulary::learn(corpus.into_iter(), 2);
        assert_eq!(vocabulary.words(), ["a", "cat"]);
        assert_eq!(vocabulary.encode("A cat."), [0, 257, 258]);
        assert_eq!(vocabulary.encode("dog"), [0, 1 + 100, 1 + 111, 1 + 103]);
        assert_eq!(vocabulary.encode(""), [0]);
        assert_eq!(vocabulary.size(), 259);
    }
}
