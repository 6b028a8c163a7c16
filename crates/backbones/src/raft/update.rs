use std::ops::Range;

use vidit_kernels::flow::{GruGates, GruUpdate};

use crate::layers::{Activation, Conv2d, conv_of_windows};
use crate::{BackboneError, Grid, Weights};

/// What makes the next state and the next change of the flow.
pub struct Update {
    motion: Motion,
    /// Along rows, then along columns.
    gru: [Gru; 2],
    flow_head: [Conv2d; 2],
    mask_head: [Conv2d; 2],
    radius: usize,
}

/// Of correlations and flow.
struct Motion {
    correlation: [Conv2d; 2],
    flow: [Conv2d; 2],
    joined: Conv2d,
}

/// A GRU whose gates are convolutions along one axis. Inputs are state, context and motion; the context's share of each gate is made by
/// a convolution of its own, which has the bias.
struct Gru {
    /// Update and reset gate, of state and motion.
    gates: Conv2d,
    gates_fixed: Conv2d,
    /// The candidate, of the reset state and motion.
    candidate: Conv2d,
    candidate_fixed: Conv2d,
}

/// The context's share of the gates of both axes, `[1, H, W, 2C]`, and of the candidates, `[1, H, W, C]`.
pub struct FixedGates([[Grid; 2]; 2]);

/// Channels of the mask: 9 neighbours of 8 × 8 pixels.
const MASK: usize = 9 * 64;

impl Update {
    pub fn load(weights: &Weights, hidden: usize, context: usize) -> Result<Self, BackboneError> {
        let encoder = weights.at("encoder");
        let motion_width = encoder.outputs("conv", 126) + 2;
        let gru = |axis: usize, kernel: [usize; 2]| {
            Gru::load(&weights.at("gru"), axis, [hidden, context, motion_width], kernel)
        };
        let conv = |name: &str, published: usize, input: usize, kernel: usize| {
            let channels = [input, weights.outputs(name, published)];
            Conv2d::load(&weights.at(name), channels, kernel, 1, kernel / 2)
        };
        let flow = conv("flow_head.conv1", 256, hidden, 3)?;
        let flow_out = conv("flow_head.conv2", 2, flow.output(), 3)?;
        let mask = conv("mask.0", 256, hidden, 3)?;
        // Weights were trained with a quarter of the mask.
        let mask_out = conv("mask.2", MASK, mask.output(), 1)?.fold((vec![0.25; MASK], vec![0.0; MASK]));
        let (motion, radius) = Motion::load(&encoder)?;
        Ok(Self {
            motion,
            gru: [gru(1, [1, 5])?, gru(2, [5, 1])?],
            flow_head: [flow, flow_out],
            mask_head: [mask, mask_out],
            radius,
        })
    }

    /// Channels of the state.
    pub fn hidden(&self) -> usize {
        self.gru[0].candidate.output()
    }

    /// Pixels that windows of correlations reach to each side.
    pub fn radius(&self) -> usize {
        self.radius
    }

    pub fn fixed_gates(&self, context: &Grid) -> FixedGates {
        FixedGates(
            self.gru
                .each_ref()
                .map(|gru| [gru.gates_fixed.forward(context), gru.candidate_fixed.forward(context)]),
        )
    }

    /// What correlations and flow say of the motion, `[1, H, W, M]`.
    pub fn motion(&self, correlation: &Grid, flow: &Grid) -> Grid {
        let [first, second] = &self.motion.correlation;
        let correlation = second.activated(&first.activated(correlation, Activation::Relu), Activation::Relu);
        let [first, second] = &self.motion.flow;
        let of_flow = second.activated(&first.activated(flow, Activation::Relu), Activation::Relu);
        let joined = Grid::join(&[&correlation, &of_flow]);
        Grid::join(&[&self.motion.joined.activated(&joined, Activation::Relu), flow])
    }

