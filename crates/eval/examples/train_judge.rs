//! Trains the judge: `cargo run --release -p vidit-eval --example train_judge -- configs/mini-judge.toml [--resume]`.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use vidit_kernels::alloc::CachingAllocator;

#[global_allocator]
static ALLOC: CachingAllocator = CachingAllocator::new();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("a configuration file is missing")?);
    let resume = arguments.any(|argument| argument == "--resume");
    let summary = vidit_eval::train_judge(&path, resume, &AtomicBool::new(false), &mut |progress| {
        if progress.step % 20 == 0 {
            println!(
                "{}/{} loss {:.3} {:.2} s",
                progress.step, progress.steps, progress.loss, progress.step_secs
            );
        }
    })?;
    println!("{} steps, {}", summary.steps, summary.folder.display());
    Ok(())
}
