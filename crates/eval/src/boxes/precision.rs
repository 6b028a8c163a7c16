//! Average precision, as COCO has it.

use serde::{Deserialize, Serialize};

/// Something that was found where one object is, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// How sure it is, any scale; detections count in this order.
    pub confidence: f64,
    /// Its overlap with the object, `0..=1`.
    pub iou: f64,
}

/// Average precisions, `0..=1`, higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// Mean over overlaps of .50, .55, … .95: mAP.
    pub mean: f64,
    /// At an overlap of .50: AP50.
    pub at_50: f64,
    /// At an overlap of .75: AP75.
    pub at_75: f64,
}

impl Precision {
    /// Of detections of `objects` objects.
    pub(crate) fn of(detections: &[Detection], objects: usize) -> Self {
        let at = |percent: u32| average_precision(detections, objects, f64::from(percent) / 100.0);
        let overlaps = (50..=95).step_by(5);
        Self { mean: overlaps.map(at).sum::<f64>() / 10.0, at_50: at(50), at_75: at(75) }
    }
}

/// Precision averaged over recalls of 0, .01, … 1 (Lin et al. 2014, `COCOeval`): the most that is reached at that recall or above,
/// 0 where none is. A detection is right when it overlaps its object by `iou_min` at least; each object has one detection at most,
/// so that none is found twice.
pub fn average_precision(detections: &[Detection], objects: usize, iou_min: f64) -> f64 {
    const RECALLS: usize = 101;
    let mut sorted = detections.to_vec();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut right = 0;
    let curve: Vec<(usize, f64)> = sorted
        .iter()
        .enumerate()
        .map(|(index, detection)| {
            right += usize::from(detection.iou >= iou_min);
            (right, right as f64 / (index + 1) as f64)
        })
        .collect();
    let at = |recall: usize| {
        let reached = curve.iter().filter(|(right, _)| right * (RECALLS - 1) >= recall * objects);
        reached.fold(0.0, |most: f64, (_, precision)| most.max(*precision))
    };
    (0..RECALLS).map(at).sum::<f64>() / RECALLS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Detections in order of confidence, the surest last.
    fn detections(overlaps: &[f64]) -> Vec<Detection> {
        let all = overlaps.iter().enumerate();
        all.map(|(index, iou)| Detection { confidence: index as f64, iou: *iou }).collect()
    }

    #[track_caller]
    fn check(surest_last: &[f64], objects: usize, expected: f64) {
        let found = average_precision(&detections(surest_last), objects, 0.5);
        assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    }

    #[test]
    fn curves_are_those_drawn_by_hand() {
        const HIT: f64 = 0.5;
        const MISS: f64 = 0.49;
        check(&[HIT, HIT, HIT], 3, 1.0);
        check(&[], 3, 0.0);
        check(&[MISS, MISS], 2, 0.0);
        // Precision 1 up to a recall of a half: of 0, .01, … .50, 51 recalls.
        check(&[HIT], 2, 51.0 / 101.0);
        // The surest is wrong: precision 1/2 at a recall of 1/2.
        check(&[HIT, MISS], 2, 51.0 / 101.0 / 2.0);
        // The same two the other way round: a wrong one behind the right one costs nothing.
        check(&[MISS, HIT], 2, 51.0 / 101.0);
        // Right, wrong, right of three: precision 1 up to 1/3 (34 recalls), 2/3 up to 2/3 (33 recalls).
        check(&[HIT, MISS, HIT], 3, (34.0 + 33.0 * 2.0 / 3.0) / 101.0);
        // Wrong, right, right: 1/2 at a recall of 1/2, but 2/3 is reached above it.
        check(&[HIT, HIT, MISS], 2, 2.0 / 3.0);
    }

    #[test]
    fn the_mean_is_over_ten_overlaps() {
        // .72 passes .50 … .70 (five), .97 all ten.
        let precision = Precision::of(&detections(&[0.72, 0.97]), 2);
        let half = 51.0 / 101.0;
        assert!((precision.mean - (5.0 + 5.0 * half) / 10.0).abs() < 1e-12, "{precision:?}");
        assert_eq!((precision.at_50, precision.at_75), (1.0, half));
    }

    #[test]
    fn only_the_order_of_confidence_counts() {
        let with = |confidences: [f64; 3]| {
            let all = confidences.into_iter().zip([0.9, 0.1, 0.8]);
            let found: Vec<_> = all.map(|(confidence, iou)| Detection { confidence, iou }).collect();
            average_precision(&found, 3, 0.5)
        };
        assert_eq!(with([0.9, 0.5, 0.1]), with([1e-3, 1e-4, 1e-9]));
        assert_ne!(with([0.9, 0.5, 0.1]), with([0.9, 0.1, 0.5]));
    }
}
