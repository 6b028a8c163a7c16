//! Fetching, only when asked: aside, to be gone on with after an interruption, checked, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderMap, header};
use zip::ZipArchive;

use super::{CHECKPOINTS, Checkpoint, CheckpointError, Presence, Size, Verdict, sha256_of};

/// How long to wait for a connection, and for an answer on one.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a fetch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The file.
    pub path: PathBuf,
    /// Bytes that came this time; 0 if the file was there.
    pub bytes: u64,
    /// SHA-256 of what was fetched; none if the file was there. Of an archive, it is the archive's.
    pub sha256: Option<String>,
    /// What that says; of a file that was there, that nothing was looked at.
    pub verdict: Verdict,
}

/// A download that is not whole yet.
pub(super) fn partial(folder: &Path, checkpoint: &Checkpoint) -> PathBuf {
    folder.join(format!("{}.part", checkpoint.file))
}

/// Where the server's name for the version of a partial download is kept.
fn tag_of(partial: &Path) -> PathBuf {
    partial.with_extension("part.tag")
}

/// Fetches a checkpoint into `folder`, unless it is there. `on_progress` hears the bytes that are there and in all.
///
/// # Errors
/// The licence was not accepted; no connection; the server has no such file, or another one; `stop` was raised. A partial
/// download is kept but for a wrong hash.
pub fn fetch(
    checkpoint: &Checkpoint,
    folder: &Path,
    accepted_licences: &[String],
    stop: &AtomicBool,
    on_progress: impl FnMut(u64, u64),
) -> Result<Fetched, CheckpointError> {
    if let Presence::Present { path, .. } = checkpoint.presence(folder) {
        return Ok(Fetched { path, bytes: 0, sha256: None, verdict: Verdict::Unknown });
    }
    if let Some(licence) = checkpoint.non_commercial
        && !accepted_licences.iter().any(|accepted| accepted.eq_ignore_ascii_case(licence))
    {
        let (name, url) = (checkpoint.name, checkpoint.url);
        return Err(CheckpointError::Licence { name, licence, url });
    }
    fetch_from(checkpoint.url, checkpoint, folder, stop, on_progress)
}

/// The same from another address, without looking for the file or at its licence.
pub(super) fn fetch_from(
    url: &str,
    checkpoint: &Checkpoint,
    folder: &Path,
    stop: &AtomicBool,
    on_progress: impl FnMut(u64, u64),
) -> Result<Fetched, CheckpointError> {
    let path = folder.join(checkpoint.file);
    let failed = |source| CheckpointError::Io { action: "write", path: path.clone(), source };
    fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
    let part = partial(folder, checkpoint);
    let bytes = download(url, checkpoint, &part, stop, on_progress)?;
    let sha256 = sha256_of(&part, stop, |_, _| {})?;
    // A hash is the file's, and of what comes in an archive none is known.
    let verdict = checkpoint.sha256.judge(&sha256);
    if verdict == Verdict::Other {
        forget(&part);
        let (url, expected) = (url.to_owned(), checkpoint.sha256.describe());
        return Err(CheckpointError::WrongHash { url, expected, found: sha256 });
    }
    match checkpoint.member {
        None => fs::rename(&part, &path).map_err(failed)?,
        Some(member) => {
            let unpacked = unpack(&part, member, &path, checkpoint.size.bytes());
            if let Err(error) = unpacked {
                forget(&part);
                let (url, reason) = (url.to_owned(), error.to_string());
                return Err(CheckpointError::Archive { url, member, reason });
            }
            unpack_others(&part, checkpoint, folder);
        }
    }
    forget(&part);
    Ok(Fetched { path, bytes, sha256: Some(sha256), verdict })
}

/// Checkpoints that are given out in one archive.
fn together(checkpoint: &Checkpoint) -> impl Iterator<Item = &'static Checkpoint> {
    let url = checkpoint.url;
    CHECKPOINTS.iter().filter(move |other| other.member.is_some() && other.url == url)
}

/// Takes what else an archive has out of it, so that it is not fetched again. What fails is missed, and named, where it is needed.
fn unpack_others(archive: &Path, checkpoint: &Checkpoint, folder: &Path) {
    for other in together(checkpoint).filter(|other| other.name != checkpoint.name) {
        let absent = !matches!(other.presence(folder), Presence::Present { .. });
        if let (true, Some(member)) = (absent, other.member) {
            let path = folder.join(other.file);
            let _ = fs::create_dir_all(path.parent().unwrap_or(folder));
            let _ = unpack(archive, member, &path, other.size.bytes());
        }
    }
}

/// Removes a partial download.
fn forget(part: &Path) {
    let _ = fs::remove_file(part);
    let _ = fs::remove_file(tag_of(part));
}

