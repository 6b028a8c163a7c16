//! What was measured so far, a line a video and dimension: a run that was stopped goes on where it was.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Measured;
use crate::{Dimension, VbenchError};

/// One result, and all that it depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// SHA-256 of the video's bytes.
    pub video: String,
    /// What was measured.
    pub dimension: Dimension,
    /// SHA-256 of all else: mode, weights, prompt and what was looked for.
    pub circumstances: String,
    /// The result.
    pub measured: Measured,
}

/// The file, and what it holds by video, dimension and circumstances.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    known: HashMap<(String, Dimension, String), Measured>,
}

impl Journal {
    /// Opens or begins `folder/journal.jsonl`, for this process alone. A last line that was cut off is taken away.
    ///
    /// # Errors
    /// If another process has it open, the file system refuses, or a whole line is none of a journal.
    pub fn open(folder: &Path) -> Result<Self, VbenchError> {
        let path = folder.join("journal.jsonl");
        let failed = |action| {
            let path = path.clone();
            move |source| VbenchError::Io { action, path, source }
        };
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed("open"))?;
        // Where a file system knows no locks, to append has to do.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(VbenchError::Busy { path: folder.to_owned() });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read"))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(failed("write"))?;
        }
        let mut known = HashMap::new();
        for (number, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| VbenchError::Journal {
                path: path.clone(),
                line: number + 1,
                reason: error.to_string(),
            })?;
            known.insert((line.video, line.dimension, line.circumstances), line.measured);
        }
        Ok(Self { path, file, known })
    }

    /// The result of a video in a dimension under these circumstances, if it was measured.
    pub fn find(&self, video: &str, dimension: Dimension, circumstances: &str) -> Option<&Measured> {
        self.known.get(&(video.to_owned(), dimension, circumstances.to_owned()))
    }

    /// Adds lines and waits until they are on the disk.
    ///
    /// # Errors
    /// If the file system refuses: a full disk.
    pub fn add(&mut self, lines: Vec<Line>) -> Result<(), VbenchError> {
        let mut text = String::new();
        for line in &lines {
            text += &serde_json::to_string(line).expect("a line becomes JSON");
            text.push('\n');
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| VbenchError::Io { action: "write", path: self.path.clone(), source })?;
        for line in lines {
            self.known.insert((line.video, line.dimension, line.circumstances), line.measured);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Score;

    fn line(video: &str, score: f64) -> Line {
        let measured = Measured::new(Score::Number(score));
        Line { video: video.to_owned(), dimension: Dimension::Scene, circumstances: "c".to_owned(), measured }
    }

    #[test]
    fn lines_come_back_and_one_that_was_cut_off_does_not() {
        let folder = std::env::temp_dir().join(format!("vidit-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("journal.jsonl");
        let _ = std::fs::remove_file(&path);
        let mut journal = Journal::open(&folder).unwrap();
        journal.add(vec![line("a", 0.25), line("b", 0.1 + 0.2)]).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        let mut journal = Journal::open(&folder).unwrap();
        assert_eq!(journal.find("a", Dimension::Scene, "c"), Some(&line("a", 0.25).measured));
        assert_eq!(journal.find("b", Dimension::Scene, "c"), None);
        assert_eq!(journal.find("a", Dimension::Scene, "others"), None);
        journal.add(vec![line("b", 0.1 + 0.2)]).unwrap();
        drop(journal);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        std::fs::write(&path, "{}\n").unwrap();
        assert!(matches!(Journal::open(&folder), Err(VbenchError::Journal { line: 1, .. })));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_journal_is_one_process_s_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let Err(busy) = Journal::open(folder.path()) else { panic!("it is open") };
        let busy = busy.to_string();
        assert!(busy.contains("another process measures into") && busy.contains("\nhint: "), "{busy}");
        journal.add(vec![line("a", 0.25)]).unwrap();
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        assert!(journal.find("a", Dimension::Scene, "c").is_some());
    }
}
