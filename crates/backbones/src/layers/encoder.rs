use super::{Activation, BlockNames, EncoderBlock};
use crate::{BackboneError, Tokens, Weights};

/// Blocks of a transformer, one after another. Each shows its result as `block.0`, `block.1`, … to whoever watches.
pub struct Encoder {
    blocks: Vec<EncoderBlock>,
}

impl Encoder {
    /// Takes blocks `0, 1, …` below `weights`; see [`EncoderBlock::load`].
    ///
    /// # Errors
    /// If a tensor is absent or has another shape.
    pub fn load(
        weights: &Weights,
        depth: usize,
        names: BlockNames,
        sizes: [usize; 3],
        epsilon: f32,
        activation: Activation,
    ) -> Result<Self, BackboneError> {
        let block = |i| EncoderBlock::load(&weights.at(i), names, sizes, epsilon, activation);
        (0..depth).map(block).collect::<Result<Vec<_>, _>>().map(Self::new)
    }

    /// Of blocks that were made before.
    pub fn new(blocks: Vec<EncoderBlock>) -> Self {
        Self { blocks }
    }

    /// `[B, L, D]` → the same.
    pub fn forward(&self, x: Tokens, watch: &mut dyn FnMut(&str, &[f32])) -> Tokens {
        run(&self.blocks, x, None, watch)
    }

    /// One token a sequence of what [`Self::forward`] gives, `places [B]`: `[B, 1, D]`. The last block computes no other.
    pub fn forward_one(&self, x: Tokens, places: &[usize], watch: &mut dyn FnMut(&str, &[f32])) -> Tokens {
        self.one(x, places, None, None, watch)
    }

    /// The same where each token sees itself and those before it.
    pub fn forward_one_causal(
        &self,
        x: Tokens,
        places: &[usize],
        watch: &mut dyn FnMut(&str, &[f32]),
    ) -> Tokens {
        let lengths: Vec<usize> = places.iter().map(|place| place + 1).collect();
        let bias = super::causal_bias(x.length);
        self.one(x, places, Some(&lengths), Some(&bias), watch)
    }

    fn one(
        &self,
        x: Tokens,
        places: &[usize],
        lengths: Option<&[usize]>,
        bias: Option<&[f32]>,
        watch: &mut dyn FnMut(&str, &[f32]),
    ) -> Tokens {
        let Some((last, blocks)) = self.blocks.split_last() else { return x.pick(places) };
        let x = run(blocks, x, bias, watch);
        let x = last.forward_one(&x, places, lengths); // [B, 1, D]
        watch(&format!("block.{}", blocks.len()), &x.data);
        x
    }
}

fn run(
    blocks: &[EncoderBlock],
    x: Tokens,
    bias: Option<&[f32]>,
    watch: &mut dyn FnMut(&str, &[f32]),
) -> Tokens {
    blocks.iter().enumerate().fold(x, |x, (i, block)| {
        let x = block.forward(x, bias);
        watch(&format!("block.{i}"), &x.data);
        x
    })
}
