use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use super::*;

const FILES: [&str; 10] = [
    "plain.pth",
    "legacy.pth",
    "nested.pth",
    "model.pth",
    "strided.pth",
    "strided_legacy.pth",
    "types.pth",
    "script.pt",
    "evil.pth",
    "evil_legacy.pth",
];

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/torch/golden").join(name)
}

fn open(name: &str) -> TorchCheckpoint {
    TorchCheckpoint::open(&golden(name)).unwrap()
}

/// What torch itself holds.
fn expected(name: &str) -> TensorStore {
    let mut store = TensorStore::read(&golden("expected.safetensors")).unwrap().under(&format!("{name}:"));
    store.metadata.clear();
    store
}

#[test]
fn every_form_holds_what_torch_saved() {
    for name in &FILES[..8] {
        let mut checkpoint = open(name);
        let mut found = checkpoint.store().unwrap();
        // Asked for below.
        found.tensors.remove("mask");
        assert_eq!(found, expected(name), "{name}");
    }
}

#[test]
fn the_dictionary_of_weights_is_found() {
    assert_eq!(open("nested.pth").root(), Some("state_dict"));
    assert_eq!(open("model.pth").root(), Some("model"));
    assert_eq!(open("plain.pth").root(), None);
}

#[test]
fn integers_are_left_out_and_named() {
    let keys = |name| open(name).skipped().iter().map(|s| s.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys("plain.pth"), ["norm.num_batches_tracked"]);
    assert_eq!(keys("types.pth"), ["byte", "flag", "int"]);
    assert_eq!(keys("script.pt"), ["blocks.0.resolution", "blocks.1.resolution"]);
    assert_eq!(open("plain.pth").skipped()[0].reason, "its values are I64");
}

#[test]
fn calls_beyond_tensors_are_refused_by_name() {
    for name in ["evil.pth", "evil_legacy.pth"] {
        let error = TorchCheckpoint::open(&golden(name)).err().unwrap();
        assert!(
            matches!(&error, WeightsError::Refused { global, .. } if global == "posix.system"),
            "{error}"
        );
        assert!(error.to_string().contains("hint:"), "{error}");
    }
    for name in ["builtins eval", "torch load", "torch._utils _rebuild", "torch.hub load", "__main__ M"] {
        let (module, name) = name.split_once(' ').unwrap();
        let pickle = format!("\u{2}c{module}\n{name}\n.");
        let bytes = [&[0x80][..], pickle.as_bytes()].concat();
        let error = pickle::unpickle(&bytes, &mut pickle::Arena::default()).unwrap_err();
        assert!(matches!(error, pickle::PickleError::Refused(_)), "{error:?}");
    }
}

#[test]
fn conversion_keeps_halves_and_leaves_infinities_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    let note = BTreeMap::from([("source".to_owned(), "types.pth".to_owned())]);
    for name in ["types.pth", "strided.pth", "script.pt", "legacy.pth"] {
        let converted = open(name).convert(&path, &note).unwrap();
        let store = TensorStore::read(&path).unwrap();
        assert_eq!(store.tensors, expected(name).tensors, "{name}");
        assert_eq!(store.metadata, note);
        assert_eq!(converted.tensors, store.tensors.len());
        assert_eq!(converted.bytes, fs::metadata(&path).unwrap().len());
        let values: usize = store.tensors.values().map(|entry| entry.values.len()).sum();
        assert_eq!(converted.values, values as u64);
    }
    let mut types = open("types.pth");
    assert_eq!(
        ["half", "bfloat", "double"].map(|key| types.stored(key)),
        [StoredType::F16, StoredType::Bf16, StoredType::F32].map(Some)
    );
    let converted = types.convert(&path, &note).unwrap();
    assert!(converted.skipped.iter().any(|s| s.key == "mask" && s.reason.contains("infinities")));
    let bytes = fs::read(&path).unwrap();
    let header = String::from_utf8_lossy(&bytes[8..]).into_owned();
    assert!(["\"F16\"", "\"BF16\"", "\"F32\""].iter().all(|kind| header.contains(kind)), "{header}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_value_that_is_no_number_is_named() {
    let mut bytes = fs::read(golden("legacy.pth")).unwrap();
    // The storages lie at the end, that of the counter among them; each float becomes a NaN.
    let from = bytes.len() - 40;
    bytes[from..].iter_mut().for_each(|byte| *byte = 0xff);
    let outcome = TorchCheckpoint::read_from("nan", Cursor::new(bytes)).and_then(|mut c| c.store());
    let error = outcome.unwrap_err();
    let named = match &error {
        WeightsError::InFile { name, source } => {
            name == "nan" && matches!(**source, WeightsError::NotFinite { .. })
        }
        WeightsError::Checkpoint { name, .. } => name == "nan",
        _ => false,
    };
    assert!(named, "{error:?}");
}

/// Everything that a caller may do with a file.
fn use_all(bytes: Vec<u8>) -> Result<(), WeightsError> {
    let mut checkpoint = TorchCheckpoint::read_from("damaged", Cursor::new(bytes))?;
    checkpoint.store().map(|_| ())
}

#[test]
fn cut_files_are_errors() {
    for name in FILES {
        let bytes = fs::read(golden(name)).unwrap();
        for length in 0..bytes.len() {
            assert!(use_all(bytes[..length].to_vec()).is_err(), "{name}: {length} bytes were accepted");
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for name in FILES {
        let bytes = fs::read(golden(name)).unwrap();
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let _ = use_all(damaged);
            }
        }
    }
}

#[test]
fn lies_about_size_take_no_memory() {
    let place = |shape: Vec<usize>, strides: Vec<u64>, offset| TensorPlace {
        storage: "0".to_owned(),
        element: ElementType::F32,
        count: 4,
        offset,
        shape,
        strides,
    };
    const BYTES: u64 = 16;
    assert!(place(vec![2, 2], vec![2, 1], 0).check(BYTES).is_ok());
    assert!(place(vec![0, 9], vec![9, 1], 0).check(BYTES).is_ok());
    assert!(place(vec![1000], vec![0], 3).check(BYTES).is_ok());
    for wrong in [
        place(vec![1 << 40], vec![0], 0),
        place(vec![usize::MAX, 2], vec![1, 1], 0),
        place(vec![5], vec![1], 0),
        place(vec![4], vec![1], 1),
        place(vec![2], vec![u64::MAX], 1),
        place(vec![2, 3], vec![2, 1], 0),
    ] {
        assert!(wrong.check(BYTES).is_err(), "{wrong:?}");
    }
    assert!(place(vec![1], vec![1], 0).check(BYTES - 1).is_err());
}

#[test]
fn a_pickle_that_refers_to_itself_ends() {
    // A list within itself, twice: without limits, a walk would double at every step.
    let bytes = b"\x80\x02]q\x00h\x00ah\x00a.";
    let mut arena = pickle::Arena::default();
    let (root, used) = pickle::unpickle(bytes, &mut arena).unwrap();
    assert_eq!(used, bytes.len());
    assert!(tree::collect(&arena, root).is_err());
    // Nesting is as deep as the file is long, and no recursion.
    let deep = [&b"\x80\x02"[..], &vec![b']'; 1 << 18], &vec![b'a'; (1 << 18) - 1], b"."].concat();
    let mut arena = pickle::Arena::default();
    let (root, _) = pickle::unpickle(&deep, &mut arena).unwrap();
    assert!(tree::collect(&arena, root).is_err());
}
