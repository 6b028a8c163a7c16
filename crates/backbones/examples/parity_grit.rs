//! GRiT-B beside the reference: `parity_grit FILE`, written by `src/grit/golden/export.py --full` with a vocabulary beside it.

mod parity;

use std::time::Instant;

use parity::{Golden, compare_texts, median, print_peak};
use vidit_backbones::grit::{Asked, BoxConfig, Config, Detection, Grit};

const RUNS: usize = 3;

/// Where each official proposal is among ours: the order is that of scores, of which some differ by less than a sum in another order
/// does. Prints which changed places, and how far apart the official scores of such places are.
fn places(found: &[f32], golden: &Golden) -> Vec<usize> {
    let (official, scores) =
        (&golden.entry("proposals.boxes").values, &golden.entry("proposals.scores").values);
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let nearest = |corners: &[f32]| {
        let rows = found.chunks_exact(4).map(|row| distance(row, corners)).enumerate();
        rows.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row).expect("there are proposals")
    };
    let order: Vec<usize> = official.chunks_exact(4).map(nearest).collect();
    for (place, row) in order.iter().enumerate().filter(|(place, row)| place != *row) {
        let apart = scores.get(*row).map_or(f32::NAN, |score| (scores[place] - score).abs());
        println!("proposal {place} is our {row}, scores {apart:.1e} apart");
    }
    order
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let vocabulary = std::fs::read(golden.path.with_file_name("vocabulary.txt"))?;
    let score_min = golden.text("score_min")?.parse()?;
    let config = Config { boxes: BoxConfig { score_min, ..Config::B.boxes }, ..Config::B };
    let network = Grit::load(weights, &vocabulary, config)?;

    let image = golden.entry("input.image");
    let size = [image.shape[0], image.shape[1]];
    let both = Asked { names: true, captions: true };
    let mut order = Vec::new();
    let found = network.trace(&image.values, size, both, &mut |name, values| {
        if name == "proposals.boxes" {
            order = places(values, &golden);
        }
        let of_proposals = ["proposals.boxes", "proposals.scores", "boxes.logits", "boxes.deltas"];
        if of_proposals.iter().any(|start| name.starts_with(start)) {
            let width = values.len() / order.len();
            let rows = order.iter().flat_map(|row| &values[row * width..][..width]);
            golden.compare(name, &rows.copied().collect::<Vec<_>>());
        } else if golden.has(name) {
            golden.compare(name, values);
        }
    });
    let corners: Vec<f32> = found.iter().flat_map(|detection| detection.corners).collect();
    golden.compare("detections.corners", &corners);
    let words = |of: fn(&Detection) -> Option<&str>, key| -> Result<(), Box<dyn std::error::Error>> {
        compare_texts(key, found.iter().filter_map(of), golden.text(key)?);
        Ok(())
    };
    words(|detection| Some(&detection.name.as_ref()?.words), "names")?;
    words(|detection| Some(&detection.caption.as_ref()?.words), "captions")?;

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
    let ([height, width], count) = (size, found.len());
    println!("seconds from the start, medians of {RUNS}, {count} detections at {height}×{width}:");
    for (i, (name, _)) in times[0].iter().enumerate() {
        println!("  until {name:32} {:.2}", median(times.iter().map(|run| run[i].1).collect()));
    }
    print_peak();
    Ok(())
}
