use vidit_kernels::pointwise::add_and_activate_in_place;

use crate::layers::{Activation, Conv2d, ConvPrelu, instance_norm};
use crate::{BackboneError, Grid, Weights};

/// Features to be compared: six bottlenecks with instance norm, ending at an eighth of the size.
pub struct FeatureEncoder {
    stem: Conv2d,
    blocks: Vec<Bottleneck>,
    head: Conv2d,
}

struct Bottleneck {
    convs: [Conv2d; 3],
    /// Where the size changes.
    shortcut: Option<Conv2d>,
}

/// Widths of the three stages as published, and their strides.
const STAGES: [(usize, usize); 3] = [(32, 1), (64, 2), (96, 2)];

impl FeatureEncoder {
    pub fn load(weights: &Weights) -> Result<Self, BackboneError> {
        let mut width = weights.outputs("conv1", STAGES[0].0);
        let stem = Conv2d::load(&weights.at("conv1"), [3, width], 7, 2, 3)?;
        let mut blocks = Vec::new();
        for (stage, (published, stride)) in STAGES.into_iter().enumerate() {
            for i in 0..2 {
                let place = weights.at(format!("layer{}.{i}", stage + 1));
                let wide = place.outputs("conv3", published);
                blocks.push(Bottleneck::load(&place, [width, wide], if i == 0 { stride } else { 1 })?);
                width = wide;
            }
        }
        let output = weights.outputs("conv2", 84);
        let head = Conv2d::load(&weights.at("conv2"), [width, output], 1, 1, 0)?;
        Ok(Self { stem, blocks, head })
    }

    /// `[B, H, W, 3]` → `[B, H/8, W/8, C]`.
    pub fn forward(&self, x: &Grid) -> Grid {
        let mut x = normed(&self.stem, x); // [B, H/2, W/2, C]
        for block in &self.blocks {
            x = block.forward(&x);
        }
        self.head.forward(&x)
    }
}

impl Bottleneck {
    fn load(weights: &Weights, [input, output]: [usize; 2], stride: usize) -> Result<Self, BackboneError> {
        let inner = weights.outputs("conv1", output / 4);
        let shortcut = match stride {
            1 => None,
            _ => Some(Conv2d::load(&weights.at("downsample.0"), [input, output], 1, stride, 0)?),
        };
        Ok(Self {
            convs: [
                Conv2d::load(&weights.at("conv1"), [input, inner], 1, 1, 0)?,
                Conv2d::load(&weights.at("conv2"), [inner, inner], 3, stride, 1)?,
                Conv2d::load(&weights.at("conv3"), [inner, output], 1, 1, 0)?,
            ],
            shortcut,
        })
    }

    fn forward(&self, x: &Grid) -> Grid {
        let [first, second, third] = &self.convs;
        let mut out = normed(third, &normed(second, &normed(first, x)));
        let shrunk = self.shortcut.as_ref().map(|conv| {
            let mut shrunk = conv.forward(x);
            instance_norm(&mut shrunk, None);
            shrunk
        });
        let residual = shrunk.as_ref().unwrap_or(x);
        add_and_activate_in_place(&mut out.data, &residual.data, Activation::Relu);
        out
    }
}

fn normed(conv: &Conv2d, x: &Grid) -> Grid {
    let mut out = conv.forward(x);
    instance_norm(&mut out, Some(Activation::Relu));
    out
}

/// Context at four scales, each half of the one before.
pub struct ContextEncoder([[ConvPrelu; 2]; 4]);

impl ContextEncoder {
    pub fn load(weights: &Weights) -> Result<Self, BackboneError> {
        let mut input = 3;
        let mut level = |i: usize, published: usize| -> Result<[ConvPrelu; 2], BackboneError> {
            let place = weights.at(format!("pyramid{i}"));
            let output = place.at(0).outputs("0", published);
            let channels = [input, output];
            input = output;
            Ok([
                ConvPrelu::load(&place.at(0), channels, 3, 2)?,
                ConvPrelu::load(&place.at(1), [output; 2], 3, 1)?,
            ])
        };
        Ok(Self([level(1, 20)?, level(2, 32)?, level(3, 44)?, level(4, 56)?]))
    }

    /// Channels of each scale.
    pub fn widths(&self) -> [usize; 4] {
        self.0.each_ref().map(|[_, last]| last.output())
    }

    /// `[B, H, W, 3]` → `[B, H/2, W/2, C₁]`, …, `[B, H/16, W/16, C₄]`.
    pub fn forward(&self, x: &Grid) -> Vec<Grid> {
        let mut maps: Vec<Grid> = Vec::new();
        for [first, second] in &self.0 {
            let map = second.forward(&first.forward(maps.last().unwrap_or(x)));
            maps.push(map);
        }
        maps
    }
}
