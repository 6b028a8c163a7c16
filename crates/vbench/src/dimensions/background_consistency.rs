//! Does the background look the same in all frames? CLIP's feature of each frame against the former's and the first's.

use std::rc::Rc;

use vidit_backbones::clip::ImageTower;

use super::batch::Batched;
use super::consistency::{Consistency, Walk};
use crate::{Dimension, transforms};

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
