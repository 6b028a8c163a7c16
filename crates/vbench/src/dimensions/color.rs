//! Has the object its colour? What GRiT says about it must name it.

use vidit_backbones::grit::Detection;

use super::object_class::name;
use crate::Mode;

/// Words that make a phrase one about colours.
const COLORS: [&str; 12] = [
    "white", "red", "pink", "blue", "silver", "purple", "orange", "green", "gray", "yellow", "black", "grey",
];

/// What the prompt is about: what is left of it without articles and without the colour, wherever these letters stand, as in the
/// reference, to which "a red panda bear" asks for a "pandbear"; in [`Mode::Fixed`] without these words.
pub fn object_of(prompt: &str, color: &str, mode: Mode) -> String {
    match mode {
        Mode::Compat => prompt.replace("a ", "").replace("an ", "").replace(color, "").trim().to_owned(),
        Mode::Fixed => {
            let left = prompt.split_whitespace().filter(|word| !["a", "an", color].contains(word));
            left.collect::<Vec<_>>().join(" ")
        }
    }
}

/// What a frame shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The object, with a phrase that names a colour.
    pub object: bool,
    /// The object, with a phrase that names the colour asked for.
    pub color: bool,
}

/// Looks for `object` among detections, in the order in which the network gives them, with names and captions. Colours are found
/// anywhere in a phrase, as in the reference: "colored" is red.
///
/// In [`Mode::Compat`] every detection has the name of the first one.
pub fn frame(detections: &[Detection], object: &str, color: &str, mode: Mode) -> Seen {
    let mut seen = Seen::default();
    for detection in detections {
        let named = match mode {
            Mode::Compat => name(&detections[0]),
            Mode::Fixed => name(detection),
        };
        let Some(caption) = detection.caption.as_ref().filter(|_| named == Some(object)) else { continue };
        seen.object |= COLORS.iter().any(|color| caption.words.contains(color));
        seen.color |= caption.words.contains(color);
    }
    seen
}

/// Frames of a video with the object, and with its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Video {
    /// Frames with the object.
    pub object: usize,
    /// Frames with the object in its colour.
    pub color: usize,
}

impl Video {
    /// Of what each frame shows.
    pub fn of(frames: impl IntoIterator<Item = Seen>) -> Self {
        frames.into_iter().fold(Self::default(), |sum, seen| Self {
            object: sum.object + usize::from(seen.object),
            color: sum.color + usize::from(seen.color),
        })
    }

    /// A video's score, 0–1; `None` if no frame shows the object.
    pub fn rate(&self) -> Option<f64> {
        (self.object > 0).then(|| self.color as f64 / self.object as f64)
    }
}

/// The dimension's score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overall {
    /// Mean of the videos that have a score, 0–1; `None` if none has (the reference divides by zero).
    pub score: Option<f64>,
    /// How many have.
    pub counted: usize,
    /// Of how many: the reference does not say that it left some out.
    pub videos: usize,
}

/// Of all videos.
pub fn overall(videos: &[Video]) -> Overall {
    let rates: Vec<f64> = videos.iter().filter_map(Video::rate).collect();
    let score = (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64);
    Overall { score, counted: rates.len(), videos: videos.len() }
}

#[cfg(test)]
mod tests {
    use super::super::object_class::tests::{description, named};
    use super::*;
    use crate::{Auxiliary, Dimension, Suite};

    fn told(name: &str, caption: &str) -> Detection {
        Detection { caption: description(caption), ..named(name) }
    }

    #[test]
    fn prompts_are_stripped_to_the_object() {
        for mode in [Mode::Compat, Mode::Fixed] {
            assert_eq!(object_of("a red bicycle", "red", mode), "bicycle");
            assert_eq!(object_of("an orange cat", "orange", mode), "cat");
            assert_eq!(object_of("a white potted plant", "white", mode), "potted plant");
        }
        let of = |prompt, mode| object_of(prompt, "red", mode);
        assert_eq!(of("a red panda bear", Mode::Compat), "pandbear");
        assert_eq!(of("a red panda bear", Mode::Fixed), "panda bear");
        // VBench's own objects are none that the two tell apart.
        for entry in Suite::standard().entries_of(Dimension::Color) {
            let Some(Auxiliary::Color(color)) = entry.auxiliary.get(&Dimension::Color) else {
                panic!("{entry:?}")
            };
            let object = |mode| object_of(&entry.prompt, color, mode);
            assert_eq!(object(Mode::Compat), object(Mode::Fixed));
        }
    }

    #[test]
    fn a_phrase_must_be_about_the_object() {
        let (car, dog) = (told("car", "a red car"), told("dog", "a black dog on the grass"));
        let both = Seen { object: true, color: true };
        for mode in [Mode::Compat, Mode::Fixed] {
            assert_eq!(frame(std::slice::from_ref(&car), "car", "red", mode), both);
            assert_eq!(frame(std::slice::from_ref(&car), "car", "blue", mode), Seen { color: false, ..both });
            assert_eq!(frame(&[told("car", "a fast car")], "car", "red", mode), Seen::default());
            assert_eq!(frame(&[], "car", "red", mode), Seen::default());
        }
        // The first detection's name is everybody's in the reference: a black dog makes the car black, and a car behind it is none.
        let frames = [car, dog];
        assert_eq!(frame(&frames, "car", "black", Mode::Compat), both);
        assert_eq!(frame(&frames, "car", "black", Mode::Fixed), Seen { color: false, ..both });
        assert_eq!(frame(&frames, "dog", "black", Mode::Compat), Seen::default());
        assert_eq!(frame(&frames, "dog", "black", Mode::Fixed), both);
    }

    #[test]
    fn videos_without_the_object_are_left_out_and_counted() {
        let seen = |object, color| Seen { object, color };
        let half = Video::of([seen(true, true), seen(true, false), seen(false, false)]);
        let (none, whole) = (Video::of([seen(false, false)]), Video::of([seen(true, true)]));
        assert_eq!((half.rate(), none.rate()), (Some(0.5), None));
        assert_eq!(overall(&[half, none, whole]), Overall { score: Some(0.75), counted: 2, videos: 3 });
        assert_eq!(overall(&[none]), Overall { score: None, counted: 0, videos: 1 });
    }
}
