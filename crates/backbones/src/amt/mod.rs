//! AMT-S (Li et al. 2023): the frame half-way between two others.
//!
//! The published network has feature maps of 84 channels, a context pyramid of 20, 32, 44 and 56, and three candidates; all widths are
//! read off the weights. Keys are those of `amt-s.pth`'s `state_dict`.
//!
//! Both encoders see frames less one mean of all values of both, before a convolution that pads with zeros: nothing of a frame is
//! the same in two pairs. Within a pair, windows of correlations are made from pooled features where they are looked at (means
//! of products are products with means), and remembered from one update to the next.

mod decoder;
mod encoder;
mod update;

use vidit_kernels::flow::{Candidates, warp};
use vidit_weights::TensorStore;

use crate::layers::{Conv2d, ConvPrelu, Filter, Padding, Pyramid, interpolate, pixels};
use crate::{BackboneError, Checkpoint, Grid};
use decoder::Decoder;
use encoder::{ContextEncoder, FeatureEncoder};
use update::Update;

const NAME: &str = "AMT-S";
/// What the published code pads sides to multiples of.
const MULTIPLE: usize = 16;
/// Padded sides: the published code divides by the coarsest correlation map's side less one.
const SIDE_MIN: usize = 128;
/// Where in time the frame lies.
const MIDDLE: f32 = 0.5;

/// The network.
pub struct Amt {
    features: FeatureEncoder,
    context: ContextEncoder,
    /// From the coarsest level to the finest.
    decoders: [Decoder; 4],
    /// After all but the last decoder.
    updates: [Update; 3],
    combine: (ConvPrelu, Conv2d),
    candidates: usize,
}

