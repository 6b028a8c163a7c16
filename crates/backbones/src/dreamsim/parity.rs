//! Against the official code at a tiny size; `golden/export.py` writes it.

use vidit_weights::TensorStore;

use super::{Adapter, AdapterConfig, Config, DreamSim, Part};
use crate::golden::Golden;
use crate::{BackboneError, Grid};

const TINY: Config = Config { head_width: 6 };
/// Sums of f32 in another order, over twelve blocks, and weights that the adapter is merged into and not added beside.
const TOLERANCE: f32 = 1e-5;

fn golden() -> Golden {
    Golden::new(include_bytes!("golden/tiny.safetensors"))
}

fn config(golden: &Golden) -> AdapterConfig {
    AdapterConfig::parse(golden.text("adapter_config").as_bytes()).unwrap()
}

/// The ensemble, after a change of the adapter.
fn load(golden: &Golden, change: impl FnOnce(&mut TensorStore)) -> Result<DreamSim, BackboneError> {
    let weights = golden.weights();
    let mut adapter = weights.under("adapter.");
    change(&mut adapter);
    let part = |part: Part| Ok(weights.under(&format!("{}.", part.name())));
    DreamSim::load(part, Adapter::new(adapter, config(golden)), TINY)
}

#[test]
fn embeddings_are_the_official_ones() {
    let golden = golden();
    let network = load(&golden, |_| {}).unwrap();
    assert_eq!(network.side(), 16);
    let shape: [usize; 4] = golden.shape("input.images").try_into().unwrap();
    let images = Grid::from_channels_first(golden.values("input.images"), shape);
    let mut names = Vec::new();
    network.watched(&images, &mut |name, found| {
        golden.check([(name, found)], TOLERANCE);
        names.push(name.to_owned());
    });
    assert_eq!(names.len(), (3 + 12) + 2 * (3 + 2) + 1, "{names:?}");
}

#[test]
fn an_adapter_that_does_not_fit_is_refused_by_the_tensor() {
    let golden = golden();
    let key =
        |of: &str| format!("base_model.model.extractor_list.1.model.blocks.0.attn.qkv.lora_{of}.weight");
    let missing = load(&golden, |adapter| drop(adapter.tensors.remove(&key("B"))));
    assert!(matches!(missing, Err(BackboneError::Missing { key: found, .. }) if found == key("B")));
    let alone = load(&golden, |adapter| drop(adapter.tensors.remove(&key("A"))));
    assert!(matches!(alone, Err(BackboneError::Unused { first, .. }) if first == key("B")));
    let misshapen = load(&golden, |adapter| adapter.insert(key("A"), vec![2, 18], vec![0.0; 36]));
    assert!(matches!(misshapen, Err(BackboneError::Shape { key: found, .. }) if found == key("A")));
    let none = load(&golden, |adapter| adapter.tensors.clear());
    assert!(matches!(none, Err(BackboneError::Missing { key, .. }) if key.contains("extractor_list.0.")));
    let nowhere = key("A").replace("blocks.0", "blocks.7");
    let other = load(&golden, |adapter| adapter.insert(nowhere, vec![3, 18], vec![0.0; 54]));
    assert!(matches!(other, Err(BackboneError::Missing { key, .. }) if key == "blocks.7.attn.qkv.weight"));
}

#[test]
fn networks_in_the_place_of_another_are_refused() {
    let golden = golden();
    let weights = golden.weights();
    let all_of = |name: &'static str| {
        let adapter = Adapter::new(weights.under("adapter."), config(&golden));
        let part = |_| Ok::<_, BackboneError>(weights.under(name));
        DreamSim::load(part, adapter, TINY).err().unwrap().to_string()
    };
    let clip = all_of("clip.");
    assert!(clip.contains("`base_model") || clip.contains("no use"), "{clip}");
    let dino = all_of("dino.");
    assert!(dino.contains("lora_A.weight` has shape [3, 18], expected [3, 12]"), "{dino}");
}
