//! The suite for languages: the same scenes, from the same noise, said in each of them.
//!
//! Prompts that differ in language alone are compared scene by scene: what makes a scene hard to draw, or its noise unlucky, is so in
//! all languages, and cancels. Held-out prompts of each language, as [`mini`](crate::mini) scores them, are of other scenes, and differ
//! by what these are, too.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vidit_data::{Language, Pack, prompt};
use vidit_models::mini::DEFAULT_SHAPE;
use vidit_pipeline::Request;

use crate::mini::{Target, by_language, gap};
use crate::suite::{Suite, held_out};
use crate::{EvalError, EvalOptions, EvalProgress, Judge, LanguageScores, Make, Scores, Sighting};

/// Scenes when no limit is asked for.
pub const SCENES: usize = 100;
/// Stream of choices.
const PART: u64 = 11;

/// The result of [`evaluate_languages`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguagesReport {
    /// Scenes, each held out in one language, and said in all.
    pub scenes: usize,
    /// The seed that chose scenes and noise.
    pub seed: u64,
    /// All clips of a language against their scenes.
    pub languages: Vec<LanguageScores>,
    /// Per score, the best language's less the worst one's.
    pub language_gap: Scores,
    /// Between each two languages.
    pub differences: Vec<Difference>,
    /// Seconds in all.
    pub seconds: f64,
}

/// How two languages differ in objects on the same scenes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The two.
    pub languages: [Language; 2],
    /// The first one's share of right objects less the second one's.
    pub object: f64,
    /// The standard error of that, from the scenes that are right in one of the two alone (McNemar 1947).
    pub deviation: f64,
    /// Scenes right in the first alone, and in the second alone.
    pub alone: [usize; 2],
}

impl Difference {
    /// From whether each scene is right in the one and in the other.
    fn of(languages: [Language; 2], right: impl ExactSizeIterator<Item = [bool; 2]>) -> Self {
        let scenes = right.len().max(1) as f64;
        let mut alone = [0; 2];
        for [first, second] in right {
            alone[0] += usize::from(first && !second);
            alone[1] += usize::from(second && !first);
        }
        let [first, second] = alone.map(|scenes| scenes as f64);
        let object = (first - second) / scenes;
        // The variance of a difference that is 1, 0 or −1.
        let variance = (first + second) / scenes - object * object;
        Self { languages, object, deviation: (variance / scenes).sqrt(), alone }
    }
}

