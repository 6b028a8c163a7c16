//! CoTracker2 (Karaev et al. 2023, with virtual tracks and windows of eight frames): where points of the first frame are in all others.
//!
//! [`Tracker`] is told frames one by one, `[1, H, W, 3]`, RGB from 0 to 255 of any one size, and makes them 384 × 512 itself (bilinear,
//! aligned corners). It keeps the features of one window and no frame. Points are those of the official predictor's regular grid on the
//! first frame, which all are followed from there. Keys are those of `cotracker2.pth`; all sizes but the number of heads are read off the
//! weights.
//!
//! The same function as the published code in another order: features are made once, when their frame comes; correlations only under the
//! windows that are looked at; the first block in time of the virtual tracks, which is of the weights alone, when these are loaded.

mod correlation;
mod encoder;
mod former;
mod tracker;

use vidit_weights::TensorStore;

use crate::layers::{Activation, Border, Filter, LayerNorm, Linear, Pyramid, interpolate, sample_bilinear};
use crate::{BackboneError, Checkpoint, Grid, Tokens};
use correlation::{CORRELATIONS, check_sides, correlations, within};
use encoder::{Encoder, STRIDE};
use former::Former;
pub use tracker::{Tracker, Tracks};

const NAME: &str = "CoTracker2";
/// Steps that better the tracks of a window, as the official predictor takes them.
const STEPS: usize = 6;
/// Sines and cosines of x, and as many of y.
const WAVES: usize = 64;
/// Between the frequencies of neighbouring waves, radians a pixel of the feature map.
const FREQUENCY: f32 = 1000.0 / WAVES as f32;

/// What cannot be told from the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Attention heads.
    pub heads: usize,
}

impl Config {
    /// `cotracker2.pth`.
    pub const PUBLISHED: Self = Self { heads: 8 };
}

/// The network.
pub struct CoTracker {
    encoder: Encoder,
    former: Former,
    /// `[1, H/4, W/4, E]`.
    positions: Grid,
    /// `[S, E]`.
    times: Vec<f32>,
    feature_norm: LayerNorm,
    feature_update: Linear,
    visible: Linear,
}

/// Tracks within one window, as they become better.
#[derive(Clone)]
struct Window {
    /// In pixels of the feature maps, x and y, `[N, S]`.
    places: Vec<[f32; 2]>,
    /// `[N, S, C]`.
    features: Vec<f32>,
    /// What is added to tokens whatever the places are, `[N, S, E]`: positions of the window's first places, times, and whether a
    /// frame is new and the track visible.
    fixed: Vec<f32>,
}

