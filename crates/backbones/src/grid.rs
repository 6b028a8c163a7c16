//! What travels through a network: feature maps and tokens.

/// Feature maps, channels last.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// `[B, H, W, C]`.
    pub data: Vec<f32>,
    /// Maps, `B`.
    pub batch: usize,
    /// Rows, `H`.
    pub height: usize,
    /// Columns, `W`.
    pub width: usize,
    /// Channels, `C`.
    pub channels: usize,
}

impl Grid {
    /// # Panics
    /// If there are not `B · H · W · C` values: a bug of the caller.
    pub fn new(data: Vec<f32>, [batch, height, width, channels]: [usize; 4]) -> Self {
        assert_eq!(
            data.len(),
            batch * height * width * channels,
            "data is not [{batch}, {height}, {width}, {channels}]"
        );
        Self { data, batch, height, width, channels }
    }

    /// All zeros.
    pub fn zeros([batch, height, width, channels]: [usize; 4]) -> Self {
        Self::new(vec![0.0; batch * height * width * channels], [batch, height, width, channels])
    }

    /// `[B, H, W, C]`.
    pub fn shape(&self) -> [usize; 4] {
        [self.batch, self.height, self.width, self.channels]
    }

    /// `B · H · W`.
    pub fn positions(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// The channels of one position.
    pub fn at(&self, b: usize, y: usize, x: usize) -> &[f32] {
        &self.data[((b * self.height + y) * self.width + x) * self.channels..][..self.channels]
    }

    /// Every so many rows and columns, from the first on.
    pub fn thinned(&self, every: usize) -> Self {
        let rows = || (0..self.height).step_by(every);
        let columns = || (0..self.width).step_by(every);
        let mut data = Vec::new();
        for (b, y) in (0..self.batch).flat_map(|b| rows().map(move |y| (b, y))) {
            columns().for_each(|x| data.extend_from_slice(self.at(b, y, x)));
        }
        Self::new(data, [self.batch, rows().len(), columns().len(), self.channels])
    }

    /// The maps side by side along the channels, `[B, H, W, ΣC]`.
    ///
    /// # Panics
    /// If their sizes differ.
    pub fn join(parts: &[&Grid]) -> Self {
        let first = parts[0];
        for part in parts {
            assert_eq!(part.shape()[..3], first.shape()[..3], "only maps of one size can be joined");
        }
        let channels = parts.iter().map(|part| part.channels).sum();
        let mut joined = Self::zeros([first.batch, first.height, first.width, channels]);
        if channels == 0 {
            return joined;
        }
        for (position, out) in joined.data.chunks_exact_mut(channels).enumerate() {
            let mut done = 0;
            for part in parts {
                let from = &part.data[position * part.channels..][..part.channels];
                out[done..done + part.channels].copy_from_slice(from);
                done += part.channels;
            }
        }
        joined
    }

    /// Some of the channels, `[B, H, W, to − from]`.
    pub fn channels(&self, range: std::ops::Range<usize>) -> Self {
        let data =
            self.data.chunks_exact(self.channels).flat_map(|row| &row[range.clone()]).copied().collect();
        Self::new(data, [self.batch, self.height, self.width, range.len()])
    }

    /// The maps as tokens, row by row, `[B, H·W, C]`.
    pub fn into_tokens(self) -> Tokens {
        Tokens { data: self.data, batch: self.batch, length: self.height * self.width, width: self.channels }
    }

    /// Values in the order `[B, C, H, W]` that PyTorch has → a grid.
    ///
    /// # Panics
    /// If there are not as many values.
    pub fn from_channels_first(data: &[f32], [batch, channels, height, width]: [usize; 4]) -> Self {
        assert_eq!(data.len(), batch * channels * height * width);
        let mut grid = Self::zeros([batch, height, width, channels]);
        for b in 0..batch {
            for c in 0..channels {
                for p in 0..height * width {
                    grid.data[(b * height * width + p) * channels + c] =
                        data[(b * channels + c) * height * width + p];
                }
            }
        }
        grid
    }

    /// The values in PyTorch's order, `[B, C, H, W]`.
    pub fn to_channels_first(&self) -> Vec<f32> {
        let positions = self.height * self.width;
        let mut out = vec![0.0; self.data.len()];
        for b in 0..self.batch {
            for p in 0..positions {
                for c in 0..self.channels {
                    out[(b * self.channels + c) * positions + p] =
                        self.data[(b * positions + p) * self.channels + c];
                }
            }
        }
        out
    }
}

/// Tokens, `[B, L, D]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// `[B, L, D]`.
    pub data: Vec<f32>,
    /// Sequences, `B`.
    pub batch: usize,
    /// Tokens of each, `L`.
    pub length: usize,
    /// Width of a token, `D`.
    pub width: usize,
}

