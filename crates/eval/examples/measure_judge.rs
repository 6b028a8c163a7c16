//! Measures the judge on real clips: `… --example measure_judge -- train|held_out COUNT [WEIGHTS]`. Prints accuracies,
//! the motions' confusions with their features, and milliseconds a clip.

use std::time::Instant;

use burn::tensor::Device;
use vidit_data::{Pack, Scene, Split, render};
use vidit_eval::{Judge, colour, foreground, motion};
use vidit_kernels::alloc::CachingAllocator;
use vidit_video::PixelShape;
use vidit_weights::TensorStore;

#[global_allocator]
static ALLOC: CachingAllocator = CachingAllocator::new();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [split, count, ..] = &arguments[..] else {
        return Err("a split and a number of clips are missing".into());
    };
    let split = if split == "train" { Split::Train } else { Split::HeldOut };
    let (pack, device) = (Pack::embedded(), Device::flex());
    let judge = match arguments.get(2) {
        Some(path) => Some(Judge::load(&TensorStore::read(path.as_ref())?, &pack, &device)?),
        None => Judge::embedded(&pack, &device).ok(),
    };
    let (mut clips, mut objects, mut motions, mut colours) = (0, 0, 0, 0);
    let mut millis = [0.0; 3];
    for index in 0..count.parse::<u64>()? {
        let scene = Scene::sample(&pack, 900, index, split);
        let [actor] = &scene.actors[..] else { continue };
        clips += 1;
        let mut time = Instant::now();
        let mut lap = |slot: usize| {
            millis[slot] += time.elapsed().as_secs_f64() * 1e3;
            time = Instant::now();
        };
        let clip = render(&pack, &scene, PixelShape::new(25, 128, 128)).frames;
        lap(0);
        let track = foreground::track(&clip);
        let (found_motion, found_colour) = (motion::motion(&track), colour::colour(&track));
        lap(1);
        let found_object = judge.as_ref().and_then(|judge| judge.object(&clip, &track));
        lap(2);
        let id = &pack.objects()[actor.object].id;
        if found_motion == Some(actor.motion) {
            motions += 1;
        } else {
            println!(
                "{id} on {}: {:?} seen as {found_motion:?} {:?}",
                scene.background.colour.name(),
                actor.motion,
                motion::features(&track)
            );
        }
        if found_colour == scene.background.colour {
            colours += 1;
        } else {
            println!("{id}: {:?} seen as {found_colour:?}", scene.background);
        }
        if found_object == Some(actor.object) {
            objects += 1;
        } else if let Some(found) = found_object {
            println!("{id} on {} seen as {}", scene.background.colour.name(), pack.objects()[found].id);
        }
    }
    println!("{clips} clips: motion {motions}, colour {colours}, object {objects}");
    let [rendered, rules, network] = millis.map(|sum| sum / clips as f64);
    println!("milliseconds a clip: render {rendered:.2}, rules {rules:.2}, network {network:.2}");
    Ok(())
}
