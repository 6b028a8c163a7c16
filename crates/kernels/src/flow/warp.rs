//! Maps and frames seen where a flow points, as PyTorch's `grid_sample` gives them.
//!
//! Places go through PyTorch's coordinates from −1 to 1 in its order of rounding: pixels of frames of a thousand columns move
//! by 5e-5 of a pixel on that way, and what is compared afterwards was truncated to whole levels.

use rayon::prelude::*;

use crate::isa::multiversion;
use crate::pointwise::sigmoid;

/// One axis of a map.
struct Axis {
    /// PyTorch's coordinate of each pixel.
    coordinates: Vec<f32>,
    /// Pixels to one of these coordinates.
    half: f32,
    last: f32,
}

impl Axis {
    fn new(size: usize) -> Self {
        let last = (size - 1) as f32;
        let step = 2.0 / last;
        // `linspace` counts from both ends.
        let coordinate = |i: usize| {
            if i < size / 2 { -1.0 + step * i as f32 } else { 1.0 - step * (size - 1 - i) as f32 }
        };
        Self { coordinates: (0..size).map(coordinate).collect(), half: last / 2.0, last }
    }

    /// Where pixel `i` moved by `flow` lies, within the map.
    #[inline(always)]
    fn place(&self, i: usize, flow: f32) -> f32 {
        let place = (self.coordinates[i] + flow / self.half + 1.0) * self.half;
        // As there, what is no number becomes 0.
        place.max(0.0).min(self.last)
    }
}

/// The four pixels around a place, and their weights.
#[derive(Clone, Copy)]
struct Corners {
    pixels: [usize; 4],
    weights: [f32; 4],
}

#[inline(always)]
fn corners(axes: &[Axis; 2], [y, x]: [usize; 2], flow: &[f32], width: usize) -> Corners {
    let (place_x, place_y) = (axes[0].place(x, flow[0]), axes[1].place(y, flow[1]));
    let (left, top) = (place_x as usize, place_y as usize);
    let (east, south) = (place_x - left as f32, place_y - top as f32);
    let (west, north) = (1.0 - east, 1.0 - south);
    // Beyond the last pixel the weight is 0.
    let right = (left + 1).min(axes[0].coordinates.len() - 1);
    let low = (top + 1).min(axes[1].coordinates.len() - 1);
    Corners {
        pixels: [top * width + left, top * width + right, low * width + left, low * width + right],
        weights: [west * north, east * north, west * south, east * south],
    }
}

/// `map [H, W, C]` where `flow` points: pixel `p` moves by the two values of `flow [H, W, F]` from channel `first` on, which are x and
/// y. Bilinear, the border repeated outwards: `[H, W, C]`.
///
/// # Panics
/// If the sizes do not fit together, or a side is shorter than two pixels.
pub fn warp(map: &[f32], flow: &[f32], first: usize, [height, width]: [usize; 2]) -> Vec<f32> {
    assert!(height > 1 && width > 1, "maps of one pixel cannot be warped");
    let channels = map.len() / (height * width);
    let pitch = flow.len() / (height * width);
    assert_eq!(map.len(), height * width * channels, "map is not [H, W, C]");
    assert!(flow.len() == height * width * pitch && first + 2 <= pitch, "flow is not [H, W, F]");
    let axes = [Axis::new(width), Axis::new(height)];
    let mut out = vec![0.0; map.len()];
    (out.par_chunks_mut(width * channels))
        .zip(flow.par_chunks(width * pitch))
        .enumerate()
        .for_each(|(y, (out, flow))| warp_row(map, &axes, y, flow, [first, pitch], out));
    out
}

