//! The `vidit` binary: arguments → settings → commands.

mod args;
mod commands;
mod interrupt;
mod machine;
mod output;
mod progress;
mod report;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use vidit_kernels::alloc::CachingAllocator;

/// Aligned blocks that are kept for reuse: vector loads and page faults dominate otherwise.
#[global_allocator]
static ALLOCATOR: CachingAllocator = CachingAllocator::new();

fn main() -> ExitCode {
    let outcome = commands::run(args::Args::parse());
    interrupt::give_way();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report::report(&failure),
    }
}
