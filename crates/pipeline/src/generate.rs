use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use vidit_diffusion::sampler::{Known, draw, per_frame, steps_of};
use vidit_diffusion::{guidance, noise, schedule};
use vidit_models::conditioning::{Conditioning, Timesteps};
use vidit_models::mini::boxes::{
    BoxAdapter, BoxControl, BoxTokens, LatentBoxes, latent_boxes, phrase_summaries,
};
use vidit_models::mini::transformer::Transformer;
use vidit_models::mini::vae::DecoderMemory;
use vidit_models::pixels::{byte_from_unit, tensor_from_frames};
use vidit_motion::COLOURS;
use vidit_video::{Frames, LatentShape, PixelShape};

use crate::{Error, Latents, Limits, Model, Provenance, RequestError, ValidRequest};
use crate::{given, seam};

/// Latent frames that are decoded at once; bounds the memory, not the result.
pub(crate) const LATENT_FRAMES_PER_CHUNK: usize = 2;

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Prompt → text embedding.
    Encode,
    /// Noise → latents, counted in sampling steps.
    Denoise,
    /// Latents → frames, counted in latent frames.
    Decode,
}

/// How far a stage is. Every stage reports once with nothing done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which stage.
    pub stage: Stage,
    /// What is done of it.
    pub done: usize,
    /// What there is to do.
    pub total: usize,
}

/// How long the stages took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Text encoder.
    pub encode: Duration,
    /// Sampler and denoiser.
    pub denoise: Duration,
    /// VAE.
    pub decode: Duration,
}

/// A finished clip.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The clip.
    pub frames: Frames,
    /// Its latents, as the VAE decodes them.
    pub latents: Latents,
    /// How long it took.
    pub timings: Timings,
}

/// Makes the clip that was asked for. `request` was validated for this `model`.
///
/// A function of model and request alone: the number of threads changes no bit. `cancel` is read before every call of a
/// network.
///
/// # Errors
/// [`Error::Cancelled`] when `cancel` is raised, [`Error::NotFinite`] when the sampler runs away.
pub fn generate(
    model: &Model,
    request: &ValidRequest,
    mut on_progress: impl FnMut(Progress),
    cancel: &AtomicBool,
) -> Result<Generated, Error> {
    let mut timings = Timings::default();
    let started = Instant::now();
    let conditioning = encode(model, request, &mut on_progress);
    timings.encode = started.elapsed();

    let started = Instant::now();
    let latents = denoise(model, request, &conditioning, &mut on_progress, cancel)?;
    let provenance = Provenance {
        prompt: Some(request.prompt()),
        seed: Some(request.seed()),
        model: Some(model.name().to_owned()),
        fps: Some(request.request.fps),
    };
    let latents = Latents::from_tensor(latents, provenance);
    if !latents.is_finite() {
        return Err(Error::NotFinite);
    }
    timings.denoise = started.elapsed();

    let started = Instant::now();
    let frames = decode(model, &latents, &mut on_progress, cancel)?;
    timings.decode = started.elapsed();
    Ok(Generated { frames, latents, timings })
}

/// Decodes latents that [`Latents::write`] kept.
///
/// # Errors
/// If they are not the model's, above a limit, or `cancel` is raised.
pub fn decode_latents(
    model: &Model,
    latents: &Latents,
    limits: &Limits,
    mut on_progress: impl FnMut(Progress),
    cancel: &AtomicBool,
) -> Result<Frames, Error> {
    latents.check(model, limits)?;
    decode(model, latents, &mut on_progress, cancel)
}

/// Frames → latents → frames: what the model's VAE keeps of a clip. Sizes must lie on the model's grid.
///
/// # Errors
/// If they do not, or `cancel` is raised.
pub fn reconstruct(model: &Model, frames: &Frames, cancel: &AtomicBool) -> Result<Frames, Error> {
    model.compression().latent_from_pixel(frames.shape()).map_err(RequestError::from)?;
    check(cancel)?;
    let pixels = tensor_from_frames(std::slice::from_ref(frames), &model.device); // [1, Fp, Hp, Wp, 3]
    let latents = model.mini.vae.encode(pixels).mean; // [1, F, H, W, C]
    decode_chunks(model, latents, frames.shape(), |_| {}, cancel)
}

/// Whether guidance needs a prediction without the prompt: at scale 1 it would cancel out.
fn is_guided(request: &ValidRequest) -> bool {
    request.request.guidance() != 1.0
}

