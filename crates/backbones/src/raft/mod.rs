//! RAFT (Teed & Deng 2020, the large model): the optical flow between two frames.
//!
//! Frames are `[1, H, W, 3]`, RGB from 0 to 255, with sides that [`padding`] made multiples of 8. The published network has
//! encoders of 64, 96 and 128 channels with 256 outputs, and 128 channels each of state, context and motion; all widths
//! are read off the weights. Keys are those of `raft-things.pth`, with or without `module.` before them.
//!
//! The same function as the published code in another order: means of products are products with means, so that windows of
//! correlations are made from pooled features where they are looked at; what the gates get from the context is made once; only
//! the last step is upsampled.

pub(crate) mod encoder;
mod update;

use vidit_kernels::flow::{Windows, convex_upsample};
use vidit_kernels::pointwise::{Activation, activate_in_place};
use vidit_weights::TensorStore;

use crate::layers::{CORRELATION_LEVELS, Padding, Pyramid, pixels};
use crate::{BackboneError, Checkpoint, Grid};
use encoder::{Encoder, Norm};
use update::{FixedGates, Update};

const NAME: &str = "RAFT";
/// Pixels to one of the feature maps.
const SHRINK: usize = 8;
/// The published code divides by the coarsest map's side less one.
const SIDE_MIN: usize = SHRINK << CORRELATION_LEVELS;

/// What a frame lacks of sides that are multiples of 8; its pixels are repeated outwards.
pub fn padding(height: usize, width: usize) -> Padding {
    Padding::to_multiple([height, width], SHRINK)
}

/// The network.
pub struct Raft {
    features: Encoder,
    context: Encoder,
    update: Update,
}

/// A frame as both sides of a comparison see it.
pub struct Features(Pyramid);

/// A frame as the first of a pair.
pub struct Context {
    hidden: Grid,
    gates: FixedGates,
    #[cfg(test)]
    encoded: Grid,
}

impl Raft {
    /// Takes all weights.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape, or is not one of the network's.
    pub fn load(store: TensorStore) -> Result<Self, BackboneError> {
        let bare = store.under("module.");
        let checkpoint = Checkpoint::new(NAME, if bare.tensors.is_empty() { store } else { bare });
        let root = checkpoint.root();
        let hidden = root.at("update_block.gru").outputs("convz1", 128);
        let features = Encoder::load(&root.at("fnet"), Norm::Instance, 256)?;
        let context = Encoder::load(&root.at("cnet"), Norm::Batch, 256)?;
        let Some(context_width) = context.output().checked_sub(hidden) else {
            let reason =
                format!("`cnet` has `{}` outputs, expected more than the state's {hidden}", context.output());
            return Err(BackboneError::Config { network: NAME, reason });
        };
        let update = Update::load(&root.at("update_block"), hidden, context_width)?;
        drop(root);
        checkpoint.finish(|key| key.ends_with("num_batches_tracked"))?;
        Ok(Self { features, context, update })
    }

    /// The features of a frame, for the pairs before and after it.
    ///
    /// # Errors
    /// [`BackboneError::Frame`] if a side is below 128 or no multiple of 8.
    pub fn features(&self, frame: &Grid) -> Result<Features, BackboneError> {
        Ok(Features(Pyramid::new(self.features.forward(&prepared(frame)?)))) // [1, H/8, W/8, C]
    }

