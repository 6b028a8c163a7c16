//! Low-rank adapters (Hu et al. 2021) as peft writes them: `W + scale · B A` of some of a network's matrices.

use rayon::prelude::*;
use serde_json::Value;
use vidit_weights::{Entry, TensorStore};

use super::NETWORK;
use crate::BackboneError;

/// What `adapter_config.json` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdapterConfig {
    /// Rows of `A`, columns of `B`.
    pub rank: usize,
    /// `lora_alpha`: the scale is this over the rank.
    pub alpha: f32,
}

impl AdapterConfig {
    /// Of the file's bytes.
    ///
    /// # Errors
    /// If it is no JSON of a plain adapter: other kinds are computed otherwise, and are refused by the option that asks for them.
    pub fn parse(bytes: &[u8]) -> Result<Self, BackboneError> {
        let wrong = |reason: String| BackboneError::Config {
            network: NETWORK,
            reason: format!("`adapter_config.json`, which lies beside `adapter_model.safetensors`, {reason}"),
        };
        let config: Value =
            serde_json::from_slice(bytes).map_err(|error| wrong(format!("is no JSON: {error}")))?;
        // Absent from older files, and then what the plain kind has.
        let plain = [
            ("peft_type", Value::from("LORA")),
            ("bias", Value::from("none")),
            ("fan_in_fan_out", Value::from(false)),
            ("use_rslora", Value::from(false)),
            ("use_dora", Value::from(false)),
        ];
        for (key, expected) in plain {
            match config.get(key) {
                None | Some(Value::Null) => {}
                Some(found) if *found == expected => {}
                Some(found) => return Err(wrong(format!("has `{key}` {found}, expected {expected}"))),
            }
        }
        for key in ["rank_pattern", "alpha_pattern"] {
            if let Some(found) = config.get(key).and_then(Value::as_object).filter(|found| !found.is_empty())
            {
                return Err(wrong(format!("has `{key}` of {} entries, expected none", found.len())));
            }
        }
        let number = |key| config.get(key).and_then(Value::as_f64).filter(|number| *number > 0.0);
        match (number("r"), number("lora_alpha")) {
            (Some(rank), Some(alpha)) if rank.fract() == 0.0 => {
                Ok(Self { rank: rank as usize, alpha: alpha as f32 })
            }
            _ => Err(wrong("lacks `r`, a whole number, or `lora_alpha`, a number, above 0".to_owned())),
        }
    }
}

/// The adapter of the ensemble: `base_model.model.extractor_list.N.model.PATH.lora_A.weight [rank, I]` and `…lora_B.weight [O, rank]`.
pub struct Adapter {
    left: TensorStore,
    config: AdapterConfig,
}

const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";

impl Adapter {
    /// Of `adapter_model.safetensors` and the file beside it.
    pub fn new(store: TensorStore, config: AdapterConfig) -> Self {
        Self { left: store, config }
    }

    /// Merges what there is for network `index` of the ensemble into its weights.
    ///
    /// # Errors
    /// If there is nothing, or half of a pair, or a matrix of another shape than the network has.
    pub(super) fn merge_into(
        &mut self,
        weights: &mut TensorStore,
        index: usize,
    ) -> Result<(), BackboneError> {
        let prefix = format!("base_model.model.extractor_list.{index}.model.");
        let rank = self.config.rank;
        let paths: Vec<String> = self
            .left
            .tensors
            .keys()
            .filter_map(|key| Some(key.strip_prefix(&prefix)?.strip_suffix(A)?.to_owned()))
            .collect();
        if paths.is_empty() {
            let key = format!("{prefix}blocks.0.attn.qkv{A}");
            return Err(BackboneError::Missing { network: NETWORK, key, expected: vec![rank, 0] });
        }
        for path in paths {
            let key = format!("{path}.weight");
            let Some(base) = weights.tensors.get_mut(&key) else {
                return Err(BackboneError::Missing { network: NETWORK, key, expected: vec![0, 0] });
            };
            let &[output, input] = &base.shape[..] else {
                let (expected, found) = (vec![0, 0], base.shape.clone());
                return Err(BackboneError::Shape { network: NETWORK, key, expected, found });
            };
            let down = self.take(format!("{prefix}{path}{A}"), [rank, input])?;
            let up = self.take(format!("{prefix}{path}{B}"), [output, rank])?;
            add_product(base, &down, &up, self.config.alpha / rank as f32);
        }
        Ok(())
    }

    fn take(&mut self, key: String, expected: [usize; 2]) -> Result<Vec<f32>, BackboneError> {
        let (network, expected) = (NETWORK, expected.to_vec());
        match self.left.tensors.remove(&key) {
            None => Err(BackboneError::Missing { network, key, expected }),
            Some(Entry { shape, .. }) if shape != expected => {
                Err(BackboneError::Shape { network, key, expected, found: shape })
            }
            Some(Entry { values, .. }) => Ok(values),
        }
    }

    /// Checks that everything was merged.
    ///
    /// # Errors
    /// [`BackboneError::Unused`].
    pub(super) fn finish(self) -> Result<(), BackboneError> {
        let left = self.left.tensors;
        match left.keys().next() {
            None => Ok(()),
            Some(first) => {
                Err(BackboneError::Unused { network: NETWORK, count: left.len(), first: first.clone() })
            }
        }
    }
}

/// `base [O, I] += scale · up [O, rank] · down [rank, I]`.
fn add_product(base: &mut Entry, down: &[f32], up: &[f32], scale: f32) {
    let (output, input) = (base.shape[0], base.shape[1]);
    let rank = up.len() / output.max(1);
    base.values.par_chunks_mut(input.max(1)).zip(up.par_chunks(rank.max(1))).for_each(|(row, up)| {
        for (up, down) in up.iter().zip(down.chunks_exact(input)) {
            row.iter_mut().zip(down).for_each(|(sum, down)| *sum += scale * up * down);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AdapterConfig, String> {
        AdapterConfig::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn plain_adapters_are_read_and_others_refused_by_what_makes_them_so() {
        let plain = r#"{"peft_type": "LORA", "r": 16, "lora_alpha": 0.5, "bias": "none", "use_rslora": false,
            "rank_pattern": {}, "target_modules": ["qkv"]}"#;
        assert_eq!(parse(plain), Ok(AdapterConfig { rank: 16, alpha: 0.5 }));
        assert_eq!(parse(r#"{"r": 4, "lora_alpha": 8}"#), Ok(AdapterConfig { rank: 4, alpha: 8.0 }));
        for (text, part) in [
            (r#"{"r": 4, "lora_alpha": 8, "use_rslora": true}"#, "`use_rslora` true"),
            (r#"{"r": 4, "lora_alpha": 8, "bias": "all"}"#, "`bias` \"all\""),
            (r#"{"r": 4, "lora_alpha": 8, "alpha_pattern": {"qkv": 2}}"#, "`alpha_pattern` of 1"),
            (r#"{"r": 4}"#, "lacks `r`"),
            (r#"{"r": 1.5, "lora_alpha": 8}"#, "lacks `r`"),
            ("r: 4", "no JSON"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part) && error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn products_are_added_to_what_they_adapt() {
        let mut base = Entry { shape: vec![2, 3], values: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0] };
        add_product(&mut base, &[1.0, 2.0, 3.0, 0.0, 0.0, 4.0], &[1.0, 0.0, 1.0, -1.0], 0.5);
        assert_eq!(base.values, [1.5, 1.0, 1.5, 0.5, 2.0, -0.5]);
    }
}
