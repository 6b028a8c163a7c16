//! What a score depends on beside the videos: enough to measure it again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Network, VbenchError};

/// Where a network's weights are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsOrigin {
    /// The file that VBench uses, by its hash.
    Published,
    /// A file of that name; what was published of its hash is not enough to tell.
    Unverified,
    /// Another file.
    Other,
    /// Drawn at random: scores say nothing of the videos.
    Random,
}

/// A network's weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsUsed {
    /// The network.
    pub network: Network,
    /// The file's name, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where they are from.
    pub origin: WeightsOrigin,
}

/// How scores came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// The program and its version: `vidit 0.1.0`.
    pub program: String,
    /// `compat` or `fixed`.
    pub mode: String,
    /// The reference whose numbers are aimed at: `vbench 0.1.5`.
    pub reference: String,
    /// How many processes of the reference are imitated where that changes a score.
    pub ranks: Option<usize>,
    /// What was measured: `standard`, or the file of a suite.
    pub suite: String,
    /// SHA-256 of the suite's file.
    pub suite_sha256: Option<String>,
    /// Whether it is a standard score: of all of VBench's own suite, by the reference's rules, without a measurement that failed or
    /// weights drawn at random.
    pub complete: bool,
    /// The networks' weights.
    pub weights: Vec<WeightsUsed>,
    /// The decoder, and its version.
    pub decoder: String,
    /// How pixels became colours.
    pub colour_rule: String,
    /// Device and number format that networks ran with.
    pub device: String,
    /// How videos were encoded, where that is known.
    pub encoder: Option<String>,
    /// The prompts that videos were made from, where they are not the suite's.
    pub generation_prompts: Option<String>,
    /// Seeds of the videos, where they are known.
    pub seeds: Option<String>,
    /// SHA-256 of each video by its path.
    pub videos: BTreeMap<String, String>,
    /// SHA-256 of each picture that a video should begin with by its path.
    pub pictures: BTreeMap<String, String>,
    /// All else.
    pub notes: BTreeMap<String, String>,
}

impl Manifest {
    /// A file that a run left, or one of one's own that says some of the same.
    ///
    /// # Errors
    /// If it cannot be read, says nothing, or anything else.
    pub fn read(path: &Path) -> Result<Self, VbenchError> {
        let wrong = |reason: String| VbenchError::Manifest { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let manifest: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        match manifest == Self::default() {
            true => Err(wrong("it says nothing of how scores came about".to_owned())),
            false => Ok(manifest),
        }
    }

    /// Weights that are not those that VBench uses.
    pub fn unpublished_weights(&self) -> impl Iterator<Item = &WeightsUsed> {
        self.weights.iter().filter(|weights| weights.origin != WeightsOrigin::Published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_walk_both_ways() {
        let weights = |origin| WeightsUsed { network: Network::Dino, file: None, sha256: None, origin };
        let manifest = Manifest {
            mode: "compat".to_owned(),
            ranks: Some(1),
            weights: vec![weights(WeightsOrigin::Random), weights(WeightsOrigin::Published)],
            pictures: [("p/a.png".to_owned(), "ef".repeat(32))].into(),
            ..Manifest::default()
        };
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        assert_eq!(manifest.unpublished_weights().count(), 1);
        assert_eq!(serde_json::from_str::<Manifest>("{}").unwrap(), Manifest::default());
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (text, reason) in [
            ("{}", "says nothing"),
            ("[]", "says nothing"),
            ("3", "expected struct Manifest"),
            ("{", "EOF"),
            (r#"{"scene": [0.5, []]}"#, "unknown field `scene`"),
            (r#"{"weights": 3}"#, "expected a sequence"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Manifest::read(&path).unwrap_err().to_string();
            let begin = format!("cannot read the manifest `{}`: ", path.display());
            assert!(error.starts_with(&begin) && error.contains(reason), "{text}: {error}");
            assert!(error.contains("\nhint: "), "{error}");
        }
        std::fs::write(&path, r#"{"mode": "compat"}"#).unwrap();
        assert_eq!(Manifest::read(&path).unwrap().mode, "compat");
    }
}
