//! What the tests of several files read.

use std::path::PathBuf;

use serde_json::Value;

/// A file beside the exporters.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name)
}

/// What the reference's readers make of the clips.
pub(crate) fn clips() -> Value {
    serde_json::from_str(include_str!("golden/clips.json")).unwrap()
}

/// Height and width of a clip.
pub(crate) fn size(clip: &Value) -> (u64, u64) {
    (clip["height"].as_u64().unwrap(), clip["width"].as_u64().unwrap())
}
