//! Checkpoints of PyTorch, read without running what is in them.
//!
//! A checkpoint is a pickle, which is a program, beside raw storages. [`pickle`] knows the dozen calls that tensors are
//! made of and refuses every other by name. Three containers: the zip archive of torch since 1.6, the bare file before
//! that, and the zip archive of TorchScript, whose parameters are attributes of modules.

mod archive;
mod convert;
mod legacy;
mod pickle;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use vidit_kernels::cast::Half;

use crate::store::append_halves;
use crate::{Entry, StoredType, TensorStore, WeightsError};
pub use convert::Converted;
use pickle::{ElementType, TensorPlace};

/// Longest pickle that is read, in bytes; those of the networks here have some hundred kB.
const PICKLE_BYTES_MAX: u64 = 64 << 20;

/// A tensor that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub key: String,
    /// What is stored.
    pub reason: String,
}

/// The tensors of a checkpoint, whose values stay in the file until they are asked for.
pub struct TorchCheckpoint<R = File> {
    name: String,
    source: R,
    /// Where each storage lies in the file.
    storages: BTreeMap<String, Range<u64>>,
    tensors: BTreeMap<String, TensorPlace>,
    skipped: Vec<Skipped>,
    root: Option<String>,
}

impl TorchCheckpoint<File> {
    /// Opens a `.pth` or `.pt` file.
    ///
    /// # Errors
    /// [`WeightsError::Io`]; [`WeightsError::Checkpoint`] if the file is damaged or in a form that is not read;
    /// [`WeightsError::Refused`] if it asks for a call that tensors do not need.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let file = File::open(path).map_err(|source| WeightsError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::read_from(&path.display().to_string(), file)
    }
}

impl<R: Read + Seek> TorchCheckpoint<R> {
    /// The same for anything to read from; `name` is for messages.
    ///
    /// # Errors
    /// As [`TorchCheckpoint::open`].
    pub fn read_from(name: &str, source: R) -> Result<Self, WeightsError> {
        let mut input = Input { name, source };
        let start = input.bytes_at(0, 4).unwrap_or_default();
        let (arena, root, places) = match &start[..] {
            b"PK\x03\x04" => archive::read(&mut input)?,
            [0x80, ..] => legacy::read(&mut input)?,
            _ => return Err(input.wrong("it is neither a zip archive nor a pickle")),
        };
        let found = tree::collect(&arena, root).map_err(|reason| input.wrong(reason))?;
        let (name, source) = (name.to_owned(), input.source);
        let mut checkpoint = Self {
            name,
            source,
            storages: places,
            tensors: BTreeMap::new(),
            skipped: Vec::new(),
            root: found.root,
        };
        for (key, place) in found.tensors {
            checkpoint.take(key, place)?;
        }
        Ok(checkpoint)
    }

    fn take(&mut self, key: String, place: TensorPlace) -> Result<(), WeightsError> {
        if place.element.stored().is_none() {
            let reason = format!("its values are {}", place.element.name());
            self.skipped.push(Skipped { key, reason });
            return Ok(());
        }
        let checked = match self.storages.get(&place.storage) {
            Some(bytes) => place.check(bytes.end - bytes.start).map_err(str::to_owned),
            None => Err(format!("there is no storage `{}`", place.storage)),
        };
        if let Err(reason) = checked {
            return Err(self.wrong(format!("tensor `{key}`: {reason}")));
        }
        match self.tensors.entry(key) {
            MapEntry::Vacant(free) => {
                free.insert(place);
                Ok(())
            }
            MapEntry::Occupied(taken) => {
                let reason = format!("two tensors are called `{}`", taken.key());
                Err(self.wrong(reason))
            }
        }
    }

    fn wrong(&self, reason: impl Into<String>) -> WeightsError {
        WeightsError::Checkpoint { name: self.name.clone(), reason: reason.into() }
    }

    /// The keys of the tensors of floats, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Sizes of a tensor, outermost first.
    pub fn shape(&self, key: &str) -> Option<&[usize]> {
        self.tensors.get(key).map(|place| &place.shape[..])
    }

    /// The type in which [`Self::convert`] writes a tensor: its own, F32 for those of 64 bits.
    pub fn stored(&self, key: &str) -> Option<StoredType> {
        self.tensors.get(key).and_then(|place| place.element.stored())
    }

