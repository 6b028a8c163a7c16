//! What the head of a GGUF file says: sizes, tokenizer, special tokens.
//! (Format: ggml-org/ggml, docs/gguf.md.)

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use tokenizers::Tokenizer;

use crate::config::Rotary;
use crate::opened::{Opened, tokenizer_beside};
use crate::tokenizer::{Pieces, tokenizer};
use crate::weights::{Source, Weights, damaged};
use crate::{Architecture, Config, LanguageError};

/// First bytes of a GGUF file.
const MAGIC: [u8; 4] = *b"GGUF";

/// Opens a file.
pub(crate) fn open(path: &Path) -> Result<Opened, LanguageError> {
    let read = |source| LanguageError::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(read)?);
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic).map_err(read)?;
    if magic != MAGIC {
        let found = "a file that does not begin with `GGUF`".to_owned();
        return Err(LanguageError::NotAModel { path: path.to_owned(), found });
    }
    file.rewind().map_err(read)?;
    let content = content(path, &mut file)?;
    let head = Head { path, content: &content };
    let config = head.config()?;
    // The file's own goes first: one beside it may be another model's.
    let tokenizer = match head.tokenizer() {
        Ok(tokenizer) => tokenizer,
        Err(refused) => tokenizer_beside(path)?.ok_or(refused)?,
    };
    let special = |what: &str| head.get(&format!("tokenizer.ggml.{what}"));
    let number = |what| special(what).and_then(whole).and_then(|id| u32::try_from(id).ok());
    Ok(Opened {
        begin: number("bos_token_id"),
        ends: ["eos_token_id", "eot_token_id"].into_iter().filter_map(number).collect(),
        begins: match special("add_bos_token") {
            Some(Value::Bool(begins)) => Some(*begins),
            _ => None,
        },
        template: head.text("tokenizer.chat_template").map(str::to_owned),
        quantisation: quantisation(&content),
        config,
        tokenizer,
        weights: Weights { path: path.to_owned(), source: Source::Gguf(content, file) },
    })
}

/// What the head of the file says, with tensors whose sizes can be computed with.
fn content(path: &Path, file: &mut BufReader<File>) -> Result<Content, LanguageError> {
    // The library divides by the file's alignment, which may be 0.
    let read = catch_unwind(AssertUnwindSafe(|| Content::read(file)));
    let content = read.unwrap_or_else(|_| Err(candle_core::Error::msg("its head cannot be read")));
    let content = content.map_err(|error| unreadable(path, &error))?;
    let broken = |info: &TensorInfo| {
        let dims = info.shape.dims();
        let values = dims.iter().try_fold(1usize, |values, dim| values.checked_mul(*dim));
        let row = dims.last().copied().unwrap_or(1);
        values.is_none_or(|values| values > VALUES_MAX) || row % info.ggml_dtype.block_size() != 0
    };
    if let Some((name, info)) = content.tensor_infos.iter().find(|(_, info)| broken(info)) {
        let (kind, dims) = (info.ggml_dtype, info.shape.dims());
        return Err(damaged(
            path,
            &format!("its tensor `{name}` has the impossible shape {dims:?} of {kind:?}"),
        ));
    }
    Ok(content)
}

/// More values than a tensor of any published network has; their bytes can be counted.
const VALUES_MAX: usize = 1 << 40;

/// A kind of numbers that the library does not know is no damage.
fn unreadable(path: &Path, error: &candle_core::Error) -> LanguageError {
    let said = crate::error::first_line(error);
    match said.strip_prefix("unknown dtype for tensor ") {
        Some(kind) => LanguageError::Setting {
            path: path.to_owned(),
            what: "kind of numbers".to_owned(),
            expected: "F32, F16, BF16, Q4_0 to Q8_1 or Q2_K to Q8_K".to_owned(),
            found: format!("ggml type {kind}"),
        },
        None => damaged(path, &said),
    }
}

struct Head<'a> {
    path: &'a Path,
    content: &'a Content,
}

impl Head<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn setting(&self, what: &str, expected: &str) -> LanguageError {
        let found = match self.get(what) {
            None => "nothing".to_owned(),
            Some(Value::Array(values)) => format!("a list of {}", values.len()),
            Some(Value::String(text)) => text.clone(),
            Some(value) => whole(value).map_or_else(|| format!("{value:?}"), |value| value.to_string()),
        };
        LanguageError::Setting {
            path: self.path.to_owned(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            found,
        }
    }

    /// A number above 0.
    fn count(&self, key: &str) -> Result<usize, LanguageError> {
        let count = self.get(key).and_then(whole).and_then(|count| usize::try_from(count).ok());
        count.filter(|count| *count > 0).ok_or_else(|| self.setting(key, "a number above 0"))
    }

    fn real(&self, key: &str) -> Result<f64, LanguageError> {
        match self.get(key) {
            Some(Value::F32(value)) => Ok(f64::from(*value)),
            Some(Value::F64(value)) => Ok(*value),
            _ => Err(self.setting(key, "a number")),
        }
    }

