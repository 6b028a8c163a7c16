//! An answer without what models say around it.

use vidit_data::Language;

use crate::changes::is_ideograph;

/// Share of an answer's letters that must be of its language's script: names and units may be of another.
const SCRIPT_SHARE_MIN: f64 = 0.6;

/// One line: thoughts, openings such as "Sure, here is:", markdown, surrounding quotes and line breaks are taken away.
pub fn cleaned(answer: &str) -> String {
    let answer = match answer.split_once("</think>") {
        Some((_, said)) => said,
        None => answer.split("<think>").next().unwrap_or_default(),
    };
    let mut lines: Vec<String> = answer.lines().map(plain).filter(|line| !line.is_empty()).collect();
    // What follows the description: "Let me know if …".
    while lines.len() > 1 && lines.last().is_some_and(|line| starts(line, &CLOSINGS)) {
        lines.pop();
    }
    let mut text = String::new();
    for line in &lines {
        let tight = text.ends_with(is_wide) && line.starts_with(is_wide);
        if !text.is_empty() && !tight {
            text.push(' ');
        }
        text.push_str(line);
    }
    // An opening may stand within quotes, and quotes after an opening.
    loop {
        let shorter = unquoted(unopened(text.trim())).trim();
        if shorter.len() == text.len() {
            return text;
        }
        text = shorter.to_owned();
    }
}

