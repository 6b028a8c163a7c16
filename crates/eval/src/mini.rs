//! The suite for `mini`: generate, judge, compare.

use std::collections::BTreeMap;
use std::error::Error;
use std::f64::consts::FRAC_2_SQRT_PI;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use vidit_data::{Colour, HeldOutPrompt, Language, Motion, Pack, Random, Scene, held_out_prompts, render};
use vidit_models::mini::DEFAULT_SHAPE;
use vidit_video::Frames;

use crate::report::{Chance, LanguageScores, MiniReport, Mistake, Psnr, Scores};
use crate::{EvalError, Judge, colour, foreground, motion};

/// Held-out prompts of each language in the whole suite.
pub const PROMPTS_PER_LANGUAGE: usize = 100;
/// Mistakes that a report lists.
const MISTAKES_LISTED: usize = 8;

/// What to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// At most so many prompts, taken from all languages in turn; `None` is all 300.
    pub limit: Option<usize>,
    /// Chooses the prompts and each clip's noise.
    pub seed: u64,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { limit: None, seed: 2025 }
    }
}

/// What a caller may show after each prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalProgress {
    /// Prompts done.
    pub done: usize,
    /// Prompts in all.
    pub total: usize,
}

/// What the judge sees in a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Position of the object in the pack; `None` when nothing stands out.
    pub object: Option<usize>,
    /// What it does; `None` when it is not seen in enough frames.
    pub motion: Option<Motion>,
    /// Colour of the background.
    pub background: Colour,
}

impl Sighting {
    /// Looks at a clip.
    pub fn of(judge: &Judge, frames: &Frames) -> Self {
        let track = foreground::track(frames);
        Self {
            object: judge.object(frames, &track),
            motion: motion::motion(&track),
            background: colour::colour(&track),
        }
    }

    /// Which of object, motion and background are as the target has them.
    pub(crate) fn right(&self, target: &Target) -> [bool; 3] {
        [
            self.object == Some(target.object),
            self.motion == Some(target.motion),
            self.background == target.colour,
        ]
    }
}

/// What a clip must show.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub prompt: String,
    pub language: Language,
    pub object: usize,
    pub motion: Motion,
    pub colour: Colour,
}

