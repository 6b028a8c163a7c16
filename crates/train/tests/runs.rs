//! Tiny runs: resumption to the bit, and learning at all.

mod tiny;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use vidit_train::{Progress, train_file};
use vidit_weights::TensorStore;

use tiny::{Folder, boxes_config, denoiser_config, model, train, vae_config, write};

fn file(folder: &Path, run: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(run).join(name)).unwrap()
}

#[test]
fn a_broken_run_resumes_to_the_same_bits() {
    let folder = Folder::new("resume");
    let path = &folder.0;
    train(&vae_config(path, "vae", 7, 50), false, |_| {}).unwrap();
    for kind in ["vae", "denoiser"] {
        let config = |run: &str| match kind {
            "vae" => vae_config(path, run, 7, 50),
            _ => denoiser_config(path, run, 7),
        };
        let (whole, broken) = (format!("{kind}-whole"), format!("{kind}-broken"));
        train(&config(&whole), false, |_| {}).unwrap();
        // Dies in step 6, two steps after its last checkpoint but one: what the fifth step did is lost.
        let config = config(&broken);
        let died = std::panic::catch_unwind(|| {
            train(&config, false, |progress| assert!(progress.step < 5, "killed on purpose")).unwrap();
        });
        assert!(died.is_err());
        assert_eq!(train(&config, true, |_| {}).unwrap(), 7);
        for name in ["checkpoint.safetensors", "weights.safetensors"] {
            let same = TensorStore::from_bytes("whole", &file(path, &whole, name)).unwrap()
                == TensorStore::from_bytes("broken", &file(path, &broken, name)).unwrap();
            assert!(same, "{kind}: {name} differs after resumption");
        }
        let losses = |run: &str| -> Vec<(u64, f64)> {
            String::from_utf8(file(path, run, "metrics.jsonl"))
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .map(|line| (line["step"].as_u64().unwrap(), line["loss"].as_f64().unwrap()))
                .collect()
        };
        assert_eq!(losses(&whole), losses(&broken), "{kind}: metrics differ");
    }
    assert!(path.join("denoiser-whole/model.safetensors").exists());
}

#[test]
fn a_stopped_denoiser_leaves_its_model_so_far_and_one_stopped_at_once_leaves_none() {
    let folder = Folder::new("stopped");
    let path = &folder.0;
    train(&vae_config(path, "vae", 1, 5), false, |_| {}).unwrap();
    let config = denoiser_config(path, "denoiser", 50);
    let stop = AtomicBool::new(true);
    assert_eq!(train_file(&config, false, &stop, &mut |_| {}).unwrap().steps, 0);
    assert!(!path.join("denoiser/model.safetensors").exists());
    stop.store(false, Ordering::SeqCst);
    let mut raise = |progress: Progress| stop.store(progress.step == 3, Ordering::SeqCst);
    assert_eq!(train_file(&config, false, &stop, &mut raise).unwrap().steps, 3);
    let model = file(path, "denoiser", "model.safetensors");
    assert!(TensorStore::from_bytes("model", &model).unwrap().tensors.len() > 50);
    // Nothing of what was done is done again.
    let mut first = None;
    train(&denoiser_config(path, "denoiser", 5), true, |progress| first = first.or(Some(progress.step)))
        .unwrap();
    assert_eq!(first, Some(4));
}

#[test]
fn a_text_encoder_that_is_kept_stays_as_it_is() {
    let folder = Folder::new("kept");
    let path = &folder.0;
    train(&vae_config(path, "vae", 1, 5), false, |_| {}).unwrap();
    train(&denoiser_config(path, "first", 2), false, |_| {}).unwrap();
    let first = path.join("first/weights.safetensors");
    let config = std::fs::read_to_string(denoiser_config(path, "second", 3)).unwrap();
    let kept = format!("keep_text = true\ninit_from = {first:?}\ntext_dropout");
    train(&write(path, "kept.toml", &config.replacen("text_dropout", &kept, 1)), false, |_| {}).unwrap();
    let [first, second] = ["first", "second"]
        .map(|run| TensorStore::from_bytes(run, &file(path, run, "weights.safetensors")).unwrap().tensors);
    let (mut of_text, mut changed) = (0, 0);
    for (key, entry) in &first {
        let same = second[key] == *entry;
        match key.starts_with("text.") {
            true => assert!(same, "{key} was tuned"),
            false => changed += usize::from(!same),
        }
        of_text += usize::from(key.starts_with("text."));
    }
    assert!(of_text > 5 && changed > 20, "{of_text} of the text encoder, {changed} tuned");
}