/// The prompt and, for guidance, the negative one behind it.
fn encode(model: &Model, request: &ValidRequest, on_progress: &mut impl FnMut(Progress)) -> Conditioning {
    let mut report = |done| on_progress(Progress { stage: Stage::Encode, done, total: 1 });
    report(0);
    let mut prompts = vec![request.prompt_tokens.clone()];
    if is_guided(request) {
        prompts.push(request.negative_tokens.clone());
    }
    let text = model.mini.denoiser.text.forward(&prompts);
    let adapter = model.boxes.as_ref().filter(|_| !request.request.guides.is_empty());
    let boxes = adapter.map(|adapter| control(model, adapter, request));
    report(1);
    Conditioning { text, boxes }
}

/// Control tokens of the boxes, and for guidance null tokens behind them.
fn control(model: &Model, adapter: &BoxAdapter, request: &ValidRequest) -> BoxControl {
    let (guides, frames) = (&request.request.guides, request.latent.frames);
    let boxes: Vec<Vec<LatentBoxes>> =
        guides.iter().map(|guide| latent_boxes(guide, model.compression().time)).collect();
    let phrases = [std::array::from_fn(|object| {
        let phrase = guides.get(object).map(|guide| guide.phrase.as_str());
        phrase.filter(|phrase| !phrase.trim().is_empty()).map(|phrase| model.prompt_tokens(phrase))
    })];
    let tokens = BoxTokens::new(
        [1, frames],
        |_, frame, object| boxes.get(object).and_then(|boxes| boxes[frame]),
        |_, object| COLOURS[object],
        phrase_summaries(&model.mini.denoiser.text, model.text_width(), &phrases, &model.device),
        &model.device,
    );
    let with = adapter.control(&tokens);
    if !is_guided(request) {
        return with;
    }
    let without = with.without(1, frames);
    with.and(without)
}

/// Velocity of `x [B, F, H, W, C]`, whose frames have these noise levels. With a guidance `scale` the conditioning holds `B` prompts
/// and behind them as many to move away from, without one `B` prompts alone; what it holds of more latent frames than `x` has
/// counts for the first of them.
pub fn guided_velocity(
    transformer: &Transformer,
    x: Tensor<5>,
    levels: &[f32],
    conditioning: &Conditioning,
    scale: Option<f32>,
) -> Tensor<5> {
    let batch = x.dims()[0];
    let device = x.device();
    let timesteps = |batch| Timesteps::of_frames(levels, batch, &device);
    let conditioning = &conditioning.of_first_frames(levels.len());
    let Some(scale) = scale else { return transformer.predict(x, &timesteps(batch), conditioning) };
    let both = Tensor::cat(vec![x.clone(), x], 0); // [2B, F, H, W, C]
    let velocity = transformer.predict(both, &timesteps(2 * batch), conditioning);
    let (conditional, unconditional) =
        (velocity.clone().narrow(0, 0, batch), velocity.narrow(0, batch, batch));
    guidance::classifier_free(conditional, unconditional, scale)
}

/// Noise → latents `[1, F, H, W, C]` as the VAE decodes them.
fn denoise(
    model: &Model,
    request: &ValidRequest,
    conditioning: &Conditioning,
    on_progress: &mut impl FnMut(Progress),
    cancel: &AtomicBool,
) -> Result<Tensor<5>, Error> {
    let asked = &request.request;
    let LatentShape { channels, frames, height, width } = request.latent;
    let noise = match &asked.noise {
        Some(noise) => noise.tensor(&model.device),
        None => noise::normal([1, frames, height, width, channels], request.seed(), &model.device),
    };
    check(cancel)?;
    let known = if asked.given.is_empty() {
        Known::nothing(&noise)
    } else {
        given::known(model, &asked.given, request.latent)
    };
    let transformer = &model.mini.denoiser.transformer;
    let scale = is_guided(request).then_some(asked.guidance());
    let remade = asked.mask.as_ref().map(|mask| mask.cells(model, request.latent)); // [1, 1, H, W, 1]
    let predict = |x: Tensor<5>, levels: &[f32]| -> Result<Tensor<5>, Error> {
        check(cancel)?;
        let velocity = guided_velocity(transformer, x.clone(), levels, conditioning, scale);
        let Some(remade) = &remade else { return Ok(velocity) };
        // Outside of a mask everything flows back to what it was: straight along ε − x0.
        let back = flow_to(known.clean.clone().narrow(1, 0, levels.len()), x, levels);
        Ok(back.clone() + (velocity - back) * remade.clone())
    };
    let sigmas = schedule::sigmas(asked.steps, asked.shift);
    let total = steps_of(&known, &sigmas);
    let mut report = |done| on_progress(Progress { stage: Stage::Denoise, done, total });
    report(0);
    let latents = draw(asked.sampler(), noise, &known, &sigmas, request.seed(), predict, report)?;
    Ok(model.mini.denormalise(latents))
}

