//! Master weights, moments and averages in f32, beside the module that computes with a copy of the weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use rayon::prelude::*;
use vidit_kernels::optimizer::{AdamW, Muon, adamw, ema, muon, sum_of_squares};
use vidit_weights::{TensorStore, WeightsError, collect};

use crate::config::{OptimizerConfig, Rule};

/// One parameter's state. All vectors have the parameter's length.
struct Slot {
    key: String,
    /// Whether it stays as it is.
    kept: bool,
    shape: Vec<usize>,
    weights: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    average: Vec<f32>,
    gradient: Vec<f32>,
}

impl Slot {
    /// A matrix between hidden layers: inside of a stack of blocks, not an embedding and not an end.
    fn is_inner_matrix(&self) -> bool {
        self.shape.len() == 2 && self.key.split('.').any(|part| part.parse::<usize>().is_ok())
    }
}

/// Decay of the momentum of [`Rule::Muon`].
const MUON_MOMENTUM: f32 = 0.95;

/// The optimiser's whole state.
pub struct Optimizer {
    /// In the order of visit.
    slots: Vec<Slot>,
    /// Steps done.
    pub step: u64,
}

impl Optimizer {
    /// Fresh state for the module's present weights; those that `keeps` names stay as they are.
    pub fn new<M: Module>(module: &M, keeps: impl Fn(&str) -> bool) -> Self {
        let mut keys = Keys::default();
        module.visit(&mut keys);
        let store = collect(module, "");
        let slots = keys
            .found
            .into_iter()
            .map(|key| {
                let entry = &store.tensors[&key];
                let zeros = vec![0.0; entry.values.len()];
                Slot {
                    kept: keeps(&key),
                    key,
                    shape: entry.shape.clone(),
                    weights: entry.values.clone(),
                    first: zeros.clone(),
                    second: zeros.clone(),
                    average: entry.values.clone(),
                    gradient: zeros,
                }
            })
            .collect();
        Self { slots, step: 0 }
    }

