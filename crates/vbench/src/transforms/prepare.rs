//! One function a network.

use rayon::prelude::*;

use super::sizes::MUSIQ_SIDE;
use super::{
    Coordinates, Kernel, MusiqRule, Window, centre, musiq_size, resize_antialiased, resize_bytes,
    resize_floats, resize_linear, resize_pillow, short_side,
};
use crate::Mode;
use crate::pixels::RgbFrame;

/// Side of what CLIP, ViCLIP and UMT see, and short side of what DINO sees.
pub const CLIP_SIDE: usize = 224;

/// Side of what Tag2Text sees.
const TAG2TEXT_SIDE: usize = 384;
/// Short side before UMT's crop.
const UMT_SIDE: usize = 256;
/// Short side before the crop of VBench-I2V's DINO.
const DINO_CROPPED_SIDE: usize = 256;

/// What a network sees.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatFrame {
    /// Rows.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// `[H, W, 3]`.
    pub values: Vec<f32>,
}

/// Mean and deviation of each channel on the scale 0–1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// What is subtracted.
    pub mean: [f32; 3],
    /// What the rest is divided by.
    pub deviation: [f32; 3],
}

impl Normalisation {
    /// Of CLIP and ViCLIP.
    pub const CLIP: Self =
        Self { mean: [0.48145466, 0.4578275, 0.40821073], deviation: [0.26862954, 0.261_302_6, 0.275_777_1] };
    /// Of networks trained on ImageNet: DINO, UMT, Tag2Text.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

    /// From 0–255, in place: division by 255 first, as in the reference, for the same rounding.
    fn apply(&self, values: &mut [f32]) {
        values.par_chunks_mut(3 << 12).for_each(|values| {
            for pixel in values.as_chunks_mut::<3>().0 {
                for (c, value) in pixel.iter_mut().enumerate() {
                    *value = (*value / 255.0 - self.mean[c]) / self.deviation[c];
                }
            }
        });
    }

    fn frame(&self, (height, width): (usize, usize), mut values: Vec<f32>) -> FloatFrame {
        self.apply(&mut values);
        FloatFrame { height, width, values }
    }
}

/// DINO: short side 224, bilinear without antialiasing, no crop. `[224, W, 3]` or `[H, 224, 3]`
pub fn dino(frame: &RgbFrame) -> FloatFrame {
    let size = short_side(frame.height, frame.width, CLIP_SIDE);
    let values = resize_floats(frame, size, Window::whole(size), Kernel::Bilinear, Coordinates::HalfPixel);
    Normalisation::IMAGENET.frame(size, values)
}

/// DINO of VBench-I2V on frames: short side 256, bicubic with antialiasing, neither clamped nor rounded, the middle. `[224, 224, 3]`
pub fn dino_crop_tensor(frame: &RgbFrame) -> FloatFrame {
    let size = short_side(frame.height, frame.width, DINO_CROPPED_SIDE);
    let values = resize_antialiased(frame, size, centre(size, CLIP_SIDE), Kernel::Bicubic);
    Normalisation::IMAGENET.frame((CLIP_SIDE, CLIP_SIDE), values)
}

/// DINO of VBench-I2V on the given picture: the same by Pillow, in bytes. `[224, 224, 3]`
pub fn dino_crop_pillow(picture: &RgbFrame) -> FloatFrame {
    let size = short_side(picture.height, picture.width, DINO_CROPPED_SIDE);
    let values = resize_pillow(picture, size, centre(size, CLIP_SIDE), Kernel::Bicubic);
    Normalisation::IMAGENET.frame((CLIP_SIDE, CLIP_SIDE), floats(&values))
}

/// DreamSim on frames: 224 × 224 whatever the sides were, bicubic with antialiasing, neither clamped nor rounded, on the scale 0–1.
/// `[224, 224, 3]`
pub fn dreamsim_tensor(frame: &RgbFrame) -> FloatFrame {
    let size = (CLIP_SIDE, CLIP_SIDE);
    shares(size, resize_antialiased(frame, size, Window::whole(size), Kernel::Bicubic))
}

/// DreamSim on the given picture: the same by Pillow, in bytes. `[224, 224, 3]`
pub fn dreamsim_pillow(picture: &RgbFrame) -> FloatFrame {
    let size = (CLIP_SIDE, CLIP_SIDE);
    shares(size, floats(&resize_pillow(picture, size, Window::whole(size), Kernel::Bicubic)))
}

/// CLIP on tensors: short side 224, bicubic without antialiasing or clamping, the middle. `[224, 224, 3]`
pub fn clip_tensor(frame: &RgbFrame) -> FloatFrame {
    let size = short_side(frame.height, frame.width, CLIP_SIDE);
    let window = centre(size, CLIP_SIDE);
    let values = resize_floats(frame, size, window, Kernel::Bicubic, Coordinates::HalfPixel);
    Normalisation::CLIP.frame((CLIP_SIDE, CLIP_SIDE), values)
}

