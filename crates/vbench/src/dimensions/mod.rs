//! One file a dimension.

pub mod color;
pub mod multiple_objects;
pub mod object_class;
pub mod spatial_relationship;
mod successes;
pub mod temporal_flickering;

pub use successes::Successes;
