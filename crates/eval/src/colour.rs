//! Which of the ten named colours is the background?

use vidit_data::Colour;

use crate::foreground::Foreground;

/// The colour of a clip's background: the name nearest to the median over its frames of the colour at the centre.
///
/// # Panics
/// If `track` is empty: a clip has frames.
pub fn colour(track: &[Foreground]) -> Colour {
    let centre: [f32; 3] = std::array::from_fn(|channel| {
        let mut levels: Vec<f32> = track.iter().map(|frame| frame.plane.at(0.0, 0.0)[channel]).collect();
        let middle = levels.len() / 2;
        *levels.select_nth_unstable_by(middle, f32::total_cmp).1
    });
    nearest(centre)
}

/// The named colour nearest to sRGB levels.
///
/// Lightness counts for less than hue and chroma: a gradient's centre is up to half of a shade away from the name, and
/// the composed colours vary by 8 % in value.
pub fn nearest(rgb: [f32; 3]) -> Colour {
    let found = oklab(rgb);
    let distance = |colour: &Colour| {
        let [l, a, b] = oklab(colour.rgb().map(f32::from));
        (LIGHTNESS_WEIGHT * (found[0] - l)).powi(2) + (found[1] - a).powi(2) + (found[2] - b).powi(2)
    };
    let by_distance = |a: &Colour, b: &Colour| distance(a).total_cmp(&distance(b));
    Colour::ALL.into_iter().min_by(by_distance).expect("there are ten")
}

const LIGHTNESS_WEIGHT: f32 = 0.5;

/// sRGB levels to Oklab (B. Ottosson, "A perceptual color space for image processing", 2020).
pub(crate) fn oklab(rgb: [f32; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|level| {
        let value = (level / 255.0).clamp(0.0, 1.0);
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

#[cfg(test)]
mod tests {
    use vidit_data::{Pack, Scene, Split, render};
    use vidit_video::PixelShape;

    use super::*;
    use crate::fixtures::degrade;
    use crate::foreground::track;

    #[test]
    fn oklab_agrees_with_its_published_points() {
        let [l, a, b] = oklab([255.0, 0.0, 0.0]);
        assert!(
            (l - 0.628).abs() < 1e-3 && (a - 0.225).abs() < 1e-3 && (b - 0.126).abs() < 1e-3,
            "{l} {a} {b}"
        );
        let [l, a, b] = oklab([255.0; 3]);
        assert!((l - 1.0).abs() < 1e-3 && a.abs() < 1e-3 && b.abs() < 1e-3);
    }

    #[test]
    fn backgrounds_of_held_out_clips_are_named() {
        let pack = Pack::embedded();
        let wrong = (0..300).filter(|index| {
            let scene = Scene::sample(&pack, 73, *index, Split::HeldOut);
            let mut clip = render(&pack, &scene, PixelShape::new(5, 128, 128));
            if index % 2 == 1 {
                degrade(&mut clip.frames);
            }
            colour(&track(&clip.frames)) != scene.background.colour
        });
        let wrong = wrong.count();
        assert!(wrong <= 3, "{wrong} of 300 wrong");
    }
}
