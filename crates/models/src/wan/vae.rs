//! The causal video VAE of Wan 2.1: 4× in time, 8× along height and width, frame 0 alone (Wan-Video/Wan2.1
//! `wan/modules/vae.py`).
//!
//! Work comes in chunks: one frame first, then one latent frame (four pixel frames) at a time. A convolution that looks back
//! keeps the last two frames it was given, and begins with zeros. The layers that change the frame rate differ in the first
//! chunk: they pass it on as it is, and what follows them in time begins anew after it.
//!
//! Field names are the checkpoint's; `name_2` stands for its `name.2`.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use vidit_ops::{ConvGeometry, Tail};

use super::config::{LATENT_DEVIATION, LATENT_MEAN, VaeConfig};
use crate::nn::Init;

/// Levels at which time is doubled or halved, next to the latents.
const TIME_LEVELS: usize = 2;
/// Frames of one chunk after the first.
const CHUNK: usize = 4;

/// What a stream keeps between chunks: the last frames before each convolution that looks back.
#[derive(Clone, Debug, Default)]
pub struct StreamMemory {
    slots: Vec<Option<Tensor<5>>>,
    /// The slot that the next convolution of this pass takes.
    next: usize,
    chunks: usize,
}

impl StreamMemory {
    fn begin_chunk(&mut self) {
        self.next = 0;
        self.chunks += 1;
    }

    /// Frames held, of whatever size.
    #[cfg(test)]
    pub(super) fn frames_kept(&self) -> usize {
        self.slots.iter().flatten().map(|frames| frames.dims()[1]).sum()
    }

    fn in_first_chunk(&self) -> bool {
        self.chunks == 1
    }

    /// The slot of the next convolution; all passes ask in the same order.
    fn slot(&mut self) -> &mut Option<Tensor<5>> {
        if self.next == self.slots.len() {
            self.slots.push(None);
        }
        self.next += 1;
        &mut self.slots[self.next - 1]
    }
}

/// The last `count` frames, sharing no storage with the others, which would be kept alive by them.
fn last_frames(x: &Tensor<5>, count: usize) -> Tensor<5> {
    let frames = x.dims()[1];
    if count == frames {
        return x.clone();
    }
    Tensor::cat((frames - count..frames).map(|i| x.clone().narrow(1, i, 1)).collect(), 1)
}

/// RMS norm over the channels of a clip.
#[derive(Module, Debug)]
struct Norm {
    /// `[1, 1, 1, C]`.
    gamma: Param<Tensor<4>>,
}

/// RMS norm over the channels of frames.
#[derive(Module, Debug)]
struct FrameNorm {
    /// `[1, 1, C]`.
    gamma: Param<Tensor<3>>,
}

/// Convolution over time, height and width that sees no later frame.
#[derive(Module, Debug)]
struct CausalConv {
    /// `[Kt, Kh, Kw, C, O]`.
    weight: Param<Tensor<5>>,
    /// `[O]`.
    bias: Param<Tensor<1>>,
}

/// Convolution of each frame by itself.
#[derive(Module, Debug)]
struct FrameConv {
    /// `[Kh, Kw, C, O]`.
    weight: Param<Tensor<4>>,
    /// `[O]`.
    bias: Param<Tensor<1>>,
}

/// Two convolutions around a skip, which has one of its own where the width changes.
#[derive(Module, Debug)]
struct ResidualBlock {
    residual_0: Norm,
    residual_2: CausalConv,
    residual_3: Norm,
    residual_6: CausalConv,
    shortcut: Option<CausalConv>,
}

/// Attention of each frame's cells to each other.
#[derive(Module, Debug)]
struct AttentionBlock {
    norm: FrameNorm,
    to_qkv: FrameConv,
    proj: FrameConv,
}

/// Twice the height and width at half the channels, and where there is a `time_conv` twice the frames.
#[derive(Module, Debug)]
struct Upsample {
    resample_1: FrameConv,
    time_conv: Option<CausalConv>,
}

