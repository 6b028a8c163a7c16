//! What the examples share: a network's activations beside those of the official code, and times.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use vidit_backbones::Grid;
use vidit_weights::TensorStore;

/// The file that `golden/export.py --full` wrote.
pub struct Reference(TensorStore);

impl Reference {
    /// Reads the file that the command line names, and takes its weights apart.
    pub fn from_arguments() -> Result<(TensorStore, Self), Box<dyn Error>> {
        let path =
            std::env::args().nth(1).ok_or("the file that `golden/export.py --full` wrote is missing")?;
        let TensorStore { tensors, metadata } = TensorStore::read(Path::new(&path))?;
        let mut weights = TensorStore::default();
        let mut rest = TensorStore { metadata, ..TensorStore::default() };
        for (key, entry) in tensors {
            match key.strip_prefix("weights.") {
                Some(key) => weights.tensors.insert(key.to_owned(), entry),
                None => rest.tensors.insert(key, entry),
            };
        }
        Ok((weights, Self(rest)))
    }

    /// An input of PyTorch's shape `[B, C, H, W]`.
    pub fn grid(&self, name: &str) -> Grid {
        let entry = &self.0.tensors[name];
        let shape = entry.shape.as_slice().try_into().expect("images have four axes");
        Grid::from_channels_first(&entry.values, shape)
    }

    /// Token ids of texts.
    #[allow(dead_code, reason = "not every network reads texts")]
    pub fn texts(&self, name: &str) -> Vec<Vec<u32>> {
        let entry = &self.0.tensors[name];
        let texts = entry.values.chunks_exact(entry.shape[1]);
        texts.map(|text| text.iter().map(|id| *id as u32).collect()).collect()
    }

    /// Prints how far an activation is from the reference.
    pub fn compare(&self, name: &str, found: &[f32]) {
        let Some(expected) = self.0.tensors.get(name).map(|entry| &entry.values) else {
            println!("{name:24} is not in the reference");
            return;
        };
        assert_eq!(found.len(), expected.len(), "`{name}` has another length");
        let pairs = || found.iter().zip(expected).map(|(f, e)| (f64::from(*f), f64::from(*e)));
        let most = pairs().map(|(_, e)| e.abs()).fold(0.0, f64::max);
        let worst = pairs().map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
        let dot = |a: &dyn Fn((f64, f64)) -> f64| pairs().map(a).sum::<f64>();
        let norms = dot(&|(f, _)| f * f).sqrt() * dot(&|(_, e)| e * e).sqrt();
        let cosine = dot(&|(f, e)| f * e) / norms;
        println!("{name:24} differs by {worst:.2e}, {:.1e} of {most:.3}; cosine {cosine:.9}", worst / most);
    }
}

/// Prints the median time of some runs.
pub fn time(what: &str, runs: usize, mut run: impl FnMut()) {
    let mut spent: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    spent.sort_by(f64::total_cmp);
    println!("{what}: {:.3} s, the median of {runs}", spent[runs / 2]);
}
