use rayon::prelude::*;

use crate::layers::{Activation, EncoderBlock, LayerNorm, Linear, MultiHead};
use crate::{BackboneError, Tokens, Weights};

/// Of norms without weights.
const EPSILON: f32 = 1e-6;
/// Of norms of what is attended to, PyTorch's own.
const CONTEXT_EPSILON: f32 = 1e-5;

/// The transformer over tracks and time: tracks attend to themselves in time, and to one another through virtual tracks.
pub struct Former {
    input: Linear,
    layers: Vec<Layer>,
    /// Virtual tracks after the first block in time, `[V, D]`. They begin alike at all times of all windows, and what is alike attends to
    /// itself alone.
    virtual_tracks: Vec<f32>,
    head: Linear,
}

struct Layer {
    time: EncoderBlock,
    from_points: CrossBlock,
    among: EncoderBlock,
    to_points: CrossBlock,
}

/// A block that attends to other tokens than its own.
struct CrossBlock {
    norm: LayerNorm,
    context_norm: LayerNorm,
    attention: MultiHead,
    feed_norm: LayerNorm,
    feed: [Linear; 2],
}

impl Former {
    /// Takes all below `weights`: every size but that of `outputs` is theirs.
    pub fn load(weights: &Weights, heads: usize, outputs: usize) -> Result<Self, BackboneError> {
        let (shape, matrix) = weights.at("input_transform").take_any("weight", 2)?; // [D, E]
        let width = shape[0];
        let input = Linear::new(&matrix, weights.at("input_transform").take("bias", &[width])?);
        if width == 0 || width % heads > 0 {
            let reason = format!("tokens are `{width}` wide, expected a multiple of {heads} heads");
            return Err(BackboneError::Config { network: weights.network(), reason });
        }
        // The official name is misspelt.
        let (shape, tracks) = weights.take_any("virual_tracks", 4)?;
        if shape[0] != 1 || shape[1] == 0 || shape[2..] != [1, width] {
            let (network, key) = (weights.network(), "updateformer.virual_tracks".to_owned());
            return Err(BackboneError::Shape { network, key, expected: vec![1, 0, 1, width], found: shape });
        }
        let depth = weights.count("time_blocks");
        if depth == 0 {
            let reason = "`updateformer.time_blocks` has no blocks".to_owned();
            return Err(BackboneError::Config { network: weights.network(), reason });
        }
        let layer = |i: usize| {
            let at = |name: &str| weights.at(name).at(i);
            Ok(Layer {
                time: own_block(&at("time_blocks"), width, heads)?,
                from_points: CrossBlock::load(&at("space_virtual2point_blocks"), width, heads)?,
                among: own_block(&at("space_virtual_blocks"), width, heads)?,
                to_points: CrossBlock::load(&at("space_point2virtual_blocks"), width, heads)?,
            })
        };
        let layers: Vec<Layer> = (0..depth).map(layer).collect::<Result<_, BackboneError>>()?;
        let once = layers[0].time.forward(Tokens::new(tracks, [shape[1], 1, width]), None);
        let head = Linear::load(&weights.at("flow_head"), [width, outputs])?;
        Ok(Self { input, layers, virtual_tracks: once.data, head })
    }

    /// Width of a token that comes in, `E`.
    pub fn input(&self) -> usize {
        self.input.input()
    }

    /// Width of a token within, `D`.
    #[cfg(test)]
    pub fn width(&self) -> usize {
        self.input.output()
    }

