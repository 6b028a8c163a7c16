//! Runs that take seconds.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use vidit_train::{Progress, TrainError, train_file};

/// A folder that goes away with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vidit-train-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn optimizer(learning_rate: &str, decay: &str, final_fraction: &str) -> String {
    format!(
        r#"[optimizer]
learning_rate = {learning_rate}
warmup = 2
decay = "{decay}"
final_fraction = {final_fraction}
beta1 = 0.9
beta2 = 0.99
weight_decay = 0.01
clip_norm = 1.0
ema = 0.9
"#
    )
}

pub fn vae_config(folder: &Path, run: &str, steps: u64, clips: u64) -> PathBuf {
    let text = format!(
        r#"
kind = "vae"
[model]
latent_channels = 4
fine_width = 16
coarse_width = 24
encoder_blocks = 1
decoder_blocks = 1
[task]
batch = 4
frames = 5
crop = 32
clip_frames = 5
clip = 32
data = {{ emoji = {{ clips = {clips} }} }}
squared = 1.0
divergence = 1e-4
latent_noise = 0.0
[run]
folder = "{0}/{run}"
seed = 3
steps = {steps}
checkpoint_every = 2
log_every = 1
accumulate = 2
{1}"#,
        folder.display(),
        optimizer("3e-3", "constant", "1.0")
    );
    write(folder, &format!("{run}.toml"), &text)
}

pub fn denoiser_config(folder: &Path, run: &str, steps: u64) -> PathBuf {
    let text = format!(
        r#"
kind = "denoiser"
[model.text]
tokens_max = 64
layers = 1
width = 32
heads = 2
[model.transformer]
latent_channels = 4
patch = 2
width = 32
blocks = 2
heads = 2
mlp_width = 64
[task]
vae = "{0}/vae/weights.safetensors"
data = {{ emoji = {{ clips = 6 }} }}
statistics = {{ clips = 6, frames = 5, height = 32, width = 32 }}
word_count_min = 3
levels = "logit-normal"
level_shift = 1.0
text_dropout = 0.1
[[task.buckets]]
frames = 1
height = 32
width = 32
batch = 4
weight = 0.5
[[task.buckets]]
frames = 5
height = 32
width = 48
window = 32
batch = 2
weight = 0.5
[run]
folder = "{0}/{run}"
seed = 5
steps = {steps}
checkpoint_every = 2
log_every = 1
{1}"#,
        folder.display(),
        optimizer("2e-3", "cosine", "0.1")
    );
    write(folder, &format!("{run}.toml"), &text)
}

pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

pub fn train(config: &Path, resume: bool, mut on_step: impl FnMut(Progress)) -> Result<u64, TrainError> {
    train_file(config, resume, &AtomicBool::new(false), &mut on_step).map(|summary| summary.steps)
}

/// A whole model, hardly trained.
#[allow(dead_code)] // not every test that shares this module needs one
pub fn model(folder: &Path, denoiser_steps: u64) -> PathBuf {
    train(&vae_config(folder, "vae", 2, 6), false, |_| {}).unwrap();
    train(&denoiser_config(folder, "denoiser", denoiser_steps), false, |_| {}).unwrap();
    folder.join("denoiser/model.safetensors")
}

/// Stages of the adapter on `base`, hard boxes with outlines where `self_tracking`, else mostly soft ones.
#[allow(dead_code)] // not every test that shares this module trains one
pub fn boxes_config(folder: &Path, run: &str, base: &Path, self_tracking: bool, steps: u64) -> PathBuf {
    let soft = if self_tracking { "0.0" } else { "0.8" };
    let text = format!(
        r#"
kind = "boxes"
[model]
hidden = 24
every = 1
[task]
base = "{1}"
data = {{ emoji = {{ clips = 6 }} }}
level_shift = 2.0
text_dropout = 0.1
boxes_dropout = 0.25
phrase_dropout = 0.2
frame_dropout = 0.1
soft = {soft}
self_tracking = {self_tracking}
[[task.buckets]]
frames = 5
height = 32
width = 48
first_given = 0.5
batch = 2
weight = 0.5
[[task.buckets]]
frames = 1
height = 32
width = 32
story = "crossing"
batch = 4
weight = 0.5
[run]
folder = "{0}/{run}"
seed = 5
steps = {steps}
checkpoint_every = 2
preview_every = 3
log_every = 1
{2}"#,
        folder.display(),
        base.display(),
        optimizer("3e-3", "constant", "1.0")
    );
    write(folder, &format!("{run}.toml"), &text)
}
