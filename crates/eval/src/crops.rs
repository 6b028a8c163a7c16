//! What the judge sees: square pictures of the object, cut from a frame.

use vidit_data::Random;
use vidit_motion::UnitBox;
use vidit_video::PixelShape;

use crate::foreground::Plane;

/// Height and width of a crop in pixels.
pub(crate) const SIDE: usize = 48;
/// Red, green, blue in -1..1, and how far the pixel lies from the background.
pub(crate) const CHANNELS: usize = 4;
/// Free room around the object, a fraction of its longer side.
const MARGIN: f32 = 0.1;
/// Levels of distance from the background that count as 1.
const DISTANCE_UNIT: f32 = 64.0;

/// A square of the frame in pixels; may lie partly outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub left: f32,
    pub top: f32,
    pub side: f32,
}

impl Window {
    /// The square around an object's box.
    pub fn around(bounds: &UnitBox, shape: PixelShape) -> Self {
        let (width, height) = (shape.width as f32, shape.height as f32);
        let (x, y) = bounds.centre();
        let longer = ((bounds.x2 - bounds.x1) * width).max((bounds.y2 - bounds.y1) * height);
        let side = longer * (1.0 + 2.0 * MARGIN);
        Self { left: x * width - side / 2.0, top: y * height - side / 2.0, side }
    }

    /// Where it lies, in fractions of the frame.
    pub fn place(self, shape: PixelShape) -> UnitBox {
        let (width, height) = (shape.width as f32, shape.height as f32);
        let (right, bottom) = (self.left + self.side, self.top + self.side);
        UnitBox { x1: self.left / width, y1: self.top / height, x2: right / width, y2: bottom / height }
    }

    /// Moved and scaled at random by up to `amount` of its side.
    pub fn jittered(self, amount: f32, random: &mut Random) -> Self {
        let side = self.side * (1.0 + random.between(-amount, amount));
        let mut corner =
            |at: f32| at + (self.side - side) / 2.0 + self.side * random.between(-amount, amount);
        Self { left: corner(self.left), top: corner(self.top), side }
    }
}

/// The window of a frame `rgb [Hp, Wp, 3]`, `[SIDE, SIDE, CHANNELS]`. Outside of the frame the background goes on.
pub(crate) fn cut(rgb: &[u8], shape: PixelShape, plane: &Plane, window: Window) -> Vec<f32> {
    let (width, height) = (shape.width as f32, shape.height as f32);
    let step = window.side / SIDE as f32;
    // Two samples a side and pixel: windows are at most about twice as large as crops.
    let place = |start: f32, index: usize| start + (index as f32 + 0.5) * step / 2.0;
    let mut crop = vec![0.0; SIDE * SIDE * CHANNELS];
    for row in 0..2 * SIDE {
        let y = place(window.top, row);
        for column in 0..2 * SIDE {
            let x = place(window.left, column);
            let (u, v) = (2.0 * x / width - 1.0, 2.0 * y / height - 1.0);
            let pixel = if (0.0..width).contains(&x) && (0.0..height).contains(&y) {
                bilinear(rgb, shape, x - 0.5, y - 0.5)
            } else {
                plane.at(u, v)
            };
            let out = &mut crop[(row / 2 * SIDE + column / 2) * CHANNELS..][..CHANNELS];
            for channel in 0..3 {
                out[channel] += 0.25 * (pixel[channel] / 127.5 - 1.0);
            }
            out[3] += 0.25 * (plane.distance(u, v, pixel) / DISTANCE_UNIT).min(2.0);
        }
    }
    crop
}

