//! The total of VBench-I2V (part of VBench++): videos that begin with a given picture.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Dimension, Mode};

/// A score of VBench-I2V.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct I2vMember {
    /// Its name in files.
    pub name: &'static str,
    /// The raw score that counts as 0.
    pub min: f64,
    /// The raw score that counts as 1.
    pub max: f64,
    /// How much it counts within its group.
    pub weight: f64,
    /// Whether it asks how well the picture is kept, and not how good the video is.
    pub given: bool,
}

/// All members: three of the given picture, six of quality. Flicker is measured and does not count.
pub const I2V_MEMBERS: [I2vMember; 9] = [
    I2vMember { name: "camera_motion", min: 0.0, max: 1.0, weight: 0.1, given: true },
    I2vMember { name: "i2v_subject", min: 0.1462, max: 1.0, weight: 1.0, given: true },
    I2vMember { name: "i2v_background", min: 0.2615, max: 1.0, weight: 1.0, given: true },
    I2vMember { name: "subject_consistency", min: 0.1462, max: 1.0, weight: 1.0, given: false },
    I2vMember { name: "background_consistency", min: 0.2615, max: 1.0, weight: 1.0, given: false },
    I2vMember { name: "motion_smoothness", min: 0.7060, max: 0.9975, weight: 1.0, given: false },
    I2vMember { name: "dynamic_degree", min: 0.0, max: 1.0, weight: 0.5, given: false },
    I2vMember { name: "aesthetic_quality", min: 0.0, max: 1.0, weight: 1.0, given: false },
    I2vMember { name: "imaging_quality", min: 0.0, max: 1.0, weight: 1.0, given: false },
];

/// The three numbers of VBench-I2V, in points of 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct I2vTotals {
    /// Mean of the other two.
    pub total: Option<f64>,
    /// How well the given picture is kept.
    pub i2v: Option<f64>,
    /// How good the videos are.
    pub quality: Option<f64>,
    /// What was not measured.
    pub missing: Vec<&'static str>,
    /// Whose rules.
    pub mode: Mode,
}

impl I2vTotals {
    /// [`Self::new`] of dimensions; `None` if none of them compares with what was given.
    pub fn of(raw: &BTreeMap<Dimension, f64>, mode: Mode) -> Option<Self> {
        let given = raw.keys().any(|dimension| Dimension::GIVEN.contains(dimension));
        let by_name = || raw.iter().map(|(dimension, raw)| (dimension.name().to_owned(), *raw)).collect();
        given.then(|| Self::new(&by_name(), mode))
    }

    /// What was not measured of a group (of the given picture or not), or of both, as a text; empty if nothing is missing.
    pub fn missing_of(&self, given: Option<bool>) -> String {
        let members = I2V_MEMBERS.iter().filter(|member| given.is_none_or(|given| member.given == given));
        let names = members.map(|member| member.name).filter(|name| self.missing.contains(name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Totals of raw scores by name; what is missing is treated as [`crate::Totals::new`] does.
    pub fn new(raw: &BTreeMap<String, f64>, mode: Mode) -> Self {
        let group = |given| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for member in I2V_MEMBERS.iter().filter(|member| member.given == given) {
                let score = raw.get(member.name).copied().or((mode == Mode::Compat).then_some(0.0))?;
                sum += member.weight * member.normalise(score);
                weights += member.weight;
            }
            Some(100.0 * sum / weights)
        };
        let (i2v, quality) = (group(true), group(false));
        Self {
            total: i2v.zip(quality).map(|(i2v, quality)| (i2v + quality) / 2.0),
            i2v,
            quality,
            missing: I2V_MEMBERS
                .iter()
                .map(|member| member.name)
                .filter(|&name| !raw.contains_key(name))
                .collect(),
            mode,
        }
    }
}

impl I2vMember {
    /// The raw score on the scale of `min` and `max`, not clipped.
    pub fn normalise(&self, raw: f64) -> f64 {
        (raw - self.min) / (self.max - self.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_members_have_the_bounds_of_the_core() {
        for member in I2V_MEMBERS.iter().filter(|member| !member.given) {
            let dimension: Dimension = member.name.parse().unwrap();
            assert_eq!(
                (member.min, member.max, member.weight),
                (dimension.min(), dimension.max(), dimension.weight())
            );
        }
        let weights = |given| I2V_MEMBERS.iter().filter(|m| m.given == given).map(|m| m.weight).sum::<f64>();
        assert!((weights(true) - 2.1).abs() < 1e-12 && weights(false) == 5.5);
    }

    #[test]
    fn totals_are_means_of_the_two_groups() {
        let mut raw: BTreeMap<String, f64> = I2V_MEMBERS.iter().map(|m| (m.name.to_owned(), m.max)).collect();
        raw.insert("camera_motion".to_owned(), 0.0);
        let totals = I2vTotals::new(&raw, Mode::Fixed);
        assert!((totals.i2v.unwrap() - 100.0 * 2.0 / 2.1).abs() < 1e-9);
        assert!((totals.quality.unwrap() - 100.0).abs() < 1e-9);
        assert!((totals.total.unwrap() - (100.0 + 100.0 * 2.0 / 2.1) / 2.0).abs() < 1e-9);
        raw.remove("i2v_subject");
        let totals = I2vTotals::new(&raw, Mode::Fixed);
        assert_eq!((totals.total, totals.i2v, &totals.missing[..]), (None, None, &["i2v_subject"][..]));
        assert_eq!(
            [Some(true), Some(false), None].map(|given| totals.missing_of(given)),
            ["i2v_subject", "", "i2v_subject"]
        );
        assert_eq!(I2vTotals::of(&[(Dimension::Scene, 0.5)].into(), Mode::Fixed), None);
        let some = [(Dimension::I2vSubject, 0.5)].into();
        assert_eq!(I2vTotals::of(&some, Mode::Fixed).unwrap().missing.len(), I2V_MEMBERS.len() - 1);
        let totals = I2vTotals::new(&raw, Mode::Compat);
        let zero = (0.0 - 0.1462) / (1.0 - 0.1462);
        assert!((totals.i2v.unwrap() - 100.0 * (1.0 + zero) / 2.1).abs() < 1e-9);
    }
}
