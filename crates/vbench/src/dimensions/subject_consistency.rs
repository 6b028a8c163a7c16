//! Does the subject look the same in all frames? DINO's feature of each frame against the former's and the first's.

use std::rc::Rc;

use vidit_backbones::dino::Dino;
use vidit_backbones::dinov2::DinoV2;

use super::batch::Batched;
use super::consistency::{Consistency, Walk};
use crate::{Dimension, transforms};

/// The same of the first frames of a long video's clips, on DINOv2's features.
pub(crate) fn subjects_of_clips(network: DinoV2) -> Batched<Consistency> {
    Batched::new(Consistency {
        dimension: &[Dimension::SubjectConsistency],
        together: 4,
        transform: transforms::dino_crop_tensor,
        network: Box::new(move |frames| network.forward(frames)), // [B, 768]
        tells_sum: false,
        walk: Walk::default(),
    })
}

pub(crate) fn subject_consistency(network: Rc<Dino>) -> Batched<Consistency> {
    Batched::new(Consistency {
        dimension: &[Dimension::SubjectConsistency],
        together: 4,
        transform: transforms::dino,
        network: Box::new(move |frames| network.forward(frames)), // [B, 768]
        tells_sum: false,
        walk: Walk::default(),
    })
}
