//! Files of the same bytes.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Groups of files that are equal to the byte, each sorted. Files that cannot be read are in none: reading says why.
pub fn same_bytes(paths: &[&Path]) -> Vec<Vec<PathBuf>> {
    let mut by_size: HashMap<u64, Vec<&Path>> = HashMap::new();
    for path in paths {
        if let Ok(metadata) = path.metadata()
            && metadata.is_file()
            && metadata.len() > 0
        {
            by_size.entry(metadata.len()).or_default().push(path);
        }
    }
    let mut groups = Vec::new();
    for group in by_size.into_values().filter(|group| group.len() > 1) {
        let mut by_hash: HashMap<u64, Vec<&Path>> = HashMap::new();
        for path in group {
            if let Ok(hash) = hash(path) {
                by_hash.entry(hash).or_default().push(path);
            }
        }
        for alike in by_hash.into_values().filter(|group| group.len() > 1) {
            // Hashes of 64 bits may be equal by chance.
            let first = alike[0];
            let mut equal: Vec<PathBuf> = vec![first.to_owned()];
            equal.extend(
                alike[1..]
                    .iter()
                    .filter(|path| equal_bytes(first, path).unwrap_or(false))
                    .map(|&p| p.to_owned()),
            );
            equal.sort();
            if equal.len() > 1 {
                groups.push(equal);
            }
        }
    }
    groups.sort();
    groups
}

const CHUNK_BYTES: usize = 1 << 16;

fn hash(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut hasher = DefaultHasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finish()),
            count => hasher.write(&chunk[..count]),
        }
    }
}

fn equal_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let open = |path| Ok::<_, io::Error>(BufReader::with_capacity(CHUNK_BYTES, File::open(path)?).bytes());
    let (mut a, mut b) = (open(a)?, open(b)?);
    loop {
        match (a.next().transpose()?, b.next().transpose()?) {
            (None, None) => return Ok(true),
            (x, y) if x != y => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_are_grouped() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![7u8; CHUNK_BYTES + 1];
        let mut other = long.clone();
        *other.last_mut().unwrap() = 8;
        let files: [(&str, &[u8]); 7] = [
            ("a", b"one"),
            ("b", b"two"),
            ("c", b"one"),
            ("d", &long),
            ("e", &other),
            ("f", &long),
            ("g", b""),
        ];
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| dir.path().join(name)).collect();
        for (path, (_, bytes)) in paths.iter().zip(files) {
            std::fs::write(path, bytes).unwrap();
        }
        let missing = dir.path().join("none");
        let mut all: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        all.push(&missing);
        let at = |i: usize| paths[i].clone();
        assert_eq!(same_bytes(&all), [vec![at(0), at(2)], vec![at(3), at(5)]]);
    }
}
