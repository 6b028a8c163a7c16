//! What is known of a clip before it is made: images, clips that go on, both ends of a transition.

use burn::tensor::Tensor;
use vidit_diffusion::sampler::Known;
use vidit_models::pixels::tensor_from_frames;
use vidit_video::{Frames, LatentShape, PixelShape};

use crate::{Model, RequestError};

/// Frames that are known beforehand, and where they stand in the clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// At the beginning of a clip `4n + 1` frames, elsewhere `4n`; one frame elsewhere rests for four.
    pub frames: Frames,
    /// The frame of the clip that the first of them is: 0, or `4n + 1`.
    pub at: usize,
    /// Noise level from which they are made anew, one for each latent frame or one for all: 0 keeps them, 1 forgets them.
    pub levels: Vec<f32>,
}

/// Pixel frames that are put before frames from the middle of a clip when they are encoded, their first one again and again:
/// the VAE looks back in time, and alone it would take the first for an image.
const LEAD: usize = 9;

impl Given {
    /// Frames that stay as they are.
    pub fn kept(frames: Frames, at: usize) -> Self {
        Self { frames, at, levels: vec![0.0] }
    }

    /// Latent frames that it is.
    fn latent_range(&self, time: usize) -> std::ops::Range<usize> {
        let count = self.frames.shape().frames;
        match self.at {
            0 => 0..1 + (count - 1) / time,
            at => {
                let first = at.div_ceil(time);
                first..first + count.div_ceil(time)
            }
        }
    }

    /// Whether it fits into a clip, and on the grid of latent frames.
    pub(crate) fn check(&self, clip: PixelShape, time: usize) -> Result<(), RequestError> {
        let given = self.frames.shape();
        if (given.height, given.width) != (clip.height, clip.width) {
            return Err(RequestError::GivenSize { clip, given });
        }
        let (count, at) = (given.frames, self.at);
        let wrong = |expected: String| Err(RequestError::GivenPlace { at, count, expected });
        if at == 0 && (count == 0 || (count - 1) % time != 0) {
            return wrong(format!("{time}n+1 frames at the beginning"));
        }
        if at > 0 && at % time != 1 {
            return wrong(format!("a beginning at frame 0 or {time}n+1"));
        }
        if at > 0 && count != 1 && (count == 0 || count % time != 0) {
            return wrong(format!("one frame or {time}n frames within the clip"));
        }
        if self.latent_range(time).end > 1 + (clip.frames - 1) / time {
            return wrong(format!("an end within the {} frames of the clip", clip.frames));
        }
        let latents = self.latent_range(time).len();
        if self.levels.len() != 1 && self.levels.len() != latents {
            return wrong(format!("one level, or one for each of {latents} latent frames"));
        }
        self.levels.iter().try_for_each(|level| check_strength(*level))
    }

    /// Normalised latents, `[1, K, H, W, C]`.
    fn encode(&self, model: &Model) -> Tensor<5> {
        let shape = self.frames.shape();
        if self.at == 0 {
            return model.encode(&self.frames);
        }
        let time = model.compression().time;
        let rests = if shape.frames == 1 { time } else { 1 };
        let mut rgb = self.frames.frame(0).repeat(LEAD);
        rgb.extend(self.frames.rgb().repeat(rests));
        let led = Frames::from_rgb(PixelShape { frames: LEAD + shape.frames * rests, ..shape }, rgb);
        let lead = 1 + (LEAD - 1) / time;
        let all = model.encode(&led);
        let count = all.dims()[1] - lead;
        all.narrow(1, lead, count)
    }
}

/// Checks a noise level from which something is made anew.
///
/// # Errors
/// [`RequestError::OutOfRange`] if it is not 0 to 1.
pub fn check_strength(level: f32) -> Result<(), RequestError> {
    match (0.0..=1.0).contains(&level) {
        true => Ok(()),
        false => Err(RequestError::OutOfRange {
            what: "strength",
            range: "0 to 1".to_owned(),
            found: level.to_string(),
            usual: "0.8",
        }),
    }
}

/// What of a picture is made anew, and what stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Whether a pixel is made anew, `[height, width]`.
    pub remade: Vec<bool>,
}

impl Mask {
    /// Cells of latents that are made anew, `[1, 1, H, W, 1]` of zeros and ones: those with a pixel that is.
    pub(crate) fn cells(&self, model: &Model, latent: LatentShape) -> Tensor<5> {
        let space = model.compression().space;
        let mut cells = vec![0.0f32; latent.height * latent.width];
        for (i, _) in self.remade.iter().enumerate().filter(|(_, remade)| **remade) {
            cells[i / self.width / space * latent.width + i % self.width / space] = 1.0;
        }
        let cells = Tensor::<1>::from_floats(cells.as_slice(), &model.device);
        cells.reshape([1, 1, latent.height, latent.width, 1])
    }

