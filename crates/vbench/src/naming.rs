//! What a prompt's videos are called: `{prompt}-{index}.mp4`.

use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use crate::VbenchError;

/// File systems take names of at most so many bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// The name of a prompt's video without its ending: the prompt, a hyphen, the sample from 0. `/` and NUL, which no file name
/// can hold, become `_`.
pub fn video_stem(prompt: &str, index: usize) -> String {
    format!("{}-{index}", prompt.replace(['/', '\0'], "_"))
}

/// Prompt and sample of a video's name without its ending; names that end in no `-<digits>` have no sample.
pub fn split_stem(stem: &str) -> (&str, Option<usize>) {
    let parts = stem
        .rsplit_once('-')
        .filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    match parts {
        Some((prompt, digits)) => (prompt, digits.parse().ok()),
        None => (stem, None),
    }
}

/// The stem of a path of any system, whatever its directory separator.
pub fn stem_of(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A name in composed form (NFC): some file systems store `ç` as `c` and a cedilla.
pub(crate) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// The stem as systems that refuse `\ : * ? " < > |` would have it, each as `_`.
pub(crate) fn portable(stem: &str) -> String {
    stem.chars()
        .map(|c| {
            if matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect()
}

/// A path or name for the eye: control characters, and bytes that are no UTF-8, as escapes.
pub(crate) fn shown(path: &Path) -> String {
    match path.to_str() {
        Some(text) => printable(text),
        None => {
            let quoted = format!("{path:?}");
            quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&quoted).to_owned()
        }
    }
}

/// That a path can be named in results, which are JSON.
///
/// # Errors
/// If it is no UTF-8.
pub(crate) fn check_text(path: &Path) -> Result<(), VbenchError> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(VbenchError::NotText { path: path.to_owned() }),
    }
}

/// Writes a path as [`shown`] shows it where it is no UTF-8, and otherwise as it is.
pub(crate) fn serialize_path<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => serializer.serialize_str(text),
        None => serializer.serialize_str(&shown(path)),
    }
}

pub(crate) fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_come_back_from_names() {
        for prompt in ["a cat", "Macro slo-mo. Slow motion", "a-1", "", "Fireworks."] {
            assert_eq!(split_stem(&video_stem(prompt, 12)), (prompt, Some(12)));
        }
        for (stem, expected) in [
            ("a cat", ("a cat", None)),
            ("a-b", ("a-b", None)),
            ("a-", ("a-", None)),
            ("a-0x", ("a-0x", None)),
        ] {
            assert_eq!(split_stem(stem), expected);
        }
        assert_eq!(split_stem("a-99999999999999999999999").0, "a");
        assert_eq!(stem_of("/x/y.z/Fireworks.-0.mp4"), "Fireworks.-0");
        assert_eq!(stem_of("C:\\v\\a cat-0.mp4"), "a cat-0");
    }

    #[test]
    fn names_are_ones_that_file_systems_take() {
        assert_eq!(video_stem("either/or\0", 0), "either_or_-0");
        assert_eq!(portable("what is \"this\"?-0"), "what is _this__-0");
        assert_eq!(composed("fac\u{327}ades"), "fa\u{e7}ades");
        assert_eq!(shown(Path::new("a\u{1b}[2J\n")), "a\\u{1b}[2J\\n");
    }

    #[test]
    #[cfg(unix)]
    fn names_that_are_no_text_are_refused_by_their_escapes() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"v/\xc3\xa7\xff-0.mp4"));
        assert_eq!(shown(path), "v/\u{e7}\\xFF-0.mp4");
        let error = check_text(path).unwrap_err().to_string();
        assert!(error.contains("`v/\u{e7}\\xFF-0.mp4`") && error.contains("\nhint: "), "{error}");
        check_text(Path::new("\u{e7}")).unwrap();
    }
}
