use image::RgbImage;
use image::imageops::{self, FilterType, crop_imm};
use vidit_video::{Frames, PixelShape};

/// Frames at another size: what is too wide or too high is cut off on both sides, the rest is scaled.
pub fn fit(frames: &Frames, width: usize, height: usize) -> Frames {
    let from = frames.shape();
    if (from.width, from.height) == (width, height) {
        return frames.clone();
    }
    let scale = (from.width as f64 / width as f64).min(from.height as f64 / height as f64);
    let (w, h) = ((width as f64 * scale).round() as u32, (height as f64 * scale).round() as u32);
    let (w, h) = (w.clamp(1, from.width as u32), h.clamp(1, from.height as u32));
    let (x, y) = ((from.width as u32 - w) / 2, (from.height as u32 - h) / 2);
    let mut rgb = Vec::with_capacity(from.frames * height * width * 3);
    for index in 0..from.frames {
        let image = RgbImage::from_raw(from.width as u32, from.height as u32, frames.frame(index).to_vec())
            .expect("a frame has width × height × 3 bytes");
        let image = crop_imm(&image, x, y, w, h).to_image();
        let image = imageops::resize(&image, width as u32, height as u32, FilterType::Triangle);
        rgb.extend_from_slice(image.as_raw());
    }
    Frames::from_rgb(PixelShape { frames: from.frames, height, width }, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_kept_and_scaled() {
        // Columns 0..8 of 8 x 2 pixels; the middle four become two.
        let shape = PixelShape::new(2, 2, 8);
        let rgb = (0..2 * 2 * 8).flat_map(|i| [(i % 8) as u8 * 10; 3]).collect();
        let found = fit(&Frames::from_rgb(shape, rgb), 4, 2);
        assert_eq!(found.shape(), PixelShape::new(2, 2, 4));
        let row: Vec<u8> = found.frame(1).chunks_exact(3).take(4).map(|p| p[0]).collect();
        assert_eq!(row, [20, 30, 40, 50]);
        let half = fit(&found, 2, 1);
        let row: Vec<u8> = half.frame(0).chunks_exact(3).map(|p| p[0]).collect();
        assert!(row[0].abs_diff(25) <= 2 && row[1].abs_diff(45) <= 2, "{row:?}");
    }
}
