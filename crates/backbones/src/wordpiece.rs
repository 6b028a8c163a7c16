//! Text and tokens: WordPiece (Wu et al. 2016) as uncased BERT has it.

use std::collections::HashMap;

use crate::BackboneError;

/// Letters of the longest word that is cut into pieces; longer ones are unknown.
const WORD_MAX: usize = 100;

/// The pieces of a vocabulary, and the two tokens that Tag2Text adds behind them: `[DEC]` begins a caption, `[ENC]` a list of tags.
pub struct Vocabulary {
    pieces: Vec<String>,
    ids: HashMap<String, usize>,
    unknown: usize,
    /// Follows the last token of a text.
    pub(crate) end: usize,
    /// Fills a text up.
    pub(crate) padding: usize,
    /// Begins a caption.
    pub(crate) decoder: usize,
    /// Begins a list of tags.
    pub(crate) encoder: usize,
}

impl Vocabulary {
    /// Of the bytes of `vocab.txt`: a piece a line, its token the number of the line.
    ///
    /// # Errors
    /// If they are no UTF-8, or lack `[PAD]`, `[UNK]`, `[CLS]` or `[SEP]`.
    pub fn new(bytes: &[u8]) -> Result<Self, BackboneError> {
        let text = std::str::from_utf8(bytes).map_err(|error| BackboneError::Pieces {
            reason: format!("is no UTF-8 at byte {}", error.valid_up_to()),
        })?;
        let mut pieces: Vec<String> = text.lines().map(str::to_owned).collect();
        let count = pieces.len();
        pieces.extend(["[DEC]", "[ENC]"].map(str::to_owned));
        let ids: HashMap<String, usize> =
            pieces.iter().enumerate().map(|(id, piece)| (piece.clone(), id)).collect();
        let special = |piece: &str| {
            let reason = || BackboneError::Pieces { reason: format!("lacks the piece `{piece}`") };
            ids.get(piece).copied().ok_or_else(reason)
        };
        let [padding, unknown, _, end] =
            [special("[PAD]")?, special("[UNK]")?, special("[CLS]")?, special("[SEP]")?];
        Ok(Self { pieces, ids, unknown, end, padding, decoder: count, encoder: count + 1 })
    }

    /// Tokens, with the two added ones.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Never: there are added ones.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The tokens of a text in ASCII, lower case or not, without any before or behind. A word with other letters is cut as it is, and
    /// accents are not taken off.
    pub fn encode(&self, text: &str) -> Vec<usize> {
        let mut tokens = Vec::new();
        for word in text.split_whitespace() {
            let mut rest = word;
            while let Some(first) = rest.chars().next() {
                // A mark of punctuation is a word of its own.
                let len = match first.is_ascii_punctuation() {
                    true => first.len_utf8(),
                    false => rest.find(|c: char| c.is_ascii_punctuation()).unwrap_or(rest.len()),
                };
                let (word, behind) = rest.split_at(len);
                self.cut(&word.to_lowercase(), &mut tokens);
                rest = behind;
            }
        }
        tokens
    }

    /// The longest piece that a word begins with, then the longest that goes on from there, or nothing known.
    fn cut(&self, word: &str, tokens: &mut Vec<usize>) {
        let known = tokens.len();
        let mut from = 0;
        while from < word.len() && word.chars().count() <= WORD_MAX {
            let prefix = if from == 0 { "" } else { "##" };
            let ends = word[from..].char_indices().map(|(i, c)| from + i + c.len_utf8()).rev();
            let found = ends.into_iter().find_map(|end| {
                let id = self.ids.get(&format!("{prefix}{}", &word[from..end]))?;
                Some((end, *id))
            });
            match found {
                Some((end, id)) => {
                    tokens.push(id);
                    from = end;
                }
                None => break,
            }
        }
        if from < word.len() {
            tokens.truncate(known);
            tokens.push(self.unknown);
        }
    }

    /// The text of tokens: those in brackets are left out, pieces of a word joined, and spaces before punctuation dropped.
    pub fn decode(&self, tokens: &[usize]) -> String {
        joined(tokens.iter().filter_map(|token| self.pieces.get(*token).map(String::as_str)))
    }
}

/// Tokens that are no text.
const SPECIAL: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"];
/// What is written together in the end, one after another: `clean_up_tokenization` of transformers 4.33.
const TOGETHER: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// The text of pieces.
pub(crate) fn joined<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    let pieces: Vec<&str> = pieces.filter(|piece| !SPECIAL.contains(piece)).collect();
    let text = pieces.join(" ").replace(" ##", "").trim().to_owned();
    TOGETHER.iter().fold(text, |text, (apart, together)| text.replace(apart, together))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nof\npicture\n|\n-\n'\ns\n##s\ncat\nun\n##aff\n##able\n,\ndon\nn\n##'\nt\n";

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        let vocabulary = Vocabulary::new(PIECES.as_bytes()).unwrap();
        let words = |text: &str| -> Vec<String> {
            vocabulary.encode(text).into_iter().map(|id| vocabulary.pieces[id].clone()).collect()
        };
        assert_eq!(words("A picture  of\tcats"), ["a", "picture", "of", "cat", "##s"]);
        assert_eq!(words("unaffable | un-of"), ["un", "##aff", "##able", "|", "un", "-", "of"]);
        assert_eq!(words("unseen a"), ["[UNK]", "a"]);
        assert_eq!(words(&"a".repeat(101)), ["[UNK]"]);
        assert_eq!(words("çats"), ["[UNK]"]);
        assert!(words(" ").is_empty());
        assert_eq!((vocabulary.decoder, vocabulary.encoder, vocabulary.len()), (22, 23, 24));
    }

    #[test]
    fn tokens_are_joined_to_text() {
        let vocabulary = Vocabulary::new(PIECES.as_bytes()).unwrap();
        let text = |pieces: &[&str]| {
            let ids: Vec<usize> = pieces.iter().map(|piece| vocabulary.ids[*piece]).collect();
            vocabulary.decode(&ids)
        };
        assert_eq!(text(&["[DEC]", "a", "cat", "##s", ",", "of", "[SEP]", "[PAD]"]), "a cats, of");
        assert_eq!(text(&["a", "cat", "'", "s", "picture"]), "a cat's picture");
        assert_eq!(text(&["[UNK]"]), "");
    }

    #[test]
    fn a_vocabulary_without_its_marks_is_refused() {
        let error = Vocabulary::new(b"[PAD]\n[UNK]\n[CLS]\n").err().unwrap().to_string();
        assert!(error.contains("lacks the piece `[SEP]`"), "{error}");
        assert!(Vocabulary::new(b"[PAD]\n\xff").is_err());
    }
}
