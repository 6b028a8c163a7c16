use crate::layers::{Conv2d, ConvPrelu, ConvTransposed2d};
use crate::{BackboneError, Grid, Weights};

/// Flow, and what else is decoded, at twice the size.
pub struct Decoder {
    first: ConvPrelu,
    block: Block,
    grow: ConvTransposed2d,
}

/// Convolutions, between which the last channels pass through ones of their own.
struct Block {
    convs: [ConvPrelu; 3],
    sides: [ConvPrelu; 2],
}

impl Decoder {
    pub fn load(weights: &Weights, [input, inner, output]: [usize; 3]) -> Result<Self, BackboneError> {
        Ok(Self {
            first: ConvPrelu::load(&weights.at(0), [input, inner], 3, 1)?,
            block: Block::load(&weights.at(1), inner)?,
            grow: ConvTransposed2d::load(&weights.at(2), [inner, output], 4, 2, 1)?,
        })
    }

    /// `[1, H, W, C]` → `[1, 2H, 2W, O]`.
    pub fn forward(&self, x: &Grid) -> Grid {
        self.grow.forward(&self.block.forward(self.first.forward(x)))
    }
}

impl Block {
    fn load(weights: &Weights, width: usize) -> Result<Self, BackboneError> {
        let side = weights.at("conv2").outputs("0", 20);
        let conv = |name: &str, width: usize| ConvPrelu::load(&weights.at(name), [width; 2], 3, 1);
        let last = Conv2d::load(&weights.at("conv5"), [width; 2], 3, 1, 1)?;
        Ok(Self {
            convs: [
                conv("conv1", width)?,
                conv("conv3", width)?,
                ConvPrelu::new(last, weights.at("prelu").take("weight", &[width])?),
            ],
            sides: [conv("conv2", side)?, conv("conv4", side)?],
        })
    }

    fn forward(&self, x: Grid) -> Grid {
        let [first, second, third] = &self.convs;
        let mut inner = first.forward(&x);
        self.side(0, &mut inner);
        inner = second.forward(&inner);
        self.side(1, &mut inner);
        third.added(&inner, &x)
    }

    /// Changes the last channels.
    fn side(&self, i: usize, x: &mut Grid) {
        let from = x.channels - self.sides[i].output();
        let side = self.sides[i].forward(&x.channels(from..x.channels));
        for (row, side) in x.data.chunks_exact_mut(x.channels).zip(side.data.chunks_exact(side.channels)) {
            row[from..].copy_from_slice(side);
        }
    }
}
