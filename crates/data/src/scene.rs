//! A scene: which objects do what in front of what. Everything about a clip but its size.

use serde::{Deserialize, Serialize};

use crate::{Background, Colour, Combination, Language, Motion, Pack, Path, Random, Region, Split};

/// One object of a scene and its path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// Position of the object in the pack.
    pub object: usize,
    /// What it does.
    pub motion: Motion,
    /// The path with all its random choices made.
    pub path: Path,
}

impl Actor {
    /// One of so many `objects`, which does one of `motions` within `region`.
    fn sample(
        pack: &Pack,
        object: usize,
        motions: &[Motion],
        region: Region,
        objects: usize,
        random: &mut Random,
    ) -> Self {
        let motion = *random.choose(motions);
        let faces = pack.objects()[object].faces;
        Self { object, motion, path: Path::sample(motion, region, objects, faces, random) }
    }
}

/// A description that renders to one clip at any shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// One object or more, back to front.
    pub actors: Vec<Actor>,
    /// What lies behind them.
    pub background: Background,
    /// The language to caption it in; another one may be on the other side of the split.
    pub language: Language,
}

/// How often a training scene has two objects.
const PAIR_SHARE: f32 = 0.1;

/// Motions that do not take an object into its neighbour's half.
const MOTIONS_SIDE_BY_SIDE: [Motion; 6] =
    [Motion::Up, Motion::Down, Motion::ZoomIn, Motion::ZoomOut, Motion::Bounce, Motion::Still];
const MOTIONS_STACKED: [Motion; 5] =
    [Motion::Left, Motion::Right, Motion::ZoomIn, Motion::ZoomOut, Motion::Still];
const MOTIONS_IN_A_QUARTER: [Motion; 4] = [Motion::ZoomIn, Motion::ZoomOut, Motion::Bounce, Motion::Still];
const HALVES: [(f32, f32); 2] = [(0.0, 0.5), (0.5, 1.0)];

impl Scene {
    /// Sample `index` of stream `seed`: the same on every machine, independent of all others.
    pub fn sample(pack: &Pack, seed: u64, index: u64, split: Split) -> Self {
        let mut random = Random::new(seed, index);
        match split {
            Split::HeldOut => {
                let combination = *random.choose(pack.held_out());
                Self::alone(pack, combination, &mut random)
            }
            Split::Train => Self::sample_train(pack, PAIR_SHARE, &mut random),
        }
    }

    /// A scene of two objects, each in a half of the frame, neither of which training sees do that on that colour in `language`. The
    /// first named is on the left, or above.
    pub fn sample_pair_held_out(pack: &Pack, seed: u64, index: u64, language: Language) -> Self {
        let mut random = Random::new(seed, index);
        loop {
            let colour = *random.choose(&Colour::ALL);
            let scene = Self { language, ..Self::pair(pack, colour, &mut random) };
            // One scene in 400.
            if scene.combinations(language).iter().all(|one| one.is_held_out(pack.objects())) {
                return scene;
            }
        }
    }

    /// A training scene, which has two objects with probability `pair_share`.
    pub(crate) fn sample_train(pack: &Pack, pair_share: f32, random: &mut Random) -> Self {
        // Another language may be free where one is held out; else another scene is.
        Self::on_side(Split::Train, pack, random, |random| {
            let colour = *random.choose(&Colour::ALL);
            if random.chance(pair_share) && pack.objects().len() > 1 {
                return Self::pair(pack, colour, random);
            }
            let combination = Combination {
                object: random.below(pack.objects().len()),
                motion: *random.choose(&Motion::ALL),
                colour,
                language: Language::En,
            };
            Self::alone(pack, combination, random)
        })
    }

    /// What `draw` draws first that is on that side of the split in some language, in such a one.
    pub(crate) fn on_side(
        split: Split,
        pack: &Pack,
        random: &mut Random,
        mut draw: impl FnMut(&mut Random) -> Self,
    ) -> Self {
        let held_out = split == Split::HeldOut;
        loop {
            let scene = draw(random);
            let first = random.below(Language::ALL.len());
            let mut languages = Language::ALL.into_iter().cycle().skip(first).take(Language::ALL.len());
            if let Some(language) = languages.find(|&language| scene.is_held_out(pack, language) == held_out)
            {
                return Self { language, ..scene };
            }
        }
    }

    /// A scene of one object with a given motion and background colour; `seed` makes the remaining choices.
    ///
    /// # Panics
    /// If `object` is no position in the pack.
    pub fn new_for(pack: &Pack, object: usize, motion: Motion, colour: Colour, seed: u64) -> Self {
        let combination = Combination { object, motion, colour, language: Language::En };
        Self::alone(pack, combination, &mut Random::new(seed, 0))
    }

