//! Boxes painted on frames.

use vidit_video::Frames;

use crate::{OBJECTS_MAX, UnitBox};

/// Colours that tell the objects of a script apart, far from one another. Self-tracking paints boxes in them.
pub const COLOURS: [[u8; 3]; OBJECTS_MAX] = [
    [255, 0, 0],
    [0, 0, 255],
    [0, 255, 0],
    [255, 0, 255],
    [255, 255, 0],
    [0, 255, 255],
    [0, 0, 0],
    [255, 255, 255],
];

/// Paints the outline of a box on one frame, inside of its edges, `thickness` pixels wide and without smoothing.
///
/// Boxes reach to the nearest pixel; one that is thinner than its outline is filled.
///
/// # Panics
/// If there is no such frame.
pub fn paint_outline(frames: &mut Frames, frame: usize, place: &UnitBox, colour: [u8; 3], thickness: usize) {
    let shape = frames.shape();
    let pixel = |share: f32, length: usize| ((share * length as f32).round().max(0.0) as usize).min(length);
    // What lies along the border is seen as a line inside of it.
    let span = |low: f32, high: f32, length: usize| {
        let (low, high) = (pixel(low, length), pixel(high, length));
        let low = low.min(length.saturating_sub(thickness));
        low..high.max(low + thickness).min(length)
    };
    let (columns, rows) = (span(place.x1, place.x2, shape.width), span(place.y1, place.y2, shape.height));
    let near_edge = |at: usize, range: &std::ops::Range<usize>| {
        at < range.start + thickness || at + thickness >= range.end
    };
    let pixels = frames.frame_mut(frame);
    for y in rows.clone() {
        for x in columns.clone() {
            if near_edge(y, &rows) || near_edge(x, &columns) {
                pixels[(y * shape.width + x) * 3..][..3].copy_from_slice(&colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vidit_video::PixelShape;

    fn painted(place: UnitBox) -> Vec<String> {
        let mut frames = Frames::black(PixelShape::new(2, 6, 8));
        paint_outline(&mut frames, 1, &place, [9, 9, 9], 1);
        assert!(frames.frame(0).iter().all(|byte| *byte == 0));
        let row = |row: &[u8]| row.chunks_exact(3).map(|p| if p[0] == 9 { '#' } else { '.' }).collect();
        frames.frame(1).chunks_exact(24).map(row).collect()
    }

    #[test]
    fn outlines_lie_inside_of_their_box_and_inside_of_the_frame() {
        let found = painted(UnitBox { x1: 0.125, y1: 0.0, x2: 0.625, y2: 0.5 });
        assert_eq!(found, [".####...", ".#..#...", ".####...", "........", "........", "........"]);
        let line = painted(UnitBox { x1: 1.0, y1: 0.0, x2: 1.0, y2: 0.5 });
        assert_eq!(line, [".......#", ".......#", ".......#", "........", "........", "........"]);
    }
}
