//! From sixteen raw scores to three numbers in points of 100.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Dimension, Group};

/// Whose rules hold where the reference does what nobody would ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The reference's: numbers that compare with published ones to the last digit.
    Compat,
    /// Ours: each quirk as `docs/vbench.md` says.
    #[default]
    Fixed,
}

impl Mode {
    /// `compat` or `fixed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compat => "compat",
            Self::Fixed => "fixed",
        }
    }
}

/// Quality, semantics and their total, in points of 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// `(4·quality + semantic) / 5`; `None` if a member is missing and that does not count as zero.
    pub total: Option<f64>,
    /// Weighted mean of the first seven dimensions.
    pub quality: Option<f64>,
    /// Mean of the other nine.
    pub semantic: Option<f64>,
    /// What was not measured.
    pub missing: Vec<Dimension>,
    /// Whose rules.
    pub mode: Mode,
}

impl Totals {
    /// Totals of raw scores. A missing one counts as raw 0, before normalising and so below zero, in [`Mode::Compat`]; in
    /// [`Mode::Fixed`] sums that lack a member are not given.
    pub fn new(raw: &BTreeMap<Dimension, f64>, mode: Mode) -> Self {
        let group = |group| {
            let members = Dimension::ALL.into_iter().filter(|dimension| dimension.group() == group);
            let (mut sum, mut weights) = (0.0, 0.0);
            for dimension in members {
                let score = raw.get(&dimension).copied().or((mode == Mode::Compat).then_some(0.0))?;
                sum += dimension.weight() * dimension.normalise(score);
                weights += dimension.weight();
            }
            Some(100.0 * sum / weights)
        };
        let (quality, semantic) = (group(Group::Quality), group(Group::Semantic));
        Self {
            total: quality.zip(semantic).map(|(quality, semantic)| (4.0 * quality + semantic) / 5.0),
            quality,
            semantic,
            missing: Dimension::ALL.into_iter().filter(|dimension| !raw.contains_key(dimension)).collect(),
            mode,
        }
    }

    /// Whether something is missing: such a total compares with none of a whole suite.
    pub fn is_partial(&self) -> bool {
        !self.missing.is_empty()
    }

    /// What is missing of a group, or of all, as a text; empty if nothing is.
    pub fn missing_of(&self, group: Option<Group>) -> String {
        let missing =
            self.missing.iter().filter(|dimension| group.is_none_or(|group| dimension.group() == group));
        missing.map(|dimension| dimension.name()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::published;

    /// Exact arithmetic on what is printed with two decimals.
    const RECOMPUTED_TOLERANCE: f64 = 1e-3;
    /// Sixteen rounded scores move a total by up to 0.007.
    const PUBLISHED_TOLERANCE: f64 = 0.01;

    #[test]
    fn published_rows_are_recomputed() {
        let mut rows = 0;
        for row in published() {
            let Some(recomputed) = row.recomputed else { continue };
            let totals = Totals::new(&row.raw(), Mode::Fixed);
            let found = [totals.total, totals.quality, totals.semantic].map(Option::unwrap);
            let printed = [row.total, row.quality, row.semantic].map(Option::unwrap);
            for i in 0..3 {
                assert!((found[i] - recomputed[i]).abs() < RECOMPUTED_TOLERANCE, "{} {found:?}", row.name);
                assert!((found[i] - printed[i]).abs() < PUBLISHED_TOLERANCE, "{} {found:?}", row.name);
            }
            assert_eq!(totals, Totals { mode: Mode::Fixed, ..Totals::new(&row.raw(), Mode::Compat) });
            rows += 1;
        }
        assert_eq!(rows, 14);
    }

    #[test]
    fn what_is_missing_counts_below_zero_or_makes_no_total() {
        let mut raw: BTreeMap<_, _> = Dimension::ALL.iter().map(|&d| (d, d.max())).collect();
        let whole = Totals::new(&raw, Mode::Compat);
        assert!(
            [whole.total, whole.quality, whole.semantic]
                .iter()
                .all(|points| (points.unwrap() - 100.0).abs() < 1e-9)
        );
        raw.remove(&Dimension::MotionSmoothness);
        let compat = Totals::new(&raw, Mode::Compat);
        let zero = (0.0 - 0.7060) / (0.9975 - 0.7060);
        let expected = 100.0 * (5.5 + zero) / 6.5;
        assert!((compat.quality.unwrap() - expected).abs() < 1e-9);
        assert!((compat.total.unwrap() - (4.0 * expected + 100.0) / 5.0).abs() < 1e-9);
        assert!(compat.is_partial());
        assert_eq!(compat.missing, [Dimension::MotionSmoothness]);
        let fixed = Totals::new(&raw, Mode::Fixed);
        assert_eq!((fixed.total, fixed.quality), (None, None));
        assert!((fixed.semantic.unwrap() - 100.0).abs() < 1e-9);
        assert_eq!(fixed.missing_of(Some(Group::Quality)), "motion_smoothness");
        assert_eq!(fixed.missing_of(Some(Group::Semantic)), "");
    }

    #[test]
    fn scores_beyond_the_bounds_are_not_clipped() {
        let raw: BTreeMap<_, _> = Dimension::ALL.iter().map(|&d| (d, 1.0)).collect();
        let totals = Totals::new(&raw, Mode::Fixed);
        assert!(totals.quality.unwrap() > 100.0 && totals.semantic.unwrap() > 100.0);
    }
}
