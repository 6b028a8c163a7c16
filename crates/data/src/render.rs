//! Scenes to frames, with exact boxes.

use vidit_motion::{Track, UnitBox};
use vidit_video::{Frames, PixelShape};

use crate::motion::sine;
use crate::sprite::{Patch, Placement};
use crate::{Background, Pack, Path, Scene};

/// A rendered clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// The frames.
    pub frames: Frames,
    /// Per object, in the order of the scene, the tight box of its pixels with alpha above a half; occlusion by another
    /// object is not subtracted.
    pub tracks: Vec<Track>,
}

/// Renders a scene at any shape. One frame shows the start of every path.
pub fn render(pack: &Pack, scene: &Scene, shape: PixelShape) -> Composite {
    compose(pack, scene, shape, |path, frame| {
        let progress = if shape.frames > 1 { frame as f32 / (shape.frames - 1) as f32 } else { 0.0 };
        (path.place(progress, shape), frame)
    })
}

/// Renders a scene whose objects are at frame `f` where `at(path, f)` says, showing that frame of their sprites.
pub(crate) fn compose(
    pack: &Pack,
    scene: &Scene,
    shape: PixelShape,
    at: impl Fn(&Path, usize) -> (Placement, usize),
) -> Composite {
    let backdrop = paint(&scene.background, shape);
    let mut frames = Frames::black(shape);
    let mut tracks: Vec<_> = scene
        .actors
        .iter()
        .map(|actor| {
            let object = &pack.objects()[actor.object];
            let phrase = object.name(scene.language).to_owned();
            Track { id: object.id.clone(), phrase, boxes: Vec::with_capacity(shape.frames) }
        })
        .collect();
    let mut patch = Patch::default();
    for index in 0..shape.frames {
        let frame = frames.frame_mut(index);
        frame.copy_from_slice(&backdrop);
        for (actor, track) in scene.actors.iter().zip(&mut tracks) {
            let (placement, picture) = at(&actor.path, index);
            pack.sprite(actor.object).draw(picture, placement, shape.width, shape.height, &mut patch);
            lay_over(frame, &patch, shape.width);
            track.boxes.push(tight_box(&patch, shape));
        }
    }
    Composite { frames, tracks }
}

/// The background alone, `[Hp, Wp, 3]`.
fn paint(background: &Background, shape: PixelShape) -> Vec<u8> {
    let Some(gradient) = background.gradient else {
        return background.rgb.repeat(shape.height * shape.width);
    };
    let (dx, dy) = (sine(gradient.direction_turns + 0.25), sine(gradient.direction_turns));
    // Corners reach exactly 0 and 1.
    let reach = (dx.abs() + dy.abs()).max(f32::EPSILON);
    let mut rgb = Vec::with_capacity(shape.height * shape.width * 3);
    for y in 0..shape.height {
        let v = (y as f32 + 0.5) / shape.height as f32 - 0.5;
        for x in 0..shape.width {
            let u = (x as f32 + 0.5) / shape.width as f32 - 0.5;
            let share = (u * dx + v * dy) / reach + 0.5;
            for channel in 0..3 {
                let (from, to) = (f32::from(background.rgb[channel]), f32::from(gradient.to[channel]));
                rgb.push((from + (to - from) * share + 0.5) as u8);
            }
        }
    }
    rgb
}

fn lay_over(frame: &mut [u8], patch: &Patch, width: usize) {
    for row in 0..patch.height {
        if patch.width == 0 {
            return;
        }
        let start = (patch.top + row) * width + patch.left;
        let pixels = frame[start * 3..(start + patch.width) * 3].chunks_exact_mut(3);
        for (pixel, source) in pixels.zip(&patch.rgba[row * patch.width..]) {
            let through = 1.0 - source[3] / 255.0;
            for channel in 0..3 {
                // `as` saturates: the filter's sums may pass 255 by a rounding error.
                pixel[channel] = (source[channel] + f32::from(pixel[channel]) * through + 0.5) as u8;
            }
        }
    }
}