/// CLIP on Pillow images: short side 224, bicubic with antialiasing, the middle. `[224, 224, 3]`
pub fn clip_pillow(frame: &RgbFrame) -> FloatFrame {
    let size = short_side(frame.height, frame.width, CLIP_SIDE);
    let values = resize_pillow(frame, size, centre(size, CLIP_SIDE), Kernel::Bicubic);
    Normalisation::CLIP.frame((CLIP_SIDE, CLIP_SIDE), floats(&values))
}

/// ViCLIP: as [`clip_tensor`], rounded to bytes between resizing and normalising. `[224, 224, 3]`
pub fn viclip(frame: &RgbFrame) -> FloatFrame {
    let size = short_side(frame.height, frame.width, CLIP_SIDE);
    let values = resize_bytes(frame, size, centre(size, CLIP_SIDE), Kernel::Bicubic);
    Normalisation::CLIP.frame((CLIP_SIDE, CLIP_SIDE), floats(&values))
}

/// UMT: short side 256 by OpenCV, the middle 224. `[224, 224, 3]`
pub fn umt(frame: &RgbFrame) -> FloatFrame {
    let size = short_side(frame.height, frame.width, UMT_SIDE);
    let values = resize_linear(frame, size, centre(size, CLIP_SIDE));
    Normalisation::IMAGENET.frame((CLIP_SIDE, CLIP_SIDE), floats(&values))
}

/// Tag2Text: 384 × 384 whatever the sides were. `[384, 384, 3]`
///
/// The reference lets swscale do that on the planes of the file, bicubic with a = −0.6; this is bicubic with a = −0.5 on RGB, which
/// comes near it and is not equal to it.
pub fn tag2text(frame: &RgbFrame) -> FloatFrame {
    let size = (TAG2TEXT_SIDE, TAG2TEXT_SIDE);
    let values = resize_pillow(frame, size, Window::whole(size), Kernel::Bicubic);
    Normalisation::IMAGENET.frame(size, floats(&values))
}

/// Tag2Text on the pictures of a GIF or a PNG, which the reference makes smaller by Pillow: bilinear. `[384, 384, 3]`
pub fn tag2text_pillow(picture: &RgbFrame) -> FloatFrame {
    let size = (TAG2TEXT_SIDE, TAG2TEXT_SIDE);
    let values = resize_pillow(picture, size, Window::whole(size), Kernel::Bilinear);
    Normalisation::IMAGENET.frame(size, floats(&values))
}

/// MUSIQ: at most 512, bilinear without antialiasing, on the scale 0–1. `[H, W, 3]`
pub fn musiq(frame: &RgbFrame, rule: MusiqRule, mode: Mode) -> FloatFrame {
    let size = musiq_size(frame.height, frame.width, rule, mode);
    let crops = rule == MusiqRule::ShorterCentreCrop && size != (frame.height, frame.width);
    let window = if crops { centre_or_less(size) } else { Window::whole(size) };
    let values = resize_floats(frame, size, window, Kernel::Bilinear, Coordinates::HalfPixel);
    let resized = shares((window.height, window.width), values);
    if crops { filled_up(resized) } else { resized }
}

/// The middle 512 × 512, or what there is of it where a side became 511.
fn centre_or_less(size: (usize, usize)) -> Window {
    let window = centre((size.0.max(MUSIQ_SIDE), size.1.max(MUSIQ_SIDE)), MUSIQ_SIDE);
    Window { height: size.0.min(MUSIQ_SIDE), width: size.1.min(MUSIQ_SIDE), ..window }
}

/// To 512 × 512, with black below and to the right.
fn filled_up(frame: FloatFrame) -> FloatFrame {
    if (frame.height, frame.width) == (MUSIQ_SIDE, MUSIQ_SIDE) {
        return frame;
    }
    let mut values = vec![0.0; MUSIQ_SIDE * MUSIQ_SIDE * 3];
    let rows = frame.values.chunks_exact(frame.width * 3);
    values
        .chunks_exact_mut(MUSIQ_SIDE * 3)
        .zip(rows)
        .for_each(|(to, row)| to[..row.len()].copy_from_slice(row));
    FloatFrame { height: MUSIQ_SIDE, width: MUSIQ_SIDE, values }
}

/// From 0–255 to 0–1.
fn shares((height, width): (usize, usize), mut values: Vec<f32>) -> FloatFrame {
    values.par_chunks_mut(1 << 14).for_each(|values| values.iter_mut().for_each(|value| *value /= 255.0));
    FloatFrame { height, width, values }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&byte| f32::from(byte)).collect()
}
