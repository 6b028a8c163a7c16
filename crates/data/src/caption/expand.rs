//! Short prompts to whole ones: what a prompt leaves open of motion and background is said in its own language.

use std::cmp::Reverse;

use super::{Backdrop, Course, Part, arabic, chinese, colour_words, english};
use crate::{Colour, Gender, Language, Object, Pack, Random};

/// A prompt that was expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// The language it was found to be in.
    pub language: Language,
    /// The whole prompt.
    pub text: String,
    /// Id of the object that it names first, if it names a known one.
    pub object: Option<String>,
    /// What was added, in order; nothing where the prompt said it all.
    pub added: Vec<Added>,
}

/// Words that were added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// `article`, `motion`, `direction` or `background`.
    pub what: &'static str,
    /// The words.
    pub words: String,
}

/// What a prompt says of motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing.
    Nothing,
    /// A verb such as *drives*, and no direction.
    Verb,
    /// A motion.
    Motion,
}

/// Says what `prompt` leaves open; `seed` chooses among ways to. A grammar of the words that `mini` knows, no language model: what it does not
/// understand it leaves as it is.
pub fn expand(pack: &Pack, prompt: &str, seed: u64) -> Expansion {
    let mut random = Random::new(seed, 0);
    let language = language_of(prompt);
    let mut text = prompt.trim().trim_end_matches(['.', '。', '!', '！', '،', '，', ',']).trim().to_owned();
    let mut added = Vec::new();
    let object = object_of(pack, language, &text);
    if language == Language::En
        && let Some((object, index)) = object
        && words(&text) == words(&object.en[index].1)
        && !object.en[index].0.is_empty()
    {
        let article = object.en[index].0.clone();
        text = format!("{article} {text}");
        added.push(Added { what: "article", words: article });
    }
    // An object that is not known goes as any thing does.
    let unknown = Object { travel: None, ..pack.objects()[0].clone() };
    let (known, name_index) = object.unwrap_or((&unknown, 0));
    let said = said(language, &text);
    if said != Said::Motion {
        let courses: Vec<Course> = MOTIONS
            .into_iter()
            .filter(|course| said == Said::Nothing || !course.ways_of(language).is_empty())
            .collect();
        let course = *random.choose(&courses);
        let names = known.names(language);
        let part = Part { object: known, name: names[name_index], name_index, adjective: None, course };
        let words = match (said, language) {
            (Said::Verb, _) => (*random.choose(course.ways_of(language))).to_owned(),
            (_, Language::En) => english::goes(&part, &mut random),
            (_, Language::Zh) => chinese::goes(&part, &mut random),
            (_, Language::Ar) => arabic::goes(&part, &mut random),
        };
        let between = if language == Language::Zh { "" } else { " " };
        // In Chinese a direction stands before its verb.
        text = match (said, language) {
            (Said::Verb, Language::Zh) => chinese::with_way(&text, &words),
            _ => format!("{text}{between}{words}"),
        };
        let what = if said == Said::Verb { "direction" } else { "motion" };
        added.push(Added { what, words });
    }
    if !BACKGROUND_WORDS.iter().any(|word| text.to_lowercase().contains(word)) {
        let colours: Vec<Colour> =
            Colour::ALL.into_iter().filter(|colour| known.colour != Some(*colour)).collect();
        let backdrop = Backdrop { colour: *random.choose(&colours), as_gradient: false };
        let words = match language {
            Language::En => english::behind(backdrop, &mut random),
            Language::Zh => chinese::behind(backdrop, &mut random),
            Language::Ar => arabic::behind(backdrop, &mut random),
        };
        text = if language == Language::Zh { format!("{text}，{words}") } else { format!("{text} {words}") };
        added.push(Added { what: "background", words });
    }
    Expansion { language, text, object: object.map(|(object, _)| object.id.clone()), added }
}

