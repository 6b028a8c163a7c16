//! A pickle machine that can build containers and tensors, and nothing else.
//!
//! Opcodes: Python's `pickletools`. What is built lies in an arena, so that no nesting of the file becomes a recursion
//! here, and no reference a cycle.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::{StoredType, WeightsError};

/// Objects that the pickles of a file may build.
const NODES_MAX: usize = 1 << 20;

/// Entries that may be copied from container to container; a reference makes copies cheap to ask for.
const COPIES_MAX: usize = 16 << 20;

/// Most axes of a tensor.
const AXES_MAX: usize = 16;

/// Longest name of a storage, in bytes.
const STORAGE_NAME_MAX: usize = 256;

/// Why a pickle was not read.
#[derive(Debug)]
pub(super) enum PickleError {
    /// It is cut off or means nothing.
    Wrong(String),
    /// It asks for something beyond tensors.
    Refused(String),
}

impl PickleError {
    pub(super) fn named(self, name: &str) -> WeightsError {
        let name = name.to_owned();
        match self {
            Self::Wrong(reason) => WeightsError::Checkpoint { name, reason },
            Self::Refused(global) => WeightsError::Refused { name, global },
        }
    }
}

type Result<T> = std::result::Result<T, PickleError>;

fn wrong<T>(reason: impl Into<String>) -> Result<T> {
    Err(PickleError::Wrong(reason.into()))
}

/// Index of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u32);

/// What a pickle builds.
#[derive(Clone, Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float,
    /// An integer beyond 64 bits, little-endian.
    Long(Vec<u8>),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// An instance of a TorchScript class: its attributes.
    Object(Vec<(Id, Id)>),
    Global(Global),
    Storage {
        key: String,
        element: ElementType,
        count: u64,
    },
    Tensor(TensorPlace),
}

/// The names that a pickle may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Size,
    Device,
    /// TorchScript's lists of one type: its argument.
    TypedList,
    Class,
    Storage(ElementType),
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Device,
            (
                "torch.jit._pickle",
                "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist"
                | "restore_type_tag",
            ) => Self::TypedList,
            ("torch", storage) => Self::Storage(ElementType::of_storage(storage)?),
            _ if module == "__torch__" || module.starts_with("__torch__.") => Self::Class,
            _ => return None,
        })
    }
}

/// Type of the values in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementType {
    F32,
    F16,
    Bf16,
    F64,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl ElementType {
    fn of_storage(name: &str) -> Option<Self> {
        Some(match name {
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "DoubleStorage" => Self::F64,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The type in which weights are kept; `None` for integers.
    pub(super) fn stored(self) -> Option<StoredType> {
        match self {
            Self::F32 | Self::F64 => Some(StoredType::F32),
            Self::F16 => Some(StoredType::F16),
            Self::Bf16 => Some(StoredType::Bf16),
            _ => None,
        }
    }
}

/// Which values of which storage a tensor shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorPlace {
    pub(super) storage: String,
    pub(super) element: ElementType,
    /// Values in the storage, as the pickle has it.
    pub(super) count: u64,
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<u64>,
}

impl TensorPlace {
    /// Whether the tensor lies within a storage of so many bytes, and is no larger than it.
    pub(super) fn check(&self, bytes: u64) -> std::result::Result<(), &'static str> {
        // Repeating a few values by strides of zero is no harm.
        const REPEATED_MAX: usize = 1 << 20;
        let available = bytes / self.element.bytes();
        if self.count > available {
            return Err("its storage is shorter than the tensor says");
        }
        let volume = self.shape.iter().try_fold(1usize, |volume, &side| volume.checked_mul(side));
        let volume = volume.ok_or("its shape is too large")?;
        if volume as u64 > available && volume > REPEATED_MAX {
            return Err("its shape is larger than its storage");
        }
        let reach = self.shape.iter().zip(&self.strides).try_fold(self.offset, |reach, (&side, stride)| {
            reach.checked_add(stride.checked_mul((side as u64).saturating_sub(1))?)
        });
        match reach {
            _ if volume == 0 => Ok(()),
            Some(last) if last < available => Ok(()),
            _ => Err("it reaches beyond its storage"),
        }
    }

    pub(super) fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&side, &stride)| {
            let fits = side <= 1 || stride == expected;
            expected *= side as u64;
            fits
        })
    }

    /// First value, and one behind the last, within the storage. The place was checked.
    pub(super) fn span(&self) -> Range<u64> {
        if self.shape.contains(&0) {
            return self.offset..self.offset;
        }
        let steps = self.shape.iter().zip(&self.strides).map(|(&side, stride)| (side as u64 - 1) * stride);
        self.offset..self.offset + steps.sum::<u64>() + 1
    }

    /// The index of each value within the storage, in row-major order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(u64)) {
        if self.shape.contains(&0) {
            return;
        }
        let mut position = vec![0; self.shape.len()];
        let mut index = self.offset;
        loop {
            visit(index);
            let mut axis = self.shape.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                position[axis] += 1;
                index += self.strides[axis];
                if position[axis] < self.shape[axis] {
                    break;
                }
                index -= self.strides[axis] * position[axis] as u64;
                position[axis] = 0;
            }
        }
    }
}