impl Tokens {
    /// # Panics
    /// If there are not `B · L · D` values: a bug of the caller.
    pub fn new(data: Vec<f32>, [batch, length, width]: [usize; 3]) -> Self {
        assert_eq!(data.len(), batch * length * width, "data is not [{batch}, {length}, {width}]");
        Self { data, batch, length, width }
    }

    /// `[B, L, D]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.batch, self.length, self.width]
    }

    /// One token.
    pub fn at(&self, b: usize, l: usize) -> &[f32] {
        &self.data[(b * self.length + l) * self.width..][..self.width]
    }

    /// Token `l` of every sequence, `[B, D]`.
    pub fn column(&self, l: usize) -> Vec<f32> {
        (0..self.batch).flat_map(|b| self.at(b, l)).copied().collect()
    }

    /// Token `places[b]` of each sequence, `[B, 1, D]`.
    pub fn pick(&self, places: &[usize]) -> Self {
        assert_eq!(places.len(), self.batch, "one place a sequence");
        let data = places.iter().enumerate().flat_map(|(b, l)| self.at(b, *l)).copied().collect();
        Self::new(data, [self.batch, 1, self.width])
    }

    /// The same tokens with `first [D]` before each sequence, `[B, 1 + L, D]`.
    pub fn with_first(&self, first: &[f32]) -> Self {
        assert_eq!(first.len(), self.width);
        let mut data = Vec::with_capacity(self.data.len() + self.batch * self.width);
        for sequence in self.data.chunks_exact(self.length * self.width) {
            data.extend_from_slice(first);
            data.extend_from_slice(sequence);
        }
        Self::new(data, [self.batch, self.length + 1, self.width])
    }

    /// Adds `table [L, D]` to every sequence.
    pub fn add_to_each(&mut self, table: &[f32]) {
        assert_eq!(table.len(), self.length * self.width);
        for sequence in self.data.chunks_exact_mut(table.len()) {
            sequence.iter_mut().zip(table).for_each(|(value, add)| *value += add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_walk_both_ways_and_joined_channels_come_apart() {
        let data: Vec<f32> = (0..2 * 3 * 2 * 4).map(|i| i as f32).collect();
        let grid = Grid::from_channels_first(&data, [2, 3, 2, 4]);
        assert_eq!(grid.at(1, 0, 2), [26.0, 34.0, 42.0]);
        assert_eq!(grid.to_channels_first(), data);
        let (left, right) = (grid.channels(0..1), grid.channels(1..3));
        assert_eq!(Grid::join(&[&left, &right]), grid);
    }

    #[test]
    fn thinning_keeps_the_first_of_every_so_many_places() {
        let grid = Grid::new((0..2 * 3 * 5).map(|i| i as f32).collect(), [2, 3, 5, 1]);
        let thinned = grid.thinned(2);
        assert_eq!(thinned.shape(), [2, 2, 3, 1]);
        assert_eq!(thinned.data, [0.0, 2.0, 4.0, 10.0, 12.0, 14.0, 15.0, 17.0, 19.0, 25.0, 27.0, 29.0]);
    }
}
