//! Bars on standard error, for people who look at it.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vidit_pipeline::{Progress, Stage};

/// One bar after the other; nothing at all when standard error is not a terminal, or silence was asked for.
pub struct Bars {
    visible: bool,
    bar: Option<(String, ProgressBar)>,
}

impl Bars {
    /// Bars, unless `silent`.
    pub fn new(silent: bool) -> Self {
        Self { visible: !silent && io::stderr().is_terminal(), bar: None }
    }

    /// Shows how far a generation is.
    pub fn stage(&mut self, progress: Progress) {
        let name = match progress.stage {
            Stage::Encode => "encode",
            Stage::Denoise => "denoise",
            Stage::Decode => "decode",
        };
        self.show(name, progress.done as u64, progress.total as u64, "");
    }

    /// Shows `done` of `total` of what is called `name`, and a word about it.
    pub fn show(&mut self, name: &str, done: u64, total: u64, message: &str) {
        if !self.visible {
            return;
        }
        if self.bar.as_ref().is_none_or(|(shown, _)| shown != name) {
            self.finish();
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{prefix:>8} {wide_bar} {pos}/{len} {msg} {elapsed} eta {eta}")
                    .expect("the template is sound"),
            );
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(250));
            self.bar = Some((name.to_owned(), bar));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_message(message.to_owned());
            bar.set_position(done);
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.finish();
    }
}
