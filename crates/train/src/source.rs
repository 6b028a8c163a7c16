//! Where training clips come from: composed emoji, or a folder of the user's own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vidit_data::{ClipFolder, Composite, Description, Pack, Random, Story, caption_corpus, held_out_prompts};
use vidit_media::{ReadLimits, fit, read_video};
use vidit_motion::Track;
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

/// One clip of a source.
pub struct Clip {
    /// The clip.
    pub frames: Frames,
    /// Centre of its main object in its first frame, fractions of width and height, where known.
    pub centre: Option<(f32, f32)>,
    /// Pixel frames at the beginning that its story gives beforehand.
    pub head: usize,
    /// As `head`, at the end.
    pub tail: usize,
    /// Where its objects are, where that is known.
    pub tracks: Vec<Track>,
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

    /// Whether it has clips of this story: a folder's are as they are.
    pub fn tells(&self, story: Story) -> bool {
        matches!(self, Self::Emoji { .. }) || story == Story::Plain
    }

    /// Clip `index` of a story at `shape`.
    ///
    /// # Errors
    /// If a file cannot be decoded or is shorter than asked.
    pub fn clip(&self, story: Story, index: u64, shape: PixelShape) -> Result<Clip, TrainError> {
        match self {
            Self::Emoji { pack, seed, .. } => {
                let told = story.tell(pack, *seed, index, shape);
                let centre =
                    told.composite.tracks.first().and_then(|track| track.boxes[0]).map(|b| b.centre());
                let Composite { frames, tracks } = told.composite;
                Ok(Clip { frames, centre, head: told.head, tail: told.tail, tracks })
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
                let chosen = (0..shape.frames).map(|i| (i as f64 * step).floor() as usize);
                let rgb = chosen.flat_map(|frame| clip.frames.frame(frame).to_vec()).collect();
                let chosen = PixelShape { frames: shape.frames, ..clip.frames.shape() };
                let frames = fit(&Frames::from_rgb(chosen, rgb), shape.width, shape.height);
                Ok(Clip { frames, centre: None, head: 0, tail: 0, tracks: Vec::new() })
            }
        }
    }

    /// A caption of clip `index` of a story, and what it calls its tracks; `variant` chooses among its wordings.
    pub fn describe(&self, story: Story, index: u64, variant: u64) -> Description {
        match self {
            Self::Emoji { pack, seed, .. } => story.describe(pack, *seed, index, variant),
            Self::Folder { folder, .. } => {
                Description { text: folder.clips()[index as usize].caption.clone(), phrases: Vec::new() }
            }
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
        assert_eq!(
            (source.len(), source.describe(Story::Plain, 0, 7).text.as_str()),
            (1, "grey grows lighter")
        );
        let clip = source.clip(Story::Plain, 0, PixelShape::new(4, 16, 16)).unwrap().frames;
        for (index, expected) in [0u8, 40, 80, 120].into_iter().enumerate() {
            let found = clip.frame(index)[0];
            assert!(found.abs_diff(expected) <= 20, "frame {index}: {found}, expected about {expected}");
        }
        let error = source.clip(Story::Plain, 0, PixelShape::new(9, 16, 16)).err().unwrap().to_string();
        assert!(error.contains("a.gif") && error.contains("hint"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
