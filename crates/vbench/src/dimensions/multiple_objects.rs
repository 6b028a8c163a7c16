//! Are both objects there?

use vidit_backbones::grit::Detection;

use super::object_class;

/// Whether the frame has detections of both names. A video's verdicts make [`super::Successes`].
pub fn frame(detections: &[Detection], objects: [&str; 2]) -> bool {
    objects.iter().all(|object| object_class::frame(detections, object))
}

#[cfg(test)]
mod tests {
    use super::super::object_class::tests::named;
    use super::*;

    #[test]
    fn one_of_the_two_is_not_enough() {
        let both = [named("bird"), named("cat"), named("cat")];
        assert!(frame(&both, ["cat", "bird"]));
        assert!(!frame(&both[1..], ["cat", "bird"]) && !frame(&both, ["cat", "dog"]));
    }
}
