use vidit_kernels::pointwise::add_and_activate_in_place;

use crate::layers::{Activation, Conv2d, batch_norm_folded, instance_norm};
use crate::{BackboneError, Grid, Weights};

/// What follows each convolution but the last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Of each map, without weights.
    Instance,
    /// With running statistics, folded into the convolution.
    Batch,
}

/// Six residual blocks that end at an eighth of the size.
pub struct Encoder {
    norm: Norm,
    stem: Conv2d,
    blocks: Vec<Block>,
    head: Conv2d,
}

/// Two convolutions of 3 × 3 beside a shortcut.
pub struct Block {
    first: Conv2d,
    second: Conv2d,
    /// Where the size changes.
    shortcut: Option<Conv2d>,
}

/// Widths of the three stages that the published encoders have, and their strides.
const STAGES: [(usize, usize); 3] = [(64, 1), (96, 2), (128, 2)];

impl Encoder {
    /// `output` as published; all widths are those of the weights.
    pub fn load(weights: &Weights, norm: Norm, output: usize) -> Result<Self, BackboneError> {
        let mut width = weights.outputs("conv1", STAGES[0].0);
        let stem =
            normed(Conv2d::load(&weights.at("conv1"), [3, width], 7, 2, 3)?, &weights.at("norm1"), norm)?;
        let mut blocks = Vec::new();
        for (stage, (published, stride)) in STAGES.into_iter().enumerate() {
            for i in 0..2 {
                let place = weights.at(format!("layer{}.{i}", stage + 1));
                let wide = place.outputs("conv1", published);
                blocks.push(Block::load(&place, [width, wide], if i == 0 { stride } else { 1 }, norm)?);
                width = wide;
            }
        }
        let output = weights.outputs("conv2", output);
        let head = Conv2d::load(&weights.at("conv2"), [width, output], 1, 1, 0)?;
        Ok(Self { norm, stem, blocks, head })
    }

    pub fn output(&self) -> usize {
        self.head.output()
    }

    /// `[1, H, W, 3]` → `[1, H/8, W/8, output]`.
    pub fn forward(&self, x: &Grid) -> Grid {
        let mut x = self.norm.activated(&self.stem, x); // [1, H/2, W/2, C]
        for block in &self.blocks {
            x = block.forward(&x, self.norm);
        }
        self.head.forward(&x)
    }
}

impl Block {
    pub fn load(
        weights: &Weights,
        [input, output]: [usize; 2],
        stride: usize,
        norm: Norm,
    ) -> Result<Self, BackboneError> {
        let conv = |name: &str, norm_name: &str, channels, kernel, stride| {
            let conv = Conv2d::load(&weights.at(name), channels, kernel, stride, kernel / 2)?;
            normed(conv, &weights.at(norm_name), norm)
        };
        let shortcut = match stride {
            1 => None,
            _ => Some(conv("downsample.0", "downsample.1", [input, output], 1, stride)?),
        };
        // The official module holds this norm under a second name.
        for name in ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"] {
            weights.at("norm3").skip(name);
        }
        Ok(Self {
            first: conv("conv1", "norm1", [input, output], 3, stride)?,
            second: conv("conv2", "norm2", [output, output], 3, 1)?,
            shortcut,
        })
    }

    pub fn forward(&self, x: &Grid, norm: Norm) -> Grid {
        let inner = norm.activated(&self.first, x);
        let shrunk = self.shortcut.as_ref().map(|conv| {
            let mut shrunk = conv.forward(x);
            if norm == Norm::Instance {
                instance_norm(&mut shrunk, None);
            }
            shrunk
        });
        let residual = shrunk.as_ref().unwrap_or(x);
        match norm {
            Norm::Batch => self.second.activated_and_added(&inner, residual, Activation::Relu),
            Norm::Instance => {
                let mut out = norm.activated(&self.second, &inner);
                add_and_activate_in_place(&mut out.data, &residual.data, Activation::Relu);
                out
            }
        }
    }
}

impl Norm {
    /// The convolution, the norm and ReLU.
    pub fn activated(self, conv: &Conv2d, x: &Grid) -> Grid {
        match self {
            Norm::Batch => conv.activated(x, Activation::Relu),
            Norm::Instance => {
                let mut out = conv.forward(x);
                instance_norm(&mut out, Some(Activation::Relu));
                out
            }
        }
    }
}

fn normed(conv: Conv2d, weights: &Weights, norm: Norm) -> Result<Conv2d, BackboneError> {
    Ok(match norm {
        Norm::Instance => conv,
        Norm::Batch => {
            let folded = batch_norm_folded(weights, conv.output())?;
            conv.fold(folded)
        }
    })
}
