//! Weights by path: each layer takes its own, and what is left over at the end is an error.

use std::cell::RefCell;
use std::collections::BTreeMap;

use vidit_weights::{Entry, TensorStore};

use crate::BackboneError;

/// A checkpoint that layers take their tensors from.
pub struct Checkpoint {
    network: &'static str,
    left: RefCell<BTreeMap<String, Entry>>,
}

/// A place in a checkpoint: a prefix of keys, such as `blocks.0.attn`.
#[derive(Clone)]
pub struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
}

impl Checkpoint {
    /// The tensors of `store`; `network` is for messages.
    pub fn new(network: &'static str, store: TensorStore) -> Self {
        Self { network, left: RefCell::new(store.tensors) }
    }

    /// Drops a prefix of keys where they have it, such as the `module.` of networks that were trained on several devices.
    pub fn without_prefix(self, prefix: &str) -> Self {
        let strip = |key: String| key.strip_prefix(prefix).map_or_else(|| key.clone(), str::to_owned);
        let left = self.left.into_inner().into_iter().map(|(key, entry)| (strip(key), entry)).collect();
        Self { left: RefCell::new(left), ..self }
    }

    /// The place that all keys begin at.
    pub fn root(&self) -> Weights<'_> {
        Weights { checkpoint: self, prefix: String::new() }
    }

    /// Checks that every tensor was taken, but for those that `ignored` knows: buffers of the official code that hold no weights.
    ///
    /// # Errors
    /// [`BackboneError::Unused`].
    pub fn finish(self, ignored: impl Fn(&str) -> bool) -> Result<(), BackboneError> {
        let left = self.left.into_inner();
        let unused: Vec<&String> = left.keys().filter(|key| !ignored(key)).collect();
        match unused.first() {
            None => Ok(()),
            Some(first) => Err(BackboneError::Unused {
                network: self.network,
                count: unused.len(),
                first: (*first).clone(),
            }),
        }
    }
}

impl<'a> Weights<'a> {
    /// The place of one field, or of one of a list: keys below it begin with `name.`.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { checkpoint: self.checkpoint, prefix: self.path(&name.to_string()) }
    }

    fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    /// The network's name, for messages.
    pub fn network(&self) -> &'static str {
        self.checkpoint.network
    }

    /// The shape of a tensor, if it is there and was not taken.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.checkpoint.left.borrow().get(&self.path(name)).map(|entry| entry.shape.clone())
    }

    /// Outputs of the layer below `name`, as its bias says, or `published` where there is none.
    pub fn outputs(&self, name: &str, published: usize) -> usize {
        self.at(name).shape("bias").and_then(|shape| shape.first().copied()).unwrap_or(published)
    }

    /// How many of `name.0`, `name.1`, … have tensors below them.
    pub fn count(&self, name: &str) -> usize {
        let left = self.checkpoint.left.borrow();
        let has = |i: usize| {
            let prefix = format!("{}.", self.path(&format!("{name}.{i}")));
            left.range(prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(&prefix))
        };
        (0..).take_while(|i| has(*i)).count()
    }

    /// Takes a tensor of this shape.
    ///
    /// # Errors
    /// [`BackboneError::Missing`], [`BackboneError::Shape`].
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BackboneError> {
        let (network, key) = (self.checkpoint.network, self.path(name));
        match self.checkpoint.left.borrow_mut().remove(&key) {
            None => Err(BackboneError::Missing { network, key, expected: shape.to_vec() }),
            Some(entry) if entry.shape != shape => {
                Err(BackboneError::Shape { network, key, expected: shape.to_vec(), found: entry.shape })
            }
            Some(entry) => Ok(entry.values),
        }
    }

    /// Takes a tensor whatever its shape is, so long as it has `rank` axes; returns the shape, too.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_any(&self, name: &str, rank: usize) -> Result<(Vec<usize>, Vec<f32>), BackboneError> {
        let expected = vec![0; rank];
        match self.shape(name) {
            Some(shape) if shape.len() == rank => Ok((shape.clone(), self.take(name, &shape)?)),
            Some(found) => {
                let (network, key) = (self.checkpoint.network, self.path(name));
                Err(BackboneError::Shape { network, key, expected, found })
            }
            None => {
                let (network, key) = (self.checkpoint.network, self.path(name));
                Err(BackboneError::Missing { network, key, expected })
            }
        }
    }

    /// Takes away a tensor that the network does not use, if it is there.
    pub fn skip(&self, name: &str) {
        self.checkpoint.left.borrow_mut().remove(&self.path(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let mut store = TensorStore::default();
        for key in ["blocks.0.weight", "blocks.1.weight", "head.bias"] {
            store.insert(key, vec![2], vec![1.0, 2.0]);
        }
        Checkpoint::new("a network", store)
    }

    #[test]
    fn tensors_are_taken_by_path_and_what_is_left_is_named() {
        let checkpoint = checkpoint();
        let root = checkpoint.root();
        assert_eq!(root.count("blocks"), 2);
        assert_eq!(root.at("blocks").at(1).take("weight", &[2]), Ok(vec![1.0, 2.0]));
        assert_eq!(root.at("blocks.0").take_any("weight", 1), Ok((vec![2], vec![1.0, 2.0])));
        let unused = checkpoint.finish(|_| false);
        assert!(
            matches!(unused, Err(BackboneError::Unused { count: 1, ref first, .. }) if first == "head.bias")
        );
    }

    #[test]
    fn missing_and_misshapen_tensors_are_named() {
        let checkpoint = checkpoint();
        let head = checkpoint.root().at("head");
        let missing = head.take("weight", &[3]);
        assert!(matches!(missing, Err(BackboneError::Missing { ref key, .. }) if key == "head.weight"));
        let misshapen = head.take("bias", &[3]);
        assert!(matches!(misshapen, Err(BackboneError::Shape { ref found, .. }) if found == &[2]));
        assert_eq!(checkpoint.finish(|key| key.starts_with("blocks.")), Ok(()));
    }
}