    /// What the split sees of this scene when it is captioned in `language`: one combination per object.
    pub fn combinations(&self, language: Language) -> Vec<Combination> {
        let colour = self.background.colour;
        let of = |actor: &Actor| Combination { object: actor.object, motion: actor.motion, colour, language };
        self.actors.iter().map(of).collect()
    }

    /// Whether training must not see this scene captioned in `language`.
    pub fn is_held_out(&self, pack: &Pack, language: Language) -> bool {
        self.combinations(language).iter().any(|combination| combination.is_held_out(pack.objects()))
    }

    fn alone(pack: &Pack, combination: Combination, random: &mut Random) -> Self {
        let Combination { object, motion, colour, language } = combination;
        let faces = pack.objects()[object].faces;
        let path = Path::sample(motion, Region::FRAME, 1, faces, random);
        let background = Background::sample(colour, random);
        Self { actors: vec![Actor { object, motion, path }], background, language }
    }

    fn pair(pack: &Pack, colour: Colour, random: &mut Random) -> Self {
        let first = random.below(pack.objects().len());
        let second = (first + 1 + random.below(pack.objects().len() - 1)) % pack.objects().len();
        let side_by_side = random.chance(0.5);
        let mut actor = |object: usize, half| {
            let (region, motions) = if side_by_side {
                (Region { x: half, ..Region::FRAME }, &MOTIONS_SIDE_BY_SIDE[..])
            } else {
                (Region { y: half, ..Region::FRAME }, &MOTIONS_STACKED[..])
            };
            Actor::sample(pack, object, motions, region, 2, random)
        };
        let actors = vec![actor(first, HALVES[0]), actor(second, HALVES[1])];
        Self { actors, background: Background::sample(colour, random), language: Language::En }
    }

    /// `count` different objects, at most four: each in a quarter of the frame, or going anywhere.
    pub(crate) fn crowd(pack: &Pack, count: usize, random: &mut Random) -> Self {
        let mut objects: Vec<usize> = Vec::with_capacity(count);
        while objects.len() < count {
            let object = random.below(pack.objects().len());
            if !objects.contains(&object) {
                objects.push(object);
            }
        }
        let quarters = HALVES.into_iter().flat_map(|y| HALVES.map(|x| Region { x, y }));
        let mut quarters: Vec<Region> = quarters.collect();
        let apart = random.chance(0.5);
        let mut actor = |object| match apart {
            true => {
                let region = quarters.swap_remove(random.below(quarters.len()));
                Actor::sample(pack, object, &MOTIONS_IN_A_QUARTER, region, count, random)
            }
            false => Actor::sample(pack, object, &Motion::ALL, Region::FRAME, count, random),
        };
        let actors = objects.into_iter().map(&mut actor).collect();
        let colour = *random.choose(&Colour::ALL);
        Self { actors, background: Background::sample(colour, random), language: Language::En }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scene_in_ten_is_a_pair_of_different_objects() {
        let pack = Pack::embedded();
        let scenes: Vec<_> = (0..2000).map(|index| Scene::sample(&pack, 1, index, Split::Train)).collect();
        let pairs: Vec<_> = scenes.iter().filter(|scene| scene.actors.len() == 2).collect();
        assert!((150..250).contains(&pairs.len()), "{}", pairs.len());
        assert!(pairs.iter().all(|scene| scene.actors[0].object != scene.actors[1].object));
    }

    #[test]
    fn both_objects_of_a_held_out_pair_are_held_out() {
        let pack = Pack::embedded();
        for index in 0..30 {
            let language = Language::ALL[index as usize % 3];
            let scene = Scene::sample_pair_held_out(&pack, 2, index, language);
            let combinations = scene.combinations(language);
            assert_eq!((combinations.len(), scene.language), (2, language));
            assert!(combinations.iter().all(|one| one.is_held_out(pack.objects())), "{combinations:?}");
            assert_ne!(combinations[0].object, combinations[1].object);
            assert_eq!(scene, Scene::sample_pair_held_out(&pack, 2, index, language));
        }
    }

    #[test]
    fn samples_depend_on_seed_and_index_alone() {
        let pack = Pack::embedded();
        let sample = |seed, index| Scene::sample(&pack, seed, index, Split::Train);
        assert_eq!(sample(1, 5), sample(1, 5));
        assert_ne!(sample(1, 5), sample(2, 5));
        assert_ne!(sample(1, 5), sample(1, 6));
    }

    #[test]
    fn a_wished_scene_is_what_was_wished() {
        let pack = Pack::embedded();
        let car = pack.find("car").expect("there is a car");
        let scene = Scene::new_for(&pack, car, Motion::Left, Colour::Yellow, 9);
        let expected =
            Combination { object: car, motion: Motion::Left, colour: Colour::Yellow, language: Language::Zh };
        assert_eq!(scene.combinations(Language::Zh), [expected]);
        assert_ne!(scene, Scene::new_for(&pack, car, Motion::Left, Colour::Yellow, 10));
    }
}
