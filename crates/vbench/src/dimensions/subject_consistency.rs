//! Does the subject look the same in all frames? DINO's feature of each frame against the former's and the first's.

use std::rc::Rc;

use vidit_backbones::dino::Dino;

use super::batch::Batched;
use super::consistency::{Consistency, Walk};
use crate::{Dimension, transforms};

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
