//! Clips as latents: encoded by the frozen VAE, normalised, kept in memory as half floats.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use rayon::prelude::*;
use vidit_data::{Random, Story};
use vidit_models::mini::vae::Vae;
use vidit_models::pixels::tensor_from_frames;
use vidit_motion::UnitBox;
use vidit_video::{Compression, Frames, LatentShape, PixelShape};

use crate::TrainError;
use crate::source::{Clip, Source};

/// Pixels that the VAE encodes at once: bounds memory.
const PIXELS_AT_ONCE: usize = 8 * 25 * 128 * 128;

/// The same in clips.
fn clips_at_once(shape: PixelShape) -> usize {
    (PIXELS_AT_ONCE / shape.pixels()).max(1)
}

/// Latents of a source's clips, computed when first asked for.
///
/// A clip's latents depend on the source, shape and number alone, so a lost cache costs time and changes nothing.
pub struct LatentCache {
    source: Source,
    vae: Vae,
    compression: Compression,
    device: Device,
    /// Mean of each channel, before normalisation.
    pub mean: Vec<f32>,
    /// Deviation of each channel, before normalisation.
    pub deviation: Vec<f32>,
    adorn: Option<Adorn>,
    kept: Mutex<HashMap<(Story, PixelShape, u64), Arc<Kept>>>,
}

/// Clips of a batch.
pub struct Latents {
    /// Normalised, `[B, F, H, W, C]`.
    pub values: Tensor<5>,
    /// What is known of each.
    pub about: Vec<Arc<About>>,
}

/// What is known of a clip beside its latents.
pub struct About {
    /// Latent frames that its story gives at its beginning and end.
    pub given: (usize, usize),
    /// Of each object its box in each pixel frame.
    pub tracks: Vec<Vec<Option<UnitBox>>>,
}

/// What is done to a clip, by its number, before it is encoded.
pub type Adorn = Box<dyn Fn(u64, &mut Clip) + Send + Sync>;

/// One clip.
struct Kept {
    /// Normalised, `[F, H, W, C]`.
    latents: Vec<f16>,
    /// Of the main object in the first frame, fractions of width and height, where known.
    centre: Centre,
    about: Arc<About>,
}

impl LatentCache {
    /// A cache over a frozen VAE. `device` has no tape. Statistics are taken over the first `clips` clips at `shape`.
    ///
    /// # Errors
    /// If a clip cannot be read.
    pub fn new(
        source: Source,
        vae: Vae,
        compression: Compression,
        shape: PixelShape,
        clips: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let kept = Mutex::new(HashMap::new());
        let (device, mean, deviation) = (device.clone(), vec![], vec![]);
        let mut cache = Self { source, vae, compression, device, mean, deviation, adorn: None, kept };
        let indices: Vec<u64> = (0..clips.min(cache.source.len())).collect();
        let (latents, _) = cache.encode(Story::Plain, shape, &indices)?; // [B, F, H, W, C]
        let channels = latents.dims()[4];
        let values: Vec<f32> = latents.into_data().iter::<f32>().collect();
        let rows = (values.len() / channels) as f64;
        let moment = |c: usize, power: i32| {
            values.iter().skip(c).step_by(channels).map(|v| (*v as f64).powi(power)).sum::<f64>() / rows
        };
        for c in 0..channels {
            let mean = moment(c, 1);
            cache.mean.push(mean as f32);
            cache.deviation.push((moment(c, 2) - mean * mean).max(1e-12).sqrt() as f32);
        }
        Ok(cache)
    }

    /// A cache that normalises by known statistics, and adorns clips before it encodes them.
    pub fn with(
        source: Source,
        vae: Vae,
        compression: Compression,
        [mean, deviation]: [Vec<f32>; 2],
        adorn: Option<Adorn>,
        device: &Device,
    ) -> Self {
        let kept = Mutex::new(HashMap::new());
        Self { source, vae, compression, device: device.clone(), mean, deviation, adorn, kept }
    }

