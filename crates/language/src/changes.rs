//! What a rewritten prompt says that the prompt did not, and the other way round.

/// A run of words that was kept, added or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub kind: ChangeKind,
    /// The words, as they are written.
    pub words: String,
}

/// What became of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// In both.
    Kept,
    /// In the rewritten prompt alone.
    Added,
    /// In the prompt alone.
    Removed,
}

/// Runs of words in order, by the longest common subsequence. Words are told apart by their letters and digits; in
/// Chinese each character is one.
pub fn changes(before: &str, after: &str) -> Vec<Change> {
    let (before, after) = (words(before), words(after));
    // Length of the longest common subsequence of what is left of both.
    let mut common = vec![vec![0u32; after.len() + 1]; before.len() + 1];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            common[i][j] = match before[i].same(&after[j]) {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut runs: Vec<Change> = Vec::new();
    let mut push = |kind, word: &Word| match runs.last_mut() {
        Some(run) if run.kind == kind => {
            if word.spaced {
                run.words.push(' ');
            }
            run.words.push_str(word.written);
        }
        _ => runs.push(Change { kind, words: word.written.to_owned() }),
    };
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i].same(&after[j]) {
            push(ChangeKind::Kept, &after[j]);
            (i, j) = (i + 1, j + 1);
        } else if i < before.len() && (j == after.len() || common[i + 1][j] >= common[i][j + 1]) {
            push(ChangeKind::Removed, &before[i]);
            i += 1;
        } else {
            push(ChangeKind::Added, &after[j]);
            j += 1;
        }
    }
    runs
}

struct Word<'a> {
    written: &'a str,
    /// Small letters and digits.
    letters: String,
    /// Whether a space stands before it.
    spaced: bool,
}

impl Word<'_> {
    fn same(&self, other: &Self) -> bool {
        self.letters == other.letters
    }
}

/// Words with what punctuation clings to them.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word> = Vec::new();
    for chunk in text.split_whitespace() {
        let mut rest = chunk;
        let mut spaced = true;
        while !rest.is_empty() {
            let end = first_word(rest);
            let (written, after) = rest.split_at(end);
            let letters: String = written.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
            // A dash alone is no word.
            if !letters.is_empty() {
                words.push(Word { written: written.trim_matches(is_mark), letters, spaced });
            }
            (rest, spaced) = (after, false);
        }
    }
    words
}

/// Punctuation that ends or wraps words.
fn is_mark(c: char) -> bool {
    !c.is_alphanumeric() && !matches!(c, '%' | '$' | '°' | '\u{64b}'..='\u{65f}')
}

/// Length in bytes of the first word of what holds no space: one Chinese character, or all that is before one.
fn first_word(text: &str) -> usize {
    let mut letters = false;
    for (at, c) in text.char_indices() {
        if is_ideograph(c) {
            return if letters { at } else { at + c.len_utf8() };
        }
        letters |= c.is_alphanumeric();
    }
    text.len()
}

pub(crate) fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChangeKind::{Added, Kept, Removed};

    fn told(before: &str, after: &str) -> Vec<(ChangeKind, String)> {
        changes(before, after).into_iter().map(|change| (change.kind, change.words)).collect()
    }

    fn owned(runs: &[(ChangeKind, &str)]) -> Vec<(ChangeKind, String)> {
        runs.iter().map(|(kind, words)| (*kind, (*words).to_owned())).collect()
    }

    #[test]
    fn words_are_compared_by_their_letters() {
        let after = "A shiny red car, \"new\", drives slowly.";
        let runs = [
            (Kept, "A"),
            (Added, "shiny"),
            (Kept, "red car"),
            (Added, "new"),
            (Kept, "drives"),
            (Added, "slowly"),
        ];
        assert_eq!(told("a red car drives", after), owned(&runs));
        assert_eq!(told("same", "Same!"), owned(&[(Kept, "Same")]));
        assert_eq!(
            told("three cats", "two cats"),
            owned(&[(Removed, "three"), (Added, "two"), (Kept, "cats")])
        );
        assert!(told("", " - ").is_empty());
    }

    #[test]
    fn chinese_is_compared_by_characters_and_arabic_by_words() {
        let runs = [(Kept, "一只"), (Added, "可爱的"), (Kept, "猫"), (Added, "慢慢走")];
        assert_eq!(told("一只猫", "一只可爱的猫，慢慢走。"), owned(&runs));
        let runs = [(Kept, "قطة"), (Added, "بيضاء"), (Kept, "تتحرك")];
        assert_eq!(told("قطة تتحرك", "قطة بيضاء تتحرك."), owned(&runs));
    }
}