/// Half the height and width, and where there is a `time_conv` half the frames.
#[derive(Module, Debug)]
struct Downsample {
    resample_1: FrameConv,
    time_conv: Option<CausalConv>,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // a dozen of them exist
enum UpLayer {
    Residual(ResidualBlock),
    Upsample(Upsample),
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // a dozen of them exist
enum DownLayer {
    Residual(ResidualBlock),
    Downsample(Downsample),
}

#[derive(Module, Debug)]
struct Decoder {
    conv1: CausalConv,
    middle_0: ResidualBlock,
    middle_1: AttentionBlock,
    middle_2: ResidualBlock,
    upsamples: Vec<UpLayer>,
    head_0: Norm,
    head_2: CausalConv,
}

#[derive(Module, Debug)]
struct Encoder {
    conv1: CausalConv,
    downsamples: Vec<DownLayer>,
    middle_0: ResidualBlock,
    middle_1: AttentionBlock,
    middle_2: ResidualBlock,
    head_0: Norm,
    head_2: CausalConv,
}

/// Latents → frames. The checkpoint's `conv2.*` and `decoder.*`.
#[derive(Module, Debug)]
pub struct VaeDecoder {
    conv2: CausalConv,
    decoder: Decoder,
}

/// Frames → latents. The checkpoint's `conv1.*` and `encoder.*`.
#[derive(Module, Debug)]
pub struct VaeEncoder {
    conv1: CausalConv,
    encoder: Encoder,
}

/// Of `x / max(‖x‖, 1e-12) · √C · gamma`, written as an RMS norm: acts on nothing but zeros.
fn epsilon(channels: usize) -> f32 {
    1e-24 / channels as f32
}

impl Norm {
    fn new(init: &mut Init, channels: usize) -> Self {
        Self { gamma: init.constant([1, 1, 1, channels], 1.0) }
    }

    /// `silu(norm(x))` behind frames that were so made before, `past [B, P, H, W, C]`, `x [B, F, H, W, C]` → `[B, P + F, H, W, C]`.
    fn silu_behind(&self, past: Option<Tensor<5>>, x: Tensor<5>) -> Tensor<5> {
        let channels = x.dims()[4];
        let (gamma, epsilon) = (self.gamma.val().reshape([channels]), epsilon(channels));
        match past {
            None => vidit_ops::rms_norm(x, gamma, channels, epsilon, Tail::Silu),
            Some(past) => vidit_ops::rms_norm_behind(past, x, gamma, channels, epsilon, Tail::Silu),
        }
    }
}

impl FrameNorm {
    fn new(init: &mut Init, channels: usize) -> Self {
        Self { gamma: init.constant([1, 1, channels], 1.0) }
    }

    /// `[B, F, H, W, C]` → the same.
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let channels = x.dims()[4];
        vidit_ops::rms_norm(x, self.gamma.val().reshape([channels]), channels, epsilon(channels), Tail::None)
    }
}

impl CausalConv {
    fn new(init: &mut Init, kernel: [usize; 3], inputs: usize, outputs: usize, gain: f64) -> Self {
        let [t, h, w] = kernel;
        let depth = t * h * w * inputs;
        Self {
            weight: init.normal([t, h, w, inputs, outputs], gain / (depth as f64).sqrt()),
            bias: init.constant([outputs], 0.0),
        }
    }

    /// `[B, F, H, W, C]` → `[B, F', H, W, O]`, plus `residual`; frames before the first are zeros, `zeros` of them.
    fn apply(&self, x: Tensor<5>, stride: usize, zeros: usize, residual: Option<Tensor<5>>) -> Tensor<5> {
        let [t, h, w, inputs, outputs] = self.weight.dims();
        let weight = self.weight.val().reshape([t * h * w * inputs, outputs]);
        let geometry =
            ConvGeometry { kernel: [t, h, w], stride: [stride, 1, 1], padding: [zeros, h / 2, w / 2] };
        vidit_ops::conv3d(x, weight, self.bias.val(), geometry, residual)
    }

    /// The convolution of the next frames of a stream. `[B, F, H, W, C]` → `[B, F, H, W, O]`.
    fn forward(&self, x: Tensor<5>, memory: &mut StreamMemory) -> Tensor<5> {
        let join = |past, x| match past {
            None => x,
            Some(past) => Tensor::cat(vec![past, x], 1), // [B, known + F, H, W, C]
        };
        self.join_and_apply(x, memory, join, None)
    }

    /// The same after `norm` and SiLU, plus `residual`.
    fn after(
        &self,
        norm: &Norm,
        x: Tensor<5>,
        memory: &mut StreamMemory,
        residual: Option<Tensor<5>>,
    ) -> Tensor<5> {
        self.join_and_apply(x, memory, |past, x| norm.silu_behind(past, x), residual)
    }

