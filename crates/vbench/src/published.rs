//! Rows that others have published, to stand beside.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::{Dimension, VbenchError};

/// One model's scores as printed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What it is asked for by: `sora`.
    pub name: String,
    /// What it is called: `Sora (480p 5 s, 2025-01)`.
    pub title: String,
    /// The total in points, as printed.
    pub total: Option<f64>,
    /// Quality in points, as printed.
    pub quality: Option<f64>,
    /// Semantics in points, as printed.
    pub semantic: Option<f64>,
    /// Total, quality and semantics of the printed dimensions, where all are printed.
    pub recomputed: Option<[f64; 3]>,
    /// Raw scores in percent, those that are printed.
    pub dimensions: BTreeMap<Dimension, f64>,
}

impl Published {
    /// The raw scores as shares of 1.
    pub fn raw(&self) -> BTreeMap<Dimension, f64> {
        self.dimensions.iter().map(|(&dimension, percent)| (dimension, percent / 100.0)).collect()
    }
}

#[derive(Deserialize)]
struct File {
    source: String,
    rows: Vec<Published>,
}

static FILE: LazyLock<File> =
    LazyLock::new(|| serde_json::from_str(include_str!("published.json")).expect("our own file is whole"));

/// All rows: first those with all dimensions, best first, then the others.
pub fn published() -> &'static [Published] {
    &FILE.rows
}

/// Where the rows are from.
pub fn published_source() -> &'static str {
    &FILE.source
}

/// The row of this name, or the only one whose name begins so.
///
/// # Errors
/// If there is none, or several.
pub fn published_row(name: &str) -> Result<&'static Published, VbenchError> {
    let asked = name.to_lowercase();
    let begins: Vec<&Published> = published().iter().filter(|row| row.name.starts_with(&asked)).collect();
    let exact = begins.iter().find(|row| row.name == asked);
    match (exact, begins.as_slice()) {
        (Some(row), _) => Ok(row),
        (None, [row]) => Ok(row),
        (None, several) => {
            let known: Vec<&str> = match several {
                [] => published().iter().map(|row| row.name.as_str()).collect(),
                several => several.iter().map(|row| row.name.as_str()).collect(),
            };
            Err(VbenchError::UnknownPublished { found: name.to_owned(), known: known.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_names_and_beginnings() {
        assert_eq!(published_row("sora").unwrap().total, Some(84.28));
        assert_eq!(published_row("Wan").unwrap().name, "wan2.1-14b");
        assert_eq!(published_row("kling").unwrap().total, Some(81.85));
        let several = published_row("cogvideox").unwrap_err().to_string();
        assert!(several.contains("known are cogvideox-1.5-5b, cogvideox-5b"), "{several}");
        assert!(published_row("mini").unwrap_err().to_string().contains("sora, luma"));
        assert!(published_source().contains("not read from the live leaderboard"));
    }

    #[test]
    fn names_differ_and_scores_are_percents() {
        let rows = published();
        for (index, row) in rows.iter().enumerate() {
            assert!(rows[..index].iter().all(|other| other.name != row.name), "{}", row.name);
            assert_eq!(row.recomputed.is_some(), row.dimensions.len() == 16, "{}", row.name);
            let points = [row.total, row.quality, row.semantic].into_iter().flatten();
            assert!(
                points.chain(row.dimensions.values().copied()).all(|value| (15.0..=100.0).contains(&value))
            );
        }
        assert!((rows[0].raw()[&Dimension::MotionSmoothness] - 0.9874).abs() < 1e-12);
    }
}
