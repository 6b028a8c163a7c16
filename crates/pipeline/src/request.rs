use std::hash::{BuildHasher, Hasher, RandomState};

use vidit_diffusion::sampler::Sampler;
use vidit_models::mini::{DEFAULT_FPS, DEFAULT_SHAPE};
use vidit_motion::{Guide, OBJECTS_MAX, ScriptError};
use vidit_video::{LatentShape, PixelShape};

use crate::{Given, Latents, Limits, Mask, MemoryPlan, Model, RequestError};

/// What somebody asks for, as they said it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the video shows; may be empty where something is given.
    pub prompt: String,
    /// What guidance leads away from; empty for the empty prompt.
    pub negative: String,
    /// Frames and size in pixels.
    pub shape: PixelShape,
    /// Frames a second; changes the file alone.
    pub fps: u32,
    /// Seed of the noise; drawn from the system when not given.
    pub seed: Option<u64>,
    /// Sampling steps.
    pub steps: usize,
    /// Guidance scale: 1 follows the prompt as training did, more exaggerates it. What [`Self::guidance`] says if it is not given.
    pub guidance: Option<f32>,
    /// How noise levels are walked. What [`Self::sampler`] says if it is not given.
    pub sampler: Option<Sampler>,
    /// Moves the levels towards noise for values above 1; see [`vidit_diffusion::schedule::shifted`].
    pub shift: f32,
    /// The noise to start from at σ = 1, instead of one drawn from the seed. Taken as it is.
    pub noise: Option<Latents>,
    /// Frames that are known beforehand. Of two that meet the later one counts.
    pub given: Vec<Given>,
    /// What of given frames is made anew, where that is not all of them.
    pub mask: Option<Mask>,
    /// Where objects are to be, for a model with a box adapter: as many boxes as frames each. None for free ones.
    pub guides: Vec<Guide>,
}

impl Request {
    /// Steps when none are asked for.
    pub const STEPS: usize = 30;
    /// Guidance when none is asked for, and no boxes are.
    pub const GUIDANCE: f32 = 4.0;
    /// Guidance when none is asked for, but boxes are: what exaggerates the prompt drives objects out of them.
    pub const GUIDANCE_IN_BOXES: f32 = 1.5;
    /// The sampler when none is asked for, and no boxes are.
    pub const SAMPLER: Sampler = Sampler::Euler;
    /// The sampler when none is asked for, but boxes are.
    pub const SAMPLER_IN_BOXES: Sampler = Sampler::Ancestral;
    /// The shift when none is asked for.
    pub const SHIFT: f32 = 3.0;

