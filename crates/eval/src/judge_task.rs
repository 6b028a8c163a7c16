//! Training the judge: name the objects of composed clips.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vidit_data::{Colour, Combination, Language, Motion, Pack, Random, Scene, render};
use vidit_models::nn::Init;
use vidit_train::{OptimizerConfig, Progress, RunConfig, Summary, Task, TrainError, read_config, run};
use vidit_video::PixelShape;
use vidit_weights::{StoredType, TensorStore};

use crate::crops::{CHANNELS, SIDE, Window, cut, damage};
use crate::foreground::find;
use crate::judge::{JudgeConfig, JudgeNetwork};

/// A configuration file of kind `judge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JudgeTraining {
    /// `judge`.
    pub kind: JudgeKind,
    /// Sizes of the network.
    pub model: JudgeConfig,
    /// Data.
    pub task: JudgeTaskConfig,
    /// The loop.
    pub run: RunConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
}

/// What the file configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JudgeKind {
    /// A judge.
    Judge,
}

/// What a batch is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JudgeTaskConfig {
    /// Clips a batch.
    pub clips: usize,
    /// Crops of each clip.
    pub crops: usize,
    /// Height and width of the clips in pixels.
    pub side: usize,
    /// Frames of the clips.
    pub frames: usize,
    /// How far crops are moved and scaled, a fraction of their side.
    pub jitter: f32,
    /// Share of the target spread over all objects.
    pub smoothing: f32,
}

/// The task.
pub(crate) struct JudgeTask {
    config: JudgeTraining,
    pack: Pack,
}

/// Crops `[B, 1, SIDE, SIDE, CHANNELS]` and what they show, `[B, N]` of probabilities.
pub(crate) struct JudgeBatch {
    crops: Tensor<5>,
    targets: Tensor<2>,
}

impl JudgeTask {
    /// A task over the emoji pack.
    pub fn new(config: JudgeTraining, pack: Pack) -> Self {
        Self { config, pack }
    }

    /// A scene of one object that no language holds out, and the object.
    fn scene(&self, random: &mut Random) -> (Scene, usize) {
        loop {
            let object = random.below(self.pack.objects().len());
            let (motion, colour) = (*random.choose(&Motion::ALL), *random.choose(&Colour::ALL));
            let held_out = Language::ALL.into_iter().any(|language| {
                Combination { object, motion, colour, language }.is_held_out(self.pack.objects())
            });
            if !held_out {
                return (Scene::new_for(&self.pack, object, motion, colour, random.bits()), object);
            }
        }
    }

    /// Crops of one clip side by side, and its object.
    fn crops(&self, seed: u64, index: u64) -> (Vec<f32>, usize) {
        let task = &self.config.task;
        let mut random = Random::new(seed ^ 0x6a75_6467, index);
        let shape = PixelShape::new(task.frames, task.side, task.side);
        loop {
            let (scene, object) = self.scene(&mut random);
            let clip = render(&self.pack, &scene, shape).frames;
            let mut crops = Vec::with_capacity(task.crops * SIDE * SIDE * CHANNELS);
            for _ in 0..task.crops {
                let frame = clip.frame(random.below(task.frames));
                let found = find(frame, shape);
                // An object of its background's very colour cannot be learned from.
                let Some(blob) = found.blob else { break };
                let window = Window::around(&blob.bounds, shape).jittered(task.jitter, &mut random);
                crops.extend(damage(&cut(frame, shape, &found.plane, window), &mut random));
            }
            if crops.len() == task.crops * SIDE * SIDE * CHANNELS {
                return (crops, object);
            }
        }
    }
}

impl Task for JudgeTask {
    type Model = JudgeNetwork;
    type Batch = JudgeBatch;

    fn model(&self, seed: u64, device: &Device) -> Result<JudgeNetwork, TrainError> {
        Ok(JudgeNetwork::new(&self.config.model, self.pack.objects().len(), &mut Init::new(seed, device)))
    }

