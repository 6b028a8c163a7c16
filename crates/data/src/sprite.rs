//! One object's moving picture, and how a frame of it is drawn at any place and size.

use std::io::Cursor;

use image::ImageFormat;

use crate::DataError;

/// Frames of a sprite: 3 seconds at 12 frames per second.
pub const SPRITE_FRAMES: usize = 36;

/// A strip of square frames, premultiplied 8-bit RGBA, `[SPRITE_FRAMES, side, side, 4]`.
pub(crate) struct Sprite {
    side: usize,
    rgba: Vec<u8>,
}

/// Where a frame is drawn, in pixels of the clip; may lie partly outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placement {
    pub left: f32,
    pub top: f32,
    pub side: f32,
    pub mirrored: bool,
}

/// A drawn frame: the covered rectangle of the clip, premultiplied RGBA in `0..=255`, `[height, width]`.
#[derive(Default)]
pub(crate) struct Patch {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    pub rgba: Vec<[f32; 4]>,
    rows: Vec<[f32; 4]>,
}

impl Sprite {
    pub fn decode(id: &str, webp: &[u8]) -> Result<Self, DataError> {
        let refuse = |reason| DataError::Sprite { id: id.to_owned(), reason };
        let strip =
            image::load(Cursor::new(webp), ImageFormat::WebP).map_err(|error| refuse(error.to_string()))?;
        let (width, side) = (strip.width() as usize, strip.height() as usize);
        if side == 0 || width != SPRITE_FRAMES * side {
            return Err(refuse(format!(
                "expected {SPRITE_FRAMES} square frames side by side, found {width}x{side}"
            )));
        }
        let strip = strip.into_rgba8();
        let mut rgba = Vec::with_capacity(SPRITE_FRAMES * side * side * 4);
        for frame in 0..SPRITE_FRAMES {
            for row in 0..side {
                let start = row * width + frame * side;
                for pixel in strip.as_raw()[start * 4..(start + side) * 4].chunks_exact(4) {
                    let alpha = u32::from(pixel[3]);
                    let premultiply = |channel: u8| ((u32::from(channel) * alpha + 127) / 255) as u8;
                    rgba.extend([
                        premultiply(pixel[0]),
                        premultiply(pixel[1]),
                        premultiply(pixel[2]),
                        pixel[3],
                    ]);
                }
            }
        }
        Ok(Self { side, rgba })
    }

    /// Draws frame `frame` (modulo the strip) into `patch`, clipped to a canvas of `width` × `height` pixels.
    ///
    /// Separable triangle filter, as wide as a target pixel when shrinking: no aliasing, sub-pixel placement.
    pub fn draw(&self, frame: usize, at: Placement, width: usize, height: usize, patch: &mut Patch) {
        let columns = Taps::along(at.left, at.side, width, self.side, at.mirrored);
        let lines = Taps::along(at.top, at.side, height, self.side, false);
        (patch.left, patch.width) = (columns.start, columns.ranges.len());
        (patch.top, patch.height) = (lines.start, lines.ranges.len());

        let frame_bytes = self.side * self.side * 4;
        let source = &self.rgba[frame % SPRITE_FRAMES * frame_bytes..][..frame_bytes];
        patch.rows.clear();
        for row in source.chunks_exact(self.side * 4) {
            for column in 0..patch.width {
                let (first, weights) = columns.at(column);
                let mut sum = [0.0; 4];
                for (pixel, &weight) in row[first * 4..].chunks_exact(4).zip(weights) {
                    for channel in 0..4 {
                        sum[channel] += f32::from(pixel[channel]) * weight;
                    }
                }
                patch.rows.push(sum);
            }
        }
        patch.rgba.clear();
        patch.rgba.resize(patch.width * patch.height, [0.0; 4]);
        for (line, out) in patch.rgba.chunks_exact_mut(patch.width.max(1)).enumerate() {
            let (first, weights) = lines.at(line);
            for (row, &weight) in patch.rows[first * patch.width..].chunks_exact(patch.width).zip(weights) {
                for (out, pixel) in out.iter_mut().zip(row) {
                    for channel in 0..4 {
                        out[channel] += pixel[channel] * weight;
                    }
                }
            }
        }
    }
}

