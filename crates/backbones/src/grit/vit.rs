//! The plain vision transformer of ViTDet (Li et al. 2022): attention within windows, in some blocks over the whole map, with
//! decomposed relative positions (Li et al. 2022, MViTv2).

use rayon::prelude::*;
use vidit_kernels::Precision;
use vidit_kernels::attention::{AttentionShape, GridBias, forward_on_grid};
use vidit_kernels::gemm::{Into, LaneMajor, Plain, gemm_serial};

use crate::layers::{Activation, Conv2d, Filter, LayerNorm, Linear, interpolate};
use crate::{BackboneError, Grid, Weights};

const EPSILON: f32 = 1e-6;

pub(super) struct Vit {
    patches: Conv2d,
    /// Of the grid it was trained on first, `[1, S, S, D]`.
    positions: Grid,
    blocks: Vec<Block>,
    patch: usize,
}

impl Vit {
    /// `global` are the blocks that attend to the whole map, the others to windows of `window × window` patches.
    pub fn load(
        weights: &Weights,
        heads: usize,
        window: usize,
        global: &[usize],
    ) -> Result<Self, BackboneError> {
        let proj = weights.at("patch_embed.proj");
        let shape = proj.shape("weight").unwrap_or_default();
        let (width, patch) = match shape[..] {
            [width, _, patch, _] => (width, patch),
            _ => (0, 0), // the load below says what is wrong
        };
        let patches = Conv2d::load(&proj, [3, width], patch, patch, 0)?;
        let (shape, table) = weights.take_any("pos_embed", 3)?;
        let places = shape[1].saturating_sub(1); // the first is the class token's
        let side = places.isqrt();
        if shape != [1, side * side + 1, width] {
            let (network, key) = (weights.network(), "backbone.bottom_up.pos_embed".to_owned());
            return Err(BackboneError::Shape {
                network,
                key,
                expected: vec![1, side * side + 1, width],
                found: shape,
            });
        }
        let positions = Grid::new(table[width..].to_vec(), [1, side, side, width]);
        let blocks = (0..weights.count("blocks"))
            .map(|i| {
                let window = (!global.contains(&i)).then_some(window);
                Block::load(&weights.at("blocks").at(i), width, heads, window)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { patches, positions, blocks, patch })
    }

    /// Pixels a side of a patch.
    pub fn patch(&self) -> usize {
        self.patch
    }

    /// Width of a token, `D`.
    pub fn channels(&self) -> usize {
        self.positions.channels
    }

    /// `[B, 16·H, 16·W, 3]` → `[B, H, W, D]`. `note` sees the patches and what each block makes of them.
    pub fn forward(&self, image: &Grid, note: super::Note) -> Grid {
        let mut x = self.patches.forward(image); // [B, H, W, D]
        note("vit.patches", &x.data);
        let size = [x.height, x.width];
        let resized;
        let positions = if size == [self.positions.height, self.positions.width] {
            &self.positions
        } else {
            resized = interpolate(&self.positions, size, None, Filter::Bicubic);
            &resized
        };
        for map in x.data.chunks_exact_mut(positions.data.len()) {
            map.iter_mut().zip(&positions.data).for_each(|(value, add)| *value += add);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            note(&format!("vit.block{i}"), &x.data);
        }
        x
    }
}

struct Block {
    norm1: LayerNorm,
    /// Queries, keys and values, and their biases: what a patch of zeros beyond the map's edge becomes.
    inputs: [Linear; 3],
    edges: [Vec<f32>; 3],
    /// Along height and width, `[2S − 1, Dh]`.
    relative: [Vec<f32>; 2],
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
    window: Option<usize>,
}

impl Block {
    fn load(
        weights: &Weights,
        width: usize,
        heads: usize,
        window: Option<usize>,
    ) -> Result<Self, BackboneError> {
        let attention = weights.at("attn");
        let joined = attention.at("qkv").take("weight", &[3 * width, width])?;
        let bias = attention.at("qkv").take("bias", &[3 * width])?;
        let edges: [Vec<f32>; 3] = std::array::from_fn(|i| bias[i * width..][..width].to_vec());
        let inputs = std::array::from_fn(|i| {
            Linear::new(&joined[i * width * width..][..width * width], edges[i].clone())
        });
        let relative = |name| match window {
            Some(window) => attention.take(name, &[2 * window - 1, width / heads]),
            None => attention.take_any(name, 2).map(|(_, table)| table),
        };
        let hidden = weights.at("mlp.fc1").shape("bias").map_or(0, |shape| shape[0]);
        Ok(Self {
            norm1: LayerNorm::load(&weights.at("norm1"), width, EPSILON)?,
            inputs,
            edges,
            relative: [relative("rel_pos_h")?, relative("rel_pos_w")?],
            out: Linear::load(&attention.at("proj"), [width, width])?,
            norm2: LayerNorm::load(&weights.at("norm2"), width, EPSILON)?,
            up: Linear::load(&weights.at("mlp.fc1"), [width, hidden])?,
            down: Linear::load(&weights.at("mlp.fc2"), [hidden, width])?,
            heads,
            window,
        })
    }

    fn forward(&self, x: Grid) -> Grid {
        let shape = x.shape();
        let attended = self.attend(&self.norm1.forward(&x.data), shape); // [B, H, W, D]
        let x = self.out.added(&attended, &x.data);
        drop(attended);
        let hidden = self.up.activated(&self.norm2.forward(&x), Activation::Gelu); // [B, H, W, hidden]
        Grid::new(self.down.added(&hidden, &x), shape)
    }

