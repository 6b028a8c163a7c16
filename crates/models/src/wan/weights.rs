//! Original checkpoints → modules.
//!
//! The key is the field's path, with one difference: a field `name_2` is the checkpoint's `name.2`, because numbers name no
//! field and the checkpoint's sequences have gaps. The layout is ours, channels last: weights `[O, I, taps..]` become
//! `[taps.., I, O]`, norms `[C, 1, ..]` become `[1, .., C]`, everything else stays.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use vidit_weights::{TensorStore, WeightsError};

/// The module with its parameters replaced by a checkpoint's in the original layout, on the module's own device. Tensors
/// are taken out of the store one by one, so that the largest is the only one held twice.
///
/// # Errors
/// If the store lacks a parameter, holds a tensor that no parameter takes, or shapes differ; the message names the
/// checkpoint's key and its shapes as the checkpoint writes them.
pub fn load<M: Module>(module: M, store: TensorStore) -> Result<M, WeightsError> {
    let mut loader = Loader { path: Vec::new(), store, error: None };
    let module = module.map(&mut loader);
    if let Some(error) = loader.error {
        return Err(error);
    }
    match loader.store.tensors.into_keys().next() {
        Some(key) => Err(WeightsError::Unknown { key }),
        None => Ok(module),
    }
}

struct Loader {
    path: Vec<String>,
    store: TensorStore,
    error: Option<WeightsError>,
}

/// Enums hold one layer or another at one place; the checkpoint names the place alone.
fn is_named(container: &str) -> bool {
    !container.starts_with("Enum:")
}

/// `residual_2` → `residual.2`, `conv1` → itself.
fn segment(field: &str) -> String {
    match field.rsplit_once('_') {
        Some((name, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{name}.{number}")
        }
        _ => field.to_owned(),
    }
}

impl ModuleMapper for Loader {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let key = self.path.join(".");
        let ours = param.dims();
        let turned = D > 1 && (key.ends_with(".weight") || key.ends_with(".gamma"));
        let expected = if turned { original_shape(&ours) } else { ours.to_vec() };
        let error = match self.store.tensors.remove(&key) {
            None => WeightsError::Missing { key, expected },
            Some(entry) if entry.shape != expected => {
                WeightsError::Shape { key, expected, found: entry.shape }
            }
            Some(entry) => {
                let values = if turned { channels_last(&entry.values, &expected) } else { entry.values };
                return param.map(|old| {
                    let new = Tensor::from_data(TensorData::new(values, ours), &old.device());
                    if old.is_require_grad() { new.require_grad() } else { new }
                });
            }
        };
        self.error.get_or_insert(error);
        param
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        if is_named(container) {
            self.path.push(segment(name));
        }
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        if is_named(container) {
            self.path.pop();
        }
    }
}

/// `[taps.., I, O]` → `[O, I, taps..]`.
fn original_shape(ours: &[usize]) -> Vec<usize> {
    let (taps, channels) = ours.split_at(ours.len() - 2);
    channels.iter().rev().chain(taps).copied().collect()
}

/// Values of `[O, I, taps..]` in the order of `[taps.., I, O]`.
fn channels_last(values: &[f32], original: &[usize]) -> Vec<f32> {
    /// Outputs written side by side, one cache line of them.
    const BLOCK: usize = 16;
    let (outputs, inputs) = (original[0], original[1]);
    let taps: usize = original[2..].iter().product();
    let mut turned = vec![0.0; values.len()];
    for start in (0..outputs).step_by(BLOCK) {
        let end = outputs.min(start + BLOCK);
        for i in 0..inputs {
            for t in 0..taps {
                let to = &mut turned[(t * inputs + i) * outputs..][start..end];
                for (o, to) in (start..end).zip(to) {
                    *to = values[(o * inputs + i) * taps + t];
                }
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_turn_channels_last() {
        let (o, i, taps) = (19, 3, [2, 2]);
        let original = [o, i, taps[0], taps[1]];
        let values: Vec<f32> = (0..o * i * 4).map(|v| v as f32).collect();
        let turned = channels_last(&values, &original);
        assert_eq!(original_shape(&[2, 2, i, o]), original);
        for (to, value) in turned.iter().enumerate() {
            let (tap, input, output) = (to / o / i, to / o % i, to % o);
            assert_eq!(*value, values[(output * i + input) * 4 + tap]);
        }
    }

    #[test]
    fn fields_name_places_in_sequences() {
        assert_eq!(segment("residual_2"), "residual.2");
        assert_eq!(segment("time_projection_1"), "time_projection.1");
        for field in ["norm_q", "conv1", "to_qkv", "7", "self_attn"] {
            assert_eq!(segment(field), field);
        }
    }
}
