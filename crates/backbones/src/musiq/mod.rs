//! How good does a picture look? MUSIQ (Ke et al. 2021): tiles of a picture at three scales are tokens of one transformer.
//!
//! Keys are those of `musiq_spaq_ckpt-358bb6af.pth`.

mod stem;
mod tiles;

#[cfg(test)]
mod parity;

use rayon::prelude::*;
use vidit_weights::TensorStore;

use crate::layers::{Activation, EncoderBlock, LayerNorm, Linear, MultiHead};
use crate::{BackboneError, Checkpoint, Grid, Tokens, Weights};
use stem::{ROOT, Stem};
use tiles::{Scale, scales, side_of};

const NAME: &str = "MUSIQ";
const EPSILON: f32 = 1e-6;
/// Tiles that walk through the stem together: about those of a frame of 512 × 288.
const TILES: usize = 256;

/// What the weights do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Heads of attention.
    pub heads: usize,
    /// Longer sides of the scales below the picture's own, in pixels, the smaller first.
    pub longer_sides: [usize; 2],
}

impl Config {
    /// The published network.
    pub const PUBLISHED: Self = Self { heads: 6, longer_sides: [224, 384] };
}

/// MUSIQ with weights.
pub struct Musiq {
    config: Config,
    /// Pixels of a tile's side.
    side: usize,
    stem: Stem,
    embedding: Linear,
    /// `[grid², D]`.
    positions: Vec<f32>,
    grid: usize,
    /// `[3, D]`.
    scales: Vec<f32>,
    /// `[D]`.
    class: Vec<f32>,
    blocks: Vec<EncoderBlock>,
    norm: LayerNorm,
    head: Linear,
}

