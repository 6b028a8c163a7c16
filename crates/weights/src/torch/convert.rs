//! To a safetensors file, piece by piece: a checkpoint may be larger than the memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::pickle::{ElementType, TensorPlace};
use super::{Input, Skipped, TorchCheckpoint, decode};
use crate::store::aside;
use crate::{StoredType, WeightsError};

/// What is held in memory of a contiguous tensor, in bytes; a multiple of every element's size.
const PIECE_BYTES: u64 = 4 << 20;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Tensors in the new file.
    pub tensors: usize,
    /// Parameters in them.
    pub values: u64,
    /// Size of the new file in bytes.
    pub bytes: u64,
    /// What was left out: integers, and masks that hold infinities, which files of weights do not.
    pub skipped: Vec<Skipped>,
}

impl<R: Read + Seek> TorchCheckpoint<R> {
    /// Writes a safetensors file: aside, synced, then renamed. Halves stay halves, 64 bits become 32.
    ///
    /// # Errors
    /// If a value is not a number, or the file system refuses.
    pub fn convert(
        &mut self,
        path: &Path,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Converted, WeightsError> {
        let mut skipped = self.skipped.clone();
        let mut kept = Vec::new();
        for (key, place) in self.tensors.clone() {
            let mut infinite = false;
            let mut undefined = false;
            self.pieces(&place, |_, values| {
                infinite |= values.iter().any(|value| value.is_infinite());
                undefined |= values.iter().any(|value| value.is_nan());
                Ok(())
            })?;
            if undefined {
                return Err(WeightsError::NotFinite { key }.in_file(&self.name));
            }
            match infinite {
                true => skipped.push(Skipped { key, reason: "it holds infinities".to_owned() }),
                false => kept.push((key, place)),
            }
        }
        let (header, values) = header(&kept, metadata);
        let failed = |source| WeightsError::Io { action: "write", path: path.to_owned(), source };
        let aside = aside(path);
        let outcome = self.write(&aside, &header, &kept, failed).and_then(|bytes| {
            fs::rename(&aside, path).map_err(failed)?;
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
            }
            Ok(Converted { tensors: kept.len(), values, bytes, skipped })
        });
        if outcome.is_err() {
            let _ = fs::remove_file(&aside);
        }
        outcome
    }

    fn write(
        &mut self,
        aside: &Path,
        header: &[u8],
        kept: &[(String, TensorPlace)],
        failed: impl Fn(std::io::Error) -> WeightsError,
    ) -> Result<u64, WeightsError> {
        let mut out = BufWriter::new(File::create(aside).map_err(&failed)?);
        let mut written = 8 + header.len() as u64;
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(&failed)?;
        out.write_all(header).map_err(&failed)?;
        for (_, place) in kept {
            let is_wide = place.element == ElementType::F64;
            self.pieces(place, |bytes, values| {
                let narrowed: Vec<u8>;
                let bytes = match is_wide {
                    true => {
                        narrowed = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                        &narrowed
                    }
                    false => bytes,
                };
                written += bytes.len() as u64;
                out.write_all(bytes).map_err(&failed)
            })?;
        }
        let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(written)
    }

    /// Shows the values of a tensor in row-major order, as they are stored and as numbers.
    fn pieces(
        &mut self,
        place: &TensorPlace,
        mut visit: impl FnMut(&[u8], &[f32]) -> Result<(), WeightsError>,
    ) -> Result<(), WeightsError> {
        let (storage, size) = (self.storages[&place.storage].clone(), place.element.bytes());
        let span = place.span();
        let (start, end) = (storage.start + span.start * size, storage.start + span.end * size);
        let decoded = |bytes: &[u8]| {
            let mut values = Vec::new();
            decode(place.element, bytes, &mut values);
            values
        };
        let mut input = Input { name: &self.name, source: &mut self.source };
        if place.is_contiguous() {
            let mut at = start;
            while at < end {
                let bytes = input.bytes_at(at, PIECE_BYTES.min(end - at))?;
                visit(&bytes, &decoded(&bytes))?;
                at += bytes.len() as u64;
            }
            return Ok(());
        }
        let bytes = input.bytes_at(start, end - start)?;
        let mut gathered = Vec::new();
        place.for_each(|index| {
            let at = ((index - span.start) * size) as usize;
            gathered.extend_from_slice(&bytes[at..at + size as usize]);
        });
        visit(&gathered, &decoded(&gathered))
    }
}

/// The header with its keys in order, padded to a multiple of 8 bytes, and the number of values.
fn header(kept: &[(String, TensorPlace)], metadata: &BTreeMap<String, String>) -> (Vec<u8>, u64) {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".to_owned(), json!(metadata));
    }
    let (mut offset, mut values) = (0, 0);
    for (key, place) in kept {
        let (dtype, size) = match place.element.stored() {
            Some(StoredType::F16) => ("F16", 2),
            Some(StoredType::Bf16) => ("BF16", 2),
            _ => ("F32", 4),
        };
        let volume = place.shape.iter().product::<usize>() as u64;
        let end = offset + volume * size;
        entries.insert(
            key.clone(),
            json!({ "dtype": dtype, "shape": place.shape, "data_offsets": [offset, end] }),
        );
        offset = end;
        values += volume;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    (text, values)
}