/// All that the pickles of a file build.
#[derive(Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
    elements: BTreeMap<String, ElementType>,
    copies: usize,
}

impl Arena {
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Entries of a dictionary.
    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.node(id) {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The type of a storage that some tensor named.
    pub(super) fn storage_element(&self, key: &str) -> Option<ElementType> {
        self.elements.get(key).copied()
    }

    fn count_copies(&mut self, entries: usize) -> Result<()> {
        self.copies += entries;
        match self.copies > COPIES_MAX {
            true => wrong(format!("it copies more than `{COPIES_MAX}` entries")),
            false => Ok(()),
        }
    }

    fn add(&mut self, node: Node) -> Result<Id> {
        if self.nodes.len() == NODES_MAX {
            return wrong(format!("it builds more than `{NODES_MAX}` objects"));
        }
        self.nodes.push(node);
        Ok(Id(self.nodes.len() as u32 - 1))
    }
}

/// Runs one pickle. Returns what it leaves, and its length in bytes.
pub(super) fn unpickle(bytes: &[u8], arena: &mut Arena) -> Result<(Id, usize)> {
    let mut machine =
        Machine { bytes, at: 0, arena, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        if let Some(root) = machine.step()? {
            return Ok((root, machine.at));
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    arena: &'a mut Arena,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else { return wrong("its pickle is cut off") };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<u64> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(wide))
    }

    fn string(&mut self, length: u64) -> Result<String> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return wrong("its pickle is cut off");
        };
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn push(&mut self, node: Node) -> Result<()> {
        let id = self.arena.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id> {
        // What lies below a mark belongs to somebody else.
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= floor => Ok(id),
            _ => wrong("its pickle takes what it has not put"),
        }
    }

    fn top(&self) -> Result<Id> {
        self.stack.last().map_or_else(|| wrong("its pickle takes what it has not put"), |id| Ok(*id))
    }

    fn above_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => wrong("its pickle lacks a mark"),
        }
    }

    /// One opcode. The result at the last one.
    fn step(&mut self) -> Result<Option<Id>> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => {
                let protocol = self.number::<1>()?;
                if protocol > 5 {
                    return wrong(format!("its pickle has protocol `{protocol}`"));
                }
            }
            0x95 => {
                self.take(8)?; // FRAME
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.above_mark()?;
            }
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'J' => {
                let value = self.number::<4>()? as u32 as i32;
                self.push(Node::Int(value.into()))?;
            }
            b'K' => {
                let value = self.number::<1>()?;
                self.push(Node::Int(value as i64))?;
            }
            b'M' => {
                let value = self.number::<2>()?;
                self.push(Node::Int(value as i64))?;
            }
            0x8a => {
                let length = self.number::<1>()? as usize;
                let node = long(self.take(length)?);
                self.push(node)?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Node::Float)?;
            }
            b'X' | b'T' | b'B' => {
                let length = self.number::<4>()?;
                let text = self.string(length)?;
                self.push(Node::Text(text))?;
            }
            0x8c | b'U' | b'C' => {
                let length = self.number::<1>()?;
                let text = self.string(length)?;
                self.push(Node::Text(text))?;
            }
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b't' => {
                let items = self.above_mark()?;
                self.push(Node::Tuple(items))?;
            }
            0x85..=0x87 => {
                let mut items = vec![];
                for _ in 0x84..opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Node::Tuple(items))?;
            }
            b']' => self.push(Node::List(Vec::new()))?,
            b'l' => {
                let items = self.above_mark()?;
                self.push(Node::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.above_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.above_mark()?;
                self.push(Node::Dict(pairs(&items)))?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set(pairs(&items))?;
            }
            b'q' => {
                let index = self.number::<1>()?;
                self.memo.insert(index as u32, self.top()?);
            }
            b'r' => {
                let index = self.number::<4>()?;
                self.memo.insert(index as u32, self.top()?);
            }
            0x94 => {
                let index = self.memo.len() as u32;
                self.memo.insert(index, self.top()?);
            }
            b'h' => {
                let index = self.number::<1>()?;
                self.recall(index as u32)?;
            }
            b'j' => {
                let index = self.number::<4>()?;
                self.recall(index as u32)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| self.arena.text(id).map(str::to_owned);
                let (Some(module), Some(name)) = (text(module), text(name)) else {
                    return wrong("its pickle names a thing by what is no text");
                };
                self.global(&module, &name)?;
            }
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            0x81 => self.new_object()?,
            b'b' => self.build()?,
            other => {
                return wrong(format!("its pickle has the opcode `0x{other:02x}`, which torch does not use"));
            }
        }
        Ok(None)
    }

    fn recall(&mut self, index: u32) -> Result<()> {
        match self.memo.get(&index) {
            Some(&id) => {
                self.stack.push(id);
                Ok(())
            }
            None => wrong("its pickle recalls what it has not kept"),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let list = self.top()?;
        match &mut self.arena.nodes[list.0 as usize] {
            Node::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => wrong("its pickle appends to what is no list"),
        }
    }

    fn set(&mut self, entries: Vec<(Id, Id)>) -> Result<()> {
        let dict = self.top()?;
        match &mut self.arena.nodes[dict.0 as usize] {
            Node::Dict(dict) => {
                dict.extend(entries);
                Ok(())
            }
            _ => wrong("its pickle fills what is no dictionary"),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        match Global::named(module, name) {
            Some(global) => self.push(Node::Global(global)),
            None => Err(PickleError::Refused(format!("{module}.{name}"))),
        }
    }

    /// `('storage', type, key, device, count)`.
    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let node = match self.arena.node(id) {
            Node::Tuple(items) => match items.iter().map(|&id| self.arena.node(id)).collect::<Vec<_>>()[..] {
                [
                    Node::Text(kind),
                    Node::Global(Global::Storage(element)),
                    Node::Text(key),
                    Node::Text(_),
                    Node::Int(count),
                    ref view @ ..,
                ] if kind == "storage"
                    && *count >= 0
                    && key.len() <= STORAGE_NAME_MAX
                    && matches!(view, [] | [Node::None]) =>
                {
                    Node::Storage { key: key.clone(), element: *element, count: *count as u64 }
                }
                _ => return wrong("its pickle names a storage in a way that is not known"),
            },
            _ => return wrong("its pickle names a storage in a way that is not known"),
        };
        if let Node::Storage { key, element, .. } = &node {
            let known = *self.arena.elements.entry(key.clone()).or_insert(*element);
            if known != *element {
                return wrong(format!("its storage `{key}` has two types"));
            }
        }
        self.push(node)
    }

    /// Calls a global with a tuple of arguments.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, called) = (self.pop()?, self.pop()?);
        let Node::Tuple(arguments) = self.arena.node(arguments) else {
            return wrong("its pickle calls something without a tuple of arguments");
        };
        let Node::Global(called) = self.arena.node(called) else {
            return wrong("its pickle calls what is no name");
        };
        let called = *called;
        let first = arguments.first().copied();
        if arguments.len() > AXES_MAX {
            return wrong(format!("its pickle calls `{called:?}` with arguments that it does not take"));
        }
        let nodes: Vec<&Node> = arguments.iter().map(|&id| self.arena.node(id)).collect();
        let node = match (called, &nodes[..]) {
            (
                Global::RebuildTensor,
                [
                    Node::Storage { key, element, count },
                    Node::Int(offset),
                    Node::Tuple(shape),
                    Node::Tuple(strides),
                    ..,
                ],
            ) => {
                let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
                if *offset < 0 || shape.len() != strides.len() {
                    return wrong("its pickle gives a tensor no shape");
                }
                Node::Tensor(TensorPlace {
                    storage: key.clone(),
                    element: *element,
                    count: *count,
                    offset: *offset as u64,
                    shape,
                    strides: strides.into_iter().map(|stride| stride as u64).collect(),
                })
            }
            // What is given is what comes back.
            (Global::RebuildParameter, [Node::Tensor(_), ..])
            | (Global::Size, [Node::Tuple(_)])
            | (Global::TypedList, [_, ..]) => {
                self.stack.extend(first);
                return Ok(());
            }
            (Global::OrderedDict, []) => Node::Dict(Vec::new()),
            (Global::OrderedDict, [Node::List(items)]) => {
                let mut entries = Vec::new();
                for &item in items {
                    match self.arena.node(item) {
                        Node::Tuple(pair) | Node::List(pair) if pair.len() == 2 => {
                            entries.push((pair[0], pair[1]));
                        }
                        _ => return wrong("its pickle fills a dictionary with what are no pairs"),
                    }
                }
                let count = entries.len();
                let node = Node::Dict(entries);
                self.arena.count_copies(count)?;
                node
            }
            (Global::Device, _) => Node::None,
            _ => return wrong(format!("its pickle calls `{called:?}` with arguments that it does not take")),
        };
        self.push(node)
    }

    fn sizes(&self, ids: &[Id]) -> Result<Vec<usize>> {
        if ids.len() > AXES_MAX {
            return wrong(format!("its pickle gives a tensor `{}` axes", ids.len()));
        }
        let size = |&id| match self.arena.node(id) {
            Node::Int(size) if *size >= 0 => Ok(*size as usize),
            _ => wrong("its pickle gives a tensor a size that is no whole number"),
        };
        ids.iter().map(size).collect()
    }

    fn new_object(&mut self) -> Result<()> {
        let (_, class) = (self.pop()?, self.pop()?);
        match self.arena.node(class) {
            Node::Global(Global::Class) => self.push(Node::Object(Vec::new())),
            Node::Global(Global::OrderedDict) => self.push(Node::Dict(Vec::new())),
            _ => wrong("its pickle makes an instance of what is no class of TorchScript"),
        }
    }

    /// Gives an object its state. That of a dictionary is notes on versions.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let object = self.top()?;
        let attributes = match (self.arena.node(object), self.arena.node(state)) {
            (Node::Object(_), Node::Dict(entries)) => entries.clone(),
            (Node::Dict(_) | Node::Tensor(_), _) => return Ok(()),
            _ => return wrong("its pickle gives a state to what has none"),
        };
        self.arena.count_copies(attributes.len())?;
        if let Node::Object(fields) = &mut self.arena.nodes[object.0 as usize] {
            fields.extend(attributes);
        }
        Ok(())
    }
}

/// A little-endian integer in two's complement.
fn long(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::Long(bytes.to_vec());
    }
    let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
