//! What can be typed. One definition makes the parser, `--help`, the manual page and the completions.

pub mod vbench;
pub mod weights;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use vidit_eval::EvalOptions;
use vidit_language::Options as LanguageOptions;
use vidit_pipeline::{MINI, Request, Sampler, Wish};

/// Makes videos from text with a diffusion transformer, on the processor.
#[derive(Debug, Parser)]
#[command(name = "vidit", version, max_term_width = 100, after_help = ENVIRONMENT)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const ENVIRONMENT: &str = "\
Environment:
  VIDIT_THREADS  number of threads; `--threads` goes before it
  VIDIT_MODELS   folder of language models for `--lm NAME`: NAME.gguf, or a folder NAME
  VIDIT_ISA      highest instruction set to use: scalar, neon, avx2, avx512, avx512bf16, amx

Exit codes:
  0 done, 1 failed, 2 asked for what cannot be done, 130 interrupted";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a video from a prompt
    Generate(Box<Generate>),
    /// Make a picture from a prompt
    Image(Box<Image>),
    /// Make a whole prompt of a short one, with the words that `mini` knows or with a language model
    Expand(Expand),
    /// Continue a clip, or make what came before it
    Extend(Box<Extend>),
    /// Make a video whose end goes over into its beginning
    Loop(Box<Loop>),
    /// Make a transition between two clips
    Connect(Box<Connect>),
    /// Make one clip that goes over from one into another along its whole length
    Blend(Box<Blend>),
    /// Change a clip by words
    Remix(Box<Remix>),
    /// Make a video from latents that `generate --save-latents` kept
    Decode(Decode),
    /// Show what this machine and this build can do
    Doctor(Doctor),
    /// Look at boxes
    #[command(subcommand)]
    Boxes(Boxes),
    /// Make training data
    #[command(subcommand)]
    Data(Data),
    /// Train a network from a configuration file
    Train(Train),
    /// Measure how good a model is
    #[command(subcommand)]
    Eval(Eval),
    /// Measure how fast this machine computes, on shapes of real models
    Bench(Bench),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page
    Man,
}

/// How the machine is used.
#[derive(Clone, Debug, ClapArgs)]
pub struct Compute {
    /// Number of threads; all cores by default
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub threads: Option<usize>,
}

/// Where and with what networks run.
#[derive(Clone, Debug, ClapArgs)]
pub struct Network {
    /// Embedded model, or path of a weights file
    #[arg(long, value_name = "NAME_OR_PATH", default_value = MINI, value_hint = ValueHint::FilePath)]
    pub model: OsString,

    /// Where to compute: cpu, or a device this build was made for (vulkan, metal, webgpu)
    #[arg(long, value_name = "DEVICE", default_value = "cpu", help_heading = "Machine")]
    pub device: String,

    #[command(flatten)]
    pub compute: Compute,
}

/// What is said, and how.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct Speech {
    /// Print one line of JSON instead of text, and no progress
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Print the path alone, and no progress
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

/// What every verb that makes a video shares.
#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new(NAMED).multiple(true))]
pub struct Making {
    /// Where to write: .mp4, .gif, .webp, .png (contact sheet), or a folder of frames (no extension).
    /// By default a new file in this folder, named after the prompt
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, group = NAMED, help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Replace files that exist. Names of our own are always new
    #[arg(long, requires = NAMED, help_heading = "Output")]
    pub overwrite: bool,

    #[command(flatten)]
    pub speech: Speech,

    /// Say first what the prompt leaves open, as `vidit expand` does with the same seed
    #[arg(long)]
    pub expand: bool,

    /// Expand with this language model, as `vidit expand --lm` does. `mini` has room for short prompts alone, and spells words
    /// that it does not know
    #[arg(long, value_name = "NAME_OR_PATH", requires = "expand", value_hint = ValueHint::AnyPath)]
    pub lm: Option<OsString>,

    /// Seed of the noise; the same seed makes the same video. Random by default
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    #[command(flatten)]
    pub sampling: Sampling,

    /// What the video should not show
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub negative: OsString,

