//! Targets that appear whole or not at all: write a hidden sibling, sync it, rename it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{MediaError, Result};

/// Whether the target may be written: its folder exists and takes files, and nothing that we may not replace is there.
pub(crate) fn check(target: &Path, is_folder: bool, overwrite: bool) -> Result<()> {
    check_occupant(target, is_folder, overwrite)?;
    // Trying is the only test that knows of read-only mounts, quotas and access lists.
    let probe = Temporary::beside(target)?;
    File::create_new(&probe.path).map_err(|e| MediaError::writing(target, e))?;
    Ok(())
}

/// Writes a file through `fill` and puts it at `target`. Returns its size in bytes.
pub(crate) fn write_file(
    target: &Path,
    overwrite: bool,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<u64> {
    write_file_through(target, overwrite, |file| file, fill)
}

/// [`write_file`] with a layer between the bytes and the disk, so that a test can let the disk fail.
fn write_file_through<W: Write>(
    target: &Path,
    overwrite: bool,
    layer: impl FnOnce(File) -> W,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<u64> {
    check_occupant(target, false, overwrite)?;
    let temporary = Temporary::beside(target)?;
    let failed = |e| MediaError::writing(target, e);
    let file = File::create_new(&temporary.path).map_err(failed)?;
    let to_sync = file.try_clone().map_err(failed)?;
    let mut writer = BufWriter::new(Watched { inner: layer(file), bytes: 0, failure: None });
    let filled = fill(&mut writer).and_then(|()| writer.flush().map_err(failed));
    let (watched, _) = writer.into_parts();
    // An encoder reports a full disk in words of its own; the cause is clearer.
    if let Some(cause) = watched.failure {
        return Err(failed(cause));
    }
    filled?;
    to_sync.sync_all().map_err(failed)?;
    temporary.publish(target, overwrite)?;
    Ok(watched.bytes)
}

/// Fills a folder through `fill`, which gets its temporary path, and puts it at `target`.
pub(crate) fn write_folder(
    target: &Path,
    overwrite: bool,
    fill: impl FnOnce(&Path) -> Result<u64>,
) -> Result<u64> {
    check_occupant(target, true, overwrite)?;
    let temporary = Temporary::beside(target)?;
    fs::create_dir(&temporary.path).map_err(|e| MediaError::writing(target, e))?;
    let bytes = fill(&temporary.path)?;
    sync_folder(&temporary.path);
    temporary.publish_folder(target)?;
    Ok(bytes)
}

fn check_occupant(target: &Path, is_folder: bool, overwrite: bool) -> Result<()> {
    let path = target.to_path_buf();
    if target.file_name().is_none() {
        return Err(MediaError::NotReplaceable { path, found: "no name for a file" });
    }
    let occupant = match target.symlink_metadata() {
        Ok(occupant) => occupant,
        // The names of temporary siblings are cut to a length that is: only the target itself tells.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            return Err(MediaError::NameTooLong { path });
        }
        Err(_) => return Ok(()),
    };
    // What a link leads to counts: a file in the place of `/dev/null` would break the machine.
    if let Some(found) = target.metadata().ok().and_then(|reached| special(reached.file_type())) {
        return Err(MediaError::NotReplaceable { path, found });
    }
    let is_empty_folder = occupant.is_dir() && fs::read_dir(target).is_ok_and(|mut e| e.next().is_none());
    if is_folder && is_empty_folder {
        return Ok(());
    }
    if !is_folder && occupant.is_dir() {
        return Err(MediaError::NotReplaceable { path, found: "a folder" });
    }
    if !overwrite {
        return Err(MediaError::TargetExists { path });
    }
    match (is_folder, occupant.is_dir()) {
        (true, false) => Err(MediaError::NotReplaceable { path, found: "a file" }),
        (true, true) if !holds_frames_alone(target) => {
            Err(MediaError::NotReplaceable { path, found: "a folder that holds other files than frames" })
        }
        _ => Ok(()),
    }
}

/// What is neither a file nor a folder, in words.
fn special(kind: fs::FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kinds = [
            (kind.is_char_device() || kind.is_block_device(), "a device"),
            (kind.is_fifo(), "a pipe"),
            (kind.is_socket(), "a socket"),
        ];
        if let Some((_, found)) = kinds.into_iter().find(|(is, _)| *is) {
            return Some(found);
        }
    }
    (!kind.is_file() && !kind.is_dir()).then_some("neither a file nor a folder")
}

