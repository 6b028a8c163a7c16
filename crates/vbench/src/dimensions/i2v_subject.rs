//! Is the subject of the given picture kept? DINO's feature of each frame against the picture's, and against the former frame's.

use std::rc::Rc;

use vidit_backbones::dino::Dino;
use vidit_media::ReadLimits;

use super::batch::Batched;
use super::given_picture::{GivenPicture, Kind};
use crate::{Dimension, transforms};

pub(crate) fn i2v_subject(network: Rc<Dino>, limits: ReadLimits) -> Batched<GivenPicture> {
    let kind = Kind {
        dimension: &[Dimension::I2vSubject],
        together: 4,
        of_picture: transforms::dino_crop_pillow,
        of_frame: transforms::dino_crop_tensor,
        network: Box::new(move |frames| network.forward(frames)), // [B, 768]
    };
    GivenPicture::batched(kind, limits)
}
