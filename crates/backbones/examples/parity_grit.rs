//! How near is GRiT at its published size to the official code, and how fast? Reads what `src/grit/golden/export.py --full FOLDER` wrote:
//!
//!     cargo run --release -p vidit-backbones --example parity_grit -- FOLDER/full.safetensors

use std::path::PathBuf;
use std::time::Instant;

use vidit_backbones::grit::{Asked, BoxConfig, Config, Detection, Grit};
use vidit_weights::TensorStore;

const RUNS: usize = 3;

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn compare(name: &str, found: &[f32], expected: &[f32]) {
    if found.len() != expected.len() {
        println!("{name:32} {} values, expected {}", found.len(), expected.len());
        return;
    }
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let worst = found.iter().zip(expected).fold(0.0f32, |worst, (f, e)| worst.max((f - e).abs()));
    let cosine = cosine(found, expected);
    println!(
        "{name:32} largest difference {worst:.2e}, {:.2e} of the largest, cosine {cosine:.9}",
        worst / largest
    );
}

fn compare_words(name: &str, found: Vec<&str>, expected: &str) {
    let expected: Vec<&str> = expected.split('\n').collect();
    let same = found.iter().zip(&expected).filter(|(f, e)| f == e).count();
    println!("{name}: {same} of {} the same, {} found", expected.len(), found.len());
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = PathBuf::from(std::env::args().nth(1).ok_or("which file?")?);
    let vocabulary = std::fs::read(file.with_file_name("vocabulary.txt"))?;
    let mut golden = TensorStore::read(&file)?;
    let weights = golden.under("weights.");
    golden.tensors.retain(|key, _| !key.starts_with("weights."));
    let score_min = golden.text("score_min")?.parse()?;
    let config = Config { boxes: BoxConfig { score_min, ..Config::B.boxes }, ..Config::B };
    let start = Instant::now();
    let network = Grit::load(weights, &vocabulary, config)?;
    println!("loaded in {:.2} s", start.elapsed().as_secs_f64());

    let image = &golden.tensors["input.image"];
    let size = [image.shape[0], image.shape[1]];
    let both = Asked { names: true, captions: true };
    let found = network.trace(&image.values, size, both, &mut |name, values| {
        if let Some(expected) = golden.tensors.get(name) {
            compare(name, values, &expected.values);
        }
    });
    let corners: Vec<f32> = found.iter().flat_map(|detection| detection.corners).collect();
    compare("detections.corners", &corners, &golden.tensors["detections.corners"].values);
    let words = |name: bool| {
        let text = move |d: &Detection| if name { d.name.clone() } else { d.caption.clone() };
        found.iter().filter_map(text).map(|text| text.words).collect::<Vec<_>>()
    };
    for (name, key) in [(true, "names"), (false, "captions")] {
        compare_words(key, words(name).iter().map(String::as_str).collect(), golden.text(key)?);
    }

    let mut times: Vec<Vec<(String, f64)>> = Vec::new();
    for _ in 0..RUNS {
        let (start, mut run) = (Instant::now(), Vec::new());
        network.trace(&image.values, size, both, &mut |name, _| {
            if ["pyramid.p3", "proposals.boxes", "boxes.scores", "text.projected"].contains(&name)
                || name.ends_with("log_probability")
            {
                run.push((name.to_owned(), start.elapsed().as_secs_f64()));
            }
        });
        run.push(("the whole".to_owned(), start.elapsed().as_secs_f64()));
        times.push(run);
    }
    println!(
        "seconds from the start, medians of {RUNS}, {} detections at {}×{}:",
        found.len(),
        size[0],
        size[1]
    );
    for (i, (name, _)) in times[0].iter().enumerate() {
        let mut seconds: Vec<f64> = times.iter().map(|run| run[i].1).collect();
        seconds.sort_by(f64::total_cmp);
        println!("  until {name:32} {:.2}", seconds[RUNS / 2]);
    }
    Ok(())
}
