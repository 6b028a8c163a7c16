use super::*;
use crate::gemm::Epilogue;
use crate::testing::{Lcg, force_each_isa};

/// f32 sums of some dozen values of order one.
const TOLERANCE: f64 = 2e-5;

#[track_caller]
fn assert_near(what: &str, found: f32, expected: f64) {
    assert!(
        (found as f64 - expected).abs() < TOLERANCE * expected.abs().max(1.0),
        "{what}: {found} ≠ {expected}"
    );
}

/// Value of a map of single channels at a place, bilinear, zeros outside.
fn at(map: &[f64], [height, width]: [usize; 2], [x, y]: [f64; 2]) -> f64 {
    let (left, top) = (x.floor(), y.floor());
    let mut sum = 0.0;
    for (row, of_row) in [(top, 1.0 - (y - top)), (top + 1.0, y - top)] {
        for (column, of_column) in [(left, 1.0 - (x - left)), (left + 1.0, x - left)] {
            if row >= 0.0 && row < height as f64 && column >= 0.0 && column < width as f64 {
                sum += of_row * of_column * map[row as usize * width + column as usize];
            }
        }
    }
    sum
}

/// Half as high and wide, means of 2 × 2.
fn pooled(map: &[f32], [height, width]: [usize; 2], channels: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for y in 0..height / 2 {
        for x in 0..width / 2 {
            for c in 0..channels {
                let value = |dy: usize, dx: usize| map[((2 * y + dy) * width + 2 * x + dx) * channels + c];
                out.push((value(0, 0) + value(0, 1) + value(1, 0) + value(1, 1)) / 4.0);
            }
        }
    }
    out
}

#[test]
fn windows_are_those_of_the_pooled_products_however_they_move() {
    let ([height, width], channels, radius, scale) = ([13, 11], 37, 2, 0.25);
    let positions = 70;
    let mut random = Lcg::new(11);
    let from = random.normal(positions * channels);
    let map = random.normal(height * width * channels);
    let second = pooled(&map, [height, width], channels);
    let levels =
        [Level { data: &map, height, width }, Level { data: &second, height: height / 2, width: width / 2 }];
    // All products, pooled afterwards: what RAFT does.
    let products: Vec<[Vec<f64>; 2]> = from
        .chunks_exact(channels)
        .map(|from| {
            levels.map(|level| {
                (level.data.chunks_exact(channels))
                    .map(|to| {
                        from.iter().zip(to).map(|(a, b)| *a as f64 * *b as f64).sum::<f64>() * scale as f64
                    })
                    .collect()
            })
        })
        .collect();
    let mut places: Vec<f32> =
        (0..positions).flat_map(|_| [random.uniform() * 16.0 - 3.0, random.uniform() * 17.0 - 2.0]).collect();
    let steps: Vec<Vec<f32>> = [0.0, 0.3, 1.5, 4.0, 40.0, 0.2, 0.0]
        .iter()
        .map(|size| {
            places.iter_mut().for_each(|place| *place += size * (2.0 * random.uniform() - 1.0));
            places.clone()
        })
        .collect();
    force_each_isa(|isa| {
        let mut windows = Windows::new(positions, 2, radius);
        assert_eq!(windows.width(), 50);
        for (step, places) in steps.iter().enumerate() {
            let found = windows.look_up(&from, &levels, places, scale);
            for (i, found) in found.iter().enumerate() {
                let (p, l, y, x) = (i / 50, i / 25 % 2, i / 5 % 5, i % 5);
                let shrink = [1.0, 0.5][l];
                let place =
                    [0, 1].map(|axis| places[2 * p + axis] as f64 * shrink + [x, y][axis] as f64 - 2.0);
                let expected = at(&products[p][l], [levels[l].height, levels[l].width], place);
                assert_near(
                    &format!("{isa}, step {step}, position {p}, level {l}, [{y}, {x}]"),
                    *found,
                    expected,
                );
            }
        }
    });
}

#[test]
fn a_place_that_is_no_number_gives_none_and_is_forgotten() {
    let map = [1.0; 16];
    let levels = [Level { data: &map, height: 4, width: 4 }];
    let mut windows = Windows::new(2, 1, 0);
    let found = windows.look_up(&[1.0, 1.0], &levels, &[f32::NAN, 0.0, 1e30, 1.0], 1.0);
    assert!(found[0].is_nan() && found[1] == 0.0, "{found:?}");
    assert_eq!(windows.look_up(&[1.0, 1.0], &levels, &[1.0, 2.0, 3.0, 3.0], 1.0), [1.0, 1.0]);
}

