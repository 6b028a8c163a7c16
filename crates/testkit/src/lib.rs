//! How do tests compare numbers? By name, reporting the first activation that diverges.

/// Two arrays of one name, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What was compared.
    pub name: String,
    /// Largest absolute difference.
    pub largest: f32,
    /// Where it is.
    pub index: usize,
    /// The values there: found, expected.
    pub values: (f32, f32),
}

/// The largest absolute difference of two arrays.
///
/// # Errors
/// If lengths differ or a value is not finite, in a sentence.
pub fn difference(name: &str, found: &[f32], expected: &[f32]) -> Result<Difference, String> {
    if found.len() != expected.len() {
        return Err(format!("{name}: {} values, expected {}", found.len(), expected.len()));
    }
    let mut worst = Difference { name: name.to_owned(), largest: 0.0, index: 0, values: (0.0, 0.0) };
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        if !f.is_finite() {
            return Err(format!("{name}[{index}] is `{f}`, expected {e}"));
        }
        if (f - e).abs() > worst.largest {
            worst = Difference { largest: (f - e).abs(), index, values: (*f, *e), ..worst };
        }
    }
    Ok(worst)
}

/// Walks activations in the order of computation and stops at the first that differs by more than `tolerance`.
///
/// # Errors
/// The name, place and values of the first divergence.
pub fn first_divergence<'a>(
    activations: impl IntoIterator<Item = (&'a str, &'a [f32], &'a [f32])>,
    tolerance: f32,
) -> Result<(), String> {
    for (name, found, expected) in activations {
        let worst = difference(name, found, expected)?;
        if worst.largest > tolerance {
            let (f, e) = worst.values;
            return Err(format!(
                "first divergence at `{name}`[{}]: {f}, expected {e} (difference {}, tolerance {tolerance})",
                worst.index, worst.largest
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_divergence_is_named() {
        let (a, b, c) = ([1.0, 2.0], [1.0, 2.5], [9.0, 9.0]);
        let walk = [("same", &a[..], &a[..]), ("block", &a[..], &b[..]), ("later", &a[..], &c[..])];
        let error = first_divergence(walk, 1e-3).unwrap_err();
        assert!(error.contains("`block`[1]"), "{error}");
        assert!(first_divergence([("same", &a[..], &a[..])], 0.0).is_ok());
        assert!(difference("nan", &[f32::NAN], &[0.0]).is_err());
        assert!(difference("short", &[0.0], &[]).is_err());
    }
}
