use vidit_kernels::flow::{Level, Windows};

use super::{Conv2d, average_pool};
use crate::{BackboneError, Grid, Weights};

/// Scales at which RAFT and its descendants compare features.
pub const CORRELATION_LEVELS: usize = 4;

/// A feature map at several scales, to be compared with another's.
pub struct Pyramid {
    /// `[1, H, W, C]`, then half as high and wide each.
    levels: Vec<Grid>,
}

impl Pyramid {
    /// Of `map [1, H, W, C]`; each level is the mean of 2 × 2 of the one before.
    pub fn new(map: Grid) -> Self {
        assert_eq!(map.batch, 1, "a pyramid is of one map");
        let mut levels = vec![map];
        for level in 1..CORRELATION_LEVELS {
            levels.push(average_pool(&levels[level - 1], 2));
        }
        Self { levels }
    }

    /// The map, `[1, H, W, C]`.
    pub fn map(&self) -> &Grid {
        &self.levels[0]
    }

    /// The map, then each level.
    pub fn levels(&self) -> &[Grid] {
        &self.levels
    }

    /// Windows for [`Self::look_up`], none of them known yet.
    pub fn windows(&self, radius: usize) -> Windows {
        Windows::new(self.map().positions(), CORRELATION_LEVELS, radius)
    }

    /// How each position of this map agrees with `other` around `places [H, W, 2]`, divided by √C: `[1, H, W, 4 · (2r + 1)²]`, level by
    /// level, and each window row by row. `windows` are those of this map towards that one.
    pub fn look_up(&self, other: &Pyramid, windows: &mut Windows, places: &[f32]) -> Grid {
        let map = self.map();
        let levels: Vec<Level> = (other.levels.iter())
            .map(|level| Level { data: &level.data, height: level.height, width: level.width })
            .collect();
        let scale = 1.0 / (map.channels as f32).sqrt();
        let data = windows.look_up(&map.data, &levels, places, scale);
        Grid::new(data, [1, map.height, map.width, windows.width()])
    }
}

/// Each pixel's own x and y, `[H, W, 2]`.
pub fn pixels(height: usize, width: usize) -> Vec<f32> {
    (0..height * width).flat_map(|i| [(i % width) as f32, (i / width) as f32]).collect()
}

/// The convolution `1 × 1` that reads `pyramids` results of [`Pyramid::look_up`], and the radius of their windows. The published weights
/// are for windows that come column by column.
///
/// # Errors
/// If a tensor is absent, or the channels are no squares of odd numbers.
pub fn conv_of_windows(
    weights: &Weights,
    pyramids: usize,
    published_radius: usize,
    published_output: usize,
) -> Result<(Conv2d, usize), BackboneError> {
    let count = pyramids * CORRELATION_LEVELS;
    let planes = weights.shape("weight").and_then(|shape| shape.get(1).copied());
    let planes = planes.unwrap_or(count * (2 * published_radius + 1).pow(2));
    let across = (planes / count).isqrt();
    if across % 2 == 0 || across * across * count != planes {
        let reason = format!(
            "correlations have `{planes}` channels, expected {count} times the square of an odd number"
        );
        return Err(BackboneError::Config { network: weights.network(), reason });
    }
    let output = weights.shape("bias").and_then(|shape| shape.first().copied()).unwrap_or(published_output);
    let by_columns = weights.take("weight", &[output, planes, 1, 1])?;
    let mut by_rows = vec![0.0; by_columns.len()];
    for (i, weight) in by_rows.iter_mut().enumerate() {
        let (window, y, x) = (i / (across * across), i / across % across, i % across);
        *weight = by_columns[(window * across + x) * across + y];
    }
    let bias = weights.take("bias", &[output])?;
    Ok((Conv2d::new(&by_rows, bias, [planes, output], [1; 2], [1; 2], [0; 2]), across / 2))
}