#[test]
fn gru_agrees_with_its_definition_whatever_the_segments() {
    let (rows, channels) = (3, 21);
    let mut random = Lcg::new(4);
    let sums = [random.normal(rows * 2 * channels), random.normal(rows * channels)];
    let context = [random.normal(rows * 2 * channels), random.normal(rows * channels)];
    let hidden = random.normal(rows * channels);
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x as f64).exp());
    force_each_isa(|isa| {
        for cut in [0, 5, channels, 30, 2 * channels] {
            let mut gates = sums[0].clone();
            let end = GruGates { context: &context[0], hidden: &hidden, channels };
            for (row, gates) in gates.chunks_exact_mut(2 * channels).enumerate() {
                let (left, right) = gates.split_at_mut(cut);
                end.finish(row, 0, left);
                end.finish(row, cut, right);
            }
            let mut next = sums[1].clone();
            let end = GruUpdate { context: &context[1], gates: &gates, hidden: &hidden, channels };
            for (row, next) in next.chunks_exact_mut(channels).enumerate() {
                let (left, right) = next.split_at_mut(cut.min(channels));
                end.finish(row, 0, left);
                end.finish(row, cut.min(channels), right);
            }
            for row in 0..rows {
                for c in 0..channels {
                    let (i, h) = (row * channels + c, hidden[row * channels + c] as f64);
                    let gate = |j: usize| sigmoid(sums[0][j] + context[0][j]);
                    let (z, r) = (gate(row * 2 * channels + c), gate((row * 2 + 1) * channels + c));
                    assert_near(&format!("{isa} {cut}: z[{i}]"), gates[row * 2 * channels + c], z);
                    assert_near(&format!("{isa} {cut}: rh[{i}]"), gates[(row * 2 + 1) * channels + c], r * h);
                    let expected = (1.0 - z) * h + z * ((sums[1][i] + context[1][i]) as f64).tanh();
                    assert_near(&format!("{isa} {cut}: h[{i}]"), next[i], expected);
                }
            }
        }
    });
}

#[test]
fn convex_upsampling_agrees_with_its_definition() {
    let [height, width] = [3, 5];
    let mut random = Lcg::new(9);
    let (flow, mask) = (random.normal(height * width * 2), random.normal(height * width * 576));
    force_each_isa(|isa| {
        let found = convex_upsample(&flow, &mask, [height, width]);
        for (i, found) in found.iter().enumerate() {
            let (y, x, axis) = (i / 2 / (8 * width), i / 2 % (8 * width), i % 2);
            let cell = (y / 8 * width + x / 8) * 576 + y % 8 * 8 + x % 8;
            let share = |k: usize| (mask[cell + k * 64] as f64).exp();
            let sum: f64 = (0..9).map(share).sum();
            let neighbour = |k: usize| {
                let (row, column) = ((y / 8 + k / 3).wrapping_sub(1), (x / 8 + k % 3).wrapping_sub(1));
                let inside = row < height && column < width;
                if inside { 8.0 * flow[(row * width + column) * 2 + axis] as f64 } else { 0.0 }
            };
            let expected = (0..9).map(|k| share(k) * neighbour(k)).sum::<f64>() / sum;
            assert_near(&format!("{isa} [{y}, {x}, {axis}]"), *found, expected);
        }
    });
}

/// Value of channel `c` at a place, bilinear, the border repeated.
fn clamped_at(map: &[f32], [height, width, channels]: [usize; 3], c: usize, [x, y]: [f64; 2]) -> f64 {
    let plane: Vec<f64> = map.iter().skip(c).step_by(channels).map(|value| *value as f64).collect();
    let place = [x.clamp(0.0, width as f64 - 1.0), y.clamp(0.0, height as f64 - 1.0)];
    at(&plane, [height, width], place)
}

#[test]
fn warped_maps_agree_with_their_definition() {
    let [height, width, channels] = [7, 9, 21];
    let mut random = Lcg::new(13);
    let map = random.normal(height * width * channels);
    let flow: Vec<f32> = random.normal(height * width * 4).iter().map(|value| 3.0 * value).collect();
    force_each_isa(|isa| {
        for first in [0, 2] {
            let found = warp(&map, &flow, first, [height, width]);
            for (i, found) in found.iter().enumerate() {
                let (p, c) = (i / channels, i % channels);
                let place = [0, 1]
                    .map(|axis| [p % width, p / width][axis] as f64 + flow[4 * p + first + axis] as f64);
                let expected = clamped_at(&map, [height, width, channels], c, place);
                assert_near(&format!("{isa}, pixel {p}, channel {c}"), *found, expected);
            }
        }
    });
}

#[test]
fn candidates_are_mixtures_of_warped_frames() {
    let ([height, width], count, mean) = ([5, 6], 2, 0.25);
    let mut random = Lcg::new(14);
    let frames = [random.normal(height * width * 4), random.normal(height * width * 4)];
    let (flow, decoded) = (random.normal(height * width * 4), random.normal(height * width * 8 * count));
    force_each_isa(|isa| {
        let size = [height, width];
        let frames = [&frames[0][..], &frames[1][..]];
        let found = Candidates { frames, mean, flow: &flow, decoded: &decoded, count, size }.blend();
        for (i, found) in found.iter().enumerate() {
            let (p, n, c) = (i / (3 * count), i / 3 % count, i % 3);
            let decoded: Vec<f64> = decoded[p * 8 * count..][..8 * count].iter().map(|v| *v as f64).collect();
            let moved = |frame: usize| {
                let place = [0, 1].map(|axis| {
                    let delta = decoded[2 * count * frame + 2 * n + axis];
                    [p % width, p / width][axis] as f64 + delta + 2.0 * flow[4 * p + 2 * frame + axis] as f64
                });
                clamped_at(frames[frame], [height, width, 4], c, place)
            };
            let share = 1.0 / (1.0 + (-decoded[4 * count + n]).exp());
            let added = decoded[5 * count + 3 * n + c];
            let expected = share * moved(0) + (1.0 - share) * moved(1) + mean as f64 + added;
            assert_near(&format!("{isa}, pixel {p}, candidate {n}, channel {c}"), *found, expected);
        }
    });
}