    /// Boxes that say where objects move, a file of JSON; frames are those of the whole video, from 0
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Boxes")]
    pub boxes: Option<PathBuf>,

    /// Weights of the box adapter, which a run of kind `boxes` leaves
    #[arg(long, value_name = "FILE", requires = "boxes", value_hint = ValueHint::FilePath, help_heading = "Boxes")]
    pub box_adapter: Option<PathBuf>,

    #[command(flatten)]
    pub network: Network,
}

/// Files that a verb is told to write.
const NAMED: &str = "named";

#[derive(Debug, ClapArgs)]
pub struct Generate {
    /// What the video shows
    #[arg(required_unless_present = "storyboard")]
    pub prompt: Option<OsString>,

    /// Timed prompts, pictures and clips: a file of TOML with `frames` and `[[card]]`s, each of a `frame` or `seconds`, and a
    /// `prompt`, an `image` or both
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Given pictures",
        conflicts_with_all = ["image", "last_image", "frame", "frames", "seconds", "init_latents", "save_latents", "expand"])]
    pub storyboard: Option<PathBuf>,

    /// The picture that the video begins with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Given pictures")]
    pub image: Option<PathBuf>,

    /// The picture that the video ends with, on which it rests for its last four frames
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Given pictures")]
    pub last_image: Option<PathBuf>,

    /// A picture, or a clip, that stands at frame N, which is 0 or 4n+1; may be given several times
    #[arg(long, value_name = "N=FILE", value_parser = parse_keyframe, help_heading = "Given pictures")]
    pub frame: Vec<Keyframe>,

    /// Keep the latents, too, for `vidit decode`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, group = NAMED, help_heading = "Output")]
    pub save_latents: Option<PathBuf>,

    /// Width and height in pixels, multiples of 16 [default: 128x128, or near the first picture's shape]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<Size>,

    /// Number of frames, 4n+1; more than 49 go on from their own end, as `extend` does, unless latents or a last image are given
    /// [default: 25]
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    pub frames: Option<usize>,

    /// Length instead of a number of frames, rounded to the nearest possible
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,

    /// Frames a second
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub fps: u32,

    /// Start from the tensor `latents` [F, H, W, C] of this safetensors file, taken as it is for the noise at σ = 1,
    /// instead of from seeded noise
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub init_latents: Option<PathBuf>,

    #[command(flatten)]
    pub making: Making,
}

#[derive(Debug, ClapArgs)]
pub struct Expand {
    /// A prompt in English, Chinese or Arabic
    pub prompt: OsString,

    /// Chooses among ways to say it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Let a language model rewrite the prompt, of the families llama, qwen2 and qwen3: a GGUF file, a folder with config.json,
    /// tokenizer.json and *.safetensors, or the name of either in the folder $VIDIT_MODELS
    #[arg(long, value_name = "NAME_OR_PATH", value_hint = ValueHint::AnyPath, help_heading = "Language model")]
    pub lm: Option<OsString>,

    /// How freely it draws: 0 takes the most probable word each time
    #[arg(long, value_name = "T", requires = "lm", default_value_t = LanguageOptions::default().temperature,
        allow_negative_numbers = true, value_parser = parse_temperature, help_heading = "Language model")]
    pub temperature: f32,

    /// Length of its answer at most, in tokens; one that is longer ends with its last whole sentence
    #[arg(long, value_name = "N", requires = "lm", default_value_t = LanguageOptions::default().tokens_max as u32,
        value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Language model")]
    pub max_tokens: u32,

    #[command(flatten)]
    pub speech: Speech,
}

#[derive(Debug, ClapArgs)]
pub struct Image {
    /// What the picture shows
    pub prompt: OsString,

    /// Width and height in pixels, multiples of 16
    #[arg(long, value_name = "WxH", default_value = "128x128", value_parser = parse_size)]
    pub size: Size,

    #[command(flatten)]
    pub making: Making,
}

/// A clip that is read, and its size.
#[derive(Debug, ClapArgs)]
pub struct Source {
    /// Scale clips to this width and height, multiples of 16, cutting off what is too wide or too high
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<Size>,
}