    /// `join` puts the next frames behind those that the stream remembers.
    fn join_and_apply(
        &self,
        x: Tensor<5>,
        memory: &mut StreamMemory,
        join: impl Fn(Option<Tensor<5>>, Tensor<5>) -> Tensor<5>,
        residual: Option<Tensor<5>>,
    ) -> Tensor<5> {
        let back = self.weight.dims()[0] - 1;
        let slot = memory.slot();
        let past = slot.take();
        let known = past.as_ref().map_or(0, |past| past.dims()[1]);
        let x = join(past, x);
        *slot = Some(last_frames(&x, back.min(x.dims()[1])));
        self.apply(x, 1, back - known, residual)
    }

    /// A kernel of one frame and one cell. `[B, F, H, W, C]` → `[B, F, H, W, O]`.
    fn pointwise(&self, x: Tensor<5>) -> Tensor<5> {
        self.apply(x, 1, 0, None)
    }
}

impl FrameConv {
    fn new(init: &mut Init, kernel: usize, inputs: usize, outputs: usize, gain: f64) -> Self {
        let depth = kernel * kernel * inputs;
        Self {
            weight: init.normal([kernel, kernel, inputs, outputs], gain / (depth as f64).sqrt()),
            bias: init.constant([outputs], 0.0),
        }
    }

    /// `[B, F, H, W, C]` → `[B, F, H', W', O]`, plus `residual`; `zeros` on both sides of height and width.
    fn forward(&self, x: Tensor<5>, stride: usize, zeros: usize, residual: Option<Tensor<5>>) -> Tensor<5> {
        let [h, w, inputs, outputs] = self.weight.dims();
        let weight = self.weight.val().reshape([h * w * inputs, outputs]);
        let geometry =
            ConvGeometry { kernel: [1, h, w], stride: [1, stride, stride], padding: [0, zeros, zeros] };
        vidit_ops::conv3d(x, weight, self.bias.val(), geometry, residual)
    }
}

impl ResidualBlock {
    fn new(init: &mut Init, inputs: usize, outputs: usize) -> Self {
        Self {
            residual_0: Norm::new(init, inputs),
            residual_2: CausalConv::new(init, [3, 3, 3], inputs, outputs, 1.4),
            residual_3: Norm::new(init, outputs),
            residual_6: CausalConv::new(init, [3, 3, 3], outputs, outputs, 0.7),
            shortcut: (inputs != outputs).then(|| CausalConv::new(init, [1, 1, 1], inputs, outputs, 1.0)),
        }
    }

    /// `[B, F, H, W, C]` → `[B, F, H, W, O]`.
    fn forward(&self, x: Tensor<5>, memory: &mut StreamMemory) -> Tensor<5> {
        let skip = match &self.shortcut {
            None => x.clone(),
            Some(shortcut) => shortcut.pointwise(x.clone()),
        };
        let h = self.residual_2.after(&self.residual_0, x, memory, None);
        self.residual_6.after(&self.residual_3, h, memory, Some(skip))
    }
}

impl AttentionBlock {
    fn new(init: &mut Init, channels: usize) -> Self {
        Self {
            norm: FrameNorm::new(init, channels),
            to_qkv: FrameConv::new(init, 1, channels, 3 * channels, 1.0),
            proj: FrameConv::new(init, 1, channels, channels, 0.5),
        }
    }

    /// `[B, F, H, W, C]` → the same.
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let [b, f, h, w, c] = x.dims();
        let qkv = self.to_qkv.forward(self.norm.forward(x.clone()), 1, 0, None); // [B, F, H, W, 3C]
        let qkv = qkv.reshape([b * f, h * w, 3 * c]);
        let part = |i: usize| qkv.clone().narrow(2, i * c, c); // [B·F, H·W, C]
        let attended = vidit_ops::attention(part(0), part(1), part(2), 1, None);
        self.proj.forward(attended.reshape([b, f, h, w, c]), 1, 0, Some(x))
    }
}

impl Upsample {
    fn new(init: &mut Init, channels: usize, in_time: bool) -> Self {
        Self {
            resample_1: FrameConv::new(init, 3, channels, channels / 2, 1.0),
            time_conv: in_time.then(|| CausalConv::new(init, [3, 1, 1], channels, 2 * channels, 1.0)),
        }
    }