    /// Adds a batch's gradients.
    pub fn accumulate<M: Module>(&mut self, module: &M, gradients: &Gradients) {
        struct Adder<'a> {
            slots: std::slice::IterMut<'a, Slot>,
            gradients: &'a Gradients,
        }
        impl ModuleVisitor for Adder<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let slot = self.slots.next().expect("the module's parameters do not change");
                // A parameter that the batch did not use has no gradient.
                if let Some(gradient) = param.val().grad(self.gradients).filter(|_| !slot.kept) {
                    for (sum, value) in slot.gradient.iter_mut().zip(gradient.into_data().iter::<f32>()) {
                        *sum += value;
                    }
                }
            }
        }
        module.visit(&mut Adder { slots: self.slots.iter_mut(), gradients });
    }

    /// One AdamW step with the mean of `batches` accumulated gradients; returns their norm before clipping.
    pub fn update(
        &mut self,
        config: &OptimizerConfig,
        learning_rate: f32,
        ema_decay: f32,
        batches: usize,
    ) -> f32 {
        let scale = 1.0 / batches as f32;
        let squares: f64 = self.slots.iter().map(|slot| sum_of_squares(&slot.gradient)).sum();
        let norm = squares.sqrt() as f32 * scale;
        let clip = if norm > config.clip_norm { config.clip_norm / norm } else { 1.0 };
        self.step += 1;
        let muon_step = Muon {
            learning_rate,
            momentum: MUON_MOMENTUM,
            weight_decay: config.weight_decay,
            gradient_scale: scale * clip,
        };
        self.slots
            .par_iter_mut()
            .filter(|slot| config.rule == Rule::Muon && slot.is_inner_matrix() && !slot.kept)
            .for_each(|slot| {
                let shape = [slot.shape[0], slot.shape[1]];
                muon(&muon_step, shape, &mut slot.weights, &slot.gradient, &mut slot.first);
            });
        for slot in self.slots.iter_mut().filter(|slot| !slot.kept) {
            if config.rule == Rule::Muon && slot.is_inner_matrix() {
                ema(&mut slot.average, &slot.weights, ema_decay);
                slot.gradient.fill(0.0);
                continue;
            }
            // Matrices decay; biases, norms and tables of one dimension do not.
            let weight_decay = if slot.shape.len() > 1 { config.weight_decay } else { 0.0 };
            let step = AdamW {
                learning_rate,
                beta1: config.beta1,
                beta2: config.beta2,
                epsilon: 1e-8,
                weight_decay,
                step: self.step,
                gradient_scale: scale * clip,
            };
            adamw(&step, &mut slot.weights, &slot.gradient, &mut slot.first, &mut slot.second);
            ema(&mut slot.average, &slot.weights, ema_decay);
            slot.gradient.fill(0.0);
        }
        norm
    }

    /// The module with the master weights.
    pub fn apply<M: Module>(&self, module: M) -> M {
        self.replace(module, |slot| &slot.weights)
    }

    /// The module with the averaged weights.
    pub fn apply_average<M: Module>(&self, module: M) -> M {
        self.replace(module, |slot| &slot.average)
    }

    fn replace<M: Module>(&self, module: M, pick: fn(&Slot) -> &Vec<f32>) -> M {
        struct Replacer<'a> {
            slots: std::slice::Iter<'a, Slot>,
            pick: fn(&Slot) -> &Vec<f32>,
        }
        impl ModuleMapper for Replacer<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let slot = self.slots.next().expect("the module's parameters do not change");
                param.map(|old| {
                    let data = TensorData::new((self.pick)(slot).clone(), old.dims());
                    let new = Tensor::from_data(data, &old.device());
                    if old.is_require_grad() { new.require_grad() } else { new }
                })
            }
        }
        module.map(&mut Replacer { slots: self.slots.iter(), pick })
    }

    /// Averaged weights by key.
    pub fn averages(&self) -> TensorStore {
        let mut store = TensorStore::default();
        for slot in &self.slots {
            store.insert(slot.key.clone(), slot.shape.clone(), slot.average.clone());
        }
        store
    }

    /// Everything, for a checkpoint.
    pub fn state(&self) -> TensorStore {
        let mut store = TensorStore::default();
        for slot in &self.slots {
            for (part, values) in [
                ("weights", &slot.weights),
                ("first", &slot.first),
                ("second", &slot.second),
                ("average", &slot.average),
            ] {
                store.insert(format!("{part}.{}", slot.key), slot.shape.clone(), values.clone());
            }
        }
        store.metadata.insert("step".into(), self.step.to_string());
        store
    }

    /// Takes the state of a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape, or the step is not a number.
    pub fn restore(&mut self, store: &TensorStore) -> Result<(), WeightsError> {
        for slot in &mut self.slots {
            for (part, values) in [
                ("weights", &mut slot.weights),
                ("first", &mut slot.first),
                ("second", &mut slot.second),
                ("average", &mut slot.average),
            ] {
                let key = format!("{part}.{}", slot.key);
                let expected = slot.shape.clone();
                let entry = store
                    .tensors
                    .get(&key)
                    .ok_or(WeightsError::Missing { key: key.clone(), expected: expected.clone() })?;
                if entry.shape != expected {
                    return Err(WeightsError::Shape { key, expected, found: entry.shape.clone() });
                }
                values.clone_from(&entry.values);
            }
        }
        self.step = store
            .text("step")?
            .parse()
            .map_err(|_| WeightsError::Metadata { key: "step".into(), reason: "is not a number".into() })?;
        Ok(())
    }
}

/// Paths of float parameters in the order of visit.
#[derive(Default)]
struct Keys {
    path: Vec<String>,
    found: Vec<String>,
}

impl ModuleVisitor for Keys {
    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        self.found.push(self.path.join("."));
    }
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}
