//! ViCLIP (Wang et al. 2023, InternVid): CLIP's towers, the image tower reading all frames of a video at once.

#[cfg(test)]
mod parity;

use vidit_weights::TensorStore;

use crate::clip::{Config, ImageTower, TextTower};
use crate::{BackboneError, Checkpoint, Grid, Tokens, Weights};

const NETWORK: &str = "ViCLIP";

/// Both towers.
pub struct ViClip {
    /// The video tower.
    pub video: VideoTower,
    /// The text tower. It reads 32 tokens; longer texts are cut ([`crate::clip::TooLong::Cut`]).
    pub text: TextTower,
}

impl ViClip {
    /// Of `ViClip-InternVid-10M-FLT.pth`'s dictionary `model`: `vision_encoder.*`, `text_encoder.*`, and `temp`, which only training reads.
    /// Its heads are as wide as [`Config::OPENAI`]'s.
    ///
    /// # Errors
    /// If a tensor is absent, misshapen, or has no use.
    pub fn load(store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NETWORK, store);
        let root = checkpoint.root();
        let network = Self {
            video: VideoTower::take(&root.at("vision_encoder"), config)?,
            text: TextTower::take(&root.at("text_encoder"), config)?,
        };
        checkpoint.finish(|key| key == "temp")?;
        Ok(network)
    }
}

/// ViCLIP's video tower.
pub struct VideoTower {
    image: ImageTower,
    /// Positions in time, `[T, D]`.
    times: Vec<f32>,
    frames: usize,
}

impl VideoTower {
    /// Takes CLIP's image tower and `temporal_positional_embedding`.
    ///
    /// # Errors
    /// If a tensor is absent or misshapen.
    fn take(weights: &Weights, config: Config) -> Result<Self, BackboneError> {
        let image = ImageTower::take(weights, config)?;
        let frames = weights.shape("temporal_positional_embedding").and_then(|shape| shape.get(1).copied());
        let frames = frames.unwrap_or(8);
        let times = weights.take("temporal_positional_embedding", &[1, frames, image.width()])?;
        Ok(Self { image, times, frames })
    }

    /// Frames of a video, `T`.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Height and width of a frame, in pixels.
    pub fn side(&self) -> usize {
        self.image.side()
    }

    /// Length of a feature.
    pub fn output(&self) -> usize {
        self.image.output()
    }

    /// The feature `[output]`, not normalised, of one video: its frames `[T, side, side, 3]`, or a single one, in RGB in 0..1, less
    /// CLIP's mean (0.48145466, 0.4578275, 0.40821073), over its deviation (0.26862954, 0.26130258, 0.27577711).
    pub fn forward(&self, frames: &Grid) -> Vec<f32> {
        self.watched(frames, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed. The last block has one token.
    ///
    /// # Panics
    /// If there are other than `T` frames or one, or they have another size: a bug of the caller.
    pub fn watched(&self, frames: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        assert!(
            frames.batch == self.frames || frames.batch == 1,
            "{} frames were given, {} or one are read",
            frames.batch,
            self.frames
        );
        self.image.check_size(frames);
        let x = self.image.embed(frames, watch); // [T, 1 + grid², D]
        let x = self.in_one_row(&x); // [1, 1 + T·grid², D]
        self.image.read(x, watch)
    }

    /// The first frame's class token, then the patches of all frames with their times. A single frame has the mean of all times.
    fn in_one_row(&self, x: &Tokens) -> Tokens {
        let (patches, width) = (x.length - 1, x.width);
        let mut data = Vec::with_capacity((1 + x.batch * patches) * width);
        data.extend_from_slice(x.at(0, 0));
        for (t, frame) in x.data.chunks_exact(x.length * width).enumerate() {
            let time =
                if x.batch == 1 { self.mean_time() } else { self.times[t * width..][..width].to_vec() };
            for token in frame[width..].chunks_exact(width) {
                data.extend(token.iter().zip(&time).map(|(value, time)| value + time));
            }
        }
        Tokens::new(data, [1, 1 + x.batch * patches, width])
    }

    fn mean_time(&self) -> Vec<f32> {
        let width = self.times.len() / self.frames;
        let sum = |d: usize| (0..self.frames).map(|t| self.times[t * width + d]).sum::<f32>();
        (0..width).map(|d| sum(d) / self.frames as f32).collect()
    }
}
