use super::*;
use crate::Checkpoint;
use crate::golden::Golden;

const GOLDEN: &[u8] = include_bytes!("golden/tiny.safetensors");
/// Sums in another order, through six blocks.
const TOLERANCE: f32 = 1e-5;

fn network(golden: &Golden) -> Swin {
    let checkpoint = Checkpoint::new("Swin", golden.weights());
    let network = Swin::load(&checkpoint.root()).unwrap();
    checkpoint.finish(|_| false).unwrap();
    network
}

fn images(golden: &Golden) -> Grid {
    let shape = golden.shape("input.image").try_into().unwrap();
    Grid::new(golden.values("input.image").to_vec(), shape)
}

#[test]
fn activations_agree_with_the_official_code() {
    let golden = Golden::new(GOLDEN);
    let network = network(&golden);
    let mut seen = Vec::new();
    let features = network.forward_watched(&images(&golden), &mut |name, values| {
        golden.check([(name, values)], TOLERANCE);
        seen.push(name.to_owned());
    });
    assert_eq!(features.shape(), [2, 1 + 9, network.width()]);
    let blocks = |stage: usize| (0..2).map(move |block| format!("stage.{stage}.block.{block}"));
    let mut names = vec!["patches".to_owned()];
    for stage in 0..3 {
        names.extend(blocks(stage));
        names.extend((stage < 2).then(|| format!("stage.{stage}.merged")));
    }
    names.push("features".to_owned());
    assert_eq!(seen, names);
}

#[test]
fn a_picture_is_seen_the_same_alone_and_with_any_number_of_threads() {
    let golden = Golden::new(GOLDEN);
    let network = network(&golden);
    let all = images(&golden);
    let together = network.forward(&all);
    let last = Grid::new(all.data[all.data.len() / 2..].to_vec(), [1, 48, 48, 3]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let alone = pool.install(|| network.forward(&last));
    assert_eq!(alone.data, together.data[together.data.len() / 2..]);
}

#[test]
fn what_fits_no_window_is_refused() {
    let golden = Golden::new(GOLDEN);
    for (key, shape) in [
        ("layers.0.blocks.0.attn.relative_position_bias_table", vec![16, 1]),
        ("layers.0.blocks.0.attn.relative_position_bias_table", vec![25, 3]),
        ("patch_embed.proj.weight", vec![8, 3, 4, 2]),
    ] {
        let mut store = golden.weights();
        let values = vec![0.0; shape.iter().product()];
        store.insert(key, shape, values);
        let error = Swin::load(&Checkpoint::new("Swin", store).root()).err();
        assert!(matches!(error, Some(BackboneError::Config { .. })), "{key}: {error:?}");
    }
}
