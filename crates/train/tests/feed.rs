//! Batches for a learner elsewhere.

mod tiny;

use std::io::{Error, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tiny::{Folder, boxes_config, denoiser_config, model, train, vae_config, write};
use vidit_train::{TrainError, feed_file};
use vidit_weights::{Entry, TensorStore};

fn feed(config: &Path, encode_first: bool, out: &mut dyn Write) -> Result<u64, TrainError> {
    feed_file(config, encode_first, &AtomicBool::new(false), out, &mut |_, _| {})
}

/// The batches of a stream, and that nothing is left of it.
fn read(mut bytes: &[u8]) -> Vec<TensorStore> {
    let mut batches = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let (batch, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
        batches.push(TensorStore::from_bytes("a batch", batch).unwrap());
        bytes = rest;
    }
    assert!(bytes.is_empty());
    batches
}

fn given_config(folder: &Path, steps: u64) -> std::path::PathBuf {
    train(&vae_config(folder, "vae", 1, 6), false, |_| {}).unwrap();
    let config = std::fs::read_to_string(denoiser_config(folder, "denoiser", steps)).unwrap();
    write(folder, "given.toml", &config.replacen("batch = 2", "batch = 2\nfirst_given = 0.5", 1))
}

#[test]
fn every_batch_of_a_run_is_written_in_its_order() {
    let folder = Folder::new("feed");
    let config = given_config(&folder.0, 35);
    let [mut first, mut again] = [Vec::new(), Vec::new()];
    assert_eq!(feed(&config, false, &mut first).unwrap(), 35);
    feed(&config, true, &mut again).unwrap();
    assert!(first == again, "batches depend on what was encoded before");

    let (mut clips, mut given) = (0, 0);
    for batch in read(&first) {
        let Entry { shape, values } = &batch.tensors["clean"];
        let (b, f) = (shape[0], shape[1]);
        assert!([(4, 1), (2, 2)].contains(&(b, f)), "{shape:?}");
        assert_eq!(shape[2..], [4, 4, 4]);
        assert!(values.iter().any(|value| *value != values[0]));
        let [levels, learned] = ["levels", "learned"].map(|key| &batch.tensors[key]);
        assert_eq!([&levels.shape, &learned.shape], [&[b, f]; 2]);
        for (level, learned) in levels.values.iter().zip(&learned.values) {
            assert!(if *learned == 1.0 { *level > 0.0 && *level < 1.0 } else { *level == 0.0 });
        }
        clips += usize::from(f == 2);
        given += usize::from(learned.values.contains(&0.0));
        let Entry { shape, values } = &batch.tensors["prompts"];
        assert_eq!(shape[0], b);
        for prompt in values.chunks_exact(shape[1]) {
            let end = prompt.iter().position(|token| *token < 0.0).unwrap_or(prompt.len());
            assert!(end > 0, "an empty prompt is one token");
            assert!(prompt[end..].iter().all(|token| *token == -1.0), "{prompt:?}");
        }
    }
    assert!(clips > 8 && given > 4 && given < clips, "{given} of {clips}");
}

#[test]
fn boxes_come_with_what_their_objects_are_called() {
    let folder = Folder::new("feed-boxes");
    let path = &folder.0;
    let base = model(path, 1);
    let mut out = Vec::new();
    feed(&boxes_config(path, "boxes", &base, true, 12), false, &mut out).unwrap();
    let mut called = 0;
    for batch in read(&out) {
        let [b, f] = batch.tensors["levels"].shape[..] else { panic!("levels are [B, F]") };
        assert_eq!(batch.tensors["features"].shape, [b, f, 8, 208]);
        let present = &batch.tensors["present"];
        assert_eq!(present.shape, [b, f, 8, 1]);
        assert!(present.values.iter().all(|value| [0.0, 1.0].contains(value)));
        let phrases = &batch.tensors["phrases"];
        assert_eq!(phrases.shape[..2], [b, 8]);
        called += phrases.values.chunks_exact(phrases.shape[2]).filter(|phrase| phrase[0] >= 0.0).count();
    }
    assert!(called > 12, "{called}");
}

/// Takes so many bytes, then fails.
struct Full(usize, ErrorKind);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0 {
            0 => Err(Error::from(self.1)),
            room => {
                let taken = bytes.len().min(room);
                self.0 -= taken;
                Ok(taken)
            }
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_enough_is_no_failure_and_a_full_disk_is() {
    let folder = Folder::new("feed-ends");
    let config = given_config(&folder.0, 40);
    let written = feed(&config, false, &mut Full(5_000, ErrorKind::BrokenPipe)).unwrap();
    assert!(written < 40, "{written}");
    let error = feed(&config, false, &mut Full(5_000, ErrorKind::StorageFull)).unwrap_err().to_string();
    assert!(error.contains("standard output"), "{error}");
    let stopped = feed_file(&config, false, &AtomicBool::new(true), &mut Vec::new(), &mut |_, _| {});
    assert_eq!(stopped.unwrap(), 0);
    let vae = folder.0.join("vae.toml");
    let error = feed(&vae, false, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("kind `vae` has no batches"), "{error}");
}