    pub(crate) fn check(&self, clip: PixelShape) -> Result<(), RequestError> {
        if (self.height, self.width) != (clip.height, clip.width) {
            let given = PixelShape::new(1, self.height, self.width);
            return Err(RequestError::GivenSize { clip, given });
        }
        match self.remade.contains(&true) {
            true => Ok(()),
            false => Err(RequestError::EmptyMask),
        }
    }
}

/// All that is given, on the grid of latent frames. Of two that meet the later one counts.
pub(crate) fn known(model: &Model, given: &[Given], latent: LatentShape) -> Known {
    let LatentShape { channels, frames, height, width } = latent;
    let mut clean: Vec<Tensor<5>> =
        (0..frames).map(|_| Tensor::zeros([1, 1, height, width, channels], &model.device)).collect();
    let mut levels = vec![1.0; frames];
    for given in given {
        let latents = given.encode(model); // [1, K, H, W, C]
        for (i, frame) in given.latent_range(model.compression().time).enumerate() {
            clean[frame] = latents.clone().narrow(1, i, 1);
            levels[frame] = given.levels[i.min(given.levels.len() - 1)];
        }
    }
    Known { clean: Tensor::cat(clean, 1), levels }
}

impl Model {
    /// Frames on the grid → normalised latents, `[1, F, H, W, C]`.
    fn encode(&self, frames: &Frames) -> Tensor<5> {
        let pixels = tensor_from_frames(std::slice::from_ref(frames), &self.device); // [1, Fp, Hp, Wp, 3]
        self.mini.normalise(self.mini.vae.encode(pixels).mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::model;

    fn frames(count: usize) -> Frames {
        let shape = PixelShape::new(count, 32, 48);
        let rgb = (0..shape.pixels() * 3).map(|i| (i * 7 % 251) as u8).collect();
        Frames::from_rgb(shape, rgb)
    }

    fn refused(given: Given) -> String {
        given.check(PixelShape::new(13, 32, 48), 4).unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (given, named) in [
            (Given::kept(frames(4), 0), "4n+1 frames at the beginning"),
            (Given::kept(frames(4), 3), "frame 0 or 4n+1"),
            (Given::kept(frames(3), 5), "one frame or 4n frames"),
            (Given::kept(frames(8), 9), "13 frames"),
            (Given { levels: vec![0.5, 1.5], ..Given::kept(frames(8), 5) }, "strength must be 0 to 1"),
            (Given { levels: vec![0.5; 3], ..Given::kept(frames(8), 5) }, "2 latent frames"),
            (Given { levels: vec![f32::NAN], ..Given::kept(frames(1), 5) }, "strength"),
        ] {
            let found = refused(given);
            assert!(found.contains(named), "{found}");
        }
        let small = Frames::black(PixelShape::new(1, 16, 48));
        assert!(refused(Given::kept(small, 0)).contains("48x16"));
        for good in [Given::kept(frames(1), 0), Given::kept(frames(13), 0), Given::kept(frames(1), 9)] {
            good.check(PixelShape::new(13, 32, 48), 4).unwrap();
        }
    }

    #[test]
    fn frames_land_on_their_latents_with_their_levels() {
        let model = model();
        let latent = model.compression().latent_from_pixel(PixelShape::new(13, 32, 48)).unwrap();
        let given = [Given::kept(frames(5), 0), Given { frames: frames(1), at: 9, levels: vec![0.25] }];
        let known = known(&model, &given, latent);
        assert_eq!(known.levels, [0.0, 0.0, 1.0, 0.25]);
        let whole = model.encode(&frames(5));
        let difference = (known.clean.clone().narrow(1, 0, 2) - whole).abs().max().into_scalar::<f32>();
        assert_eq!(difference, 0.0);
        // A picture within a clip is encoded as one that rests, not as the beginning of a clip.
        let rests = Frames::from_rgb(PixelShape::new(13, 32, 48), frames(1).rgb().repeat(13));
        let expected = model.encode(&rests).narrow(1, 3, 1);
        let difference = (known.clean.narrow(1, 3, 1) - expected).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn a_mask_covers_each_cell_that_it_touches() {
        let model = model();
        let latent = model.compression().latent_from_pixel(PixelShape::new(1, 32, 48)).unwrap();
        let mut mask = Mask { height: 32, width: 48, remade: vec![false; 32 * 48] };
        assert!(mask.check(PixelShape::new(1, 32, 48)).unwrap_err().to_string().contains("mask"));
        mask.remade[31 * 48 + 47] = true;
        let cells: Vec<f32> = mask.cells(&model, latent).into_data().iter::<f32>().collect();
        assert_eq!(cells.iter().sum::<f32>(), 1.0);
        assert_eq!(cells.last(), Some(&1.0));
    }
}
