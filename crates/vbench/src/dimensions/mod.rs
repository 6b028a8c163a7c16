//! One file a dimension; what several share stands beside them.

mod aesthetic_quality;
mod appearance_style;
mod background_consistency;
mod batch;
pub mod camera_motion;
pub mod color;
mod consistency;
mod detections;
mod dynamic_degree;
mod given_picture;
mod human_action;
mod i2v_background;
mod i2v_subject;
mod imaging_quality;
mod middles;
mod motion;
mod motion_smoothness;
pub mod multiple_objects;
pub mod object_class;
mod overall_consistency;
mod prompt_likeness;
mod scene;
pub mod spatial_relationship;
mod static_filter;
mod subject_consistency;
mod successes;
pub mod temporal_flickering;
mod temporal_style;
mod vectors;

pub(crate) use aesthetic_quality::AestheticQuality;
pub(crate) use appearance_style::AppearanceStyle;
pub(crate) use background_consistency::{background_consistency, backgrounds_of_clips};
pub(crate) use batch::Batched;
pub(crate) use camera_motion::CameraMotion;
pub(crate) use detections::Detections;
pub(crate) use dynamic_degree::DynamicDegree;
pub(crate) use human_action::{HumanAction, names_an_action};
pub(crate) use i2v_background::i2v_background;
pub(crate) use i2v_subject::i2v_subject;
pub(crate) use imaging_quality::ImagingQuality;
pub(crate) use motion_smoothness::MotionSmoothness;
pub(crate) use prompt_likeness::PromptLikeness;
pub(crate) use scene::Scene;
pub(crate) use static_filter::StaticFilter;
pub(crate) use subject_consistency::{subject_consistency, subjects_of_clips};
pub use successes::Successes;
pub(crate) use temporal_flickering::TemporalFlickering;

use vidit_backbones::Grid;

use crate::Dimension;
use crate::pixels::RgbFrame;
use crate::run::Refusal;
use crate::transforms::FloatFrame;

fn at_least(frames: usize, least: usize) -> Result<(), Refusal> {
    match frames >= least {
        true => Ok(()),
        false => Err(format!("it needs at least {least} frames, found `{frames}`")),
    }
}

fn untold(dimension: Dimension) -> Refusal {
    format!("nothing says what `{dimension}` shall look for in it")
}

/// A prepared frame as a batch of one, `[1, H, W, 3]`.
fn grid(frame: FloatFrame) -> Grid {
    Grid::new(frame.values, [1, frame.height, frame.width, 3])
}

/// A frame as it is, times `scale`, `[1, H, W, 3]`.
fn raw(frame: &RgbFrame, scale: f32) -> Grid {
    let data = frame.rgb.iter().map(|value| f32::from(*value) * scale).collect();
    Grid::new(data, [1, frame.height, frame.width, 3])
}

#[cfg(test)]
mod reference;
