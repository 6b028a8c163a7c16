//! The suite for what is done with clips: pairs of objects, first images, extensions, loops, connections, blends, remixes,
//! sizes.
//!
//! Clips that a verb begins with are real ones; what is judged is what the model adds. Everything that a prompt names is a held-out
//! combination, of two objects both. Beside every score stands the same of real clips that show what was asked: the most that the
//! judge can give.

pub mod measures;
mod report;

use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use vidit_data::{Background, Combination, Language, Motion, Pack, Random, Scene, Split, prompt, render};
use vidit_models::mini::DEFAULT_SHAPE;
use vidit_pipeline::{Direction, Request, Wish};
use vidit_video::{Frames, PixelShape};

use crate::foreground::track;
use crate::suite::{Remake, Suite, held_out, mean, random};
use crate::{EvalError, EvalOptions, EvalProgress, Judge, Make, Share, Sighting, psnr};
use measures::{
    PLACES, difference, drift, join_error, largest_step, loop_error, median, steps_by_place,
    track_correlation,
};
pub use report::{Animated, Blended, Connected, Extended, Looped, Paced, Pairs, Remixed, Sized, SoraReport};

/// Frames beside a joint that it is compared with.
const AROUND: usize = 12;
/// New frames of an extension and of a connection.
const NEW: usize = 16;
/// Extensions in a row.
const IN_A_ROW: usize = 5;
/// Sizes beside the default: frames, height, width.
const SIZES: [[usize; 3]; 6] =
    [[25, 96, 160], [25, 160, 96], [25, 64, 64], [1, 128, 128], [9, 128, 128], [49, 128, 128]];

/// What the verbs need of a model.
pub struct Makers<'a> {
    /// Draws a clip.
    pub make: Make<'a>,
    /// Frames through the VAE and back.
    pub again: Remake<'a>,
}

