use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use vidit_video::{LatentShape, PixelShape};
use vidit_weights::{StoredType, TensorStore};

use crate::{Error, Limits, Model, RequestError};

/// The latents of one clip, as the VAE decodes them (or noise of the same shape), and where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    shape: LatentShape,
    /// `[F, H, W, C]`.
    values: Vec<f32>,
    /// Where they come from.
    pub provenance: Provenance,
}

/// How latents came to be, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// What the clip shows.
    pub prompt: Option<String>,
    /// Seed of its noise.
    pub seed: Option<u64>,
    /// The model that made it.
    pub model: Option<String>,
    /// Frames a second that were asked for.
    pub fps: Option<u32>,
}

/// Key of the tensor in a latents file.
const KEY: &str = "latents";
/// Four times the largest latents that [`Limits::default`] lets through have far less.
const FILE_BYTES_MAX: u64 = 256 << 20;

impl Latents {
    /// Latents from the values of a `[1, F, H, W, C]` tensor.
    pub(crate) fn from_tensor(tensor: Tensor<5>, provenance: Provenance) -> Self {
        let [batch, frames, height, width, channels] = tensor.dims();
        assert_eq!(batch, 1, "latents belong to one clip");
        let values = tensor.into_data().iter::<f32>().collect();
        Self { shape: LatentShape { channels, frames, height, width }, values, provenance }
    }

    /// `[1, F, H, W, C]`.
    pub(crate) fn tensor(&self, device: &Device) -> Tensor<5> {
        let LatentShape { channels, frames, height, width } = self.shape;
        Tensor::from_data(TensorData::new(self.values.clone(), [1, frames, height, width, channels]), device)
    }

    /// Whether every value is a number.
    pub(crate) fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }

    /// Channels, frames and size.
    pub fn shape(&self) -> LatentShape {
        self.shape
    }

    /// The values, `[F, H, W, C]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Reads a safetensors file with one tensor `latents` `[F, H, W, C]`.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or holds something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        if let Ok(about) = fs::metadata(path)
            && about.len() > FILE_BYTES_MAX
        {
            return Err(Error::LatentsFile {
                path: path.to_owned(),
                found: about.len(),
                limit: FILE_BYTES_MAX,
            });
        }
        let mut store = TensorStore::read(path)?;
        let refused = |found: String| Error::NoLatents { path: path.to_owned(), found };
        let Some(entry) = store.tensors.remove(KEY) else {
            let first = store.tensors.keys().next().map(|key| format!("`{key}`"));
            return Err(refused(first.unwrap_or_else(|| "no tensor".to_owned())));
        };
        let &[frames, height, width, channels] = entry.shape.as_slice() else {
            return Err(refused(format!("one of shape `{:?}`", entry.shape)));
        };
        if entry.values.is_empty() {
            return Err(refused(format!("one of shape `{:?}`", entry.shape)));
        }
        let text = |key: &str| store.metadata.get(key);
        let provenance = Provenance {
            prompt: text("prompt").cloned(),
            seed: text("seed").and_then(|seed| seed.parse().ok()),
            model: text("model").cloned(),
            fps: text("fps").and_then(|fps| fps.parse().ok()),
        };
        Ok(Self { shape: LatentShape { channels, frames, height, width }, values: entry.values, provenance })
    }

    /// Writes what [`Self::read`] reads, exactly. The file appears whole or not at all, and replaces what was there.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let LatentShape { channels, frames, height, width } = self.shape;
        let Provenance { prompt, seed, model, fps } = &self.provenance;
        let mut store = TensorStore::default();
        store.insert(KEY, vec![frames, height, width, channels], self.values.clone());
        store.metadata = [
            ("prompt", prompt.clone()),
            ("seed", seed.map(|seed| seed.to_string())),
            ("model", model.clone()),
            ("fps", fps.map(|fps| fps.to_string())),
            ("shape", Some(format!("{frames}x{height}x{width}x{channels}"))),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect::<BTreeMap<_, _>>();
        Ok(store.write(path, |_| StoredType::F32)?)
    }

    /// The clip that they decode to, if this model may decode them.
    pub(crate) fn check(&self, model: &Model, limits: &Limits) -> Result<PixelShape, Error> {
        let LatentShape { channels, frames, height, width } = self.shape;
        let expected = model.compression().channels;
        if channels != expected {
            return Err(Error::LatentsShape {
                channels: expected,
                found: vec![frames, height, width, channels],
            });
        }
        // Far below where the products that follow would overflow.
        for (what, found) in [("latent frames", frames), ("latent height", height), ("latent width", width)] {
            let limit = limits.frames_max.max(limits.side_max);
            if found > limit {
                return Err(RequestError::TooLarge { what, found, limit }.into());
            }
        }
        let pixel = model.compression().pixel_from_latent(self.shape);
        limits.check_grid(model, pixel)?;
        Ok(pixel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::model;

    fn latents(channels: usize) -> Latents {
        let shape = LatentShape { channels, frames: 2, height: 4, width: 6 };
        let values = (0..shape.frames * 24 * channels).map(|i| i as f32 * 0.1).collect();
        let provenance = Provenance { prompt: Some("猫".into()), seed: Some(7), model: None, fps: Some(12) };
        Latents { shape, values, provenance }
    }

    #[test]
    fn files_hold_every_bit_and_where_they_come_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        latents(3).write(&path).unwrap();
        assert_eq!(Latents::read(&path).unwrap(), latents(3));
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let said = |key: &str, shape: Vec<usize>| {
            let mut store = TensorStore::default();
            let count = shape.iter().product();
            store.insert(key, shape, vec![0.0; count]);
            store.write(&path, |_| StoredType::F32).unwrap();
            Latents::read(&path).unwrap_err().to_string()
        };
        let about = format!("`{}` holds no latents: expected a tensor `latents` of shape", path.display());
        for (key, shape, found) in [
            ("weights", vec![1], "found `weights`\nhint: "),
            (KEY, vec![2, 3], "found one of shape `[2, 3]`\nhint: "),
            (KEY, vec![0, 4, 4, 3], "found one of shape `[0, 4, 4, 3]`\nhint: "),
        ] {
            let said = said(key, shape);
            assert!(said.starts_with(&about) && said.contains(found), "{said}");
        }
        std::fs::write(&path, "no").unwrap();
        assert!(Latents::read(&path).unwrap_err().to_string().contains("not a whole safetensors file"));
    }

    #[test]
    fn the_model_must_be_the_one_that_made_them() {
        let (model, limits) = (model(), Limits::default());
        latents(3).check(&model, &limits).unwrap();
        let error = latents(5).check(&model, &limits).unwrap_err().to_string();
        assert!(error.contains("[F, H, W, 3], found `[2, 4, 6, 5]`"), "{error}");
        let mut long = latents(3);
        long.shape.frames = usize::MAX / 2;
        assert!(matches!(long.check(&model, &limits), Err(Error::Request(RequestError::TooLarge { .. }))));
    }
}
