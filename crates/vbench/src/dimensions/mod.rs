//! One file a dimension.

pub mod temporal_flickering;
