//! Animated GIF: one palette for the clip, ordered dither, only what changed in each frame.

use std::collections::HashSet;
use std::io::Write;

use color_quant::NeuQuant;
use gif::{DisposalMethod, Encoder, Frame, Repeat};
use vidit_video::{Frames, PixelShape};

use crate::{FrameRate, MediaError, Result};

/// Palette entries for colours; the last of 256 stands for "as in the frame before".
const COLOURS_MAX: usize = 255;
const UNCHANGED: u8 = 255;

/// Pixels from which the palette is learnt. More do not change it visibly and cost time.
const SAMPLES_MAX: usize = 1 << 17;

/// GIF counts time in hundredths of a second, and browsers slow delays of 1 down to 10.
const TICKS_PER_SECOND: u64 = 100;
const FPS_MAX: f64 = 50.0;

/// Whether a clip of this size and speed fits into a GIF.
pub(crate) fn check(shape: PixelShape, rate: FrameRate) -> Result<()> {
    let unwritable = |problem: String, hint: &str| {
        Err(MediaError::Unwritable { format: "gif", problem, hint: hint.to_owned() })
    };
    let side_max = usize::from(u16::MAX);
    if shape.width > side_max || shape.height > side_max {
        return unwritable(
            format!("sides must be at most {side_max}, found `{}x{}`", shape.width, shape.height),
            "scale the clip",
        );
    }
    if rate.hz() > FPS_MAX {
        return unwritable(
            format!("at most {FPS_MAX} frames per second, found `{rate}`"),
            "lower the frame rate, or write .mp4 or .webp",
        );
    }
    Ok(())
}

/// Writes a clip that repeats forever. It must have passed [`check`].
pub(crate) fn write(out: &mut dyn Write, frames: &Frames, rate: FrameRate) -> Result<()> {
    let failed = |e: gif::EncodingError| MediaError::encode("gif", e);
    let PixelShape { frames: count, height, width } = frames.shape();
    let mut palette = Palette::of(frames.rgb());
    let mut encoder = Encoder::new(out, width as u16, height as u16, &palette.table()).map_err(failed)?;
    encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
    let mut before = Vec::new();
    for index in 0..count {
        let now = palette.indices(frames.frame(index), width);
        let changed =
            if index == 0 { Region::all(width, height) } else { Region::of_change(&before, &now, width) };
        let mut buffer = Vec::with_capacity(changed.width * changed.height);
        for y in changed.top..changed.top + changed.height {
            for at in y * width + changed.left..y * width + changed.left + changed.width {
                buffer.push(if index > 0 && before[at] == now[at] { UNCHANGED } else { now[at] });
            }
        }
        let delay = rate.start(index + 1, TICKS_PER_SECOND) - rate.start(index, TICKS_PER_SECOND);
        let frame = Frame {
            delay: delay.min(u64::from(u16::MAX)) as u16,
            dispose: DisposalMethod::Keep,
            transparent: Some(UNCHANGED),
            left: changed.left as u16,
            top: changed.top as u16,
            width: changed.width as u16,
            height: changed.height as u16,
            buffer: buffer.into(),
            ..Frame::default()
        };
        encoder.write_frame(&frame).map_err(failed)?;
        before = now;
    }
    Ok(())
}

/// A rectangle of pixels; at least one, because GIF has no empty frames.
struct Region {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Region {
    fn all(width: usize, height: usize) -> Self {
        Self { left: 0, top: 0, width, height }
    }

    fn of_change(before: &[u8], now: &[u8], width: usize) -> Self {
        let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
        for (y, (before, now)) in before.chunks_exact(width).zip(now.chunks_exact(width)).enumerate() {
            let differs = |x: &usize| before[*x] != now[*x];
            if let Some(first) = (0..width).find(differs) {
                let last = (first..width).rev().find(differs).unwrap_or(first);
                (left, right) = (left.min(first), right.max(last));
                (top, bottom) = (top.min(y), y);
            }
        }
        if left == usize::MAX {
            return Self { left: 0, top: 0, width: 1, height: 1 };
        }
        Self { left, top, width: right - left + 1, height: bottom - top + 1 }
    }
}

/// Up to 255 colours and the way from any colour to the nearest of them.
struct Palette {
    colours: Vec<[u8; 3]>,
    /// Height of the dither pattern in 8-bit steps; 0 if the palette holds every colour of the clip.
    dither: i32,
    /// For each colour at 6 bits a channel, the nearest entry once it is known.
    nearest: Vec<Option<u8>>,
    exact: bool,
}

const BITS: u32 = 6;

impl Palette {
    fn of(rgb: &[u8]) -> Self {
        if let Some(mut colours) = distinct(rgb) {
            colours.sort_unstable();
            return Self { colours, dither: 0, nearest: Vec::new(), exact: true };
        }
        let step = (rgb.len() / 3).div_ceil(SAMPLES_MAX).max(1);
        let samples: Vec<u8> =
            rgb.chunks_exact(3).step_by(step).flat_map(|c| [c[0], c[1], c[2], 255]).collect();
        // 1 of 1..30 looks at every sample.
        let learnt = NeuQuant::new(1, COLOURS_MAX, &samples).color_map_rgb();
        let mut colours: Vec<[u8; 3]> = learnt.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        colours.sort_unstable();
        colours.dedup();
        let dither = spacing(&colours);
        Self { colours, dither, nearest: vec![None; 1 << (3 * BITS)], exact: false }
    }

    /// RGB of all 256 entries.
    fn table(&self) -> Vec<u8> {
        let mut table = self.colours.concat();
        table.resize(256 * 3, 0);
        table
    }

