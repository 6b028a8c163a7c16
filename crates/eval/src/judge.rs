//! Which object is it? A small network over crops of the tracked object.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vidit_data::Pack;
use vidit_models::mini::metadata;
use vidit_models::nn::{Conv3d, Init, Linear, RmsNorm};
use vidit_ops::{ConvGeometry, Tail, softmax};
use vidit_video::Frames;
use vidit_weights::{TensorStore, load_into};

use crate::EvalError;
use crate::crops::{CHANNELS, SIDE, Window, cut};
use crate::foreground::Foreground;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Sizes of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JudgeConfig {
    /// Channels at 24, 12 and 6 pixels a side.
    pub widths: [usize; 3],
}

/// Crops → one score an object.
#[derive(Module, Debug)]
pub(crate) struct JudgeNetwork {
    down1: Conv3d,
    norm1: RmsNorm,
    down2: Conv3d,
    norm2: RmsNorm,
    down3: Conv3d,
    norm3: RmsNorm,
    mix: Conv3d,
    norm4: RmsNorm,
    output: Linear,
}

const HALVE: ConvGeometry = ConvGeometry { kernel: [1, 3, 3], stride: [1, 2, 2], padding: [0, 1, 1] };
const SAME: ConvGeometry = ConvGeometry { kernel: [1, 3, 3], stride: [1, 1, 1], padding: [0, 1, 1] };

impl JudgeNetwork {
    /// Random weights.
    pub fn new(config: &JudgeConfig, objects: usize, init: &mut Init) -> Self {
        let [fine, middle, coarse] = config.widths;
        Self {
            down1: Conv3d::new(init, HALVE.kernel, CHANNELS, fine, 1.4),
            norm1: RmsNorm::new(init, fine),
            down2: Conv3d::new(init, HALVE.kernel, fine, middle, 1.4),
            norm2: RmsNorm::new(init, middle),
            down3: Conv3d::new(init, HALVE.kernel, middle, coarse, 1.4),
            norm3: RmsNorm::new(init, coarse),
            mix: Conv3d::new(init, SAME.kernel, coarse, coarse, 1.0),
            norm4: RmsNorm::new(init, coarse),
            output: Linear::new(init, coarse, objects, 1.0),
        }
    }

    /// Scores of each object.
    ///
    /// # Shapes
    /// `[B, 1, SIDE, SIDE, CHANNELS]` → `[B, N]`
    pub fn forward(&self, crops: Tensor<5>) -> Tensor<2> {
        let norm = |norm: &RmsNorm, x: Tensor<5>| {
            let width = x.dims()[4];
            norm.forward(x, width, Tail::Silu)
        };
        let x = norm(&self.norm1, self.down1.forward(crops, HALVE, None)); // [B, 1, 24, 24, fine]
        let x = norm(&self.norm2, self.down2.forward(x, HALVE, None)); // [B, 1, 12, 12, middle]
        let x = norm(&self.norm3, self.down3.forward(x, HALVE, None)); // [B, 1, 6, 6, coarse]
        let x = norm(&self.norm4, self.mix.forward(x.clone(), SAME, Some(x)));
        let [batch, _, height, width, channels] = x.dims();
        let x = x.reshape([batch, height * width, channels]).mean_dim(1).reshape([batch, channels]); // [B, coarse]
        self.output.forward(x) // [B, N]
    }
}

/// Names the object of a clip. Trained by [`train_judge`](crate::train_judge) on composed clips alone.
pub struct Judge {
    network: JudgeNetwork,
    device: Device,
}

/// Crops of a clip whose scores are averaged.
const CROPS: usize = 5;

impl Judge {
    /// The judge inside the binary.
    ///
    /// # Errors
    /// If it was built without one, or the one it has knows other objects than the pack.
    pub fn embedded(pack: &Pack, device: &Device) -> Result<Self, EvalError> {
        let bytes = embedded::JUDGE.ok_or(EvalError::NotEmbedded)?;
        Self::load(&TensorStore::from_bytes("the embedded judge", bytes)?, pack, device)
    }

    /// A judge from its weights file.
    ///
    /// # Errors
    /// If tensors or metadata are missing or misshaped, or it knows other objects than the pack.
    pub fn load(store: &TensorStore, pack: &Pack, device: &Device) -> Result<Self, EvalError> {
        let config: JudgeConfig = metadata(store, "judge")?;
        let known: Vec<String> = metadata(store, "objects")?;
        let objects: Vec<&str> = pack.objects().iter().map(|object| object.id.as_str()).collect();
        if known != objects {
            let differ = known
                .iter()
                .zip(&objects)
                .position(|(a, b)| a != b)
                .unwrap_or(known.len().min(objects.len()));
            let object =
                objects.get(differ).map(|id| (*id).to_owned()).or_else(|| known.get(differ).cloned());
            let object = object.unwrap_or_default();
            return Err(EvalError::Objects { expected: objects.len(), found: known.len(), object });
        }
        let network = JudgeNetwork::new(&config, known.len(), &mut Init::new(0, device));
        Ok(Self { network: load_into(network, store)?, device: device.clone() })
    }