/// Scores a model on held-out prompts.
///
/// `generate` makes a clip from a prompt and a seed; `reconstruct` encodes and decodes a clip with the model's VAE. Clips
/// may have any shape; the real ones are 25 frames of 128 × 128.
///
/// # Errors
/// The first error of `generate` or `reconstruct`, and when `stop` is raised: nothing is reported of a part.
pub fn evaluate<E: Into<Box<dyn Error + Send + Sync>>>(
    pack: &Pack,
    judge: &Judge,
    generate: &mut dyn FnMut(&str, u64) -> Result<Frames, E>,
    reconstruct: &mut dyn FnMut(&Frames) -> Result<Frames, E>,
    options: &EvalOptions,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(EvalProgress),
) -> Result<MiniReport, EvalError> {
    let started = Instant::now();
    let targets = targets(pack, options);
    if targets.is_empty() {
        return Err(EvalError::NoPrompts);
    }
    let total = targets.len();
    let (mut generated, mut real, mut rebuilt, mut decibels) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, target) in targets.iter().enumerate() {
        go_on(stop, index, total)?;
        let mut random = Random::new(options.seed, index as u64);
        let clip = generate(&target.prompt, random.bits());
        // A generation that was told to stop fails, which is no failure to report.
        go_on(stop, index, total)?;
        let clip = clip
            .map_err(|error| EvalError::Generate { prompt: target.prompt.clone(), source: error.into() })?;
        generated.push(Sighting::of(judge, &clip));

        let scene = Scene::new_for(pack, target.object, target.motion, target.colour, random.bits());
        let clip = render(pack, &scene, DEFAULT_SHAPE).frames;
        let again = reconstruct(&clip).map_err(|error| EvalError::Reconstruct {
            object: pack.objects()[target.object].id.clone(),
            source: error.into(),
        })?;
        if again.shape() != clip.shape() {
            let (expected, found) = (clip.shape().to_string(), again.shape().to_string());
            return Err(EvalError::Shape { expected, found });
        }
        real.push(Sighting::of(judge, &clip));
        rebuilt.push(Sighting::of(judge, &again));
        decibels.push(psnr(&clip, &again));
        on_progress(EvalProgress { done: index + 1, total });
    }

    let languages = by_language(pack, &targets, &generated);
    let language_gap = gap(&languages);
    let pairs = || targets.iter().zip(&generated);
    let against =
        |seen: &[Sighting]| Scores::of(targets.iter().zip(seen).map(|(target, seen)| seen.right(target)));
    let object_chance = 1.0 / pack.objects().len() as f64;
    let (motion_chance, colour_chance) = (1.0 / Motion::ALL.len() as f64, 1.0 / Colour::ALL.len() as f64);
    let of_generated = against(&generated);
    Ok(MiniReport {
        prompts: total,
        seed: options.seed,
        generated: of_generated,
        language_gap_by_chance: gap_by_chance(&of_generated, language_gap.clips, languages.len()),
        language_gap,
        languages,
        real: against(&real),
        rebuilt: against(&rebuilt),
        rebuilt_languages: by_language(pack, &targets, &rebuilt),
        shuffled: shuffled(&targets, &generated),
        chance: Chance {
            object: object_chance,
            motion: motion_chance,
            background: colour_chance,
            all_three: object_chance * motion_chance * colour_chance,
        },
        vae_psnr: Psnr {
            clips: decibels.len(),
            mean_db: decibels.iter().sum::<f64>() / decibels.len() as f64,
            min_db: decibels.iter().copied().fold(f64::INFINITY, f64::min),
        },
        empty_clips: generated.iter().filter(|seen| seen.object.is_none()).count(),
        object_mistakes: object_mistakes(pack, pairs()),
        motion_mistakes: mistakes(pairs().map(|(target, seen)| {
            (target.motion.name().to_owned(), seen.motion.map(|motion| motion.name().to_owned()))
        })),
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn go_on(stop: &AtomicBool, done: usize, total: usize) -> Result<(), EvalError> {
    if stop.load(Ordering::Relaxed) { Err(EvalError::Interrupted { done, total }) } else { Ok(()) }
}

/// Peak signal-to-noise ratio in decibels, from the mean squared error over all frames and channels; equal clips have the
/// ratio of an error of one level in one byte, so that means stay finite.
///
/// # Panics
/// If shapes differ.
pub fn psnr(a: &Frames, b: &Frames) -> f64 {
    assert_eq!(a.shape(), b.shape(), "clips of one shape are compared");
    let squares: u64 = a.rgb().iter().zip(b.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    let error = squares.max(1) as f64 / a.rgb().len() as f64;
    10.0 * (255.0f64.powi(2) / error).log10()
}

/// The held-out prompts, one language after the other in turn.
fn targets(pack: &Pack, options: &EvalOptions) -> Vec<Target> {
    let each = options.limit.map_or(0, |limit| limit.div_ceil(Language::ALL.len())).max(PROMPTS_PER_LANGUAGE);
    let prompts = held_out_prompts(pack, each, options.seed);
    let target = |prompt: &HeldOutPrompt| Target {
        prompt: prompt.prompt.clone(),
        language: prompt.language,
        object: pack.find(&prompt.object).expect("held-out prompts are about the pack's objects"),
        motion: prompt.motion,
        colour: prompt.colour,
    };
    let in_turn = (0..each).flat_map(|index| prompts.iter().skip(index).step_by(each).map(target));
    in_turn.take(options.limit.unwrap_or(usize::MAX)).collect()
}

/// Scores of each language that is there.
pub(crate) fn by_language(pack: &Pack, targets: &[Target], seen: &[Sighting]) -> Vec<LanguageScores> {
    let scores = |language| {
        let own = || targets.iter().zip(seen).filter(move |(target, _)| target.language == language);
        LanguageScores {
            language,
            scores: Scores::of(own().map(|(target, seen)| seen.right(target))),
            object_mistakes: object_mistakes(pack, own()),
        }
    };
    Language::ALL.into_iter().map(scores).filter(|language| language.scores.clips > 0).collect()
}

/// Per score, the best language's less the worst one's.
pub(crate) fn gap(languages: &[LanguageScores]) -> Scores {
    let spread = |score: fn(&Scores) -> f64| {
        let values = || languages.iter().map(|language| score(&language.scores));
        values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min)
    };
    Scores {
        clips: languages.iter().map(|language| language.scores.clips).min().unwrap_or(0),
        object: spread(|scores| scores.object),
        motion: spread(|scores| scores.motion),
        background: spread(|scores| scores.background),
        all_three: spread(|scores| scores.all_three),
    }
}

/// The mean range of the shares of `languages` equal ones, each of `clips`: of 1, 2 and 3 normal numbers it is 0, 1.13 and 1.69 of
/// their deviation (Tippett 1925), which of a share `p` is √(p(1 − p) / clips).
fn gap_by_chance(all: &Scores, clips: usize, languages: usize) -> Scores {
    const RANGES: [f64; 4] = [0.0, 0.0, FRAC_2_SQRT_PI, 1.5 * FRAC_2_SQRT_PI];
    let range = RANGES[languages.min(RANGES.len() - 1)];
    let of = |share: f64| range * (share * (1.0 - share) / clips.max(1) as f64).sqrt();
    Scores {
        clips,
        object: of(all.object),
        motion: of(all.motion),
        background: of(all.background),
        all_three: of(all.all_three),
    }
}

/// Every clip against the target of every other prompt; `clips` counts clips, not pairs.
fn shuffled(targets: &[Target], generated: &[Sighting]) -> Option<Scores> {
    if targets.len() < 2 {
        return None;
    }
    let pairs = generated.iter().enumerate().flat_map(|(clip, seen)| {
        let others = targets.iter().enumerate().filter(move |(index, _)| *index != clip);
        others.map(|(_, target)| seen.right(target))
    });
    Some(Scores { clips: generated.len(), ..Scores::of(pairs) })
}

fn object_mistakes<'a>(pack: &Pack, pairs: impl Iterator<Item = (&'a Target, &'a Sighting)>) -> Vec<Mistake> {
    let name = |object: usize| pack.objects()[object].id.clone();
    mistakes(pairs.map(|(target, seen)| (name(target.object), seen.object.map(name))))
}

/// The most frequent pairs of wanted and seen that differ, alphabetical where they are as frequent.
fn mistakes(pairs: impl Iterator<Item = (String, Option<String>)>) -> Vec<Mistake> {
    let mut counts: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    for (wanted, seen) in pairs.filter(|(wanted, seen)| seen.as_ref() != Some(wanted)) {
        *counts.entry((wanted, seen)).or_default() += 1;
    }
    let mut mistakes: Vec<Mistake> =
        counts.into_iter().map(|((wanted, seen), clips)| Mistake { wanted, seen, clips }).collect();
    mistakes.sort_by_key(|mistake| std::cmp::Reverse(mistake.clips));
    mistakes.truncate(MISTAKES_LISTED);
    mistakes
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use vidit_video::PixelShape;

    use super::*;

    type Failure = Box<dyn Error + Send + Sync>;

    fn sighting(target: &Target) -> Sighting {
        Sighting { object: Some(target.object), motion: Some(target.motion), background: target.colour }
    }

    #[test]
    fn psnr_follows_its_formula() {
        let shape = PixelShape::new(2, 4, 4);
        let (dark, light) = (Frames::black(shape), Frames::from_rgb(shape, vec![10; 96]));
        // 20·log10(255 / 10)
        assert!((psnr(&dark, &light) - 28.130_803_6).abs() < 1e-6);
        assert!(psnr(&dark, &dark).is_finite() && psnr(&dark, &dark) > 60.0);
        let mut half = dark.clone();
        half.frame_mut(1).fill(20);
        // mean over all frames: (0 + 400) / 2
        assert!((psnr(&dark, &half) - 10.0 * (65025.0f64 / 200.0).log10()).abs() < 1e-9);
    }

    #[test]
    fn a_limit_takes_all_languages_alike() {
        let pack = Pack::embedded();
        let all = targets(&pack, &EvalOptions::default());
        assert_eq!(all.len(), 300);
        let some = targets(&pack, &EvalOptions { limit: Some(12), ..Default::default() });
        for language in Language::ALL {
            assert_eq!(all.iter().filter(|target| target.language == language).count(), 100);
            assert_eq!(some.iter().filter(|target| target.language == language).count(), 4);
        }
        assert!(some.iter().zip(&all).all(|(a, b)| a.prompt == b.prompt));
        // More than those of the default begin with them.
        let many = targets(&pack, &EvalOptions { limit: Some(310), ..Default::default() });
        assert_eq!(many.len(), 310);
        assert!(all.iter().zip(&many).all(|(a, b)| a.prompt == b.prompt));
    }

    #[test]
    fn shuffled_prompts_fall_to_chance() {
        let pack = Pack::embedded();
        let targets = targets(&pack, &EvalOptions::default());
        let perfect: Vec<Sighting> = targets.iter().map(sighting).collect();
        let own = Scores::of(targets.iter().zip(&perfect).map(|(target, seen)| seen.right(target)));
        assert_eq!([own.object, own.motion, own.background, own.all_three], [1.0; 4]);
        let scores = shuffled(&targets, &perfect).expect("there are many");
        assert!(scores.object < 0.02, "{scores:?}");
        assert!((scores.motion - 0.1).abs() < 0.02 && (scores.background - 0.1).abs() < 0.02, "{scores:?}");
        assert!(scores.all_three < 0.001, "{scores:?}");
        assert_eq!(shuffled(&targets[..1], &perfect[..1]), None);
    }

    #[test]
    fn languages_are_compared() {
        let pack = Pack::embedded();
        let targets = targets(&pack, &EvalOptions { limit: Some(30), ..Default::default() });
        let seen: Vec<Sighting> = targets
            .iter()
            .map(|target| match target.language {
                Language::Ar => Sighting { object: None, ..sighting(target) },
                _ => sighting(target),
            })
            .collect();
        let languages = by_language(&pack, &targets, &seen);
        assert_eq!(languages.iter().map(|l| l.scores.object).collect::<Vec<_>>(), [1.0, 1.0, 0.0]);
        assert_eq!(
            languages.iter().map(|l| l.object_mistakes.len()).collect::<Vec<_>>(),
            [0, 0, MISTAKES_LISTED]
        );
        assert!(languages[2].object_mistakes[0].to_string().starts_with("nothing for "), "{languages:?}");
        let gap = gap(&languages);
        assert_eq!((gap.object, gap.motion, gap.all_three), (1.0, 0.0, 1.0));
    }

    #[test]
    fn mistakes_are_counted() {
        let pair = |wanted: &str, seen: Option<&str>| (wanted.to_owned(), seen.map(str::to_owned));
        let pairs =
            [pair("cat", Some("dog")), pair("cat", Some("cat")), pair("ant", None), pair("cat", Some("dog"))];
        let expected = [
            Mistake { wanted: "cat".into(), seen: Some("dog".into()), clips: 2 },
            Mistake { wanted: "ant".into(), seen: None, clips: 1 },
        ];
        assert_eq!(mistakes(pairs.into_iter()), expected);
    }

    /// The suite with real clips in place of generated ones.
    fn run(
        stop: &AtomicBool,
        generate: &mut dyn FnMut(&str, u64) -> Result<Frames, Failure>,
        limit: usize,
    ) -> Result<MiniReport, EvalError> {
        let pack = Pack::embedded();
        let judge = Judge::embedded(&pack, &Device::flex())?;
        let options = EvalOptions { limit: Some(limit), ..Default::default() };
        let mut keep = |clip: &Frames| Ok(clip.clone());
        evaluate(&pack, &judge, generate, &mut keep, &options, stop, &mut |_| ())
    }

    #[test]
    fn real_clips_pass_the_suite() {
        let pack = Pack::embedded();
        let targets = targets(&pack, &EvalOptions::default());
        let mut perfect = |prompt: &str, seed: u64| {
            let target = targets.iter().find(|target| target.prompt == prompt).expect("a held-out prompt");
            let scene = Scene::new_for(&pack, target.object, target.motion, target.colour, seed);
            Ok(render(&pack, &scene, DEFAULT_SHAPE).frames)
        };
        let report = run(&AtomicBool::new(false), &mut perfect, 60).expect("nothing fails");
        assert!(report.generated.all_three > 0.9 && report.real.all_three > 0.9, "{report}");
        let text = report.to_string();
        assert!(text.contains("60 held-out prompts") && text.contains("shuffled prompts"), "{text}");
        assert!(text.ends_with("`--suite languages` asks for the same in all\n"), "{text}");
        let json = serde_json::to_string(&report).expect("plain numbers");
        assert_eq!(serde_json::from_str::<MiniReport>(&json).expect("its own text").prompts, 60);
    }

    #[test]
    fn failures_and_interruptions_are_returned() {
        let mut fail = |_: &str, _: u64| Err(Failure::from("out of memory"));
        let error = run(&AtomicBool::new(false), &mut fail, 3).unwrap_err().to_string();
        assert!(error.contains("out of memory") && error.contains("prompt"), "{error}");
        let result = run(&AtomicBool::new(true), &mut fail, 3);
        assert!(matches!(result, Err(EvalError::Interrupted { done: 0, total: 3 })));
        let result = run(&AtomicBool::new(false), &mut fail, 0);
        assert!(matches!(result, Err(EvalError::NoPrompts)));
        let stop = AtomicBool::new(false);
        let mut stopped = |_: &str, _: u64| {
            stop.store(true, Ordering::Relaxed);
            Err(Failure::from("cancelled"))
        };
        assert!(matches!(run(&stop, &mut stopped, 3), Err(EvalError::Interrupted { done: 0, total: 3 })));
    }

    #[test]
    fn equal_languages_differ_by_chance() {
        // Three shares of 100 throws each, right nine times in ten, again and again.
        let mut random = vidit_data::Random::new(3, 0);
        let mut share = || (0..100).filter(|_| random.chance(0.9)).count() as f64 / 100.0;
        let range = |_| {
            let shares = [share(), share(), share()];
            shares.into_iter().fold(0.0, f64::max) - shares.into_iter().fold(1.0, f64::min)
        };
        let seen = (0..2000).map(range).sum::<f64>() / 2000.0;
        let all = Scores { object: 0.9, background: 1.0, ..Scores::default() };
        let expected = gap_by_chance(&all, 100, 3);
        assert!((seen - expected.object).abs() < 0.002, "{seen}, {expected:?}");
        assert_eq!((expected.background, gap_by_chance(&all, 100, 1).object), (0.0, 0.0));
    }
}