    /// `[B, F, H, W, C]` → `[B, F or 2F, 2H, 2W, C/2]`. The first chunk keeps its frames, and `time_conv` never sees it.
    fn forward(&self, x: Tensor<5>, memory: &mut StreamMemory) -> Tensor<5> {
        let cells = match &self.time_conv {
            None => repeat_cells(x, 1),
            Some(_) if memory.in_first_chunk() => {
                memory.slot();
                repeat_cells(x, 1)
            }
            Some(time_conv) => repeat_cells(time_conv.forward(x, memory), 2),
        };
        self.resample_1.forward(cells, 1, 1, None)
    }
}

impl Downsample {
    fn new(init: &mut Init, channels: usize, in_time: bool) -> Self {
        Self {
            resample_1: FrameConv::new(init, 3, channels, channels, 1.0),
            time_conv: in_time.then(|| CausalConv::new(init, [3, 1, 1], channels, channels, 1.0)),
        }
    }

    /// `[B, F, H, W, C]` → `[B, F or F/2, H/2, W/2, C]`. `time_conv` begins with the last frame of the chunk before; the
    /// first chunk passes it by.
    fn forward(&self, x: Tensor<5>, memory: &mut StreamMemory) -> Tensor<5> {
        let x = self.resample_1.forward(zeros_behind(x), 2, 0, None); // [B, F, H/2, W/2, C]
        let Some(time_conv) = &self.time_conv else { return x };
        match memory.slot().replace(last_frames(&x, 1)) {
            None => x,
            Some(past) => time_conv.apply(Tensor::cat(vec![past, x], 1), 2, 0, None),
        }
    }
}

/// Each cell four times, of `folded` frames that lie side by side in its channels, the earlier one first:
/// `[B, F, H, W, folded·C]` → `[B, folded·F, 2H, 2W, C]`.
fn repeat_cells(x: Tensor<5>, folded: usize) -> Tensor<5> {
    let [b, f, h, w, c] = x.dims();
    let c = c / folded;
    let cells = x
        .reshape::<8, _>([b, f, h, 1, w, 1, folded, c])
        .permute([0, 1, 6, 2, 3, 4, 5, 7])
        .expand([b, f, folded, h, 2, w, 2, c]);
    vidit_ops::contiguous(cells).reshape([b, folded * f, 2 * h, 2 * w, c])
}

/// A row and a column of zeros at the bottom and at the right: `[B, F, H, W, C]` → `[B, F, H + 1, W + 1, C]`.
fn zeros_behind(x: Tensor<5>) -> Tensor<5> {
    let [b, f, h, w, c] = x.dims();
    let device = x.device();
    let x = Tensor::cat(vec![x, Tensor::zeros([b, f, 1, w, c], &device)], 2);
    Tensor::cat(vec![x, Tensor::zeros([b, f, h + 1, 1, c], &device)], 3)
}

impl Decoder {
    fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let widths = config.multipliers.map(|multiplier| config.width * multiplier);
        let coarsest = widths[3];
        let mut upsamples = Vec::new();
        for level in (0..widths.len()).rev() {
            let mut inputs = if level == 3 { coarsest } else { widths[level + 1] / 2 };
            for _ in 0..=config.residual_blocks {
                upsamples.push(UpLayer::Residual(ResidualBlock::new(init, inputs, widths[level])));
                inputs = widths[level];
            }
            if level > 0 {
                let in_time = level > 3 - TIME_LEVELS;
                upsamples.push(UpLayer::Upsample(Upsample::new(init, widths[level], in_time)));
            }
        }
        Self {
            conv1: CausalConv::new(init, [3, 3, 3], config.latent_channels, coarsest, 1.0),
            middle_0: ResidualBlock::new(init, coarsest, coarsest),
            middle_1: AttentionBlock::new(init, coarsest),
            middle_2: ResidualBlock::new(init, coarsest, coarsest),
            upsamples,
            head_0: Norm::new(init, widths[0]),
            head_2: CausalConv::new(init, [3, 3, 3], widths[0], 3, 0.3),
        }
    }

    /// `[B, 1, H, W, C]` → `[B, 1 or 4, 8H, 8W, 3]`.
    fn forward(&self, x: Tensor<5>, memory: &mut StreamMemory, trace: Trace) -> Tensor<5> {
        let x = self.conv1.forward(x, memory);
        trace("decoder.conv1", &x);
        let x = self.middle_0.forward(x, memory);
        trace("decoder.middle.0", &x);
        let x = self.middle_1.forward(x);
        trace("decoder.middle.1", &x);
        let mut x = self.middle_2.forward(x, memory);
        trace("decoder.middle.2", &x);
        for (i, layer) in self.upsamples.iter().enumerate() {
            x = match layer {
                UpLayer::Residual(block) => block.forward(x, memory),
                UpLayer::Upsample(upsample) => upsample.forward(x, memory),
            };
            trace(&format!("decoder.upsamples.{i}"), &x);
        }
        let x = self.head_2.after(&self.head_0, x, memory, None);
        trace("decoder.head", &x);
        x
    }
}

