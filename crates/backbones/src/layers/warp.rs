use rayon::prelude::*;

use crate::Grid;

/// What lies outside a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    Zeros,
    /// The nearest value inside.
    Nearest,
}

/// `x [B, H, W, C]` at `points [B, P, 2]`, pairs of x and y in pixels (0 is the middle of the first), between pixels bilinear:
/// `[B, P, C]`. PyTorch's `grid_sample` with aligned corners, in pixels.
pub fn sample_bilinear(x: &Grid, points: &[f32], border: Border) -> Vec<f32> {
    let per_map = points.len() / x.batch.max(1);
    assert_eq!(points.len(), x.batch * per_map, "points are not [B, P, 2]");
    let mut out = vec![0.0; points.len() / 2 * x.channels];
    const ROWS: usize = 256;
    out.par_chunks_mut(ROWS * x.channels).zip(points.par_chunks(2 * ROWS)).enumerate().for_each(
        |(chunk, (out, points))| {
            for (i, (out, point)) in out.chunks_exact_mut(x.channels).zip(points.chunks_exact(2)).enumerate()
            {
                let b = (chunk * ROWS + i) / (per_map / 2);
                sample_one(x, b, point[0], point[1], border, out);
            }
        },
    );
    out
}

#[inline]
fn sample_one(x: &Grid, b: usize, px: f32, py: f32, border: Border, out: &mut [f32]) {
    let (px, py) = match border {
        Border::Nearest => (px.clamp(0.0, (x.width - 1) as f32), py.clamp(0.0, (x.height - 1) as f32)),
        Border::Zeros => (px, py),
    };
    if !(px.is_finite() && py.is_finite()) {
        out.fill(f32::NAN);
        return;
    }
    let (left, top) = (px.floor(), py.floor());
    let (wx, wy) = (px - left, py - top);
    out.fill(0.0);
    for (row, weight_y) in [(top, 1.0 - wy), (top + 1.0, wy)] {
        for (column, weight_x) in [(left, 1.0 - wx), (left + 1.0, wx)] {
            let inside = row >= 0.0 && row < x.height as f32 && column >= 0.0 && column < x.width as f32;
            let weight = weight_x * weight_y;
            if inside && weight != 0.0 {
                let from = x.at(b, row as usize, column as usize);
                out.iter_mut().zip(from).for_each(|(out, from)| *out += weight * from);
            }
        }
    }
}
