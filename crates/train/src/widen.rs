//! A larger decoder that makes the same frames as a smaller one (as in Net2Net, Chen et al. 2016): it learns on from there.
//!
//! New channels are written as zeros and read by random weights, so that they say nothing at first and can learn; new blocks add
//! zeros to what they are given. Root mean squares are taken over more channels, of which the new ones are 0: the weights of norms
//! make up for that.

use vidit_models::mini::vae::VaeConfig;
use vidit_weights::{Entry, TensorStore};

/// Whether a decoder of sizes `small` can become one of sizes `large` with the same encoder.
pub fn fits(small: &VaeConfig, large: &VaeConfig) -> bool {
    let of_encoder = |sizes: &VaeConfig| {
        [sizes.latent_channels, sizes.fine_width, sizes.coarse_width, sizes.encoder_blocks]
    };
    let of_decoder = |sizes: &VaeConfig| {
        let [fine, coarse] = sizes.widths_of_decoder();
        [fine, coarse, sizes.decoder_blocks]
    };
    of_encoder(small) == of_encoder(large)
        && of_decoder(small).iter().zip(of_decoder(large)).all(|(small, large)| *small <= large)
}

/// The weights `small` of a VAE spread over the larger decoder of `large`, whose new weights are taken from `fresh`, random ones of a
/// VAE of these sizes. Sizes must [fit](fits).
pub fn widened(
    small: &TensorStore,
    small_sizes: &VaeConfig,
    mut fresh: TensorStore,
    large_sizes: &VaeConfig,
) -> TensorStore {
    let [[fine, coarse], [fine_now, coarse_now]] =
        [small_sizes, large_sizes].map(VaeConfig::widths_of_decoder);
    for (key, new) in &mut fresh.tensors {
        match small.tensors.get(key) {
            Some(old) if old.shape == new.shape => new.clone_from(old),
            Some(old) => {
                let into =
                    if key.starts_with("decoder.coarse") { [coarse, coarse_now] } else { [fine, fine_now] };
                *new = spread(key, old, new, into);
            }
            // The second convolution of a block that the smaller decoder lacks.
            None if key.contains(".conv2.") => new.values.fill(0.0),
            None => {}
        }
    }
    fresh
}

/// A tensor of the smaller decoder within one of the larger; widths go from `small` to `large` at its level.
fn spread(key: &str, old: &Entry, fresh: &Entry, [small, large]: [usize; 2]) -> Entry {
    let mut new = fresh.clone();
    if key.contains("norm") {
        // √(Σx²/large) is √(small/large) of what it was.
        new.values.fill((small as f32 / large as f32).sqrt());
        for (new, old) in new.values.iter_mut().zip(&old.values) {
            *new *= old;
        }
        return new;
    }
    // Rows are taps of inputs, columns are groups of outputs: the layer before pixels are shuffled has four.
    let [rows, columns] = sides(old);
    let [rows_now, columns_now] = sides(fresh);
    let groups = if key.starts_with("decoder.up.") { 4 } else { 1 };
    let inputs_grow = rows != rows_now && key.contains("conv");
    let [inputs, inputs_now] = if inputs_grow { [small, large] } else { [rows, rows_now] };
    let [outputs, outputs_now] = [columns / groups, columns_now / groups];
    for row in 0..rows_now {
        let (tap, input) = (row / inputs_now, row % inputs_now);
        for column in 0..columns_now {
            let (group, output) = (column / outputs_now, column % outputs_now);
            let new = &mut new.values[row * columns_now + column];
            if output >= outputs {
                *new = 0.0;
            } else if input < inputs {
                *new = old.values[(tap * inputs + input) * columns + group * outputs + output];
            }
        }
    }
    new
}

/// Rows and columns; of a bias one row.
fn sides(entry: &Entry) -> [usize; 2] {
    match entry.shape[..] {
        [rows, columns] => [rows, columns],
        _ => [1, entry.values.len()],
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};
    use vidit_models::mini::vae::Vae;
    use vidit_models::nn::Init;
    use vidit_weights::{collect, load_into};

    use super::*;

    const SMALL: VaeConfig = VaeConfig {
        latent_channels: 3,
        fine_width: 8,
        coarse_width: 12,
        encoder_blocks: 1,
        decoder_blocks: 1,
        decoder_widths: None,
    };

    #[test]
    fn a_larger_decoder_makes_the_same_frames() {
        let device = Device::flex().autodiff();
        let small = Vae::new(&SMALL, &mut Init::new(1, &device));
        let latents: Tensor<5> = Tensor::random([1, 3, 2, 2, 3], Distribution::Normal(0.0, 1.0), &device);
        let expected = small.decode(latents.clone());
        for (decoder_widths, decoder_blocks) in
            [(None, 3), (Some([16, 12]), 1), (Some([8, 20]), 1), (Some([24, 16]), 2)]
        {
            let sizes = VaeConfig { decoder_widths, decoder_blocks, ..SMALL };
            assert!(fits(&SMALL, &sizes) && (sizes == SMALL || !fits(&sizes, &SMALL)));
            let large = Vae::new(&sizes, &mut Init::new(2, &device));
            let weights = widened(&collect(&small, ""), &SMALL, collect(&large, ""), &sizes);
            let large = load_into(large, &weights).unwrap();
            let found = large.decode(latents.clone());
            let difference = (found.clone() - expected.clone()).abs().max().into_scalar::<f32>();
            assert!(difference < 2e-2, "{sizes:?}: {difference}");
        }
    }

    #[test]
    fn other_encoders_and_smaller_decoders_do_not_fit() {
        assert!(fits(&SMALL, &SMALL));
        for other in [
            VaeConfig { coarse_width: 16, ..SMALL.clone() },
            VaeConfig { latent_channels: 4, ..SMALL.clone() },
            VaeConfig { decoder_widths: Some([4, 12]), ..SMALL.clone() },
        ] {
            assert!(!fits(&SMALL, &other), "{other:?}");
        }
    }
}
