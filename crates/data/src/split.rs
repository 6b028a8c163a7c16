//! Which prompts training never sees.

use serde::{Deserialize, Serialize};

use crate::caption::prompt;
use crate::random::hash_words;
use crate::{Colour, Language, Motion, Object, Pack, Random, Scene};

/// A side of the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Everything but the held-out combinations.
    Train,
    /// The held-out combinations alone.
    HeldOut,
}

/// What the split is made of: an object, what it does, on which colour, in which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Combination {
    /// Position of the object in the pack.
    pub object: usize,
    /// What it does.
    pub motion: Motion,
    /// On which background.
    pub colour: Colour,
    /// Described in which language.
    pub language: Language,
}

/// One combination in so many is held out: 5 %.
const HELD_OUT_ONE_IN: u64 = 20;

impl Combination {
    /// Every combination of these objects, in a fixed order.
    pub fn all(objects: &[Object]) -> impl Iterator<Item = Self> {
        let languages = |object, motion, colour| {
            Language::ALL.into_iter().map(move |language| Self { object, motion, colour, language })
        };
        (0..objects.len()).flat_map(move |object| {
            Motion::ALL.into_iter().flat_map(move |motion| {
                Colour::ALL.into_iter().flat_map(move |colour| languages(object, motion, colour))
            })
        })
    }

    /// Whether training never sees it. Depends on names alone, so the split survives changes of the catalogue.
    pub fn is_held_out(&self, objects: &[Object]) -> bool {
        let id = &objects[self.object].id;
        let hash = hash_words(&[id, self.motion.name(), self.colour.name(), self.language.code()]);
        hash.is_multiple_of(HELD_OUT_ONE_IN)
    }
}

/// A prompt that training never sees, and what a clip of it must show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOutPrompt {
    /// The caption; it names object, motion and background.
    pub prompt: String,
    /// Its language.
    pub language: Language,
    /// Id of the object.
    pub object: String,
    /// What the object does.
    pub motion: Motion,
    /// Colour of the background.
    pub colour: Colour,
}

/// `count_per_language` held-out prompts of each language, grouped by language; no combination comes twice until all
/// have come.
pub fn held_out_prompts(pack: &Pack, count_per_language: usize, seed: u64) -> Vec<HeldOutPrompt> {
    let mut prompts = Vec::with_capacity(count_per_language * Language::ALL.len());
    for (stream, language) in Language::ALL.into_iter().enumerate() {
        let mut random = Random::new(seed, stream as u64);
        let mut combinations: Vec<_> =
            pack.held_out().iter().copied().filter(|combination| combination.language == language).collect();
        for last in (1..combinations.len()).rev() {
            combinations.swap(last, random.below(last + 1));
        }
        for combination in combinations.iter().cycle().take(count_per_language) {
            let Combination { object, motion, colour, language } = *combination;
            let scene = Scene::new_for(pack, object, motion, colour, random.bits());
            prompts.push(HeldOutPrompt {
                prompt: prompt(pack, &scene, language, random.bits()),
                language,
                object: pack.objects()[object].id.clone(),
                motion,
                colour,
            });
        }
    }
    prompts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn five_percent_are_held_out_and_both_sides_have_everything() {
        let pack = Pack::embedded();
        let held_out: HashSet<_> = pack.held_out().iter().copied().collect();
        let all = Combination::all(pack.objects()).count();
        assert_eq!(all, pack.objects().len() * 300);
        let share = held_out.len() as f64 / all as f64;
        assert!((0.045..0.055).contains(&share), "{share}");

        let mut sides = [HashSet::new(), HashSet::new()];
        for combination in Combination::all(pack.objects()) {
            let side = usize::from(held_out.contains(&combination));
            let Combination { object, motion, colour, language } = combination;
            sides[side].insert(format!("object {object} in {language:?}"));
            sides[side].insert(format!("{motion:?} in {language:?}"));
            sides[side].insert(format!("{colour:?} in {language:?}"));
        }
        let expected = (pack.objects().len() + 10 + 10) * 3;
        assert_eq!(sides[0].len(), expected, "training");
        assert!(sides[1].len() >= expected * 99 / 100, "held out: {} of {expected}", sides[1].len());
        for object in 0..pack.objects().len() {
            assert!(held_out.iter().any(|combination| combination.object == object), "object {object}");
        }
    }

    #[test]
    fn samples_keep_to_their_side() {
        let pack = Pack::embedded();
        for index in 0..3000 {
            let train = Scene::sample(&pack, 11, index, Split::Train);
            assert!(train.combinations(train.language).iter().all(|c| !c.is_held_out(pack.objects())));
            let held_out = Scene::sample(&pack, 11, index, Split::HeldOut);
            assert_eq!(held_out.actors.len(), 1);
            assert!(held_out.combinations(held_out.language)[0].is_held_out(pack.objects()));
        }
    }

    #[test]
    fn held_out_prompts_name_object_motion_and_background() {
        let pack = Pack::embedded();
        let prompts = held_out_prompts(&pack, 200, 3);
        assert_eq!(prompts.len(), 600);
        assert_eq!(prompts, held_out_prompts(&pack, 200, 3));
        for prompt in &prompts {
            let object = &pack.objects()[pack.find(&prompt.object).expect("known")];
            let names = object.names(prompt.language);
            assert!(names.iter().any(|name| prompt.prompt.contains(name)), "{prompt:?}");
            let words = crate::caption::colour_words(prompt.colour, prompt.language);
            assert!(words.iter().any(|word| prompt.prompt.contains(word)), "{prompt:?}");
        }
    }
}
