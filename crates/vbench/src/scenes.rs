//! Where scenes change: PySceneDetect's `ContentDetector` (version 0.7), as VBench-Long asks it.

use std::ops::Range;

use crate::pixels::RgbFrame;
use crate::transforms::{Window, resize_linear};

/// What the mean difference of hue (of 180), saturation and brightness (of 255) must come to between neighbours. VBench-Long's.
const THRESHOLD: f64 = 35.0;
/// Frames of the shortest scene; changes that are nearer become one.
const SHORTEST: usize = 15;
/// Longer side of what is looked at.
const SIDE_MAX: usize = 256;

/// A detector that is shown a video's frames in order.
#[derive(Default)]
pub(crate) struct SceneDetector {
    former: Vec<[u8; 3]>,
    frames: usize,
    cuts: Vec<usize>,
    filter: Filter,
}

impl SceneDetector {
    /// The next frame.
    pub fn push(&mut self, frame: &RgbFrame) {
        let score = self.score(frame);
        self.cuts.extend(self.filter.push(self.frames, score >= THRESHOLD));
        self.frames += 1;
    }

    /// How far the frame is from the one before; 0 for the first.
    fn score(&mut self, frame: &RgbFrame) -> f64 {
        let pixels: Vec<[u8; 3]> = match scaled(frame.height, frame.width) {
            size if size == (frame.height, frame.width) => hsv(&frame.rgb),
            size => hsv(&resize_linear(frame, size, Window::whole(size))),
        };
        let former = std::mem::replace(&mut self.former, pixels);
        if former.len() != self.former.len() {
            return 0.0;
        }
        let mut sums = [0u64; 3];
        for (a, b) in former.iter().zip(&self.former) {
            sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += u64::from(a.abs_diff(*b)));
        }
        sums.iter().map(|sum| *sum as f64 / former.len() as f64).sum::<f64>() / 3.0
    }

    /// The scenes of all that was shown; none if nothing changed.
    pub fn scenes(self) -> Vec<Range<usize>> {
        if self.cuts.is_empty() {
            return Vec::new();
        }
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain([self.frames]);
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }
}

/// Which changes count, given that scenes have a shortest length: the library's filter of flashes, in its mode `MERGE`.
#[derive(Default)]
struct Filter {
    /// The last frame that changed, or the first.
    last: Option<usize>,
    /// Changes are put together only after one was told.
    enabled: bool,
    /// The first of the changes that are being put together.
    merging: Option<usize>,
}

impl Filter {
    /// The frame that a scene begins with, which may lie behind.
    fn push(&mut self, frame: usize, changed: bool) -> Option<usize> {
        let last = *self.last.get_or_insert(frame);
        let long = frame - last >= SHORTEST;
        let last = if changed { frame } else { last };
        self.last = Some(last);
        if let Some(start) = self.merging {
            let ends = long && !changed && last - start >= SHORTEST;
            if ends {
                self.merging = None;
            }
            return ends.then_some(last);
        }
        if changed && long {
            self.enabled = true;
            return Some(frame);
        }
        if changed && self.enabled {
            self.merging = Some(frame);
        }
        None
    }
}

/// Height and width that frames are looked at in.
fn scaled(height: usize, width: usize) -> (usize, usize) {
    let longer = height.max(width);
    if longer <= SIDE_MAX {
        return (height, width);
    }
    let factor = longer as f64 / SIDE_MAX as f64;
    let of = |side: usize| ((side as f64 / factor).round_ties_even() as usize).max(1);
    (of(height), of(width))
}

/// OpenCV's hue (of 180), saturation and value of RGB in bytes: quotients of 12 bits.
fn hsv(rgb: &[u8]) -> Vec<[u8; 3]> {
    let quotients = |whole: f64| -> [i32; 256] {
        std::array::from_fn(|i| if i == 0 { 0 } else { (whole / i as f64).round_ties_even() as i32 })
    };
    let (of_value, of_spread) = (quotients(f64::from(255 << 12)), quotients(f64::from(180 << 12) / 6.0));
    let rounded = |product: i32| (product + (1 << 11)) >> 12;
    let convert = |pixel: &[u8; 3]| {
        let [r, g, b] = pixel.map(i32::from);
        let (value, least) = (r.max(g).max(b), r.min(g).min(b));
        let spread = value - least;
        let saturation = rounded(spread * of_value[value as usize]);
        let sixths = match value {
            value if value == r => g - b,
            value if value == g => b - r + 2 * spread,
            _ => r - g + 4 * spread,
        };
        let hue = rounded(sixths * of_spread[spread as usize]);
        [if hue < 0 { hue + 180 } else { hue }, saturation, value].map(|value| value as u8)
    };
    rgb.as_chunks::<3>().0.iter().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The exporter's noise.
    fn noise(height: usize, width: usize, scene: usize, frame: usize) -> RgbFrame {
        let mut state = (height * 1000 + width + scene * 7919) as u32;
        let light = (scene % 2 * 96 + frame % 3 * 4) as u8;
        let rgb = (0..height * width * 3)
            .map(|_| {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                (state >> 24) as u8 / 2 + light
            })
            .collect();
        RgbFrame { height, width, rgb }
    }

    #[test]
    fn scenes_are_those_that_the_library_sees() {
        let golden: Value = serde_json::from_str(include_str!("golden/scenes.json")).unwrap();
        let mut counts = Vec::new();
        for case in golden.as_array().unwrap() {
            let number = |value: &Value| value.as_u64().unwrap() as usize;
            let (height, width) = (number(&case["height"]), number(&case["width"]));
            let lengths = case["lengths"].as_array().unwrap().iter().map(number);
            let scenes = lengths.enumerate().flat_map(|(scene, length)| vec![scene; length]);
            let mut detector = SceneDetector::default();
            let mut scores = Vec::new();
            for (frame, scene) in scenes.enumerate() {
                let frame = noise(height, width, scene, frame);
                let former = detector.former.clone();
                scores.push(detector.score(&frame));
                detector.former = former;
                detector.push(&frame);
            }
            for score in case["scores"].as_array().unwrap() {
                // Sums of whole numbers, divided in one order.
                assert_eq!(
                    scores[number(&score[0])],
                    score[1].as_f64().unwrap(),
                    "{height}x{width}: {score}"
                );
            }
            let found: Vec<Value> = detector
                .scenes()
                .into_iter()
                .map(|scene| serde_json::json!([scene.start, scene.end]))
                .collect();
            assert_eq!(Value::from(found.clone()), case["scenes"], "{case}");
            counts.push(found.len());
        }
        assert!(counts.contains(&0) && counts.iter().any(|count| *count > 2), "{counts:?}");
    }
}
