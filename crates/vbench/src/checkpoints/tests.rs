use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;

use super::*;
use crate::checkpoints::fetch::{fetch_from, partial};

/// A server of one file that keeps what it was asked.
struct Server {
    address: String,
    requests: &'static Mutex<Vec<String>>,
}

/// How a server answers.
#[derive(Clone, Copy)]
struct Manners {
    ranges: bool,
    /// Ends the connection after so many bytes of a body.
    cut: Option<usize>,
    tag: &'static str,
    status: u16,
}

const GOOD: Manners = Manners { ranges: true, cut: None, tag: "\"one\"", status: 200 };

impl Server {
    fn new(file: Vec<u8>, manners: Vec<Manners>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        let requests: &'static Mutex<Vec<String>> = Box::leak(Box::default());
        thread::spawn(move || {
            for manners in manners {
                let (stream, _) = listener.accept().unwrap();
                requests.lock().unwrap().push(answer(stream, &file, manners));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers one request, and gives its headers.
fn answer(mut stream: TcpStream, file: &[u8], manners: Manners) -> String {
    let mut asked = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while !asked.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut asked).unwrap() > 0);
    }
    let asked = asked.to_ascii_lowercase();
    let value = |name: &str| asked.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let start = value("range: bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    let same = value("if-range:").is_none_or(|tag| tag == manners.tag);
    let (total, tag) = (file.len(), manners.tag);
    let (head, body) = match start {
        _ if manners.status != 200 => (format!("{} Sorry\r\n", manners.status), &file[..0]),
        Some(start) if manners.ranges && same && start >= total => {
            (format!("416 No\r\nContent-Range: bytes */{total}\r\n"), &file[..0])
        }
        Some(start) if manners.ranges && same => {
            let range = format!("bytes {start}-{}/{total}", total - 1);
            (format!("206 Partial\r\nContent-Range: {range}\r\nETag: {tag}\r\n"), &file[start..])
        }
        _ => (format!("200 OK\r\nETag: {tag}\r\n"), file),
    };
    let sent = &body[..manners.cut.unwrap_or(body.len()).min(body.len())];
    let length = body.len();
    let head = format!("HTTP/1.1 {head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A client that has seen enough may be gone.
    let _ = stream.write_all(sent);
    asked
}

const FILE: &[u8] = b"the weights of a network, which are but bytes to those who carry them";
const FILE_SHA256: &str = "0319abb0d92b82df50c0cdd43db2827cc95d4b055fb994b193fe33f694f34372";

fn checkpoint(sha256: KnownHash) -> Checkpoint {
    let size = Size::Exact(FILE.len() as u64);
    Checkpoint { file: "weights.pth", size, sha256, ..*Checkpoint::of(Network::Dino) }
}

static GO: AtomicBool = AtomicBool::new(false);

#[test]
fn a_file_comes_whole_and_nothing_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(FILE.to_vec(), vec![GOOD]);
    let mut seen = Vec::new();
    let fetched = fetch_from(
        &server.address,
        &checkpoint(KnownHash::Whole(FILE_SHA256)),
        folder.path(),
        &GO,
        |done, total| seen.push((done, total)),
    )
    .unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), FILE);
    assert_eq!((fetched.bytes, fetched.verdict), (FILE.len() as u64, Verdict::Published));
    assert_eq!(seen.last(), Some(&(FILE.len() as u64, FILE.len() as u64)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(!server.requests()[0].contains("range:"));
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(KnownHash::Whole(FILE_SHA256));
    let server = Server::new(FILE.to_vec(), vec![Manners { cut: Some(20), ..GOOD }, GOOD]);
    let fetch = || fetch_from(&server.address, &checkpoint, folder.path(), &GO, |_, _| {});
    let error = fetch().unwrap_err();
    assert!(matches!(error, CheckpointError::Network { .. }), "{error}");
    assert_eq!(checkpoint.presence(folder.path()), Presence::Partial { bytes: 20 });
    let fetched = fetch().unwrap();
    assert_eq!(fetched.bytes, FILE.len() as u64 - 20);
    assert_eq!(fs::read(fetched.path).unwrap(), FILE);
    let second = &server.requests()[1];
    assert!(second.contains("range: bytes=20-\r\n") && second.contains("if-range: \"one\""), "{second}");
}

#[test]
fn what_cannot_be_gone_on_with_begins_anew() {
    let checkpoint = checkpoint(KnownHash::Whole(FILE_SHA256));
    // A server without ranges, and one whose file has become another.
    for second in [Manners { ranges: false, ..GOOD }, Manners { tag: "\"two\"", ..GOOD }] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::new(FILE.to_vec(), vec![Manners { cut: Some(20), ..GOOD }, second]);
        let fetch = || fetch_from(&server.address, &checkpoint, folder.path(), &GO, |_, _| {});
        assert!(fetch().is_err());
        assert_eq!(fetch().unwrap().bytes, FILE.len() as u64);
    }
}

#[test]
fn a_download_that_is_whole_already_is_only_checked() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(KnownHash::Whole(FILE_SHA256));
    fs::write(partial(folder.path(), &checkpoint), FILE).unwrap();
    let server = Server::new(FILE.to_vec(), vec![GOOD]);
    let fetched = fetch_from(&server.address, &checkpoint, folder.path(), &GO, |_, _| {}).unwrap();
    assert_eq!((fetched.bytes, fetched.verdict), (0, Verdict::Published));
}

#[test]
fn another_file_is_refused_and_removed() {
    for known in [KnownHash::Whole(&FILE_SHA256[..63]), KnownHash::Ends("00", "11")] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::new(FILE.to_vec(), vec![GOOD]);
        let outcome = fetch_from(&server.address, &checkpoint(known), folder.path(), &GO, |_, _| {});
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, CheckpointError::WrongHash { found, .. } if found == FILE_SHA256),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn refusals_of_servers_and_larger_files_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Server::new(FILE.to_vec(), vec![Manners { status: 404, ..GOOD }]);
    let checkpoint = checkpoint(KnownHash::Nothing);
    let error = fetch_from(&missing.address, &checkpoint, folder.path(), &GO, |_, _| {}).unwrap_err();
    assert!(matches!(error, CheckpointError::Status { status: 404, .. }), "{error}");
    let larger = Server::new([FILE, b"!"].concat(), vec![GOOD]);
    let error = fetch_from(&larger.address, &checkpoint, folder.path(), &GO, |_, _| {}).unwrap_err();
    assert!(matches!(error, CheckpointError::TooLarge { .. }), "{error}");
    let nobody = "http://127.0.0.1:1/file";
    let error = fetch_from(nobody, &checkpoint, folder.path(), &GO, |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("hint:"), "{error}");
}