/// Filter weights of each covered target pixel along one axis.
struct Taps {
    /// First covered target pixel.
    start: usize,
    /// Per target pixel: first source pixel, and where its weights lie.
    ranges: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<f32>,
}

impl Taps {
    fn along(offset: f32, side: f32, target: usize, source: usize, mirrored: bool) -> Self {
        let start = (offset.floor().max(0.0) as usize).min(target);
        let end = ((offset + side).ceil().max(0.0) as usize).clamp(start, target);
        let ratio = source as f32 / side;
        let reach = ratio.max(1.0);
        let mut taps = Self { start, ranges: Vec::with_capacity(end - start), weights: Vec::new() };
        for pixel in start..end {
            let centre = (pixel as f32 + 0.5 - offset) * ratio;
            let (low, high) = ((centre - reach - 0.5).ceil() as i64, (centre + reach - 0.5).floor() as i64);
            let weight = |index: i64| (1.0 - (index as f32 + 0.5 - centre).abs() / reach).max(0.0);
            // Pixels beyond the border count as transparent: they take part in the sum, not in the taps.
            let sum: f32 = (low..=high).map(weight).sum();
            let inside = low.clamp(0, source as i64)..(high + 1).clamp(0, source as i64);
            let begin = taps.weights.len();
            if mirrored {
                taps.weights.extend(inside.clone().rev().map(|index| weight(index) / sum));
                taps.ranges.push((source - inside.end as usize, begin..taps.weights.len()));
            } else {
                taps.weights.extend(inside.clone().map(|index| weight(index) / sum));
                taps.ranges.push((inside.start as usize, begin..taps.weights.len()));
            }
        }
        taps
    }

    fn at(&self, pixel: usize) -> (usize, &[f32]) {
        let (first, range) = &self.ranges[pixel];
        (*first, &self.weights[range.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn white_square(side: usize) -> Sprite {
        Sprite { side, rgba: vec![255; SPRITE_FRAMES * side * side * 4] }
    }

    fn mass(sprite: &Sprite, at: Placement) -> f32 {
        let mut patch = Patch::default();
        sprite.draw(0, at, 40, 40, &mut patch);
        patch.rgba.iter().map(|pixel| pixel[3] / 255.0).sum()
    }

    #[test]
    fn area_is_kept_at_every_size_and_sub_pixel_offset() {
        let sprite = white_square(16);
        for side in [5.0f32, 8.3, 16.0, 20.7] {
            for offset in [9.0, 9.25, 9.7] {
                let found = mass(&sprite, Placement { left: offset, top: 10.0, side, mirrored: false });
                // The border pixels are cut where the filter reaches past the square.
                assert!((found / (side * side) - 1.0).abs() < 0.12, "{side} {offset}: {found}");
            }
        }
    }

    #[test]
    fn what_lies_outside_is_clipped() {
        let sprite = white_square(16);
        assert_eq!(mass(&sprite, Placement { left: -50.0, top: 3.0, side: 10.0, mirrored: false }), 0.0);
        let half = mass(&sprite, Placement { left: -8.0, top: 3.0, side: 16.0, mirrored: false });
        assert!((half - 128.0).abs() < 1.0, "{half}");
    }

    #[test]
    fn mirroring_swaps_left_and_right() {
        let mut sprite = white_square(4);
        for pixel in sprite.rgba.chunks_exact_mut(16) {
            pixel[..8].fill(0); // the left half is transparent
        }
        let column = |mirrored, x: usize| {
            let mut patch = Patch::default();
            sprite.draw(3, Placement { left: 0.0, top: 0.0, side: 4.0, mirrored }, 4, 4, &mut patch);
            patch.rgba[x][3]
        };
        assert_eq!([column(false, 0), column(false, 3)], [0.0, 255.0]);
        assert_eq!([column(true, 0), column(true, 3)], [255.0, 0.0]);
    }

    #[test]
    fn a_picture_that_is_no_strip_is_refused() {
        let error = Sprite::decode("cat", b"not a picture").err().expect("refused").to_string();
        assert!(error.contains("`cat`"), "{error}");
    }
}
