//! Which networks? One folder a family; what two families use identically lies in `nn`.

pub mod conditioning;
#[cfg(test)]
mod golden;
pub mod mini;
pub mod nn;
pub mod pixels;
pub mod wan;