/// A new part that is joined to clips.
#[derive(Debug, ClapArgs)]
pub struct Joining {
    /// Write the new frames alone, without the clip
    #[arg(long, help_heading = "Output")]
    pub only_new: bool,

    #[command(flatten)]
    pub source: Source,

    #[command(flatten)]
    pub making: Making,
}

#[derive(Debug, ClapArgs)]
pub struct Extend {
    /// The clip that is extended
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,

    /// What happens in the new part
    pub prompt: OsString,

    /// Whether the new part follows the clip or leads to it
    #[arg(long, value_enum, default_value = "forward")]
    pub direction: DirectionName,

    /// New frames
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub frames: u32,

    #[command(flatten)]
    pub lasting: Lasting,

    #[command(flatten)]
    pub joining: Joining,
}

/// How long what is new lasts, in place of its frames.
#[derive(Debug, ClapArgs)]
pub struct Lasting {
    /// New seconds in place of frames, as near as whole steps come
    #[arg(long, value_name = "S", conflicts_with = "frames", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DirectionName {
    Forward,
    Backward,
}

#[derive(Debug, ClapArgs)]
pub struct Loop {
    /// What the loop shows; or the file of a clip that a new part leads back to its beginning
    pub prompt_or_clip: OsString,

    /// What happens in the part that leads a clip back; may be left out
    pub prompt: Option<OsString>,

    /// Frames of the loop, or of the new part, a multiple of 4 [default: 24, or 16]
    #[arg(long, value_name = "N", value_parser = parse_fours)]
    pub frames: Option<u32>,

    #[command(flatten)]
    pub lasting: Lasting,

    /// Frames a second of a loop from a prompt [default: 12]
    #[arg(long, value_name = "N")]
    pub fps: Option<u32>,

    #[command(flatten)]
    pub joining: Joining,
}

#[derive(Debug, ClapArgs)]
pub struct Connect {
    /// The clip that comes first
    #[arg(value_hint = ValueHint::FilePath)]
    pub from: PathBuf,

    /// The clip that it goes over into
    #[arg(value_hint = ValueHint::FilePath)]
    pub to: PathBuf,

    /// What happens between them
    pub prompt: OsString,

    /// New frames, a multiple of 4
    #[arg(long, value_name = "N", default_value = "16", value_parser = parse_fours)]
    pub frames: u32,

    #[command(flatten)]
    pub lasting: Lasting,

    /// How much of the middle is made anew: 0 only fades from the end of one clip to the beginning of the other, 1 forgets them there
    #[arg(long, value_name = "S", default_value_t = Wish::CONNECTED, allow_negative_numbers = true)]
    pub strength: f32,

    #[command(flatten)]
    pub joining: Joining,
}

#[derive(Debug, ClapArgs)]
pub struct Blend {
    /// The clip that is seen at the beginning
    #[arg(value_hint = ValueHint::FilePath)]
    pub from: PathBuf,

    /// The clip that is seen at the end; the longer of the two is cut
    #[arg(value_hint = ValueHint::FilePath)]
    pub to: PathBuf,

    /// What the whole shows; may be left out
    pub prompt: Option<OsString>,

    /// How the second clip comes in over time
    #[arg(long, value_enum, default_value = "smooth")]
    pub curve: Curve,

    /// How much of the middle is made anew: 0 only fades, 1 forgets the clips there
    #[arg(long, value_name = "S", default_value_t = Wish::BLENDED, allow_negative_numbers = true)]
    pub strength: f32,

    #[command(flatten)]
    pub source: Source,

