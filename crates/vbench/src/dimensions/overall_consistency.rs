//! How near is a video to its prompt? The cosine of ViCLIP's features of the two.

use super::vectors::cosine;

/// Of a video's feature and its prompt's, `[768]` each.
pub(super) fn score(video: &[f32], prompt: &[f32]) -> f64 {
    cosine(video, prompt, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_does_not_count() {
        assert_eq!(score(&[3.0, 0.0], &[0.5, 0.0]), 1.0);
        assert_eq!(score(&[3.0, 0.0], &[0.0, 2.0]), 0.0);
        // Below zero counts below zero.
        assert_eq!(score(&[3.0, 0.0], &[-2.0, 0.0]), -1.0);
    }
}
