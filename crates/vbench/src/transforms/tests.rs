use std::path::PathBuf;

use sha2::{Digest, Sha256};
use vidit_weights::TensorStore;

use super::*;
use crate::Mode;
use crate::hash::hexadecimal;
use crate::pixels::RgbFrame;

fn expected(name: &str) -> TensorStore {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/transforms/golden").join(name);
    TensorStore::read(&path).unwrap()
}

/// The exporter's noise.
fn noise(height: usize, width: usize) -> RgbFrame {
    let mut state = (height * 1000 + width) as u32;
    let rgb = (0..height * width * 3)
        .map(|_| {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 24) as u8
        })
        .collect();
    RgbFrame { height, width, rgb }
}

fn assert_bytes(store: &TensorStore, key: &str, found: &[u8]) {
    let sampled: Vec<f32> = found.iter().step_by(7).map(|&byte| f32::from(byte)).collect();
    let expected = &store.tensors[key].values;
    let off = sampled.iter().zip(expected).filter(|(a, b)| a != b).count();
    assert_eq!((sampled.len(), off), (expected.len(), 0), "{key}: `{off}` of the sampled bytes differ");
    let sha = hexadecimal(&Sha256::digest(found));
    assert_eq!(sha, store.metadata[&format!("sha256.{key}")], "{key}");
}

fn assert_floats(store: &TensorStore, key: &str, found: &[f32]) {
    const FLOATS_MAX: usize = 400;
    let mut step = found.len().div_ceil(FLOATS_MAX).max(1);
    step += usize::from(step % 3 == 0);
    let sampled: Vec<f32> = found.iter().step_by(step).copied().collect();
    let expected = &store.tensors[key].values;
    assert_eq!(sampled.len(), expected.len(), "{key}");
    // Every weight and every sum rounds as torch's does on x86.
    let off = sampled.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off == 0.0, "{key}: off by {off}");
}

fn sides(text: &str) -> (usize, usize) {
    let (height, width) = text.split_once('x').unwrap();
    (height.parse().unwrap(), width.parse().unwrap())
}

#[test]
fn every_resampler_is_that_of_its_library() {
    let store = expected("resize.safetensors");
    let mut counted = 0;
    for key in store.tensors.keys() {
        let parts: Vec<&str> = key.split('.').collect();
        let (from, to) = (sides(parts[0]), sides(parts[1]));
        let (frame, window) = (noise(from.0, from.1), Window::whole(to));
        let kernel = if parts[2] == "bicubic" { Kernel::Bicubic } else { Kernel::Bilinear };
        let floats = |coordinates| {
            let found = resize_floats(&frame, to, window, kernel, coordinates);
            assert_floats(&store, key, &found);
        };
        let scale = |to: usize, from: usize| (to as f64 + 0.1) / from as f64;
        match *parts.last().unwrap() {
            "half_pixel" => floats(Coordinates::HalfPixel),
            "corners" => floats(Coordinates::Corners),
            "scaled" => floats(Coordinates::Scaled(scale(to.0, from.0), scale(to.1, from.1))),
            "antialias" => assert_floats(&store, key, &resize_antialiased(&frame, to, window, kernel)),
            "bytes" => assert_bytes(&store, key, &resize_bytes(&frame, to, window, kernel)),
            "pillow" => assert_bytes(&store, key, &resize_pillow(&frame, to, window, kernel)),
            "opencv" => assert_bytes(&store, key, &resize_linear(&frame, to, window)),
            other => panic!("{other}"),
        }
        counted += 1;
    }
    assert!(counted > 60, "{counted}");
}