    /// The context of a frame that is the first of a pair.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn context(&self, frame: &Grid) -> Result<Context, BackboneError> {
        let encoded = self.context.forward(&prepared(frame)?); // [1, H/8, W/8, state + context]
        let mut hidden = encoded.channels(0..self.update.hidden());
        let mut context = encoded.channels(self.update.hidden()..encoded.channels);
        activate_in_place(&mut hidden.data, Activation::Tanh);
        activate_in_place(&mut context.data, Activation::Relu);
        let gates = self.update.fixed_gates(&context);
        Ok(Context {
            hidden,
            gates,
            #[cfg(test)]
            encoded,
        })
    }

    /// The flow from the first frame to the second in pixels, x and y, `[1, H, W, 2]`, after so many steps; VBench takes 20.
    ///
    /// # Panics
    /// If the frames are of different sizes.
    pub fn flow(&self, first: &Features, second: &Features, context: &Context, steps: usize) -> Grid {
        let mut estimate = self.estimate(first, second, context);
        (0..steps).for_each(|_| estimate.step());
        estimate.upsampled()
    }

    /// No flow, to be bettered step by step.
    ///
    /// # Panics
    /// If the frames are of different sizes.
    pub fn estimate<'a>(
        &'a self,
        first: &'a Features,
        second: &'a Features,
        context: &'a Context,
    ) -> Estimate<'a> {
        let map = first.map();
        assert_eq!(map.shape(), second.map().shape(), "both frames are of one size");
        assert_eq!(map.shape()[..3], context.hidden.shape()[..3], "the context is of the first frame");
        let windows = first.0.windows(self.update.radius());
        let places = pixels(map.height, map.width);
        Estimate { raft: self, first, second, context, windows, places, hidden: context.hidden.clone() }
    }
}

impl Features {
    /// `[1, H/8, W/8, C]`.
    pub fn map(&self) -> &Grid {
        self.0.map()
    }
}

/// A flow that becomes better step by step.
pub struct Estimate<'a> {
    raft: &'a Raft,
    first: &'a Features,
    second: &'a Features,
    context: &'a Context,
    windows: Windows,
    /// Where each pixel of the feature map went.
    places: Vec<f32>,
    hidden: Grid,
}

impl Estimate<'_> {
    /// One step.
    pub fn step(&mut self) {
        let motion = self.raft.update.motion(&self.correlation(), &self.flow_at_eighth());
        self.hidden = self.raft.update.state(&self.hidden, &motion, &self.context.gates);
        let delta = self.raft.update.flow_delta(&self.hidden);
        self.places.iter_mut().zip(&delta.data).for_each(|(place, delta)| *place += delta);
    }

    /// How the first frame's features agree with the second's around where each pixel went: `[1, H/8, W/8, 4 · (2r + 1)²]`, level by
    /// level, in each row by row of the window.
    pub fn correlation(&mut self) -> Grid {
        self.first.0.look_up(&self.second.0, &mut self.windows, &self.places)
    }

    /// The flow in pixels of the feature map, `[1, H/8, W/8, 2]`.
    pub fn flow_at_eighth(&self) -> Grid {
        let map = self.first.map();
        let mut data = pixels(map.height, map.width);
        data.iter_mut().zip(&self.places).for_each(|(pixel, place)| *pixel = place - *pixel);
        Grid::new(data, [1, map.height, map.width, 2])
    }

    /// The flow in pixels of the frame, `[1, H, W, 2]`.
    pub fn upsampled(&self) -> Grid {
        let (flow, mask) = (self.flow_at_eighth(), self.raft.update.mask(&self.hidden));
        let data = convex_upsample(&flow.data, &mask.data, [flow.height, flow.width]);
        Grid::new(data, [1, SHRINK * flow.height, SHRINK * flow.width, 2])
    }
}

/// From −1 to 1.
fn prepared(frame: &Grid) -> Result<Grid, BackboneError> {
    let &Grid { height, width, .. } = frame;
    assert!(frame.batch == 1 && frame.channels == 3, "a frame is [1, H, W, 3]");
    if height.min(width) < SIDE_MIN || height % SHRINK > 0 || width % SHRINK > 0 {
        let expected = format!("sides of at least {SIDE_MIN} pixels that are multiples of {SHRINK}");
        return Err(BackboneError::Frame { network: NAME, height, width, expected });
    }
    let data = frame.data.iter().map(|value| 2.0 * (value / 255.0) - 1.0).collect();
    Ok(Grid::new(data, frame.shape()))
}

#[cfg(test)]
mod parity;
