//! Tensors of a network, from a GGUF file or from a folder of safetensors, under the names of either.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::quantized::{QMatMul, gguf_file};
use candle_core::{DType, Device, Tensor};

use crate::LanguageError;
use crate::error::first_line;

/// What a tensor is called in both kinds of files.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    gguf: String,
    folder: String,
}

impl Names {
    /// Of a tensor within a block.
    pub fn block(layer: usize, gguf: &str, folder: &str) -> Self {
        Self { gguf: format!("blk.{layer}.{gguf}"), folder: format!("model.layers.{layer}.{folder}") }
    }

    /// Of a tensor outside all blocks.
    pub fn outside(gguf: &str, folder: &str) -> Self {
        Self { gguf: gguf.to_owned(), folder: folder.to_owned() }
    }

    /// `.weight` or `.bias` of it.
    pub fn sibling(&self, what: &str) -> Self {
        Self { gguf: format!("{}.{what}", self.gguf), folder: format!("{}.{what}", self.folder) }
    }
}

/// An open file or folder.
pub(crate) struct Weights {
    pub path: PathBuf,
    pub source: Source,
}

pub(crate) enum Source {
    /// What the file's head says, and the file.
    Gguf(gguf_file::Content, BufReader<File>),
    /// All tensors, as they are stored.
    Folder(HashMap<String, Tensor>),
}

impl Weights {
    fn name<'a>(&self, names: &'a Names) -> &'a str {
        match self.source {
            Source::Gguf(..) => &names.gguf,
            Source::Folder(_) => &names.folder,
        }
    }

    fn shape(&self, names: &Names) -> Option<Vec<usize>> {
        let name = self.name(names);
        match &self.source {
            Source::Gguf(content, _) => content.tensor_infos.get(name).map(|info| info.shape.dims().to_vec()),
            Source::Folder(tensors) => tensors.get(name).map(|tensor| tensor.dims().to_vec()),
        }
    }

    /// Whether there is such a tensor.
    pub fn has(&self, names: &Names) -> bool {
        self.shape(names).is_some()
    }

    fn check(&self, names: &Names, expected: &[usize]) -> Result<(), LanguageError> {
        let found = match self.shape(names) {
            Some(found) if found == expected => return Ok(()),
            Some(found) => format!("{found:?}"),
            None => "none of that name".to_owned(),
        };
        let (path, name) = (self.path.clone(), self.name(names).to_owned());
        Err(LanguageError::Tensor { path, name, expected: expected.to_vec(), found })
    }

    /// A matrix `[out, in]`, quantised where the file has it so.
    pub fn matrix(&mut self, names: &Names, shape: [usize; 2]) -> Result<QMatMul, LanguageError> {
        self.check(names, &shape)?;
        let Self { path, source } = self;
        match source {
            Source::Gguf(content, file) => {
                let read = content.tensor(file, &names.gguf, &Device::Cpu).and_then(QMatMul::from_qtensor);
                read.map_err(|error| damaged(path, &error))
            }
            Source::Folder(tensors) => Ok(QMatMul::Tensor(take(tensors, &names.folder)?)),
        }
    }

    /// A vector of numbers.
    pub fn vector(&mut self, names: &Names, length: usize) -> Result<Tensor, LanguageError> {
        self.check(names, &[length])?;
        let Self { path, source } = self;
        match source {
            Source::Gguf(content, file) => {
                let read = content.tensor(file, &names.gguf, &Device::Cpu);
                read.and_then(|read| read.dequantize(&Device::Cpu)).map_err(|error| damaged(path, &error))
            }
            Source::Folder(tensors) => take(tensors, &names.folder),
        }
    }
}

fn take(tensors: &mut HashMap<String, Tensor>, name: &str) -> Result<Tensor, LanguageError> {
    let tensor = tensors.remove(name).expect("its shape was checked a moment ago");
    Ok(tensor.to_dtype(DType::F32)?)
}

/// What the library says of a file that it cannot read.
pub(crate) fn damaged(path: &Path, error: &impl ToString) -> LanguageError {
    LanguageError::Damaged { path: path.to_owned(), reason: first_line(error) }
}