#[test]
fn every_network_sees_what_the_reference_shows_it() {
    let store = expected("prepare.safetensors");
    for key in store.tensors.keys().filter(|key| !key.ends_with(".size")) {
        let (size, network) = key.split_once('.').unwrap();
        let (height, width) = sides(size);
        let frame = noise(height, width);
        let found = match network {
            "dino" => dino(&frame),
            "dino_crop_tensor" => dino_crop_tensor(&frame),
            "dino_crop_pillow" => dino_crop_pillow(&frame),
            "dreamsim_pillow" => dreamsim_pillow(&frame),
            "dreamsim_tensor" => dreamsim_tensor(&frame),
            "clip_tensor" => clip_tensor(&frame),
            "clip_pillow" => clip_pillow(&frame),
            "viclip" => viclip(&frame),
            "umt" => umt(&frame),
            _ => {
                let rule = match network.strip_prefix("musiq_").unwrap() {
                    "longer" => MusiqRule::Longer,
                    "shorter" => MusiqRule::Shorter,
                    "shorter_centercrop" => MusiqRule::ShorterCentreCrop,
                    _ => MusiqRule::None,
                };
                musiq(&frame, rule, Mode::Compat)
            }
        };
        assert_eq!(found.values.len(), found.height * found.width * 3);
        if let Some(size) = store.tensors.get(&format!("{key}.size")) {
            assert_eq!([found.height as f32, found.width as f32], size.values[..], "{key}");
        }
        assert_floats(&store, key, &found.values);
    }
}

#[test]
fn a_window_is_a_part_of_the_whole() {
    let frame = noise(50, 70);
    let (size, window) = ((40, 90), Window { top: 7, left: 11, height: 20, width: 30 });
    let cut = |whole: &[f32]| -> Vec<f32> {
        let rows = whole.chunks_exact(size.1 * 3).skip(window.top).take(window.height);
        rows.flat_map(|row| row[window.left * 3..][..window.width * 3].to_vec()).collect()
    };
    let floats = |bytes: Vec<u8>| -> Vec<f32> { bytes.into_iter().map(f32::from).collect() };
    for kernel in [Kernel::Bilinear, Kernel::Bicubic] {
        let all = [
            |f: &RgbFrame, s, w, k| resize_floats(f, s, w, k, Coordinates::HalfPixel),
            |f: &RgbFrame, s, w, k| resize_antialiased(f, s, w, k),
        ];
        for resize in all {
            let whole = resize(&frame, size, Window::whole(size), kernel);
            assert_eq!(resize(&frame, size, window, kernel), cut(&whole));
        }
        let whole = floats(resize_pillow(&frame, size, Window::whole(size), kernel));
        assert_eq!(floats(resize_pillow(&frame, size, window, kernel)), cut(&whole));
    }
    let whole = floats(resize_linear(&frame, size, Window::whole(size)));
    assert_eq!(floats(resize_linear(&frame, size, window)), cut(&whole));
}

#[test]
fn sizes_are_cut_off_and_crops_rounded_to_even_halves() {
    for (size, expected) in [
        ((480, 720), (224, 336)),
        ((480, 854), (224, 398)),
        ((576, 1024), (224, 398)),
        ((720, 1280), (224, 398)),
        ((480, 832), (224, 388)),
        ((832, 480), (388, 224)),
        ((100, 100), (224, 224)),
    ] {
        assert_eq!(short_side(size.0, size.1, 224), expected);
    }
    // Python: int(round((W - 224) / 2.0)).
    for (width, left) in [(224, 0), (225, 0), (226, 1), (227, 2), (228, 2), (229, 2), (231, 4), (398, 87)] {
        assert_eq!(centre((224, width), 224).left, left, "{width}");
    }
}

#[test]
fn some_longer_sides_become_511_unless_fixed() {
    let of = |side, mode| musiq_size(side, side / 2, MusiqRule::Longer, mode);
    // Those below 760, counted in Python.
    const TRAPS: [usize; 12] = [561, 569, 644, 685, 691, 694, 725, 729, 735, 737, 748, 753];
    for side in 513..760 {
        let expected = if TRAPS.contains(&side) { 511 } else { 512 };
        assert_eq!(of(side, Mode::Compat).0, expected, "{side}");
    }
    let trapped = (513..4096).filter(|&side| of(side, Mode::Compat).0 == 511).count();
    assert_eq!(trapped, 470);
    assert!((513..4096).all(|side| of(side, Mode::Fixed).0 == 512));
    for (size, expected) in [((480, 832), (295, 512)), ((720, 1280), (288, 512)), ((480, 854), (287, 512))] {
        for mode in [Mode::Compat, Mode::Fixed] {
            assert_eq!(musiq_size(size.0, size.1, MusiqRule::Longer, mode), expected);
        }
    }
    assert_eq!(musiq_size(512, 300, MusiqRule::Longer, Mode::Compat), (512, 300));
}
