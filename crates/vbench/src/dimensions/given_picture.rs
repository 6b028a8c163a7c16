//! How much of the given picture is kept: the feature of each frame against the picture's, and against the former frame's. What
//! `i2v_subject` and `i2v_background` are on the features of their networks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vidit_backbones::Grid;
use vidit_media::{ReadLimits, read_picture};

use super::batch::{Batched, EveryFrame};
use super::consistency::{Features, at_least_0};
use super::grid;
use super::vectors::{cosine, unit};
use crate::Dimension;
use crate::pixels::RgbFrame;
use crate::run::{ClipFacts, Measured, Refusal};
use crate::transforms::FloatFrame;

/// A dimension of VBench-I2V of this kind.
pub(crate) struct GivenPicture {
    kind: Kind,
    pictures: Pictures,
    walk: Walk,
}

/// What sets such dimensions apart.
pub(super) struct Kind {
    pub dimension: &'static [Dimension; 1],
    pub together: usize,
    /// Of the given picture, which the reference prepares by Pillow.
    pub of_picture: fn(&RgbFrame) -> FloatFrame,
    /// Of frames, which are tensors there.
    pub of_frame: fn(&RgbFrame) -> FloatFrame,
    pub network: Features,
}

impl GivenPicture {
    pub(super) fn batched(kind: Kind, limits: ReadLimits) -> Batched<Self> {
        let pictures = Pictures { limits, features: BTreeMap::new() };
        Batched::new(Self { kind, pictures, walk: Walk::default() })
    }
}

/// Features of the pictures that were given so far: samples of one prompt share theirs.
struct Pictures {
    limits: ReadLimits,
    features: BTreeMap<PathBuf, Vec<f32>>,
}

impl Pictures {
    /// What `look` makes of a picture; it sees each once.
    fn feature(
        &mut self,
        path: Option<&Path>,
        look: impl FnOnce(&RgbFrame) -> Vec<f32>,
    ) -> Result<&[f32], Refusal> {
        let path = path.ok_or("nothing says which picture it should begin with")?;
        if !self.features.contains_key(path) {
            let feature = look(&picture(path, &self.limits)?);
            self.features.insert(path.to_owned(), feature);
        }
        Ok(&self.features[path])
    }
}

/// The picture as the reference sees it, but that this sees RGB alone: of other pictures it makes an error.
fn picture(path: &Path, limits: &ReadLimits) -> Result<RgbFrame, Refusal> {
    let read = read_picture(path, limits);
    let frames = read.map_err(|error| format!("the given picture cannot be used: {error}"))?;
    let shape = frames.shape();
    Ok(RgbFrame { height: shape.height, width: shape.width, rgb: frames.rgb().to_vec() })
}

impl EveryFrame for GivenPicture {
    fn dimension(&self) -> &'static [Dimension; 1] {
        self.kind.dimension
    }

    fn together(&self) -> usize {
        self.kind.together
    }

    fn begin(&mut self, clip: &ClipFacts) -> Result<(), Refusal> {
        super::at_least(clip.frames, 2)?;
        let feature = self.pictures.feature(clip.picture, |picture| {
            let picture = grid((self.kind.of_picture)(picture)); // [1, H, W, 3]
            (self.kind.network)(&picture) // [1, D]
        })?;
        self.walk = Walk::new(feature);
        Ok(())
    }

    fn prepare(&self, frame: &RgbFrame) -> Grid {
        grid((self.kind.of_frame)(frame))
    }

    fn look(&mut self, frames: Grid) {
        let features = (self.kind.network)(&frames); // [B, D]
        features.chunks_exact(features.len() / frames.batch).for_each(|feature| self.walk.push(feature));
    }

    fn measured(&mut self) -> Measured {
        Measured::new(self.walk.score())
    }
}

/// The walk along the features of a clip.
#[derive(Debug, Default)]
struct Walk {
    picture: Vec<f32>,
    former: Vec<f32>,
    /// Cosines of frames and picture.
    kept: Vec<f64>,
    /// Cosines of neighbours.
    steady: Vec<f64>,
}

impl Walk {
    fn new(picture: &[f32]) -> Self {
        Self { picture: unit(picture, 1e-12), ..Self::default() }
    }

