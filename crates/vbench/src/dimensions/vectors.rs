//! Arithmetic of features, in double precision.

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

pub(crate) fn length(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

/// The product of the lengths counts as `least` at least. NaN where a value is.
pub(crate) fn cosine(a: &[f32], b: &[f32], least: f64) -> f64 {
    dot(a, b) / (length(a) * length(b)).max(least)
}

/// `a` divided by its length, where that is not below `least`, and by this where it is.
pub(crate) fn unit(a: &[f32], least: f64) -> Vec<f32> {
    let length = length(a).max(least);
    a.iter().map(|value| (f64::from(*value) / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_length_one_and_nothing_stays_nothing() {
        assert_eq!(unit(&[3.0, 4.0], 1e-12), [0.6, 0.8]);
        assert_eq!(unit(&[0.0, 0.0], 1e-12), [0.0, 0.0]);
        assert!(unit(&[f32::NAN, 1.0], 1e-12)[0].is_nan());
        assert_eq!(cosine(&[1.0, 0.0], &[3.0, 4.0], 0.0), 0.6);
        assert_eq!(cosine(&[0.0], &[1.0], 1e-8), 0.0);
        assert!(cosine(&[0.0], &[1.0], 0.0).is_nan() && cosine(&[f32::NAN], &[1.0], 1e-8).is_nan());
    }
}