impl Encoder {
    fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let widths = config.multipliers.map(|multiplier| config.width * multiplier);
        let coarsest = widths[3];
        let mut downsamples = Vec::new();
        let mut inputs = config.width;
        for (level, &width) in widths.iter().enumerate() {
            for _ in 0..config.residual_blocks {
                downsamples.push(DownLayer::Residual(ResidualBlock::new(init, inputs, width)));
                inputs = width;
            }
            if level < 3 {
                let in_time = level + 1 > 3 - TIME_LEVELS;
                downsamples.push(DownLayer::Downsample(Downsample::new(init, width, in_time)));
            }
        }
        Self {
            conv1: CausalConv::new(init, [3, 3, 3], 3, config.width, 1.0),
            downsamples,
            middle_0: ResidualBlock::new(init, coarsest, coarsest),
            middle_1: AttentionBlock::new(init, coarsest),
            middle_2: ResidualBlock::new(init, coarsest, coarsest),
            head_0: Norm::new(init, coarsest),
            head_2: CausalConv::new(init, [3, 3, 3], coarsest, 2 * config.latent_channels, 0.5),
        }
    }

    /// `[B, 1 or 4, Hp, Wp, 3]` → `[B, 1, Hp/8, Wp/8, 2C]`.
    fn forward(&self, x: Tensor<5>, memory: &mut StreamMemory, trace: Trace) -> Tensor<5> {
        let mut x = self.conv1.forward(x, memory);
        trace("encoder.conv1", &x);
        for (i, layer) in self.downsamples.iter().enumerate() {
            x = match layer {
                DownLayer::Residual(block) => block.forward(x, memory),
                DownLayer::Downsample(downsample) => downsample.forward(x, memory),
            };
            trace(&format!("encoder.downsamples.{i}"), &x);
        }
        let x = self.middle_0.forward(x, memory);
        trace("encoder.middle.0", &x);
        let x = self.middle_1.forward(x);
        trace("encoder.middle.1", &x);
        let x = self.middle_2.forward(x, memory);
        trace("encoder.middle.2", &x);
        let x = self.head_2.after(&self.head_0, x, memory, None);
        trace("encoder.head", &x);
        x
    }
}

/// Is shown each activation of a chunk in the order of computation.
pub(super) type Trace<'a> = &'a mut dyn FnMut(&str, &Tensor<5>);

impl VaeDecoder {
    /// Random weights.
    pub fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let channels = config.latent_channels;
        Self {
            conv2: CausalConv::new(init, [1, 1, 1], channels, channels, 1.0),
            decoder: Decoder::new(config, init),
        }
    }

    /// Decodes latents (see [`denormalise`]) one frame after the other.
    ///
    /// # Shapes
    /// `[B, F, H, W, C]` → `[B, 4(F − 1) + 1, 8H, 8W, 3]` in -1..1.
    pub fn decode(&self, latents: Tensor<5>) -> Tensor<5> {
        let mut memory = StreamMemory::default();
        let frames = latents.dims()[1];
        let chunk = |i| self.decode_next(latents.clone().narrow(1, i, 1), &mut memory);
        Tensor::cat((0..frames).map(chunk).collect(), 1)
    }

    /// Decodes the next latent frame of a stream; memory does not grow with its length.
    ///
    /// # Shapes
    /// `[B, 1, H, W, C]` → `[B, 1, 8H, 8W, 3]` for the first frame of a stream, `[B, 4, 8H, 8W, 3]` for each later one, in
    /// -1..1.
    ///
    /// # Panics
    /// If given more than one frame.
    pub fn decode_next(&self, latents: Tensor<5>, memory: &mut StreamMemory) -> Tensor<5> {
        self.decode_next_traced(latents, memory, &mut |_, _| {})
    }

    /// [`Self::decode_next`], showing `trace` the output of every layer.
    pub(super) fn decode_next_traced(
        &self,
        latents: Tensor<5>,
        memory: &mut StreamMemory,
        trace: Trace,
    ) -> Tensor<5> {
        assert_eq!(latents.dims()[1], 1, "latent frames are decoded one at a time");
        memory.begin_chunk();
        let x = self.conv2.pointwise(latents);
        trace("conv2", &x);
        self.decoder.forward(x, memory, trace).clamp(-1.0, 1.0)
    }
}

