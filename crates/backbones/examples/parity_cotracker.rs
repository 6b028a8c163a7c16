//! CoTracker2 beside the reference: `parity_cotracker FILE`, written by `src/cotracker/golden/export.py --full`.

mod parity;

use parity::{Golden, print_peak, time};
use vidit_backbones::Grid;
use vidit_backbones::cotracker::{CoTracker, Config, Tracker};
use vidit_backbones::layers::Padding;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (weights, golden) = Golden::from_arguments()?;
    let network = CoTracker::load(weights, Config::PUBLISHED)?;
    let numbers = |name: &str| -> Result<Vec<usize>, Box<dyn std::error::Error>> {
        Ok(golden.text(name)?.split(' ').map(str::parse).collect::<Result<_, _>>()?)
    };
    let (size, shift, count) = (numbers("size")?, numbers("shift")?, numbers("frames")?[0]);
    let texture = golden.entry("input.texture"); // [H, W, 3]
    let texture = Grid::new(texture.values.clone(), [1, texture.shape[0], texture.shape[1], 3]);
    let crop = |i: usize| {
        let (y, x) = (i * shift[0], i * shift[1]);
        let rows = [y, texture.height - size[0] - y];
        Padding { rows, columns: [x, texture.width - size[1] - x] }.unpad(&texture)
    };
    let frames: Vec<Grid> = (0..count).map(crop).collect();
    let mut tracker = Tracker::new(numbers("grid")?[0]);
    let mut watch = |name: &str, values: &[f32]| match name {
        "features.0" | "features.1" => {
            let [height, width] = network.resolution().map(|side| side / 4);
            let map = Grid::new(values.to_vec(), [1, height, width, values.len() / height / width]);
            golden.compare(&format!("{name}.thinned4"), &map.thinned(4).data);
        }
        _ if golden.has(name) => golden.compare(name, values),
        _ => {}
    };
    frames.iter().for_each(|frame| tracker.push_watched(&network, frame, &mut watch));
    let tracks = tracker.finish_watched(&network, &mut watch);
    let values: Vec<f32> = tracks.places.iter().flatten().flatten().copied().collect();
    golden.compare("tracks", &values);
    time("all frames", 3, || {
        let mut tracker = Tracker::new(10);
        frames.iter().for_each(|frame| tracker.push(&network, frame));
        drop(tracker.finish(&network));
    });
    print_peak();
    Ok(())
}
