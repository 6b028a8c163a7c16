//! Does the camera, or time, go as the prompt says? The same cosine as that of `overall_consistency`, on prompts that speak of camera or
//! speed.

use super::overall_consistency;

/// Of a video's feature and its prompt's, `[768]` each.
pub(super) fn score(video: &[f32], prompt: &[f32]) -> f64 {
    overall_consistency::score(video, prompt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_cosine_that_overall_consistency_is() {
        let (video, prompt) = ([1.0, 2.0, -0.5], [0.25, -1.0, 3.0]);
        assert_eq!(score(&video, &prompt), overall_consistency::score(&video, &prompt));
    }
}
