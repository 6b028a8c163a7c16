//! Is the object there? GRiT must find something of its name.

use vidit_backbones::grit::Detection;

/// The object's name of a detection, where names were asked for.
pub(super) fn name(detection: &Detection) -> Option<&str> {
    detection.name.as_ref().map(|name| name.words.as_str())
}

/// Whether one of the frame's detections is called `object`. A video's verdicts make [`super::Successes`].
pub fn frame(detections: &[Detection], object: &str) -> bool {
    detections.iter().any(|detection| name(detection) == Some(object))
}

#[cfg(test)]
pub(super) mod tests {
    use vidit_backbones::grit::Description;

    use super::*;

    pub fn description(words: &str) -> Option<Description> {
        Some(Description { words: words.to_owned(), log_probability: -0.1 })
    }

    pub fn named(name: &str) -> Detection {
        Detection { corners: [0.0, 0.0, 10.0, 10.0], score: 0.9, name: description(name), caption: None }
    }

    #[test]
    fn names_must_be_equal() {
        let frame_of = [named("person"), named("hot dog")];
        assert!(frame(&frame_of, "person") && frame(&frame_of, "hot dog"));
        assert!(!frame(&frame_of, "dog") && !frame(&[], "person"));
    }
}
