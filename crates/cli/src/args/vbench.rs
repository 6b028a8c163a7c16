//! `vidit eval run|filter|aggregate|compare|preflight|report|submission`

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum, ValueHint};
use vidit_vbench::transforms::MusiqRule;
use vidit_vbench::{Dimension, Mode, SAMPLES};

/// Whose rules hold where the reference does what nobody would ask for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeName {
    /// The reference's: a missing dimension counts as raw 0
    Compat,
    /// Ours: a sum that lacks a dimension is not given
    Fixed,
}

impl ModeName {
    pub fn mode(self) -> Mode {
        match self {
            Self::Compat => Mode::Compat,
            Self::Fixed => Mode::Fixed,
        }
    }
}

/// Whose rules a measurement follows.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MeasureMode {
    /// The reference's, its errors too: scores compare with published ones
    Compat,
    /// Ours, without the errors that docs/vbench.md lists: scores compare with none that were published
    Fixed,
}

impl MeasureMode {
    pub fn mode(self) -> Mode {
        match self {
            Self::Compat => Mode::Compat,
            Self::Fixed => Mode::Fixed,
        }
    }
}

/// How frames are made smaller for imaging quality; the reference's names.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ImagingRule {
    /// The longer side to 512 pixels, if it is more
    Longer,
    /// The shorter side to 512 pixels, if it is more
    Shorter,
    /// The same, and then the middle 512 x 512
    #[value(name = "shorter_centercrop", alias = "shorter-centercrop")]
    ShorterCentreCrop,
    /// Not at all
    #[value(name = "None", alias = "none")]
    None,
}

impl ImagingRule {
    pub fn rule(self) -> MusiqRule {
        match self {
            Self::Longer => MusiqRule::Longer,
            Self::Shorter => MusiqRule::Shorter,
            Self::ShorterCentreCrop => MusiqRule::ShorterCentreCrop,
            Self::None => MusiqRule::None,
        }
    }
}

/// How totals are made.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct Rules {
    /// Whose rules hold; see docs/vbench.md
    #[arg(long, value_enum, default_value = "fixed")]
    pub mode: ModeName,
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// Folder of videos called `{prompt}-{0..4}.mp4`; with `--custom` any videos, or one
    #[arg(value_hint = ValueHint::AnyPath)]
    pub videos: PathBuf,

    /// A suite of your own in the layout of VBench_full_info.json, instead of VBench's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "custom")]
    pub suite: Option<PathBuf>,

    /// Measure videos that are of no suite, for what does not depend on its prompts
    #[arg(long)]
    pub custom: bool,

    /// Pictures that the videos should begin with, for VBench-I2V: a folder of them, called as the suite says or, with `--custom`,
    /// `{prompt}.jpg` or `.png`; or the only one. By default `i2v_subject`, `i2v_background`, `camera_motion` if a suite has
    /// prompts for it, and the seven of quality are measured then
    #[arg(long, value_name = "PICTURES", value_hint = ValueHint::AnyPath)]
    pub i2v: Option<PathBuf>,

    /// Cut long videos into clips of two or ten seconds and measure these, as VBench-Long does. With `--custom` flicker is not measured
    /// by default then
    #[arg(long, conflicts_with = "i2v")]
    pub long: bool,

    /// Measure flicker on the first five clips of each prompt that stand still, which RAFT looks for first
    #[arg(long, requires = "long")]
    pub static_filter: bool,

    /// Tell scenes apart first, and cut each into clips, as VBench-Long does with `--use_semantic_splitting`
    #[arg(long, requires = "long")]
    pub scenes: bool,

    /// Make half of subject and background consistency how alike a video's clips are, as VBench-Long does with `--dev_flag`
    #[arg(long, requires = "long")]
    pub clip_to_clip: bool,

    /// What to measure; by default all, and the seven of quality with `--custom`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub dimensions: Vec<Dimension>,

    /// Folder of the networks' weights; docs/vbench.md names the files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub weights: Option<PathBuf>,

    /// Say in manifest and report that the weights were drawn at random, as for a comparison of programs
    #[arg(long, requires = "weights")]
    pub random_weights: bool,

    /// Whose rules hold; docs/vbench.md says where they differ
    #[arg(long, value_enum, default_value = "compat")]
    pub mode: MeasureMode,

    /// Multiply in f32 throughout. On CPUs with AMX products of linear layers are otherwise made of three in bf16, and scores
    /// differ by about 1e-7
    #[arg(long, help_heading = "Machine")]
    pub exact: bool,

    /// How frames are made smaller for imaging quality, the reference's `--imaging_quality_preprocessing_mode`; published scores are of the
    /// default
    #[arg(long, value_enum, value_name = "RULE", default_value = "longer")]
    pub imaging_quality_preprocessing: ImagingRule,

    /// Videos of each prompt
    #[arg(long, value_name = "N", default_value_t = SAMPLES as u32, value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "custom")]
    pub samples: u32,

    /// Measure what is there although videos of the suite are missing
    #[arg(long, conflicts_with = "custom")]
    pub partial: bool,

    /// The prompt of all videos, instead of their names
    #[arg(long, value_name = "TEXT", requires = "custom")]
    pub prompt: Option<String>,

    /// Prompts by file name, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "custom", conflicts_with = "prompt")]
    pub prompt_file: Option<PathBuf>,

    /// Folder for results, manifest, report, and the journal that a stopped run goes on from
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Output")]
    pub output: PathBuf,

    /// What result files begin with
    #[arg(long, value_name = "NAME", default_value = "vidit", help_heading = "Output")]
    pub name: String,

    /// What was measured: the report's title; by default the name of results
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub title: Option<String>,

    /// Published results to draw beside it
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "sora,hunyuanvideo",
        help_heading = "Output"
    )]
    pub published: Vec<String>,

    #[command(flatten)]
    pub speech: super::Speech,

    #[command(flatten)]
    pub compute: super::Compute,
}

