use super::*;
use crate::golden::Golden;

const GOLDEN: &[u8] = include_bytes!("golden/tiny.safetensors");
const CONFIG: Config = Config { heads: 2, longer_sides: [20, 28] };
/// Sums in another order, through norms of maps of four positions.
const TOLERANCE: f32 = 2e-5;

fn images(golden: &Golden) -> Grid {
    let shape = golden.shape("input.image").try_into().unwrap();
    Grid::new(golden.values("input.image").to_vec(), shape)
}

#[test]
fn activations_agree_with_pyiqa() {
    let golden = Golden::new(GOLDEN);
    let network = Musiq::load(golden.weights(), CONFIG).unwrap();
    let mut seen = Vec::new();
    let scores = network.scores_watched(images(&golden), &mut |name, values| {
        golden.check([(name, values)], TOLERANCE);
        seen.push(name.to_owned());
    });
    golden.check([("scores", scores.as_slice())], TOLERANCE);
    let names = ["small", "middle", "root", "block", "embedding", "tokens", "blocks.0", "last", "scores"];
    assert_eq!(seen, names);
}

#[test]
fn a_picture_scores_the_same_alone_and_with_any_number_of_threads() {
    let golden = Golden::new(GOLDEN);
    let network = Musiq::load(golden.weights(), CONFIG).unwrap();
    let all = images(&golden);
    let together = network.scores(all.clone());
    let one = all.data.len() / 2;
    for (i, score) in together.iter().enumerate() {
        let alone = Grid::new(all.data[i * one..][..one].to_vec(), [1, all.height, all.width, 3]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| network.scores(alone)), [*score]);
    }
}

#[test]
fn weights_are_strict_and_may_have_the_prefix_of_parallel_training() {
    let golden = Golden::new(GOLDEN);
    let mut prefixed = TensorStore::default();
    for (key, entry) in golden.weights().tensors {
        prefixed.insert(format!("module.{key}"), entry.shape, entry.values);
    }
    assert!(Musiq::load(prefixed, CONFIG).is_ok());
    let mut more = golden.weights();
    more.insert("head.2.weight", vec![1], vec![0.0]);
    assert!(matches!(Musiq::load(more, CONFIG), Err(BackboneError::Unused { count: 1, .. })));
    for absent in ["conv_root.weight", "embedding.weight", "transformer_encoder.cls", "block1.gn3.bias"] {
        let mut fewer = golden.weights();
        fewer.tensors.remove(absent);
        let error = Musiq::load(fewer, CONFIG).err();
        assert!(matches!(error, Some(BackboneError::Missing { ref key, .. }) if key == absent), "{error:?}");
    }
    let error = Musiq::load(golden.weights(), Config { heads: 5, ..CONFIG }).err();
    assert!(matches!(error, Some(BackboneError::Config { .. })), "{error:?}");
}
