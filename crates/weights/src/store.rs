//! Named tensors in memory and in a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorView};
use safetensors::{SafeTensors, serialize};
use vidit_kernels::cast::{Half, narrow, widen};

use crate::WeightsError;

/// In which type a tensor is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredType {
    /// 32 bits, exact.
    F32,
    /// bfloat16.
    Bf16,
    /// IEEE half.
    F16,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Tensors by key, and text by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorStore {
    /// The tensors.
    pub tensors: BTreeMap<String, Entry>,
    /// Configuration, vocabulary and provenance, as text.
    pub metadata: BTreeMap<String, String>,
}

/// A safetensors file, what its header says, and where its tensors begin.
fn open(path: &Path) -> Result<(File, Metadata, u64), WeightsError> {
    let failed = |source| WeightsError::Io { action: "read", path: path.to_owned(), source };
    let format = |reason: String| WeightsError::Format { name: path.display().to_string(), reason };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut begin = Vec::new();
    (&file).take(8).read_to_end(&mut begin).map_err(failed)?;
    let length = begin.try_into().map(u64::from_le_bytes).ok().filter(|length| *length < bytes);
    let length = length.ok_or_else(|| format(format!("no header fits into its `{bytes}` bytes")))?;
    let mut header = Vec::new();
    (&file).take(length).read_to_end(&mut header).map_err(failed)?;
    // Reading it checks that tensors lie one after another and are as long as their shapes say.
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| format(error.to_string()))?;
    let start = 8 + length;
    match start.checked_add(header.data_len() as u64) {
        Some(expected) if expected == bytes => Ok((file, header, start)),
        expected => {
            let expected = expected.map_or("more".to_owned(), |expected| format!("`{expected}`"));
            Err(format(format!("expected {expected} bytes, found `{bytes}`\nhint: it may be cut short")))
        }
    }
}

/// What a header says beside its tensors.
fn texts(header: &Metadata) -> BTreeMap<String, String> {
    header.metadata().iter().flatten().map(|(key, text)| (key.clone(), text.clone())).collect()
}

/// Bytes of a tensor that are read at once, whole values of any type.
const PIECE_BYTES: usize = 1 << 20;