    /// A prompt and defaults for everything else.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            negative: String::new(),
            shape: DEFAULT_SHAPE,
            fps: DEFAULT_FPS,
            seed: None,
            steps: Self::STEPS,
            guidance: None,
            sampler: None,
            shift: Self::SHIFT,
            noise: None,
            given: Vec::new(),
            mask: None,
            guides: Vec::new(),
        }
    }

    /// The guidance scale: what was asked for, else what suits a clip with boxes or without.
    pub fn guidance(&self) -> f32 {
        let usual = if self.guides.is_empty() { Self::GUIDANCE } else { Self::GUIDANCE_IN_BOXES };
        self.guidance.unwrap_or(usual)
    }

    /// The sampler, in the same way.
    pub fn sampler(&self) -> Sampler {
        let usual = if self.guides.is_empty() { Self::SAMPLER } else { Self::SAMPLER_IN_BOXES };
        self.sampler.unwrap_or(usual)
    }

    /// Everything that can be checked before a model is loaded.
    ///
    /// # Errors
    /// The first value that is out of its range.
    pub fn check(&self, limits: &Limits) -> Result<(), RequestError> {
        if self.prompt.trim().is_empty() && self.given.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        check_text("prompt", &self.prompt, limits)?;
        check_text("negative prompt", &self.negative, limits)?;
        limits.check_shape(self.shape)?;
        self.check_sampling(limits)
    }

    /// The part of [`Self::check`] that does not depend on what is asked for, but on how it is drawn.
    ///
    /// # Errors
    /// The first value that is out of its range.
    pub fn check_sampling(&self, limits: &Limits) -> Result<(), RequestError> {
        let out_of_range = |what, range: String, found: String, usual| {
            Err(RequestError::OutOfRange { what, range, found, usual })
        };
        if self.steps == 0 || self.steps > limits.steps_max {
            return out_of_range("steps", format!("1 to {}", limits.steps_max), self.steps.to_string(), "30");
        }
        // Written so that NaN is refused.
        if !(0.0..=limits.guidance_max as f32).contains(&self.guidance()) {
            return out_of_range(
                "guidance",
                format!("0 to {}", limits.guidance_max),
                self.guidance().to_string(),
                "4",
            );
        }
        if !(self.shift > 0.0 && self.shift <= 100.0) {
            return out_of_range("shift", "above 0 and at most 100".to_owned(), self.shift.to_string(), "3");
        }
        if self.fps == 0 || self.fps > limits.fps_max {
            return out_of_range(
                "frames per second",
                format!("1 to {}", limits.fps_max),
                self.fps.to_string(),
                "12",
            );
        }
        Ok(())
    }

    /// The request as stages want it, for this model.
    ///
    /// # Errors
    /// As [`Self::check`]; further if the size is off the model's grid, a prompt is too long for its text encoder, the
    /// noise has another shape, given frames do not fit, or the clip would take more memory than allowed.
    pub fn validate(self, model: &Model, limits: &Limits) -> Result<ValidRequest, RequestError> {
        self.check(limits)?;
        let latent = limits.check_grid(model, self.shape)?;
        let prompt_tokens = tokens("prompt", &self.prompt, model)?;
        let negative_tokens = tokens("negative prompt", &self.negative, model)?;
        if prompt_tokens == model.prompt_tokens("") && self.given.is_empty() {
            return Err(RequestError::NoWords);
        }
        if let Some(noise) = &self.noise
            && noise.shape() != latent
        {
            return Err(RequestError::NoiseShape { expected: latent, found: noise.shape() });
        }
        for given in &self.given {
            given.check(self.shape, model.compression().time)?;
        }
        if let Some(mask) = &self.mask {
            mask.check(self.shape)?;
        }
        if !self.guides.is_empty() && !model.follows_boxes() {
            return Err(RequestError::NoBoxAdapter);
        }
        if self.guides.len() > OBJECTS_MAX {
            return Err(ScriptError::Objects { found: self.guides.len() }.into());
        }
        for guide in &self.guides {
            tokens("phrase of a box", &guide.phrase, model)?;
            if guide.boxes.len() != self.shape.frames {
                let (frames, found) = (self.shape.frames, guide.boxes.len());
                return Err(RequestError::GuideFrames { id: guide.id.clone(), frames, found });
            }
        }
        let memory = model.plan(latent, self.shape);
        if memory.peak_bytes > limits.memory_bytes_max {
            let (found, limit) = (memory.peak_bytes, limits.memory_bytes_max);
            return Err(RequestError::TooMuchMemory { shape: self.shape, found, limit });
        }
        let seed = self.seed.unwrap_or_else(drawn_seed);
        Ok(ValidRequest { request: self, latent, prompt_tokens, negative_tokens, seed, memory })
    }
}

/// A request that a model can fulfil; only [`Request::validate`] makes one.
#[derive(Clone, Debug)]
pub struct ValidRequest {
    pub(crate) request: Request,
    pub(crate) latent: LatentShape,
    pub(crate) prompt_tokens: Vec<u32>,
    pub(crate) negative_tokens: Vec<u32>,
    seed: u64,
    memory: MemoryPlan,
}

impl ValidRequest {
    /// What was asked for.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The prompt on one line: tabs and line breaks are spaces.
    pub fn prompt(&self) -> String {
        one_line(&self.request.prompt)
    }

    /// Frames and size.
    pub fn shape(&self) -> PixelShape {
        self.request.shape
    }

    /// The seed, given or drawn.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How much memory it takes.
    pub fn memory(&self) -> MemoryPlan {
        self.memory
    }
}

fn one_line(text: &str) -> String {
    text.trim().replace(['\n', '\t'], " ")
}

fn check_text(which: &'static str, text: &str, limits: &Limits) -> Result<(), RequestError> {
    if text.len() > limits.prompt_bytes_max {
        return Err(RequestError::PromptBytes { which, found: text.len(), limit: limits.prompt_bytes_max });
    }
    match text.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some((at, found)) => Err(RequestError::ControlCharacter { which, found, at }),
        None => Ok(()),
    }
}

fn tokens(which: &'static str, text: &str, model: &Model) -> Result<Vec<u32>, RequestError> {
    let tokens = model.prompt_tokens(&one_line(text));
    let limit = model.prompt_tokens_max();
    match tokens.len() <= limit {
        true => Ok(tokens),
        false => Err(RequestError::PromptTokens { which, found: tokens.len(), limit }),
    }
}

