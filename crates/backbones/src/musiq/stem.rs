//! What a tile becomes before it is a token: the first convolution and one bottleneck of a ResNet, weights standardised.

use rayon::prelude::*;

use crate::layers::{Activation, Conv2d, GroupNorm};
use crate::{BackboneError, Grid, Weights};

/// Groups of every group norm.
const GROUPS: usize = 32;
/// The first convolution: kernel and stride.
pub(super) const ROOT: [usize; 2] = [7, 2];

pub(super) struct Stem {
    root: Conv2d,
    root_norm: GroupNorm,
    /// Two convolutions, then the one without an activation.
    convs: [(Conv2d, GroupNorm); 3],
    projection: (Conv2d, GroupNorm),
}

impl Stem {
    /// Takes `conv_root`, `gn_root` and `block1`; the channels are those of the weights. Returns the channels that come out, too.
    pub fn load(weights: &Weights) -> Result<(Self, usize), BackboneError> {
        let (shape, root) = weights.at("conv_root").take_any("weight", 4)?;
        let inner = shape[0];
        let root = standardised(&root, &shape, [3, inner], ROOT[0], ROOT[1]);
        if shape[1..] != [3, ROOT[0], ROOT[0]] || inner == 0 || inner % GROUPS != 0 {
            return Err(BackboneError::Config {
                network: weights.network(),
                reason: format!("`conv_root.weight` is {shape:?}, expected a multiple of 32 of [3, 7, 7]"),
            });
        }
        let block = weights.at("block1");
        let outer = 4 * inner;
        let part = |name: &str, norm: &str, channels: [usize; 2], kernel: usize| {
            let shape = [channels[1], channels[0], kernel, kernel];
            let weight = block.at(name).take("weight", &shape)?;
            let conv = standardised(&weight, &shape, channels, kernel, 1);
            Ok((conv, GroupNorm::load(&block.at(norm), channels[1], GROUPS, 1e-4)?))
        };
        let stem = Self {
            root,
            root_norm: GroupNorm::load(&weights.at("gn_root"), inner, GROUPS, 1e-6)?,
            convs: [
                part("conv1", "gn1", [inner; 2], 1)?,
                part("conv2", "gn2", [inner; 2], 3)?,
                part("conv3", "gn3", [inner, outer], 1)?,
            ],
            projection: part("conv_proj", "gn_proj", [inner, outer], 1)?,
        };
        Ok((stem, outer))
    }

    /// Tiles of `p` pixels with the zeros of the first convolution around them → `[T, p/4, p/4, 4C]`.
    pub fn forward(&self, tiles: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Grid {
        let mut x = self.root.forward(tiles); // [T, p/2, p/2, C]
        self.root_norm.apply(&mut x, Some(Activation::Relu));
        let x = max_pool_same(&x); // [T, p/4, p/4, C]
        watch("root", &x.data);
        let [first, second, third] = &self.convs;
        let mut y = first.0.forward(&x);
        first.1.apply(&mut y, Some(Activation::Relu));
        let mut y = second.0.forward(&y);
        second.1.apply(&mut y, Some(Activation::Relu));
        let mut y = third.0.forward(&y); // [T, p/4, p/4, 4C]
        third.1.apply(&mut y, None);
        let mut skipped = self.projection.0.forward(&x); // [T, p/4, p/4, 4C]
        self.projection.1.apply(&mut skipped, None);
        let row = y.width * y.channels;
        y.data.par_chunks_mut(row).zip(skipped.data.par_chunks(row)).for_each(|(y, x)| {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = (*y + x).max(0.0));
        });
        watch("block", &y.data);
        y
    }
}

/// A convolution whose weights have mean 0 and deviation 1 for each output (Qiao et al. 2019): the unbiased deviation, and 1e-5.
/// Its zeros are half a kernel around, but for the first, whose tiles bring theirs.
fn standardised(
    weight: &[f32],
    shape: &[usize],
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
) -> Conv2d {
    let fan = weight.len() / shape[0].max(1);
    let weight: Vec<f32> = weight
        .chunks_exact(fan.max(1))
        .flat_map(|row| {
            let mean = row.iter().map(|w| *w as f64).sum::<f64>() / fan as f64;
            let squares = row.iter().map(|w| (*w as f64 - mean).powi(2)).sum::<f64>();
            let deviation = (squares / (fan as f64 - 1.0)).sqrt() + 1e-5;
            row.iter().map(move |w| ((*w as f64 - mean) / deviation) as f32)
        })
        .collect();
    let padding = if stride == 1 { kernel / 2 } else { 0 };
    Conv2d::new(&weight, vec![0.0; channels[1]], channels, [kernel; 2], [stride; 2], [padding; 2])
}

/// The largest of 3 × 3 at every second position of maps of even sides; TensorFlow's `SAME` then has zeros on the right and below
/// alone, which change nothing after ReLU.
fn max_pool_same(x: &Grid) -> Grid {
    let (height, width, channels) = (x.height / 2, x.width / 2, x.channels);
    let mut out = Grid::zeros([x.batch, height, width, channels]);
    out.data.par_chunks_mut(width * channels).enumerate().for_each(|(row, out)| {
        let (b, y0) = (row / height, row % height * 2);
        for (i, out) in out.chunks_exact_mut(channels).enumerate() {
            for y in y0..(y0 + 3).min(x.height) {
                for x in (i * 2..(i * 2 + 3).min(x.width)).map(|column| x.at(b, y, column)) {
                    out.iter_mut().zip(x).for_each(|(out, x)| *out = out.max(*x));
                }
            }
        }
    });
    out
}
