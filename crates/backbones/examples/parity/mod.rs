//! What do the examples share that set a network of the published size beside its official code?
//!
//! `golden/export.py --full DIR` of the network's folder writes the file: random weights, an input and the official activations.

#![allow(dead_code, reason = "no example uses all of it")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use vidit_backbones::Grid;
use vidit_backbones::layers::Padding;
use vidit_testkit::difference;
use vidit_weights::{Entry, TensorStore};

/// What a full-size golden holds beside the weights.
pub struct Golden {
    /// Where it is.
    pub path: PathBuf,
    rest: TensorStore,
}

impl Golden {
    /// The file that the command line names, and the weights, taken out of it.
    pub fn from_arguments() -> Result<(TensorStore, Self), Box<dyn Error>> {
        let path =
            std::env::args().nth(1).ok_or("the file that `golden/export.py --full` wrote is missing")?;
        let path = PathBuf::from(path);
        let TensorStore { tensors, metadata } = TensorStore::read(&path)?;
        let mut weights = TensorStore::default();
        let mut rest = TensorStore { metadata, ..TensorStore::default() };
        for (key, entry) in tensors {
            match key.strip_prefix("weights.") {
                Some(key) => weights.tensors.insert(key.to_owned(), entry),
                None => rest.tensors.insert(key, entry),
            };
        }
        Ok((weights, Self { path, rest }))
    }

    /// A text of the metadata.
    pub fn text(&self, name: &str) -> Result<&str, Box<dyn Error>> {
        Ok(self.rest.text(name)?)
    }

    /// Whether the official activation was kept.
    pub fn has(&self, name: &str) -> bool {
        self.rest.tensors.contains_key(name)
    }

    /// A tensor as it is.
    pub fn entry(&self, name: &str) -> &Entry {
        self.rest.tensors.get(name).unwrap_or_else(|| panic!("`{name}` is not in the golden"))
    }

    /// Images in PyTorch's layout, `[B, C, H, W]`.
    pub fn channels_first(&self, name: &str) -> Grid {
        let entry = self.entry(name);
        Grid::from_channels_first(&entry.values, entry.shape[..].try_into().expect("images have four axes"))
    }

    /// Images in ours, `[B, H, W, C]`.
    pub fn channels_last(&self, name: &str) -> Grid {
        let entry = self.entry(name);
        Grid::new(entry.values.clone(), entry.shape[..].try_into().expect("images have four axes"))
    }

    /// Two crops of `input.texture`, the second lower and further right by the metadata's `shift`; each `[1, H, W, 3]`, 0 to 255.
    pub fn frames(&self) -> Result<[Grid; 2], Box<dyn Error>> {
        let shift = self.text("shift")?.split(' ').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let [down, right] = shift[..].try_into()?;
        let texture = self.entry("input.texture"); // [H, W, 3]
        let texture = Grid::new(texture.values.clone(), [1, texture.shape[0], texture.shape[1], 3]);
        let crop = |y, x| Padding { rows: [y, down - y], columns: [x, right - x] }.unpad(&texture);
        Ok([crop(0, 0), crop(down, right)])
    }

    /// Token ids of texts, `[B, S]`.
    pub fn tokens(&self, name: &str) -> Vec<Vec<u32>> {
        let entry = self.entry(name);
        let texts = entry.values.chunks_exact(entry.shape[1]);
        texts.map(|text| text.iter().map(|id| *id as u32).collect()).collect()
    }

    /// Prints how far an activation is from the official one: the largest difference, its share of the largest value, the cosine.
    pub fn compare(&self, name: &str, found: &[f32]) {
        let Some(Entry { values: expected, .. }) = self.rest.tensors.get(name) else {
            println!("{name:32} is not in the golden");
            return;
        };
        match difference(name, found, expected) {
            Ok(worst) => {
                let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
                let (worst, cosine) = (worst.largest, cosine(found, expected));
                let share = worst / most;
                println!("{name:32} differs by {worst:.2e}, {share:.1e} of {most:.3}; cosine {cosine:.9}");
            }
            Err(problem) => println!("{problem}"),
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Prints how many words or texts are the same in their places.
pub fn compare_texts<'a>(name: &str, found: impl IntoIterator<Item = &'a str>, expected: &str) {
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.into_iter().collect(), expected.lines().collect());
    let same = found.iter().zip(&expected).filter(|(f, e)| f == e).count();
    println!("{name}: {same} of {} the same, {} found", expected.len(), found.len());
}

/// Prints the median time of some runs.
pub fn time(what: &str, runs: usize, mut run: impl FnMut()) {
    let spent = (0..runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    println!("{what}: {:.3} s, the median of {runs}", median(spent.collect()));
}

/// The middle one, or the upper of two.
pub fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Prints the most memory that the process has held, goldens included, where the system tells.
pub fn print_peak() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        println!("peak {}", peak.trim());
    }
}
