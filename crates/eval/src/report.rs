//! What an evaluation came to, for machines (serde) and for people (`Display`).

use std::fmt;

use serde::{Deserialize, Serialize};
use vidit_data::Language;

/// How many of some clips show what they should; fractions in 0..=1, higher is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Clips that were scored.
    pub clips: usize,
    /// The object is the one named.
    pub object: f64,
    /// It moves as told.
    pub motion: f64,
    /// The background has the colour asked for.
    pub background: f64,
    /// All three at once.
    pub all_three: f64,
}

impl Scores {
    /// From one `[object, motion, background]` a clip: which of them are right.
    pub(crate) fn of(right: impl Iterator<Item = [bool; 3]>) -> Self {
        let (mut clips, mut sums) = (0, [0usize; 4]);
        for clip in right {
            clips += 1;
            for (sum, right) in sums.iter_mut().zip(clip.into_iter().chain([clip == [true; 3]])) {
                *sum += usize::from(right);
            }
        }
        let [object, motion, background, all_three] = sums.map(|sum| sum as f64 / clips.max(1) as f64);
        Self { clips, object, motion, background, all_three }
    }

    pub(crate) fn columns(&self) -> [f64; 4] {
        [self.object, self.motion, self.background, self.all_three]
    }
}

/// How many of some clips show what they should.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Clips that were scored.
    pub clips: usize,
    /// In 0..=1, higher is better.
    pub share: f64,
}

impl Share {
    pub(crate) fn of(right: &[bool]) -> Self {
        let share = right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
        Self { clips: right.len(), share }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1} %", 100.0 * self.share))
    }
}

/// Scores of the prompts in one language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageScores {
    /// The language.
    pub language: Language,
    /// Its scores.
    pub scores: Scores,
    /// The most frequent mistakes in objects: a name that is always taken for another is not understood.
    #[serde(default)]
    pub object_mistakes: Vec<Mistake>,
}

/// What clips score that have nothing to do with their prompts, when all names are equally frequent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// One in the number of objects.
    pub object: f64,
    /// One in ten.
    pub motion: f64,
    /// One in ten.
    pub background: f64,
    /// The product.
    pub all_three: f64,
}

/// Peak signal-to-noise ratios of reconstructed real clips in decibels, each from the mean squared error over all
/// frames; higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Psnr {
    /// Clips that were reconstructed.
    pub clips: usize,
    /// Mean over the clips.
    pub mean_db: f64,
    /// The worst clip.
    pub min_db: f64,
}

/// Something taken for something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// What the prompt named.
    pub wanted: String,
    /// What the judge saw; `None` is nothing.
    pub seen: Option<String>,
    /// In how many clips.
    pub clips: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {} ({})", self.seen.as_deref().unwrap_or("nothing"), self.wanted, self.clips)
    }
}

/// The result of [`evaluate`](crate::evaluate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MiniReport {
    /// Held-out prompts, and generated clips.
    pub prompts: usize,
    /// The seed that chose prompts and noise.
    pub seed: u64,
    /// Generated clips against their own prompts.
    pub generated: Scores,
    /// The same by language.
    pub languages: Vec<LanguageScores>,
    /// Per score, the best language's less the worst one's; `clips` are those of the smallest language.
    pub language_gap: Scores,
    /// How large that difference is on average where there is none, from prompts as many and right as often: less than a few times this
    /// says nothing about languages.
    #[serde(default)]
    pub language_gap_by_chance: Scores,
    /// Real clips of the very same combinations: the most that the judge can give.
    pub real: Scores,
    /// The same clips encoded and decoded by the model's VAE: the most that its denoiser can give.
    pub rebuilt: Scores,
    /// The same by language: objects of one language's prompts may be harder to draw than another's.
    #[serde(default)]
    pub rebuilt_languages: Vec<LanguageScores>,
    /// Generated clips against the prompts of all others, the mean over every way to shuffle; it must be near
    /// [`MiniReport::chance`]. `None` for a single prompt.
    pub shuffled: Option<Scores>,
    /// What clips score that have nothing to do with their prompts.
    pub chance: Chance,
    /// How well the VAE reconstructs the real clips.
    pub vae_psnr: Psnr,
    /// Generated clips in which nothing stands out from the background: wrong object, wrong motion.
    pub empty_clips: usize,
    /// The most frequent mistakes in objects.
    pub object_mistakes: Vec<Mistake>,
    /// The most frequent mistakes in motions.
    pub motion_mistakes: Vec<Mistake>,
    /// Seconds in all.
    pub seconds: f64,
}

impl fmt::Display for MiniReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} held-out prompts, seed {}, {:.0} s", self.prompts, self.seed, self.seconds)?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<24}{:>6}{:>9}{:>9}{:>12}{:>11}",
            "%", "clips", "object", "motion", "background", "all three"
        )?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, clips: &str, columns: [f64; 4]| {
            let [object, motion, background, all] = columns.map(|share| 100.0 * share);
            writeln!(f, "{name:<24}{clips:>6}{object:>9.1}{motion:>9.1}{background:>12.1}{all:>11.1}")
        };
        let scores = |f: &mut fmt::Formatter<'_>, name: &str, scores: &Scores| {
            row(f, name, &scores.clips.to_string(), scores.columns())
        };
        scores(f, "generated", &self.generated)?;
        for language in &self.languages {
            scores(f, &format!("  {}", language.language.code()), &language.scores)?;
        }
        row(f, "  largest difference", "", self.language_gap.columns())?;
        row(f, "  the same by chance", "", self.language_gap_by_chance.columns())?;
        scores(f, "real clips", &self.real)?;
        scores(f, "  through the VAE", &self.rebuilt)?;
        for language in &self.rebuilt_languages {
            scores(f, &format!("    {}", language.language.code()), &language.scores)?;
        }
        if let Some(shuffled) = &self.shuffled {
            scores(f, "shuffled prompts", shuffled)?;
        }
        let Chance { object, motion, background, all_three } = self.chance;
        row(f, "chance", "", [object, motion, background, all_three])?;
        writeln!(f)?;
        let Psnr { clips, mean_db, min_db } = self.vae_psnr;
        writeln!(f, "VAE reconstruction of {clips} real clips: PSNR {mean_db:.2} dB, worst {min_db:.2} dB")?;
        if self.empty_clips > 0 {
            writeln!(f, "nothing stands out in {} generated clips", self.empty_clips)?;
        }
        let mistaken = |f: &mut fmt::Formatter<'_>, what: &str, mistakes: &[Mistake]| {
            if mistakes.is_empty() {
                return Ok(());
            }
            let list: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
            writeln!(f, "{what} mistaken most: {}", list.join(", "))
        };
        mistaken(f, "objects", &self.object_mistakes)?;
        for language in &self.languages {
            mistaken(f, &format!("  {}", language.language.code()), &language.object_mistakes)?;
        }
        mistaken(f, "motions", &self.motion_mistakes)?;
        if self.languages.len() > 1 {
            writeln!(
                f,
                "languages were asked for different scenes: `--suite languages` asks for the same in all"
            )?;
        }
        Ok(())
    }
}
