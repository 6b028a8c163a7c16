//! Standard output, without the panics of `println!`.

use std::io::{self, Write};

use anyhow::Context;

use crate::report::Outcome;

/// Writes text and flushes it, so that a full disk behind a redirection is noticed.
pub fn print(text: impl AsRef<[u8]>) -> Outcome {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    Ok(written.context("cannot write to standard output")?)
}

/// Writes one line.
pub fn line(text: impl AsRef<str>) -> Outcome {
    print(format!("{}\n", text.as_ref()))
}