    /// The clips' source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Raw latents of these clips, `[B, F, H, W, C]`, and the clips without their frames.
    fn encode(
        &self,
        story: Story,
        shape: PixelShape,
        indices: &[u64],
    ) -> Result<(Tensor<5>, Vec<Clip>), TrainError> {
        let (mut parts, mut told) = (Vec::new(), Vec::new());
        for indices in indices.chunks(clips_at_once(shape)) {
            let mut clips: Vec<Clip> = indices
                .par_iter()
                .map(|i| {
                    let mut clip = self.source.clip(story, *i, shape)?;
                    if let Some(adorn) = &self.adorn {
                        adorn(*i, &mut clip);
                    }
                    Ok(clip)
                })
                .collect::<Result<_, TrainError>>()?;
            let nothing = || Frames::black(PixelShape::new(0, 0, 0));
            let frames: Vec<Frames> =
                clips.iter_mut().map(|clip| std::mem::replace(&mut clip.frames, nothing())).collect();
            parts.push(self.vae.encode(tensor_from_frames(&frames, &self.device)).mean);
            told.extend(clips);
        }
        Ok((Tensor::cat(parts, 0), told))
    }

    /// These clips, encoded where they have not been. Encoding holds no lock: batches made side by side may encode a clip twice,
    /// to the same values.
    fn clips(&self, story: Story, shape: PixelShape, indices: &[u64]) -> Result<Vec<Arc<Kept>>, TrainError> {
        let kept = || self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut missing: Vec<u64> = {
            let kept = kept();
            indices.iter().copied().filter(|i| !kept.contains_key(&(story, shape, *i))).collect()
        };
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let channels = self.grid(shape).channels;
            let (latents, told) = self.encode(story, shape, &missing)?;
            let values: Vec<f32> = latents.into_data().iter::<f32>().collect();
            let clips = values.chunks_exact(values.len() / missing.len()).zip(told);
            for (index, (clip, told)) in missing.iter().zip(clips) {
                let normalised = |(i, v): (usize, &f32)| {
                    f16::from_f32((v - self.mean[i % channels]) / self.deviation[i % channels])
                };
                let latents = clip.iter().enumerate().map(normalised).collect();
                let given = (told.head.div_ceil(self.compression.time), told.tail / self.compression.time);
                let tracks = told.tracks.into_iter().map(|track| track.boxes).collect();
                let about = Arc::new(About { given, tracks });
                let clip = Kept { latents, centre: told.centre, about };
                kept().insert((story, shape, *index), Arc::new(clip));
            }
        }
        let kept = kept();
        Ok(indices.iter().map(|index| kept[&(story, shape, *index)].clone()).collect())
    }

    /// Encodes the first `clips` clips of a story, many at a time.
    ///
    /// # Errors
    /// If a clip cannot be read.
    pub fn warm(&self, story: Story, shape: PixelShape, clips: u64) -> Result<(), TrainError> {
        let all: Vec<u64> = (0..clips.min(self.source.len())).collect();
        all.par_chunks(clips_at_once(shape)).try_for_each(|some| self.clips(story, shape, some).map(|_| ()))
    }

    fn grid(&self, shape: PixelShape) -> LatentShape {
        self.compression.latent_from_pixel(shape).expect("callers check shapes against the grid")
    }

    /// Normalised latents of these clips on `device`: whole, `[B, F, H, W, C]`, or of each a square `window` of so many
    /// cells around where its main object begins, `[B, F, window, window, C]`. `random` moves windows by up to a quarter
    /// of their side, and places those of clips without a known object.
    ///
    /// # Errors
    /// If a clip cannot be read.
    ///
    /// # Panics
    /// If `shape` is off the grid, or the window larger than the clips' latents.
    pub fn batch(
        &self,
        story: Story,
        shape: PixelShape,
        window: Option<usize>,
        indices: &[u64],
        random: &mut Random,
        device: &Device,
    ) -> Result<Latents, TrainError> {
        let clips = self.clips(story, shape, indices)?;
        let grid = self.grid(shape);
        let channels = grid.channels;
        let (height, width) = window.map_or((grid.height, grid.width), |side| (side, side));
        let mut values = Vec::with_capacity(indices.len() * grid.frames * height * width * channels);
        let mut all = Vec::with_capacity(indices.len());
        for clip in &clips {
            let Kept { latents, centre, about } = clip.as_ref();
            all.push(about.clone());
            let at = match window {
                None => (0, 0),
                Some(side) => corner(grid, side, *centre, random),
            };
            let rows = rows(grid, at, (height, width));
            values.extend(rows.flat_map(|row| &latents[row]).map(|value| value.to_f32()));
        }
        let dims = [indices.len(), grid.frames, height, width, channels];
        Ok(Latents { values: Tensor::from_data(TensorData::new(values, dims), device), about: all })
    }
}