    /// The next state.
    pub fn state(&self, hidden: &Grid, motion: &Grid, fixed: &FixedGates) -> Grid {
        let mut hidden = hidden.clone();
        let channels = hidden.channels;
        let mut joined = Grid::join(&[&hidden, motion]); // [1, H, W, state + M]
        for (axis, (gru, [gates, candidate])) in self.gru.iter().zip(&fixed.0).enumerate() {
            if axis > 0 {
                put_first(&mut joined, &hidden, 0..channels);
            }
            let end = GruGates { context: &gates.data, hidden: &hidden.data, channels };
            let gates = gru.gates.ended_by(&joined, &end); // [1, H, W, 2 · state]
            put_first(&mut joined, &gates, channels..2 * channels);
            let (context, gates) = (&candidate.data, &gates.data);
            let end = GruUpdate { context, gates, hidden: &hidden.data, channels };
            hidden = gru.candidate.ended_by(&joined, &end);
        }
        hidden
    }

    /// `[1, H, W, 2]`.
    pub fn flow_delta(&self, hidden: &Grid) -> Grid {
        let [first, second] = &self.flow_head;
        second.forward(&first.activated(hidden, Activation::Relu))
    }

    /// What convex upsampling takes, `[1, H, W, 9 · 64]`.
    pub fn mask(&self, hidden: &Grid) -> Grid {
        let [first, second] = &self.mask_head;
        second.forward(&first.activated(hidden, Activation::Relu))
    }
}

/// Writes some channels of `from` over the first ones of `to`.
fn put_first(to: &mut Grid, from: &Grid, channels: Range<usize>) {
    for (to, from) in to.data.chunks_exact_mut(to.channels).zip(from.data.chunks_exact(from.channels)) {
        to[..channels.len()].copy_from_slice(&from[channels.clone()]);
    }
}

impl Motion {
    /// And the radius of the windows of correlations.
    fn load(weights: &Weights) -> Result<(Self, usize), BackboneError> {
        let conv = |name: &str, published: usize, input: usize, kernel: usize| {
            let channels = [input, weights.outputs(name, published)];
            Conv2d::load(&weights.at(name), channels, kernel, 1, kernel / 2)
        };
        let flow = conv("convf1", 128, 2, 7)?;
        let flow_out = conv("convf2", 64, flow.output(), 3)?;
        let (correlation, radius) = conv_of_windows(&weights.at("convc1"), 1, 4, 256)?;
        let correlation_out = conv("convc2", 192, correlation.output(), 3)?;
        let joined = conv("conv", 126, correlation_out.output() + flow_out.output(), 3)?;
        Ok((Self { correlation: [correlation, correlation_out], flow: [flow, flow_out], joined }, radius))
    }
}

impl Gru {
    fn load(
        weights: &Weights,
        axis: usize,
        [hidden, context, motion]: [usize; 3],
        kernel: [usize; 2],
    ) -> Result<Self, BackboneError> {
        let (input, taps) = (hidden + context + motion, kernel[0] * kernel[1]);
        let padding = kernel.map(|side| side / 2);
        let take = |name: &str| -> Result<_, BackboneError> {
            let place = weights.at(format!("{name}{axis}"));
            Ok((
                place.take("weight", &[hidden, input, kernel[0], kernel[1]])?,
                place.take("bias", &[hidden])?,
            ))
        };
        let (update, reset, candidate) = (take("convz")?, take("convr")?, take("convq")?);
        // What reads some of the inputs alone.
        let conv = |gates: &[&(Vec<f32>, Vec<f32>)], with_bias: bool, inputs: &[Range<usize>]| {
            let weight: Vec<f32> = (gates.iter())
                .flat_map(|(weight, _)| weight.chunks_exact(input * taps))
                .flat_map(|row| inputs.iter().flat_map(|range| &row[range.start * taps..range.end * taps]))
                .copied()
                .collect();
            let bias: Vec<f32> = gates.iter().flat_map(|(_, bias)| bias).copied().collect();
            let channels = [inputs.iter().map(ExactSizeIterator::len).sum(), bias.len()];
            let bias = if with_bias { bias } else { vec![0.0; channels[1]] };
            Conv2d::new(&weight, bias, channels, kernel, [1; 2], padding)
        };
        let moving = [0..hidden, hidden + context..input];
        let fixed = std::array::from_fn::<_, 1, _>(|_| hidden..hidden + context);
        Ok(Self {
            gates: conv(&[&update, &reset], false, &moving),
            gates_fixed: conv(&[&update, &reset], true, &fixed),
            candidate: conv(&[&candidate], false, &moving),
            candidate_fixed: conv(&[&candidate], true, &fixed),
        })
    }
}
