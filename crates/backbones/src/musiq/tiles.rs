//! A picture as tokens: three scales of it, each cut into square tiles.

use crate::layers::{Filter, interpolate};
use crate::{BackboneError, Grid};

/// One scale of some pictures of one size, and how tiles lie on it.
pub(super) struct Scale {
    /// `[B, H, W, 3]`.
    image: Grid,
    side: usize,
    /// Rows and columns of tiles.
    pub count: [usize; 2],
    /// Zeros above and left of the picture, so that tiles cover it: TensorFlow's `SAME`, the smaller half first.
    before: [usize; 2],
}

impl Scale {
    fn new(image: Grid, side: usize) -> Self {
        let sizes = [image.height, image.width];
        let count = sizes.map(|size| size.div_ceil(side));
        let before = [0, 1].map(|axis| (count[axis] * side - sizes[axis]) / 2);
        Self { image, side, count, before }
    }

    /// Tiles of one picture.
    pub fn tiles(&self) -> usize {
        self.count[0] * self.count[1]
    }

    /// `[B, H, W, 3]`.
    pub fn image(&self) -> &Grid {
        &self.image
    }

    /// Copies tile `index` of picture `b` into a square of `room` pixels a side, `margin` pixels from its top and left; what no pixel
    /// lies on stays as it is.
    pub fn cut(&self, b: usize, index: usize, into: &mut [f32], room: usize, margin: usize) {
        let channels = self.image.channels;
        let at = [index / self.count[1], index % self.count[1]];
        // Pixels of the picture under the tile: those that its zeros do not take.
        let [rows, columns] = [0, 1].map(|axis| {
            let size = [self.image.height, self.image.width][axis];
            let (from, shift) = (at[axis] * self.side, self.before[axis]);
            from.max(shift) - shift..(from + self.side).min(size + shift).max(shift) - shift
        });
        let left = columns.start + self.before[1] - at[1] * self.side + margin;
        for y in rows {
            let top = y + self.before[0] - at[0] * self.side + margin;
            let from = &self.image.data
                [((b * self.image.height + y) * self.image.width + columns.start) * channels..];
            let len = columns.len() * channels;
            into[(top * room + left) * channels..][..len].copy_from_slice(&from[..len]);
        }
    }

    /// The place of each tile in a table of `grid × grid` embeddings, nearest, as PyTorch stretches the table.
    pub fn places(&self, grid: usize) -> impl Iterator<Item = usize> {
        let [rows, columns] = self.count.map(|count| stretched(grid, count));
        rows.into_iter()
            .flat_map(move |row| columns.clone().into_iter().map(move |column| row * grid + column))
    }
}

/// `0..from` stretched over `to` places: PyTorch's `nearest`, whose ratio is f32.
fn stretched(from: usize, to: usize) -> Vec<usize> {
    let ratio = from as f32 / to as f32;
    (0..to).map(|i| ((i as f32 * ratio) as usize).min(from - 1)).collect()
}

/// Height and width after the longer side became `longer`: ratio and product in f64, halves to even, as Python rounds. At least 1.
fn resized([height, width]: [usize; 2], longer: usize) -> [usize; 2] {
    let ratio = longer as f64 / height.max(width) as f64;
    [height, width].map(|size| ((size as f64 * ratio).round_ties_even() as usize).max(1))
}

/// The scales of pictures `[B, H, W, 3]`: with these longer sides (bicubic, without antialiasing), and as they are.
pub(super) fn scales(images: Grid, longer_sides: &[usize], side: usize) -> Vec<Scale> {
    let mut scales: Vec<Scale> = longer_sides
        .iter()
        .map(|longer| {
            let size = resized([images.height, images.width], *longer);
            Scale::new(interpolate(&images, size, None, Filter::Bicubic), side)
        })
        .collect();
    scales.push(Scale::new(images, side));
    scales
}

/// The side of tiles whose embedding reads `depth` values of `channels` channels; a token is a quarter of a tile a side.
pub(super) fn side_of(depth: usize, channels: usize) -> Result<usize, BackboneError> {
    let token = (depth / channels.max(1)).isqrt();
    if token == 0 || token * token * channels != depth {
        return Err(BackboneError::Config {
            network: super::NAME,
            reason: format!(
                "`embedding.weight` reads {depth} values, which are no square of {channels} channels"
            ),
        });
    }
    Ok(4 * token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_python_does() {
        assert_eq!(resized([288, 512], 224), [126, 224]);
        assert_eq!(resized([288, 512], 384), [216, 384]);
        // 224 · 295 / 512 = 129.0625 and 384 · 295 / 512 = 221.25; 3 · 224 / 448 = 1.5 and 5 · 224 / 448 = 2.5 go to even.
        assert_eq!(resized([295, 512], 224), [129, 224]);
        assert_eq!(resized([295, 512], 384), [221, 384]);
        assert_eq!([resized([3, 448], 224)[0], resized([5, 448], 224)[0]], [2, 2]);
        assert_eq!(resized([1, 1000], 224), [1, 224]);
    }

    #[test]
    fn embeddings_are_stretched_by_the_nearest() {
        assert_eq!(stretched(10, 7), [0, 1, 2, 4, 5, 7, 8]);
        assert_eq!(stretched(10, 16), [0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 6, 7, 8, 8, 9]);
        assert_eq!(stretched(10, 1), [0]);
    }

    #[test]
    fn tiles_cover_a_picture_and_its_zeros() {
        // 5 × 9 pixels in tiles of 4: 8 × 12 with 1 row and 1 column of zeros before.
        let image = Grid::new((1..=45).map(|i| i as f32).collect(), [1, 5, 9, 1]);
        let scale = Scale::new(image, 4);
        assert_eq!((scale.count, scale.before), ([2, 3], [1, 1]));
        let cut = |index| {
            let mut tile = vec![0.0; 36];
            scale.cut(0, index, &mut tile, 6, 1);
            tile
        };
        #[rustfmt::skip]
        assert_eq!(cut(0), [
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 1.0, 2.0, 3.0, 0.0,
            0.0, 0.0, 10.0, 11.0, 12.0, 0.0,
            0.0, 0.0, 19.0, 20.0, 21.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ]);
        #[rustfmt::skip]
        assert_eq!(cut(5), [
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 35.0, 36.0, 0.0, 0.0, 0.0,
            0.0, 44.0, 45.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ]);
        let seen: f32 = (0..6).flat_map(cut).sum();
        assert_eq!(seen, 45.0 * 23.0);
    }
}
