use serde::{Deserialize, Serialize};

/// A caption's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
    /// Arabic.
    Ar,
}

impl Language {
    /// All three.
    pub const ALL: [Self; 3] = [Self::En, Self::Zh, Self::Ar];

    /// ISO 639-1 code, as in metadata and in the held-out split.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
            Self::Ar => "ar",
        }
    }
}