impl Amt {
    /// Takes all weights.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape, or is not one of the network's.
    pub fn load(store: TensorStore) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NAME, store);
        let root = checkpoint.root();
        let context = ContextEncoder::load(&root.at("encoder"))?;
        let [c1, c2, c3, c4] = context.widths();
        let values = root.at("decoder1.convblock").outputs("2", 24);
        if values == 0 || values % 8 > 0 {
            let reason = format!("`decoder1.convblock.2` has `{values}` outputs, expected eight a candidate");
            return Err(BackboneError::Config { network: NAME, reason });
        }
        let decoder = |level: usize, input: usize, inner: usize, output: usize| {
            Decoder::load(&root.at(format!("decoder{level}.convblock")), [input, inner, output])
        };
        let update = |level: usize, channels: usize, scale: usize| {
            Update::load(&root.at(format!("update{level}")), channels, scale)
        };
        let colours = 3 * values / 8;
        let first = ConvPrelu::load(&root.at("comb_block"), [colours, 2 * colours], 3, 1)?;
        let second = Conv2d::load(&root.at("comb_block.2"), [2 * colours, 3], 3, 1, 1)?;
        let amt = Self {
            features: FeatureEncoder::load(&root.at("feat_encoder"))?,
            decoders: [
                decoder(4, 2 * c4 + 1, 2 * c4, 4 + c3)?,
                decoder(3, 3 * c3 + 4, 3 * c3, 4 + c2)?,
                decoder(2, 3 * c2 + 4, 3 * c2, 4 + c1)?,
                decoder(1, 3 * c1 + 4, 3 * c1, values)?,
            ],
            updates: [update(4, c3, 1)?, update(3, c2, 2)?, update(2, c1, 4)?],
            combine: (first, second),
            candidates: values / 8,
            context,
        };
        checkpoint.finish(|_| false)?;
        Ok(amt)
    }

    /// The frame half-way between two `[1, H, W, 3]`, RGB from 0 to 1, in the same form. Frames are padded to multiples of 16 by their
    /// outermost pixels, and the result is cut to their size.
    ///
    /// # Errors
    /// [`BackboneError::Frame`] if a side is below 113, which the padding makes 128 at least.
    ///
    /// # Panics
    /// If the frames are of different sizes.
    pub fn midpoint(&self, first: &Grid, second: &Grid) -> Result<Grid, BackboneError> {
        self.midpoint_observed(first, second, &mut |_, _| {})
    }

    /// The same; `observe` is shown what is computed on the way, by the names of the goldens.
    ///
    /// # Errors
    /// As [`Self::midpoint`].
    pub fn midpoint_observed(
        &self,
        first: &Grid,
        second: &Grid,
        observe: &mut dyn FnMut(&str, &Grid),
    ) -> Result<Grid, BackboneError> {
        assert_eq!(first.shape(), second.shape(), "both frames are of one size");
        assert!(first.batch == 1 && first.channels == 3, "a frame is [1, H, W, 3]");
        let padding = Padding::to_multiple([first.height, first.width], MULTIPLE);
        let (mean, frames) = less_mean(&[padding.pad(first), padding.pad(second)]);
        if frames.height < SIDE_MIN || frames.width < SIDE_MIN {
            let expected = format!("sides of at least {} pixels", SIDE_MIN - MULTIPLE + 1);
            let (height, width) = (first.height, first.width);
            return Err(BackboneError::Frame { network: NAME, height, width, expected });
        }
        let features = self.features.forward(&frames); // [2, H/8, W/8, C]
        let pyramids = each(&features).map(Pyramid::new);
        for (i, pyramid) in pyramids.iter().enumerate() {
            observe(&format!("features.{i}"), pyramid.map());
        }
        let context = self.context.forward(&frames);
        for (level, maps) in context.iter().enumerate() {
            each(maps).iter().enumerate().for_each(|(i, map)| observe(&format!("pyramid.{i}.{level}"), map));
        }

        let mut search = Search::new(&pyramids, self.updates.each_ref().map(Update::radius));
        let mut flow = Grid::zeros([1, 0, 0, 4]);
        let mut feature = Grid::zeros([1, 0, 0, 0]);
        for (i, (decoder, update)) in self.decoders.iter().zip(&self.updates).enumerate() {
            let level = 4 - i;
            let [first, second] = each(&context[level - 1]);
            let decoded = match i {
                0 => {
                    let time = Grid::new(vec![MIDDLE; first.positions()], [1, first.height, first.width, 1]);
                    decoder.forward(&Grid::join(&[&first, &second, &time]))
                }
                _ => decoder.forward(&warped(&feature, [first, second], &flow)),
            }; // [1, 2H, 2W, 4 + C]
            let mut next = decoded.channels(0..4);
            if i > 0 {
                add_doubled(&mut next, &flow);
            }
            (flow, feature) = (next, decoded.channels(4..decoded.channels));
            drop(decoded);
            observe(&format!("decoded.{level}"), &flow);
            observe(&format!("feature.{level}"), &feature);
            let (correlation, coarse) = search.look_up(&pyramids, &flow, i);
            let (feature_delta, flow_delta) = update.forward(&feature, &coarse, &correlation);
            observe(&format!("update.{level}"), &feature_delta);
            add(&mut feature, &feature_delta);
            add(&mut flow, &flow_delta);
            observe(&format!("flow.{level}"), &flow);
            observe(&format!("feature.{level}.updated"), &feature);
        }
        drop(search);
        let [map_0, map_1] = each(&context[0]);
        drop(context);
        let decoded = self.decoders[3].forward(&warped(&feature, [map_0, map_1], &flow)); // [1, H, W, 8n]
        let flow = doubled(&flow);
        observe("flow.1", &flow);
        observe("decoded.1", &decoded);

        let size = [frames.height, frames.width];
        let four: Vec<Vec<f32>> = each(&frames).iter().map(with_fourth).collect();
        drop(frames);
        let candidates = Candidates {
            frames: [&four[0], &four[1]],
            mean,
            flow: &flow.data,
            decoded: &decoded.data,
            count: self.candidates,
            size,
        }
        .blend();
        drop((four, flow, decoded));
        let candidates = Grid::new(candidates, [1, size[0], size[1], 3 * self.candidates]);
        Ok(padding.unpad(&self.combined(&candidates)))
    }

    /// The mean of the candidates and what a network adds, from 0 to 1.
    fn combined(&self, candidates: &Grid) -> Grid {
        let (first, second) = &self.combine;
        let inner = first.forward(candidates);
        second.followed_by(&inner, |position, column, segment| {
            let of_pixel = &candidates.data[position * candidates.channels..][..candidates.channels];
            for (c, value) in segment.iter_mut().enumerate() {
                let sum: f32 = of_pixel.iter().skip(column + c).step_by(3).sum();
                *value = (sum / self.candidates as f32 + *value).clamp(0.0, 1.0);
            }
        })
    }
}

/// Where correlations are looked up, for both directions.
struct Search {
    windows: Vec<[vidit_kernels::flow::Windows; 2]>,
    /// Which of these an update looks into: all of one radius share theirs.
    of_update: [usize; 3],
    pixels: Vec<f32>,
}