/// Scores a model at all verbs. `request` is what every clip is drawn with.
///
/// # Errors
/// The first error of `makers`, and when `stop` is raised: nothing is reported of a part.
pub fn evaluate_sora(
    pack: &Pack,
    judge: &Judge,
    request: &Request,
    makers: Makers,
    options: &EvalOptions,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(EvalProgress),
) -> Result<SoraReport, EvalError> {
    let started = Instant::now();
    let cases = options.cases()?;
    let long = cases.div_ceil(6);
    // Generations: pairs, images, extensions and those in a row, two loops of two each, connections, blends, remixes, sizes.
    let total = 3 * cases + long * IN_A_ROW + 2 * 2 * cases + 3 * cases + SIZES.len() * cases + cases;
    let Makers { make, again } = makers;
    let suite = Suite { pack, judge, request, make, seed: options.seed, stop, on_progress, done: 0, total };
    let mut suite = Verbs { suite, again };
    let (sizes, paced) = suite.sizes(cases)?;
    Ok(SoraReport {
        cases,
        seed: options.seed,
        pairs: suite.pairs(cases)?,
        animated: suite.animated(cases)?,
        extended: suite.extended(cases, long)?,
        loops: vec![suite.looped(cases, 24)?, suite.looped(cases, 48)?],
        connected: suite.connected(cases)?,
        blended: suite.blended(cases)?,
        remixed: suite.remixed(cases)?,
        sizes,
        paced,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// A suite whose clips are joined to others.
struct Verbs<'a> {
    suite: Suite<'a>,
    again: Remake<'a>,
}

impl<'a> Deref for Verbs<'a> {
    type Target = Suite<'a>;
    fn deref(&self) -> &Suite<'a> {
        &self.suite
    }
}

impl Verbs<'_> {
    fn make(&mut self, request: Request) -> Result<Frames, EvalError> {
        self.suite.make(request)
    }

    fn fulfil(&mut self, wish: &Wish, only_new: bool) -> Result<Frames, EvalError> {
        let made = self.make(wish.request.clone())?;
        let joined = wish.join(&made, only_new, self.again);
        self.go_on()?;
        joined.map_err(|source| EvalError::Generate { prompt: wish.request.prompt.clone(), source })
    }

    /// A held-out scene in its language, and its prompt.
    fn held_out(&self, part: u64, case: usize) -> (Scene, String, Random) {
        let (scene, said, random) = held_out(self.pack, self.seed, part, case);
        (scene, said.text, random)
    }

    /// A scene of two objects, in one language after the other.
    fn pair(&self, case: usize) -> (Scene, Random) {
        let mut random = random(self.seed, 1, case);
        let language = Language::ALL[case % Language::ALL.len()];
        (Scene::sample_pair_held_out(self.pack, random.bits(), case as u64, language), random)
    }

    /// A held-out scene of an object that stays where it is.
    fn still(&self, case: usize) -> (Scene, Random) {
        let mut random = random(self.seed, 4, case);
        loop {
            let scene = Scene::sample(self.pack, random.bits(), case as u64, Split::HeldOut);
            if scene.actors[0].motion == Motion::Still {
                return (scene, random);
            }
        }
    }

    /// A held-out scene, and another that it becomes: by its background in every second case, else by its object.
    fn change(&self, case: usize) -> (Scene, Scene, Random) {
        let mut random = random(self.seed, 8, case);
        loop {
            let scene = Scene::sample(self.pack, random.bits(), case as u64, Split::HeldOut);
            let now = scene.combinations(scene.language)[0];
            // Differs in what changes, and in nothing else.
            let may_become = |other: &&Combination| {
                let changed = match case % 2 {
                    0 => Combination { colour: other.colour, ..now },
                    _ => Combination { object: other.object, ..now },
                };
                changed != now && changed == **other
            };
            let others: Vec<&Combination> = self.pack.held_out().iter().filter(may_become).collect();
            // Of one object with one motion few colours are held out.
            if others.is_empty() {
                continue;
            }
            let becomes = *random.choose(&others);
            let mut other = scene.clone();
            other.actors[0].object = becomes.object;
            if becomes.colour != now.colour {
                other.background = Background::sample(becomes.colour, &mut random);
            }
            return (scene, other, random);
        }
    }

    /// Two objects in one prompt: both where they belong, in halves beside or above one another.
    fn pairs(&mut self, cases: usize) -> Result<Pairs, EvalError> {
        let (mut both, mut one, mut real) = (Vec::new(), Vec::new(), Vec::new());
        for case in 0..cases {
            let (scene, mut random) = self.pair(case);
            let prompt = prompt(self.pack, &scene, scene.language, random.bits());
            let wanted = [scene.actors[0].object, scene.actors[1].object];
            let made = self.make(self.asked(prompt, DEFAULT_SHAPE, &mut random))?;
            let found = self.two(&made, wanted);
            both.push(found == 2);
            one.push(found >= 1);
            real.push(self.two(&render(self.pack, &scene, DEFAULT_SHAPE).frames, wanted) == 2);
        }
        Ok(Pairs { both: Share::of(&both), one: Share::of(&one), real: Share::of(&real) })
    }

    /// How many of two objects are in their halves, by the better way to halve the frame.
    fn two(&self, frames: &Frames, wanted: [usize; 2]) -> usize {
        let shape = frames.shape();
        let halves = |wide: bool| {
            let (height, width) =
                if wide { (shape.height, shape.width / 2) } else { (shape.height / 2, shape.width) };
            [0, 1].map(|half| {
                let (top, left) = if wide { (0, half * width) } else { (half * height, 0) };
                self.object(&cut(frames, top, left, height, width))
            })
        };
        [true, false]
            .into_iter()
            .map(|wide| {
                halves(wide).iter().zip(wanted).filter(|(found, wanted)| **found == Some(*wanted)).count()
            })
            .max()
            .unwrap_or(0)
    }

    /// A real first frame, and what the prompt says of its motion.
    fn animated(&mut self, cases: usize) -> Result<Animated, EvalError> {
        let (mut decibels, mut motion, mut real) = (Vec::new(), Vec::new(), Vec::new());
        for case in 0..cases {
            let (scene, prompt, mut random) = self.held_out(2, case);
            let clip = render(self.pack, &scene, DEFAULT_SHAPE).frames;
            let image = clip.part(0..1);
            let request = self.asked(prompt, DEFAULT_SHAPE, &mut random);
            let made = self.fulfil(&Wish::animate(request, Some(image.clone()), None, vec![]), false)?;
            decibels.push(psnr(&made.part(0..1), &image));
            let goes =
                |frames: &Frames| crate::motion::motion(&track(frames)) == Some(scene.actors[0].motion);
            motion.push(goes(&made));
            real.push(goes(&clip));
        }
        Ok(Animated { first_frame_db: mean(&decibels), motion: Share::of(&motion), real: Share::of(&real) })
    }

    /// A real clip, then another motion of the same object.
    fn extended(&mut self, cases: usize, long: usize) -> Result<Extended, EvalError> {
        let (mut joints, mut object, mut real, mut drifts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for case in 0..cases {
            let (scene, prompt, mut random) = self.held_out(3, case);
            let (before, after) = scene.led_up_to(DEFAULT_SHAPE, random.bits());
            let source = render(self.pack, &before, DEFAULT_SHAPE).frames;
            let request = self.asked(prompt, DEFAULT_SHAPE, &mut random);
            let wish = Wish::extend(request, source, Direction::Forward, NEW);
            let whole = self.fulfil(&wish, false)?;
            joints.push(join_error(&whole, DEFAULT_SHAPE.frames, AROUND));
            let wanted = Some(scene.actors[0].object);
            object.push(self.object(&whole.part(DEFAULT_SHAPE.frames..whole.shape().frames)) == wanted);
            real.push(self.object(&render(self.pack, &after, DEFAULT_SHAPE).frames) == wanted);
        }
        for case in 0..long {
            let (scene, mut random) = self.still(case);
            let (before, _) = scene.led_up_to(DEFAULT_SHAPE, random.bits());
            let mut whole = render(self.pack, &before, DEFAULT_SHAPE).frames;
            for _ in 0..IN_A_ROW {
                // What it does is not looked at: what is, is the background.
                let prompt = prompt(self.pack, &scene, scene.language, random.bits());
                let request = self.asked(prompt, DEFAULT_SHAPE, &mut random);
                let wish = Wish::extend(request, whole, Direction::Forward, NEW);
                whole = self.fulfil(&wish, false)?;
            }
            drifts.push(drift(&whole));
        }
        Ok(Extended {
            join_error: median(&mut joints),
            object: Share::of(&object),
            drift_levels: mean(&drifts),
            real: Share::of(&real),
        })
    }

    /// A loop from a prompt: its image, then the way back to it.
    fn looped(&mut self, cases: usize, frames: usize) -> Result<Looped, EvalError> {
        let (mut joints, mut object, mut moves) = (Vec::new(), Vec::new(), Vec::new());
        for case in 0..cases {
            let (scene, prompt, mut random) = self.held_out(5 + frames as u64, case);
            let request = self.asked(prompt, PixelShape { frames: 1, ..DEFAULT_SHAPE }, &mut random);
            let image = self.make(request.clone())?;
            let made = self.fulfil(&Wish::repeat(request, image, frames), true)?;
            joints.push(loop_error(&made));
            object.push(self.object(&made) == Some(scene.actors[0].object));
            let half = difference(made.frame(0), made.frame(frames / 2));
            moves.push(half);
        }
        Ok(Looped {
            frames,
            join_error: median(&mut joints),
            object: Share::of(&object),
            half_way_levels: mean(&moves),
        })
    }

    /// Two real clips, and what lies between.
    fn connected(&mut self, cases: usize) -> Result<Connected, EvalError> {
        let (mut from_joints, mut to_joints) = (Vec::new(), Vec::new());
        let (mut both, mut real) = (Vec::new(), Vec::new());
        for case in 0..cases {
            let (from, _, mut random) = self.held_out(6, case);
            let (to, prompt, _) = self.held_out(7, case);
            let [a, b] = [&from, &to].map(|scene| render(self.pack, scene, DEFAULT_SHAPE).frames);
            let request = self.asked(prompt, DEFAULT_SHAPE, &mut random);
            let whole =
                self.fulfil(&Wish::connect(request, a.clone(), b.clone(), NEW, Wish::CONNECTED), false)?;
            let at = DEFAULT_SHAPE.frames;
            from_joints.push(join_error(&whole, at, AROUND));
            to_joints.push(join_error(&whole, at + NEW, AROUND));
            let wanted = [from.actors[0].object, to.actors[0].object].map(Some);
            let ends = [at..at + NEW / 4, at + NEW - NEW / 4..at + NEW];
            both.push(ends.map(|range| self.object(&whole.part(range))) == wanted);
            let real_ends = [a.part(at - NEW / 4..at), b.part(0..NEW / 4)];
            real.push(real_ends.map(|part| self.object(&part)) == wanted);
        }
        Ok(Connected {
            join_errors: [median(&mut from_joints), median(&mut to_joints)],
            both: Share::of(&both),
            real: Share::of(&real),
        })
    }

    /// Two real clips, one of which becomes the other.
    fn blended(&mut self, cases: usize) -> Result<Blended, EvalError> {
        let (mut steps, mut both, mut real) = (Vec::new(), Vec::new(), Vec::new());
        for case in 0..cases {
            let (from, _, mut random) = self.held_out(10, case);
            let (to, prompt, _) = self.held_out(11, case);
            let clips = [&from, &to].map(|scene| render(self.pack, scene, DEFAULT_SHAPE).frames);
            let request = self.asked(prompt, DEFAULT_SHAPE, &mut random);
            let made =
                self.fulfil(&Wish::blend(request, &clips[0], &clips[1], Wish::BLENDED, Wish::smooth), false)?;
            steps.push(largest_step(&made));
            let wanted = [&from, &to].map(|scene| Some(scene.actors[0].object));
            let last = DEFAULT_SHAPE.frames;
            let ends = [0..last / 4, last - last / 4..last];
            both.push(ends.clone().map(|range| self.object(&made.part(range))) == wanted);
            real.push([0, 1].map(|end| self.object(&clips[end].part(ends[end].clone()))) == wanted);
        }
        Ok(Blended {
            strength: Wish::BLENDED,
            both: Share::of(&both),
            largest_step: median(&mut steps),
            real: Share::of(&real),
        })
    }

    /// A real clip whose background, or object, becomes another.
    fn remixed(&mut self, cases: usize) -> Result<Remixed, EvalError> {
        let (mut changed, mut kept, mut real) = (Vec::new(), Vec::new(), Vec::new());
        for case in 0..cases {
            let (scene, other, mut random) = self.change(case);
            let clip = render(self.pack, &scene, DEFAULT_SHAPE).frames;
            let prompt = prompt(self.pack, &other, other.language, random.bits());
            let request = self.asked(prompt, DEFAULT_SHAPE, &mut random);
            let made = self.fulfil(&Wish::remix(request, clip.clone(), Wish::REMIXED, None), false)?;
            let as_asked = |frames: &Frames| {
                let seen = Sighting::of(self.judge, frames);
                match case % 2 {
                    0 => seen.background == other.background.colour,
                    _ => seen.object == Some(other.actors[0].object),
                }
            };
            changed.push(as_asked(&made));
            real.push(as_asked(&render(self.pack, &other, DEFAULT_SHAPE).frames));
            kept.push(track_correlation(&track(&clip), &track(&made)));
        }
        Ok(Remixed {
            strength: Wish::REMIXED,
            changed: Share::of(&changed),
            track_correlation: mean(&kept),
            real: Share::of(&real),
        })
    }

    /// The object named, at the default size and at others, and how evenly it moves at the default.
    fn sizes(&mut self, cases: usize) -> Result<(Vec<Sized>, Paced), EvalError> {
        let mut found: Vec<Sized> = Vec::new();
        let mut paced = Paced { steps_levels: [0.0; PLACES], real_levels: [0.0; PLACES] };
        let default = [DEFAULT_SHAPE.frames, DEFAULT_SHAPE.height, DEFAULT_SHAPE.width];
        for [frames, height, width] in [default].into_iter().chain(SIZES) {
            let shape = PixelShape::new(frames, height, width);
            let (mut object, mut real) = (Vec::new(), Vec::new());
            for case in 0..cases {
                let (scene, prompt, mut random) = self.held_out(9, case);
                let made = self.make(self.asked(prompt, shape, &mut random))?;
                let composed = render(self.pack, &scene, shape).frames;
                let wanted = Some(scene.actors[0].object);
                object.push(self.object(&made) == wanted);
                real.push(self.object(&composed) == wanted);
                if found.is_empty() {
                    let clips = [(&mut paced.steps_levels, &made), (&mut paced.real_levels, &composed)];
                    for (sums, clip) in clips {
                        let steps = steps_by_place(clip);
                        sums.iter_mut().zip(steps).for_each(|(sum, step)| *sum += step / cases as f64);
                    }
                }
            }
            let object = Share::of(&object);
            let at_default = found.first().map_or(object.share, |first| first.object.share);
            let relative = (at_default > 0.0).then(|| object.share / at_default);
            found.push(Sized { frames, height, width, object, relative, real: Share::of(&real) });
        }
        Ok((found, paced))
    }
}

/// A rectangle of every frame.
fn cut(frames: &Frames, top: usize, left: usize, height: usize, width: usize) -> Frames {
    let shape = frames.shape();
    let rgb = (0..shape.frames).flat_map(|frame| {
        (top..top + height).flat_map(move |y| {
            let row = (y * shape.width + left) * 3;
            frames.frame(frame)[row..row + width * 3].iter().copied()
        })
    });
    Frames::from_rgb(PixelShape { frames: shape.frames, height, width }, rgb.collect())
}

#[cfg(test)]
mod tests;
