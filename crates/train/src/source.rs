//! Where training clips come from: composed emoji, or a folder of the user's own.

use std::path::PathBuf;

use image::imageops::{self, FilterType};
use image::{RgbImage, imageops::crop_imm};
use serde::{Deserialize, Serialize};
use vidit_data::{ClipFolder, Pack, Random, Scene, Split, caption, caption_corpus, held_out_prompts, render};
use vidit_media::{ReadLimits, read_video};
use vidit_video::{Frames, PixelShape};

use crate::TrainError;

/// The `data` table of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum DataConfig {
    /// Clips composed of the embedded emoji: as many as `clips` says.
    Emoji {
        /// Different clips.
        clips: u64,
    },
    /// A folder of clips and captions (`metadata.jsonl`, or `clip.mp4` beside `clip.txt`).
    Folder {
        /// The folder.
        path: PathBuf,
        /// Frames a second at which clips are read.
        fps: f64,
    },
}

/// Clips by number. What a number gives depends on the source, its seed and the asked shape alone.
pub enum Source {
    /// Composed.
    Emoji {
        /// Sprites and names.
        pack: Pack,
        /// Seed of the scenes.
        seed: u64,
        /// Different clips.
        clips: u64,
    },
    /// Read from files.
    Folder {
        /// Files and captions.
        folder: ClipFolder,
        /// Frames a second.
        fps: f64,
    },
}

impl Source {
    /// Opens what a configuration names.
    ///
    /// # Errors
    /// If the folder cannot be read or holds no captioned clips.
    pub fn open(config: &DataConfig, seed: u64) -> Result<Self, TrainError> {
        match config {
            DataConfig::Emoji { clips: 0 } => {
                Err(TrainError::Setting("`clips` must be at least 1, found `0`".into()))
            }
            DataConfig::Emoji { clips } => Ok(Self::Emoji { pack: Pack::embedded(), seed, clips: *clips }),
            DataConfig::Folder { fps, .. } if !(fps.is_finite() && *fps > 0.0) => {
                Err(TrainError::Setting(format!("`fps` must be positive, found `{fps}`")))
            }
            DataConfig::Folder { path, fps } => {
                let folder = ClipFolder::open(path).map_err(|error| TrainError::Data(error.to_string()))?;
                Ok(Self::Folder { folder, fps: *fps })
            }
        }
    }

    /// How many different clips there are.
    pub fn len(&self) -> u64 {
        match self {
            Self::Emoji { clips, .. } => *clips,
            Self::Folder { folder, .. } => folder.clips().len() as u64,
        }
    }