/// A seed from the system's entropy, short enough to be typed again.
pub fn drawn_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::model;
    use vidit_video::ShapeError;

    /// What is said about a request that differs from a good one by `change`.
    fn refusal(change: impl FnOnce(&mut Request)) -> RequestError {
        let mut request = Request::new("a cat walks");
        change(&mut request);
        request.validate(&model(), &Limits::default()).expect_err("the request is bad")
    }

    #[test]
    fn defaults_are_legal_and_seeds_are_drawn() {
        let model = model();
        let valid = |seed| {
            let request = Request { seed, ..Request::new("a cat\nwalks\t") };
            request.validate(&model, &Limits::default()).unwrap()
        };
        assert_eq!(valid(None).shape(), PixelShape::new(25, 128, 128));
        assert_eq!(valid(None).prompt(), "a cat walks");
        assert_eq!(valid(Some(u64::MAX)).seed(), u64::MAX);
        assert_ne!(valid(None).seed(), valid(None).seed());
        assert!(valid(None).memory().peak_bytes > 0);
    }

    #[test]
    fn boxes_decide_what_is_usual() {
        let usual = |objects: usize| {
            let guide = Guide { id: "a".into(), phrase: String::new(), boxes: vec![None; 25] };
            let request = Request { guides: vec![guide; objects], ..Request::new("a cat walks") };
            (request.guidance(), request.sampler())
        };
        assert_eq!(usual(0), (Request::GUIDANCE, Sampler::Euler));
        assert_eq!([usual(1), usual(2)], [(Request::GUIDANCE_IN_BOXES, Sampler::Ancestral); 2]);
        let asked = Request { guidance: Some(3.0), sampler: Some(Sampler::Heun), ..Request::new("a cat") };
        assert_eq!((asked.guidance(), asked.sampler()), (3.0, Sampler::Heun));
    }

    #[test]
    fn prompts_are_words_of_bounded_length_without_controls() {
        assert_eq!(refusal(|r| r.prompt = " \n".into()), RequestError::EmptyPrompt);
        assert_eq!(refusal(|r| r.prompt = "?!".into()), RequestError::NoWords);
        let bell = refusal(|r| r.prompt = "a \u{7} cat".into());
        assert_eq!(bell, RequestError::ControlCharacter { which: "prompt", found: '\u{7}', at: 2 });
        assert!(bell.to_string().contains("`U+0007` at byte 2"), "{bell}");
        assert!(matches!(refusal(|r| r.negative = "\0".into()), RequestError::ControlCharacter { .. }));
        let long = refusal(|r| r.prompt = "a ".repeat(1001));
        assert_eq!(long, RequestError::PromptBytes { which: "prompt", found: 2002, limit: 2000 });
        let many = refusal(|r| r.negative = "a ".repeat(16));
        assert_eq!(many, RequestError::PromptTokens { which: "negative prompt", found: 17, limit: 16 });
    }

    #[test]
    fn sizes_lie_on_the_grid_and_within_limits() {
        let sized = |frames, height, width| refusal(|r| r.shape = PixelShape::new(frames, height, width));
        assert_eq!(sized(0, 64, 64), RequestError::Shape(ShapeError::NoFrames));
        assert!(matches!(
            sized(16, 64, 64),
            RequestError::Shape(ShapeError::Frames { below: 13, above: 17, .. })
        ));
        assert!(matches!(sized(5, 64, 0), RequestError::Shape(ShapeError::OffGrid { axis: "width", .. })));
        assert!(matches!(sized(5, 100, 64), RequestError::Shape(ShapeError::OffGrid { axis: "height", .. })));
        assert_eq!(
            sized(usize::MAX, 64, 64),
            RequestError::TooLarge { what: "frames", found: usize::MAX, limit: 1025 }
        );
        assert_eq!(sized(5, 64, 1040), RequestError::TooLarge { what: "width", found: 1040, limit: 1024 });
        assert!(matches!(
            sized(401, 1024, 1024),
            RequestError::TooManyTokens { found: 413_696, limit: 16_384, .. }
        ));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let names = |change: fn(&mut Request), expected: &str| {
            let said = refusal(change).to_string();
            assert!(said.starts_with(expected), "{said}");
        };
        names(|r| r.steps = 0, "steps must be 1 to 1000, found `0`");
        names(|r| r.steps = 1001, "steps must be 1 to 1000, found `1001`");
        names(|r| r.guidance = Some(f32::NAN), "guidance must be 0 to 50, found `NaN`");
        names(|r| r.guidance = Some(f32::INFINITY), "guidance must be 0 to 50, found `inf`");
        names(|r| r.guidance = Some(-0.1), "guidance must be 0 to 50, found `-0.1`");
        names(|r| r.shift = 0.0, "shift must be above 0");
        names(|r| r.fps = 0, "frames per second must be 1 to 120, found `0`");
        names(|r| r.fps = 121, "frames per second must be 1 to 120, found `121`");
    }

    #[test]
    fn memory_is_refused_before_the_work() {
        let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
        let error = Request::new("a cat").validate(&model(), &limits).unwrap_err();
        assert!(error.to_string().contains("0.0 GiB allowed"), "{error}");
        assert!(matches!(error, RequestError::TooMuchMemory { limit: 1_048_576, .. }));
    }
}
