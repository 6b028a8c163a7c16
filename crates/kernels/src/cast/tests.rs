use half::{bf16, f16};

use super::*;
use crate::testing::{Lcg, force_each_isa};

/// Both are NaN, or their bits agree.
fn same(found: f32, expected: f32) -> bool {
    found.is_nan() && expected.is_nan() || found.to_bits() == expected.to_bits()
}

#[test]
fn every_half_is_widened_exactly() {
    let halves: Vec<[u8; 2]> = (0..=u16::MAX).map(u16::to_le_bytes).collect();
    force_each_isa(|isa| {
        let mut out = vec![0.0; halves.len()];
        widen(Half::F16, &halves, &mut out);
        for (bits, found) in (0..=u16::MAX).zip(&out) {
            let expected = f16::from_bits(bits).to_f32();
            assert!(same(*found, expected), "{isa}, f16 {bits:#x}: {found} ≠ {expected}");
        }
        widen(Half::Bf16, &halves, &mut out);
        for (bits, found) in (0..=u16::MAX).zip(&out) {
            let expected = bf16::from_bits(bits).to_f32();
            assert!(same(*found, expected), "{isa}, bf16 {bits:#x}: {found} ≠ {expected}");
        }
    });
}

/// Halves, what lies in the middle of two of them and just beside, their limits, what is not finite, and numbers of all magnitudes.
fn values() -> Vec<f32> {
    let mut random = Lcg::new(1);
    let magnitudes = (0..20_000).map(|_| f32::from_bits((random.uniform() * u32::MAX as f32) as u32));
    let mut values: Vec<f32> = magnitudes.collect();
    for bits in (0..=0x7bffu16).step_by(7) {
        let [this, next] = [bits, bits + 1].map(|bits| f16::from_bits(bits).to_f64());
        let middle = ((this + next) / 2.0).min(65_520.0) as f32;
        values.extend([this as f32, middle, middle.next_up(), middle.next_down(), -middle]);
    }
    values.extend([0.0, -0.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    // Infinities whose mantissa is what a NaN would be after rounding.
    values.extend([f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff), 65_519.996, 65_520.0]);
    values
}

#[test]
fn values_are_narrowed_to_the_nearest_half() {
    let values = values();
    force_each_isa(|isa| {
        let mut out = vec![[0; 2]; values.len()];
        narrow(Half::F16, &values, &mut out);
        for (value, found) in values.iter().zip(&out) {
            let (found, expected) = (f16::from_le_bytes(*found), f16::from_f32(*value));
            assert!(same(found.to_f32(), expected.to_f32()), "{isa}, f16 of {value}: {found} ≠ {expected}");
        }
        narrow(Half::Bf16, &values, &mut out);
        for (value, found) in values.iter().zip(&out) {
            let (found, expected) = (bf16::from_le_bytes(*found), bf16::from_f32(*value));
            assert!(same(found.to_f32(), expected.to_f32()), "{isa}, bf16 of {value}: {found} ≠ {expected}");
        }
    });
}

#[test]
fn long_rows_are_cast_in_pieces() {
    let values = Lcg::new(2).normal(2 * GRAIN + 17);
    for format in [Half::F16, Half::Bf16] {
        let mut whole = vec![[0; 2]; values.len()];
        narrow(format, &values, &mut whole);
        let mut piece = vec![[0; 2]; 99];
        narrow(format, &values[GRAIN - 40..][..99], &mut piece);
        assert_eq!(whole[GRAIN - 40..][..99], piece, "{format:?}");
        let mut back = vec![0.0; values.len()];
        widen(format, &whole, &mut back);
        let error = if format == Half::F16 { 1.0 / 2048.0 } else { 1.0 / 256.0 };
        assert!(
            values.iter().zip(&back).all(|(a, b)| (a - b).abs() <= error * a.abs().max(1e-4)),
            "{format:?}"
        );
    }
}