    /// Tensors of integers, such as counters of batches, which no network here needs.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The dictionary of the checkpoint that was taken, if it holds several: `state_dict`, `model`.
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    /// The values of one tensor.
    ///
    /// # Errors
    /// If there is no such tensor, the file cannot be read, or a value is not a number.
    pub fn entry(&mut self, key: &str) -> Result<Entry, WeightsError> {
        let place = self.tensors.get(key).cloned();
        let place = place.ok_or_else(|| self.wrong(format!("there is no tensor `{key}`")))?;
        let values = self.values(&place)?;
        if values.iter().any(|value| value.is_nan()) {
            return Err(WeightsError::NotFinite { key: key.to_owned() }.in_file(&self.name));
        }
        Ok(Entry { shape: place.shape, values })
    }

    /// All tensors of floats, in memory.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn store(&mut self) -> Result<TensorStore, WeightsError> {
        self.store_some(|_| true)
    }

    /// The same for the tensors whose keys `wanted` knows; the others are not read.
    ///
    /// # Errors
    /// As [`Self::entry`], of these tensors.
    pub fn store_some(&mut self, wanted: impl Fn(&str) -> bool) -> Result<TensorStore, WeightsError> {
        let keys: Vec<String> = self.tensors.keys().filter(|key| wanted(key)).cloned().collect();
        let mut store = TensorStore::default();
        for key in keys {
            let entry = self.entry(&key)?;
            store.tensors.insert(key, entry);
        }
        Ok(store)
    }

    /// Row-major values.
    fn values(&mut self, place: &TensorPlace) -> Result<Vec<f32>, WeightsError> {
        let storage = self.storages[&place.storage].clone();
        let size = place.element.bytes();
        let span = place.span();
        let mut input = Input { name: &self.name, source: &mut self.source };
        let (start, count) = (storage.start + span.start * size, (span.end - span.start) * size);
        input.holds(start, count)?;
        let mut values = Vec::with_capacity((span.end - span.start) as usize);
        // In pieces: beside the values their bytes are never all in memory.
        for piece in (0..count).step_by(PIECE_BYTES as usize) {
            let bytes = input.bytes_at(start + piece, PIECE_BYTES.min(count - piece))?;
            decode(place.element, &bytes, &mut values);
        }
        if place.is_contiguous() {
            return Ok(values);
        }
        let mut gathered = Vec::with_capacity(place.shape.iter().product());
        place.for_each(|index| gathered.push(values[(index - span.start) as usize]));
        Ok(gathered)
    }
}

/// Bytes of a tensor that are read at once, whole values of any type.
const PIECE_BYTES: u64 = 1 << 20;

/// Adds the values of little-endian bytes.
fn decode(element: ElementType, bytes: &[u8], values: &mut Vec<f32>) {
    match element {
        ElementType::F16 => append_halves(Half::F16, bytes, values),
        ElementType::Bf16 => append_halves(Half::Bf16, bytes, values),
        ElementType::F64 => {
            values.extend(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32))
        }
        _ => values.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b))),
    }
}

/// What is read, and its name for messages.
struct Input<'a, R> {
    name: &'a str,
    source: R,
}

impl<R: Read + Seek> Input<'_, R> {
    fn wrong(&self, reason: impl Into<String>) -> WeightsError {
        WeightsError::Checkpoint { name: self.name.to_owned(), reason: reason.into() }
    }

    fn failed(&self, error: &std::io::Error) -> WeightsError {
        self.wrong(error.to_string())
    }

    fn length(&mut self) -> Result<u64, WeightsError> {
        self.source.seek(SeekFrom::End(0)).map_err(|e| self.failed(&e))
    }

    /// Checks that there are so many bytes from there on.
    fn holds(&mut self, start: u64, count: u64) -> Result<(), WeightsError> {
        let length = self.length()?;
        match start.checked_add(count).is_some_and(|end| end <= length) {
            true => Ok(()),
            false => Err(self.wrong(format!("`{count}` bytes from byte `{start}` lie behind its end"))),
        }
    }

    /// So many bytes from there on. Memory is taken only for what there is.
    fn bytes_at(&mut self, start: u64, count: u64) -> Result<Vec<u8>, WeightsError> {
        self.holds(start, count)?;
        self.source.seek(SeekFrom::Start(start)).map_err(|e| self.failed(&e))?;
        let mut bytes = vec![0; count as usize];
        self.source.read_exact(&mut bytes).map_err(|e| self.failed(&e))?;
        Ok(bytes)
    }
}
