use std::fmt;

use super::Preflight;
use crate::naming::{printable, shown};

/// Lines of a list that are shown.
const LINES_MAX: usize = 10;

impl fmt::Display for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "expected  {}", self.expected)?;
        writeln!(f, "found     {}", self.found)?;
        for kind in self.kinds.iter().take(LINES_MAX) {
            let facts = &kind.facts;
            writeln!(
                f,
                "  {} of {}x{}, {} frames{}",
                kind.videos,
                facts.width,
                facts.height,
                facts.frames,
                facts.fps.map_or(String::new(), |fps| format!(", {} fps", (fps * 1e3).round() / 1e3))
            )?;
        }
        list(f, "missing", &self.missing, |missing| {
            let hint = missing.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
            let dimensions: Vec<&str> = missing.dimensions.iter().map(|dimension| dimension.name()).collect();
            format!("{} ({}){hint}", missing.name, dimensions.join(", "))
        })?;
        list(f, "cannot be measured", &self.unusable, |unusable| {
            format!("{}: {}", shown(&unusable.path), printable(&unusable.reason))
        })?;
        list(f, "the same bytes under several names", &self.same_bytes, |paths| {
            paths.iter().map(|path| shown(path)).collect::<Vec<_>>().join(" = ")
        })?;
        list(f, "several files for one video", &self.same_name, |same| {
            let paths: Vec<String> = same.paths.iter().map(|path| shown(path)).collect();
            format!("{}: {}", printable(&same.name), paths.join(", "))
        })?;
        list(f, "asked for by no prompt", &self.extra, |extra| {
            let meant = extra
                .meant
                .as_ref()
                .map(|meant| format!("; is it `{}`?", printable(meant)))
                .unwrap_or_default();
            format!("{}: {}{meant}", shown(&extra.path), extra.reason)
        })?;
        if self.unasked > 0 {
            writeln!(f, "{} videos are for other dimensions than those asked for", self.unasked)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        match (self.complete, self.standard) {
            (true, true) => writeln!(f, "complete: scores of these videos are standard scores"),
            (true, false) => writeln!(
                f,
                "complete, but scores of these videos are no standard scores: {}",
                self.not_standard_because.join("; ")
            ),
            (false, _) => writeln!(f, "not complete: an incomplete suite is never called a standard score"),
        }
    }
}

fn list<T>(f: &mut fmt::Formatter<'_>, title: &str, items: &[T], line: impl Fn(&T) -> String) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title}: {}", items.len())?;
    for item in items.iter().take(LINES_MAX) {
        writeln!(f, "  {}", line(item))?;
    }
    if items.len() > LINES_MAX {
        writeln!(f, "  … and {} more, which `--json` names", items.len() - LINES_MAX)?;
    }
    Ok(())
}