#[test]
fn a_run_is_never_overwritten_and_never_resumed_from_nothing() {
    let folder = Folder::new("guards");
    let config = vae_config(&folder.0, "vae", 1, 5);
    let error = train(&config, true, |_| {}).unwrap_err().to_string();
    assert!(error.contains("no checkpoint"), "{error}");
    train(&config, false, |_| {}).unwrap();
    let error = train(&config, false, |_| {}).unwrap_err().to_string();
    assert!(error.contains("--resume"), "{error}");
    let text = std::fs::read_to_string(&config).unwrap();
    let broken = write(&folder.0, "broken.toml", &text.replace("kind = \"vae\"", "kind = \"gan\""));
    assert!(train(&broken, false, |_| {}).unwrap_err().to_string().contains("`gan`"));
    let broken = write(&folder.0, "typo.toml", &text.replace("warmup", "warm_up"));
    assert!(train(&broken, false, |_| {}).unwrap_err().to_string().contains("warm_up"));
    let config = std::fs::read_to_string(denoiser_config(&folder.0, "denoiser", 1)).unwrap();
    for (right, wrong, named) in [
        ("window = 32", "window = 24", "multiple of 16"),
        ("window = 32", "window = 48", "fit into the clip"),
        ("batch = 2", "batch = 0", "`batch`"),
        ("batch = 2", "batch = 2\nclips = 0", "`clips`"),
        ("batch = 2", "batch = 2\nfirst_given = 1.5", "`first_given`"),
        ("batch = 4", "batch = 4\nfirst_given = 0.5", "single frame"),
        ("batch = 2", "batch = 2\nfirst_given = 0.6\ntail_given = 0.6", "`tail_given`"),
        ("batch = 2", "batch = 2\nstory = \"loop\"", "9 frames at least"),
        ("batch = 2", "batch = 2\nstory = \"loop\"\nsome_given = 0.5", "`some_given`"),
        ("batch = 2", "batch = 2\nlevel_shift = 0.0", "`level_shift`"),
        ("frames = 1\n", "frames = 3\n", "4n+1"),
    ] {
        let broken = write(&folder.0, "bucket.toml", &config.replacen(right, wrong, 1));
        let error = train(&broken, false, |_| {}).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("bucket"), "{wrong}: {error}");
    }
}

#[test]
fn clips_whose_first_frame_is_given_are_told_apart() {
    let folder = Folder::new("given");
    train(&vae_config(&folder.0, "vae", 2, 6), false, |_| {}).unwrap();
    let config = std::fs::read_to_string(denoiser_config(&folder.0, "denoiser", 6)).unwrap();
    let config = config.replacen("weight = 0.5", "weight = 0.0", 1).replacen(
        "batch = 2",
        "batch = 2\nfirst_given = 1.0",
        1,
    );
    train(&write(&folder.0, "given.toml", &config), false, |_| {}).unwrap();
    let metrics = std::fs::read_to_string(folder.0.join("denoiser/metrics.jsonl")).unwrap();
    assert!(metrics.contains("loss_animation") && !metrics.contains("loss_video"), "{metrics}");
}

#[test]
fn a_whole_model_is_trained_on_with_its_own_vocabulary() {
    let folder = Folder::new("continued");
    let path = &folder.0;
    let from = model(path, 4);
    let model = TensorStore::read(&from).unwrap();
    let from = from.display();
    let config = std::fs::read_to_string(denoiser_config(path, "continued", 1)).unwrap();
    let vae = format!("{}/vae/weights.safetensors\"", path.display());
    let config = config
        .replace(&vae, &format!("{from}\"\ninit_from = \"{from}\""))
        .replace("word_count_min = 3", "word_count_min = 1000") // would learn hardly a word
        .replace("learning_rate = 2e-3", "learning_rate = 1e-9");
    train(&write(path, "continued.toml", &config), false, |_| {}).unwrap();
    let found = TensorStore::read(&path.join("continued/model.safetensors")).unwrap();
    assert_eq!(found.metadata["vocabulary"], model.metadata["vocabulary"]);
    assert_eq!(found.tensors.len(), model.tensors.len());
    for (key, entry) in &model.tensors {
        // Statistics are of latents that were made anew, by products in bf16 where these are fast: 2⁻⁸ each.
        let tolerance = if key.starts_with("latent_") { 4e-3 } else { 1e-3 };
        for (new, old) in found.tensors[key].values.iter().zip(&entry.values) {
            assert!((new - old).abs() <= tolerance * (1.0 + old.abs()), "{key}: {new} after {old}");
        }
    }
}

