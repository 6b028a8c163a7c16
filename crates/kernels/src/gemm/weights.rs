//! A right-hand side that is packed once, in whichever format.

use super::{DepthMajor, Epilogue, LaneMajor, Packed, PackedInt8, gemm_int8_new, gemm_packed_new};
use crate::isa::Precision;

/// How weights are kept, and multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// f32.
    F32,
    /// bf16, activations rounded to it.
    Bf16,
    /// Two parts of bf16 where AMX is, else f32; see [`Precision::TwoParts`].
    TwoParts,
    /// Bytes with a scale a column, activations rounded to bytes with a scale a row.
    Int8,
}

impl From<Precision> for WeightFormat {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
            Precision::TwoParts => Self::TwoParts,
        }
    }
}

impl WeightFormat {
    /// The precision of that name, for ops that multiply no bytes.
    pub fn precision(self) -> Option<Precision> {
        match self {
            Self::F32 => Some(Precision::F32),
            Self::Bf16 => Some(Precision::Bf16),
            Self::TwoParts => Some(Precision::TwoParts),
            Self::Int8 => None,
        }
    }
}

/// Weights `[K, N]` of a layer, packed for the instruction set that was current.
pub enum Weights {
    /// f32, bf16 or two parts of bf16.
    Float(Packed),
    /// Bytes.
    Int8(PackedInt8),
}

impl Weights {
    /// Packs `weights [k, n]`.
    ///
    /// # Panics
    /// If the length is another.
    pub fn new(weights: &[f32], n: usize, k: usize, format: WeightFormat) -> Self {
        assert_eq!(weights.len(), k * n, "weights are not [{k}, {n}]");
        let float =
            |precision| Self::Float(Packed::new(&DepthMajor { data: weights, stride: n }, n, k, precision));
        match format {
            WeightFormat::F32 => float(Precision::F32),
            WeightFormat::Bf16 => float(Precision::Bf16),
            WeightFormat::TwoParts => float(Precision::TwoParts),
            WeightFormat::Int8 => Self::Int8(PackedInt8::new(weights, n, k)),
        }
    }

    /// Columns, `N`.
    pub fn columns(&self) -> usize {
        match self {
            Self::Float(packed) => packed.columns(),
            Self::Int8(packed) => packed.columns(),
        }
    }

    /// Depth, `K`.
    pub fn depth(&self) -> usize {
        match self {
            Self::Float(packed) => packed.depth(),
            Self::Int8(packed) => packed.depth(),
        }
    }

    /// `epilogue(A[m, k] · W)` as a new matrix `[m, N]`, on all threads.
    pub fn product(&self, m: usize, a: LaneMajor, epilogue: &impl Epilogue) -> Vec<f32> {
        match self {
            Self::Float(packed) => gemm_packed_new(m, &a, packed, epilogue),
            Self::Int8(packed) => gemm_int8_new(m, a, packed, epilogue),
        }
    }
}
