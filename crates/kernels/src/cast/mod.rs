//! Half floats, as files hold them, to f32 and back: one pass over memory, on all threads.
//!
//! Integer arithmetic that the compiler vectorises at each instruction set; the oracle is the crate `half`, one value after the
//! other.

use rayon::prelude::*;

use crate::isa::multiversion;

/// A format of sixteen bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// IEEE binary16: five bits of exponent, ten of mantissa.
    F16,
    /// The upper half of an f32.
    Bf16,
}

/// Values of a task at least.
const GRAIN: usize = 64 * 1024;

/// How much larger the bias of f32's exponent is than that of f16's, where f32 has its exponent.
const BIAS: u32 = (127 - 15) << 23;
/// Bits of f16 from which on a magnitude is infinite or NaN, and below which it has no leading one.
const F16_INFINITE: u32 = 0x7c00;
const F16_NORMAL: u32 = 0x0400;
/// The same of what will be f16, as f32: 2¹⁶ and 2⁻¹⁴.
const ABOVE_F16: u32 = 0x4780_0000;
const NORMAL_OF_F16: u32 = 0x3880_0000;

/// `out[i] = halves[i]`, little-endian bytes, exactly; NaN stays NaN.
///
/// # Panics
/// If lengths differ.
pub fn widen(format: Half, halves: &[[u8; 2]], out: &mut [f32]) {
    assert_eq!(halves.len(), out.len(), "values of both formats");
    let pieces = out.par_chunks_mut(GRAIN).zip(halves.par_chunks(GRAIN));
    match format {
        Half::F16 => pieces.for_each(|(out, halves)| widen_f16(halves, out)),
        Half::Bf16 => pieces.for_each(|(out, halves)| widen_bf16(halves, out)),
    }
}

/// `out[i]` = the little-endian bytes of what is nearest to `values[i]`, ties to even; what is too large becomes infinite, and NaN
/// stays NaN.
///
/// # Panics
/// If lengths differ.
pub fn narrow(format: Half, values: &[f32], out: &mut [[u8; 2]]) {
    assert_eq!(values.len(), out.len(), "values of both formats");
    let pieces = out.par_chunks_mut(GRAIN).zip(values.par_chunks(GRAIN));
    match format {
        Half::F16 => pieces.for_each(|(out, values)| narrow_f16(values, out)),
        Half::Bf16 => pieces.for_each(|(out, values)| narrow_bf16(values, out)),
    }
}

multiversion! {
    fn widen_f16(halves: &[[u8; 2]], out: &mut [f32]) {
        for (out, half) in out.iter_mut().zip(halves) {
            *out = f16_value(u16::from_le_bytes(*half));
        }
    }
}

multiversion! {
    fn widen_bf16(halves: &[[u8; 2]], out: &mut [f32]) {
        for (out, half) in out.iter_mut().zip(halves) {
            *out = f32::from_bits(u32::from(u16::from_le_bytes(*half)) << 16);
        }
    }
}

multiversion! {
    fn narrow_f16(values: &[f32], out: &mut [[u8; 2]]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = (f16_bits(*value) as u16).to_le_bytes();
        }
    }
}

multiversion! {
    fn narrow_bf16(values: &[f32], out: &mut [[u8; 2]]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = (bf16_bits(*value) as u16).to_le_bytes();
        }
    }
}

/// The bits of the bf16 nearest to `x`, ties to even; NaN stays NaN.
#[inline(always)]
pub(crate) fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if x.is_nan() { (bits >> 16) | 0x40 } else { rounded }
}

#[inline(always)]
fn f16_value(half: u16) -> f32 {
    let (sign, magnitude) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7fff));
    let wide = (magnitude << 13) + BIAS;
    let wide = if magnitude >= F16_INFINITE { wide + BIAS } else { wide };
    // Without a leading one it is a whole number of the smallest steps.
    let small = magnitude as i32 as f32 * (1.0 / (1 << 24) as f32);
    let wide = if magnitude < F16_NORMAL { small.to_bits() } else { wide };
    f32::from_bits(wide | sign)
}

#[inline(always)]
fn f16_bits(x: f32) -> u32 {
    let (sign, magnitude) = ((x.to_bits() >> 16) & 0x8000, x.to_bits() & 0x7fff_ffff);
    let odd = (magnitude >> 13) & 1;
    // What rounds up to 2¹⁶ comes out as infinite by itself.
    let rounded = magnitude.wrapping_sub(BIAS).wrapping_add(0x0fff + odd) >> 13;
    let beyond = if magnitude > f32::INFINITY.to_bits() { 0x7e00 } else { F16_INFINITE };
    let rounded = if magnitude >= ABOVE_F16 { beyond } else { rounded };
    // The lowest bit of a sum that is a half and little more is worth as much as f16's smallest step.
    let small = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    (if magnitude < NORMAL_OF_F16 { small } else { rounded }) | sign
}

#[cfg(test)]
mod tests;