impl Musiq {
    /// Takes all tensors; a prefix `module.` of keys is dropped.
    ///
    /// # Errors
    /// If one is absent, misshapen, or has no use.
    pub fn load(store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NAME, store).without_prefix("module.");
        let weights = checkpoint.root();
        let (stem, channels) = Stem::load(&weights)?;
        let embedding = weights.at("embedding");
        let shape = embedding.shape("weight").unwrap_or_else(|| vec![0; 2]);
        let [width, depth] = shape.try_into().unwrap_or([0; 2]);
        let embedding = Linear::load(&embedding, [depth, width])?;
        let side = side_of(depth, channels)?;
        if config.heads == 0 || width % config.heads != 0 {
            let reason = format!("{} heads do not divide a width of {width}", config.heads);
            return Err(BackboneError::Config { network: NAME, reason });
        }
        let encoder = weights.at("transformer_encoder");
        let (shape, positions) = encoder.at("posembed_input").take_any("position_emb", 3)?;
        let grid = shape[1].isqrt();
        if grid == 0 || shape != [1, grid * grid, width] {
            let reason = format!("`position_emb` is {shape:?}, expected a square of embeddings of {width}");
            return Err(BackboneError::Config { network: NAME, reason });
        }
        let scale_count = config.longer_sides.len() + 1;
        let scales = encoder.at("scaleembed_input").take("scale_emb", &[scale_count, width])?;
        let class = encoder.take("cls", &[1, 1, width])?;
        let mut blocks = Vec::new();
        loop {
            let block = encoder.at("transformer").at(format!("encoderblock_{}", blocks.len()));
            // The first block must be there.
            if !blocks.is_empty() && block.at("norm1").shape("weight").is_none() {
                break;
            }
            blocks.push(load_block(&block, width, config.heads)?);
        }
        let norm = LayerNorm::load(&encoder.at("encoder_norm"), width, EPSILON)?;
        let head = Linear::load(&weights.at("head"), [width, 1])?;
        checkpoint.finish(|_| false)?;
        Ok(Self { config, side, stem, embedding, positions, grid, scales, class, blocks, norm, head })
    }

    /// A score of each picture, about 0 to 100, the better the higher: `[B, H, W, 3]`, RGB from 0 to 1 and not clamped, of any size
    /// (VBench scales the longer side down to 512) → `[B]`.
    pub fn scores(&self, images: Grid) -> Vec<f32> {
        self.scores_watched(images, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name. Those of the stem come in pieces where there are many tiles.
    pub fn scores_watched(&self, mut images: Grid, watch: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        assert_eq!(images.channels, 3, "a picture has three channels");
        assert!(images.height > 0 && images.width > 0, "a picture has pixels");
        let batch = images.batch;
        if batch == 0 {
            return Vec::new();
        }
        images.data.par_iter_mut().for_each(|value| *value = 2.0 * *value - 1.0);
        let scales = scales(images, &self.config.longer_sides, self.side);
        watch("small", &scales[0].image().data);
        watch("middle", &scales[1].image().data);
        let embedded = self.embedded(&scales, batch, watch); // [B, L, D]
        drop(scales);
        let mut x = embedded.with_first(&self.class); // [B, 1 + L, D]
        watch("tokens", &x.data);
        let (last, blocks) = self.blocks.split_last().expect("there is a block");
        for (i, block) in blocks.iter().enumerate() {
            x = block.forward(x, None);
            watch(&format!("blocks.{i}"), &x.data);
        }
        let x = last.forward_one(&x, &vec![0; batch], None); // [B, 1, D]
        watch("last", &x.data);
        let scores = self.head.forward(&self.norm.forward(&x.data)); // [B]
        watch("scores", &scores);
        scores
    }

    /// Tokens of every picture, scale after scale, tiles row by row, `[B, L, D]`.
    fn embedded(&self, scales: &[Scale], batch: usize, watch: &mut dyn FnMut(&str, &[f32])) -> Tokens {
        let width = self.class.len();
        let length: usize = scales.iter().map(Scale::tiles).sum();
        let mut data = Vec::with_capacity(batch * length * width);
        // SAME for the first convolution: 2 rows of zeros before a tile, 3 behind.
        let [kernel, stride] = ROOT;
        let around = kernel - stride;
        let room = self.side + around;
        for first in (0..batch * length).step_by(TILES) {
            let count = TILES.min(batch * length - first);
            let mut tiles = Grid::zeros([count, room, room, 3]);
            tiles.data.par_chunks_exact_mut(room * room * 3).enumerate().for_each(|(i, into)| {
                let (b, mut index) = ((first + i) / length, (first + i) % length);
                let scale = scales.iter().find(|scale| {
                    let here = index < scale.tiles();
                    index -= if here { 0 } else { scale.tiles() };
                    here
                });
                scale.expect("tiles are those of the scales").cut(b, index, into, room, around / 2);
            });
            let x = self.stem.forward(&tiles, watch); // [T, p/4, p/4, 4C]
            data.extend(self.embedding.forward(&x.data)); // [T, D]
        }
        watch("embedding", &data);
        let mut tokens = Tokens::new(data, [batch, length, width]);
        let mut table = Vec::with_capacity(length * width);
        for (scale, own) in scales.iter().zip(self.scales.chunks_exact(width)) {
            for place in scale.places(self.grid) {
                let position = &self.positions[place * width..][..width];
                table.extend(position.iter().zip(own).map(|(a, b)| a + b));
            }
        }
        tokens.add_to_each(&table);
        tokens
    }
}

fn load_block(weights: &Weights, width: usize, heads: usize) -> Result<EncoderBlock, BackboneError> {
    let attention = weights.at("attention");
    let linear = |name: &str| Linear::load(&attention.at(name), [width; 2]);
    let attention =
        MultiHead::new([linear("query")?, linear("key")?, linear("value")?, linear("out")?], heads);
    let norm = |name: &str| LayerNorm::load(&weights.at(name), width, EPSILON);
    let mlp = weights.at("mlp");
    let hidden = mlp.at("fc1").shape("bias").map_or(0, |shape| shape.iter().product());
    let mlp =
        [Linear::load(&mlp.at("fc1"), [width, hidden])?, Linear::load(&mlp.at("fc2"), [hidden, width])?];
    Ok(EncoderBlock::new([norm("norm1")?, norm("norm2")?], attention, mlp, Activation::Gelu))
}
