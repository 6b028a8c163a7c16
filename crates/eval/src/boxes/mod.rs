//! The suite for boxes: does an object go where it is told to?
//!
//! Every case is a held-out scene. Its composed clip says where its objects are on the first and on the last frame; those boxes
//! are asked for as a person asks for them, by a [`BoxScript`], which interpolates, relaxes and softens what lies between. Of an
//! object that comes into the frame or goes out, a line along the border is asked for where that happens. The
//! first frame is not given. The same prompts and seeds are drawn without boxes, too, and beside every number stands the same of
//! the composed clips, the most that the measurement can give, and of the same through the VAE, the most that a denoiser can give
//! with it.
//!
//! Average precision follows the protocol of Boximator (Wang et al. 2024, section 5): what is tracked through all frames is compared
//! on the first and on the last one with the true boxes, over all clips at once. Where it differs: the tracker is
//! [`foreground::track`](crate::foreground::track), which knows plain backgrounds, finds one object and looks at each frame for
//! itself; and confidence is the judge's probability of the object that the prompt names. Theirs is how well a detection fits the
//! phrase that the detector was given, which asks the same; that something stands out from a plain background is never in doubt.

mod cases;
mod measures;
mod precision;
mod report;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use vidit_data::Pack;
use vidit_models::mini::DEFAULT_SHAPE;
use vidit_motion::Guide;
use vidit_pipeline::Request;
use vidit_video::Frames;

use crate::suite::Suite;
use crate::{EvalError, EvalOptions, EvalProgress, Judge, Make, Makers};
use cases::Case;
use measures::{Look, LookAtPassing, LookAtSeveral};
pub use precision::{Detection, Precision, average_precision};
pub use report::{BoxesReport, Compared, Crossed, Followed, Passed};

/// Generations of a case of one object, one of two, one that passes the border and one of three: by text alone, with boxes, and of
/// the first without the soft ones.
const PASSES: usize = 9;
/// Those by a second adapter: with boxes alone.
const PASSES_OF_SECOND: usize = 4;

/// Scores a model with a box adapter. `request` is what every clip is drawn with; `without_self_tracking` draws like
/// [`Makers::make`] by an adapter that was trained without outlines painted into what it learned, if there is one.
///
/// # Errors
/// The first error of `makers`, and when `stop` is raised: nothing is reported of a part.
pub fn evaluate_boxes(
    pack: &Pack,
    judge: &Judge,
    request: &Request,
    makers: Makers,
    without_self_tracking: Option<Make>,
    options: &EvalOptions,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(EvalProgress),
) -> Result<BoxesReport, EvalError> {
    let started = Instant::now();
    let (cases, seed) = (options.cases()?, options.seed);
    let Makers { make, again } = makers;
    let passes = PASSES + without_self_tracking.as_ref().map_or(0, |_| PASSES_OF_SECOND);
    let mut suite =
        Suite { pack, judge, request, make, seed, stop, on_progress, done: 0, total: passes * cases };
    let of_one = suite.cases(cases, Case::alone)?;
    let of_two = suite.cases(cases, Case::crossing)?;
    let of_passing = suite.cases(cases, Case::passing)?;
    let of_three = suite.cases(cases, Case::crowd)?;

    let mut through_vae = |case: &Case, pack: &Pack| {
        let clip = case.frames(pack);
        again(&clip).map_err(|source| EvalError::Reconstruct { object: case.objects(pack), source })
    };
    let mut alone = suite.compared(&of_one, Look::at, Followed::of, &mut through_vae)?;
    let looks = suite.looks(&of_one, Case::guided_at_keyframes, Look::at)?;
    alone.without_soft = Some(Followed::of(&looks));
    let mut crossing = suite.compared(&of_two, LookAtSeveral::at, Crossed::of, &mut through_vae)?;
    let mut passing = suite.compared(&of_passing, LookAtPassing::at, Passed::of, &mut through_vae)?;
    let mut crowd = suite.compared(&of_three, LookAtSeveral::at, Crossed::of, &mut through_vae)?;
    let in_each_other_s_place = |case: &Case, pack: &Pack| Ok(case.frames_exchanged(pack));
    let exchanged =
        Crossed::of(&suite.looks_at_real(&of_two, in_each_other_s_place, LookAtSeveral::at)?).both;
    if let Some(make) = without_self_tracking {
        suite.make = make;
        let looks = suite.looks(&of_one, Case::guided, Look::at)?;
        alone.without_self_tracking = Some(Followed::of(&looks));
        let looks = suite.looks(&of_two, Case::guided, LookAtSeveral::at)?;
        crossing.without_self_tracking = Some(Crossed::of(&looks));
        let looks = suite.looks(&of_passing, Case::guided, LookAtPassing::at)?;
        passing.without_self_tracking = Some(Passed::of(&looks));
        let looks = suite.looks(&of_three, Case::guided, LookAtSeveral::at)?;
        crowd.without_self_tracking = Some(Crossed::of(&looks));
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(BoxesReport { cases, seed, alone, crossing, passing, crowd, exchanged, seconds })
}

impl Suite<'_> {
    fn cases(&self, count: usize, case: fn(&Pack, u64, usize) -> Case) -> Result<Vec<Case>, EvalError> {
        let all = (0..count).map(|index| self.go_on().map(|()| case(self.pack, self.seed, index)));
        all.collect()
    }

    /// What every part compares: composed clips as they are and through the VAE, and generations without boxes and with them.
    fn compared<L, T>(
        &mut self,
        cases: &[Case],
        look: fn(&Judge, &Case, &Frames) -> L,
        of: fn(&[L]) -> T,
        through_vae: &mut impl FnMut(&Case, &Pack) -> Result<Frames, EvalError>,
    ) -> Result<Compared<T>, EvalError> {
        let as_it_is = |case: &Case, pack: &Pack| Ok(case.frames(pack));
        Ok(Compared {
            real: of(&self.looks_at_real(cases, as_it_is, look)?),
            rebuilt: of(&self.looks_at_real(cases, through_vae, look)?),
            text: of(&self.looks(cases, Case::free, look)?),
            boxes: of(&self.looks(cases, Case::guided, look)?),
            without_soft: None,
            without_self_tracking: None,
        })
    }

    /// What is seen in a generation of each case.
    fn looks<L>(
        &mut self,
        cases: &[Case],
        guides: fn(&Case) -> Vec<Guide>,
        look: fn(&Judge, &Case, &Frames) -> L,
    ) -> Result<Vec<L>, EvalError> {
        let looks = cases.iter().map(|case| {
            let (prompt, seed) = (case.prompt.clone(), Some(case.seed));
            let guides = guides(case);
            let asked = Request { prompt, seed, guides, shape: DEFAULT_SHAPE, ..self.request.clone() };
            Ok(look(self.judge, case, &self.make(asked)?))
        });
        looks.collect()
    }

    /// What is seen in a composed clip of each case.
    fn looks_at_real<L>(
        &self,
        cases: &[Case],
        mut frames: impl FnMut(&Case, &Pack) -> Result<Frames, EvalError>,
        look: fn(&Judge, &Case, &Frames) -> L,
    ) -> Result<Vec<L>, EvalError> {
        let looks = cases.iter().map(|case| {
            self.go_on()?;
            Ok(look(self.judge, case, &frames(case, self.pack)?))
        });
        looks.collect()
    }
}

#[cfg(test)]
mod tests;
