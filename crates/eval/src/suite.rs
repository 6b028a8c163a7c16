//! What suites share: cases of scenes that training never saw, and clips made of them one after the other.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use vidit_data::{Description, Pack, Random, Scene, Split, prompt_with_phrases};
use vidit_pipeline::Request;
use vidit_video::{Frames, PixelShape};

use crate::foreground::track;
use crate::{EvalError, EvalOptions, EvalProgress, Judge};

/// Cases of each part when no limit is asked for.
pub const CASES: usize = 60;

/// Makes a clip of a request.
pub type Make<'a> = &'a mut dyn FnMut(Request) -> Result<Frames, Box<dyn Error + Send + Sync>>;

impl EvalOptions {
    /// How many cases of each part.
    pub(crate) fn cases(&self) -> Result<usize, EvalError> {
        match self.limit.unwrap_or(CASES) {
            0 => Err(EvalError::NoPrompts),
            cases => Ok(cases),
        }
    }
}

/// Makes frames of frames: those that come back from a VAE.
pub type Remake<'a> = &'a mut dyn FnMut(&Frames) -> Result<Frames, Box<dyn Error + Send + Sync>>;

/// A suite at work.
pub(crate) struct Suite<'a> {
    pub pack: &'a Pack,
    pub judge: &'a Judge,
    /// What every clip is drawn with.
    pub request: &'a Request,
    pub make: Make<'a>,
    pub seed: u64,
    pub stop: &'a AtomicBool,
    pub on_progress: &'a mut dyn FnMut(EvalProgress),
    pub done: usize,
    pub total: usize,
}

impl Suite<'_> {
    /// One generation, which is counted.
    pub fn make(&mut self, request: Request) -> Result<Frames, EvalError> {
        self.go_on()?;
        let prompt = request.prompt.clone();
        let made = (self.make)(request);
        // A generation that was told to stop fails, which is no failure to report.
        self.go_on()?;
        let made = made.map_err(|source| EvalError::Generate { prompt, source })?;
        self.done += 1;
        (self.on_progress)(EvalProgress { done: self.done, total: self.total });
        Ok(made)
    }

    /// An error when the suite is to stop.
    pub fn go_on(&self) -> Result<(), EvalError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(EvalError::Interrupted { done: self.done, total: self.total }),
            false => Ok(()),
        }
    }

    /// The request of a case.
    pub fn asked(&self, prompt: String, shape: PixelShape, random: &mut Random) -> Request {
        Request { prompt, shape, seed: Some(random.bits()), ..self.request.clone() }
    }

    pub fn object(&self, frames: &Frames) -> Option<usize> {
        self.judge.object(frames, &track(frames))
    }
}

/// A held-out scene, what is said of it in its language, and what further choices of the case are drawn from.
pub(crate) fn held_out(pack: &Pack, seed: u64, part: u64, case: usize) -> (Scene, Description, Random) {
    let mut random = random(seed, part, case);
    let scene = Scene::sample(pack, random.bits(), case as u64, Split::HeldOut);
    let said = prompt_with_phrases(pack, &scene, scene.language, random.bits());
    (scene, said, random)
}

/// What a case of a part is drawn from.
pub(crate) fn random(seed: u64, part: u64, case: usize) -> Random {
    Random::new(seed ^ part << 32, case as u64)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
