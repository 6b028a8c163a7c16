//! How good is it?
//!
//! `mini` is judged on clips of prompts that training never saw: does the object named appear, does it move as told, is
//! the background of the colour asked for? [`foreground`], [`motion`] and [`colour`] are written rules; [`Judge`] is a
//! small network that names the object. [`mini::evaluate`] runs the suite and holds every number against the same
//! numbers of real clips and of shuffled prompts; [`sora`] does the same for what is done with clips, [`boxes`] for objects
//! that are told where to be, [`languages`] for the same scenes said in each language.

pub mod boxes;
pub mod colour;
mod crops;
mod error;
#[cfg(test)]
mod fixtures;
pub mod foreground;
mod judge;
mod judge_task;
pub mod languages;
pub mod mini;
pub mod motion;
pub mod objects;
mod report;
pub mod sora;
mod suite;

pub use boxes::evaluate_boxes;
pub use error::EvalError;
pub use judge::Judge;
pub use judge_task::train_judge;
pub use languages::evaluate_languages;
pub use mini::{EvalOptions, EvalProgress, Sighting, evaluate, psnr};
pub use report::{Chance, LanguageScores, MiniReport, Mistake, Psnr, Scores, Share};
pub use sora::{Makers, evaluate_sora};
pub use suite::{CASES, Make, Remake};
