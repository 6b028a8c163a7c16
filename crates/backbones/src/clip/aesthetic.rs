use vidit_weights::TensorStore;

use crate::layers::Linear;
use crate::{BackboneError, Checkpoint};

/// LAION's aesthetic predictor, `sa_0_4_vit_l_14_linear.pth`: one linear layer over CLIP's normalised image feature.
pub struct AestheticHead(Linear);

impl AestheticHead {
    /// Of `weight [1, D]` and `bias [1]`.
    ///
    /// # Errors
    /// If one is absent or misshapen, or there is another tensor.
    pub fn load(store: TensorStore) -> Result<Self, BackboneError> {
        let checkpoint = Checkpoint::new("LAION's aesthetic predictor", store);
        let root = checkpoint.root();
        let width = root.shape("weight").and_then(|shape| shape.get(1).copied()).unwrap_or(768);
        let head = Linear::load(&root, [width, 1])?;
        checkpoint.finish(|_| false)?;
        Ok(Self(head))
    }

    /// Length of the features that it rates.
    pub fn input(&self) -> usize {
        self.0.input()
    }

    /// Ratings `[B]`, about 0..10, of features `[B, D]` of length 1.
    pub fn forward(&self, features: &[f32]) -> Vec<f32> {
        self.0.forward(features)
    }
}