    /// The object of a clip, as its position in the pack; `None` when nothing stands out in any frame.
    pub fn object(&self, frames: &Frames, track: &[Foreground]) -> Option<usize> {
        self.probabilities(frames, track).map(|probabilities| most_probable(&probabilities))
    }

    /// How probable each object of the pack is in a clip; they sum to 1. `None` when nothing stands out in any frame.
    pub fn probabilities(&self, frames: &Frames, track: &[Foreground]) -> Option<Vec<f32>> {
        let shape = frames.shape();
        let seen: Vec<usize> = (0..track.len()).filter(|index| track[*index].blob.is_some()).collect();
        let count = seen.len().min(CROPS);
        let crops: Vec<f32> = (0..count)
            .map(|i| seen[i * (seen.len() - 1) / (count - 1).max(1)])
            .flat_map(|index| {
                let Foreground { plane, blob } = track[index];
                let window = blob.map(|blob| Window::around(&blob.bounds, shape));
                window.map_or(vec![], |window| cut(frames.frame(index), shape, &plane, window))
            })
            .collect();
        (count > 0).then(|| self.probabilities_of_crops(crops))
    }

    /// The same of crops of one object, one at least: `[n, SIDE, SIDE, CHANNELS]`.
    pub(crate) fn probabilities_of_crops(&self, crops: Vec<f32>) -> Vec<f32> {
        let count = crops.len() / (SIDE * SIDE * CHANNELS);
        let crops = TensorData::new(crops, [count, 1, SIDE, SIDE, CHANNELS]);
        let scores = self.network.forward(Tensor::from_data(crops, &self.device)).mean_dim(0); // [1, N]
        softmax(scores).into_data().iter::<f32>().collect()
    }
}

/// Position of the largest.
pub(crate) fn most_probable(probabilities: &[f32]) -> usize {
    let by_probability = |a: &usize, b: &usize| probabilities[*a].total_cmp(&probabilities[*b]);
    (0..probabilities.len()).max_by(by_probability).expect("the judge knows objects")
}

#[cfg(test)]
mod tests {
    use vidit_data::{Scene, Split, render};
    use vidit_video::PixelShape;
    use vidit_weights::{collect, parameter_count};

    use super::*;
    use crate::fixtures::degrade;
    use crate::foreground::track;

    const CONFIG: JudgeConfig = JudgeConfig { widths: [8, 8, 8] };

    fn store(objects: &[String]) -> TensorStore {
        let network = JudgeNetwork::new(&CONFIG, objects.len(), &mut Init::new(1, &Device::flex()));
        let mut store = collect(&network, "");
        store.metadata.insert("judge".into(), serde_json::to_string(&CONFIG).unwrap());
        store.metadata.insert("objects".into(), serde_json::to_string(objects).unwrap());
        store
    }

    #[test]
    fn a_judge_of_other_objects_is_refused() {
        let pack = Pack::embedded();
        let mut ids: Vec<String> = pack.objects().iter().map(|object| object.id.clone()).collect();
        assert!(Judge::load(&store(&ids), &pack, &Device::flex()).is_ok());
        ids[3] = "teapot".to_owned();
        let error = Judge::load(&store(&ids), &pack, &Device::flex()).err().expect("refused").to_string();
        assert!(error.contains(&pack.objects()[3].id) && error.contains("hint:"), "{error}");
    }

    #[test]
    fn the_embedded_judge_names_objects_of_held_out_clips() {
        let (pack, device) = (Pack::embedded(), Device::flex());
        let judge = Judge::embedded(&pack, &device).expect("the weights are part of the repository");
        assert!(parameter_count(&judge.network) < 500_000);
        let clips = 200;
        let mut right = [0, 0];
        for index in 0..clips {
            let scene = Scene::sample(&pack, 74, index, Split::HeldOut);
            let mut clip = render(&pack, &scene, PixelShape::new(25, 128, 128));
            for right in &mut right {
                let found = judge.object(&clip.frames, &track(&clip.frames));
                *right += usize::from(found == Some(scene.actors[0].object));
                degrade(&mut clip.frames);
            }
        }
        assert!(right[0] * 100 >= 97 * clips as usize, "{} of {clips}", right[0]);
        assert!(right[1] * 100 >= 94 * clips as usize, "{} of {clips} degraded", right[1]);
    }
}