/// Centre of an object, fractions of width and height.
type Centre = Option<(f32, f32)>;

/// Upper left cell `(y, x)` of a window around an object.
fn corner(grid: LatentShape, side: usize, centre: Centre, random: &mut Random) -> (usize, usize) {
    let mut along = |length: usize, centre: Option<f32>| {
        let room = (length - side) as f32;
        let share = random.unit();
        let start = match centre {
            Some(c) => c * length as f32 - side as f32 / 2.0 + (share - 0.5) * side as f32 / 2.0,
            None => share * (room + 1.0) - 0.5,
        };
        start.round().clamp(0.0, room) as usize
    };
    (along(grid.height, centre.map(|c| c.1)), along(grid.width, centre.map(|c| c.0)))
}

/// Where the rows of a window lie in a clip's values, frame by frame.
fn rows(
    grid: LatentShape,
    (top, left): (usize, usize),
    (height, width): (usize, usize),
) -> impl Iterator<Item = Range<usize>> {
    (0..grid.frames).flat_map(move |frame| {
        (top..top + height).map(move |y| {
            let start = ((frame * grid.height + y) * grid.width + left) * grid.channels;
            start..start + width * grid.channels
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: LatentShape = LatentShape { frames: 2, height: 4, width: 6, channels: 3 };

    #[test]
    fn a_window_is_the_same_rectangle_of_every_frame() {
        let values: Vec<usize> = (0..2 * 4 * 6 * 3).collect();
        let found: Vec<usize> = rows(GRID, (1, 2), (2, 2)).flat_map(|row| values[row].to_vec()).collect();
        let mut expected = Vec::new();
        for frame in 0..2 {
            for y in 1..3 {
                for x in 2..4 {
                    expected.extend((0..3).map(|c| ((frame * 4 + y) * 6 + x) * 3 + c));
                }
            }
        }
        assert_eq!(found, expected);
        let whole: Vec<usize> = rows(GRID, (0, 0), (4, 6)).flat_map(|row| values[row].to_vec()).collect();
        assert_eq!(whole, values);
    }

    #[test]
    fn windows_lie_around_the_object_and_inside_the_clip() {
        let grid = LatentShape { frames: 1, height: 16, width: 24, channels: 1 };
        let mut random = Random::new(1, 0);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            // The object at row 8, column 18: a window of 8 begins at 4 and 14, moved by up to 2.
            let (y, x) = corner(grid, 8, Some((0.75, 0.5)), &mut random);
            assert!((2..=6).contains(&y) && (12..=16).contains(&x), "{y} {x}");
            seen.insert((y, x));
            let (y, x) = corner(grid, 8, Some((1.0, 0.0)), &mut random);
            assert_eq!((y, x), (0, 16), "at the edge");
            let (y, x) = corner(grid, 8, None, &mut random);
            assert!(y <= 8 && x <= 16);
        }
        assert_eq!(seen.len(), 25, "every place is drawn");
        assert_eq!(corner(grid, 16, Some((0.0, 0.9)), &mut random).0, 0, "no room is no choice");
    }
}