/// Whether a folder holds nothing but `00000.png`, … so that replacing it loses nothing else.
fn holds_frames_alone(folder: &Path) -> bool {
    let is_frame = |name: &str| {
        name.strip_suffix(".png").is_some_and(|n| n.len() >= 5 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_frame)))
    })
}

/// The folder that holds `target`.
fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A hidden sibling of a target that vanishes unless it is published.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn beside(target: &Path) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let parent = parent(target);
        if !parent.is_dir() {
            let path = target.to_path_buf();
            let file =
                parent.ancestors().find(|folder| folder.symlink_metadata().is_ok() && !folder.is_dir());
            return Err(match file {
                Some(found) => MediaError::NoFolder { path, found: found.to_path_buf() },
                None => MediaError::MissingParent { path, parent: parent.to_path_buf() },
            });
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // Names end at 255 bytes on most systems; ours is longer than the target's.
        let name = &name[..name.floor_char_boundary(200)];
        let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
        Ok(Self { path: parent.join(format!(".{name}.{}-{unique}.incomplete", std::process::id())) })
    }

    fn publish(self, target: &Path, overwrite: bool) -> Result<()> {
        // A hard link refuses to replace what another process put there since the check; a rename would not.
        // Some file systems have no hard links: there the rename has to do.
        let linked = if overwrite { None } else { Some(fs::hard_link(&self.path, target)) };
        match linked {
            Some(Ok(())) => {}
            Some(Err(e)) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(MediaError::TargetExists { path: target.to_path_buf() });
            }
            _ => fs::rename(&self.path, target).map_err(|e| MediaError::writing(target, e))?,
        }
        sync_folder(parent(target));
        Ok(())
    }

    fn publish_folder(self, target: &Path) -> Result<()> {
        let failed = |e| MediaError::writing(target, e);
        // A folder cannot be renamed over a full one: move the old one aside, and back if that fails.
        let old = self.path.with_extension("replaced");
        let had_old = target.exists();
        if had_old {
            fs::rename(target, &old).map_err(failed)?;
        }
        if let Err(e) = fs::rename(&self.path, target) {
            if had_old {
                let _ = fs::rename(&old, target);
            }
            return Err(failed(e));
        }
        if had_old {
            fs::remove_dir_all(&old).map_err(failed)?;
        }
        sync_folder(parent(target));
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing is there after a rename, and nobody can be told here.
        if self.path.is_dir() {
            let _ = fs::remove_dir_all(&self.path);
        } else {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a rename last through a power cut. Not every system can open a folder, and the file is safe without.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Counts bytes and keeps the first failure.
struct Watched<W> {
    inner: W,
    bytes: u64,
    failure: Option<io::Error>,
}

impl<W: Write> Watched<W> {
    fn watch<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|e| {
            let kind = e.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure.get_or_insert(e);
            }
            kind.into()
        })
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.inner.write(bytes);
        let written = self.watch(outcome)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.inner.flush();
        self.watch(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = bytes.len().min(self.0);
            self.0 -= written;
            Ok(written)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn put(bytes: &'static [u8]) -> impl FnOnce(&mut dyn Write) -> Result<()> {
        move |w| w.write_all(bytes).map_err(|e| MediaError::encode("test", e))
    }

    #[test]
    fn a_full_disk_is_named_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        for room in [0, 1, 9_999] {
            let outcome = write_file_through(&target, false, |_| Full(room), |w| put(&[7; 10_000])(w));
            assert!(matches!(outcome, Err(MediaError::DiskFull { .. })), "{outcome:?}");
            assert!(names(dir.path()).is_empty());
        }
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            let outcome = write_file_through(&target, false, |_| full, |w| put(&[7; 10_000])(w));
            assert!(matches!(outcome, Err(MediaError::DiskFull { .. })), "{outcome:?}");
            assert!(names(dir.path()).is_empty());
        }
    }

    #[test]
    fn a_failing_or_panicking_writer_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        write_file(&target, false, put(b"old")).unwrap();
        let failing = |w: &mut dyn Write| {
            w.write_all(b"new").unwrap();
            Err(MediaError::encode("test", "gave up"))
        };
        assert!(write_file(&target, true, failing).is_err());
        let panicking = std::panic::AssertUnwindSafe(|| write_file(&target, true, |_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panicking).is_err());
        assert_eq!(names(dir.path()), ["a.mp4"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn existing_targets_are_refused_unless_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        assert_eq!(write_file(&target, false, put(b"one")).unwrap(), 3);
        let again = write_file(&target, false, put(b"two")).unwrap_err();
        assert!(matches!(again, MediaError::TargetExists { .. }) && again.to_string().contains("hint:"));
        assert_eq!(fs::read(&target).unwrap(), b"one");
        write_file(&target, true, put(b"two")).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert_eq!(names(dir.path()), ["a.mp4"]);
    }

    #[test]
    fn a_target_that_appears_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let meanwhile = |w: &mut dyn Write| {
            fs::write(&target, "theirs").unwrap();
            put(b"ours")(w)
        };
        assert!(matches!(write_file(&target, false, meanwhile), Err(MediaError::TargetExists { .. })));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(names(dir.path()), ["a.mp4"]);
    }

    #[test]
    fn folders_are_replaced_only_when_they_hold_frames_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("clip");
        let fill = |folder: &Path| {
            fs::write(folder.join("00000.png"), "x").unwrap();
            Ok(1)
        };
        fs::create_dir(&target).unwrap();
        write_folder(&target, false, fill).unwrap();
        assert!(matches!(write_folder(&target, false, fill), Err(MediaError::TargetExists { .. })));
        write_folder(&target, true, fill).unwrap();
        let failing = write_folder(&target, true, |_| Err(MediaError::encode("test", "gave up")));
        assert!(failing.is_err());
        assert_eq!(names(dir.path()), ["clip"]);
        assert_eq!(names(&target), ["00000.png"]);
        fs::write(target.join("thesis.tex"), "").unwrap();
        assert!(matches!(write_folder(&target, true, fill), Err(MediaError::NotReplaceable { .. })));
        assert!(target.join("thesis.tex").exists());
    }

    #[test]
    fn checks_leave_nothing_and_name_the_missing_folder() {
        let dir = tempfile::tempdir().unwrap();
        check(&dir.path().join("a.mp4"), false, false).unwrap();
        assert!(names(dir.path()).is_empty());
        let missing = check(&dir.path().join("no/such/a.mp4"), false, false).unwrap_err();
        assert!(matches!(missing, MediaError::MissingParent { .. }), "{missing}");
        let note = dir.path().join("note");
        fs::write(&note, "x").unwrap();
        for below in ["a.mp4", "no/such/a.mp4"] {
            let error = check(&note.join(below), false, false).unwrap_err();
            assert!(matches!(&error, MediaError::NoFolder { found, .. } if *found == note), "{error}");
        }
        fs::remove_file(note).unwrap();
        fs::create_dir(dir.path().join("b.mp4")).unwrap();
        for overwrite in [false, true] {
            let folder = check(&dir.path().join("b.mp4"), false, overwrite).unwrap_err();
            assert!(matches!(folder, MediaError::NotReplaceable { found: "a folder", .. }), "{folder}");
        }
        for nameless in [".", "..", "/"] {
            assert!(check(Path::new(nameless), true, true).is_err(), "{nameless}");
        }
        let long = dir.path().join(format!("{}.mp4", "é".repeat(125)));
        check(&long, false, false).unwrap();
        let longer = dir.path().join(format!("{}.mp4", "n".repeat(300)));
        let error = check(&longer, false, true).unwrap_err();
        assert!(matches!(error, MediaError::NameTooLong { .. }), "{error}");
        assert!(error.to_string().contains("found `304` bytes\nhint: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, link, socket] = ["pipe.mp4", "link.mp4", "socket.mp4"].map(|name| dir.path().join(name));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (target, expected) in [(&pipe, "a pipe"), (&link, "a pipe"), (&socket, "a socket")] {
            for (is_folder, overwrite) in [(false, false), (false, true), (true, true)] {
                let error = check(target, is_folder, overwrite).unwrap_err();
                assert!(
                    matches!(error, MediaError::NotReplaceable { found, .. } if found == expected),
                    "{error}"
                );
            }
            assert!(write_file(target, true, put(b"x")).is_err());
        }
        assert_eq!(names(dir.path()), ["link.mp4", "pipe.mp4", "socket.mp4"]);
        let around = dir.path().join("around");
        std::os::unix::fs::symlink("around", &around).unwrap();
        let error = check(&around.join("a.mp4"), false, false).unwrap_err();
        assert!(matches!(&error, MediaError::NoFolder { found, .. } if *found == around), "{error}");
        // A link to a file may be replaced, as the file may.
        let (file, link) = (dir.path().join("a.mp4"), dir.path().join("b.mp4"));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        check(&link, false, true).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn an_unwritable_folder_is_denied() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let locked = dir.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
        // The superuser may write anywhere; then there is nothing to see.
        if File::create(locked.join("probe")).is_err() {
            let denied = check(&locked.join("a.mp4"), false, false).unwrap_err();
            assert!(matches!(denied, MediaError::Denied { .. }), "{denied}");
        }
    }
}
