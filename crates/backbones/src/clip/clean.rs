//! What happens to a text before it is cut into tokens: ftfy's `fix_text`, HTML's references twice, white space, lower case.
//!
//! Of ftfy 6.3 all is here but for the repair of texts that were decoded in a wrong encoding ("schÃ¶n" stays), and of HTML what
//! [`super::entities`] says.

use unicode_normalization::UnicodeNormalization;

use super::entities::{WINDOWS, unescape, unescape_whole};

/// The text that tokens are made of.
pub(super) fn clean(text: &str) -> String {
    let text = unescape(&unescape(&fix(text)));
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// ftfy's `fix_text`: line by line, each until nothing changes. References are left alone from the first line with a `<` on.
fn fix(text: &str) -> String {
    let mut markup = false;
    text.split_inclusive('\n')
        .map(|line| {
            markup |= line.contains('<');
            fix_line(line, !markup)
        })
        .collect()
}

fn fix_line(line: &str, references: bool) -> String {
    let mut text = line.to_owned();
    loop {
        let before = text.clone();
        if references {
            text = unescape_whole(&text);
        }
        text = text.chars().map(windows).collect();
        text = spread_ligatures(&text);
        text = text.chars().flat_map(usual_width).collect();
        text = text.chars().map(straight_quote).collect();
        text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
        text = without_terminal_escapes(&text);
        text.retain(|c| !is_control(c));
        text = text.nfc().collect();
        if text == before {
            return text;
        }
    }
}

fn windows(c: char) -> char {
    match c {
        '\u{80}'..='\u{9f}' => WINDOWS[c as usize - 0x80],
        _ => c,
    }
}

fn spread_ligatures(text: &str) -> String {
    const LIGATURES: [(char, &str); 22] = [
        ('Ĳ', "IJ"),
        ('ĳ', "ij"),
        ('ŉ', "ʼn"),
        ('Ǳ', "DZ"),
        ('ǲ', "Dz"),
        ('ǳ', "dz"),
        ('Ǆ', "DŽ"),
        ('ǅ', "Dž"),
        ('ǆ', "dž"),
        ('Ǉ', "LJ"),
        ('ǈ', "Lj"),
        ('ǉ', "lj"),
        ('Ǌ', "NJ"),
        ('ǋ', "Nj"),
        ('ǌ', "nj"),
        ('ﬀ', "ff"),
        ('ﬁ', "fi"),
        ('ﬂ', "fl"),
        ('ﬃ', "ffi"),
        ('ﬄ', "ffl"),
        ('ﬅ', "ſt"),
        ('ﬆ', "st"),
    ];
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match LIGATURES.iter().find(|(ligature, _)| *ligature == c) {
            Some((_, letters)) => out.push_str(letters),
            None => out.push(c),
        }
    }
    out
}

/// Half and full widths of East Asian typography.
fn usual_width(c: char) -> impl Iterator<Item = char> {
    let changed = matches!(c, '\u{ff01}'..='\u{ffef}');
    let c = if c == '\u{3000}' { ' ' } else { c };
    let usual = changed.then(|| std::iter::once(c).nfkc());
    usual.into_iter().flatten().chain((!changed).then_some(c))
}

fn straight_quote(c: char) -> char {
    match c {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        _ => c,
    }
}

/// Without sequences of ESC, `[`, numbers and a letter.
fn without_terminal_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("\u{1b}[") {
        let after = rest[place + 2..].trim_start_matches(|c: char| c.is_numeric() || c == ';');
        if after.starts_with(|c: char| c.is_ascii_alphabetic()) {
            out.push_str(&rest[..place]);
            rest = &after[1..];
        } else {
            out.push_str(&rest[..place + 2]);
            rest = &rest[place + 2..];
        }
    }
    out + rest
}

fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}
