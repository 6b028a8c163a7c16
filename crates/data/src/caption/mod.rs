//! Scenes to sentences, in three languages.
//!
//! A caption is a *predicate* (verb and rest, chosen by where the object goes and how it usually gets about) in a
//! *sentence* around subject, predicate and background. Each language file holds its own tables and grammar.

mod arabic;
mod chinese;
mod english;
mod expand;

pub use expand::{Added, Expansion, expand, knows_a_word, language_of};

use crate::motion::Swing;
use crate::scene::Actor;
use crate::{Colour, Language, Motion, Object, Pack, Random, Scene, Split};

/// A caption and what it calls the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The caption.
    pub text: String,
    /// Per object, in the order of the scene, the words of the caption that mean it, as in `red car`.
    pub phrases: Vec<String>,
}

/// Where an object goes: its motion with the choices that a caption can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Left,
    Right,
    Up,
    Down,
    UpLeft,
    UpRight,
    DownLeft,
    DownRight,
    Grow,
    Shrink,
    Clockwise,
    CounterClockwise,
    Bounce,
    Still,
}

impl Course {
    fn of(actor: &Actor) -> Self {
        let (dx, dy) = actor.path.way();
        match actor.motion {
            Motion::Left => Self::Left,
            Motion::Right => Self::Right,
            Motion::Up => Self::Up,
            Motion::Down => Self::Down,
            Motion::Diagonal => match (dx < 0.0, dy < 0.0) {
                (true, true) => Self::UpLeft,
                (false, true) => Self::UpRight,
                (true, false) => Self::DownLeft,
                (false, false) => Self::DownRight,
            },
            Motion::ZoomIn => Self::Grow,
            Motion::ZoomOut => Self::Shrink,
            Motion::Circle => match actor.path.swing {
                Swing::Circle { clockwise: false, .. } => Self::CounterClockwise,
                _ => Self::Clockwise,
            },
            Motion::Bounce => Self::Bounce,
            Motion::Still => Self::Still,
        }
    }

    /// Whether an object's own verb (a car *drives*) fits: nothing but flyers, swimmers and crawlers travels upwards.
    fn takes_travel_verb(self, object: &Object) -> bool {
        use crate::Travel::{Crawl, Fly, Swim};
        match self {
            Self::Left | Self::Right | Self::UpLeft | Self::UpRight | Self::DownLeft | Self::DownRight => {
                true
            }
            Self::Clockwise | Self::CounterClockwise => true,
            Self::Up | Self::Down => matches!(object.travel, Some(Fly | Swim | Crawl)),
            Self::Grow | Self::Shrink | Self::Bounce | Self::Still => false,
        }
    }
}

/// One object as a caption speaks of it.
struct Part<'a> {
    object: &'a Object,
    name: &'a str,
    /// Position of `name` among the object's names.
    name_index: usize,
    /// The sprite's own colour, when the caption names it.
    adjective: Option<Colour>,
    course: Course,
}

/// The background as a caption speaks of it.
#[derive(Clone, Copy)]
struct Backdrop {
    colour: Colour,
    as_gradient: bool,
}

/// What a sentence has to say.
struct Facts<'a> {
    parts: Vec<Part<'a>>,
    backdrop: Option<Backdrop>,
    names_motion: bool,
}

const MAIN_NAME_SHARE: f32 = 0.65;
const ADJECTIVE_SHARE: f32 = 0.3;
const TRAVEL_VERB_SHARE: f32 = 0.5;
const GRADIENT_NAMED_SHARE: f32 = 0.4;
const OMISSION_SHARE: f32 = 0.05;

/// A caption of the scene; `seed` picks names and templates. 5 % do not name the background, 5 % not the motion.
pub fn caption(pack: &Pack, scene: &Scene, language: Language, seed: u64) -> String {
    describe(pack, scene, language, seed).text
}

/// As [`caption`], with the words that mean each object.
pub fn describe(pack: &Pack, scene: &Scene, language: Language, seed: u64) -> Description {
    let mut random = Random::new(seed, 0);
    let omission = random.unit();
    let names_background = omission >= OMISSION_SHARE;
    let names_motion = !(OMISSION_SHARE..2.0 * OMISSION_SHARE).contains(&omission);
    write(pack, scene, language, names_background, names_motion, &mut random)
}

