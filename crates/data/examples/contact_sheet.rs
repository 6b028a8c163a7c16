//! Draws a page of composed clips, five frames each, with their boxes; prints the captions.
//!
//! usage: cargo run -p vidit-data --example contact_sheet -- OUT.png [FIRST_INDEX [HEIGHT WIDTH]]

use vidit_data::{Pack, Scene, Split, caption, render};
use vidit_video::PixelShape;

const ROWS: usize = 10;
const COLUMNS: usize = 2;
const FRAMES_SHOWN: usize = 5;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().expect("the first argument is the PNG to write");
    let numbers: Vec<usize> = arguments.map(|argument| argument.parse().expect("a number")).collect();
    let first = numbers.first().copied().unwrap_or(0);
    let (height, width) = if let [_, height, width] = numbers[..] { (height, width) } else { (128, 128) };

    let pack = Pack::embedded();
    let shape = PixelShape::new(25, height, width);
    let mut page = image::RgbImage::new((width * FRAMES_SHOWN * COLUMNS) as u32, (height * ROWS) as u32);
    for cell in 0..ROWS * COLUMNS {
        let index = (first + cell) as u64;
        let scene = Scene::sample(&pack, 0, index, Split::Train);
        let clip = render(&pack, &scene, shape);
        println!("{index}: {}", caption(&pack, &scene, scene.language, index));
        for shown in 0..FRAMES_SHOWN {
            let frame = shown * (shape.frames - 1) / (FRAMES_SHOWN - 1);
            let (x, y) = ((cell % COLUMNS * FRAMES_SHOWN + shown) * width, cell / COLUMNS * height);
            for (pixel, rgb) in clip.frames.frame(frame).chunks_exact(3).enumerate() {
                let at = ((x + pixel % width) as u32, (y + pixel / width) as u32);
                page.put_pixel(at.0, at.1, image::Rgb([rgb[0], rgb[1], rgb[2]]));
            }
            for found in clip.tracks.iter().filter_map(|track| track.boxes[frame]) {
                for (u, v) in [(found.x1, found.y1), (found.x2, found.y2)] {
                    let column = ((u * width as f32) as usize).min(width - 1);
                    let row = ((v * height as f32) as usize).min(height - 1);
                    page.put_pixel((x + column) as u32, (y + row) as u32, image::Rgb([0, 0, 0]));
                }
            }
        }
    }
    page.save(&out).expect("the page can be written");
}