    fn batch(&self, seed: u64, step: u64, part: usize, device: &Device) -> Result<JudgeBatch, TrainError> {
        let task = &self.config.task;
        let first = (step * self.config.run.accumulate as u64 + part as u64) * task.clips as u64;
        let clips: Vec<_> =
            (first..first + task.clips as u64).into_par_iter().map(|i| self.crops(seed, i)).collect();
        let (count, objects) = (task.clips * task.crops, self.pack.objects().len());
        let mut targets = vec![task.smoothing / objects as f32; count * objects];
        for (clip, (_, object)) in clips.iter().enumerate() {
            for crop in 0..task.crops {
                targets[(clip * task.crops + crop) * objects + object] += 1.0 - task.smoothing;
            }
        }
        let crops: Vec<f32> = clips.into_iter().flat_map(|(crops, _)| crops).collect();
        Ok(JudgeBatch {
            crops: Tensor::from_data(TensorData::new(crops, [count, 1, SIDE, SIDE, CHANNELS]), device),
            targets: Tensor::from_data(TensorData::new(targets, [count, objects]), device),
        })
    }

    fn loss(&self, model: &JudgeNetwork, batch: JudgeBatch) -> (Tensor<1>, Vec<(&'static str, f32)>) {
        let scores = model.forward(batch.crops); // [B, N]
        let [count, _] = scores.dims();
        let right = scores.clone().argmax(1).equal(batch.targets.clone().argmax(1));
        let accuracy = right.float().mean().into_scalar::<f32>();
        let loss = (log_softmax(scores, 1) * batch.targets).sum() / -(count as f32);
        (loss, vec![("accuracy", accuracy)])
    }

    fn preview(&self, _: &JudgeNetwork, _: &Device, _: &Path) -> Result<(), TrainError> {
        Ok(()) // a judge draws nothing
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let ids: Vec<&str> = self.pack.objects().iter().map(|object| object.id.as_str()).collect();
        let text = |value: Result<String, serde_json::Error>| value.expect("numbers and names serialise");
        BTreeMap::from([
            ("judge".to_owned(), text(serde_json::to_string(&self.config.model))),
            ("objects".to_owned(), text(serde_json::to_string(&ids))),
        ])
    }
}

/// Trains the judge that the file (`kind = "judge"`) describes. A finished run leaves `judge.safetensors`, in half
/// precision, in its folder.
///
/// # Errors
/// If the file cannot be read or understood, and as [`run`].
pub fn train_judge(
    path: &Path,
    resume: bool,
    stop: &AtomicBool,
    on_step: &mut dyn FnMut(Progress),
) -> Result<Summary, TrainError> {
    let text = read_config(path)?;
    let config: JudgeTraining = toml::from_str(&text)
        .map_err(|error| TrainError::Config { path: path.to_owned(), reason: error.to_string() })?;
    let (run_config, optimizer) = (config.run.clone(), config.optimizer.clone());
    let task = JudgeTask::new(config, Pack::embedded());
    let steps = run(&task, &run_config, &optimizer, &Device::flex(), resume, stop, on_step)?;
    if steps == run_config.steps {
        let averages = TensorStore::read(&run_config.folder.join("weights.safetensors"))?;
        averages.write(&run_config.folder.join("judge.safetensors"), |_| StoredType::F16)?;
    }
    Ok(Summary { steps, folder: run_config.folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> JudgeTask {
        let text = include_str!("../../../configs/mini-judge.toml");
        let mut config: JudgeTraining = toml::from_str(text).expect("the configuration that we ship");
        config.task.clips = 3;
        JudgeTask::new(config, Pack::embedded())
    }

    #[test]
    fn batches_depend_on_seed_and_step_alone() {
        let (task, device) = (task(), Device::flex());
        let crops = |step| task.batch(1, step, 0, &device).unwrap().crops.into_data();
        assert_eq!(crops(4), crops(4));
        assert_ne!(crops(4), crops(5));
    }

    #[test]
    fn the_loss_of_a_new_judge_is_that_of_a_guess() {
        let (task, device) = (task(), Device::flex());
        let model = task.model(1, &device).unwrap();
        let (loss, _) = task.loss(&model, task.batch(1, 0, 0, &device).unwrap());
        let (loss, guess) = (loss.into_scalar::<f32>(), (task.pack.objects().len() as f32).ln());
        assert!((loss - guess).abs() < 2.0, "{loss} for {guess}");
    }

    #[test]
    fn no_training_scene_is_held_out_in_any_language() {
        let task = task();
        for index in 0..200 {
            let (scene, object) = task.scene(&mut Random::new(9, index));
            assert_eq!(scene.actors[0].object, object);
            assert!(Language::ALL.into_iter().all(|language| !scene.is_held_out(&task.pack, language)));
        }
    }
}
