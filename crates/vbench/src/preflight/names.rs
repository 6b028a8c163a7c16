//! What a file that no prompt asks for was probably meant to be.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::naming::{composed, split_stem};
use crate::nearest::{nearest, plain};
use crate::{Suite, SuiteVideo, video_stem};

/// Beyond so many strangers it is another suite, and nobody reads suggestions.
const GUESSES_MAX: usize = 500;
/// A name cut off after so many letters still says which prompt it was.
const CUT_LETTERS_MIN: usize = 16;

/// Knows the suite's names, and guesses.
pub struct Names<'a> {
    /// Composed prompts of the whole suite.
    prompts: HashSet<String>,
    /// Prompts of missing videos, in plain letters.
    missing: HashMap<String, &'a str>,
    missing_stems: HashSet<String>,
    guesses: usize,
}

/// What is known about a stranger.
pub struct Verdict {
    /// Why it does not count.
    pub reason: String,
    /// The stem it should probably have.
    pub meant: Option<String>,
    /// Whether it is a further sample of a prompt.
    pub is_sample: bool,
}

impl<'a> Names<'a> {
    pub fn new(suite: &Suite, missing: &[&'a SuiteVideo]) -> Self {
        Self {
            // As they are in names: without `/`.
            prompts: suite
                .entries
                .iter()
                .map(|entry| composed(split_stem(&video_stem(&entry.prompt, 0)).0))
                .collect(),
            missing: missing.iter().map(|video| (plain(&video.prompt), video.prompt.as_str())).collect(),
            missing_stems: missing.iter().map(|video| composed(&video.stem())).collect(),
            guesses: 0,
        }
    }

    /// Whether a name is that of a sample of the suite.
    pub fn is_of_suite(&self, stem: &str, samples: usize) -> bool {
        let (prompt, index) = split_stem(stem);
        let is_sample = index.is_some_and(|index| index < samples && video_stem(prompt, index) == stem);
        is_sample && self.prompts.contains(&composed(prompt))
    }

    /// Whether the video of this name is looked for in vain.
    pub fn is_missing(&self, stem: &str) -> bool {
        self.missing_stems.contains(&composed(stem))
    }

    /// What is known about a name that is not the suite's.
    pub fn judge(&mut self, stem: &str, samples: usize) -> Verdict {
        let (prompt, index) = split_stem(stem);
        let verdict = |reason: String, meant| Verdict { reason, meant, is_sample: false };
        match index {
            Some(index) if self.prompts.contains(&composed(prompt)) && video_stem(prompt, index) != stem => {
                let meant = Some(video_stem(prompt, index)).filter(|name| self.is_missing(name));
                verdict("its sample number has zeros before it".to_owned(), meant)
            }
            Some(index) if self.prompts.contains(&composed(prompt)) => Verdict {
                reason: format!("sample {index} is not counted: they are 0 to {}", samples.saturating_sub(1)),
                meant: None,
                is_sample: true,
            },
            None if self.prompts.contains(&composed(stem)) => {
                let free =
                    (0..samples).map(|index| video_stem(stem, index)).find(|name| self.is_missing(name));
                verdict("its name ends in no sample number".to_owned(), free)
            }
            _ => {
                self.guesses += 1;
                let guess = (self.guesses <= GUESSES_MAX).then(|| self.guess(prompt, stem)).flatten();
                let meant = guess.map(|prompt| video_stem(prompt, sample(stem).unwrap_or(0)));
                verdict("no prompt is called so".to_owned(), meant)
            }
        }
    }

    fn guess(&self, prompt: &str, stem: &str) -> Option<&'a str> {
        let plain_prompt = plain(prompt);
        // `a_cat_0`: the sample is set off by something else than a hyphen.
        let bare = plain(stem);
        let bare = bare
            .rsplit_once(' ')
            .filter(|(_, last)| last.bytes().all(|b| b.is_ascii_digit()))
            .map(|(head, _)| head);
        for candidate in [Some(plain_prompt.as_str()), bare].into_iter().flatten() {
            if let Some(prompt) = self.missing.get(candidate) {
                return Some(prompt);
            }
        }
        if plain_prompt.len() >= CUT_LETTERS_MIN {
            let begins: BTreeSet<&str> = self
                .missing
                .iter()
                .filter(|(plain, _)| plain.starts_with(&plain_prompt))
                .map(|(_, &prompt)| prompt)
                .collect();
            if begins.len() == 1 {
                return begins.first().copied();
            }
        }
        // In order, so that of two that are as near the same one is found always.
        let mut known: Vec<&str> = self.missing.values().copied().collect();
        known.sort_unstable();
        nearest(bare.unwrap_or(prompt), known)
    }
}

/// The number at the end of a name.
fn sample(stem: &str) -> Option<usize> {
    let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    stem[stem.len() - digits..].parse().ok()
}
