//! Correlations of each position with a window of another map, at several scales.
//!
//! RAFT makes all products of two maps once, pools them, and looks windows up. A mean of products is a product with the mean, so the
//! pooled levels are products with pooled maps, and the windows alone need making: memory grows with the positions and not with
//! their square. A window is remembered; where its corner moves, what it still covers is moved, and only the rest is made.

use rayon::prelude::*;

use crate::isa::multiversion;

/// A map that windows lie in.
#[derive(Clone, Copy)]
pub struct Level<'a> {
    /// `[H, W, C]`.
    pub data: &'a [f32],
    /// Rows, `H`.
    pub height: usize,
    /// Columns, `W`.
    pub width: usize,
}

/// The windows of all positions.
pub struct Windows {
    radius: usize,
    levels: usize,
    /// `[P, levels]`: the window's first column and row.
    corners: Vec<[i32; 2]>,
    /// `[P, levels, 2r + 2, 2r + 2]`: what the position's channels and those under the window give, 0 outside of the map.
    products: Vec<f32>,
}

/// A corner that no window has.
const NOWHERE: i32 = i32::MIN;
/// Places further out than this many pixels have windows that lie outside of every map.
const FAR: f32 = 1e6;
/// Positions of a task.
const BLOCK: usize = 32;

impl Windows {
    /// No window is known yet. A window reaches `radius` pixels of each level to all sides.
    pub fn new(positions: usize, levels: usize, radius: usize) -> Self {
        let side = 2 * radius + 2;
        let corners = vec![[NOWHERE; 2]; positions * levels];
        Self { radius, levels, corners, products: vec![0.0; positions * levels * side * side] }
    }

    /// Values that [`Self::look_up`] returns for each position, `levels · (2r + 1)²`.
    pub fn width(&self) -> usize {
        self.levels * (2 * self.radius + 1).pow(2)
    }

    /// `from [P, C]` against what lies around `places [P, 2]` (pixels of the first level; the others halve them again and again), times
    /// `scale`: `[P, levels, 2r + 1 rows, 2r + 1 columns]`. Bilinear between pixels, zeros outside. A place that is not a number
    /// gives such values.
    ///
    /// The windows are remembered for the next call, which must be of the same maps and scale.
    ///
    /// # Panics
    /// If the sizes do not fit together.
    pub fn look_up(&mut self, from: &[f32], levels: &[Level], places: &[f32], scale: f32) -> Vec<f32> {
        let positions = places.len() / 2;
        assert_eq!(levels.len(), self.levels, "the windows have another number of levels");
        assert_eq!(positions * self.levels, self.corners.len(), "the windows are of other positions");
        if positions == 0 {
            return Vec::new();
        }
        let channels = from.len() / positions;
        assert_eq!(from.len(), positions * channels, "from is not [P, C]");
        for level in levels {
            let found = level.data.len();
            assert_eq!(found, level.height * level.width * channels, "a level is not [H, W, C]");
        }
        let width = self.width();
        let side = 2 * self.radius + 2;
        let (windows, values) = (BLOCK * self.levels, BLOCK * self.levels * side * side);
        let mut out = vec![0.0; positions * width];
        let (radius, corners, products) = (self.radius, &mut self.corners, &mut self.products);
        (out.par_chunks_mut(BLOCK * width))
            .zip(from.par_chunks(BLOCK * channels).zip(places.par_chunks(BLOCK * 2)))
            .zip(corners.par_chunks_mut(windows).zip(products.par_chunks_mut(values)))
            .for_each(|((out, (from, places)), (corners, products))| {
                look_up_block(&Block { from, places, levels, radius, scale }, corners, products, out);
            });
        out
    }
}

/// Some positions.
struct Block<'a> {
    from: &'a [f32],
    places: &'a [f32],
    levels: &'a [Level<'a>],
    radius: usize,
    scale: f32,
}

multiversion! {
    /// Level by level, so that the maps under the windows of neighbours stay in the cache.
    fn look_up_block(block: &Block, corners: &mut [[i32; 2]], products: &mut [f32], out: &mut [f32]) {
        let (positions, count) = (block.places.len() / 2, block.levels.len());
        let channels = block.from.len() / positions;
        let (side, across) = (2 * block.radius + 2, 2 * block.radius + 1);
        for (l, level) in block.levels.iter().enumerate() {
            let shrink = 1.0 / (1u32 << l) as f32;
            for p in 0..positions {
                let window = p * count + l;
                let products = &mut products[window * side * side..][..side * side];
                let out = &mut out[window * across * across..][..across * across];
                let place = [0, 1].map(|axis| (block.places[2 * p + axis] * shrink).clamp(-FAR, FAR));
                if place[0].is_nan() || place[1].is_nan() {
                    corners[window] = [NOWHERE; 2];
                    out.fill(f32::NAN);
                    continue;
                }
                let corner = place.map(|place| place.floor() as i32 - block.radius as i32);
                let from = &block.from[p * channels..][..channels];
                renew(from, level, corners[window], corner, block.scale, side, products);
                corners[window] = corner;
                blend(products, side, place.map(|place| place - place.floor()), out);
            }
        }
    }
}

