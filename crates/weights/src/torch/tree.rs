//! From what a pickle built to tensors by path.

use super::pickle::{Arena, Id, Node, TensorPlace};

/// Deepest nesting of dictionaries and modules.
const DEPTH_MAX: usize = 64;

/// Entries that are visited; a reference may show one dictionary in many places.
const VISITS_MAX: usize = 1 << 20;

/// Longest path of a tensor, in bytes.
const PATH_BYTES_MAX: usize = 4096;

/// Dictionaries that hold the weights of a checkpoint which holds more than weights, best first.
const ROOTS: [&str; 5] = ["state_dict", "model", "model_state_dict", "params_ema", "params"];

pub(super) struct Found {
    pub(super) tensors: Vec<(String, TensorPlace)>,
    pub(super) root: Option<String>,
}

pub(super) fn collect(arena: &Arena, root: Id) -> Result<Found, String> {
    let (start, name) = match chosen(arena, root) {
        Some((start, name)) => (start, Some(name.to_owned())),
        None => (root, None),
    };
    let mut tensors = Vec::new();
    let mut visits = 0;
    // Depth first, with a stack of our own.
    let mut waiting = vec![(start, String::new(), 0)];
    while let Some((id, path, depth)) = waiting.pop() {
        visits += 1;
        if path.len() > PATH_BYTES_MAX {
            return Err(format!("it has a path of more than `{PATH_BYTES_MAX}` bytes"));
        }
        if depth > DEPTH_MAX || visits > VISITS_MAX {
            return Err(format!(
                "it is nested more than `{DEPTH_MAX}` deep, or has over `{VISITS_MAX}` entries"
            ));
        }
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match arena.node(id) {
            Node::Tensor(place) if path.is_empty() => tensors.push(("tensor".to_owned(), place.clone())),
            Node::Tensor(place) => tensors.push((path, place.clone())),
            Node::Dict(entries) | Node::Object(entries) => {
                for &(key, value) in entries {
                    let key = match arena.node(key) {
                        Node::Text(text) => below(text),
                        Node::Int(number) => below(&number.to_string()),
                        _ => continue,
                    };
                    waiting.push((value, key, depth + 1));
                }
            }
            Node::List(items) | Node::Tuple(items) => {
                for (index, &item) in items.iter().enumerate() {
                    waiting.push((item, below(&index.to_string()), depth + 1));
                }
            }
            _ => {}
        }
    }
    if tensors.is_empty() {
        return Err("it holds no tensors".to_owned());
    }
    // A dictionary that says a key twice keeps the later one, as in Python; the stack reversed them.
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors.dedup_by(|later, first| later.0 == first.0);
    Ok(Found { tensors, root: name })
}

/// The dictionary of weights within one that holds no tensors itself.
fn chosen(arena: &Arena, root: Id) -> Option<(Id, &str)> {
    let entries = arena.dict(root)?;
    if entries.iter().any(|&(_, value)| matches!(arena.node(value), Node::Tensor(_))) {
        return None;
    }
    ROOTS.iter().find_map(|name| {
        let found = entries.iter().rev().find(|&&(key, _)| arena.text(key) == Some(name))?;
        matches!(arena.node(found.1), Node::Dict(_) | Node::Object(_)).then_some((found.1, *name))
    })
}
