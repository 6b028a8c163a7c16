//! What does a score see? The published networks that VBench measures with, for inference on CPUs: one folder a network.
//!
//! Feature maps are channels last, `[B, H, W, C]`; tokens `[B, L, D]`; everything is f32 over `vidit-kernels`.
