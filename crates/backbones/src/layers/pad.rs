use std::ops::Range;

use crate::Grid;

/// Rows and columns that a frame is given on its sides, and that are taken off a result again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// Rows above, and below.
    pub rows: [usize; 2],
    /// Columns on the left, and on the right.
    pub columns: [usize; 2],
}

impl Padding {
    /// What frames of `height × width` lack of sides that are multiples of `multiple`, halved between both sides; the odd one is
    /// below, or on the right. The `InputPadder` of RAFT (its mode `sintel`) and of AMT.
    pub fn to_multiple([height, width]: [usize; 2], multiple: usize) -> Self {
        let halved = |size: usize| {
            let lacking = size.next_multiple_of(multiple) - size;
            [lacking / 2, lacking - lacking / 2]
        };
        Self { rows: halved(height), columns: halved(width) }
    }

    /// Each padded pixel is the nearest one of the frame.
    ///
    /// # Panics
    /// If the frame is empty.
    pub fn pad(&self, x: &Grid) -> Grid {
        assert!(x.height > 0 && x.width > 0, "an empty frame has no nearest pixel");
        let (height, width) = (x.height + sum(self.rows), x.width + sum(self.columns));
        let mut data = Vec::with_capacity(x.batch * height * width * x.channels);
        for b in 0..x.batch {
            for y in 0..height {
                let y = y.saturating_sub(self.rows[0]).min(x.height - 1);
                let row = &x.data[(b * x.height + y) * x.width * x.channels..][..x.width * x.channels];
                let (first, last) = (&row[..x.channels], &row[row.len() - x.channels..]);
                (0..self.columns[0]).for_each(|_| data.extend_from_slice(first));
                data.extend_from_slice(row);
                (0..self.columns[1]).for_each(|_| data.extend_from_slice(last));
            }
        }
        Grid::new(data, [x.batch, height, width, x.channels])
    }

    /// What lay within the padding.
    ///
    /// # Panics
    /// If `x` is smaller than the padding.
    pub fn unpad(&self, x: &Grid) -> Grid {
        let inner = |size: usize, [before, after]: [usize; 2]| -> Range<usize> {
            assert!(size >= before + after, "{size} is less than a padding of {before} and {after}");
            before..size - after
        };
        let (rows, columns) = (inner(x.height, self.rows), inner(x.width, self.columns));
        let mut data = Vec::with_capacity(x.batch * rows.len() * columns.len() * x.channels);
        for b in 0..x.batch {
            for y in rows.clone() {
                let row = (b * x.height + y) * x.width;
                let range = (row + columns.start) * x.channels..(row + columns.end) * x.channels;
                data.extend_from_slice(&x.data[range]);
            }
        }
        Grid::new(data, [x.batch, rows.len(), columns.len(), x.channels])
    }
}

fn sum([before, after]: [usize; 2]) -> usize {
    before + after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_grow_by_the_nearest_pixels_and_shrink_again() {
        let padding = Padding::to_multiple([3, 5], 8);
        assert_eq!(padding, Padding { rows: [2, 3], columns: [1, 2] });
        assert_eq!(Padding::to_multiple([16, 24], 8), Padding { rows: [0; 2], columns: [0; 2] });
        let x = Grid::new((0..2 * 3 * 5 * 2).map(|i| i as f32).collect(), [2, 3, 5, 2]);
        let padded = padding.pad(&x);
        assert_eq!(padded.shape(), [2, 8, 8, 2]);
        for (y, column, from) in
            [(0, 0, (0, 0)), (7, 7, (2, 4)), (3, 1, (1, 0)), (2, 7, (0, 4)), (6, 3, (2, 2))]
        {
            assert_eq!(padded.at(1, y, column), x.at(1, from.0, from.1), "[{y}, {column}]");
        }
        assert_eq!(padding.unpad(&padded), x);
    }
}