#[test]
fn the_denoiser_overfits_a_handful_of_clips() {
    let folder = Folder::new("overfit");
    train(&vae_config(&folder.0, "vae", 12, 6), false, |_| {}).unwrap();
    let mut losses = Vec::new();
    train(&denoiser_config(&folder.0, "denoiser", 150), false, |progress| losses.push(progress.loss))
        .unwrap();
    // With the output at zero the first loss is the variance of ε − x0: 2.
    assert!((losses[0] - 2.0).abs() < 0.4, "{}", losses[0]);
    let last = losses[130..].iter().sum::<f32>() / 20.0;
    assert!(last < 1.1, "the loss fell to {last} only");
}

#[test]
fn stories_are_told_and_say_what_is_given() {
    let folder = Folder::new("stories");
    train(&vae_config(&folder.0, "vae", 1, 5), false, |_| {}).unwrap();
    for (story, frames) in
        [("arrival", 9), ("loop", 9), ("continuation", 21), ("transition", 21), ("crossing", 5)]
    {
        let config = std::fs::read_to_string(denoiser_config(&folder.0, story, 2)).unwrap();
        let config = config.replacen("weight = 0.5", "weight = 0.0", 1).replacen(
            "frames = 5\nheight = 32\nwidth = 48\nwindow = 32",
            &format!("frames = {frames}\nheight = 32\nwidth = 48\nstory = \"{story}\""),
            1,
        );
        train(&write(&folder.0, "story.toml", &config), false, |_| {}).unwrap();
        let metrics = std::fs::read_to_string(folder.0.join(story).join("metrics.jsonl")).unwrap();
        let given = metrics.contains("loss_animation");
        assert_eq!(given, story != "crossing", "{story}: {metrics}");
    }
}

#[test]
fn an_adapter_learns_stage_by_stage_beside_a_model_that_stays() {
    let folder = Folder::new("boxes");
    let path = &folder.0;
    let base = model(path, 4);
    let before = std::fs::read(&base).unwrap();
    train(&boxes_config(path, "first", &base, true, 3), false, |_| {}).unwrap();
    assert_eq!(std::fs::read(&base).unwrap(), before);
    assert!(path.join("first/sample-0000003.png").exists());
    let first = TensorStore::read(&path.join("first/boxes.safetensors")).unwrap();
    assert!(first.metadata["boxes"].contains("\"blocks\":[0,1]"));
    assert!(first.tensors.keys().all(|key| !key.contains("transformer")), "the adapter alone");
    // Zero before the first step.
    for layer in 0..2 {
        let output = &first.tensors[&format!("layers.{layer}.output.weight")];
        assert!(output.values.iter().any(|value| *value != 0.0), "layer {layer} has learned nothing");
    }
    let config = std::fs::read_to_string(boxes_config(path, "second", &base, false, 2)).unwrap();
    let from = format!(
        "base = \"{}\"\ninit_from = \"{}/first/weights.safetensors\"",
        base.display(),
        path.display()
    );
    let config = config.replacen(&format!("base = \"{}\"", base.display()), &from, 1);
    train(&write(path, "second.toml", &config), false, |_| {}).unwrap();
    let second = TensorStore::read(&path.join("second/boxes.safetensors")).unwrap();
    let key = "layers.0.output.weight";
    let apart = |a: &TensorStore| a.tensors[key].values.iter().map(|v| v.abs()).sum::<f32>();
    assert!(apart(&second) > apart(&first), "the second stage goes on from the first");
    // A layer in no block, and clips that nobody boxed.
    let config = std::fs::read_to_string(boxes_config(path, "none", &base, true, 1)).unwrap();
    let broken = write(path, "broken.toml", &config.replace("every = 1", "every = 3"));
    assert!(train(&broken, false, |_| {}).unwrap_err().to_string().contains("`every` must be 1 to 2"));
}

