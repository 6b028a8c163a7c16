use super::Conv2d;
use crate::{BackboneError, Grid, Tokens, Weights};

/// Images cut into square patches, each a token (Dosovitskiy et al. 2021).
pub struct Patches {
    conv: Conv2d,
    size: usize,
    width: usize,
}

impl Patches {
    /// Takes `weight [D, 3, P, P]`, or `[D, 3, 1, P, P]` of networks that read videos frame by frame, and `bias [D]` where there is one.
    ///
    /// # Errors
    /// If the weight is absent, reads several frames at once, or is of no square patch.
    pub fn load(weights: &Weights) -> Result<Self, BackboneError> {
        let rank = weights.shape("weight").map_or(4, |shape| shape.len().clamp(4, 5));
        let (shape, weight) = weights.take_any("weight", rank)?;
        let ([width, channels], size) = ([shape[0], shape[1]], shape[rank - 1]);
        if channels != 3 || size == 0 || shape[rank - 2] != size || (rank == 5 && shape[2] != 1) {
            return Err(BackboneError::Config {
                network: weights.network(),
                reason: format!("`patches` have weights {shape:?}, expected [D, 3, P, P] or [D, 3, 1, P, P]"),
            });
        }
        let bias = match weights.shape("bias") {
            Some(_) => weights.take("bias", &[width])?,
            None => vec![0.0; width],
        };
        Ok(Self { conv: Conv2d::new(&weight, bias, [3, width], [size; 2], [size; 2], [0; 2]), size, width })
    }

    /// Side of a patch in pixels, `P`.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Width of a token, `D`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[B, H, W, 3]` → `[B, ⌊H/P⌋·⌊W/P⌋, D]`; rows and columns that fill no patch are left out.
    pub fn forward(&self, x: &Grid) -> Tokens {
        self.conv.forward(x).into_tokens()
    }
}