#[test]
fn an_interruption_keeps_what_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(FILE.to_vec(), vec![GOOD]);
    let stop = AtomicBool::new(false);
    let raise = |done, _| stop.store(done > 0, Ordering::Relaxed);
    let checkpoint = checkpoint(KnownHash::Nothing);
    let outcome = fetch_from(&server.address, &checkpoint, folder.path(), &stop, raise);
    assert!(matches!(outcome, Err(CheckpointError::Interrupted)));
    assert!(matches!(checkpoint.presence(folder.path()), Presence::Partial { .. }));
}

#[test]
fn an_archive_is_unpacked() {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, body) in [("models/other.pth", &b"other"[..]), ("models/raft-things.pth", FILE)] {
        let stored =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file(name, stored).unwrap();
        archive.write_all(body).unwrap();
    }
    let archive = archive.finish().unwrap().into_inner();
    let folder = tempfile::tempdir().unwrap();
    let raft = Checkpoint::of(Network::Raft);
    let server = Server::new(archive.clone(), vec![GOOD]);
    let fetched = fetch_from(&server.address, raft, folder.path(), &GO, |_, _| {}).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), FILE);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let mut damaged = archive;
    let body = damaged.windows(FILE.len()).position(|window| window == FILE).unwrap();
    damaged[body + 9] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(damaged, vec![GOOD]);
    let error = fetch_from(&server.address, raft, folder.path(), &GO, |_, _| {}).unwrap_err();
    assert!(matches!(error, CheckpointError::Archive { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_comes_in_one_archive_is_fetched_once() {
    let rows: Vec<_> = CHECKPOINTS.iter().filter(|row| row.name.starts_with("dreamsim_")).collect();
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    // Larger than eight times the smallest of them.
    for (name, body) in rows.iter().map(|row| row.member.unwrap()).zip(["one", "two", "three", "four"]) {
        archive.start_file(name, stored).unwrap();
        archive.write_all(body.as_bytes()).unwrap();
    }
    archive.start_file("dino_vitb16_pretrain.pth", stored).unwrap();
    archive.write_all(&[7; 2 << 20]).unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(rows[1].file);
    fs::write(&own, "one's own").unwrap();
    let server = Server::new(archive, vec![GOOD]);
    // The server has another address than the table's, by which what comes together is known.
    let fetched = fetch_from(&server.address, rows[3], folder.path(), &GO, |_, _| {}).unwrap();
    assert!(fetched.path.ends_with("ensemble_lora/adapter_config.json"));
    let found = rows.iter().map(|row| fs::read_to_string(folder.path().join(row.file)).unwrap());
    assert_eq!(found.collect::<Vec<_>>(), ["one", "one's own", "three", "four"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn non_commercial_weights_need_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let amt = Checkpoint::of(Network::AmtS);
    for accepted in [vec![], vec!["MIT".to_owned()]] {
        let error = fetch(amt, folder.path(), &accepted, &GO, |_, _| {}).unwrap_err();
        assert!(matches!(error, CheckpointError::Licence { licence: "CC-BY-NC-SA-4.0", .. }), "{error}");
        assert!(error.to_string().contains("--accept-licence CC-BY-NC-SA-4.0"), "{error}");
    }
    assert!(!folder.path().join("amt-s.pth").exists());
}

#[test]
fn files_are_found_where_the_reference_keeps_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Checkpoint::of(Network::ClipB32);
    assert_eq!(clip.presence(folder.path()), Presence::Absent);
    let path = folder.path().join("clip_model").join("ViT-B-32.pt");
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, FILE).unwrap();
    assert_eq!(
        clip.presence(folder.path()),
        Presence::Present { path: path.clone(), bytes: FILE.len() as u64 }
    );
    let sha = sha256_of(&path, &GO, |_, _| {}).unwrap();
    assert_eq!((sha.as_str(), clip.sha256.judge(&sha)), (FILE_SHA256, Verdict::Other));
    let fetched = fetch(clip, folder.path(), &[], &GO, |_, _| {}).unwrap();
    assert_eq!((fetched.path, fetched.bytes), (path, 0));
}

#[test]
fn the_table_is_sound() {
    let mut names: Vec<_> = CHECKPOINTS.iter().map(|c| c.name).collect();
    for checkpoint in &CHECKPOINTS {
        assert!(checkpoint.url.starts_with("https://") && !checkpoint.url.contains(' '));
        assert_eq!(Checkpoint::named(checkpoint.name).unwrap(), checkpoint);
        assert!(checkpoint.network.is_none_or(|network| network.name() == checkpoint.name));
        let digits = |text: &str| text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        match checkpoint.sha256 {
            KnownHash::Whole(known) => assert!(known.len() == 64 && digits(known)),
            KnownHash::Ends(first, last) => assert!(digits(first) && digits(last) && first.len() >= 8),
            KnownHash::Nothing => {}
        }
        if checkpoint.member.is_none() {
            assert!(checkpoint.url.contains(checkpoint.file));
        }
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CHECKPOINTS.len());
    assert!(Checkpoint::named("bert").unwrap_err().to_string().contains("amt_s"));
}
