//! Between frames of bytes and what networks compute with.

use burn::tensor::{Device, Tensor, TensorData};
use vidit_video::{Frames, PixelShape};

/// Frames as network input, `[B, Fp, Hp, Wp, 3]` in -1..1.
///
/// # Panics
/// If there are no clips, or clips differ in shape.
pub fn tensor_from_frames(clips: &[Frames], device: &Device) -> Tensor<5> {
    let shape = clips[0].shape();
    let values: Vec<f32> = clips
        .iter()
        .flat_map(|clip| {
            assert_eq!(clip.shape(), shape, "clips of a batch share a shape");
            clip.rgb().iter().map(|byte| *byte as f32 / 127.5 - 1.0)
        })
        .collect();
    Tensor::from_data(
        TensorData::new(values, [clips.len(), shape.frames, shape.height, shape.width, 3]),
        device,
    )
}

/// Network output `[B, Fp, Hp, Wp, 3]`, about -1..1, as frames: one clip a sample.
pub fn frames_from_tensor(pixels: Tensor<5>) -> Vec<Frames> {
    let [_, frames, height, width, _] = pixels.dims();
    let shape = PixelShape::new(frames, height, width);
    let bytes: Vec<u8> = pixels.into_data().iter::<f32>().map(byte_from_unit).collect();
    bytes.chunks_exact(shape.pixels() * 3).map(|clip| Frames::from_rgb(shape, clip.to_vec())).collect()
}

/// -1..1 → 0..255, rounded; what lies outside is cut off.
pub fn byte_from_unit(value: f32) -> u8 {
    ((value + 1.0) * 127.5).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        let shape = PixelShape::new(2, 8, 16);
        let rgb: Vec<u8> = (0..shape.pixels() * 3).map(|i| i as u8).collect();
        let clips = [Frames::from_rgb(shape, rgb.clone()), Frames::black(shape)];
        assert_eq!(frames_from_tensor(tensor_from_frames(&clips, &Device::flex())), clips);
    }

    #[test]
    fn bytes_are_rounded_and_cut_off() {
        assert_eq!(
            [-2.0, -1.0, 0.0, 0.999, 1.0, 7.0, f32::NAN].map(byte_from_unit),
            [0, 0, 128, 255, 255, 255, 0]
        );
    }
}