fn bilinear(rgb: &[u8], shape: PixelShape, x: f32, y: f32) -> [f32; 3] {
    let (x, y) = (x.clamp(0.0, (shape.width - 1) as f32), y.clamp(0.0, (shape.height - 1) as f32));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(shape.width - 1), (y0 + 1).min(shape.height - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let level = |x: usize, y: usize, c: usize| f32::from(rgb[(y * shape.width + x) * 3 + c]);
    std::array::from_fn(|c| {
        let upper = level(x0, y0, c) * (1.0 - fx) + level(x1, y0, c) * fx;
        let lower = level(x0, y1, c) * (1.0 - fx) + level(x1, y1, c) * fx;
        upper * (1.0 - fy) + lower * fy
    })
}

/// Damage at random, as a lossy model does it: fewer pixels, noise in them, another tint.
pub(crate) fn damage(crop: &[f32], random: &mut Random) -> Vec<f32> {
    let mut damaged = crop.to_vec();
    let side = if random.chance(0.6) { (SIDE as f32 / random.between(1.0, 2.6)) as usize } else { SIDE };
    let noise = random.between(0.0, 0.12);
    if side < SIDE {
        damaged = resize(&damaged, SIDE, side);
    }
    for value in &mut damaged {
        *value += random.between(-noise, noise);
    }
    if side < SIDE {
        damaged = resize(&damaged, side, SIDE);
    }
    let gain = random.between(0.92, 1.08);
    let tint: [f32; 3] = std::array::from_fn(|_| random.between(-0.08, 0.08));
    for pixel in damaged.chunks_exact_mut(CHANNELS) {
        for channel in 0..3 {
            pixel[channel] = pixel[channel] * gain + tint[channel];
        }
    }
    damaged
}

/// Resampling with a triangle filter as wide as the coarser pixel; `[from, from, C]` to `[to, to, C]`.
fn resize(crop: &[f32], from: usize, to: usize) -> Vec<f32> {
    let half = along_rows(crop, from, from, to);
    along_rows(&half, to, from, to)
}

/// Resamples each row and transposes: `[rows, from, C]` to `[to, rows, C]`.
fn along_rows(values: &[f32], rows: usize, from: usize, to: usize) -> Vec<f32> {
    let ratio = from as f32 / to as f32;
    let reach = ratio.max(1.0);
    let mut out = vec![0.0; rows * to * CHANNELS];
    for target in 0..to {
        let centre = (target as f32 + 0.5) * ratio;
        let weight = |index: usize| (1.0 - (index as f32 + 0.5 - centre).abs() / reach).max(0.0);
        let first = (centre - reach - 0.5).ceil().max(0.0) as usize;
        let last = ((centre + reach - 0.5).floor() as usize).min(from - 1);
        let sum: f32 = (first..=last).map(weight).sum();
        for index in first..=last {
            let share = weight(index) / sum;
            for row in 0..rows {
                for channel in 0..CHANNELS {
                    out[(target * rows + row) * CHANNELS + channel] +=
                        share * values[(row * from + index) * CHANNELS + channel];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreground::find;

    #[test]
    fn a_crop_of_a_plane_is_the_plane_inside_and_outside() {
        let shape = PixelShape::new(1, 64, 64);
        let bytes: Vec<u8> = (0..64 * 64).flat_map(|i| [(2 * (i % 64)) as u8, 80, (i / 64) as u8]).collect();
        let plane = find(&bytes, shape).plane;
        let crop = cut(&bytes, shape, &plane, Window { left: -20.0, top: 10.0, side: 70.0 });
        for pixel in crop.chunks_exact(CHANNELS) {
            assert!((pixel[1] - (80.0 / 127.5 - 1.0)).abs() < 0.01 && pixel[3] < 0.03, "{pixel:?}");
        }
    }

    #[test]
    fn resizing_keeps_the_mean_and_way_of_axes() {
        let crop: Vec<f32> =
            (0..SIDE * SIDE * CHANNELS)
                .map(|i| {
                    if i % CHANNELS == 0 {
                        (i / CHANNELS % SIDE) as f32
                    } else {
                        (i / CHANNELS / SIDE) as f32
                    }
                })
                .collect();
        let small = resize(&crop, SIDE, 20);
        let back = resize(&small, 20, SIDE);
        let middle = (20 * SIDE + 30) * CHANNELS;
        assert!(
            (back[middle] - 30.0).abs() < 0.3 && (back[middle + 1] - 20.0).abs() < 0.3,
            "{:?}",
            &back[middle..middle + 4]
        );
    }
}