    /// The next frame's feature `[D]`.
    fn push(&mut self, feature: &[f32]) {
        let feature = unit(feature, 1e-12);
        if !self.former.is_empty() {
            self.steady.push(at_least_0(cosine(&self.former, &feature, 1e-8)));
        }
        self.kept.push(at_least_0(cosine(&self.picture, &feature, 1e-8)));
        self.former = feature;
    }

    /// Of two frames or more. NaN where a feature was not finite.
    fn score(&self) -> f64 {
        // `f64::max` and `f64::min` pass over NaN.
        if self.kept.iter().chain(&self.steady).any(|cosine| cosine.is_nan()) {
            return f64::NAN;
        }
        let best = self.kept.iter().copied().fold(0.0, f64::max);
        let worst = self.steady.iter().copied().fold(1.0, f64::min);
        let mean = self.steady.iter().sum::<f64>() / self.steady.len() as f64;
        0.4 * best + 0.3 * mean + 0.3 * worst
    }
}

#[cfg(test)]
mod tests {
    use vidit_media::png_bytes;
    use vidit_video::{Frames, PixelShape};

    use super::*;

    fn score(picture: [f32; 2], features: &[[f32; 2]]) -> f64 {
        let mut walk = Walk::new(&picture);
        features.iter().for_each(|feature| walk.push(feature));
        walk.score()
    }

    #[test]
    fn the_best_frame_counts_and_the_worst_step() {
        // Frames to the picture: √½, 1, 0. Steps: √½, 0.
        let half = 0.5f64.sqrt();
        let found = score([2.0, 0.0], &[[1.0, 1.0], [3.0, 0.0], [0.0, 1.0]]);
        assert!((found - (0.4 + 0.3 * half / 2.0)).abs() < 1e-7, "{found}");
        // Nothing counts below zero.
        assert_eq!(score([1.0, 0.0], &[[-1.0, 0.0], [0.0, 1.0]]), 0.0);
    }

    #[test]
    fn a_network_that_breaks_is_not_scored() {
        let fine = [1.0, 0.0];
        assert!((score(fine, &[fine, fine]) - 1.0).abs() < 1e-12);
        assert!(score([f32::NAN, 0.0], &[fine, fine]).is_nan());
        for at in 0..3 {
            let mut features = [fine; 3];
            features[at][1] = f32::NAN;
            assert!(score(fine, &features).is_nan(), "{at}");
        }
    }

    #[test]
    fn pictures_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken.jpg");
        std::fs::write(&broken, b"\xff\xd8\xff no picture").unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden");
        let (missing, moving) = (folder.path().join("missing.png"), golden.join("earth.gif"));
        for (path, part) in [(&broken, "broken.jpg"), (&missing, "missing.png"), (&moving, "expected one")] {
            let error = picture(path, &ReadLimits::default()).unwrap_err();
            assert!(error.contains("given picture") && error.contains(part), "{error}");
        }
        let mut pictures = Pictures { limits: ReadLimits::default(), features: BTreeMap::new() };
        assert!(pictures.feature(None, |_| vec![1.0]).is_err());
    }

    #[test]
    fn a_picture_is_looked_at_once_however_many_videos_begin_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut pictures = Pictures { limits: ReadLimits::default(), features: BTreeMap::new() };
        let looks = std::cell::Cell::new(0);
        let mut feature = |name: &str| {
            let look = |picture: &RgbFrame| {
                looks.set(looks.get() + 1);
                vec![f32::from(picture.rgb[0])]
            };
            pictures.feature(Some(&at(name)), look).map(<[f32]>::to_vec)
        };
        assert!(feature("a.png").is_err());
        for (name, shade) in [("a.png", 7), ("b.png", 9)] {
            let mut frame = Frames::black(PixelShape::new(1, 8, 8));
            frame.frame_mut(0).fill(shade);
            std::fs::write(at(name), png_bytes(&frame, 0).unwrap()).unwrap();
        }
        let found = ["a.png", "b.png", "a.png", "a.png"].map(|name| feature(name).unwrap());
        assert_eq!(found, [[7.0], [9.0], [7.0], [7.0]]);
        assert_eq!(looks.get(), 2);
    }
}