/// A caption that names object, motion and background.
pub fn prompt(pack: &Pack, scene: &Scene, language: Language, seed: u64) -> String {
    prompt_with_phrases(pack, scene, language, seed).text
}

/// As [`prompt`], with the words that mean each object.
pub fn prompt_with_phrases(pack: &Pack, scene: &Scene, language: Language, seed: u64) -> Description {
    write(pack, scene, language, true, true, &mut Random::new(seed, 0))
}

/// A caption of one scene that becomes another: mostly both named, sometimes the second alone.
pub(crate) fn transition(pack: &Pack, from: &Scene, to: &Scene, language: Language, seed: u64) -> String {
    let mut random = Random::new(seed, 0);
    if random.chance(0.3) {
        return caption(pack, to, language, random.bits());
    }
    let mut say = |scene: &Scene, motion: bool| write(pack, scene, language, true, motion, &mut random).text;
    let (before, after) = (say(from, false), say(to, true));
    let becomes: &[&str] = match language {
        Language::En => &[", then ", " becomes ", " turns into "],
        Language::Zh => &["，然后", "，变成", "，接着"],
        Language::Ar => &["، ثم ", " يتحول إلى ", "، وبعد ذلك "],
    };
    format!("{before}{}{after}", random.choose(becomes))
}

fn write(
    pack: &Pack,
    scene: &Scene,
    language: Language,
    names_background: bool,
    names_motion: bool,
    random: &mut Random,
) -> Description {
    let mut part = |actor: &Actor| {
        let object = &pack.objects()[actor.object];
        let names = object.names(language);
        let name_index = if random.chance(MAIN_NAME_SHARE) { 0 } else { random.below(names.len()) };
        let adjective = object.colour.filter(|_| random.chance(ADJECTIVE_SHARE));
        Part { object, name: names[name_index], name_index, adjective, course: Course::of(actor) }
    };
    let parts = scene.actors.iter().map(&mut part).collect();
    let as_gradient = scene.background.gradient.is_some() && random.chance(GRADIENT_NAMED_SHARE);
    let backdrop = names_background.then_some(Backdrop { colour: scene.background.colour, as_gradient });
    let facts = Facts { parts, backdrop, names_motion };
    match language {
        Language::En => english::write(&facts, random),
        Language::Zh => chinese::write(&facts, random),
        Language::Ar => arabic::write(&facts, random),
    }
}

/// Captions that together contain every word a caption can have: about 40,000, to learn a vocabulary from. All are of
/// training scenes.
pub fn caption_corpus(pack: &Pack) -> impl Iterator<Item = String> {
    let objects = (0..pack.objects().len()).flat_map(|object| Motion::ALL.map(|motion| (object, motion)));
    let scenes = objects.flat_map(|(object, motion)| Colour::ALL.map(|colour| (object, motion, colour)));
    let alone = scenes.enumerate().flat_map(move |(index, (object, motion, colour))| {
        let scene = Scene::new_for(pack, object, motion, colour, index as u64);
        let free = Language::ALL.into_iter().filter(|&language| !scene.is_held_out(pack, language));
        let captions = free.map(|language| caption(pack, &scene, language, index as u64));
        captions.collect::<Vec<_>>()
    });
    let mixed = (0..4000).map(move |index| {
        let scene = Scene::sample(pack, 0, index, Split::Train);
        caption(pack, &scene, scene.language, index)
    });
    alone.chain(mixed)
}

/// The words a caption may call a background colour by.
pub(crate) fn colour_words(colour: Colour, language: Language) -> Vec<&'static str> {
    match language {
        Language::En if colour == Colour::Gray => vec!["gray", "grey"],
        Language::En => vec![colour.name()],
        Language::Zh => vec![chinese::colour_word(colour)],
        Language::Ar => vec![arabic::adjective(colour, crate::Gender::Feminine)],
    }
}

