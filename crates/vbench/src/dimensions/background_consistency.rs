//! Does the background look the same in all frames? CLIP's feature of each frame against the former's and the first's.

use std::rc::Rc;

use vidit_backbones::clip::ImageTower;
use vidit_backbones::dreamsim::DreamSim;

use super::batch::Batched;
use super::consistency::{Consistency, Walk};
use crate::{Dimension, transforms};

/// The same of the first frames of a long video's clips, on DreamSim's embeddings.
pub(crate) fn backgrounds_of_clips(network: DreamSim) -> Batched<Consistency> {
    Batched::new(Consistency {
        dimension: &[Dimension::BackgroundConsistency],
        together: 4,
        transform: transforms::dreamsim_tensor,
        network: Box::new(move |frames| network.forward(frames)), // [B, 1792]
        tells_sum: false,
        walk: Walk::default(),
    })
}

pub(crate) fn background_consistency(network: Rc<ImageTower>) -> Batched<Consistency> {
    Batched::new(Consistency {
        dimension: &[Dimension::BackgroundConsistency],
        together: 8,
        transform: transforms::clip_tensor,
        network: Box::new(move |frames| network.forward(frames)), // [B, 512]
        tells_sum: true,
        walk: Walk::default(),
    })
}
