//! Between a module's parameters and named tensors: the path of the field is the key.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::{Entry, TensorStore, WeightsError};

/// All float parameters of a module, by path, under `prefix`.
pub fn collect<M: Module>(module: &M, prefix: &str) -> TensorStore {
    struct Collector {
        path: Vec<String>,
        store: TensorStore,
    }
    impl ModuleVisitor for Collector {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let data = param.val().into_data();
            let shape = param.dims().to_vec();
            let values = data.iter::<f32>().collect();
            self.store.insert(self.path.join("."), shape, values);
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }
    let mut collector = Collector { path: Vec::new(), store: TensorStore::default() };
    module.visit(&mut collector);
    let tensors =
        collector.store.tensors.into_iter().map(|(key, entry)| (format!("{prefix}{key}"), entry)).collect();
    TensorStore { tensors, metadata: Default::default() }
}

/// Number of float values in all parameters.
pub fn parameter_count<M: Module>(module: &M) -> usize {
    collect(module, "").tensors.values().map(|entry| entry.values.len()).sum()
}

/// The module with its parameters replaced by the tensors of the same paths, on the module's own device.
///
/// # Errors
/// If the store lacks a parameter, holds a tensor that no parameter takes, or shapes differ.
pub fn load_into<M: Module>(module: M, store: &TensorStore) -> Result<M, WeightsError> {
    struct Loader<'a> {
        path: Vec<String>,
        store: &'a TensorStore,
        taken: usize,
        error: Option<WeightsError>,
    }
    impl ModuleMapper for Loader<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let key = self.path.join(".");
            let expected = param.dims();
            match self.store.tensors.get(&key) {
                None => {
                    self.error.get_or_insert(WeightsError::Missing { key, expected: expected.to_vec() });
                    param
                }
                Some(Entry { shape, .. }) if shape[..] != expected => {
                    let found = shape.clone();
                    self.error.get_or_insert(WeightsError::Shape { key, expected: expected.to_vec(), found });
                    param
                }
                Some(Entry { values, .. }) => {
                    self.taken += 1;
                    param.map(|old| {
                        let new = Tensor::from_data(TensorData::new(values.clone(), expected), &old.device());
                        if old.is_require_grad() { new.require_grad() } else { new }
                    })
                }
            }
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }
    let mut loader = Loader { path: Vec::new(), store, taken: 0, error: None };
    let module = module.map(&mut loader);
    let (taken, error) = (loader.taken, loader.error);
    if let Some(error) = error {
        return Err(error);
    }
    if taken < store.tensors.len() {
        let known = collect(&module, "");
        let key =
            store.tensors.keys().find(|key| !known.tensors.contains_key(*key)).cloned().unwrap_or_default();
        return Err(WeightsError::Unknown { key });
    }
    Ok(module)
}