/// A line without markdown and control characters.
fn plain(line: &str) -> String {
    let line = line.trim();
    if line.chars().all(|c| matches!(c, '-' | '*' | '_' | '=' | '`' | '#')) || line.starts_with("```") {
        return String::new();
    }
    let line = line.trim_start_matches(['#', '>']).trim_start();
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = line.len() > digits.len() && (digits.starts_with(". ") || digits.starts_with(") "));
    let line = match numbered {
        true => &digits[2..],
        false => ["- ", "* ", "• "].into_iter().find_map(|bullet| line.strip_prefix(bullet)).unwrap_or(line),
    };
    let line = line.replace("**", "").replace("__", "").replace('`', "");
    // `*said so*`, but not `3 * 4`.
    let line = line.strip_prefix('*').and_then(|line| line.strip_suffix('*')).unwrap_or(&line).to_owned();
    line.split_whitespace()
        .map(|word| word.chars().filter(|c| !c.is_control()).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

/// First words of what is said before a description, in small letters.
const OPENINGS: [&str; 36] = [
    "sure",
    "certainly",
    "of course",
    "absolutely",
    "okay",
    "ok,",
    "here is",
    "here's",
    "here’s",
    "the rewritten",
    "rewritten",
    "the expanded",
    "expanded",
    "the caption",
    "caption",
    "the prompt",
    "prompt",
    "description",
    "video caption",
    "video description",
    "output",
    "answer",
    "好的",
    "当然",
    "以下是",
    "这是",
    "描述",
    "视频描述",
    "بالتأكيد",
    "بالطبع",
    "إليك",
    "إليكم",
    "الوصف",
    "حسنا",
    "حسناً",
    "حسنًا",
];

/// First words of what is said after one.
const CLOSINGS: [&str; 10] = [
    "let me know",
    "i hope",
    "note:",
    "please let me",
    "feel free",
    "would you like",
    "希望",
    "如果您",
    "注：",
    "أتمنى",
];

/// Characters in which an opening may be said before its colon.
const OPENING_CHARS_MAX: usize = 90;

/// Whether a text begins with one of these, and not with a longer word.
fn starts(text: &str, words: &[&str]) -> bool {
    let small = text.to_lowercase();
    words.iter().filter_map(|word| small.strip_prefix(word)).any(|after| {
        let next = after.chars().next();
        next.is_none_or(|c| !c.is_alphanumeric() || is_ideograph(c))
    })
}

/// What follows an opening that ends in a colon, or an interjection that ends in a mark.
fn unopened(text: &str) -> &str {
    if !starts(text, &OPENINGS) {
        return text;
    }
    for (count, (at, c)) in text.char_indices().enumerate() {
        let after = &text[at + c.len_utf8()..];
        let colon = matches!(c, ':' | '：') && !after.is_empty();
        let interjection = matches!(c, '!' | '！') && count < 20 && !after.is_empty();
        if colon || interjection {
            return after;
        }
        if count > OPENING_CHARS_MAX || matches!(c, '.' | '。') {
            break;
        }
    }
    text
}

const QUOTES: [(char, char); 7] =
    [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’'), ('«', '»'), ('「', '」'), ('『', '』')];

/// What one pair of quotes encloses as a whole.
fn unquoted(text: &str) -> &str {
    for (open, close) in QUOTES {
        let inside = text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
        if let Some(inside) = inside
            && !inside.contains([open, close])
        {
            return inside;
        }
    }
    text
}

/// Characters between which no space stands.
fn is_wide(c: char) -> bool {
    is_ideograph(c) || matches!(c, '，' | '。' | '、' | '！' | '？' | '：' | '；' | '“' | '”')
}

/// Marks that end a sentence.
const ENDS: [char; 8] = ['.', '!', '?', '…', '。', '！', '？', '؟'];

/// The whole sentences of an answer that was cut short; nothing if there is none.
pub fn whole_sentences(text: &str) -> Option<&str> {
    let mut end = None;
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        // A point within a number ends nothing.
        if ENDS.contains(&c) && (c != '.' || after.is_empty() || after.starts_with(char::is_whitespace)) {
            end = Some(at + c.len_utf8());
        }
    }
    end.map(|end| &text[..end])
}

/// Whether a text holds a word, and is written in a language's script.
pub fn is_in(language: Language, text: &str) -> bool {
    let letters: Vec<char> = text.chars().filter(|c| c.is_alphabetic()).collect();
    let own = letters.iter().filter(|c| match language {
        Language::En => c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}'),
        Language::Zh => is_ideograph(**c),
        Language::Ar => matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}'),
    });
    !letters.is_empty() && own.count() as f64 >= SCRIPT_SHARE_MIN * letters.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_around_a_description_goes() {
        for (said, left) in [
            ("  A red car drives.  ", "A red car drives."),
            ("\"A red car drives.\"", "A red car drives."),
            ("Sure, here is the caption:\n\n\"A red car drives.\"", "A red car drives."),
            ("Sure! A red car drives.", "A red car drives."),
            ("Here's a rewritten version: **A red car** drives `left`.", "A red car drives left."),
            ("**Caption:** A cat.\n\nLet me know if you like it!", "A cat."),
            ("# Video\nA cat\n- walks\n2. sits", "Video A cat walks sits"),
            ("<think>\nA cat? Hm.\n</think>\n\nA cat sits.", "A cat sits."),
            ("```text\nA cat.\n```", "A cat."),
            ("好的，以下是描述：“一只猫\n慢慢走。”", "一只猫慢慢走。"),
            ("بالتأكيد! إليك الوصف: «قطة تمشي.»", "قطة تمشي."),
            ("حسنًا، إليك الوصف: قطة تمشي.", "قطة تمشي."),
            ("*A cat sits.*", "A cat sits."),
            ("\u{7}A\u{1b}[31m cat\tsits.", "A[31m cat sits."),
        ] {
            assert_eq!(cleaned(said), left, "{said:?}");
        }
    }

    #[test]
    fn descriptions_stay_as_they_are() {
        for text in [
            "A sign says \"open\": a cat sits below.",
            "Surely the car drives on. It is 3.5 metres long.",
            "\"Go\" says the cat, and \"stop\"",
            "Certainly a large dog runs. Then it stops: it is tired.",
            "Prompters hold up a sign: go.",
            "حسناء تمشي: ببطء.",
            "3 * 4 cats",
            "一只猫：慢慢走。",
        ] {
            assert_eq!(cleaned(text), text);
        }
        for nothing in ["", " \n ", "<think>\nA cat", "---\n```\n"] {
            assert_eq!(cleaned(nothing), "", "{nothing:?}");
        }
    }

    #[test]
    fn whole_sentences_are_kept() {
        assert_eq!(whole_sentences("A cat of 3.5 kg sits. It pu"), Some("A cat of 3.5 kg sits."));
        assert_eq!(whole_sentences("一只猫。慢慢"), Some("一只猫。"));
        assert_eq!(whole_sentences("هل تمشي؟ قطة"), Some("هل تمشي؟"));
        assert_eq!(whole_sentences("A cat of 3.5 kg"), None);
    }

    #[test]
    fn languages_are_told_by_their_script() {
        for (language, text) in [
            (Language::En, "A cat, à la carte"),
            (Language::Zh, "一只猫在 TV 上走来走去"),
            (Language::Ar, "قطة تمشي في AC"),
        ] {
            for other in Language::ALL {
                assert_eq!(is_in(other, text), other == language, "{text}");
            }
        }
        assert!(!Language::ALL.into_iter().any(|language| is_in(language, "3, 2, 1!")));
    }
}
