use std::path::{Path, PathBuf};

/// Longest stem from a prompt, in bytes: leaves room for `-2`, an extension and our temporary name in 255.
const STEM_BYTES_MAX: usize = 60;

/// Names that Windows keeps for devices, whatever the extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The first path among `stem.ext`, `stem-2.ext`, `stem-3.ext`, … in `dir` at which there is nothing.
///
/// An empty extension makes the name of a folder of frames.
pub fn free_name(dir: &Path, stem: &str, extension: &str) -> PathBuf {
    let dot = if extension.is_empty() { "" } else { "." };
    // `symlink_metadata`, because a dangling link is something too.
    let taken = |path: &PathBuf| path.symlink_metadata().is_ok();
    let first = dir.join(format!("{stem}{dot}{extension}"));
    std::iter::once(first)
        .chain((2u64..).map(|n| dir.join(format!("{stem}-{n}{dot}{extension}"))))
        .find(|path| !taken(path))
        .expect("some number below 2⁶⁴ is free")
}

/// A file stem that reads like the prompt: letters and digits of any script, everything else a `-`; at most 60 bytes.
///
/// Never empty, never a path, never hidden, never a device name.
pub fn file_stem_from_prompt(prompt: &str) -> String {
    let mut stem = String::new();
    for c in prompt.chars() {
        if c.is_alphanumeric() || c == '_' || joins_letters(c) {
            stem.push(c);
        } else if !stem.is_empty() && !stem.ends_with('-') && !is_apostrophe(c) {
            stem.push('-');
        }
        if stem.len() > STEM_BYTES_MAX {
            break;
        }
    }
    if stem.len() > STEM_BYTES_MAX {
        let cut = stem.floor_char_boundary(STEM_BYTES_MAX);
        stem.truncate(cut);
        // A whole last word reads better, if that costs no more than a third.
        if let Some(word_end) = stem.rfind('-').filter(|&at| at > STEM_BYTES_MAX * 2 / 3) {
            stem.truncate(word_end);
        }
    }
    stem.truncate(stem.trim_end_matches('-').len());
    let lower = stem.to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().any(|name| {
        lower.strip_prefix(name).is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    });
    if stem.is_empty() {
        "clip".to_owned()
    } else if numbered || DEVICES.contains(&lower.as_str()) {
        format!("clip-{stem}")
    } else {
        stem
    }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

/// Vowel signs and accents that belong to the letter before them but are no letters themselves (Unicode category M).
fn joins_letters(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036f}'   // combining accents
        | '\u{0591}'..='\u{05c7}' // Hebrew points
        | '\u{064b}'..='\u{065f}' // Arabic vowels
        | '\u{0900}'..='\u{0dff}' // Indic vowel signs and viramas
        | '\u{0e31}'..='\u{0e4e}' // Thai
        | '\u{0eb1}'..='\u{0ece}' // Lao
        | '\u{0f71}'..='\u{0fbc}' // Tibetan
        | '\u{102b}'..='\u{103e}' // Burmese
        | '\u{17b4}'..='\u{17d3}' // Khmer
        | '\u{3099}' | '\u{309a}' // Japanese voicing
    ) && !matches!(c, '\u{0964}' | '\u{0965}' | '\u{0df4}') // Indic full stops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_become_readable_stems() {
        for (prompt, stem) in [
            ("a red car drives left", "a-red-car-drives-left"),
            ("A dog's ball,  running!", "A-dogs-ball-running"),
            ("红色的汽车 向左开。", "红色的汽车-向左开"),
            ("कुत्ता दौड़ रहा है।", "कुत्ता-दौड़-रहा-है"),
            ("../../etc/passwd", "etc-passwd"),
            (".hidden", "hidden"),
            ("tab\there\nand\0there", "tab-here-and-there"),
            ("C:\\temp\\x", "C-temp-x"),
            ("", "clip"),
            ("  ...  ", "clip"),
            ("🚗", "clip"),
            ("con", "clip-con"),
            ("LPT1", "clip-LPT1"),
        ] {
            assert_eq!(file_stem_from_prompt(prompt), stem, "{prompt:?}");
        }
    }

    #[test]
    fn long_prompts_are_cut_between_characters_and_words() {
        let words = file_stem_from_prompt(&"wonderful ".repeat(20));
        assert!(words.len() <= STEM_BYTES_MAX && words.ends_with("wonderful"), "{words}");
        let one_word = file_stem_from_prompt(&"汽".repeat(50));
        assert_eq!(one_word, "汽".repeat(20));
        for length in 0..200 {
            let stem = file_stem_from_prompt(&"é ü- ".repeat(30).chars().take(length).collect::<String>());
            assert!(!stem.is_empty() && stem.len() <= STEM_BYTES_MAX && !stem.ends_with('-'));
        }
    }

    #[test]
    fn free_names_count_up() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(free_name(dir.path(), "car", "mp4"), dir.path().join("car.mp4"));
        std::fs::write(dir.path().join("car.mp4"), "").unwrap();
        std::fs::write(dir.path().join("car-2.mp4"), "").unwrap();
        assert_eq!(free_name(dir.path(), "car", "mp4"), dir.path().join("car-3.mp4"));
        assert_eq!(free_name(dir.path(), "car", ""), dir.path().join("car"));
    }
}
