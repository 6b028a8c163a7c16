//! Windows on a map: in which order positions lie in them, and what is added to scores inside.

use rayon::prelude::*;

/// Square windows of `side` on a map, moved by `shift` down and right; what leaves the map comes in again on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    pub height: usize,
    pub width: usize,
    pub side: usize,
    pub shift: usize,
}

/// What scores between parts of a window lose that are no neighbours on the map.
const APART: f32 = -100.0;

impl Windows {
    /// Windows on a map.
    pub fn count(&self) -> usize {
        self.height / self.side * (self.width / self.side)
    }

    /// Row and column, before the shift, of each place in the order of windows: window by window, row by row.
    fn places(self) -> impl Iterator<Item = [usize; 2]> {
        let Self { height, width, side, .. } = self;
        (0..height).step_by(side).flat_map(move |top| {
            (0..width)
                .step_by(side)
                .flat_map(move |left| (0..side * side).map(move |i| [top + i / side, left + i % side]))
        })
    }

    /// For each place in the order of windows, the position on the map.
    pub fn order(self) -> Vec<usize> {
        let Self { height, width, shift, .. } = self;
        self.places().map(|[y, x]| (y + shift) % height * width + (x + shift) % width).collect()
    }

    /// `table [N, S², S²]`, what is added to scores whatever the window → `[W, N, S², S²]`, where parts of a window that are no neighbours
    /// on the map see nothing of one another.
    pub fn masked(self, table: &[f32]) -> Vec<f32> {
        let Self { height, width, side, shift } = self;
        let part = |at: usize, size: usize| usize::from(at + side >= size) + usize::from(at + shift >= size);
        let parts: Vec<usize> = self.places().map(|[y, x]| part(y, height) * 3 + part(x, width)).collect();
        let area = side * side;
        let mut masked = vec![0.0; self.count() * table.len()];
        masked.par_chunks_mut(table.len()).zip(parts.par_chunks(area)).for_each(|(masked, parts)| {
            masked.copy_from_slice(table);
            if parts.iter().all(|part| *part == parts[0]) {
                return;
            }
            for row in masked.chunks_exact_mut(area * area) {
                for (row, key) in row.chunks_exact_mut(area).zip(parts) {
                    for (value, query) in row.iter_mut().zip(parts) {
                        *value += if key == query { 0.0 } else { APART };
                    }
                }
            }
        });
        masked
    }
}

/// `biases [(2S−1)², N]`, one for each distance of a query from a key → `[N, S², S²]`, keys before queries.
pub(super) fn relative(biases: &[f32], heads: usize, side: usize) -> Vec<f32> {
    let (area, span) = (side * side, 2 * side - 1);
    let mut table = Vec::with_capacity(heads * area * area);
    for head in 0..heads {
        for key in 0..area {
            table.extend((0..area).map(|query| {
                let down = query / side + side - 1 - key / side;
                let right = query % side + side - 1 - key % side;
                biases[(down * span + right) * heads + head]
            }));
        }
    }
    table
}

/// Rows of `width` values by their places: `to[i] = from[order[i]]` for each map.
pub(super) fn gathered(from: &[f32], order: &[usize], width: usize) -> Vec<f32> {
    let mut to = vec![0.0; from.len()];
    let map = order.len() * width;
    to.par_chunks_mut(width).enumerate().for_each(|(i, to)| {
        let (map_index, place) = (i / order.len(), i % order.len());
        to.copy_from_slice(&from[map_index * map + order[place] * width..][..width]);
    });
    to
}

/// The order that takes an order back.
pub(super) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, position)| inverse[*position] = place);
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_windows_wrap_around_and_their_order_can_be_taken_back() {
        let windows = Windows { height: 4, width: 4, side: 2, shift: 1 };
        let order = windows.order();
        assert_eq!(order, [5, 6, 9, 10, 7, 4, 11, 8, 13, 14, 1, 2, 15, 12, 3, 0]);
        let x: Vec<f32> = (0..2 * 16 * 3).map(|i| i as f32).collect();
        let moved = gathered(&x, &order, 3);
        assert_eq!(moved[..3], [15.0, 16.0, 17.0]);
        assert_eq!(gathered(&moved, &inverse(&order), 3), x);
    }

    #[test]
    fn only_neighbours_on_the_map_see_one_another() {
        let windows = Windows { height: 4, width: 4, side: 2, shift: 1 };
        let masked = windows.masked(&[1.0; 16]);
        assert_eq!(masked[..16], [1.0; 16]);
        let apart = 1.0 + APART;
        // The window on the right edge: its columns lie apart. The one in the corner: all do.
        let right: Vec<f32> = (0..16).map(|i| if i % 2 == i / 4 % 2 { 1.0 } else { apart }).collect();
        assert_eq!(masked[16..32], right);
        let corner: Vec<f32> = (0..16).map(|i| if i % 4 == i / 4 { 1.0 } else { apart }).collect();
        assert_eq!(masked[48..], corner);
    }

    #[test]
    fn biases_are_those_of_the_distance() {
        // 2 × 2: distances −1..=1 each way, two heads.
        let biases: Vec<f32> = (0..18).map(|i| i as f32).collect();
        let table = relative(&biases, 2, 2);
        assert_eq!(table.len(), 32);
        // Query 3 (1, 1) from key 0 (0, 0): one down and one right, the last of nine.
        assert_eq!((table[3], table[16 + 3]), (16.0, 17.0));
        assert_eq!((table[0], table[3 * 4]), (8.0, 0.0));
    }
}
