//! The file of torch before 1.6: five pickles one after the other, then the storages.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::archive::Contents;
use super::pickle::{Arena, Node, unpickle};
use super::{Input, PICKLE_BYTES_MAX};
use crate::WeightsError;

/// The number that torch begins with, little-endian, as pickle writes it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

pub(super) fn read<R: Read + Seek>(input: &mut Input<'_, R>) -> Result<Contents, WeightsError> {
    let length = input.length()?;
    let bytes = input.bytes_at(0, length.min(PICKLE_BYTES_MAX))?;
    let mut arena = Arena::default();
    let mut at = 0;
    let name = input.name;
    let mut next = |arena: &mut Arena| {
        let (root, used) = unpickle(&bytes[at..], arena).map_err(|e| e.named(name))?;
        at += used;
        Ok::<_, WeightsError>(root)
    };
    let magic = next(&mut arena)?;
    if !matches!(arena.node(magic), Node::Long(bytes) if bytes[..] == MAGIC) {
        return Err(input.wrong("it is a pickle, but not one of torch"));
    }
    let protocol = next(&mut arena)?;
    if !matches!(arena.node(protocol), Node::Int(PROTOCOL)) {
        return Err(input.wrong("its protocol is not 1001"));
    }
    let system = next(&mut arena)?;
    let little = arena.dict(system).and_then(|dict| {
        dict.iter().find(|(key, _)| arena.text(*key) == Some("little_endian")).map(|(_, value)| *value)
    });
    if !matches!(little.map(|value| arena.node(value)), Some(Node::Bool(true))) {
        return Err(input.wrong("its numbers are big-endian"));
    }
    let root = next(&mut arena)?;
    let keys = next(&mut arena)?;
    let Node::List(keys) = arena.node(keys) else {
        return Err(input.wrong("its list of storages is damaged"));
    };
    let mut storages = BTreeMap::new();
    let mut offset = at as u64;
    for &key in keys {
        let key = arena.text(key).ok_or_else(|| input.wrong("its list of storages is damaged"))?;
        let Some(element) = arena.storage_element(key) else {
            return Err(input.wrong(format!("it lists a storage `{key}` that no tensor uses")));
        };
        let count = input.bytes_at(offset, 8)?;
        let count = count.first_chunk().map_or(0, |count| u64::from_le_bytes(*count));
        let start = offset + 8;
        let end = count
            .checked_mul(element.bytes())
            .and_then(|bytes| start.checked_add(bytes))
            .filter(|&end| end <= length);
        offset = end.ok_or_else(|| input.wrong(format!("its storage `{key}` is cut off")))?;
        storages.insert(key.to_owned(), start..offset);
    }
    Ok((arena, root, storages))
}