/// The velocity from which `x [B, F, H, W, C]`, noised to these levels, becomes `clean`: `(x − x0) / σ`, nothing where the level is 0.
fn flow_to(clean: Tensor<5>, x: Tensor<5>, levels: &[f32]) -> Tensor<5> {
    let inverse: Vec<f32> =
        levels.iter().map(|level| if *level > 0.0 { level.recip() } else { 0.0 }).collect();
    let inverse = per_frame(&inverse, &x.device()); // [1, F, 1, 1, 1]
    (x - clean) * inverse
}

/// Latents → frames, latent frames joined, with word of how far it is.
fn decode(
    model: &Model,
    latents: &Latents,
    on_progress: &mut impl FnMut(Progress),
    cancel: &AtomicBool,
) -> Result<Frames, Error> {
    let pixel = model.compression().pixel_from_latent(latents.shape());
    let total = latents.shape().frames;
    let report = |done| on_progress(Progress { stage: Stage::Decode, done, total });
    let mut frames = decode_chunks(model, latents.tensor(&model.device), pixel, report, cancel)?;
    seam::within(&mut frames, &mut |frames| reconstruct(model, frames, cancel))?;
    Ok(frames)
}

/// Latents `[1, F, H, W, C]` → frames of shape `pixel`, a few latent frames at a time; `report` hears how many are done.
fn decode_chunks(
    model: &Model,
    latents: Tensor<5>,
    pixel: PixelShape,
    mut report: impl FnMut(usize),
    cancel: &AtomicBool,
) -> Result<Frames, Error> {
    let total = latents.dims()[1];
    let mut memory = DecoderMemory::default();
    let mut rgb = Vec::with_capacity(pixel.pixels() * 3);
    report(0);
    for start in (0..total).step_by(LATENT_FRAMES_PER_CHUNK) {
        check(cancel)?;
        let count = LATENT_FRAMES_PER_CHUNK.min(total - start);
        let pixels = model.mini.vae.decode_next(latents.clone().narrow(1, start, count), &mut memory); // [1, Fp, Hp, Wp, 3]
        rgb.extend(pixels.into_data().iter::<f32>().map(byte_from_unit));
        report(start + count);
    }
    Ok(Frames::from_rgb(pixel, rgb))
}