impl VaeEncoder {
    /// Random weights.
    pub fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let channels = 2 * config.latent_channels;
        Self {
            conv1: CausalConv::new(init, [1, 1, 1], channels, channels, 1.0),
            encoder: Encoder::new(config, init),
        }
    }

    /// Encodes a clip to the means of its latents, which is what Wan uses of them (see [`normalise`]).
    ///
    /// # Shapes
    /// `[B, Fp, Hp, Wp, 3]` in -1..1 with `Fp = 4n + 1` and sides multiples of 8 → `[B, n + 1, Hp/8, Wp/8, C]`.
    ///
    /// # Panics
    /// If frames are not `4n + 1`.
    pub fn encode(&self, pixels: Tensor<5>) -> Tensor<5> {
        let frames = pixels.dims()[1];
        assert_eq!(frames % CHUNK, 1, "a clip has 4n + 1 frames");
        let mut memory = StreamMemory::default();
        let mut chunk =
            |start, length| self.encode_next(pixels.clone().narrow(1, start, length), &mut memory);
        let mut latents = vec![chunk(0, 1)];
        latents.extend((1..frames).step_by(CHUNK).map(|start| chunk(start, CHUNK)));
        Tensor::cat(latents, 1)
    }

    /// Encodes the next frames of a stream; memory does not grow with its length.
    ///
    /// # Shapes
    /// `[B, 1, Hp, Wp, 3]` at the beginning of a stream, `[B, 4, Hp, Wp, 3]` later → `[B, 1, Hp/8, Wp/8, C]`.
    ///
    /// # Panics
    /// If given another number of frames.
    pub fn encode_next(&self, pixels: Tensor<5>, memory: &mut StreamMemory) -> Tensor<5> {
        self.encode_next_traced(pixels, memory, &mut |_, _| {})
    }

    /// [`Self::encode_next`], showing `trace` the output of every layer.
    pub(super) fn encode_next_traced(
        &self,
        pixels: Tensor<5>,
        memory: &mut StreamMemory,
        trace: Trace,
    ) -> Tensor<5> {
        memory.begin_chunk();
        let expected = if memory.in_first_chunk() { 1 } else { CHUNK };
        assert_eq!(pixels.dims()[1], expected, "frame 0 is encoded alone, later ones four at a time");
        let x = self.conv1.pointwise(self.encoder.forward(pixels, memory, trace)); // [B, 1, H, W, 2C]
        trace("conv1", &x);
        let channels = x.dims()[4] / 2;
        x.narrow(4, 0, channels)
    }
}

/// `[1, 1, 1, 1, 16]` on the device of `like`.
fn per_channel(values: [f32; 16], like: &Tensor<5>) -> Tensor<5> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 1, 16]), &like.device())
}

/// Latents of [`VaeEncoder`] → latents as the transformer sees them, each channel of mean 0 and deviation 1.
/// `[B, F, H, W, 16]`.
pub fn normalise(latents: Tensor<5>) -> Tensor<5> {
    let scale = per_channel(LATENT_DEVIATION.map(|deviation| 1.0 / deviation), &latents);
    (latents.clone() - per_channel(LATENT_MEAN, &latents)) * scale
}

/// The way back. Divides by the inverse deviation, as the original does, to be equal to the bit.
pub fn denormalise(latents: Tensor<5>) -> Tensor<5> {
    let scale = per_channel(LATENT_DEVIATION.map(|deviation| 1.0 / deviation), &latents);
    latents.clone() / scale + per_channel(LATENT_MEAN, &latents)
}