    #[command(flatten)]
    pub making: Making,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Curve {
    /// Evenly
    Linear,
    /// Slowly, then fast, then slowly
    Smooth,
    /// Within a fifth of the clip, in the middle
    Cut,
}

impl Curve {
    /// How much of the second clip is seen at a moment from 0 to 1.
    pub fn share(self, moment: f32) -> f32 {
        match self {
            Curve::Linear => moment,
            Curve::Smooth => Wish::smooth(moment),
            Curve::Cut => ((moment - 0.4) / 0.2).clamp(0.0, 1.0),
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct Remix {
    /// The clip that is changed
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,

    /// What it shows afterwards
    pub prompt: OsString,

    /// How much is made anew: 0 keeps the clip, 1 forgets it
    #[arg(long, value_name = "S", default_value_t = Wish::REMIXED, allow_negative_numbers = true)]
    pub strength: f32,

    /// A picture of the clip's size, white where it is changed, black where it stays
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub mask: Option<PathBuf>,

    #[command(flatten)]
    pub source: Source,

    #[command(flatten)]
    pub making: Making,
}

#[derive(Debug, ClapArgs)]
pub struct Decode {
    /// File that `generate --save-latents` wrote
    #[arg(value_hint = ValueHint::FilePath)]
    pub latents: PathBuf,

    /// Where to write; see `vidit generate --help`
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub output: PathBuf,

    /// Replace a file that exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,

    #[command(flatten)]
    pub speech: Speech,

    /// Frames a second; those of the latents by default
    #[arg(long, value_name = "N")]
    pub fps: Option<u32>,

    #[command(flatten)]
    pub network: Network,
}

#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// Print one line of JSON instead of text
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub compute: Compute,
}

#[derive(Debug, Subcommand)]
pub enum Boxes {
    /// Paint boxes on a clip
    Draw(BoxesDraw),
    /// Propose boxes from what moves in a clip
    Track(BoxesTrack),
}

#[derive(Debug, ClapArgs)]
pub struct BoxesTrack {
    /// The clip: up to eight objects before a background of one colour, or of a soft run between two, as `mini` makes them
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,

    /// How far boxes may be from the object, a fraction of the frame: less takes more keyframes
    #[arg(long, value_name = "E", default_value_t = 0.03, allow_negative_numbers = true)]
    pub tolerance: f32,

    /// Where to write; printed when left out
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Replace a file that exists
    #[arg(long, requires = "output", help_heading = "Output")]
    pub overwrite: bool,

    #[command(flatten)]
    pub speech: Speech,
}

#[derive(Debug, ClapArgs)]
pub struct BoxesDraw {
    /// The clip
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,

    /// Boxes as for `generate --boxes`: hard ones are painted thick, soft ones thin
    #[arg(value_hint = ValueHint::FilePath)]
    pub boxes: PathBuf,

    /// Where to write; see `vidit generate --help`
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub output: PathBuf,

    /// Replace a file that exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,

    #[command(flatten)]
    pub speech: Speech,
}

#[derive(Debug, Subcommand)]
pub enum Data {
    /// Compose clips of moving sprites with exact captions and boxes
    Compose(Compose),
}

#[derive(Debug, ClapArgs)]
pub struct Compose {
    /// Folder to make
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,

    /// Number of clips
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub count: u64,

    /// Seed of the stream of scenes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Width and height in pixels
    #[arg(long, value_name = "WxH", default_value = "128x128", value_parser = parse_size)]
    pub size: Size,

    /// Number of frames
    #[arg(long, value_name = "N", default_value_t = 25)]
    pub frames: usize,

    /// Scenes that training sees, or those that are held out from it
    #[arg(long, value_enum, default_value = "train")]
    pub split: SplitName,

    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,

    #[command(flatten)]
    pub compute: Compute,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SplitName {
    Train,
    HeldOut,
}

#[derive(Debug, ClapArgs)]
pub struct Train {
    /// Configuration of the run, such as configs/mini-vae.toml
    #[arg(value_hint = ValueHint::FilePath)]
    pub config: PathBuf,

    /// Go on from the last checkpoint
    #[arg(long)]
    pub resume: bool,

    /// Write the run's batches to standard output and learn nothing: for a learner elsewhere, as scripts/accelerator has one
    #[arg(long, conflicts_with = "resume", help_heading = "Batches")]
    pub batches: bool,

    /// Encode all clips before the first batch is written
    #[arg(long, requires = "batches", help_heading = "Batches")]
    pub encode_first: bool,

    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,

    #[command(flatten)]
    pub compute: Compute,
}

#[derive(Debug, Subcommand)]
pub enum Eval {
    /// Score a `mini` on prompts that its training never saw
    Mini(EvalMini),
    /// Measure videos by VBench: sixteen dimensions, a report, a manifest of all that scores depend on
    Run(vbench::Run),
    /// Make VBench's Total, Quality and Semantic of results, in points of 100
    Aggregate(vbench::Aggregate),
    /// Put results of VBench side by side, with published ones too
    Compare(vbench::Compare),
    /// Look whether all videos of VBench's suite are there and can be read, before hours are spent on them
    Preflight(vbench::Preflight),
    /// Make a page of results of VBench: plots, worst and best videos, how they were measured
    Report(vbench::Report),
    /// Pack results of VBench for its leaderboard, if they are a whole suite
    Submission(vbench::Submission),
    /// Find the videos that stand still, on which VBench's protocol measures flicker
    Filter(vbench::Filter),
    /// The weights that VBench measures with: list, fetch, verify, convert
    #[command(subcommand)]
    Weights(weights::Weights),
}

/// How a clip is drawn.
#[derive(Debug, ClapArgs)]
pub struct Sampling {
    /// Sampling steps: more are slower and finer
    #[arg(long, value_name = "N", default_value_t = Request::STEPS)]
    pub steps: usize,

    /// How strongly the prompt is followed; 1 is neutral. 4 unless it is given, with boxes 1.5
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub guidance: Option<f32>,

    /// How much of the steps goes to high noise, where layout and motion are decided; 1 for even steps
    #[arg(long, value_name = "S", default_value_t = Request::SHIFT, allow_negative_numbers = true)]
    pub shift: f32,

    /// How noise becomes video: `euler` unless it is given, with boxes `ancestral`
    #[arg(long, value_name = "NAME", value_parser = sampler_names())]
    pub sampler: Option<String>,
}

impl Sampling {
    /// The request, drawn in this way.
    pub fn apply(&self, request: Request) -> Request {
        Request {
            steps: self.steps,
            guidance: self.guidance,
            shift: self.shift,
            sampler: self
                .sampler
                .as_deref()
                .map(|name| Sampler::from_name(name).expect("the parser lets known names through alone")),
            ..request
        }
    }
}

/// What of a `mini` is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MiniSuite {
    /// Text to video
    Text,
    /// The same scenes from the same noise, said in each language
    Languages,
    /// Pairs of objects, first images, extensions, loops, connections, remixes, sizes
    Sora,
    /// Objects in boxes: alone, two whose ways meet, one that comes in or goes out, three at once
    Boxes,
}

#[derive(Debug, ClapArgs)]
pub struct EvalMini {
    /// What is scored
    #[arg(long, value_enum, default_value = "text")]
    pub suite: MiniSuite,

    /// So many prompts instead of 300, taken from the three languages in turn; scenes of `languages` instead of 100; or cases of each
    /// part of another suite instead of 60
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// Chooses the prompts and the noise
    #[arg(long, value_name = "N", default_value_t = EvalOptions::default().seed)]
    pub seed: u64,

    #[command(flatten)]
    pub sampling: Sampling,

    #[command(flatten)]
    pub speech: Speech,

    /// Weights of the box adapter that `--suite boxes` scores, which a run of kind `boxes` leaves
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Boxes")]
    pub box_adapter: Option<PathBuf>,

    /// A second adapter, trained with `self_tracking = false` in every stage, that `--suite boxes` scores beside it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Boxes")]
    pub without_self_tracking: Option<PathBuf>,

    #[command(flatten)]
    pub network: Network,
}

#[derive(Debug, ClapArgs)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum, default_value = "kernels")]
    pub suite: Suite,

    /// Only the case of this name, or those whose names hold this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,

    /// Print the names of the cases, and measure nothing
    #[arg(long)]
    pub list: bool,

    /// Tokens of `wan-block` and `wan-step`; by default those of 17 frames of 240×416 and of 33 frames of 480×832
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub tokens: Option<u32>,

    /// Frames of `vae-decode`, 4n+1
    #[arg(long, value_name = "N", default_value_t = 17)]
    pub frames: usize,

    /// Width and height of `vae-decode` in pixels, multiples of 16
    #[arg(long, value_name = "WxH", default_value = "416x240", value_parser = parse_size)]
    pub size: Size,

    /// Format of operands; by default bf16 where that is fast, f32 elsewhere
    #[arg(long, value_enum)]
    pub dtype: Option<Dtype>,

    /// Highest instruction set to use: scalar, neon, avx2, avx512, avx512bf16, amx
    #[arg(long, value_name = "NAME", help_heading = "Machine")]
    pub isa: Option<String>,

    /// Timed runs of each case, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,

    /// Print one object of JSON a line instead of a table
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub compute: Compute,
}

/// What `vidit bench` measures.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Suite {
    /// Each kernel alone
    Kernels,
    /// One transformer block of Wan 2.1 1.3B, at random weights
    WanBlock,
    /// One prediction of the whole transformer of Wan 2.1 1.3B, at random weights: needs 12 GB
    WanStep,
    /// The decoder of Wan 2.1's VAE, at random weights
    VaeDecode,
    /// One optimiser step of `mini`'s denoiser
    TrainStep,
}

/// Formats of operands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Dtype {
    F32,
    Bf16,
    /// On AMX two parts of bf16 for each f32, three products; f32 elsewhere
    TwoParts,
    /// Weights and activations of linear layers in bytes
    Int8,
}

