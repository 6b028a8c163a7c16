//! Starting noise.

use burn::tensor::{Device, Tensor, TensorData};

/// Standard normal numbers that depend on the seed alone, not on device or threads: SplitMix64 and Box–Muller.
pub fn normal<const D: usize>(dims: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x2545_f491_4f6c_dd1d;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 40) as f64 + 0.5) / (1u64 << 24) as f64
    };
    let count: usize = dims.iter().product();
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * uniform().ln()).sqrt();
        let angle = std::f64::consts::TAU * uniform();
        values.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
    }
    values.truncate(count);
    Tensor::from_data(TensorData::new(values, dims), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_standard_normal_and_a_function_of_the_seed() {
        let draw = |seed| normal([50_000], seed, &Device::flex());
        let x = draw(7);
        let (mean, square) =
            (x.clone().mean().into_scalar::<f32>(), x.clone().square().mean().into_scalar::<f32>());
        assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.03, "{mean} {square}");
        assert_eq!((x.clone() - draw(7)).abs().max().into_scalar::<f32>(), 0.0);
        assert!((x - draw(8)).abs().max().into_scalar::<f32>() > 1.0);
    }
}