    fn indices(&mut self, frame: &[u8], width: usize) -> Vec<u8> {
        frame
            .chunks_exact(3)
            .enumerate()
            .map(|(at, colour)| {
                let colour = [colour[0], colour[1], colour[2]];
                if self.exact {
                    return self.colours.binary_search(&colour).unwrap_or(0) as u8;
                }
                // A pattern that stays in place does not boil from frame to frame, as spreading errors would.
                let threshold = i32::from(BAYER[at / width % 8][at % width % 8]) * 2 - 63;
                let nudge = threshold * self.dither / 128;
                self.nearest(colour.map(|c| (i32::from(c) + nudge).clamp(0, 255) as u8))
            })
            .collect()
    }

    fn nearest(&mut self, colour: [u8; 3]) -> u8 {
        let key = colour.iter().fold(0, |key, c| key << BITS | usize::from(c >> (8 - BITS)));
        *self.nearest[key].get_or_insert_with(|| {
            // The middle of what the key stands for.
            let middle = colour.map(|c| (c >> (8 - BITS) << (8 - BITS)) | 1 << (7 - BITS));
            let entries = self.colours.iter().enumerate();
            entries.min_by_key(|(_, entry)| distance(**entry, middle)).map_or(0, |(index, _)| index as u8)
        })
    }
}

/// All colours of the clip, if the palette can hold them.
fn distinct(rgb: &[u8]) -> Option<Vec<[u8; 3]>> {
    let mut colours = HashSet::new();
    for colour in rgb.chunks_exact(3) {
        colours.insert([colour[0], colour[1], colour[2]]);
        if colours.len() > COLOURS_MAX {
            return None;
        }
    }
    Some(colours.into_iter().collect())
}

/// Squared distance, weighted by what the eye sees: about the BT.709 luma weights, flattened.
fn distance(a: [u8; 3], b: [u8; 3]) -> i32 {
    const WEIGHTS: [i32; 3] = [3, 6, 2];
    (0..3).map(|c| WEIGHTS[c] * (i32::from(a[c]) - i32::from(b[c])).pow(2)).sum()
}

/// Mean distance of a colour of the palette to its neighbour, per channel.
fn spacing(colours: &[[u8; 3]]) -> i32 {
    let to_neighbour = |i: usize| {
        let others = colours.iter().enumerate().filter(|(j, _)| *j != i);
        let step =
            |other: &[u8; 3]| (0..3).map(|c| colours[i][c].abs_diff(other[c])).max().map_or(0, i32::from);
        others.map(|(_, other)| step(other)).min().unwrap_or(0)
    };
    (0..colours.len()).map(to_neighbour).sum::<i32>() / colours.len().max(1) as i32
}

/// Bayer's 8x8 thresholds, 0..63 (Bayer 1973).
const BAYER: [[u8; 8]; 8] = {
    let mut matrix = [[0; 8]; 8];
    let mut y = 0;
    while y < 8 {
        let mut x = 0;
        while x < 8 {
            // Bits of x^y and y interleaved, lowest first.
            let (a, b) = (x ^ y, y);
            let mut bit = 0;
            let mut value = 0;
            while bit < 3 {
                value = value << 2 | (a >> bit & 1) << 1 | (b >> bit & 1);
                bit += 1;
            }
            matrix[y][x] = value as u8;
            x += 1;
        }
        y += 1;
    }
    matrix
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{gradient, psnr, read_back};

    fn bytes(frames: &Frames, fps: u32) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, frames, fps.into()).unwrap();
        out
    }

    #[test]
    fn a_moving_gradient_survives_with_its_timing() {
        let frames = gradient(PixelShape::new(10, 64, 96));
        let clip = read_back("a.gif", &bytes(&frames, 24));
        assert_eq!(clip.frames.shape(), frames.shape());
        // 10 frames of 4 or 5 hundredths: 42 in all.
        assert!((clip.fps - 10.0 / 0.42).abs() < 1e-9, "{}", clip.fps);
        // 255 colours for a gradient in all three channels, dithered.
        let quality = psnr(&clip.frames, &frames);
        assert!(quality > 30.0, "{quality}");
    }

    #[test]
    fn few_colours_are_kept_exactly_and_still_frames_cost_little() {
        let shape = PixelShape::new(12, 40, 60);
        let mut frames = Frames::black(shape);
        for index in 0..shape.frames {
            let moves = index.min(5);
            for (at, pixel) in frames.frame_mut(index).chunks_exact_mut(3).enumerate() {
                let (x, y) = (at % 60, at / 60);
                let inside = (moves * 4..moves * 4 + 10).contains(&x) && (10..20).contains(&y);
                let background = [(x * 2) as u8, (x * 2) as u8, 99];
                pixel.copy_from_slice(if inside { &[250, 20, 30] } else { &background });
            }
        }
        let encoded = bytes(&frames, 10);
        let clip = read_back("a.gif", &encoded);
        assert_eq!(clip.frames, frames);
        assert_eq!(clip.fps, 10.0);
        assert!(encoded.len() < 5_000, "{}", encoded.len());
    }

    #[test]
    fn the_thresholds_are_a_permutation() {
        let mut all: Vec<_> = BAYER.concat();
        all.sort_unstable();
        assert_eq!(all, (0..64).collect::<Vec<u8>>());
        assert_eq!(BAYER[0][..4], [0, 32, 8, 40]);
    }

    #[test]
    fn too_fast_is_refused() {
        assert!(check(PixelShape::new(1, 8, 8), 60.into()).unwrap_err().to_string().contains("hint:"));
        assert!(check(PixelShape::new(1, 8, 8), 50.into()).is_ok());
    }
}