/// Scores a model on scenes that are said in each language. `request` is what every clip is drawn with.
///
/// # Errors
/// The first error of `make`, and when `stop` is raised: nothing is reported of a part.
pub fn evaluate_languages(
    pack: &Pack,
    judge: &Judge,
    request: &Request,
    make: Make,
    options: &EvalOptions,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(EvalProgress),
) -> Result<LanguagesReport, EvalError> {
    let started = Instant::now();
    let scenes = match options.limit.unwrap_or(SCENES) {
        0 => return Err(EvalError::NoPrompts),
        scenes => scenes,
    };
    let total = scenes * Language::ALL.len();
    let mut suite =
        Suite { pack, judge, request, make, seed: options.seed, stop, on_progress, done: 0, total };
    let (mut targets, mut seen) = (Vec::with_capacity(total), Vec::with_capacity(total));
    for case in 0..scenes {
        let (scene, _, mut random) = held_out(pack, options.seed, PART, case);
        let [wording, noise] = [random.bits(), random.bits()];
        let (actor, colour) = (&scene.actors[0], scene.background.colour);
        for language in Language::ALL {
            let prompt = prompt(pack, &scene, language, wording);
            let asked = Request {
                prompt: prompt.clone(),
                shape: DEFAULT_SHAPE,
                seed: Some(noise),
                ..request.clone()
            };
            seen.push(Sighting::of(judge, &suite.make(asked)?));
            targets.push(Target { prompt, language, object: actor.object, motion: actor.motion, colour });
        }
    }
    let languages = by_language(pack, &targets, &seen);
    let objects: Vec<bool> = targets.iter().zip(&seen).map(|(target, seen)| seen.right(target)[0]).collect();
    let pairs = (0..Language::ALL.len()).flat_map(|a| (a + 1..Language::ALL.len()).map(move |b| [a, b]));
    let difference = |pair: [usize; 2]| {
        let of_scenes = objects.chunks_exact(Language::ALL.len());
        Difference::of(
            pair.map(|language| Language::ALL[language]),
            of_scenes.map(|right| pair.map(|language| right[language])),
        )
    };
    Ok(LanguagesReport {
        scenes,
        seed: options.seed,
        language_gap: gap(&languages),
        languages,
        differences: pairs.map(difference).collect(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

impl fmt::Display for LanguagesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenes, seed, seconds, .. } = self;
        writeln!(
            f,
            "{scenes} scenes, each in {} languages, seed {seed}, {seconds:.0} s",
            self.languages.len()
        )?;
        writeln!(f)?;
        writeln!(f, "{:<24}{:>9}{:>9}{:>12}{:>11}", "%", "object", "motion", "background", "all three")?;
        let mut row = |name: &str, scores: &Scores| {
            let [object, motion, background, all] = scores.columns().map(|share| 100.0 * share);
            writeln!(f, "{name:<24}{object:>9.1}{motion:>9.1}{background:>12.1}{all:>11.1}")
        };
        for language in &self.languages {
            row(language.language.code(), &language.scores)?;
        }
        row("largest difference", &self.language_gap)?;
        writeln!(f)?;
        for Difference { languages: [first, second], object, deviation, alone } in &self.differences {
            let (first, second) = (first.code(), second.code());
            writeln!(
                f,
                "objects, {first} less {second}: {:+.1} points, ± {:.1}; right in {first} alone {}, in {second} alone {}",
                100.0 * object,
                100.0 * deviation,
                alone[0],
                alone[1]
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use vidit_data::{language_of, render};
    use vidit_video::Frames;

    use super::*;

    #[test]
    fn differences_are_of_scenes_right_in_one_alone() {
        let right = [[true, true], [true, false], [true, false], [false, true], [false, false]];
        let found = Difference::of([Language::En, Language::Zh], right.into_iter());
        assert_eq!(found.alone, [2, 1]);
        assert!((found.object - 0.2).abs() < 1e-12);
        // Mean square 3/5, mean 1/5: √((0.6 − 0.04) / 5).
        assert!((found.deviation - (0.56f64 / 5.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn scenes_are_the_same_in_all_languages_and_one_that_fails_shows() {
        let pack = Pack::embedded();
        let judge = Judge::embedded(&pack, &Device::flex()).expect("embedded");
        let options = EvalOptions { limit: Some(4), ..Default::default() };
        let mut seeds = Vec::new();
        let mut make = |request: Request| {
            seeds.push(request.seed);
            let (scene, _, _) = held_out(&pack, options.seed, PART, (seeds.len() - 1) / 3);
            Ok(match language_of(&request.prompt) {
                Language::Ar => Frames::black(request.shape),
                _ => render(&pack, &scene, request.shape).frames,
            })
        };
        let stop = AtomicBool::new(false);
        let report =
            evaluate_languages(&pack, &judge, &Request::new(""), &mut make, &options, &stop, &mut |_| ())
                .expect("nothing fails");
        assert_eq!(report.languages.iter().map(|one| one.scores.clips).collect::<Vec<_>>(), [4; 3]);
        assert_eq!(report.languages.iter().map(|one| one.scores.object).collect::<Vec<_>>(), [1.0, 1.0, 0.0]);
        assert_eq!(report.language_gap.object, 1.0);
        assert_eq!(report.differences.iter().map(|one| one.object).collect::<Vec<_>>(), [0.0, 1.0, 1.0]);
        for scene in seeds.chunks(3) {
            assert!(scene[0].is_some() && scene.iter().all(|seed| *seed == scene[0]));
        }
        assert_ne!(seeds[0], seeds[3]);
        let text = report.to_string();
        assert!(text.contains("right in en alone 4, in ar alone 0"), "{text}");
    }
}
