//! Clips and measures that the tests of several files share.

use vidit_video::{Frames, PixelShape};

use crate::{Clip, ReadLimits, read_video};

/// A smooth gradient in all channels that drifts to the right, two pixels a frame.
pub(crate) fn gradient(shape: PixelShape) -> Frames {
    let mut frames = Frames::black(shape);
    for index in 0..shape.frames {
        let width = shape.width;
        for (at, pixel) in frames.frame_mut(index).chunks_exact_mut(3).enumerate() {
            let (x, y) = ((at % width + 2 * index) as f64, (at / width) as f64);
            let wave = |fx: f64, fy: f64, phase: f64| {
                (127.5 + 110.0 * (x * fx + y * fy + phase).sin()).round() as u8
            };
            pixel.copy_from_slice(&[
                wave(0.030, 0.011, 0.0),
                wave(0.021, -0.017, 1.0),
                wave(0.013, 0.024, 2.0),
            ]);
        }
    }
    frames
}

/// Peak signal-to-noise ratio in dB over all bytes.
pub(crate) fn psnr(a: &Frames, b: &Frames) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let mean: f64 = a.rgb().iter().zip(b.rgb()).map(square).sum::<f64>() / a.rgb().len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

/// Reads bytes through a file of that name.
pub(crate) fn read_back(name: &str, bytes: &[u8]) -> Clip {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read_video(&path, &ReadLimits::default()).unwrap()
}