#[derive(Debug, ClapArgs)]
pub struct Filter {
    /// Folder of videos called `{prompt}-{sample}.mp4`, more than five of each prompt
    #[arg(value_hint = ValueHint::DirPath)]
    pub videos: PathBuf,

    /// A suite of your own in the layout of VBench_full_info.json, instead of VBench's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "all")]
    pub suite: Option<PathBuf>,

    /// Look at all videos, not at those of temporal flickering alone, and take more than five of a prompt
    #[arg(long)]
    pub all: bool,

    /// Folder of the networks' weights: RAFT's
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub weights: Option<PathBuf>,

    /// Whose rules hold: in `compat` the padding of frames counts, too
    #[arg(long, value_enum, default_value = "compat")]
    pub mode: MeasureMode,

    /// Folder for `filtered_videos`, `filtered_static_video.json`, and the journal that a stopped run goes on from
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Output")]
    pub output: PathBuf,

    #[command(flatten)]
    pub speech: super::Speech,

    #[command(flatten)]
    pub compute: super::Compute,
}

#[derive(Debug, ClapArgs)]
pub struct Aggregate {
    /// Results in VBench's layout: a file, a folder of them, or a leaderboard's zip. Of several, later ones go over earlier ones
    #[arg(required = true, value_name = "RESULTS", value_hint = ValueHint::AnyPath)]
    pub results: Vec<PathBuf>,

    #[command(flatten)]
    pub rules: Rules,

    /// Make the totals of VBench-I2V instead
    #[arg(long)]
    pub i2v: bool,

    /// Print one line of JSON instead of text
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Compare {
    /// Results as for `vidit eval aggregate`, or published ones as `published:NAME`; differences are to the first
    #[arg(required_unless_present = "published", value_name = "RESULTS", value_hint = ValueHint::AnyPath)]
    pub results: Vec<PathBuf>,

    /// Published results to put beside them, by name or the beginning of one: sora, wan, …
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub published: Vec<String>,

    #[command(flatten)]
    pub rules: Rules,

    /// Print one line of JSON instead of text
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Preflight {
    /// Folder of videos called `{prompt}-{0..4}.mp4`; or of folders of them, one a set of prompts
    #[arg(value_hint = ValueHint::DirPath)]
    pub videos: PathBuf,

    /// A suite of your own in the layout of VBench_full_info.json, instead of VBench's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub suite: Option<PathBuf>,

    /// What is to be measured; all by default
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub dimensions: Vec<Dimension>,

    /// Videos of each prompt
    #[arg(long, value_name = "N", default_value_t = SAMPLES as u32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub samples: u32,

    /// Look at names and bytes alone, and read no video: seconds instead of minutes
    #[arg(long)]
    pub names_only: bool,

    /// The videos are to be measured with `--long`: they may have more frames
    #[arg(long)]
    pub long: bool,

    /// Print one line of JSON instead of text, and no progress
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Report {
    /// Results as for `vidit eval aggregate`
    #[arg(value_hint = ValueHint::AnyPath)]
    pub results: PathBuf,

    /// Where to write the page: one file that fetches nothing
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub output: PathBuf,

    /// Replace a file that exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,

    /// What was measured; by default the name of the results
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,

    /// Show a frame of each video, where the results' paths lead from this folder; every video is read
    #[arg(long)]
    pub thumbnails: bool,

    /// How it was measured: a manifest
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub manifest: Option<PathBuf>,

    /// Published results to draw beside it
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "sora,hunyuanvideo")]
    pub published: Vec<String>,

    #[command(flatten)]
    pub rules: Rules,
}

#[derive(Debug, ClapArgs)]
pub struct Submission {
    /// Folder of results
    #[arg(value_hint = ValueHint::DirPath)]
    pub results: PathBuf,

    /// Where to write the zip
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub output: PathBuf,

    /// Replace a file that exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
}
