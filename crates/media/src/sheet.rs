use image::{Rgb, RgbImage};
use vidit_video::{Frames, PixelShape};

/// Cells along each side of a contact sheet, at most.
const CELLS_MAX: usize = 5;

/// Colour between the frames.
const GAP_COLOUR: Rgb<u8> = Rgb([32, 32, 32]);

/// What an empty cell costs when a layout is chosen, in units of the logarithm of the aspect ratio.
const EMPTY_CELL_COST: f64 = 0.15;

/// `count` evenly chosen frames, the first and the last among them, `columns` in a row.
///
/// More than there are frames counts as all of them; zero counts as one.
pub fn contact_sheet(frames: &Frames, columns: usize, count: usize) -> RgbImage {
    let shape = frames.shape();
    let chosen = evenly(shape.frames, count.max(1));
    let rows: Vec<_> = chosen.chunks(columns.max(1)).map(|row| (frames, row)).collect();
    sheet(&rows)
}

/// One row for each clip, `columns` evenly chosen frames of each. Rows of smaller clips are narrower.
pub fn grid(clips: &[&Frames], columns: usize) -> RgbImage {
    let chosen: Vec<_> = clips.iter().map(|clip| evenly(clip.shape().frames, columns.max(1))).collect();
    let rows: Vec<_> = clips.iter().zip(&chosen).map(|(clip, chosen)| (*clip, chosen.as_slice())).collect();
    sheet(&rows)
}

/// Columns and frames of the sheet that is nearest to a square, with at most 5x5 cells.
pub(crate) fn layout(shape: PixelShape) -> (usize, usize) {
    let count = shape.frames.clamp(1, CELLS_MAX * CELLS_MAX);
    let cost = |columns: usize| {
        let rows = count.div_ceil(columns);
        let aspect = (columns * shape.width) as f64 / (rows * shape.height) as f64;
        aspect.ln().abs() + EMPTY_CELL_COST * (columns * rows - count) as f64
    };
    let fits = |columns: &usize| count.div_ceil(*columns) <= CELLS_MAX;
    let columns = (1..=CELLS_MAX).filter(fits).min_by(|a, b| cost(*a).total_cmp(&cost(*b)));
    (columns.unwrap_or(CELLS_MAX), count)
}

/// `count` of `frames` indices, spread from the first to the last.
fn evenly(frames: usize, count: usize) -> Vec<usize> {
    match (frames, count.min(frames)) {
        (0, _) => Vec::new(),
        (_, 1) => vec![0],
        (frames, count) => {
            (0..count).map(|i| (i * (frames - 1) * 2 + count - 1) / ((count - 1) * 2)).collect()
        }
    }
}

fn sheet(rows: &[(&Frames, &[usize])]) -> RgbImage {
    let side_max = rows.iter().map(|(f, _)| f.shape().width.max(f.shape().height)).max().unwrap_or(0);
    let gap = (side_max / 64).clamp(1, 8);
    let width = rows.iter().map(|(f, row)| gap + row.len() * (f.shape().width + gap)).max().unwrap_or(gap);
    let height = gap + rows.iter().map(|(f, _)| f.shape().height + gap).sum::<usize>();
    let mut rgb = GAP_COLOUR.0.repeat(width * height);
    let mut top = gap;
    for (frames, row) in rows {
        let shape = frames.shape();
        for (cell, &index) in row.iter().enumerate() {
            let left = gap + cell * (shape.width + gap);
            for (y, pixels) in frames.frame(index).chunks_exact(shape.width * 3).enumerate() {
                let start = ((top + y) * width + left) * 3;
                rgb[start..start + pixels.len()].copy_from_slice(pixels);
            }
        }
        top += shape.height + gap;
    }
    RgbImage::from_raw(width as u32, height as u32, rgb).expect("a sheet has width · height · 3 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_frames_span_the_clip() {
        assert_eq!(evenly(25, 5), [0, 6, 12, 18, 24]);
        assert_eq!(evenly(4, 9), [0, 1, 2, 3]);
        assert_eq!(evenly(10, 1), [0]);
        assert!(evenly(0, 3).is_empty());
        assert_eq!(evenly(81, 25).last(), Some(&80));
    }

    #[test]
    fn layouts_are_near_square() {
        assert_eq!(layout(PixelShape::new(25, 128, 128)), (5, 25));
        assert_eq!(layout(PixelShape::new(81, 480, 832)), (5, 25));
        assert_eq!(layout(PixelShape::new(16, 64, 64)), (4, 16));
        assert_eq!(layout(PixelShape::new(9, 64, 64)), (3, 9));
        assert_eq!(layout(PixelShape::new(2, 64, 128)), (1, 2));
        assert_eq!(layout(PixelShape::new(2, 128, 64)), (2, 2));
        assert_eq!(layout(PixelShape::new(1, 64, 64)), (1, 1));
    }

    #[test]
    fn each_cell_holds_its_frame() {
        let shape = PixelShape::new(5, 64, 64);
        let mut frames = Frames::black(shape);
        for index in 0..5 {
            frames.frame_mut(index).fill(index as u8 * 50);
        }
        let sheet = contact_sheet(&frames, 3, 5);
        assert_eq!(sheet.dimensions(), (1 + 3 * 65, 1 + 2 * 65));
        assert_eq!(sheet.get_pixel(0, 0), &GAP_COLOUR);
        assert_eq!(sheet.get_pixel(1, 1).0, [0; 3]);
        assert_eq!(sheet.get_pixel(66, 1).0, [50; 3]);
        assert_eq!(sheet.get_pixel(66 + 63, 66 + 63).0, [200; 3]);
        assert_eq!(sheet.get_pixel(131, 66), &GAP_COLOUR);

        let small = Frames::black(PixelShape::new(2, 10, 20));
        let both = grid(&[&frames, &small], 3);
        assert_eq!(both.dimensions(), (1 + 3 * 65, 1 + 65 + 11));
        assert_eq!(both.get_pixel(1 + 2 * 65, 1).0, [200; 3]);
        assert_eq!(both.get_pixel(1, 66).0, [0; 3]);
        assert_eq!(both.get_pixel(60, 70), &GAP_COLOUR);
        assert_eq!(grid(&[], 3).dimensions(), (1, 1));
    }
}