/// Whether the grammar knows a word of `prompt`, in one of its languages: an object, what it does, a colour, a background, a small word
/// of its sentences. Where it knows none, [`expand`] takes French for English.
pub fn knows_a_word(pack: &Pack, prompt: &str) -> bool {
    let holds = |language, phrase: &str| says(language, prompt, phrase);
    Language::ALL.into_iter().any(|language| {
        let (small, endings): (&[&str], &[&str]) = match language {
            Language::En => (&["a", "an", "the", "and", "is", "of", "with"], &["", "s", "es"]),
            Language::Zh => (&["一"], &[""]),
            Language::Ar => (&[], &[""]),
        };
        let mut names = pack.objects().iter().flat_map(|object| object.names(language));
        let mut colours = Colour::ALL.into_iter().flat_map(|colour| match language {
            Language::Ar => {
                [Gender::Feminine, Gender::Masculine].map(|gender| arabic::adjective(colour, gender)).to_vec()
            }
            _ => colour_words(colour, language),
        });
        small.iter().chain(&BACKGROUND_WORDS).any(|word| holds(language, word))
            || colours.any(|word| holds(language, word))
            || names.any(|name| endings.iter().any(|ending| holds(language, &format!("{name}{ending}"))))
            || said(language, prompt) != Said::Nothing
    })
}

const BACKGROUND_WORDS: [&str; 6] = ["background", "gradient", "背景", "渐变", "خلفية", "متدرجة"];

/// What an object may do that was not told.
const MOTIONS: [Course; 8] = [
    Course::Left,
    Course::Right,
    Course::Up,
    Course::Down,
    Course::Grow,
    Course::Shrink,
    Course::Clockwise,
    Course::Bounce,
];

impl Course {
    /// All courses: those of each motion.
    fn all() -> impl Iterator<Item = Self> {
        let diagonals = [Self::UpLeft, Self::UpRight, Self::DownLeft, Self::DownRight];
        MOTIONS.into_iter().chain(diagonals).chain([Self::CounterClockwise, Self::Still])
    }

    fn ways_of(self, language: Language) -> &'static [&'static str] {
        match language {
            Language::En => english::ways(self),
            Language::Zh => chinese::ways(self),
            Language::Ar => arabic::ways(self),
        }
    }
}

/// The language of a prompt, by its script.
pub fn language_of(prompt: &str) -> Language {
    let has = |range: std::ops::RangeInclusive<char>| prompt.chars().any(|c| range.contains(&c));
    match (has('\u{0600}'..='\u{06ff}'), has('\u{4e00}'..='\u{9fff}')) {
        (true, _) => Language::Ar,
        (_, true) => Language::Zh,
        _ => Language::En,
    }
}

/// Words in small letters between single spaces, with one at each end.
fn words(text: &str) -> String {
    let spaced: String =
        text.to_lowercase().chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { ' ' }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    format!(" {} ", words.join(" "))
}

/// Whether a text says a phrase.
fn says(language: Language, text: &str, phrase: &str) -> bool {
    place_of(language, text, phrase).is_some()
}

/// Where a text says a phrase: in Chinese anywhere, elsewhere as words of their own.
fn place_of(language: Language, text: &str, phrase: &str) -> Option<usize> {
    match language {
        Language::Zh => text.find(phrase),
        _ => words(text).find(&words(phrase)),
    }
}

/// The object that a text names first, by the longest name that it has there, and which of its names.
fn object_of<'a>(pack: &'a Pack, language: Language, text: &str) -> Option<(&'a Object, usize)> {
    let names = pack.objects().iter().flat_map(|object| {
        object.names(language).into_iter().enumerate().map(move |(index, name)| (object, index, name))
    });
    let held = names.filter_map(|(object, index, name)| {
        let place = place_of(language, text, name)?;
        Some((object, index, (place, Reverse(name.chars().count()))))
    });
    held.min_by_key(|(_, _, order)| *order).map(|(object, index, _)| (object, index))
}