#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// Which shell
    pub shell: Shell,
}

/// Width and height in pixels, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

fn parse_size(text: &str) -> Result<Size, String> {
    let sides = text.split_once(['x', 'X', '×']);
    let size = sides.and_then(|(w, h)| Some(Size { width: w.parse().ok()?, height: h.parse().ok()? }));
    size.ok_or_else(|| "expected width and height, such as 128x96".to_owned())
}

/// A picture and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyframe {
    pub at: usize,
    pub path: PathBuf,
}

fn parse_keyframe(text: &str) -> Result<Keyframe, String> {
    let parts = text.split_once('=').filter(|(_, path)| !path.is_empty());
    let keyframe =
        parts.and_then(|(at, path)| Some(Keyframe { at: at.trim().parse().ok()?, path: path.into() }));
    keyframe.ok_or_else(|| "expected a frame and a file, such as 13=cat.png".to_owned())
}

/// `0.3`
fn parse_temperature(text: &str) -> Result<f32, String> {
    let temperature = text.parse().ok().filter(|temperature| (0.0..=2.0).contains(temperature));
    temperature.ok_or_else(|| "a temperature is a number from 0 to 2, such as 0.3".to_owned())
}

fn parse_fours(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count: &u32| (4..=1024).contains(count) && count.is_multiple_of(4));
    count.ok_or_else(|| "expected a multiple of 4 from 4 to 1024, such as 16".to_owned())
}