impl CoTracker {
    /// Takes all weights.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape, or is not one of the network's.
    pub fn load(store: TensorStore, config: Config) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new(NAME, store);
        let root = checkpoint.root();
        let encoder = Encoder::load(&root.at("fnet"), 128)?;
        let latent = encoder.output();
        let former = Former::load(&root.at("updateformer"), config.heads, 2 + latent)?;
        let width = former.input();
        let expected = 2 + 2 * WAVES + CORRELATIONS + latent + 2;
        if width != expected {
            let reason = format!("tokens come in `{width}` wide, expected {expected}");
            return Err(BackboneError::Config { network: NAME, reason });
        }
        let (shape, values) = root.take_any("pos_emb", 4)?;
        if shape[..2] != [1, width] {
            let expected = vec![1, width, shape[2], shape[3]];
            let key = "pos_emb".to_owned();
            return Err(BackboneError::Shape { network: NAME, key, expected, found: shape });
        }
        check_sides(NAME, [shape[2], shape[3]])?;
        let positions = Grid::from_channels_first(&values, [1, width, shape[2], shape[3]]);
        let window = root.shape("time_emb").and_then(|shape| shape.get(1).copied()).unwrap_or(8);
        if window < 2 {
            let reason = format!("windows have `{window}` frames, expected 2 or more");
            return Err(BackboneError::Config { network: NAME, reason });
        }
        let network = Self {
            times: root.take("time_emb", &[1, window, width])?,
            feature_norm: LayerNorm::load(&root.at("norm"), latent, 1e-5)?,
            feature_update: Linear::load(&root.at("track_feat_updater.0"), [latent, latent])?,
            visible: Linear::load(&root.at("vis_predictor.0"), [latent, 1])?,
            encoder,
            former,
            positions,
        };
        drop(root);
        checkpoint.finish(|_| false)?;
        Ok(network)
    }

    /// Frames of a window, `S`. Each begins half of that after the one before.
    pub fn window(&self) -> usize {
        self.times.len() / self.former.input()
    }

    /// Height and width of the frames that the network sees.
    pub fn resolution(&self) -> [usize; 2] {
        [self.positions.height * STRIDE, self.positions.width * STRIDE]
    }

    /// The features of a frame `[1, H, W, 3]`, 0 to 255.
    fn features(&self, frame: &Grid) -> Pyramid {
        assert!(frame.batch == 1 && frame.channels == 3, "a frame is [1, H, W, 3]");
        let aligned = Filter::Bilinear { align_corners: true };
        let mut frame = interpolate(frame, self.resolution(), None, aligned);
        frame.data.iter_mut().for_each(|value| *value = 2.0 * (*value / 255.0) - 1.0);
        Pyramid::new(self.encoder.forward(&frame)) // [1, H/4, W/4, C]
    }

    /// The tracks of a window at its beginning: `places [N, S]` and logits of visibility `[N, S]` are guesses, `features [N, C]` are the
    /// tracks' own, and frames from `known` on are new.
    fn begin(&self, places: Vec<[f32; 2]>, visible: &[f32], features: &[f32], known: usize) -> Window {
        let (times, width) = (self.window(), self.former.input());
        let latent = self.encoder.output();
        let tracks = places.len() / times;
        let features = features.chunks_exact(latent).flat_map(|feature| feature.repeat(times)).collect(); // [N, S, C]
        let mut fixed = Vec::with_capacity(places.len() * width);
        for n in 0..tracks {
            let position = bilinear(&self.positions, places[n * times]); // [E]
            for s in 0..times {
                let time = &self.times[s * width..][..width];
                fixed.extend(position.iter().zip(time).map(|(position, time)| position + time));
                let end = fixed.len();
                fixed[end - 2] += f32::from(u8::from(s >= known));
                fixed[end - 1] += visible[n * times + s];
            }
        }
        Window { places, features, fixed }
    }

    /// What the transformer reads, `[N, S, E]`.
    fn tokens(&self, window: &Window, frames: &[&Pyramid]) -> Tokens {
        let (times, width, latent) = (self.window(), self.former.input(), self.encoder.output());
        let correlations = correlations(frames, &window.features, &window.places); // [N, S, 196]
        let mut data = window.fixed.clone();
        for (i, token) in data.chunks_exact_mut(width).enumerate() {
            let (place, first) = (window.places[i], window.places[i / times * times]);
            let moved = [place[0] - first[0], place[1] - first[1]];
            let parts = [
                &waves(moved)[..],
                &correlations[i * CORRELATIONS..][..CORRELATIONS],
                &window.features[i * latent..][..latent],
            ];
            token.iter_mut().zip(parts.into_iter().flatten()).for_each(|(sum, value)| *sum += value);
        }
        Tokens::new(data, [window.places.len() / times, times, width])
    }

    /// One step.
    fn step(&self, window: &mut Window, frames: &[&Pyramid], watch: &mut dyn FnMut(&str, &[f32])) {
        let latent = self.encoder.output();
        let tokens = self.tokens(window, frames);
        watch("inputs", &tokens.data);
        let deltas = self.former.forward(tokens, watch); // [N, S, 2 + C]
        watch("delta", &deltas.data);
        let mut of_features = Vec::with_capacity(window.features.len());
        for (delta, place) in deltas.data.chunks_exact(2 + latent).zip(&mut window.places) {
            place[0] += delta[0];
            place[1] += delta[1];
            of_features.extend_from_slice(&delta[2..]);
        }
        let normed = self.feature_norm.forward(&of_features); // [N, S, C]
        let added = self.feature_update.activated(&normed, Activation::Gelu);
        window.features.iter_mut().zip(added).for_each(|(feature, added)| *feature += added);
    }

    /// Logits of visibility, `[N, S]`.
    fn visible(&self, window: &Window) -> Vec<f32> {
        self.visible.forward(&window.features)
    }
}

/// How far a track went, x and y, then sines and cosines of each at 32 frequencies.
fn waves(moved: [f32; 2]) -> [f32; 2 + 2 * WAVES] {
    let mut out = [0.0; 2 + 2 * WAVES];
    out[..2].copy_from_slice(&moved);
    for (axis, moved) in moved.into_iter().enumerate() {
        for (k, pair) in out[2 + axis * WAVES..][..WAVES].chunks_exact_mut(2).enumerate() {
            let angle = moved * ((2 * k) as f32 * FREQUENCY);
            [pair[0], pair[1]] = [angle.sin(), angle.cos()];
        }
    }
    out
}

/// The channels of a map at a place, the nearest pixel where that lies outside.
fn bilinear(map: &Grid, place: [f32; 2]) -> Vec<f32> {
    let point = [within(place[0], map.width), within(place[1], map.height)];
    sample_bilinear(map, &point, Border::Nearest)
}

#[cfg(test)]
mod parity;