/// Whether a tensor is of integers or truth values: counters of batches, numbers of positions and the like, which no network
/// learns. They are left out, as from PyTorch's own files; a network that did want one says that it lacks it.
fn is_whole(element: Dtype) -> bool {
    use Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(element, BOOL | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

/// Adds the values of a tensor's bytes, or of a piece of them.
fn decode(key: &str, element: Dtype, data: &[u8], values: &mut Vec<f32>) -> Result<(), WeightsError> {
    let before = values.len();
    match element {
        Dtype::F32 => {
            values.extend(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
        }
        Dtype::F16 => append_halves(Half::F16, data, values),
        Dtype::BF16 => append_halves(Half::Bf16, data, values),
        Dtype::F64 => values.extend(data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
        other => return Err(WeightsError::Type { key: key.to_owned(), found: format!("{other:?}") }),
    }
    match values[before..].iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(WeightsError::NotFinite { key: key.to_owned() }),
    }
}

/// Adds what the bytes of half floats hold.
pub(crate) fn append_halves(format: Half, data: &[u8], values: &mut Vec<f32>) {
    let (before, halves) = (values.len(), data.as_chunks::<2>().0);
    values.resize(before + halves.len(), 0.0);
    widen(format, halves, &mut values[before..]);
}

impl TensorStore {
    /// Adds a tensor.
    ///
    /// # Panics
    /// If the shape does not hold as many values: a bug of the caller.
    pub fn insert(&mut self, key: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?} and values differ");
        self.tensors.insert(key.into(), Entry { shape, values });
    }

    /// The tensors whose keys begin with `prefix`, without it; metadata is kept whole.
    pub fn under(&self, prefix: &str) -> Self {
        let tensors = self
            .tensors
            .iter()
            .filter_map(|(key, entry)| Some((key.strip_prefix(prefix)?.to_owned(), entry.clone())))
            .collect();
        Self { tensors, metadata: self.metadata.clone() }
    }

    /// A metadata entry.
    ///
    /// # Errors
    /// If it is absent.
    pub fn text(&self, key: &str) -> Result<&str, WeightsError> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| WeightsError::Metadata { key: key.to_owned(), reason: "is missing".to_owned() })
    }

    /// Reads a safetensors file; tensors of integers, which hold no weights, are left out.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or holds types other than F64, F32, F16, BF16, or values that are not finite.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        Self::read_some(path, |_| true)
    }

    /// The same for the tensors whose keys `wanted` knows; neither the others nor the file as a whole is ever in memory.
    ///
    /// # Errors
    /// As [`Self::read`], of these tensors.
    pub fn read_some(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self, WeightsError> {
        let (mut file, header, start) = open(path)?;
        let mut store = Self { metadata: texts(&header), ..Self::default() };
        for key in header.offset_keys().into_iter().filter(|key| wanted(key)) {
            let Some(info) = header.info(&key).filter(|info| !is_whole(info.dtype)) else { continue };
            let failed = |source| WeightsError::Io { action: "read", path: path.to_owned(), source };
            let (begin, end) = info.data_offsets;
            let mut values = Vec::with_capacity(info.shape.iter().product());
            file.seek(SeekFrom::Start(start + begin as u64)).map_err(failed)?;
            // In pieces: beside the values their bytes are never all in memory.
            for piece in (begin..end).step_by(PIECE_BYTES) {
                let mut data = vec![0; PIECE_BYTES.min(end - piece)];
                file.read_exact(&mut data).map_err(failed)?;
                decode(&key, info.dtype, &data, &mut values)
                    .map_err(|error| error.in_file(path.display()))?;
            }
            store.tensors.insert(key, Entry { shape: info.shape.clone(), values });
        }
        Ok(store)
    }

    /// Reads the metadata alone of a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be read, or is not one.
    pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>, WeightsError> {
        let (_, header, _) = open(path)?;
        Ok(texts(&header))
    }

    /// Reads safetensors bytes; `name` is for messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, WeightsError> {
        let format = |error: &dyn std::fmt::Display| WeightsError::Format {
            name: name.to_owned(),
            reason: error.to_string(),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| format(&e))?;
        let mut store = Self { metadata: texts(&header), ..Self::default() };
        for (key, view) in file.tensors().into_iter().filter(|(_, view)| !is_whole(view.dtype())) {
            let mut values = Vec::with_capacity(view.shape().iter().product());
            decode(&key, view.dtype(), view.data(), &mut values).map_err(|error| error.in_file(name))?;
            store.tensors.insert(key, Entry { shape: view.shape().to_vec(), values });
        }
        Ok(store)
    }

    /// Writes a safetensors file: aside, synced, then renamed.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self, path: &Path, stored: impl Fn(&str) -> StoredType) -> Result<(), WeightsError> {
        write_atomically(path, &self.to_bytes(stored))
    }

    /// The bytes of a safetensors file.
    pub fn to_bytes(&self, stored: impl Fn(&str) -> StoredType) -> Vec<u8> {
        let data: Vec<(&str, Dtype, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(key, entry)| {
                let values = &entry.values;
                let halves = |format| {
                    let mut halves = vec![[0; 2]; values.len()];
                    narrow(format, values, &mut halves);
                    halves.into_flattened()
                };
                let (dtype, bytes) = match stored(key) {
                    StoredType::F32 => (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
                    StoredType::F16 => (Dtype::F16, halves(Half::F16)),
                    StoredType::Bf16 => (Dtype::BF16, halves(Half::Bf16)),
                };
                (key.as_str(), dtype, entry.shape.as_slice(), bytes)
            })
            .collect();
        let views = data.iter().map(|(key, dtype, shape, bytes)| {
            (
                *key,
                TensorView::new(*dtype, shape.to_vec(), bytes)
                    .expect("shape and bytes agree by construction"),
            )
        });
        let metadata: HashMap<String, String> = self.metadata.clone().into_iter().collect();
        sorted_header(serialize(views, Some(metadata)).expect("keys are unique and views are valid"))
    }
}

/// The same file with the keys of its header in order: the library writes metadata in the order of a hash map, which is
/// another one each time, and the same tensors shall be the same bytes.
fn sorted_header(mut bytes: Vec<u8>) -> Vec<u8> {
    const METADATA: &str = "__metadata__";
    let (length, rest) = bytes.split_first_chunk_mut::<8>().expect("a file begins with a length");
    let header = &mut rest[..u64::from_le_bytes(*length) as usize];
    let mut entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).expect("the library writes JSON");
    if let Some(serde_json::Value::Object(metadata)) = entries.remove(METADATA) {
        let metadata: BTreeMap<String, serde_json::Value> = metadata.into_iter().collect();
        entries.insert(METADATA.to_owned(), serde_json::Value::Object(metadata.into_iter().collect()));
    }
    let text = serde_json::to_string(&entries).expect("it came from JSON");
    assert!(text.len() <= header.len(), "the same entries take the same room");
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// The unfinished file beside `path`. File systems end names at 255 bytes, and this one is longer than that of `path` unless it is cut.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = &name[..name.floor_char_boundary(200)];
    path.with_file_name(format!("{name}.{}.incomplete", std::process::id()))
}

