//! How is it fast on a CPU?
//!
//! Slices in, slices out: no tensor library, no model. One folder per op; `mod.rs` is the typed entry and the dispatch,
//! `scalar.rs` the oracle, one file per instruction set beside it. The contract (layouts, threads, tolerances, how to
//! add an op) stands in `crates/kernels/README.md`.

pub mod alloc;
pub mod attention;
pub mod cast;
pub mod conv3d;
#[cfg(all(target_arch = "x86_64", target_os = "linux", any(test, feature = "emulate-amx")))]
mod emulated;
pub mod flow;
pub mod gemm;
mod isa;
pub mod mlp;
pub mod norm;
pub mod optimizer;
pub mod peak;
pub mod pointwise;
pub mod rearrange;
pub mod softmax;
mod threads;

#[cfg(test)]
mod testing;

pub use isa::{Isa, Precision, VARIABLE as ISA_VARIABLE};
pub use threads::{init_threads, on_pool, thread_count};