#[test]
fn a_transformer_that_comes_with_the_adapter_begins_as_the_base_and_learns_with_it() {
    let folder = Folder::new("brought");
    let path = &folder.0;
    let base = model(path, 4);
    let config = |run: &str, rest: &str, steps: u64| {
        let text = std::fs::read_to_string(boxes_config(path, run, &base, false, steps)).unwrap();
        write(path, &format!("{run}.toml"), &text.replacen("every = 1", &format!("every = 1\n{rest}"), 1))
    };
    let loss = |run: &str| {
        let metrics = std::fs::read_to_string(path.join(run).join("metrics.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
        line["loss"].as_f64().unwrap()
    };
    for (run, rest) in [("frozen", ""), ("deeper", "blocks = 3")] {
        train(&config(run, rest, 1), false, |_| {}).unwrap();
    }
    assert!((loss("frozen") - loss("deeper")).abs() < 1e-6, "{} {}", loss("frozen"), loss("deeper"));
    let (base_weights, of) = (TensorStore::read(&base).unwrap(), "transformer.blocks.1.up.weight");
    let found = TensorStore::read(&path.join("deeper/boxes.safetensors")).unwrap();
    assert!(found.metadata["boxes"].contains("\"blocks\":[0,1,2]"), "{:?}", found.metadata);
    assert!(found.tensors.contains_key("transformer.blocks.2.up.weight"));
    assert_ne!(found.tensors[of], base_weights.tensors[of], "the base's block has learned");
    // The next stage goes on with all of it, and a shallower one than the base is none.
    let next = config("next", "blocks = 3", 1);
    let text = std::fs::read_to_string(&next).unwrap();
    let here = format!("base = \"{}\"", base.display());
    let from = format!("{here}\ninit_from = \"{}/deeper/weights.safetensors\"", path.display());
    train(&write(path, "next.toml", &text.replacen(&here, &from, 1)), false, |_| {}).unwrap();
    assert!((loss("next") - loss("deeper")).abs() > 1e-6, "{} {}", loss("next"), loss("deeper"));
    let error = train(&config("shallow", "blocks = 1", 1), false, |_| {}).unwrap_err().to_string();
    assert!(error.contains("`blocks` must be 2 or more, as the base has, found `1`"), "{error}");
}

#[test]
fn a_folder_of_clips_tells_no_story() {
    let folder = Folder::new("plain");
    train(&vae_config(&folder.0, "vae", 1, 5), false, |_| {}).unwrap();
    let clips = folder.0.join("clips");
    std::fs::create_dir_all(&clips).unwrap();
    std::fs::write(clips.join("a.mp4"), b"never read").unwrap();
    std::fs::write(clips.join("a.txt"), "a clip").unwrap();
    let config = std::fs::read_to_string(denoiser_config(&folder.0, "denoiser", 1)).unwrap();
    let config = config
        .replacen(
            "{ emoji = { clips = 6 } }",
            &format!("{{ folder = {{ path = \"{}\", fps = 12.0 }} }}", clips.display()),
            1,
        )
        .replacen("batch = 2", "batch = 2\nstory = \"pair\"", 1);
    let error = train(&write(&folder.0, "plain.toml", &config), false, |_| {}).unwrap_err().to_string();
    assert!(error.contains("no story but `plain`"), "{error}");
}

#[test]
fn a_decoder_learns_alone_and_steps_of_frames_with_it() {
    let folder = Folder::new("decoder");
    let path = &folder.0;
    let from = model(path, 1);
    let model = TensorStore::read(&from).unwrap();
    let decoder_of = format!("latent_noise = 0.0\ntemporal = 1.0\ndecoder_of = \"{}\"", from.display());
    let text = std::fs::read_to_string(vae_config(path, "decoder", 3, 6)).unwrap();
    let text = text.replace("latent_noise = 0.0", &decoder_of);
    let config = write(path, "decoder.toml", &text);
    train(&config, false, |_| {}).unwrap();
    let found = TensorStore::read(&path.join("decoder/model.safetensors")).unwrap();
    assert_eq!(found.metadata, model.metadata);
    assert!(found.tensors.keys().eq(model.tensors.keys()));
    for (key, entry) in &found.tensors {
        let stays = !key.starts_with("vae.decoder.");
        assert_eq!(*entry == model.tensors[key], stays, "{key}");
    }
    // The same first step without the error of steps costs just that much less.
    let still =
        write(path, "still.toml", &text.replace("temporal = 1.0", "").replace("/decoder\"", "/still\""));
    train(&still, false, |_| {}).unwrap();
    let first = |run: &str, part: &str| {
        let metrics = std::fs::read_to_string(path.join(run).join("metrics.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
        line[part].as_f64().unwrap()
    };
    let costs = first("decoder", "loss") - first("still", "loss");
    assert!((costs - first("decoder", "step_error")).abs() < 1e-5 && costs > 0.01, "{costs}");
    // A model of other sizes has no such decoder.
    let other = write(path, "other.toml", &text.replace("coarse_width = 24", "coarse_width = 32"));
    let error = train(&other, false, |_| {}).unwrap_err().to_string();
    assert!(error.contains("coarse_width: 24") && error.contains("coarse_width: 32"), "{error}");
}
