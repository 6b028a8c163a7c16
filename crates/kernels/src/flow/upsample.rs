//! Convex upsampling of a flow (Teed & Deng 2020, section 3.3).

use rayon::prelude::*;

use crate::isa::multiversion;
use crate::pointwise::exp;

/// How many times as high and wide the result is.
const FACTOR: usize = 8;
/// Pixels of the result to a pixel of the flow.
const CELL: usize = FACTOR * FACTOR;
/// Pixels that each is a mixture of.
const NEIGHBOURS: usize = 9;

/// Each pixel of the result `[8H, 8W, 2]` is eight times a mixture of the 3 × 3 pixels of `flow [H, W, 2]` around its own (zeros outside).
/// The mixture is the softmax over the first axis of `mask [H, W, 9, 8, 8]`: neighbours row by row, then row and column within
/// the pixel.
///
/// # Panics
/// If the sizes do not fit together.
pub fn convex_upsample(flow: &[f32], mask: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
    assert_eq!(flow.len(), height * width * 2, "flow is not [H, W, 2]");
    assert_eq!(mask.len(), height * width * NEIGHBOURS * CELL, "mask is not [H, W, 9, 8, 8]");
    let mut out = vec![0.0; flow.len() * CELL];
    if out.is_empty() {
        return out;
    }
    (out.par_chunks_mut(width * 2 * CELL))
        .zip(mask.par_chunks(width * NEIGHBOURS * CELL))
        .enumerate()
        .for_each(|(y, (out, mask))| upsample_row(flow, mask, [height, width], y, out));
    out
}

multiversion! {
    fn upsample_row(flow: &[f32], mask: &[f32], size: [usize; 2], y: usize, out: &mut [f32]) {
        let [height, width] = size;
        for (x, mask) in mask.chunks_exact(NEIGHBOURS * CELL).enumerate() {
            let mask: &[[f32; CELL]] = mask.as_chunks().0;
            let mut largest = mask[0];
            for values in &mask[1..] {
                for i in 0..CELL {
                    largest[i] = if values[i] > largest[i] { values[i] } else { largest[i] };
                }
            }
            let (mut sums, mut across, mut down) = ([0.0; CELL], [0.0; CELL], [0.0; CELL]);
            for (k, values) in mask.iter().enumerate() {
                // One more than the neighbour's row and column.
                let (row, column) = (y + k / 3, x + k % 3);
                let inside = (1..=height).contains(&row) && (1..=width).contains(&column);
                let place = if inside { ((row - 1) * width + column - 1) * 2 } else { 0 };
                let [u, v] =
                    if inside { [flow[place], flow[place + 1]].map(|value| FACTOR as f32 * value) } else { [0.0; 2] };
                for i in 0..CELL {
                    let share = exp(values[i] - largest[i]);
                    sums[i] += share;
                    across[i] += share * u;
                    down[i] += share * v;
                }
            }
            for i in 0..CELL {
                let place = ((i / FACTOR * width + x) * FACTOR + i % FACTOR) * 2;
                out[place] = across[i] / sums[i];
                out[place + 1] = down[i] / sums[i];
            }
        }
    }
}
