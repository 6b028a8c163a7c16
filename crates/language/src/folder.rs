//! A folder as Hugging Face's transformers keeps it: config.json, tokenizer.json, *.safetensors.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{Llama3Scaling, Rotary};
use crate::opened::{Opened, tokenizer_beside};
use crate::weights::{Source, Weights, damaged};
use crate::{Architecture, Config, LanguageError};

/// What config.json says. Sizes that are absent take transformers' defaults.
#[derive(Debug, Deserialize)]
struct Written {
    hidden_size: usize,
    intermediate_size: usize,
    vocab_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    /// Of older files.
    rope_scaling: Option<Value>,
    /// Of newer files, with `rope_theta` in it.
    rope_parameters: Option<Value>,
    #[serde(default)]
    use_sliding_window: bool,
    bos_token_id: Option<Value>,
    eos_token_id: Option<Value>,
}

/// Opens a folder.
pub(crate) fn open(path: &Path) -> Result<Opened, LanguageError> {
    let config_path = path.join("config.json");
    if !config_path.is_file() {
        let found = "a folder without config.json".to_owned();
        return Err(LanguageError::NotAModel { path: path.to_owned(), found });
    }
    let kind: Value = json(&config_path)?;
    let name = kind["model_type"].as_str().unwrap_or("configuration without `model_type`");
    let Some(architecture) = Architecture::from_name(name) else {
        return Err(LanguageError::Architecture { path: config_path, found: name.to_owned() });
    };
    let written: Written = json(&config_path)?;
    let config = written.config(architecture, &config_path)?;
    let Some(tokenizer) = tokenizer_beside(&config_path)? else {
        let reason = "the folder has no tokenizer.json".to_owned();
        return Err(LanguageError::Tokenizer { path: path.to_owned(), reason });
    };
    let tensors = tensors(path)?;
    let generation = path.join("generation_config.json");
    let generation: Value = if generation.is_file() { json(&generation)? } else { Value::Null };
    let ends = [written.eos_token_id.as_ref(), generation.get("eos_token_id")];
    let tokens_path = path.join("tokenizer_config.json");
    let tokens: Value = if tokens_path.is_file() { json(&tokens_path)? } else { Value::Null };
    Ok(Opened {
        begin: written.bos_token_id.as_ref().and_then(|id| ids(id).next()),
        ends: ends.into_iter().flatten().flat_map(ids).collect(),
        begins: tokens["add_bos_token"].as_bool(),
        template: template(&tokens, path)?,
        quantisation: stored(&tensors).to_owned(),
        config,
        tokenizer,
        weights: Weights { path: path.to_owned(), source: Source::Folder(tensors) },
    })
}

impl Written {
    fn config(&self, architecture: Architecture, path: &Path) -> Result<Config, LanguageError> {
        let setting = |what: &str, expected: &str, found: String| LanguageError::Setting {
            path: path.to_owned(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        if self.use_sliding_window {
            return Err(setting("use_sliding_window", "false: windows are not computed", "true".to_owned()));
        }
        if let Some(act) = self.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(setting("hidden_act", "silu", act.to_owned()));
        }
        let heads = self.num_attention_heads;
        let head_width = self.head_dim.unwrap_or(self.hidden_size / heads.max(1));
        let rope = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let base = rope.and_then(|rope| rope["rope_theta"].as_f64()).or(self.rope_theta).unwrap_or(10_000.0);
        let mut config = Config {
            architecture,
            layers: self.num_hidden_layers,
            width: self.hidden_size,
            hidden: self.intermediate_size,
            heads,
            kv_heads: self.num_key_value_heads.unwrap_or(heads),
            head_width,
            vocabulary: self.vocab_size,
            context: self.max_position_embeddings,
            norm_eps: self.rms_norm_eps,
            rotary: Rotary { base, divisors: Vec::new(), neighbours: false },
        };
        config.check(path)?;
        let pairs = head_width / 2;
        let kind = rope.and_then(|rope| rope.get("rope_type").or(rope.get("type")));
        config.rotary.divisors = match kind.map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("default") => vec![1.0; pairs],
            Some("llama3") => {
                let rope = rope.cloned().unwrap_or_default();
                let scaling: Llama3Scaling =
                    serde_json::from_value(rope).map_err(|error| damaged(path, &error))?;
                scaling.divisors(base, pairs)
            }
            Some(other) => return Err(setting("rope_type", "default or llama3", other.to_owned())),
        };
        Ok(config)
    }
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, LanguageError> {
    let bytes = fs::read(path).map_err(|source| LanguageError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error))
}

/// One token number, or several.
fn ids(value: &Value) -> impl Iterator<Item = u32> {
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    values.iter().filter_map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
}

/// The chat template: in tokenizer_config.json, in newer folders in a file of its own.
fn template(tokens: &Value, folder: &Path) -> Result<Option<String>, LanguageError> {
    let path = folder.join("chat_template.jinja");
    match tokens["chat_template"].as_str() {
        Some(template) => Ok(Some(template.to_owned())),
        None if path.is_file() => {
            fs::read_to_string(&path).map(Some).map_err(|source| LanguageError::Read { path, source })
        }
        None => Ok(None),
    }
}

fn tensors(folder: &Path) -> Result<HashMap<String, Tensor>, LanguageError> {
    let read = |source| LanguageError::Read { path: folder.to_owned(), source };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        let found = "a folder without *.safetensors".to_owned();
        return Err(LanguageError::NotAModel { path: folder.to_owned(), found });
    }
    let mut tensors = HashMap::new();
    for path in paths {
        let bytes = fs::read(&path).map_err(|source| LanguageError::Read { path: path.clone(), source })?;
        let loaded = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        tensors.extend(loaded.map_err(|error| damaged(&path, &error))?);
    }
    Ok(tensors)
}

/// The kind of numbers that holds most of the parameters.
fn stored(tensors: &HashMap<String, Tensor>) -> &'static str {
    let count = |kind: DType| {
        let of_kind = tensors.values().filter(|tensor| tensor.dtype() == kind);
        of_kind.map(Tensor::elem_count).sum::<usize>()
    };
    let kinds = [(DType::F32, "F32"), (DType::F16, "F16"), (DType::BF16, "BF16")];
    kinds.into_iter().max_by_key(|(kind, _)| count(*kind)).map_or("", |(_, name)| name)
}