    fn config(&self) -> Result<Config, LanguageError> {
        let name = self.text("general.architecture").unwrap_or("file without `general.architecture`");
        let Some(architecture) = Architecture::from_name(name) else {
            let (path, found) = (self.path.to_owned(), name.to_owned());
            return Err(LanguageError::Architecture { path, found });
        };
        let key = |what: &str| format!("{name}.{what}");
        let (width, heads) =
            (self.count(&key("embedding_length"))?, self.count(&key("attention.head_count"))?);
        let kv_heads = match self.get(&key("attention.head_count_kv")) {
            Some(_) => self.count(&key("attention.head_count_kv"))?,
            None => heads,
        };
        let head_width = match self.get(&key("attention.key_length")) {
            Some(_) => self.count(&key("attention.key_length"))?,
            None => width / heads,
        };
        if self.get(&key("expert_count")).and_then(whole).is_some_and(|experts| experts > 0) {
            return Err(self.setting(&key("expert_count"), "absent: experts are not computed"));
        }
        let turned = key("rope.dimension_count");
        if self.get(&turned).is_some() && self.count(&turned)? != head_width {
            return Err(self.setting(&turned, &format!("the head width {head_width}")));
        }
        let scaling = key("rope.scaling.type");
        if self.text(&scaling).is_some_and(|kind| kind != "none") {
            return Err(self.setting(&scaling, "absent: other scalings than Llama 3's are not computed"));
        }
        let vocabulary = self.content.tensor_infos.get("token_embd.weight");
        let Some([vocabulary, _]) = vocabulary.map(|info| info.shape.dims()) else {
            return Err(damaged(self.path, &"it has no matrix `token_embd.weight`"));
        };
        let base = key("rope.freq_base");
        let mut config = Config {
            architecture,
            layers: self.count(&key("block_count"))?,
            width,
            hidden: self.count(&key("feed_forward_length"))?,
            heads,
            kv_heads,
            head_width,
            vocabulary: *vocabulary,
            context: self.count(&key("context_length"))?,
            norm_eps: self.real(&key("attention.layer_norm_rms_epsilon"))?,
            rotary: Rotary {
                base: if self.get(&base).is_some() { self.real(&base)? } else { 10_000.0 },
                divisors: Vec::new(),
                neighbours: architecture == Architecture::Llama,
            },
        };
        config.check(self.path)?;
        config.rotary.divisors = self.divisors(head_width / 2)?;
        Ok(config)
    }

    /// Divisors of the rotary frequencies, which converters of Llama 3 leave as a tensor of their own.
    fn divisors(&self, pairs: usize) -> Result<Vec<f32>, LanguageError> {
        const NAME: &str = "rope_freqs.weight";
        let Some(info) = self.content.tensor_infos.get(NAME) else { return Ok(vec![1.0; pairs]) };
        if info.shape.dims() != [pairs] {
            return Err(LanguageError::Tensor {
                path: self.path.to_owned(),
                name: NAME.to_owned(),
                expected: vec![pairs],
                found: format!("{:?}", info.shape.dims()),
            });
        }
        let mut file = File::open(self.path)
            .map_err(|source| LanguageError::Read { path: self.path.to_owned(), source })?;
        let device = candle_core::Device::Cpu;
        let read = self.content.tensor(&mut file, NAME, &device).and_then(|read| read.dequantize(&device));
        read.and_then(|read| read.to_vec1::<f32>()).map_err(|error| damaged(self.path, &error))
    }

    fn tokenizer(&self) -> Result<Tokenizer, LanguageError> {
        let refuse = |reason: String| LanguageError::Tokenizer { path: self.path.to_owned(), reason };
        let kind = self.text("tokenizer.ggml.model");
        if kind != Some("gpt2") {
            let found = kind.unwrap_or("nothing");
            return Err(refuse(format!(
                "`tokenizer.ggml.model` must be gpt2, a byte-level BPE, found `{found}`"
            )));
        }
        let texts = |key: &str| match self.get(key) {
            Some(Value::Array(values)) => {
                let texts = values.iter().map(|value| match value {
                    Value::String(text) => Some(text.clone()),
                    _ => None,
                });
                texts.collect::<Option<Vec<_>>>().ok_or_else(|| refuse(format!("`{key}` must hold text")))
            }
            _ => Err(refuse(format!("`{key}` must be a list of texts, found none"))),
        };
        let tokens = texts("tokenizer.ggml.tokens")?;
        let kinds: Vec<i64> = match self.get("tokenizer.ggml.token_type") {
            Some(Value::Array(values)) => values.iter().map(|kind| whole(kind).unwrap_or_default()).collect(),
            _ => Vec::new(),
        };
        let of_kind = |wanted: i64| {
            let ids = (0..tokens.len()).filter(|id| kinds.get(*id) == Some(&wanted));
            ids.map(|id| tokens[id].clone()).collect()
        };
        let pieces = Pieces {
            special: of_kind(CONTROL),
            whole: of_kind(USER_DEFINED),
            merges: texts("tokenizer.ggml.merges")?,
            tokens,
        };
        tokenizer(pieces, self.text("tokenizer.ggml.pre")).map_err(refuse)
    }
}

/// Kinds of tokens, llama.cpp's `llama_token_type`.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// A whole number of any width.
fn whole(value: &Value) -> Option<i64> {
    Some(match value {
        Value::U8(value) => i64::from(*value),
        Value::I8(value) => i64::from(*value),
        Value::U16(value) => i64::from(*value),
        Value::I16(value) => i64::from(*value),
        Value::U32(value) => i64::from(*value),
        Value::I32(value) => i64::from(*value),
        Value::U64(value) => i64::try_from(*value).ok()?,
        Value::I64(value) => *value,
        _ => return None,
    })
}

/// The kind of numbers that holds most of the parameters.
fn quantisation(content: &Content) -> String {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for info in content.tensor_infos.values() {
        *counts.entry(format!("{:?}", info.ggml_dtype)).or_default() += info.shape.elem_count();
    }
    let most = counts.into_iter().max_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    most.map(|(kind, _)| kind).unwrap_or_default()
}
