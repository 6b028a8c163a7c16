use crate::layers::{Activation, Conv2d, Filter, instance_norm, interpolate};
use crate::raft::encoder::{Block, Norm};
use crate::{BackboneError, Grid, Weights};

/// Pixels of a frame to one of its feature map, each way.
pub const STRIDE: usize = 4;
/// Widths of the four stages in shares of the output's, as quarters, and their strides.
const STAGES: [(usize, usize); 4] = [(2, 1), (3, 2), (4, 2), (4, 2)];

/// RAFT's residual blocks in four stages, of which all are seen at a quarter of the size.
pub struct Encoder {
    stem: Conv2d,
    blocks: Vec<[Block; 2]>,
    joint: Conv2d,
    head: Conv2d,
}

impl Encoder {
    /// The width is that of the weights, `published` where there are none.
    pub fn load(weights: &Weights, published: usize) -> Result<Self, BackboneError> {
        let output = weights.outputs("conv3", published);
        let mut width = output / 2;
        let stem = Conv2d::load(&weights.at("conv1"), [3, width], 7, 2, 3)?;
        let (mut blocks, mut seen) = (Vec::new(), 0);
        for (stage, (quarters, stride)) in STAGES.into_iter().enumerate() {
            let place = weights.at(format!("layer{}", stage + 1));
            let wide = output / 4 * quarters;
            let first = Block::load(&place.at(0), [width, wide], stride, Norm::Instance)?;
            blocks.push([first, Block::load(&place.at(1), [wide, wide], 1, Norm::Instance)?]);
            (width, seen) = (wide, seen + wide);
        }
        let joint = Conv2d::load(&weights.at("conv2"), [seen, 2 * output], 3, 1, 1)?;
        let head = Conv2d::load(&weights.at("conv3"), [2 * output, output], 1, 1, 0)?;
        Ok(Self { stem, blocks, joint, head })
    }

    pub fn output(&self) -> usize {
        self.head.output()
    }

    /// `[1, H, W, 3]` → `[1, H/4, W/4, C]`.
    pub fn forward(&self, x: &Grid) -> Grid {
        let size = [x.height / STRIDE, x.width / STRIDE];
        let mut stage = Norm::Instance.activated(&self.stem, x); // [1, H/2, W/2, C/2]
        let mut seen = Vec::with_capacity(STAGES.len());
        for pair in &self.blocks {
            for block in pair {
                stage = block.forward(&stage, Norm::Instance);
            }
            seen.push(interpolate(&stage, size, None, Filter::Bilinear { align_corners: true }));
        }
        drop(stage);
        let joined = Grid::join(&seen.iter().collect::<Vec<_>>()); // [1, H/4, W/4, 13/4 C]
        drop(seen);
        let mut x = self.joint.forward(&joined); // [1, H/4, W/4, 2C]
        instance_norm(&mut x, Some(Activation::Relu));
        self.head.forward(&x)
    }
}
