//! Character references of HTML, as Python's `html.unescape` and ftfy read them.
//!
//! All numbers; of names those that may stand without a semicolon (all of Latin-1 and of markup), and punctuation. Of the two thousand
//! others in HTML 5 (`&checkmark;`) none is read.

/// U+00A0..=U+00FF in order.
const LATIN: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr \
    deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest \
    Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml \
    ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig \
    agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml \
    eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";
const MARKUP: [(&str, char); 10] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("AMP", '&'),
    ("LT", '<'),
    ("GT", '>'),
    ("QUOT", '"'),
    ("COPY", '©'),
    ("REG", '®'),
];
/// Those that end in a semicolon.
const PUNCTUATION: [(&str, char); 22] = [
    ("apos", '\''),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("lsaquo", '‹'),
    ("rsaquo", '›'),
    ("bull", '•'),
    ("prime", '′'),
    ("Prime", '″'),
    ("trade", '™'),
    ("euro", '€'),
    ("minus", '−'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("OElig", 'Œ'),
];

/// What Windows-1252 has at 0x80..=0x9F; five places are control characters there, too.
pub(super) const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A name that may stand without a semicolon.
fn short(name: &str) -> Option<char> {
    let latin = || {
        let place = LATIN.split_ascii_whitespace().position(|known| known == name)?;
        char::from_u32(0xa0 + place as u32)
    };
    MARKUP.iter().find(|(known, _)| *known == name).map(|(_, c)| *c).or_else(latin)
}

fn named(name: &str) -> Option<char> {
    short(name).or_else(|| PUNCTUATION.iter().find(|(known, _)| *known == name).map(|(_, c)| *c))
}

/// The text of a number: nothing where HTML allows no such character.
fn numbered(digits: &str, radix: u32) -> Option<char> {
    let number = digits.chars().fold(0u32, |sum, digit| {
        sum.saturating_mul(radix).saturating_add(digit.to_digit(radix).unwrap_or(0))
    });
    match number {
        0 => Some('\u{fffd}'),
        0x80..=0x9f => Some(WINDOWS[number as usize - 0x80]),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if number <= 0x10_ffff && number & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(number).unwrap_or('\u{fffd}')),
    }
}

/// A number after `#`: its text, and how long it is, with its semicolon.
fn number(after: &str) -> Option<(Option<char>, usize)> {
    let (radix, start) = if after.starts_with(['x', 'X']) { (16, 1) } else { (10, 0) };
    let digits = after[start..].len() - after[start..].trim_start_matches(|c: char| c.is_digit(radix)).len();
    if digits == 0 {
        return None;
    }
    let end = start + digits;
    Some((numbered(&after[start..end], radix), end + usize::from(after[end..].starts_with(';'))))
}

/// Replaces what `read` finds after each `&`: the text for it, and how many bytes that was.
fn replace(text: &str, read: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('&') {
        out.push_str(&rest[..place]);
        let after = &rest[place + 1..];
        match read(after) {
            Some((found, length)) => {
                out.push_str(&found);
                rest = &after[length..];
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out + rest
}

/// Python's `html.unescape`.
pub(super) fn unescape(text: &str) -> String {
    replace(text, |after| {
        if let Some(after) = after.strip_prefix('#') {
            let (found, length) = number(after)?;
            return Some((found.map(String::from).unwrap_or_default(), 1 + length));
        }
        const NAME_MAX: usize = 32;
        let ends = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
        let length = after
            .char_indices()
            .enumerate()
            .find(|(i, (_, c))| *i == NAME_MAX || ends(*c))
            .map_or(after.len(), |(_, (place, _))| place);
        let name = &after[..length];
        if after[length..].starts_with(';')
            && let Some(found) = named(name)
        {
            return Some((found.into(), length + 1));
        }
        // The longest beginning of at least two letters that is a name.
        let found = (2..=length).rev().find_map(|n| Some((short(name.get(..n)?)?, n)));
        found.map(|(found, n)| (found.into(), n))
    })
}

/// ftfy's: whole references with a semicolon alone, and names in capitals.
pub(super) fn unescape_whole(text: &str) -> String {
    const NAME_MAX: usize = 24;
    replace(text, |after| {
        let inner = after.strip_prefix('#').unwrap_or(after);
        let length = inner.find(|c: char| !c.is_ascii_alphanumeric())?;
        if length == 0 || length > NAME_MAX || !inner[length..].starts_with(';') {
            return None;
        }
        let name = &inner[..length];
        if inner.len() < after.len() {
            let (found, read) = number(inner)?;
            return (read == length + 1).then(|| (found.map(String::from).unwrap_or_default(), read + 1));
        }
        let capitals = || {
            let small = name.to_ascii_lowercase();
            let known = (name == name.to_ascii_uppercase()).then(|| named(&small)).flatten();
            known.map(|c| c.to_uppercase().collect())
        };
        named(name).map(String::from).or_else(capitals).map(|found| (found, length + 1))
    })
}
