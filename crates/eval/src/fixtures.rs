//! Damage as a lossy model does it, for tests.

use vidit_data::Random;
use vidit_video::Frames;

/// Blurs over 3 × 3 pixels and adds noise of single pixels and of blocks of 8 × 8, as a young VAE does.
pub(crate) fn degrade(frames: &mut Frames) {
    let shape = frames.shape();
    let (height, width) = (shape.height, shape.width);
    let mut random = Random::new(17, 0);
    for index in 0..shape.frames {
        let source = frames.frame(index).to_vec();
        let blocks: Vec<f32> =
            (0..height.div_ceil(8) * width.div_ceil(8)).map(|_| random.between(-5.0, 5.0)).collect();
        let target = frames.frame_mut(index);
        for y in 0..height {
            for x in 0..width {
                for c in 0..3 {
                    let (mut sum, mut count) = (0.0, 0.0);
                    for ny in y.saturating_sub(1)..(y + 2).min(height) {
                        for nx in x.saturating_sub(1)..(x + 2).min(width) {
                            sum += f32::from(source[(ny * width + nx) * 3 + c]);
                            count += 1.0;
                        }
                    }
                    let noise = blocks[y / 8 * width.div_ceil(8) + x / 8] + random.between(-6.0, 6.0);
                    target[(y * width + x) * 3 + c] = (sum / count + noise).round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}
