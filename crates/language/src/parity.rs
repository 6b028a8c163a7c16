//! Held to PyTorch (golden/export.py): tokens, logits, and what is written, from folders and from GGUF files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use tempfile::TempDir;

use crate::changes::ChangeKind;
use crate::decoder::Decoder;
use crate::opened::open;
use crate::tokenizer::{Pieces, tokenizer};
use crate::{LanguageError, LanguageModel, Options};

/// Sums of at most 64 products in another order: logits are below 30, f32 has 7 digits.
const LOGIT_TOLERANCE: f32 = 2e-4;
/// Weights of 8 bits a block of 32 (half a step is 1/254 of the block's largest) and activations likewise, through two
/// blocks.
const QUANTISED_TOLERANCE: f32 = 0.7;
/// What the llama in `golden` learned to say.
const ANSWER: &str = "A shiny red car drives slowly to the left across a plain yellow background, and the camera stands still.";
static NO: AtomicBool = AtomicBool::new(false);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name)
}

type Tensors = std::collections::HashMap<String, Tensor>;

fn tensors(path: &Path) -> Tensors {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn ids(tensors: &Tensors, name: &str) -> Vec<u32> {
    tensors[name].to_vec1::<i64>().unwrap().into_iter().map(|id| id as u32).collect()
}

fn decoder(path: &Path) -> Decoder {
    let mut opened = open(path).unwrap();
    Decoder::load(&mut opened.weights, opened.config).unwrap()
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Reads the golden tokens one by one, then anew in parts, then writes on.
fn check(mut decoder: Decoder, golden: &Tensors, tolerance: f32) {
    let tokens = ids(golden, "golden.tokens");
    let expected = golden["golden.logits"].to_vec2::<f32>().unwrap();
    for (at, (token, expected)) in tokens.iter().zip(&expected).enumerate() {
        let difference = largest_difference(&decoder.read(&[*token]).unwrap(), expected);
        assert!(difference < tolerance, "logits after token {at} differ by {difference}");
    }
    decoder.forget();
    decoder.read(&tokens[..5]).unwrap();
    decoder.read(&tokens[5..7]).unwrap();
    let mut logits = decoder.read(&tokens[7..]).unwrap();
    let difference = largest_difference(&logits, expected.last().unwrap());
    assert!(difference < tolerance, "logits of parts differ by {difference}");
    let mut random = vidit_data::Random::new(0, 0);
    for (at, expected) in ids(golden, "golden.greedy").into_iter().enumerate() {
        assert_eq!(crate::sampling::choose(&logits, 0.0, &mut random), expected, "token {at} written");
        logits = decoder.read(&[expected]).unwrap();
    }
}

#[test]
fn a_llama_of_a_folder_computes_what_transformers_does() {
    let golden = golden("llama");
    check(decoder(&golden), &tensors(&golden.join("model.safetensors")), LOGIT_TOLERANCE);
}

/// A folder of a model whose configuration is in the metadata of its golden.
fn folder_of(kind: &str) -> (TempDir, Tensors) {
    let folder = TempDir::new().unwrap();
    let path = golden(&format!("{kind}.safetensors"));
    let bytes = fs::read(&path).unwrap();
    let head = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let head: serde_json::Value = serde_json::from_slice(&bytes[8..8 + head]).unwrap();
    let config = head["__metadata__"]["config"].as_str().unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    fs::copy(golden("llama/tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    fs::write(folder.path().join("model.safetensors"), &bytes).unwrap();
    (folder, tensors(&path))
}

#[test]
fn qwens_of_a_folder_compute_what_the_reference_does() {
    for kind in ["qwen2", "qwen3"] {
        let (folder, golden) = folder_of(kind);
        check(decoder(folder.path()), &golden, LOGIT_TOLERANCE);
    }
}

/// Rows of queries and keys as converters of llamas write them: pairs that are half a head apart become neighbours.
fn as_neighbours(weight: &Tensor, heads: usize) -> Tensor {
    let (rows, width) = weight.dims2().unwrap();
    let split = weight.reshape((heads, 2, rows / heads / 2, width)).unwrap();
    split.transpose(1, 2).unwrap().reshape((rows, width)).unwrap().contiguous().unwrap()
}

/// What a GGUF file of a golden network holds.
struct Gguf {
    metadata: Vec<(String, Value)>,
    tensors: Vec<(String, QTensor)>,
}

impl Gguf {
    /// From a folder in transformers' form, with matrices of this kind.
    fn of(folder: &Path, kind: GgmlDType) -> Self {
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
        let name = config["model_type"].as_str().unwrap();
        let number = |key: &str| Value::U32(config[key].as_u64().unwrap() as u32);
        let real = |key: &str| Value::F32(config[key].as_f64().unwrap() as f32);
        let mut metadata = vec![("general.architecture".to_owned(), Value::String(name.to_owned()))];
        for (key, value) in [
            ("block_count", number("num_hidden_layers")),
            ("context_length", number("max_position_embeddings")),
            ("embedding_length", number("hidden_size")),
            ("feed_forward_length", number("intermediate_size")),
            ("attention.head_count", number("num_attention_heads")),
            ("attention.head_count_kv", number("num_key_value_heads")),
            ("attention.layer_norm_rms_epsilon", real("rms_norm_eps")),
            ("rope.freq_base", real("rope_theta")),
        ] {
            metadata.push((format!("{name}.{key}"), value));
        }
        if name == "qwen3" {
            metadata.push(("qwen3.attention.key_length".to_owned(), number("head_dim")));
        }
        metadata.extend(tokens_of(&folder.join("tokenizer.json")));
        let heads = |key: &str| config[key].as_u64().unwrap() as usize;
        let mut tensors = Vec::new();
        for (path, tensor) in tensors_of(folder) {
            let Some(key) = gguf_name(&path) else { continue };
            let tensor = match (name, path.contains("q_proj"), path.contains("k_proj")) {
                ("llama", true, _) => as_neighbours(&tensor, heads("num_attention_heads")),
                ("llama", _, true) => as_neighbours(&tensor, heads("num_key_value_heads")),
                _ => tensor,
            };
            let kind = if tensor.rank() == 2 { kind } else { GgmlDType::F32 };
            tensors.push((key, QTensor::quantize(&tensor, kind).unwrap()));
        }
        Self { metadata, tensors }
    }

    fn set(&mut self, key: &str, value: Option<Value>) {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.extend(value.map(|value| (key.to_owned(), value)));
    }

    fn write(&self, path: &Path) {
        let metadata: Vec<_> = self.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<_> = self.tensors.iter().map(|(key, tensor)| (key.as_str(), tensor)).collect();
        gguf_file::write(&mut File::create(path).unwrap(), &metadata, &tensors).unwrap();
    }
}

fn tensors_of(folder: &Path) -> Tensors {
    let mut tensors = tensors(&folder.join("model.safetensors"));
    tensors.retain(|name, tensor| !name.starts_with("golden") && tensor.dtype() == DType::F32);
    tensors
}

fn gguf_name(path: &str) -> Option<String> {
    let outside =
        [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];
    if let Some((_, name)) = outside.into_iter().find(|(name, _)| path.starts_with(name)) {
        return Some(format!("{name}.weight"));
    }
    let (layer, rest) = path.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, what) = rest.rsplit_once('.')?;
    let part = match part {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        _ => return None,
    };
    Some(format!("blk.{layer}.{part}.{what}"))
}

/// Pieces of a tokenizer.json.
fn pieces(path: &Path) -> Pieces {
    let told: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut tokens: Vec<(u64, String)> = told["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap(), token.clone()))
        .collect();
    tokens.sort();
    let texts = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    Pieces {
        tokens: tokens.into_iter().map(|(_, token)| token).collect(),
        merges: told["model"]["merges"].as_array().unwrap().iter().map(texts).collect(),
        special: told["added_tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| texts(&token["content"]))
            .collect(),
        whole: Vec::new(),
    }
}

fn tokens_of(path: &Path) -> Vec<(String, Value)> {
    let Pieces { tokens, merges, special, .. } = pieces(path);
    let list = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
    let kinds = tokens.iter().map(|token| Value::I32(if special.contains(token) { 3 } else { 1 })).collect();
    [
        ("model", Value::String("gpt2".to_owned())),
        ("pre", Value::String("smollm".to_owned())),
        ("tokens", list(&tokens)),
        ("merges", list(&merges)),
        ("token_type", Value::Array(kinds)),
        ("bos_token_id", Value::U32(1)),
        ("eos_token_id", Value::U32(2)),
        ("add_bos_token", Value::Bool(false)),
    ]
    .map(|(key, value)| (format!("tokenizer.ggml.{key}"), value))
    .into()
}

#[test]
fn gguf_files_compute_what_their_folders_do() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    let llama = golden("llama");
    Gguf::of(&llama, GgmlDType::F32).write(&path);
    let golden = tensors(&llama.join("model.safetensors"));
    check(decoder(&path), &golden, LOGIT_TOLERANCE);
    for kind in ["qwen2", "qwen3"] {
        let (folder, golden) = folder_of(kind);
        // Neither vocabulary fits the tokenizer, which the network does not ask.
        Gguf::of(folder.path(), GgmlDType::F32).write(&path);
        check(decoder(&path), &golden, LOGIT_TOLERANCE);
    }
    Gguf::of(&llama, GgmlDType::Q8_0).write(&path);
    check(decoder(&path), &golden, QUANTISED_TOLERANCE);
}

#[test]
fn divisors_of_the_rotary_frequencies_are_taken_from_the_file() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    let mut gguf = Gguf::of(&golden("llama"), GgmlDType::F32);
    gguf.write(&path);
    assert_eq!(open(&path).unwrap().config.rotary.divisors, [1.0; 4]);
    let divisors = Tensor::new(&[1.0f32, 1.0, 4.0, 32.0], &Device::Cpu).unwrap();
    gguf.tensors
        .push(("rope_freqs.weight".to_owned(), QTensor::quantize(&divisors, GgmlDType::F32).unwrap()));
    gguf.write(&path);
    assert_eq!(open(&path).unwrap().config.rotary.divisors, [1.0, 1.0, 4.0, 32.0]);
}

#[test]
fn texts_become_the_tokens_that_they_become_elsewhere() {
    let told: serde_json::Value = serde_json::from_slice(&fs::read(golden("tokens.json")).unwrap()).unwrap();
    let rows = told["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 28);
    for row in rows {
        let (like, text) = (row["words_like"].as_str().unwrap(), row["text"].as_str().unwrap());
        let tokenizer = tokenizer(pieces(&golden("llama/tokenizer.json")), Some(like)).unwrap();
        let expected: Vec<u32> =
            row["tokens"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let tokens = tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec();
        assert_eq!(tokens, expected, "{like}: {text:?}");
        let back = tokenizer.decode(&tokens, true).unwrap();
        // Qwen2 composes letters with their accents.
        assert!(back == text || like == "qwen2" && back == text.replace("e\u{301}", "é"), "{like}: {back:?}");
    }
}

fn rewrite(
    model: &mut LanguageModel,
    prompt: &str,
    options: &Options,
) -> Result<crate::Rewritten, LanguageError> {
    model.rewrite(prompt, options, |_| {}, &NO)
}

#[test]
fn a_model_rewrites_a_prompt_and_what_it_added_is_told() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    Gguf::of(&golden("llama"), GgmlDType::Q8_0).write(&path);
    for path in [&path, &golden("llama")] {
        let mut model = LanguageModel::open(path).unwrap();
        let options = Options { tokens_max: 100, ..Options::default() };
        let mut seen = Vec::new();
        let told = model.rewrite("a red car drives to the left", &options, |p| seen.push(p), &NO).unwrap();
        assert_eq!((told.text.as_str(), told.cut), (ANSWER, false));
        assert_eq!(seen.iter().filter(|progress| progress.writing).count(), told.tokens + 1);
        assert!(!seen[0].writing && seen[0].total > 64, "{:?}", seen[0]);
        let words = |kind| {
            let of_kind = told.changes.iter().filter(|change| change.kind == kind);
            of_kind.map(|change| change.words.as_str()).collect::<Vec<_>>()
        };
        let added = ["shiny", "slowly", "across a plain yellow background and the camera stands still"];
        assert_eq!(words(ChangeKind::Added), added);
        assert!(words(ChangeKind::Removed).is_empty());
        // Nothing is left of it for the next prompt.
        assert_eq!(rewrite(&mut model, "a red car drives to the left", &options).unwrap(), told);
    }
    let model = LanguageModel::open(&path).unwrap();
    assert_eq!((model.quantisation(), model.config().architecture.name()), ("Q8_0", "llama"));
    assert_eq!(LanguageModel::open(&golden("llama")).unwrap().quantisation(), "F32");
}

#[test]
fn answers_that_do_not_answer_are_refused() {
    let mut model = LanguageModel::open(&golden("llama")).unwrap();
    let options = Options { tokens_max: 100, ..Options::default() };
    let refused = rewrite(&mut model, "一只猫", &options).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with(&format!("the language model must answer in Chinese, found `{ANSWER}`"))
    );
    let short = Options { tokens_max: 8, ..options };
    let refused = rewrite(&mut model, "a cat", &short).unwrap_err();
    assert!(matches!(refused, LanguageError::Unfinished { limit: 8, .. }), "{refused}");
    let refused = rewrite(&mut model, &"cat ".repeat(400), &options).unwrap_err();
    assert!(matches!(refused, LanguageError::TooLong { limit: 1024, .. }), "{refused}");
    let cancelled = model.rewrite("a cat", &options, |_| {}, &AtomicBool::new(true));
    assert!(matches!(cancelled, Err(LanguageError::Cancelled)));
}

/// What is said of the file that `change` makes of a good one.
fn refusal(change: impl FnOnce(&mut Gguf)) -> String {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    let mut gguf = Gguf::of(&golden("llama"), GgmlDType::F32);
    change(&mut gguf);
    gguf.write(&path);
    match LanguageModel::open(&path) {
        Ok(_) => panic!("the file was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn files_that_are_not_ours_are_told_apart() {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    for (key, value, needle) in [
        ("general.architecture", text("gemma3"), "holds a `gemma3`, expected one of llama, qwen2 and qwen3"),
        ("general.architecture", None, "holds a `file without `general.architecture``"),
        ("llama.block_count", None, "`llama.block_count` must be a number above 0, found `nothing`"),
        (
            "llama.block_count",
            Some(Value::U32(3)),
            "`blk.2.attn_q.weight` must have shape [32, 32], found none",
        ),
        ("llama.embedding_length", Some(Value::U32(64)), "must have shape [352, 64], found [352, 32]"),
        ("llama.attention.head_count_kv", Some(Value::U32(3)), "heads` must be a multiple of 3 key heads"),
        (
            "llama.attention.head_count_kv",
            None,
            "`blk.0.attn_k.weight` must have shape [32, 32], found [16, 32]",
        ),
        ("llama.attention.key_length", Some(Value::U64(1 << 60)), "`head width` must be 1 to 16777216"),
        ("llama.rope.scaling.type", text("yarn"), "computed, found `yarn`"),
        ("general.alignment", Some(Value::U32(0)), "is damaged: its head cannot be read"),
        (
            "tokenizer.chat_template",
            text("{{ '<|user|>' }}"),
            "`chat template` must be one with `<|im_start|>`",
        ),
        ("llama.expert_count", Some(Value::U32(8)), "experts are not computed"),
        ("tokenizer.ggml.model", None, "must be gpt2, a byte-level BPE, found `nothing`"),
        ("tokenizer.ggml.model", text("llama"), "put the model's tokenizer.json beside the file"),
        ("tokenizer.ggml.pre", text("chatglm-bpe"), "found `chatglm-bpe`"),
        ("tokenizer.ggml.tokens", None, "`tokenizer.ggml.tokens` must be a list of texts"),
        ("tokenizer.ggml.merges", Some(Value::Array(vec![Value::String("ab".into())])), "found `ab`"),
    ] {
        let said = refusal(|gguf| gguf.set(key, value));
        assert!(said.contains(needle), "{key}: {said}");
    }
}

#[test]
fn a_tokenizer_beside_a_file_serves_where_its_own_does_not() {
    let place = TempDir::new().unwrap();
    let (path, beside) = (place.path().join("model.gguf"), place.path().join("tokenizer.json"));
    let mut gguf = Gguf::of(&golden("llama"), GgmlDType::F32);
    gguf.write(&path);
    fs::write(&beside, "another model's").unwrap();
    LanguageModel::open(&path).unwrap();
    gguf.set("tokenizer.ggml.model", None);
    gguf.write(&path);
    assert!(matches!(LanguageModel::open(&path), Err(LanguageError::Damaged { path, .. }) if path == beside));
    fs::copy(golden("llama/tokenizer.json"), &beside).unwrap();
    let mut model = LanguageModel::open(&path).unwrap();
    let options = Options { tokens_max: 100, ..Options::default() };
    assert_eq!(rewrite(&mut model, "a car", &options).unwrap().text, ANSWER);
}

#[test]
fn what_a_file_calls_text_is_kept_and_what_it_calls_control_is_not() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    let mut gguf = Gguf::of(&golden("llama"), GgmlDType::F32);
    let mut kinds = vec![Value::I32(1); 352];
    (kinds[1], kinds[2]) = (Value::I32(4), Value::I32(3));
    gguf.set("tokenizer.ggml.token_type", Some(Value::Array(kinds)));
    gguf.write(&path);
    let tokenizer = open(&path).unwrap().tokenizer;
    assert_eq!(tokenizer.decode(&[1, 2], true).unwrap(), "<|im_start|>");
    assert_eq!(tokenizer.encode_fast("<|im_start|>", false).unwrap().get_ids(), [1]);
}

#[test]
fn networks_without_what_their_family_has_are_refused() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    for (kind, tensor) in [("qwen2", "blk.1.attn_k.bias"), ("qwen3", "blk.1.attn_k_norm.weight")] {
        let (folder, _) = folder_of(kind);
        let mut gguf = Gguf::of(folder.path(), GgmlDType::F32);
        gguf.tensors.retain(|(name, _)| name != tensor);
        gguf.write(&path);
        let mut opened = open(&path).unwrap();
        let Err(error) = Decoder::load(&mut opened.weights, opened.config) else { panic!("{tensor}") };
        assert!(matches!(&error, LanguageError::Tensor { name, .. } if name == tensor), "{error}");
    }
}

#[test]
fn tensors_that_cannot_be_are_refused_before_they_are_read() {
    const NAME: &str = "blk.0.ffn_down.weight";
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    Gguf::of(&golden("llama"), GgmlDType::Q8_0).write(&path);
    let whole = fs::read(&path).unwrap();
    // After the name: the number of sizes, two sizes of eight bytes (the row first), the kind of numbers.
    let at = whole.windows(NAME.len()).position(|window| window == NAME.as_bytes()).unwrap() + NAME.len() + 4;
    for (offset, bytes, needle) in [
        (0, u64::MAX.to_le_bytes().as_slice(), "the impossible shape"),
        (8, &u64::MAX.to_le_bytes(), "the impossible shape"),
        (0, &40u64.to_le_bytes(), "the impossible shape [32, 40] of Q8_0"),
        (16, &20u32.to_le_bytes(), "`kind of numbers` must be F32"),
    ] {
        let mut broken = whole.clone();
        broken[at + offset..][..bytes.len()].copy_from_slice(bytes);
        fs::write(&path, broken).unwrap();
        let Err(error) = LanguageModel::open(&path) else { panic!("{needle}") };
        assert!(error.to_string().contains(needle), "{error}");
    }
}

#[test]
fn broken_files_and_folders_are_errors() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    Gguf::of(&golden("llama"), GgmlDType::F32).write(&path);
    let whole = fs::read(&path).unwrap();
    for length in [0, 3, 4, 20, 400, whole.len() / 2, whole.len() - 200] {
        fs::write(&path, &whole[..length]).unwrap();
        let Err(error) = LanguageModel::open(&path) else { panic!("{length} bytes were taken") };
        let expected = match length {
            0 | 3 => matches!(error, LanguageError::NotAModel { .. }),
            _ => matches!(error, LanguageError::Damaged { .. }),
        };
        assert!(expected, "{length} of {}: {error}", whole.len());
    }
    let folder = place.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let said = || match LanguageModel::open(&folder) {
        Ok(_) => panic!("the folder was taken"),
        Err(error) => error.to_string(),
    };
    assert!(said().contains("a folder without config.json"), "{}", said());
    let copy = |name: &str| fs::copy(golden("llama").join(name), folder.join(name)).unwrap();
    copy("config.json");
    assert!(said().contains("the folder has no tokenizer.json"), "{}", said());
    copy("tokenizer.json");
    assert!(said().contains("a folder without *.safetensors"), "{}", said());
    let weights = fs::read(golden("llama/model.safetensors")).unwrap();
    fs::write(folder.join("model.safetensors"), &weights[..9000]).unwrap();
    assert!(said().contains("is damaged"), "{}", said());
    fs::write(folder.join("model.safetensors"), &weights).unwrap();
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    for (from, to, needle) in [
        ("\"llama\"", "\"t5\"", "holds a `t5`"),
        ("\"hidden_size\": 32", "\"hidden_size\": \"wide\"", "is damaged: invalid type"),
        ("\"vocab_size\": 352", "\"vocab_size\": 353", "must have shape [353, 32]"),
        ("\"rope_theta\"", "\"rope_scaling\": {\"type\": \"linear\"}, \"rope_theta\"", "found `linear`"),
        ("\"rope_theta\"", "\"use_sliding_window\": true, \"rope_theta\"", "windows are not computed"),
        ("\"rope_theta\"", "\"hidden_act\": \"gelu\", \"rope_theta\"", "must be silu, found `gelu`"),
        ("\"rope_theta\"", "\"head_dim\": 99999999998, \"rope_theta\"", "`head width` must be 1 to 16777216"),
    ] {
        assert!(config.contains(from), "{from}");
        fs::write(folder.join("config.json"), config.replace(from, to)).unwrap();
        assert!(said().contains(needle), "{to}: {}", said());
    }
    // A tokenizer that knows no text.
    fs::write(folder.join("config.json"), config.replace("\"bos_token_id\": 1,", "")).unwrap();
    let mute = r#"{"model": {"type": "BPE", "vocab": {}, "merges": []}}"#;
    fs::write(folder.join("tokenizer.json"), mute).unwrap();
    let refused = rewrite(&mut LanguageModel::open(&folder).unwrap(), "a car", &Options::default());
    assert!(matches!(&refused, Err(LanguageError::Tokenizer { .. })), "{refused:?}");
    let missing = LanguageModel::open(&place.path().join("missing.gguf"));
    assert!(matches!(missing, Err(LanguageError::Read { .. })));
}
