//! What networks are made of. Every layer takes its weights by the names that PyTorch gives its own kind.

mod attention;
mod conv;
mod conv_transposed;
mod correlation;
mod encoder;
mod interpolate;
mod linear;
mod norm;
mod pad;
mod patches;
mod pool;
mod warp;

pub use attention::{BlockNames, EncoderBlock, MultiHead, causal_bias};
pub use conv::{Conv2d, ConvPrelu};
pub use conv_transposed::ConvTransposed2d;
pub use correlation::{CORRELATION_LEVELS, Pyramid, conv_of_windows, pixels};
pub use encoder::Encoder;
pub use interpolate::{Filter, interpolate};
pub use linear::{Linear, multiply_in_two_parts, products};
pub use norm::{GroupNorm, LayerNorm, batch_norm_folded, instance_norm};
pub use pad::Padding;
pub use patches::Patches;
pub use pool::{average_pool, max_pool};
pub use vidit_kernels::pointwise::Activation;
pub use warp::{Border, sample_bilinear};