/// Writes bytes beside `path`, syncs them, and renames: a reader sees the old file or the new one, never a part.
///
/// # Errors
/// If the file system refuses; the part written so far is removed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WeightsError> {
    let aside = aside(path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        // The rename itself must survive a crash, too.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&aside);
        WeightsError::Io { action: "write", path: path.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> TensorStore {
        let mut store = TensorStore::default();
        store.insert("a.weight", vec![2, 2], vec![1.0, -2.5, 0.125, 3.0]);
        store.insert("b", vec![1], vec![0.5]);
        store.metadata.insert("config".into(), "{}".into());
        store
    }

    #[test]
    fn files_walk_both_ways_in_every_type() {
        for stored in [StoredType::F32, StoredType::Bf16, StoredType::F16] {
            let bytes = sample().to_bytes(|_| stored);
            assert_eq!(TensorStore::from_bytes("test", &bytes).unwrap(), sample());
        }
        assert_eq!(sample().under("a.").tensors.len(), 1);
    }

    #[test]
    fn counters_are_left_out_and_unknown_types_named() {
        let file = |dtype, bytes: &[u8], count: usize| {
            let view = |dtype, bytes| TensorView::new(dtype, vec![count], bytes).unwrap();
            let weight = [0.5f64, -2.0].map(f64::to_le_bytes).concat();
            let tensors = [
                ("norm.weight", TensorView::new(Dtype::F64, vec![2], &weight).unwrap()),
                ("norm.other", view(dtype, bytes)),
            ];
            safetensors::serialize(tensors, None).unwrap()
        };
        let path = std::env::temp_dir().join(format!("vidit-counters-{}.safetensors", std::process::id()));
        for (dtype, bytes) in [(Dtype::I64, 8), (Dtype::BOOL, 1), (Dtype::U8, 1), (Dtype::I32, 4)] {
            let file = file(dtype, &[1; 16][..2 * bytes], 2);
            std::fs::write(&path, &file).unwrap();
            for store in [TensorStore::read(&path), TensorStore::from_bytes("test", &file)] {
                let store = store.unwrap();
                assert_eq!(store.tensors.len(), 1, "{dtype:?}");
                assert_eq!(store.tensors["norm.weight"].values, [0.5, -2.0]);
            }
        }
        std::fs::remove_file(&path).unwrap();
        let error = TensorStore::from_bytes("test", &file(Dtype::F8_E4M3, &[1; 2], 2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot use `test`: tensor `norm.other` has type F8_E4M3, expected F64, F32, F16 or BF16\n\
             hint: save it in one of these types"
        );
    }

    #[test]
    fn the_same_store_is_the_same_bytes() {
        let mut store = sample();
        for key in ["prompt", "seed", "steps", "guidance", "shift", "sampler", "model"] {
            store.metadata.insert(key.into(), format!("\"{key}\" é"));
        }
        let bytes = store.to_bytes(|_| StoredType::F32);
        for _ in 0..8 {
            assert!(store.to_bytes(|_| StoredType::F32) == bytes);
        }
        assert_eq!(TensorStore::from_bytes("test", &bytes).unwrap(), store);
    }

    #[test]
    fn damaged_files_are_named_and_never_panic() {
        let bytes = sample().to_bytes(|_| StoredType::F32);
        for length in 0..bytes.len() {
            assert!(
                TensorStore::from_bytes("cut", &bytes[..length]).is_err(),
                "{length} bytes were accepted"
            );
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x41;
            let _ = TensorStore::from_bytes("flipped", &broken);
        }
        let mut nan = sample();
        nan.tensors.get_mut("b").unwrap().values[0] = f32::NAN;
        let error = TensorStore::from_bytes("nan", &nan.to_bytes(|_| StoredType::F32)).unwrap_err();
        assert!(error.to_string().starts_with("cannot use `nan`: `b` holds"), "{error}");
    }

    #[test]
    fn metadata_is_read_without_the_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut store = sample();
        store.metadata.insert("origin".to_owned(), "here".to_owned());
        let bytes = store.to_bytes(|_| StoredType::F32);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(TensorStore::read_metadata(&path).unwrap(), store.metadata);
        for damaged in [&b""[..], b"12345", &bytes[..20], &[255; 16], b"\x02\0\0\0\0\0\0\0{a"] {
            fs::write(&path, damaged).unwrap();
            assert!(TensorStore::read_metadata(&path).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn some_tensors_are_read_without_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut store = sample();
        store.insert("z", vec![1], vec![f32::NAN]);
        let bytes = store.to_bytes(|_| StoredType::F16);
        fs::write(&path, &bytes).unwrap();
        let error = TensorStore::read(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot use `{}`: `z` holds", path.display())), "{error}");
        assert_eq!(TensorStore::read_some(&path, |key| key != "z").unwrap(), sample());
        assert!(TensorStore::read_some(&path, |_| false).unwrap().tensors.is_empty());
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(TensorStore::read_some(&path, |_| false).is_err(), "{length} bytes were accepted");
        }
        let mut large = sample();
        large.insert("large", vec![3, 100_001], (0..300_003).map(|i| i as f32).collect());
        large.write(&path, |_| StoredType::F32).unwrap();
        assert!(TensorStore::read(&path).unwrap() == large, "pieces do not make the whole");
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x41;
            fs::write(&path, &broken).unwrap();
            let _ = TensorStore::read(&path);
        }
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("vidit-weights-{}", std::process::id()));
        fs::create_dir_all(folder.join("taken")).unwrap();
        assert!(write_atomically(&folder.join("taken"), b"x").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        write_atomically(&folder.join("file"), b"x").unwrap();
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"x");
        // Names end at 255 bytes.
        let long = folder.join("é".repeat(127));
        write_atomically(&long, b"y").unwrap();
        assert_eq!(fs::read(long).unwrap(), b"y");
        fs::remove_dir_all(folder).unwrap();
    }
}