impl Search {
    fn new(pyramids: &[Pyramid; 2], radii: [usize; 3]) -> Self {
        let mut known: Vec<usize> = radii.to_vec();
        known.sort_unstable();
        known.dedup();
        let windows = known.iter().map(|radius| pyramids.each_ref().map(|pyramid| pyramid.windows(*radius)));
        let map = pyramids[0].map();
        Self {
            windows: windows.collect(),
            of_update: radii.map(|radius| known.iter().position(|of| *of == radius).unwrap_or(0)),
            pixels: pixels(map.height, map.width),
        }
    }

    /// The correlations of both directions where `flow [1, H/s, W/s, 4]` leads, side by side, and the flow at an eighth of the frame's
    /// scale, in its pixels.
    fn look_up(&mut self, pyramids: &[Pyramid; 2], flow: &Grid, update: usize) -> (Grid, Grid) {
        let map = pyramids[0].map();
        let shrink = map.height as f32 / flow.height as f32;
        let coarse = match flow.height == map.height {
            true => flow.clone(),
            false => {
                let size = [map.height, map.width];
                let mut coarse = interpolate(flow, size, None, Filter::Bilinear { align_corners: false });
                coarse.data.iter_mut().for_each(|value| *value *= shrink);
                coarse
            }
        };
        // The flow is from the middle: to the whole way is once the reciprocal of the share.
        let places = |from: usize, share: f32| -> Vec<f32> {
            let flows = coarse.data.chunks_exact(4).flat_map(|flow| &flow[from..from + 2]);
            self.pixels.iter().zip(flows).map(|(pixel, flow)| pixel + flow * (1.0 / share)).collect()
        };
        let (to_second, to_first) = (places(2, MIDDLE), places(0, 1.0 - MIDDLE));
        let [forward, backward] = &mut self.windows[self.of_update[update]];
        let forward = pyramids[0].look_up(&pyramids[1], forward, &to_second);
        let backward = pyramids[1].look_up(&pyramids[0], backward, &to_first);
        (Grid::join(&[&forward, &backward]), coarse)
    }
}

/// What a decoder sees: the feature, both context maps where the flow leads, the flow.
fn warped(feature: &Grid, maps: [Grid; 2], flow: &Grid) -> Grid {
    let size = [flow.height, flow.width];
    let mut first = 0;
    let [map_0, map_1] = maps.map(|map| {
        let data = warp(&map.data, &flow.data, first, size);
        first += 2;
        Grid::new(data, map.shape())
    });
    Grid::join(&[feature, &map_0, &map_1, flow])
}

/// Twice as high and wide.
fn doubled(x: &Grid) -> Grid {
    interpolate(x, [2 * x.height, 2 * x.width], None, Filter::Bilinear { align_corners: false })
}

/// Adds a flow of half the scale.
fn add_doubled(flow: &mut Grid, coarser: &Grid) {
    flow.data.iter_mut().zip(&doubled(coarser).data).for_each(|(flow, coarser)| *flow += 2.0 * coarser);
}

fn add(to: &mut Grid, delta: &Grid) {
    vidit_kernels::pointwise::add_in_place(&mut to.data, &delta.data);
}

/// The two maps of a batch.
fn each(x: &Grid) -> [Grid; 2] {
    assert_eq!(x.batch, 2, "a pair");
    let shape = [1, x.height, x.width, x.channels];
    let (first, second) = x.data.split_at(x.data.len() / 2);
    [first, second].map(|data| Grid::new(data.to_vec(), shape))
}

/// The mean of all values of both frames, and the frames without it as a batch.
fn less_mean(frames: &[Grid; 2]) -> (f32, Grid) {
    let sum: f64 = frames.iter().flat_map(|frame| &frame.data).map(|value| *value as f64).sum();
    let count = frames[0].data.len() + frames[1].data.len();
    let mean = (sum / count as f64) as f32;
    let data = frames.iter().flat_map(|frame| &frame.data).map(|value| value - mean).collect();
    (mean, Grid::new(data, [2, frames[0].height, frames[0].width, 3]))
}

/// Pixels of four values, of which the last is 0.
fn with_fourth(frame: &Grid) -> Vec<f32> {
    frame.data.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 0.0]).collect()
}

#[cfg(test)]
mod parity;