/// The box of pixels with alpha above a half.
fn tight_box(patch: &Patch, shape: PixelShape) -> Option<UnitBox> {
    let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
    for (index, pixel) in patch.rgba.iter().enumerate() {
        if pixel[3] > 127.5 {
            let (x, y) = (patch.left + index % patch.width, patch.top + index / patch.width);
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
    }
    (left < right).then(|| UnitBox {
        x1: left as f32 / shape.width as f32,
        y1: top as f32 / shape.height as f32,
        x2: right as f32 / shape.width as f32,
        y2: bottom as f32 / shape.height as f32,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::random::hash_words;
    use crate::{Colour, Motion, Split};

    const CLIP: PixelShape = PixelShape { frames: 25, height: 128, width: 128 };

    fn hash(frames: &Frames) -> u64 {
        let hex: String = frames.rgb().iter().map(|byte| format!("{byte:02x}")).collect();
        hash_words(&[&hex])
    }

    #[test]
    fn clips_are_pinned() {
        let pack = Pack::embedded();
        let car = pack.find("car").expect("there is a car");
        let scene = Scene::new_for(&pack, car, Motion::Circle, Colour::Yellow, 1);
        let frames = render(&pack, &scene, CLIP).frames;
        assert_eq!(hash(&frames), PINNED, "found {:#x}", hash(&frames));
    }
    const PINNED: u64 = 0x3032_d2e4_0ee4_1d88;

    #[test]
    fn boxes_agree_with_the_pixels() {
        let pack = Pack::embedded();
        for (height, width) in [(128, 128), (96, 160), (64, 64)] {
            let shape = PixelShape::new(5, height, width);
            for index in 0..60 {
                let scene = Scene::sample(&pack, 4, index, Split::HeldOut);
                let composite = render(&pack, &scene, shape);
                let backdrop = paint(&scene.background, shape);
                for (frame, found) in composite.tracks[0].boxes.iter().enumerate() {
                    let found = found.expect("the object is visible");
                    let pixels = composite.frames.frame(frame).chunks_exact(3).zip(backdrop.chunks_exact(3));
                    for (index, (pixel, behind)) in pixels.enumerate() {
                        let difference: i32 = pixel
                            .iter()
                            .zip(behind)
                            .map(|(&a, &b)| (i32::from(a) - i32::from(b)).abs())
                            .sum();
                        let (x, y) = ((index % width) as f32 + 0.5, (index / width) as f32 + 0.5);
                        // A pixel at half alpha or less differs by at most half of the full range of three channels;
                        // a soft rim of two pixels may lie outside of the box.
                        let rim = 2.0;
                        let inside = x > found.x1 * width as f32 - rim
                            && x < found.x2 * width as f32 + rim
                            && y > found.y1 * height as f32 - rim
                            && y < found.y2 * height as f32 + rim;
                        assert!(
                            inside || difference < 383,
                            "frame {frame} at {x},{y} differs by {difference}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn objects_stay_visible() {
        let pack = Pack::embedded();
        for object in 0..pack.objects().len() {
            for (index, motion) in Motion::ALL.into_iter().enumerate() {
                let scene = Scene::new_for(&pack, object, motion, Colour::ALL[index], object as u64);
                let shape = PixelShape::new(25, 64, 64);
                for found in &render(&pack, &scene, shape).tracks[0].boxes {
                    let area = found.expect("visible in every frame").area();
                    assert!(area > 0.015, "{} {motion:?}: {area}", pack.objects()[object].id);
                }
            }
        }
    }

    #[test]
    fn one_frame_is_the_start_of_the_clip() {
        let pack = Pack::embedded();
        let scene = Scene::sample(&pack, 8, 2, Split::Train);
        let clip = render(&pack, &scene, CLIP);
        let image = render(&pack, &scene, PixelShape { frames: 1, ..CLIP });
        assert_eq!(image.frames.frame(0), clip.frames.frame(0));
        assert_eq!(image.tracks[0].boxes[0], clip.tracks[0].boxes[0]);
    }

    #[test]
    fn rendering_is_fast() {
        let pack = Pack::embedded();
        let scenes: Vec<_> = (0..20).map(|index| Scene::sample(&pack, 2, index, Split::Train)).collect();
        scenes.iter().for_each(|scene| drop(render(&pack, scene, CLIP)));
        let start = Instant::now();
        scenes.iter().for_each(|scene| drop(render(&pack, scene, CLIP)));
        let milliseconds = start.elapsed().as_secs_f64() * 1e3 / scenes.len() as f64;
        println!("{milliseconds:.2} ms a clip");
        assert!(milliseconds < 100.0, "{milliseconds} ms a clip; it should be below 10 on a free core");
    }
}
