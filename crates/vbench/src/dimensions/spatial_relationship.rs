//! Do the objects lie to each other as they should?

use vidit_backbones::grit::Detection;

use super::object_class::name;
use crate::{Mode, Relation};

/// From this share of their union on, boxes that overlap cost.
const OVERLAP_FREE: f64 = 0.1;

/// Left, top, right, bottom in whole pixels, cut off as the reference does.
type Corners = [i64; 4];

fn corners(detection: &Detection) -> Corners {
    detection.corners.map(|corner| corner as i64)
}

/// Share of the union that both hold; 0 where both are empty (the reference divides by zero).
fn overlap(a: Corners, b: Corners) -> f64 {
    let along = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0);
    let area = |box_: Corners| (box_[2] - box_[0]) * (box_[3] - box_[1]);
    let shared = along(0) * along(1);
    let union = area(a) + area(b) - shared;
    if union == 0 { 0.0 } else { shared as f64 / union as f64 }
}

/// Score of a pair: 0 if it lies along the other axis; in [`Mode::Fixed`] also if it lies the other way about.
fn pair(a: Corners, b: Corners, relation: Relation, mode: Mode) -> f64 {
    // Twice the way from the middle of `a` to that of `b`.
    let way = |low: usize| b[low] + b[low + 2] - a[low] - a[low + 2];
    let (across, down) = (way(0), way(1));
    let (along, other) = match relation {
        Relation::Left => (across, down),
        Relation::Right => (-across, down),
        Relation::Top => (down, across),
        Relation::Bottom => (-down, across),
    };
    if along.abs() <= other.abs() || (mode == Mode::Fixed && along < 0) {
        return 0.0;
    }
    let overlap = overlap(a, b);
    if overlap < OVERLAP_FREE { 1.0 } else { OVERLAP_FREE / overlap }
}

/// A frame's score, 0–1: that of its best pair of detections called as one of `objects`, 0 without any. In [`Mode::Compat`] two of
/// the same name are a pair, too, and which way about they lie is not looked at.
pub fn frame(detections: &[Detection], objects: [&str; 2], relation: Relation, mode: Mode) -> f64 {
    let called = |objects: &[&str]| -> Vec<Corners> {
        let wanted = |detection: &&Detection| name(detection).is_some_and(|name| objects.contains(&name));
        detections.iter().filter(wanted).map(corners).collect()
    };
    let mut best = 0.0f64;
    match mode {
        Mode::Compat => {
            let all = called(&objects);
            for (i, a) in all.iter().enumerate() {
                for b in &all[i + 1..] {
                    best = best.max(pair(*a, *b, relation, mode));
                }
            }
        }
        Mode::Fixed => {
            for a in called(&objects[..1]) {
                for b in called(&objects[1..]) {
                    best = best.max(pair(a, b, relation, mode));
                }
            }
        }
    }
    best
}

/// A video's score from its frames', or the dimension's from the frames of all videos: the mean, `None` without frames.
pub fn mean(frames: &[f64]) -> Option<f64> {
    (!frames.is_empty()).then(|| frames.iter().sum::<f64>() / frames.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::object_class::tests::named;
    use super::*;

    const PAIR: [&str; 2] = ["bird", "cat"];
    const MODES: [Mode; 2] = [Mode::Compat, Mode::Fixed];

    fn at(name: &str, corners: [f32; 4]) -> Detection {
        Detection { corners, ..named(name) }
    }

    #[test]
    fn the_axis_must_be_right_and_in_fixed_mode_the_way_too() {
        let frame_of = [at("cat", [100.0, 0.0, 120.0, 20.0]), at("bird", [0.0, 5.0, 20.0, 25.0])];
        for mode in MODES {
            assert_eq!(frame(&frame_of, PAIR, Relation::Left, mode), 1.0);
            assert_eq!(frame(&frame_of, PAIR, Relation::Top, mode), 0.0);
            assert_eq!(frame(&frame_of[..1], PAIR, Relation::Left, mode), 0.0);
        }
        assert_eq!(frame(&frame_of, PAIR, Relation::Right, Mode::Compat), 1.0);
        assert_eq!(frame(&frame_of, PAIR, Relation::Right, Mode::Fixed), 0.0);
        let stacked = [at("bird", [0.0, 0.0, 20.0, 20.0]), at("cat", [4.0, 90.0, 24.0, 110.0])];
        assert_eq!(frame(&stacked, PAIR, Relation::Top, Mode::Fixed), 1.0);
        assert_eq!(frame(&stacked, PAIR, Relation::Bottom, Mode::Fixed), 0.0);
        assert_eq!(frame(&stacked, ["cat", "bird"], Relation::Bottom, Mode::Fixed), 1.0);
        assert_eq!(frame(&stacked, PAIR, Relation::Left, Mode::Compat), 0.0);
    }

    #[test]
    fn boxes_on_the_diagonal_lie_neither_way() {
        let frame_of = [at("bird", [0.0, 0.0, 10.0, 10.0]), at("cat", [30.0, 30.0, 40.0, 40.0])];
        for relation in [Relation::Left, Relation::Top] {
            assert_eq!(frame(&frame_of, PAIR, relation, Mode::Compat), 0.0);
        }
    }

    #[test]
    fn overlap_costs_from_a_tenth_on() {
        // 10 of 30 columns in common: a third of the union.
        let frame_of = [at("bird", [0.0, 0.0, 20.0, 20.0]), at("cat", [10.9, 0.0, 30.9, 20.0])];
        for mode in MODES {
            assert_eq!(frame(&frame_of, PAIR, Relation::Left, mode), 0.1 / (200.0 / 600.0));
        }
    }

    #[test]
    fn two_of_one_name_are_a_pair_in_compat_mode_alone() {
        let frame_of = [at("cat", [0.0, 0.0, 10.0, 10.0]), at("cat", [50.0, 0.0, 60.0, 10.0])];
        assert_eq!(frame(&frame_of, PAIR, Relation::Left, Mode::Compat), 1.0);
        assert_eq!(frame(&frame_of, PAIR, Relation::Left, Mode::Fixed), 0.0);
    }

    #[test]
    fn boxes_thinner_than_a_pixel_do_not_overlap() {
        let frame_of = [at("bird", [3.1, 0.0, 3.9, 10.0]), at("cat", [5.1, 0.0, 5.9, 10.0])];
        for mode in MODES {
            assert_eq!(frame(&frame_of, PAIR, Relation::Left, mode), 1.0);
        }
        assert_eq!((mean(&[1.0, 0.0, 0.5]), mean(&[])), (Some(0.5), None));
    }
}