fn sampler_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Sampler::ALL.map(Sampler::name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn keyframes_are_a_frame_and_a_file() {
        assert_eq!(parse_keyframe("13=a=b.png"), Ok(Keyframe { at: 13, path: "a=b.png".into() }));
        for bad in ["", "13", "=a.png", "13=", "-1=a.png", "x=a.png"] {
            assert!(parse_keyframe(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_fours("16"), Ok(16));
        for bad in ["0", "3", "17", "-4", "4096", "x"] {
            assert!(parse_fours(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn curves_go_from_nothing_to_all() {
        for curve in [Curve::Linear, Curve::Smooth, Curve::Cut] {
            assert_eq!((curve.share(0.0), curve.share(1.0)), (0.0, 1.0));
            assert!((curve.share(0.5) - 0.5).abs() < 1e-6);
            assert!((0..100).all(|i| curve.share(i as f32 / 100.0) <= curve.share((i + 1) as f32 / 100.0)));
        }
    }

    #[test]
    fn sizes_are_two_numbers() {
        for good in ["128x96", "128X96", "128×96"] {
            assert_eq!(parse_size(good), Ok(Size { width: 128, height: 96 }), "{good}");
        }
        for bad in ["", "x", "128", "128x", "x96", "-1x96", "1.5x2", "128x96x3", "99999999999999999999x1"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