    /// `tokens [N, S, E]` → `[N, S, outputs]`.
    pub fn forward(&self, tokens: Tokens, watch: &mut dyn FnMut(&str, &[f32])) -> Tokens {
        let [tracks, times, _] = tokens.shape();
        let width = self.input.output();
        let count = self.virtual_tracks.len() / width;
        let points = Tokens::new(self.input.forward(&tokens.data), [tracks, times, width]);
        drop(tokens);
        let mut points = turned(&self.layers[0].time.forward(points, None)); // [S, N, D]
        let mut others = Tokens::new(self.virtual_tracks.repeat(times), [times, count, width]); // [S, V, D]
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                // Together, as products of many rows are.
                let mut all = turned(&points).data; // [N, S, D]
                all.append(&mut turned(&others).data);
                let all = layer.time.forward(Tokens::new(all, [tracks + count, times, width]), None);
                let (near, far) = all.data.split_at(tracks * times * width);
                points = turned(&Tokens::new(near.to_vec(), [tracks, times, width])); // [S, N, D]
                others = turned(&Tokens::new(far.to_vec(), [count, times, width])); // [S, V, D]
            }
            watch(&format!("points.{i}"), &points.data);
            watch(&format!("virtual.{i}"), &others.data);
            others = layer.from_points.forward(others, &points);
            watch(&format!("virtual2point.{i}"), &others.data);
            others = layer.among.forward(others, None);
            watch(&format!("space.{i}"), &others.data);
            points = layer.to_points.forward(points, &others);
            watch(&format!("point2virtual.{i}"), &points.data);
        }
        let points = turned(&points); // [N, S, D]
        Tokens::new(self.head.forward(&points.data), [tracks, times, self.head.output()])
    }
}

/// `[A, B, D]` → `[B, A, D]`.
fn turned(tokens: &Tokens) -> Tokens {
    let [outer, inner, width] = tokens.shape();
    let mut data = vec![0.0; tokens.data.len()];
    data.par_chunks_mut((outer * width).max(1)).enumerate().for_each(|(i, out)| {
        for (o, out) in out.chunks_exact_mut(width).enumerate() {
            out.copy_from_slice(tokens.at(o, i));
        }
    });
    Tokens::new(data, [inner, outer, width])
}

fn attention(weights: &Weights, width: usize, heads: usize) -> Result<MultiHead, BackboneError> {
    let query = Linear::load(&weights.at("to_q"), [width, width])?;
    let both = weights.at("to_kv");
    let matrix = both.take("weight", &[2 * width, width])?;
    let bias = both.take("bias", &[2 * width])?;
    let part = |i: usize| {
        Linear::new(&matrix[i * width * width..][..width * width], bias[i * width..][..width].to_vec())
    };
    let out = Linear::load(&weights.at("to_out"), [width, width])?;
    Ok(MultiHead::new([query, part(0), part(1), out], heads))
}

fn feed(weights: &Weights, width: usize) -> Result<[Linear; 2], BackboneError> {
    let hidden = weights.outputs("mlp.fc1", 4 * width);
    let up = Linear::load(&weights.at("mlp.fc1"), [width, hidden])?;
    Ok([up, Linear::load(&weights.at("mlp.fc2"), [hidden, width])?])
}

fn own_block(weights: &Weights, width: usize, heads: usize) -> Result<EncoderBlock, BackboneError> {
    let norms = [LayerNorm::plain(width, EPSILON), LayerNorm::plain(width, EPSILON)];
    let attention = attention(&weights.at("attn"), width, heads)?;
    Ok(EncoderBlock::new(norms, attention, feed(weights, width)?, Activation::GeluTanh))
}

impl CrossBlock {
    fn load(weights: &Weights, width: usize, heads: usize) -> Result<Self, BackboneError> {
        Ok(Self {
            norm: LayerNorm::plain(width, EPSILON),
            context_norm: LayerNorm::load(&weights.at("norm_context"), width, CONTEXT_EPSILON)?,
            attention: attention(&weights.at("cross_attn"), width, heads)?,
            feed_norm: LayerNorm::plain(width, EPSILON),
            feed: feed(weights, width)?,
        })
    }

    /// `x [B, Lq, D]` sees `context [B, Lk, D]`.
    fn forward(&self, x: Tokens, context: &Tokens) -> Tokens {
        let query = Tokens::new(self.norm.forward(&x.data), x.shape());
        let context = Tokens::new(self.context_norm.forward(&context.data), context.shape());
        let x = self.attention.forward(&query, &context, Default::default(), Some(&x));
        let [up, down] = &self.feed;
        let hidden = up.activated(&self.feed_norm.forward(&x.data), Activation::GeluTanh); // [B, Lq, hidden]
        Tokens::new(down.added(&hidden, &x.data), x.shape())
    }
}