    /// Never true: a source without clips is an error when opened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn scene(&self, pack: &Pack, seed: u64, index: u64) -> Scene {
        Scene::sample(pack, seed, index, Split::Train)
    }

    /// Clip `index` at `shape`, and the centre of its main object in its first frame (fractions), where known.
    ///
    /// # Errors
    /// If a file cannot be decoded or is shorter than asked.
    pub fn clip(&self, index: u64, shape: PixelShape) -> Result<(Frames, Option<(f32, f32)>), TrainError> {
        match self {
            Self::Emoji { pack, seed, .. } => {
                let composite = render(pack, &self.scene(pack, *seed, index), shape);
                let centre = composite.tracks[0].boxes[0].map(|b| b.centre());
                Ok((composite.frames, centre))
            }
            Self::Folder { folder, fps } => {
                let path = &folder.clips()[index as usize].path;
                let clip = read_video(path, &ReadLimits::default())
                    .map_err(|error| TrainError::Data(error.to_string()))?;
                let found = clip.frames.shape().frames;
                // The frame that shows at each moment of the asked rate.
                let step = if found == 1 { 0.0 } else { clip.fps / fps };
                let last = ((shape.frames - 1) as f64 * step).floor() as usize;
                if last >= found {
                    return Err(TrainError::Data(format!(
                        "`{}` has {found} frames at {} fps, {} at {fps} fps need {}\nhint: ask for fewer `frames`",
                        path.display(),
                        clip.fps,
                        shape.frames,
                        last + 1
                    )));
                }
                let chosen: Vec<usize> =
                    (0..shape.frames).map(|i| (i as f64 * step).floor() as usize).collect();
                Ok((fit(&clip.frames, &chosen, shape), None))
            }
        }
    }

    /// A caption of clip `index`; `variant` chooses among its wordings.
    pub fn caption(&self, index: u64, variant: u64) -> String {
        match self {
            Self::Emoji { pack, seed, .. } => {
                let scene = self.scene(pack, *seed, index);
                caption(pack, &scene, scene.language, variant)
            }
            Self::Folder { folder, .. } => folder.clips()[index as usize].caption.clone(),
        }
    }

    /// All words that captions are made of, many times.
    pub fn corpus(&self) -> Vec<String> {
        match self {
            Self::Emoji { pack, .. } => caption_corpus(pack).collect(),
            Self::Folder { folder, .. } => folder.clips().iter().map(|clip| clip.caption.clone()).collect(),
        }
    }

    /// Prompts for sample sheets: held out where the source can hold any out.
    pub fn preview_prompts(&self, count: usize) -> Vec<String> {
        match self {
            Self::Emoji { pack, .. } => held_out_prompts(pack, count.div_ceil(3), 5)
                .into_iter()
                .map(|h| h.prompt)
                .take(count)
                .collect(),
            Self::Folder { folder, .. } => {
                let mut random = Random::new(5, 0);
                (0..count).map(|_| random.choose(folder.clips()).caption.clone()).collect()
            }
        }
    }
}

/// The chosen frames, cropped in the middle to the asked aspect and resized.
fn fit(frames: &Frames, chosen: &[usize], shape: PixelShape) -> Frames {
    let from = frames.shape();
    let scale = (from.width as f64 / shape.width as f64).min(from.height as f64 / shape.height as f64);
    let (w, h) = ((shape.width as f64 * scale).round() as u32, (shape.height as f64 * scale).round() as u32);
    let (w, h) = (w.clamp(1, from.width as u32), h.clamp(1, from.height as u32));
    let (x, y) = ((from.width as u32 - w) / 2, (from.height as u32 - h) / 2);
    let mut rgb = Vec::with_capacity(shape.pixels() * 3);
    for index in chosen {
        let image = RgbImage::from_raw(from.width as u32, from.height as u32, frames.frame(*index).to_vec())
            .expect("a frame has width × height × 3 bytes");
        let image = crop_imm(&image, x, y, w, h).to_image();
        let image = imageops::resize(&image, shape.width as u32, shape.height as u32, FilterType::Triangle);
        rgb.extend_from_slice(image.as_raw());
    }
    Frames::from_rgb(shape, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vidit_media::{WriteOptions, write_video};

    #[test]
    fn a_users_folder_is_read_at_the_asked_rate_and_size() {
        let folder = std::env::temp_dir().join(format!("vidit-source-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let shape = PixelShape::new(9, 32, 64);
        let mut frames = Frames::black(shape);
        for index in 0..9 {
            frames.frame_mut(index).fill(index as u8 * 20);
        }
        write_video(&frames, 24u32, &folder.join("a.gif"), &WriteOptions::default()).unwrap();
        std::fs::write(folder.join("a.txt"), "grey grows lighter").unwrap();
        let source = Source::open(&DataConfig::Folder { path: folder.clone(), fps: 12.0 }, 0).unwrap();
        assert_eq!((source.len(), source.caption(0, 7).as_str()), (1, "grey grows lighter"));
        let (clip, _) = source.clip(0, PixelShape::new(4, 16, 16)).unwrap();
        for (index, expected) in [0u8, 40, 80, 120].into_iter().enumerate() {
            let found = clip.frame(index)[0];
            assert!(found.abs_diff(expected) <= 20, "frame {index}: {found}, expected about {expected}");
        }
        let error = source.clip(0, PixelShape::new(9, 16, 16)).unwrap_err().to_string();
        assert!(error.contains("a.gif") && error.contains("hint"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