/// Brings `part` to its full length. Returns the bytes that came.
fn download(
    url: &str,
    checkpoint: &Checkpoint,
    part: &Path,
    stop: &AtomicBool,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<u64, CheckpointError> {
    let limit = match (checkpoint.member, checkpoint.size) {
        (None, Size::Exact(bytes)) => bytes,
        // Room for what was said by halves, and for the other files of an archive.
        (_, size) => {
            let largest = together(checkpoint).map(|other| other.size.bytes()).max();
            largest.unwrap_or(0).max(size.bytes()).saturating_mul(8).max(1 << 20)
        }
    };
    let failed = |source| CheckpointError::Io { action: "write", path: part.to_owned(), source };
    let network = |reason: String| CheckpointError::Network { url: url.to_owned(), reason };
    let agent: Agent = Agent::config_builder()
        .https_only(url.starts_with("https://"))
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .user_agent(concat!("vidit/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(failed)?;
    let mut there = file.metadata().map_err(failed)?.len();
    let mut request = agent.get(url);
    if there > 0 {
        request = request.header(header::RANGE, format!("bytes={there}-"));
        // Without this, the rest might be that of another version.
        if let Ok(tag) = fs::read_to_string(tag_of(part)) {
            request = request.header(header::IF_RANGE, tag);
        }
    }
    let mut response = request.call().map_err(|e| network(e.to_string()))?;
    let headers = response.headers();
    let status = response.status().as_u16();
    let (from, length) = range(headers);
    match status {
        // All of it, from the start.
        200 => there = 0,
        206 if from == Some(there) => {}
        // Nothing lies behind what is there.
        416 if length == Some(there) && there > 0 => return Ok(0),
        206 | 416 => {
            drop(file);
            forget(part);
            return Err(network(format!(
                "the server has no bytes from `{there}` on; the download was removed"
            )));
        }
        status => return Err(CheckpointError::Status { url: url.to_owned(), status }),
    }
    let total = match status {
        200 => text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        _ => length,
    };
    if total.is_some_and(|total| total > limit) {
        return Err(CheckpointError::TooLarge { url: url.to_owned(), limit });
    }
    // A weak tag stands for files that are alike, not the same.
    let tag = text(headers, &header::ETAG).filter(|tag| !tag.starts_with("W/"));
    match tag.or_else(|| text(headers, &header::LAST_MODIFIED)) {
        Some(tag) => fs::write(tag_of(part), tag).map_err(failed)?,
        None => drop(fs::remove_file(tag_of(part))),
    }
    file.set_len(there).map_err(failed)?;
    file.seek(SeekFrom::End(0)).map_err(failed)?;
    let shown = total.unwrap_or(checkpoint.size.bytes());
    let mut body = response.body_mut().as_reader();
    let (mut came, mut piece) = (0, vec![0; 1 << 16]);
    on_progress(there, shown);
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(CheckpointError::Interrupted);
        }
        let count = body.read(&mut piece).map_err(|e| network(e.to_string()))?;
        if count == 0 {
            break;
        }
        file.write_all(&piece[..count]).map_err(failed)?;
        came += count as u64;
        if there + came > limit {
            return Err(CheckpointError::TooLarge { url: url.to_owned(), limit });
        }
        on_progress(there + came, shown.max(there + came));
    }
    file.sync_all().map_err(failed)?;
    match total {
        Some(total) if there + came < total => {
            Err(network(format!("the connection ended after `{}` of `{total}` bytes", there + came)))
        }
        _ => Ok(came),
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// First byte and length of the whole of `Content-Range: bytes 5-9/10`, or `bytes */10`.
fn range(headers: &HeaderMap) -> (Option<u64>, Option<u64>) {
    let range = text(headers, &header::CONTENT_RANGE).unwrap_or_default();
    let Some((part, length)) = range.strip_prefix("bytes ").and_then(|range| range.split_once('/')) else {
        return (None, None);
    };
    let from = part.split_once('-').and_then(|(from, _)| from.parse().ok());
    (from, length.parse().ok())
}

/// Takes one file out of an archive, aside first.
fn unpack(archive: &Path, member: &str, path: &Path, about: u64) -> io::Result<()> {
    let mut archive = ZipArchive::new(File::open(archive)?).map_err(io::Error::other)?;
    let mut entry = archive.by_name(member).map_err(io::Error::other)?;
    let limit = about.saturating_mul(8);
    if entry.size() > limit {
        return Err(io::Error::other(format!("it unpacks to `{}` bytes", entry.size())));
    }
    let aside = path.with_extension(format!("{}.incomplete", std::process::id()));
    let outcome = File::create(&aside).and_then(|mut file| {
        // The checksum of the archive is compared at the end.
        let copied = io::copy(&mut (&mut entry).take(limit + 1), &mut file)?;
        if copied > limit {
            return Err(io::Error::other("it unpacks to more than it says"));
        }
        file.sync_all()?;
        fs::rename(&aside, path)
    });
    if outcome.is_err() {
        let _ = fs::remove_file(&aside);
    }
    outcome
}
