//! `vidit eval weights list|fetch|verify|convert`

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, Subcommand, ValueHint};
use vidit_vbench::checkpoints::CHECKPOINTS;

#[derive(Debug, Subcommand)]
pub enum Weights {
    /// Say what VBench measures with, under which licences, and what is there
    List(List),
    /// Fetch weights from where their authors give them out; what was interrupted goes on
    Fetch(Fetch),
    /// Compare the SHA-256 of what is there with what was published
    Verify(Verify),
    /// Make a safetensors file of a checkpoint of PyTorch, without running what is in it
    Convert(Convert),
}

/// Where weights lie.
#[derive(Debug, ClapArgs)]
pub struct Folder {
    /// Folder of weights, as `fetch` fills it or as the reference's cache has it
    #[arg(long, value_name = "DIR", default_value = "weights", value_hint = ValueHint::DirPath)]
    pub weights: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct List {
    #[command(flatten)]
    pub folder: Folder,

    /// Print one line of JSON for each instead of a table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Fetch {
    /// Whose weights; `vidit eval weights list` says how large they are
    #[arg(required = true, value_name = "NAME", value_parser = names())]
    pub names: Vec<String>,

    #[command(flatten)]
    pub folder: Folder,

    /// Accept a licence that forbids commercial use, by its name; may be given several times
    #[arg(long, value_name = "NAME")]
    pub accept_licence: Vec<String>,

    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Verify {
    /// Whose weights; all that are there by default
    #[arg(value_name = "NAME", value_parser = names())]
    pub names: Vec<String>,

    #[command(flatten)]
    pub folder: Folder,

    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,

    /// Print one line of JSON for each instead of text
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Convert {
    /// A `.pth` or `.pt` file: an archive of torch since 1.6, a file from before, or TorchScript
    #[arg(value_hint = ValueHint::FilePath)]
    pub checkpoint: PathBuf,

    /// The safetensors file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub overwrite: bool,

    /// Print one line of JSON instead of text
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(CHECKPOINTS.iter().map(|checkpoint| checkpoint.name))
}
