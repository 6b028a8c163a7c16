//! Goldens: the official code's weights, inputs and activations, as its exporter wrote them.

use vidit_testkit::difference;
use vidit_weights::TensorStore;

use crate::Grid;
use crate::layers::Padding;

/// A golden file: `weights.*` is the checkpoint, `input.*` what goes in, and the rest activations by name.
pub struct Golden(TensorStore);

impl Golden {
    /// Of the bytes of a safetensors file.
    pub fn new(bytes: &[u8]) -> Self {
        Self(TensorStore::from_bytes("golden", bytes).expect("the golden can be read"))
    }

    /// The checkpoint.
    pub fn weights(&self) -> TensorStore {
        self.0.under("weights.")
    }

    /// Whether there is an array of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.tensors.contains_key(name)
    }

    /// A text of the metadata, by name.
    pub fn text(&self, name: &str) -> &str {
        self.0.text(name).expect("the golden has the text")
    }

    /// An array, by name.
    pub fn values(&self, name: &str) -> &[f32] {
        &self.0.tensors[name].values
    }

    /// Its shape.
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0.tensors[name].shape
    }

    /// Two crops of `input.texture`, the second lower and further right by the metadata's `shift`; each `[1, H, W, 3]`.
    pub fn frames(&self) -> [Grid; 2] {
        let shift: Vec<usize> =
            self.text("shift").split(' ').map(|n| n.parse().expect("whole numbers")).collect();
        let [down, right] = shift[..].try_into().expect("rows and columns");
        let shape = self.shape("input.texture"); // [H, W, 3]
        let texture = Grid::new(self.values("input.texture").to_vec(), [1, shape[0], shape[1], shape[2]]);
        [(0, 0), (down, right)]
            .map(|(y, x)| Padding { rows: [y, down - y], columns: [x, right - x] }.unpad(&texture))
    }

    /// Shows `network` the image `input.<case>` of each case, and checks what it tells of: `count` activations, `<case>.<name>`.
    pub fn check_images(
        &self,
        cases: &[&str],
        count: usize,
        tolerance: f32,
        network: impl Fn(&Grid, &mut dyn FnMut(&str, &[f32])),
    ) {
        for case in cases {
            let key = format!("input.{case}");
            let shape: [usize; 4] = self.shape(&key).try_into().unwrap();
            let images = Grid::from_channels_first(self.values(&key), shape);
            let mut found = 0;
            network(&images, &mut |name, values| {
                self.check([(format!("{case}.{name}").as_str(), values)], tolerance);
                found += 1;
            });
            assert_eq!(found, count, "{case}");
        }
    }

    /// Compares activations in the order of computation.
    ///
    /// # Panics
    /// At the first that differs by more than `tolerance` of its largest value (at least of 1), by name.
    #[track_caller]
    pub fn check<'a>(&self, activations: impl IntoIterator<Item = (&'a str, &'a [f32])>, tolerance: f32) {
        for (name, found) in activations {
            let expected = self.values(name);
            let scale = expected.iter().fold(1.0f32, |most, value| most.max(value.abs()));
            let worst = difference(name, found, expected).unwrap_or_else(|problem| panic!("{problem}"));
            let (value, wanted) = worst.values;
            assert!(
                worst.largest <= tolerance * scale,
                "first divergence at `{name}`[{}]: {value}, expected {wanted} (tolerance {})",
                worst.index,
                tolerance * scale
            );
        }
    }
}
