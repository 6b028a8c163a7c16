//! How alike neighbouring frames are, and each to the first: what `subject_consistency` and `background_consistency` are on their
//! features.

/// The walk along the features of a clip.
#[derive(Debug, Default)]
pub(crate) struct Consistency {
    first: Vec<f32>,
    former: Vec<f32>,
    sum: f64,
    pairs: usize,
}

impl Consistency {
    /// The next frame's feature `[D]`, of any length but 0.
    pub fn push(&mut self, feature: &[f32]) {
        let norm = dot(feature, feature).sqrt().max(1e-12);
        let feature: Vec<f32> = feature.iter().map(|value| (f64::from(*value) / norm) as f32).collect();
        if self.first.is_empty() {
            self.first.clone_from(&feature);
        } else {
            let to_former = cosine(&self.former, &feature).max(0.0);
            let to_first = cosine(&self.first, &feature).max(0.0);
            self.sum += (to_former + to_first) / 2.0;
            self.pairs += 1;
        }
        self.former = feature;
    }

    /// Sum over the pairs of neighbours, and how many these are.
    pub fn sum(&self) -> (f64, usize) {
        (self.sum, self.pairs)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// NaN where a value is.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_half_of_the_former_and_half_of_the_first() {
        let mut walk = Consistency::default();
        for feature in [[2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-1.0, 0.0]] {
            walk.push(&feature);
        }
        // Second: both at right angles. Third: √½ to both. Fourth: both below zero.
        let (sum, pairs) = walk.sum();
        assert!((sum - 0.5f64.sqrt()).abs() < 1e-7, "{sum}");
        assert_eq!(pairs, 3);
    }
}