multiversion! {
    fn warp_row(map: &[f32], axes: &[Axis; 2], y: usize, flow: &[f32], of_flow: [usize; 2], out: &mut [f32]) {
        let [first, pitch] = of_flow;
        let width = flow.len() / pitch;
        let channels = out.len() / width;
        for (x, (out, flow)) in out.chunks_exact_mut(channels).zip(flow.chunks_exact(pitch)).enumerate() {
            let Corners { pixels, weights } = corners(axes, [y, x], &flow[first..], width);
            let [a, b, c, d] = pixels.map(|pixel| &map[pixel * channels..][..channels]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = a[i] * weights[0] + b[i] * weights[1] + c[i] * weights[2] + d[i] * weights[3];
            }
        }
    }
}

/// Mixtures of two frames seen where several flows point, as AMT makes its candidates (Li et al. 2023, section 3.4).
pub struct Candidates<'a> {
    /// Red, green and blue of both frames less `mean`, and a fourth value that is not read: `[H, W, 4]` each.
    pub frames: [&'a [f32]; 2],
    /// What was taken off the frames.
    pub mean: f32,
    /// Flows to both frames at half of this scale, `[H, W, 4]`: x and y, x and y.
    pub flow: &'a [f32],
    /// For each of `n` candidates what is added to the first flow, then to the second, then the logits of the first frame's share, then
    /// what is added to the colours: `[H, W, 2n + 2n + n + 3n]`.
    pub decoded: &'a [f32],
    /// `n`.
    pub count: usize,
    /// `H` and `W`.
    pub size: [usize; 2],
}

impl Candidates<'_> {
    /// The candidates' colours, `[H, W, 3n]`.
    ///
    /// # Panics
    /// If the sizes do not fit together, or a side is shorter than two pixels.
    pub fn blend(&self) -> Vec<f32> {
        let ([height, width], n) = (self.size, self.count);
        let positions = height * width;
        assert!(height > 1 && width > 1, "frames of one pixel cannot be warped");
        assert!(self.frames.iter().all(|frame| frame.len() == 4 * positions), "frames are not [H, W, 4]");
        assert_eq!(self.flow.len(), 4 * positions, "flow is not [H, W, 4]");
        assert_eq!(self.decoded.len(), 8 * n * positions, "decoded is not [H, W, 8n]");
        let axes = [Axis::new(width), Axis::new(height)];
        let mut out = vec![0.0; positions * 3 * n];
        (out.par_chunks_mut(width * 3 * n)).enumerate().for_each(|(y, out)| blend_row(self, &axes, y, out));
        out
    }
}

multiversion! {
    fn blend_row(given: &Candidates, axes: &[Axis; 2], y: usize, out: &mut [f32]) {
        let (n, width) = (given.count, given.size[1]);
        let (first, second) = (given.frames[0].as_chunks::<4>().0, given.frames[1].as_chunks::<4>().0);
        let flows = &given.flow.as_chunks::<4>().0[y * width..][..width];
        let decoded = given.decoded[y * width * 8 * n..].chunks_exact(8 * n);
        for (x, ((out, flow), decoded)) in out.chunks_exact_mut(3 * n).zip(flows).zip(decoded).enumerate() {
            for (i, out) in out.chunks_exact_mut(3).enumerate() {
                let moved = |frame: &[[f32; 4]], delta: &[f32], flow: &[f32]| {
                    let flow = [0, 1].map(|axis| delta[axis] + 2.0 * flow[axis]);
                    let Corners { pixels, weights } = corners(axes, [y, x], &flow, width);
                    let [a, b, c, d] = pixels.map(|pixel| frame[pixel]);
                    std::array::from_fn::<f32, 4, _>(|c_| {
                        a[c_] * weights[0] + b[c_] * weights[1] + c[c_] * weights[2] + d[c_] * weights[3]
                    })
                };
                let first = moved(first, &decoded[2 * i..], &flow[..2]);
                let second = moved(second, &decoded[2 * (n + i)..], &flow[2..]);
                let share = sigmoid(decoded[4 * n + i]);
                let added = &decoded[5 * n + 3 * i..][..3];
                for c in 0..3 {
                    out[c] = share * first[c] + (1.0 - share) * second[c] + given.mean + added[c];
                }
            }
        }
    }
}
