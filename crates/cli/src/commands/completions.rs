//! What packages install beside the binary.

use clap::CommandFactory;

use crate::args::{Args, Completions};
use crate::output;
use crate::report::Outcome;

/// Prints completions for a shell.
pub fn completions(args: Completions) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "vidit", &mut text);
    output::print(text)
}

/// Prints the manual page, one part for each verb.
pub fn man() -> Outcome {
    let mut command = Args::command();
    command.build();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        clap_mangen::Man::new(verb.clone()).render(&mut text)?;
    }
    output::print(text)
}
