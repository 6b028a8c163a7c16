//! Word pieces → text, as the tokenizer of bert-base-uncased joins them.

use super::text::Token;
use crate::BackboneError;
use crate::wordpiece::joined;

/// The text of each token.
pub(super) struct Vocabulary(Vec<String>);

impl Vocabulary {
    /// Of a `vocab.txt`, one token a line, of so many tokens.
    pub fn new(network: &'static str, bytes: &[u8], count: usize) -> Result<Self, BackboneError> {
        let text = String::from_utf8_lossy(bytes);
        let tokens: Vec<String> = text.lines().map(str::to_owned).collect();
        if tokens.len() != count {
            return Err(BackboneError::Vocabulary { network, expected: count, found: tokens.len() });
        }
        Ok(Self(tokens))
    }

    pub fn text(&self, tokens: &[Token]) -> String {
        joined(tokens.iter().map(|token| self.0[*token].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let tokens = "[PAD]\n[CLS]\n[SEP]\na\ndog\n##s\n'\nisn\nt\n,\n##ing\nn't\n";
        Vocabulary::new("GRiT", tokens.as_bytes(), 12).expect("twelve tokens")
    }

    #[test]
    fn pieces_are_joined_and_special_tokens_left_out() {
        let v = vocabulary();
        assert_eq!(v.text(&[1, 3, 4, 5, 2, 2, 0]), "a dogs");
        assert_eq!(v.text(&[10, 4]), "##ing dog");
        assert_eq!(v.text(&[4, 9, 7, 6, 8, 11]), "dog, isn'tn't");
        assert_eq!(v.text(&[]), "");
    }

    #[test]
    fn a_vocabulary_of_another_size_is_refused() {
        let error = Vocabulary::new("GRiT", b"a\nb\n", 3).err().expect("two are not three");
        assert!(error.to_string().contains("`2`"), "{error}");
    }
}
