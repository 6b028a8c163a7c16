//! What a person meets at the command line: the built binary, its exit codes, its words and its files.

mod bad_input;
mod binary;
mod clips;
mod evaluation;
mod generation;
mod interrupts;
mod language;
mod vbench;
mod verbs;
mod weights;
