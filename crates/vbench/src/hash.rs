//! SHA-256 in hexadecimal digits.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// SHA-256 of a file.
///
/// # Errors
/// If it cannot be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    Ok(sha256_while(path, |_, _| true)?.expect("nobody stopped it"))
}

/// The same as long as `go_on` says so, which hears the bytes that are done and in all; else `None`.
pub(crate) fn sha256_while(
    path: &Path,
    mut go_on: impl FnMut(u64, u64) -> bool,
) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let total = file.metadata()?.len();
    let (mut digest, mut buffer, mut done) = (Sha256::new(), vec![0; 1 << 20], 0);
    while go_on(done, total) {
        match file.read(&mut buffer)? {
            0 => return Ok(Some(hexadecimal(&digest.finalize()))),
            count => {
                digest.update(&buffer[..count]);
                done += count as u64;
            }
        }
    }
    Ok(None)
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
