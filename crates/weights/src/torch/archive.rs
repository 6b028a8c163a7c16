//! The zip archives that torch writes: entries are stored, not compressed (APPNOTE 6.3.9, with its 64-bit extension).

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

use super::pickle::{Arena, Id, unpickle};
use super::{Input, PICKLE_BYTES_MAX};
use crate::WeightsError;

/// Longest table of contents that is read, in bytes.
const DIRECTORY_BYTES_MAX: u64 = 64 << 20;

/// Where a stored entry lies, before its own header is read.
struct Member {
    name: String,
    header: u64,
    size: u64,
    is_stored: bool,
}

/// What a checkpoint holds, and where each storage lies.
pub(super) type Contents = (Arena, Id, BTreeMap<String, Range<u64>>);

pub(super) fn read<R: Read + Seek>(input: &mut Input<'_, R>) -> Result<Contents, WeightsError> {
    let members = members(input)?;
    let root = members
        .iter()
        .find_map(|member| member.name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || root.ends_with('/'))
        .ok_or_else(|| input.wrong("the archive holds no `data.pkl`"))?
        .to_owned();
    let mut pickle = None;
    let mut storages = BTreeMap::new();
    for member in &members {
        let Some(name) = member.name.strip_prefix(&root) else { continue };
        let storage = name.strip_prefix("data/");
        if storage.is_none() && !matches!(name, "data.pkl" | "byteorder") {
            continue;
        }
        if !member.is_stored {
            return Err(input.wrong(format!("its `{name}` is compressed, which torch does not do")));
        }
        let place = member.place(input)?;
        match (storage, name) {
            (Some(key), _) => {
                storages.insert(key.to_owned(), place);
            }
            (None, "data.pkl") => pickle = Some(bounded(input, place, PICKLE_BYTES_MAX)?),
            _ if bounded(input, place, 64)? != b"little" => {
                return Err(input.wrong("its numbers are big-endian"));
            }
            _ => {}
        }
    }
    let pickle = pickle.ok_or_else(|| input.wrong("the archive holds no `data.pkl`"))?;
    let mut arena = Arena::default();
    let (root, _) = unpickle(&pickle, &mut arena).map_err(|e| e.named(input.name))?;
    Ok((arena, root, storages))
}

fn bounded<R: Read + Seek>(
    input: &mut Input<'_, R>,
    place: Range<u64>,
    limit: u64,
) -> Result<Vec<u8>, WeightsError> {
    let size = place.end - place.start;
    if size > limit {
        return Err(input.wrong(format!("an entry must be at most `{limit}` bytes, found `{size}`")));
    }
    input.bytes_at(place.start, size)
}

impl Member {
    fn place<R: Read + Seek>(&self, input: &mut Input<'_, R>) -> Result<Range<u64>, WeightsError> {
        const HEADER_BYTES: u64 = 30;
        let header = input.bytes_at(self.header, HEADER_BYTES)?;
        let damaged = || format!("the header of its entry `{}` is damaged", self.name);
        if !header.starts_with(b"PK\x03\x04") {
            return Err(input.wrong(damaged()));
        }
        // Lengths of a name and of extra fields that may differ from those in the table of contents.
        let skipped = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let start = self.header + HEADER_BYTES + skipped;
        let end = start.checked_add(self.size).ok_or_else(|| input.wrong(damaged()))?;
        if end > input.length()? {
            return Err(input.wrong(format!("its entry `{}` is cut off", self.name)));
        }
        Ok(start..end)
    }
}

/// The table of contents, from the end of the file.
fn members<R: Read + Seek>(input: &mut Input<'_, R>) -> Result<Vec<Member>, WeightsError> {
    const END_BYTES: u64 = 22;
    const COMMENT_BYTES_MAX: u64 = u16::MAX as u64;
    const CUT: &str = "the archive's table of contents is missing: the file is cut off";
    let length = input.length()?;
    let tail_start = length.saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let tail = input.bytes_at(tail_start, length - tail_start)?;
    let end = (0..=tail.len().saturating_sub(END_BYTES as usize))
        .rev()
        .find(|&at| tail[at..].starts_with(b"PK\x05\x06") && tail.len() - at >= END_BYTES as usize)
        .ok_or_else(|| input.wrong(CUT))?;
    let mut count = u64::from(u16_at(&tail, end + 10));
    let mut size = u64::from(u32_at(&tail, end + 12));
    let mut start = u64::from(u32_at(&tail, end + 16));
    // The 64-bit end stands before its locator, which stands before the end.
    if let Some(locator) = end.checked_sub(20).filter(|&at| tail[at..].starts_with(b"PK\x06\x07")) {
        let end = input.bytes_at(u64_at(&tail, locator + 8), 56)?;
        if !end.starts_with(b"PK\x06\x06") {
            return Err(input.wrong(CUT));
        }
        (count, size, start) = (u64_at(&end, 32), u64_at(&end, 40), u64_at(&end, 48));
    }
    if size > DIRECTORY_BYTES_MAX {
        return Err(input.wrong(format!("its table of contents claims `{size}` bytes")));
    }
    let directory = input.bytes_at(start, size)?;
    let mut members = Vec::new();
    let mut rest = &directory[..];
    for _ in 0..count {
        let member = member(&mut rest);
        members.push(member.ok_or_else(|| input.wrong("its table of contents is damaged"))?);
    }
    Ok(members)
}

/// One entry of the table of contents.
fn member(rest: &mut &[u8]) -> Option<Member> {
    let (fixed, after) = rest.split_at_checked(46)?;
    if !fixed.starts_with(b"PK\x01\x02") {
        return None;
    }
    let lengths = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
    let (name, after) = after.split_at_checked(lengths[0])?;
    let (extra, after) = after.split_at_checked(lengths[1])?;
    let (_, after) = after.split_at_checked(lengths[2])?;
    *rest = after;
    let packed = u32_at(fixed, 20);
    let mut size = u64::from(u32_at(fixed, 24));
    let mut header = u64::from(u32_at(fixed, 42));
    // Values that did not fit come in an extra field, in this order, each only if it did not fit.
    let mut wide = field(extra, 1).unwrap_or_default();
    let mut next = || {
        let (value, rest) = wide.split_first_chunk::<8>()?;
        wide = rest;
        Some(u64::from_le_bytes(*value))
    };
    if size == u64::from(u32::MAX) {
        size = next()?;
    }
    let packed = if packed == u32::MAX { next()? } else { u64::from(packed) };
    if header == u64::from(u32::MAX) {
        header = next()?;
    }
    let is_stored = u16_at(fixed, 10) == 0 && packed == size;
    Some(Member { name: String::from_utf8_lossy(name).into_owned(), header, size, is_stored })
}

/// The extra field of that kind.
fn field(mut extra: &[u8], kind: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let length = usize::from(u16_at(extra, 2));
        let body = extra.get(4..4 + length)?;
        if u16_at(extra, 0) == kind {
            return Some(body);
        }
        extra = &extra[4 + length..];
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