fn said(language: Language, text: &str) -> Said {
    let any = |phrases: Vec<String>| phrases.iter().any(|phrase| says(language, text, phrase));
    let courses = Course::all().flat_map(|course| {
        let own = match language {
            Language::En => english::told(course),
            Language::Zh => chinese::told(course),
            Language::Ar => arabic::told(course),
        };
        own.into_iter().chain(course.ways_of(language).iter().map(|way| (*way).to_owned()))
    });
    if any(courses.collect()) {
        return Said::Motion;
    }
    let verbs = match language {
        Language::En => english::verbs(),
        Language::Zh => chinese::verbs(),
        Language::Ar => arabic::verbs(),
    };
    if any(verbs) { Said::Verb } else { Said::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scene, Split, prompt};
    use std::collections::HashSet;

    #[test]
    fn whole_prompts_stay_as_they_are() {
        let pack = Pack::embedded();
        let mut changed = Vec::new();
        for index in 0..600 {
            let scene = Scene::sample(&pack, 9, index, Split::HeldOut);
            let text = prompt(&pack, &scene, scene.language, index);
            let found = expand(&pack, &text, index);
            assert_eq!(found.language, scene.language, "{text}");
            let object = &pack.objects()[scene.actors[0].object].id;
            assert_eq!(found.object.as_ref(), Some(object), "{text}");
            assert!(knows_a_word(&pack, &text), "{text}");
            if !found.added.is_empty() {
                changed.push((text, found.added));
            }
        }
        assert!(changed.is_empty(), "{} of 600: {:?}", changed.len(), &changed[..changed.len().min(5)]);
    }

    #[test]
    fn what_is_left_open_is_said_in_the_same_language() {
        let pack = Pack::embedded();
        let mut texts = HashSet::new();
        for seed in 0..60 {
            for (short, language, object) in
                [("cat", Language::En, "cat"), ("一只猫", Language::Zh, "cat"), ("قطة", Language::Ar, "cat")]
            {
                let found = expand(&pack, short, seed);
                assert_eq!((found.language, found.object.as_deref()), (language, Some(object)), "{found:?}");
                let what: Vec<&str> = found.added.iter().map(|added| added.what).collect();
                assert!(what.ends_with(&["motion", "background"]), "{found:?}");
                assert!(!found.text.contains(['@', '%', '&', '{', '}']), "{found:?}");
                // Nothing is left to say.
                assert!(expand(&pack, &found.text, seed + 1).added.is_empty(), "{found:?}");
                texts.insert(found.text);
            }
        }
        assert!(texts.len() > 90, "{}", texts.len());
        let found = expand(&pack, "Cat.", 1);
        assert!(found.text.starts_with("a Cat "), "{found:?}");
    }

    #[test]
    fn verbs_get_a_direction_and_strangers_what_fits_all() {
        let pack = Pack::embedded();
        let found = expand(&pack, "a red car drives", 4);
        assert_eq!(found.added[0].what, "direction", "{found:?}");
        assert!(found.text.starts_with("a red car drives "));
        let found = expand(&pack, "a teapot on a blue background", 4);
        assert_eq!((found.object, found.added.len()), (None, 1));
        assert!(found.text.starts_with("a teapot on a blue background "), "{}", found.text);
        assert_eq!(expand(&pack, "a cat", 7), expand(&pack, "a cat", 7));
        // What is named first is what it is about.
        for (text, object) in [("a cat jumps over the moon", "cat"), ("a fire truck and a cat", "fire_truck")]
        {
            let found = expand(&pack, text, 4).object;
            assert_eq!(found.as_deref(), Some(object), "{text}");
        }
    }

    #[test]
    fn a_word_that_is_known_tells_the_language() {
        let pack = Pack::embedded();
        for known in
            ["a teapot", "Cats!", "teapots driving", "grey teapots", "一个茶壶", "猫", "قطة", "إبريق أحمر"]
        {
            assert!(knows_a_word(&pack, known), "{known}");
        }
        for unknown in ["un chat rouge", "eine Katze springt", "красная машина", "teapots", "", "123"]
        {
            assert!(!knows_a_word(&pack, unknown), "{unknown}");
        }
    }
}
