//! How a command ends when it does not succeed.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use vidit_data::DataError;
use vidit_language::LanguageError;
use vidit_pipeline::{Error, RequestError};
use vidit_train::TrainError;

/// What every command returns.
pub type Outcome = Result<(), Failure>;

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// It was asked for what cannot be done: exit code 2.
    Usage(anyhow::Error),
    /// Something went wrong on the way: exit code 1.
    Failed(anyhow::Error),
    /// Ctrl-C: exit code 130.
    Interrupted(String),
}

/// Exit code after Ctrl-C, as shells have it: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

impl Failure {
    /// A mistake in what was asked.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    /// Sorts errors of the pipeline, the trainer, composed clips and language models; all others are failures.
    fn from(error: E) -> Self {
        let error = error.into();
        let wrong_training = error.downcast_ref::<TrainError>().is_some_and(TrainError::is_usage);
        if error.is::<RequestError>() || wrong_training {
            return Self::Usage(error);
        }
        if let Some(DataError::Cancelled) = error.downcast_ref() {
            return Self::Interrupted("nothing was written".to_owned());
        }
        match error.downcast_ref::<LanguageError>() {
            Some(LanguageError::Cancelled) => return Self::Interrupted("nothing was written".to_owned()),
            Some(LanguageError::TooLong { .. }) => return Self::Usage(error),
            _ => {}
        }
        match error.downcast_ref::<Error>() {
            Some(Error::Cancelled) => Self::Interrupted("nothing was written".to_owned()),
            Some(Error::Request(_)) => Self::Usage(error),
            _ => Self::Failed(error),
        }
    }
}

/// Tells the user, and gives the process' exit code.
pub fn report(failure: &Failure) -> ExitCode {
    let (error, code) = match failure {
        Failure::Usage(error) => (error, 2),
        Failure::Failed(error) => (error, 1),
        Failure::Interrupted(what_is_left) => {
            eprintln!("interrupted: {what_is_left}");
            return ExitCode::from(INTERRUPTED);
        }
    };
    let reader_left = error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    });
    if reader_left {
        // `vidit man | head`: nobody wants the rest.
        return ExitCode::SUCCESS;
    }
    eprint!("{}", words(error));
    ExitCode::from(code)
}

/// `error:`, what caused it where that says more, then all hints.
fn words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut hints = Vec::new();
    let mut said = String::new();
    for cause in error.chain() {
        let message = printable(&cause.to_string());
        if said.contains(&message) {
            continue;
        }
        let label = if said.is_empty() { "error" } else { "caused by" };
        let mut lines = message.lines().filter(|line| match line.strip_prefix("hint: ") {
            Some(hint) => {
                hints.push(hint.to_owned());
                false
            }
            None => true,
        });
        let _ = writeln!(text, "{label}: {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
        said.push_str(&message);
    }
    for hint in hints {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

/// Control characters as escapes: a file name must not drive the terminal.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn hints_come_last_and_causes_are_said_once() {
        let cause = Err::<(), _>(anyhow!("the disk is full\nhint: free some space"));
        let error = cause.context("cannot write `a\u{1b}.mp4`\nmore of it").unwrap_err();
        assert_eq!(
            words(&error),
            "error: cannot write `a\\u{1b}.mp4`\n  more of it\ncaused by: the disk is full\nhint: free some space\n"
        );
        let told = Err::<(), _>(anyhow!("no")).context("it said no").unwrap_err();
        assert_eq!(words(&told), "error: it said no\n");
    }

    #[test]
    fn the_kind_of_failure_follows_from_the_error() {
        assert!(matches!(Failure::from(Error::Cancelled), Failure::Interrupted(_)));
        assert!(matches!(Failure::from(DataError::Cancelled), Failure::Interrupted(_)));
        assert!(matches!(Failure::from(LanguageError::Cancelled), Failure::Interrupted(_)));
        assert!(matches!(Failure::from(LanguageError::NotFinite), Failure::Failed(_)));
        assert!(matches!(Failure::from(Error::NotEmbedded), Failure::Failed(_)));
        assert!(matches!(Failure::from(RequestError::NoWords), Failure::Usage(_)));
        assert!(matches!(Failure::from(Error::from(RequestError::NoWords)), Failure::Usage(_)));
    }
}