    fn attend(&self, h: &[f32], [batch, height, width, channels]: [usize; 4]) -> Vec<f32> {
        let (windows, size) = match self.window {
            Some(side) => (Some(Windows { batch, height, width, channels, side }), [side; 2]),
            None => (None, [height, width]),
        };
        // Patches beyond the edge are zeros before the projection: only real ones are multiplied.
        let [q, k, v] = [0, 1, 2].map(|i| {
            let rows = self.inputs[i].forward(h);
            match &windows {
                Some(windows) => windows.cut(&rows, &self.edges[i]),
                None => rows,
            }
        }); // [B', H'·W', D]
        let tokens = size[0] * size[1];
        let shape = AttentionShape {
            batch: q.len() / (tokens * channels),
            heads: self.heads,
            head_dim: channels / self.heads,
            queries: tokens,
            keys: tokens,
        };
        let values = self.relative_positions(&q, &shape, size);
        let attended = forward_on_grid(&q, &k, &v, shape, GridBias { values: &values, size }, Precision::F32);
        match windows {
            Some(windows) => windows.join(&attended),
            None => attended,
        }
    }

    /// What each query adds to scores of each row and column of keys: its product with the row of the table that belongs to their
    /// distance, `[B', N, H' + W', Lq]`.
    fn relative_positions(&self, q: &[f32], shape: &AttentionShape, size: [usize; 2]) -> Vec<f32> {
        let AttentionShape { heads, head_dim, queries, .. } = *shape;
        let tables: [Vec<f32>; 2] = std::array::from_fn(|axis| {
            let (table, rows) = (&self.relative[axis], 2 * size[axis] - 1);
            let from = table.len() / head_dim;
            if from == rows {
                return table.clone();
            }
            let table = Grid::new(table.clone(), [1, from, 1, head_dim]);
            interpolate(&table, [rows, 1], None, Filter::Bilinear { align_corners: false }).data
        });
        let [rows, columns] = size;
        let mut values = vec![0.0; shape.batch * heads * (rows + columns) * queries];
        values.par_chunks_mut((rows + columns) * queries).enumerate().for_each_init(
            || vec![0.0; (2 * rows.max(columns) - 1) * queries],
            |products, (pair, values)| {
                let (b, n) = (pair / heads, pair % heads);
                let stride = heads * head_dim;
                let q = LaneMajor { data: &q[b * queries * stride + n * head_dim..], stride };
                let (of_rows, of_columns) = values.split_at_mut(rows * queries);
                for (axis, values) in [of_rows, of_columns].into_iter().enumerate() {
                    let distances = 2 * size[axis] - 1;
                    let table = LaneMajor { data: &tables[axis], stride: head_dim };
                    let sizes = [distances, queries, head_dim];
                    let (overwrite, precision) = (Into::Overwrite, Precision::F32);
                    gemm_serial(sizes, &table, &q, products, queries, overwrite, &Plain, precision);
                    for (key, values) in values.chunks_exact_mut(queries).enumerate() {
                        for (i, value) in values.iter_mut().enumerate() {
                            let place = if axis == 0 { i / columns } else { i % columns };
                            *value = products[(place + size[axis] - 1 - key) * queries + i];
                        }
                    }
                }
            },
        );
        values
    }
}

/// Maps cut into windows side by side, the last ones beyond the edge.
struct Windows {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    side: usize,
}

impl Windows {
    /// Calls `each` with the place of a row of a window among all windows' positions, and where it is on the map: how many positions
    /// of it are, and the first.
    fn rows(&self, mut each: impl FnMut(usize, Option<(usize, usize)>)) {
        let Self { batch, height, width, side, .. } = *self;
        let mut place = 0;
        for b in 0..batch {
            for y0 in (0..height).step_by(side) {
                for x0 in (0..width).step_by(side) {
                    for y in y0..y0 + side {
                        let inside =
                            (y < height).then(|| (side.min(width - x0), (b * height + y) * width + x0));
                        each(place, inside);
                        place += side;
                    }
                }
            }
        }
    }

    fn count(&self) -> usize {
        self.batch * self.height.div_ceil(self.side) * self.width.div_ceil(self.side)
    }

    /// `[B, H, W, D]` → `[windows, side·side, D]`, with `edge [D]` beyond the map.
    fn cut(&self, x: &[f32], edge: &[f32]) -> Vec<f32> {
        let (side, d) = (self.side, self.channels);
        let mut out = vec![0.0; self.count() * side * side * d];
        self.rows(|place, inside| {
            let to = &mut out[place * d..][..side * d];
            let (count, from) = inside.unwrap_or_default();
            to[..count * d].copy_from_slice(&x[from * d..][..count * d]);
            to[count * d..].chunks_exact_mut(d).for_each(|row| row.copy_from_slice(edge));
        });
        out
    }

    /// The way back.
    fn join(&self, windows: &[f32]) -> Vec<f32> {
        let d = self.channels;
        let mut out = vec![0.0; self.batch * self.height * self.width * d];
        self.rows(|place, inside| {
            if let Some((count, to)) = inside {
                out[to * d..][..count * d].copy_from_slice(&windows[place * d..][..count * d]);
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_back_together_and_hold_the_edge_beyond_the_map() {
        let windows = Windows { batch: 2, height: 5, width: 4, channels: 1, side: 3 };
        let x: Vec<f32> = (1..=40).map(|i| i as f32).collect();
        let cut = windows.cut(&x, &[-1.0]);
        assert_eq!(cut.len(), 2 * 4 * 9);
        assert_eq!(cut[27..36], [16.0, -1.0, -1.0, 20.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
        assert_eq!(windows.join(&cut), x);
    }
}
