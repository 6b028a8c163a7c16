//! Is the background of the given picture kept? DreamSim's embedding of each frame against the picture's, and against the former frame's.

use std::rc::Rc;

use vidit_backbones::dreamsim::DreamSim;
use vidit_media::ReadLimits;

use super::batch::Batched;
use super::given_picture::{GivenPicture, Kind};
use crate::{Dimension, transforms};

pub(crate) fn i2v_background(network: Rc<DreamSim>, limits: ReadLimits) -> Batched<GivenPicture> {
    let kind = Kind {
        dimension: &[Dimension::I2vBackground],
        together: 4,
        of_picture: transforms::dreamsim_pillow,
        of_frame: transforms::dreamsim_tensor,
        network: Box::new(move |frames| network.forward(frames)), // [B, 1792]
    };
    GivenPicture::batched(kind, limits)
}
