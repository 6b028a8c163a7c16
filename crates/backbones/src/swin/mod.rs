//! What is in a picture, and where? Swin transformer (Liu et al. 2021): attention within windows that move from block to block, on maps
//! that halve from stage to stage.

mod windows;

#[cfg(test)]
mod parity;

use rayon::prelude::*;
use vidit_kernels::attention::ScoreTable;

use crate::layers::{Activation, Conv2d, LayerNorm, Linear, MultiHead};
use crate::{BackboneError, Grid, Tokens, Weights};
use windows::{Windows, gathered, inverse, relative};

const EPSILON: f32 = 1e-5;

/// A Swin transformer with weights; all its sizes are those of the weights.
pub struct Swin {
    patches: Conv2d,
    patch: usize,
    norm_of_patches: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
    width: usize,
}

struct Stage {
    blocks: Vec<Block>,
    /// Norm and product of 2 × 2 positions that become one; the last stage has none.
    merge: Option<(LayerNorm, Linear)>,
}

struct Block {
    /// Side of a window.
    side: usize,
    /// Whether windows of this block are moved by half of their side, where the map has several.
    moves: bool,
    norm1: LayerNorm,
    attention: MultiHead,
    /// `[N, S², S²]`, keys before queries.
    table: Vec<f32>,
    heads: usize,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Swin {
    /// Side of the pictures that Tag2Text's network reads.
    pub const SIDE_OF_TAG2TEXT: usize = 384;

    /// Takes the tensors below a place, by the keys of the official code; buffers that follow from sizes (`relative_position_index`,
    /// `attn_mask`) are dropped.
    ///
    /// # Errors
    /// If one is absent or misshapen.
    pub fn load(weights: &Weights) -> Result<Self, BackboneError> {
        let embed = weights.at("patch_embed");
        let (shape, weight) = embed.at("proj").take_any("weight", 4)?;
        let [mut width, channels, patch, across] = shape[..] else {
            unreachable!("four axes were asked for")
        };
        if channels != 3 || patch != across || patch == 0 {
            return Err(BackboneError::Config {
                network: weights.network(),
                reason: format!("`patch_embed.proj.weight` is {shape:?}, expected [C, 3, P, P]"),
            });
        }
        let bias = embed.at("proj").take("bias", &[width])?;
        let patches = Conv2d::new(&weight, bias, [3, width], [patch; 2], [patch; 2], [0; 2]);
        let norm_of_patches = LayerNorm::load(&embed.at("norm"), width, EPSILON)?;
        let mut stages = Vec::new();
        for i in 0..weights.count("layers").max(1) {
            let stage = weights.at("layers").at(i);
            let blocks = (0..stage.count("blocks").max(1))
                .map(|j| Block::load(&stage.at("blocks").at(j), width, j % 2 == 1))
                .collect::<Result<_, _>>()?;
            let below = stage.at("downsample");
            let merge = match below.at("reduction").shape("weight") {
                None => None,
                Some(_) => Some((
                    LayerNorm::load(&below.at("norm"), 4 * width, EPSILON)?,
                    Linear::load_without_bias(&below.at("reduction"), [4 * width, 2 * width])?,
                )),
            };
            width *= if merge.is_some() { 2 } else { 1 };
            stages.push(Stage { blocks, merge });
        }
        let norm = LayerNorm::load(&weights.at("norm"), width, EPSILON)?;
        Ok(Self { patches, patch, norm_of_patches, stages, norm, width })
    }

    /// Width of a token that comes out.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[B, H, W, 3]`, RGB normalised with ImageNet's mean and deviation → `[B, 1 + L, D]`: the mean of the last map, then its positions
    /// row by row, a 32nd of the picture a side where there are four stages.
    ///
    /// # Panics
    /// If windows do not cover the maps evenly: a bug of the caller.
    pub fn forward(&self, images: &Grid) -> Tokens {
        self.forward_watched(images, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name.
    pub fn forward_watched(&self, images: &Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Tokens {
        let fits = |size: usize| size > 0 && size % self.patch == 0;
        assert!(fits(images.height) && fits(images.width), "patches cover a picture evenly");
        let mut x = self.patches.forward(images); // [B, H/P, W/P, C]
        x.data = self.norm_of_patches.forward(&x.data);
        watch("patches", &x.data);
        for (i, stage) in self.stages.iter().enumerate() {
            for (j, block) in stage.blocks.iter().enumerate() {
                x = block.forward(x);
                watch(&format!("stage.{i}.block.{j}"), &x.data);
            }
            if let Some((norm, product)) = &stage.merge {
                x = merged(&x, norm, product); // [B, H/2, W/2, 2C]
                watch(&format!("stage.{i}.merged"), &x.data);
            }
        }
        x.data = self.norm.forward(&x.data);
        let out = with_mean(x.into_tokens()); // [B, 1 + L, D]
        watch("features", &out.data);
        out
    }
}

impl Block {
    fn load(weights: &Weights, width: usize, moves: bool) -> Result<Self, BackboneError> {
        let attention = weights.at("attn");
        let (shape, biases) = attention.take_any("relative_position_bias_table", 2)?;
        attention.skip("relative_position_index");
        weights.skip("attn_mask");
        let ([places, heads], span) = ([shape[0], shape[1]], shape[0].isqrt());
        if span * span != places || span % 2 == 0 || heads == 0 || width % heads != 0 {
            return Err(BackboneError::Config {
                network: weights.network(),
                reason: format!(
                    "`relative_position_bias_table` is {shape:?}, expected [(2S−1)², N] of N heads that divide {width}"
                ),
            });
        }
        let side = span.div_ceil(2);
        let joined = attention.take("qkv.weight", &[3 * width, width])?;
        let bias = attention.take("qkv.bias", &[3 * width])?;
        let out = Linear::load(&attention.at("proj"), [width; 2])?;
        let mlp = weights.at("mlp");
        let hidden = mlp.shape("fc1.bias").map_or(0, |shape| shape.iter().product());
        Ok(Self {
            side,
            moves,
            norm1: LayerNorm::load(&weights.at("norm1"), width, EPSILON)?,
            attention: MultiHead::of_joined(&joined, &bias, out, heads),
            table: relative(&biases, heads, side),
            heads,
            norm2: LayerNorm::load(&weights.at("norm2"), width, EPSILON)?,
            up: Linear::load(&mlp.at("fc1"), [width, hidden])?,
            down: Linear::load(&mlp.at("fc2"), [hidden, width])?,
        })
    }

    /// `[B, H, W, C]` → the same.
    fn forward(&self, x: Grid) -> Grid {
        let shape = x.shape();
        let [batch, height, width, channels] = shape;
        let side = self.side;
        assert!(
            height % side == 0 && width % side == 0,
            "windows of {side} × {side} cover a map of {height} × {width} evenly"
        );
        // A map that is one window high or wide is not moved, as the official code has it.
        let shift = if self.moves && height.min(width) > side { side / 2 } else { 0 };
        let windows = Windows { height, width, side, shift };
        let order = windows.order();
        let x = gathered(&x.data, &order, channels);
        let of_windows = [batch * windows.count(), side * side, channels];
        let h = Tokens::new(self.norm1.forward(&x), of_windows); // [B·W, S², C]
        let x = Tokens::new(x, of_windows);
        let masked = if shift > 0 { windows.masked(&self.table) } else { Vec::new() };
        let table = match shift {
            0 => ScoreTable { values: &self.table, samples: 1, heads: self.heads },
            _ => ScoreTable { values: &masked, samples: windows.count(), heads: self.heads },
        };
        let x = self.attention.forward_with_table(&h, table, Some(&x)).data;
        drop(h);
        let h = self.up.activated(&self.norm2.forward(&x), Activation::Gelu); // [B·W·S², hidden]
        let x = self.down.added(&h, &x);
        Grid::new(gathered(&x, &inverse(&order), channels), shape)
    }
}

/// 2 × 2 positions become one of twice the channels, `[B, H, W, C]` → `[B, H/2, W/2, 2C]`.
fn merged(x: &Grid, norm: &LayerNorm, product: &Linear) -> Grid {
    let [batch, height, width, channels] = x.shape();
    assert!(height % 2 == 0 && width % 2 == 0, "a map of {height} × {width} cannot be halved");
    let shape = [batch, height / 2, width / 2, 4 * channels];
    let mut joined = Grid::zeros(shape);
    joined.data.par_chunks_mut(shape[2] * shape[3]).enumerate().for_each(|(row, out)| {
        let (b, y) = (row / shape[1], row % shape[1] * 2);
        for (i, out) in out.chunks_exact_mut(shape[3]).enumerate() {
            // Down before right.
            let four = [[0, 0], [1, 0], [0, 1], [1, 1]];
            for ([down, right], out) in four.into_iter().zip(out.chunks_exact_mut(channels)) {
                out.copy_from_slice(x.at(b, y + down, 2 * i + right));
            }
        }
    });
    let data = product.forward(&norm.forward(&joined.data)); // [B·H/2·W/2, 2C]
    Grid::new(data, [batch, shape[1], shape[2], 2 * channels])
}

/// The mean of the tokens before them, `[B, L, D]` → `[B, 1 + L, D]`.
fn with_mean(x: Tokens) -> Tokens {
    let [batch, length, width] = x.shape();
    let mut data = Vec::with_capacity(batch * (length + 1) * width);
    for tokens in x.data.chunks_exact(length * width) {
        let mut mean = vec![0.0f64; width];
        for token in tokens.chunks_exact(width) {
            mean.iter_mut().zip(token).for_each(|(sum, value)| *sum += *value as f64);
        }
        data.extend(mean.iter().map(|sum| (sum / length as f64) as f32));
        data.extend_from_slice(tokens);
    }
    Tokens::new(data, [batch, length + 1, width])
}