/// Puts `text` in the place of `slot` in `template`, wherever it stands.
fn fill(template: &str, slots: &[(&str, &str)]) -> String {
    slots.iter().fold(template.to_owned(), |sentence, (slot, text)| sentence.replace(slot, text))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn words(text: &str, language: Language) -> Vec<String> {
        match language {
            Language::Zh => text.chars().map(String::from).collect(),
            _ => text.split([' ', ',', '،', '.', ':']).map(str::to_owned).collect(),
        }
    }

    #[test]
    fn captions_hold_the_names_and_mostly_the_background() {
        let pack = Pack::embedded();
        for language in Language::ALL {
            let mut with_background = 0;
            for index in 0..2000 {
                let scene = Scene::sample(&pack, 6, index, Split::Train);
                let description = describe(&pack, &scene, language, index);
                assert_eq!(description.phrases.len(), scene.actors.len());
                for (actor, phrase) in scene.actors.iter().zip(&description.phrases) {
                    let names = pack.objects()[actor.object].names(language);
                    assert!(description.text.contains(phrase.as_str()), "{description:?}");
                    assert!(names.iter().any(|name| phrase.contains(name)), "{description:?}");
                }
                let colours = colour_words(scene.background.colour, language);
                with_background +=
                    usize::from(colours.iter().any(|colour| description.text.contains(colour)));
                assert!(!description.text.contains(['{', '}', '@', '%', '/', '&']), "{description:?}");
                assert!(!description.text.contains("  "), "{description:?}");
            }
            assert!((1850..1960).contains(&with_background), "{language:?}: {with_background} of 2000");
        }
    }

    #[test]
    fn every_motion_has_many_captions() {
        let pack = Pack::embedded();
        for language in Language::ALL {
            for motion in Motion::ALL {
                let scene = Scene::new_for(&pack, 0, motion, Colour::Yellow, 3);
                let captions: HashSet<_> =
                    (0..500).map(|seed| prompt(&pack, &scene, language, seed)).collect();
                assert!(captions.len() > 100, "{language:?} {motion:?}: {}", captions.len());
            }
        }
    }

    #[test]
    fn left_and_right_are_never_called_alike() {
        let pack = Pack::embedded();
        for language in Language::ALL {
            let mut courses: HashMap<String, HashSet<Motion>> = HashMap::new();
            for motion in Motion::ALL {
                for seed in 0..2000 {
                    let mut scene = Scene::new_for(&pack, 0, motion, Colour::Yellow, seed);
                    scene.background.gradient = None;
                    courses.entry(prompt(&pack, &scene, language, seed)).or_default().insert(motion);
                }
            }
            for (text, motions) in courses {
                assert_eq!(motions.len(), 1, "`{text}` means {motions:?}");
            }
        }
    }

    #[test]
    fn the_wished_sentences_are_of_the_kind_that_templates_make() {
        let pack = Pack::embedded();
        let expect = |name: &str, motion, language, sentence: &str| {
            let object = pack.find(name).expect("known");
            let mut scene = Scene::new_for(&pack, object, motion, Colour::Yellow, 1);
            scene.background.gradient = None;
            let found = (0..200_000).any(|seed| caption(&pack, &scene, language, seed) == sentence);
            assert!(found, "no seed gives `{sentence}`");
        };
        expect("car", Motion::Left, Language::En, "a red car drives to the left on a yellow background");
        expect("cat", Motion::Left, Language::Zh, "一只猫在黄色背景上向左移动");
        expect("cat", Motion::Left, Language::Ar, "قطة تتحرك إلى اليسار على خلفية صفراء");
    }

    #[test]
    fn the_corpus_has_every_word() {
        let pack = Pack::embedded();
        let mut known = HashSet::new();
        for text in caption_corpus(&pack) {
            for language in Language::ALL {
                known.extend(words(&text, language));
            }
        }
        for index in 0..20_000 {
            let scene = Scene::sample(&pack, 77, index, Split::HeldOut);
            let text = caption(&pack, &scene, scene.language, index);
            for word in words(&text, scene.language) {
                assert!(known.contains(&word), "`{word}` of `{text}` is not in the corpus");
            }
        }
    }
}