/// Moves what the window at `old` shares with that at `new`, and makes the rest.
#[inline(always)]
fn renew(
    from: &[f32],
    level: &Level,
    old: [i32; 2],
    new: [i32; 2],
    scale: f32,
    side: usize,
    products: &mut [f32],
) {
    if old == new {
        return;
    }
    let reach = side as i32;
    // Values that stay come from (y + dy, x + dx).
    let [dx, dy] = [0, 1].map(|axis| new[axis].saturating_sub(old[axis]));
    if dx.abs() >= reach || dy.abs() >= reach {
        make(from, level, new, [0, side], [0, side], scale, side, products);
        return;
    }
    let columns = (-dx).max(0) as usize..(reach - dx.max(0)) as usize;
    let rows = (-dy).max(0) as usize..(reach - dy.max(0)) as usize;
    let mut keep = |y: usize| {
        let start = (y as i32 + dy) * reach + columns.start as i32 + dx;
        products.copy_within(start as usize..start as usize + columns.len(), y * side + columns.start);
    };
    // In the order in which nothing is overwritten before it was moved.
    if dy >= 0 {
        rows.clone().for_each(&mut keep)
    } else {
        rows.clone().rev().for_each(&mut keep)
    }
    make(from, level, new, [0, rows.start], [0, side], scale, side, products);
    make(from, level, new, [rows.end, side], [0, side], scale, side, products);
    let rows = [rows.start, rows.end];
    make(from, level, new, rows, [0, columns.start], scale, side, products);
    make(from, level, new, rows, [columns.end, side], scale, side, products);
}

/// Makes some rows and columns of the window at `corner`.
#[inline(always)]
fn make(
    from: &[f32],
    level: &Level,
    corner: [i32; 2],
    rows: [usize; 2],
    columns: [usize; 2],
    scale: f32,
    side: usize,
    products: &mut [f32],
) {
    if columns[0] >= columns[1] {
        return;
    }
    let channels = from.len();
    // Those of the columns that lie within the map.
    let inside = |column: i32| (column - corner[0]).clamp(columns[0] as i32, columns[1] as i32) as usize;
    let (left, right) = (inside(0), inside(level.width as i32));
    for y in rows[0]..rows[1] {
        let out = &mut products[y * side..][..side];
        let row = corner[1] + y as i32;
        if row < 0 || row >= level.height as i32 || left >= right {
            out[columns[0]..columns[1]].fill(0.0);
            continue;
        }
        out[columns[0]..left].fill(0.0);
        out[right..columns[1]].fill(0.0);
        let first = row as usize * level.width + (corner[0] + left as i32) as usize;
        let under = &level.data[first * channels..][..(right - left) * channels];
        let mut done = 0;
        while done < right - left {
            let rest = &under[done * channels..];
            let to = &mut out[left + done..right];
            done += match to.len() {
                1 => dots::<1>(from, rest, scale, to),
                2 => dots::<2>(from, rest, scale, to),
                3 => dots::<3>(from, rest, scale, to),
                4 => dots::<4>(from, rest, scale, to),
                _ => dots::<5>(from, rest, scale, to),
            };
        }
    }
}

/// The first `N` rows times `from`.
#[inline(always)]
fn dots<const N: usize>(from: &[f32], rows: &[f32], scale: f32, out: &mut [f32]) -> usize {
    const LANES: usize = 16;
    let channels = from.len();
    let (chunks, tail) = from.as_chunks::<LANES>();
    let rows: [(&[[f32; LANES]], &[f32]); N] =
        std::array::from_fn(|n| rows[n * channels..][..channels].as_chunks::<LANES>());
    let mut sums = [[0.0f32; LANES]; N];
    for (k, from) in chunks.iter().enumerate() {
        for n in 0..N {
            let row = &rows[n].0[k];
            for i in 0..LANES {
                sums[n][i] += from[i] * row[i];
            }
        }
    }
    for n in 0..N {
        let rest: f32 = tail.iter().zip(rows[n].1).map(|(a, b)| a * b).sum();
        let mut lanes = sums[n];
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        out[n] = (lanes[0] + rest) * scale;
    }
    N
}

/// Between the products, at `fraction` of a pixel.
#[inline(always)]
fn blend(products: &[f32], side: usize, [fx, fy]: [f32; 2], out: &mut [f32]) {
    let [top_left, top_right] = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy)];
    let [low_left, low_right] = [(1.0 - fx) * fy, fx * fy];
    for (y, out) in out.chunks_exact_mut(side - 1).enumerate() {
        let (top, low) = (&products[y * side..][..side], &products[(y + 1) * side..][..side]);
        for (x, out) in out.iter_mut().enumerate() {
            *out = top[x] * top_left + top[x + 1] * top_right + low[x] * low_left + low[x + 1] * low_right;
        }
    }
}
