//! The weights that VBench measures with. What needs a network is tested beside the code, against a server of its own.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use vidit_weights::TensorStore;

use crate::binary::Place;

fn checkpoint(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../weights/src/torch/golden").join(name)
}

#[test]
fn the_list_tells_licences_and_what_is_there() {
    let place = Place::new();
    fs::create_dir(place.file("weights")).unwrap();
    fs::write(place.file("weights/ViT-B-32.pt"), "not it").unwrap();
    fs::write(place.file("weights/amt-s.pth.part"), vec![0; 6_000_000]).unwrap();
    let text = place.vidit(["eval", "weights", "list"]).done();
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("clip_b32").contains(" yes "), "{text}");
    assert!(row("amt_s").contains("50 %") && row("amt_s").contains("not for commerce"), "{text}");
    assert!(row("tag2text").contains("–") && row("tag2text").contains("4272"), "{text}");
    let lines = place.vidit(["eval", "weights", "list", "--json"]).done();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 19);
    assert!(lines.iter().all(|line| line["url"].as_str().unwrap().starts_with("https://")));
    assert_eq!(lines.iter().filter(|line| line["non_commercial"] == true).count(), 2);
}

#[test]
fn weights_that_forbid_commerce_are_fetched_only_with_a_word() {
    let place = Place::new();
    let run = place.vidit(["eval", "weights", "fetch", "amt_s"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("hint: ") && run.stderr.contains("CC-BY-NC-SA-4.0"), "{}", run.stderr);
    assert!(place.names().is_empty());
    assert_eq!(place.vidit(["eval", "weights", "fetch", "bert"]).code, Some(2));
}

#[test]
fn another_file_is_not_verified() {
    let place = Place::new();
    assert_eq!(place.vidit(["eval", "weights", "verify"]).code, Some(1));
    fs::create_dir(place.file("weights")).unwrap();
    let head = "weights/sa_0_4_vit_l_14_linear.pth";
    fs::write(place.file(head), [7; 3900]).unwrap();
    let text = place.vidit(["eval", "weights", "verify"]).done();
    assert!(text.contains("nothing to compare it with was published"), "{text}");
    // Of its hash nothing is known, but these bytes are not it.
    for bytes in [&b""[..], b"404", &[7; 16_001]] {
        fs::write(place.file(head), bytes).unwrap();
        for more in [&[][..], &["--json"]] {
            let run = place.vidit([&["eval", "weights", "verify"], more].concat());
            let expected = format!(
                "error: `aesthetic` is not the published file: it has `{}` bytes, expected about `4000`\n\
                 hint: remove it and fetch it again into `weights`\n",
                bytes.len()
            );
            assert_eq!((run.code, run.stderr), (Some(1), expected));
        }
    }
    fs::remove_file(place.file(head)).unwrap();
    fs::write(place.file("weights/ViT-B-32.pt"), "not it").unwrap();
    let run = place.vidit(["eval", "weights", "verify", "--json"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("`clip_b32` is not the published file"), "{}", run.stderr);
    assert!(run.stdout.contains("\"verdict\":\"other\""), "{}", run.stdout);
    assert_eq!(place.vidit(["eval", "weights", "verify", "raft"]).code, Some(1));
}

#[test]
fn checkpoints_become_safetensors() {
    let place = Place::new();
    let (nested, evil) = (checkpoint("nested.pth"), checkpoint("evil.pth"));
    let convert = |from: &PathBuf| {
        place.vidit([
            "eval".as_ref(),
            "weights".as_ref(),
            "convert".as_ref(),
            from.as_os_str(),
            "-o".as_ref(),
            "out.safetensors".as_ref(),
        ])
    };
    let text = convert(&nested).done();
    assert!(text.contains("4 tensors of its `state_dict`"), "{text}");
    let store = TensorStore::read(&place.file("out.safetensors")).unwrap();
    assert_eq!(store.tensors.keys().collect::<Vec<_>>(), ["a", "b.c", "list.0", "list.1"]);
    assert_eq!(
        (store.text("source_file").unwrap(), store.text("source_sha256").unwrap().len()),
        ("nested.pth", 64)
    );
    assert_eq!(convert(&nested).code, Some(2));
    fs::remove_file(place.file("out.safetensors")).unwrap();
    let run = convert(&evil);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("`posix.system`"), "{}", run.stderr);
    assert!(place.names().is_empty());
}
