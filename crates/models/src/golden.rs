//! Reading the files of a family's `golden/`, for its parity tests.

use burn::tensor::{Device, Tensor, TensorData};
use serde::de::DeserializeOwned;
use vidit_testkit::{difference, first_divergence};
use vidit_weights::{Entry, TensorStore};

/// A file of `golden/`: `weights.*` as in a checkpoint, `given.*` inputs, `expected.*` activations, settings as metadata.
pub struct Golden(pub TensorStore);

impl Golden {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        Self(TensorStore::from_bytes(name, bytes).expect("the golden is sound"))
    }

    pub fn config<T: DeserializeOwned>(&self, key: &str) -> T {
        serde_json::from_str(self.0.text(key).expect("present")).expect("written by export.py")
    }

    /// Weights whose keys begin with any of `parts`; `""` begins all.
    pub fn weights(&self, parts: &[&str]) -> TensorStore {
        let mut store = TensorStore { metadata: Default::default(), ..self.0.under("weights.") };
        store.tensors.retain(|key, _| parts.iter().any(|part| key.starts_with(part)));
        store
    }

    pub fn entry(&self, key: &str) -> &Entry {
        self.0.tensors.get(key).unwrap_or_else(|| panic!("the golden holds no `{key}`"))
    }

    pub fn given<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let entry = self.entry(&format!("given.{name}"));
        Tensor::from_data(TensorData::new(entry.values.clone(), entry.shape.clone()), device)
    }

    /// Compares with `expected.*` in the order of computation. Prints what the tests' tolerances record.
    pub fn compare(&self, found: &[(String, Vec<f32>)], tolerance: f32) -> Result<(), String> {
        let expected = |name: &str| self.entry(&format!("expected.{name}")).values.as_slice();
        for (name, found) in found {
            if let Ok(difference) = difference(name, found, expected(name)) {
                println!("{name}: {:.1e}", difference.largest);
            }
        }
        first_divergence(
            found.iter().map(|(name, found)| (name.as_str(), &found[..], expected(name))),
            tolerance,
        )
    }
}

/// Operands of products are rounded to nothing less than f32, whatever the processor prefers.
pub fn exact(device: Device) -> Device {
    vidit_ops::set_precision(vidit_ops::Precision::F32);
    device
}

pub fn values<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.clone().into_data().iter::<f32>().collect()
}

pub fn named<const D: usize>(name: &str, x: &Tensor<D>) -> (String, Vec<f32>) {
    (name.to_owned(), values(x))
}
