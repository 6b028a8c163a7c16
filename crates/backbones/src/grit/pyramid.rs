//! The simple feature pyramid of ViTDet (Li et al. 2022): every level is made of the last map of the transformer.

use vidit_kernels::Precision;
use vidit_kernels::gemm::{LaneMajor, Plain, gemm_new};

use crate::layers::{Activation, Conv2d, LayerNorm, Linear, max_pool};
use crate::{BackboneError, Grid, Weights};

/// PyTorch's default.
const EPSILON: f32 = 1e-5;

pub(super) struct Pyramid {
    /// The transposed convolution of 2×2 and the convolution of 1×1 behind it, which nothing lies between: `D → 4·C`.
    finer: Linear,
    even: Linear,
    coarser: Linear,
    /// Of strides 8, 16, 32.
    rest: [Rest; 3],
    /// Of strides 64 and 128.
    coarsest: [Conv2d; 2],
}

/// What follows a projection.
struct Rest {
    norm1: LayerNorm,
    conv: Conv2d,
    norm2: LayerNorm,
}

impl Rest {
    fn load(weights: &Weights, stride: usize, channels: usize) -> Result<Self, BackboneError> {
        let name = |part: &str| weights.at(format!("fpn_stride{stride}_{part}"));
        Ok(Self {
            norm1: LayerNorm::load(&name("norm1"), channels, EPSILON)?,
            conv: Conv2d::load_without_bias(&name("conv2"), [channels, channels], 3, 1, 1)?,
            norm2: LayerNorm::load(&name("norm2"), channels, EPSILON)?,
        })
    }

    fn forward(&self, x: Grid) -> Grid {
        let shape = x.shape();
        let x = self.conv.forward(&Grid::new(self.norm1.forward(&x.data), shape));
        Grid::new(self.norm2.forward(&x.data), shape)
    }
}

impl Pyramid {
    pub fn load(weights: &Weights, width: usize) -> Result<Self, BackboneError> {
        let channels = weights.at("fpn_stride8_norm1").shape("weight").map_or(0, |shape| shape[0]);
        let project = |stride: usize| {
            weights.at(format!("fpn_stride{stride}_conv1")).take("weight", &[channels, width, 1, 1])
        };
        let plain = |weight: Vec<f32>| Linear::new(&weight, vec![0.0; channels]);
        let spread = weights.at("fpn_stride_16_8").take("weight", &[width, width, 2, 2])?;
        let rest = |stride| Rest::load(weights, stride, channels);
        let coarsest = |name| Conv2d::load(&weights.at("top_block").at(name), [channels, channels], 3, 2, 1);
        Ok(Self {
            finer: finer(&spread, &project(8)?, width, channels),
            even: plain(project(16)?),
            coarser: plain(project(32)?),
            rest: [rest(8)?, rest(16)?, rest(32)?],
            coarsest: [coarsest("p6")?, coarsest("p7")?],
        })
    }

    /// Channels of a level, `C`.
    pub fn channels(&self) -> usize {
        self.even.output()
    }

    /// `x [B, H, W, D]` of stride 16 → levels of strides 8, 16, 32, 64, 128, channels `C`.
    pub fn forward(&self, x: &Grid) -> [Grid; 5] {
        let [batch, height, width, _] = x.shape();
        let channels = self.channels();
        let finer = Grid::new(self.finer.forward(&x.data), [batch, height, width, 4 * channels]);
        let finer = self.rest[0].forward(unfold(&finer)); // [B, 2H, 2W, C]
        let even = Grid::new(self.even.forward(&x.data), [batch, height, width, channels]);
        let even = self.rest[1].forward(even); // [B, H, W, C]
        let pooled = max_pool(x, 2, 2, 0); // [B, H/2, W/2, D]
        let coarser = self.coarser.forward(&pooled.data);
        let coarser = Grid::new(coarser, [batch, pooled.height, pooled.width, channels]);
        let coarser = self.rest[2].forward(coarser);
        let p6 = self.coarsest[0].forward(&coarser);
        let mut positive = p6.clone();
        vidit_kernels::pointwise::activate_in_place(&mut positive.data, Activation::Relu);
        let p7 = self.coarsest[1].forward(&positive);
        [finer, even, coarser, p6, p7]
    }
}

/// `project [C, D]` after `spread [D, D, 2, 2]`: the matrix `[4·C, D]` of both.
fn finer(spread: &[f32], project: &[f32], width: usize, channels: usize) -> Linear {
    let mut by_tap = vec![0.0; spread.len()];
    for (i, value) in spread.iter().enumerate() {
        let (input, output, tap) = (i / (4 * width), i / 4 % width, i % 4);
        by_tap[(tap * width + input) * width + output] = *value;
    }
    let stride = width;
    let (a, b) = (LaneMajor { data: project, stride }, LaneMajor { data: &by_tap, stride });
    let product = gemm_new([channels, 4 * width, width], &a, &b, &Plain, Precision::F32); // [C, 4, D]
    let mut matrix = vec![0.0; 4 * channels * width];
    for (c, taps) in product.chunks_exact(4 * width).enumerate() {
        for (tap, row) in taps.chunks_exact(width).enumerate() {
            matrix[(tap * channels + c) * width..][..width].copy_from_slice(row);
        }
    }
    Linear::new(&matrix, vec![0.0; 4 * channels])
}

/// `[B, H, W, 4·C]`, the corners of a square of 2×2 row by row → `[B, 2H, 2W, C]`.
fn unfold(x: &Grid) -> Grid {
    let c = x.channels / 4;
    let mut out = Grid::zeros([x.batch, 2 * x.height, 2 * x.width, c]);
    for (position, corners) in x.data.chunks_exact(4 * c).enumerate() {
        let (row, column) = (position / x.width, position % x.width);
        for (half, pair) in corners.chunks_exact(2 * c).enumerate() {
            let to = ((2 * row + half) * 2 * x.width + 2 * column) * c;
            out.data[to..to + 2 * c].copy_from_slice(pair);
        }
    }
    out
}