fn check(cancel: &AtomicBool) -> Result<(), Error> {
    if cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{model, model_with_boxes};
    use crate::{Request, Sampler};
    use vidit_motion::{BoxKind, BoxScript, Keyframe, ObjectScript};
    use vidit_video::PixelShape;

    fn request(prompt: &str, seed: u64) -> Request {
        let shape = PixelShape::new(13, 32, 48);
        Request { shape, seed: Some(seed), steps: 3, ..Request::new(prompt) }
    }

    fn make(model: &Model, request: Request) -> Generated {
        let valid = request.validate(model, &Limits::default()).unwrap();
        generate(model, &valid, |_| {}, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn the_seed_decides_and_threads_do_not() {
        let model = model();
        let on = |threads: usize, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| make(&model, request("a cat walks", seed)))
        };
        let (one, two, other) = (on(1, 5), on(2, 5), on(2, 6));
        assert_eq!(one.latents, two.latents);
        assert_eq!(one.frames, two.frames);
        assert_ne!(two.frames, other.frames);
        assert_eq!(one.frames.shape(), PixelShape::new(13, 32, 48));
    }

    #[test]
    fn prompt_negative_guidance_and_sampler_all_reach_the_clip() {
        let model = model();
        let latents = |change: fn(&mut Request)| {
            let mut request = request("a cat walks", 5);
            change(&mut request);
            make(&model, request).latents.values().to_vec()
        };
        let base = latents(|_| {});
        for (what, change) in [
            ("prompt", (|r| r.prompt = "a dog".into()) as fn(&mut Request)),
            ("negative", |r| r.negative = "a dog".into()),
            ("guidance", |r| r.guidance = Some(2.0)),
            ("sampler", |r| r.sampler = Some(Sampler::Heun)),
            ("noise on the way", |r| r.sampler = Some(Sampler::Ancestral)),
            ("steps", |r| r.steps = 4),
            ("shift", |r| r.shift = 1.0),
        ] {
            assert_ne!(latents(change), base, "{what} changes nothing");
        }
        // Without guidance the negative prompt has no say.
        let unguided = latents(|r| r.guidance = Some(1.0));
        assert_eq!(latents(|r| (r.guidance, r.negative) = (Some(1.0), "a dog".into())), unguided);
        // u + 1·(c − u) = c, up to the rounding of the sum.
        let nearly = latents(|r| r.guidance = Some(1.000_001));
        assert!(nearly.iter().zip(&unguided).all(|(a, b)| (a - b).abs() < 1e-2));
    }

    #[test]
    fn saved_latents_decode_to_the_same_clip() {
        let model = model();
        let made = make(&model, request("a cat walks", 5));
        let mut heard = Vec::new();
        let frames = decode_latents(
            &model,
            &made.latents,
            &Limits::default(),
            |p| heard.push(p.done),
            &AtomicBool::new(false),
        );
        assert_eq!(frames.unwrap(), made.frames);
        assert_eq!(heard, [0, 2, 4]);
        assert_eq!(made.latents.provenance.seed, Some(5));
    }

    #[test]
    fn boxes_steer_and_an_adapter_without_them_does_not() {
        let model = model_with_boxes();
        let plain = make(&model, request("a cat walks", 5)).latents;
        assert_eq!(plain, make(&crate::fixtures::model(), request("a cat walks", 5)).latents);
        let script = |x1: f32, phrase: &str| {
            let keyframes = [0, 12].map(|frame| Keyframe {
                frame,
                corners: [x1, 0.2, x1 + 0.4, 0.8],
                kind: BoxKind::Hard,
            });
            let (id, phrase) = ("cat".to_owned(), phrase.to_owned());
            BoxScript {
                boxes: vec![ObjectScript { id, phrase, keyframes: keyframes.to_vec(), path: vec![] }],
            }
        };
        let steered = |script: BoxScript, guidance| {
            let guides = script.guides(13).unwrap();
            make(&model, Request { guides, guidance, ..request("a cat walks", 5) }).latents
        };
        let left = steered(script(0.1, ""), None);
        assert_ne!(left, plain);
        assert_ne!(left, steered(script(0.5, ""), None));
        assert_ne!(left, steered(script(0.1, "cat"), None));
        assert_ne!(left, steered(script(0.1, ""), Some(1.0)));
        assert_eq!(left, steered(script(0.1, ""), Some(Request::GUIDANCE_IN_BOXES)));
        let drawn_by = |sampler| {
            let guides = script(0.1, "").guides(13).unwrap();
            make(&model, Request { guides, sampler: Some(sampler), ..request("a cat walks", 5) }).latents
        };
        assert_eq!(left, drawn_by(Request::SAMPLER_IN_BOXES));
        assert_ne!(left, drawn_by(Request::SAMPLER));
        let ask = |frames, model: &Model| {
            let guides = script(0.1, "").guides(frames).unwrap();
            Request { guides, ..request("a cat", 1) }.validate(model, &Limits::default()).unwrap_err()
        };
        assert_eq!(ask(13, &crate::fixtures::model()), RequestError::NoBoxAdapter);
        assert!(ask(17, &model).to_string().contains("17 frames, the clip has 13"));
    }

    #[test]
    fn given_noise_replaces_the_seed() {
        let model = model();
        let noise = make(&model, request("a dog", 9)).latents;
        let from = |noise: &Latents, seed| {
            make(&model, Request { noise: Some(noise.clone()), ..request("a cat walks", seed) }).frames
        };
        assert_eq!(from(&noise, 1), from(&noise, 2));
        assert_ne!(from(&noise, 1), make(&model, request("a cat walks", 1)).frames);
        let small = Request { shape: PixelShape::new(13, 32, 32), noise: Some(noise), ..request("a cat", 1) };
        let error = small.validate(&model, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("[4, 4, 4, 3], found `[4, 4, 6, 3]`"), "{error}");
    }

    #[test]
    fn cancelling_stops_at_the_next_call() {
        let model = model();
        let valid = request("a cat walks", 5).validate(&model, &Limits::default()).unwrap();
        for stage in [Stage::Denoise, Stage::Decode] {
            let cancel = AtomicBool::new(false);
            let mut last = None;
            let on_progress = |progress: Progress| {
                last = Some(progress);
                if progress.stage == stage && progress.done > 0 {
                    cancel.store(true, Ordering::Relaxed);
                }
            };
            let error = generate(&model, &valid, on_progress, &cancel).unwrap_err();
            assert!(matches!(error, Error::Cancelled));
            let last = last.unwrap();
            assert_eq!((last.stage, last.done), (stage, if stage == Stage::Denoise { 1 } else { 2 }));
        }
    }
}
