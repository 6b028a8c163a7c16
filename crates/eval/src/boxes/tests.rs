use burn::tensor::Device;
use vidit_motion::{BoxKind, UnitBox};

use super::cases::LAST;
use super::*;
use crate::Share;
use crate::fixtures::degrade;

const SEED: u64 = 2025;

fn parts() -> (Pack, Judge) {
    let pack = Pack::embedded();
    let judge = Judge::embedded(&pack, &Device::flex()).unwrap();
    (pack, judge)
}

/// How boxes of one object are followed, where `show` says what a case is looked at with.
fn followed(count: usize, show: impl Fn(&Pack, &mut Case) -> Frames) -> Followed {
    let (pack, judge) = parts();
    let looks = (0..count).map(|index| {
        let mut case = Case::alone(&pack, SEED, index);
        let frames = show(&pack, &mut case);
        Look::at(&judge, &case, &frames)
    });
    Followed::of(&looks.collect::<Vec<_>>())
}

/// The same of two.
fn crossed(count: usize, show: impl Fn(&Pack, &mut Case) -> Frames) -> Crossed {
    several(Case::crossing, count, show)
}

/// The same of several.
fn several(
    case: fn(&Pack, u64, usize) -> Case,
    count: usize,
    show: impl Fn(&Pack, &mut Case) -> Frames,
) -> Crossed {
    let (pack, judge) = parts();
    let looks = (0..count).map(|index| {
        let mut case = case(&pack, SEED, index);
        let frames = show(&pack, &mut case);
        LookAtSeveral::at(&judge, &case, &frames)
    });
    Crossed::of(&looks.collect::<Vec<_>>())
}

fn degraded(pack: &Pack, case: &mut Case) -> Frames {
    let mut frames = case.frames(pack);
    degrade(&mut frames);
    frames
}

fn numbers(followed: &Followed) -> [f64; 4] {
    let Followed { iou, iou_at_keyframes, precision, .. } = followed;
    [*iou, *iou_at_keyframes, precision.mean, precision.at_50]
}

#[test]
fn real_clips_fill_their_boxes_and_damaged_ones_nearly() {
    let real = followed(40, |pack, case| case.frames(pack));
    assert!(
        real.iou_at_keyframes > 0.9 && real.precision.at_50 > 0.97 && real.precision.mean > 0.85,
        "{real:?}"
    );
    // Circles and bounces leave the straight way.
    assert!(real.iou > 0.75 && real.iou_with_real > 0.9 && real.inside.share > 0.75, "{real:?}");
    assert!(real.tracked.share == 1.0 && real.named.share > 0.9, "{real:?}");
    let damaged = followed(40, degraded);
    assert!(damaged.iou_at_keyframes > 0.85 && damaged.precision.at_50 > 0.95, "{damaged:?}");
}

#[test]
fn boxes_elsewhere_are_not_filled() {
    let shifted = followed(20, |pack, case| {
        for found in case.guides.iter_mut().flat_map(|guide| guide.boxes.iter_mut().flatten()) {
            // Towards the farther border: all of the box stays within the frame as far as there is room.
            let (x, y) = found.place.centre();
            let by = |at: f32| if at < 0.5 { 0.3 } else { -0.3 };
            found.place = found.place.moved(by(x), by(y));
        }
        case.frames(pack)
    });
    assert!(shifted.iou_at_keyframes < 0.25 && shifted.precision.at_50 < 0.05, "{shifted:?}");
    // Seen all the time, as what it is: where it is counts apart.
    assert!(shifted.tracked.share == 1.0 && shifted.named.share > 0.9, "{shifted:?}");
    let black = followed(4, |_, _| Frames::black(DEFAULT_SHAPE));
    assert_eq!((numbers(&black), black.tracked.share, black.named.share), ([0.0; 4], 0.0, 0.0));
}

#[test]
fn what_is_lost_in_one_frame_is_no_detection() {
    let lost = followed(4, |pack, case| {
        let mut frames = case.frames(pack);
        frames.frame_mut(7).fill(90);
        frames
    });
    assert_eq!((lost.tracked.share, lost.precision.mean), (0.0, 0.0));
    assert!(lost.iou_at_keyframes > 0.85, "{lost:?}");
}

#[test]
fn two_that_meet_are_told_apart_and_fail_in_each_other_s_boxes() {
    let real = crossed(40, |pack, case| case.frames(pack));
    assert!(
        real.both.share > 0.95 && real.told_apart.share == 1.0 && real.iou_at_keyframes > 0.9,
        "{real:?}"
    );
    let damaged = crossed(40, degraded);
    assert!(damaged.both.share > 0.9 && damaged.iou_at_keyframes > 0.88, "{damaged:?}");
    let exchanged = crossed(40, |pack, case| case.frames_exchanged(pack));
    // They fill the boxes; they are the wrong ones.
    assert!(exchanged.placed.share > 0.9, "{exchanged:?}");
    let Crossed { named, told_apart, coloured, both, .. } = exchanged;
    assert_eq!([named, told_apart, coloured, both].map(|share| share.share), [0.0; 4]);
}

#[test]
fn three_are_told_apart_and_fail_in_each_other_s_boxes() {
    let real = several(Case::crowd, 30, |pack, case| case.frames(pack));
    assert!(real.both.share > 0.85 && real.iou_at_keyframes > 0.88, "{real:?}");
    let exchanged = several(Case::crowd, 30, |pack, case| case.frames_exchanged(pack));
    assert!(exchanged.placed.share > 0.8, "{exchanged:?}");
    let Crossed { named, told_apart, coloured, both, .. } = exchanged;
    assert_eq!([named, told_apart, coloured, both].map(|share| share.share), [0.0; 4]);
}

#[test]
fn what_is_asked_is_what_a_script_says() {
    let pack = Pack::embedded();
    let cases = [Case::alone, Case::crossing, Case::crowd].map(|case| case(&pack, SEED, 1));
    for (case, objects) in cases.into_iter().zip(1..) {
        let scene = &case.scene;
        assert!(scene.is_held_out(&pack, scene.language));
        let (guides, hard) = (case.guided(), case.guided_at_keyframes());
        assert_eq!((case.free().len(), guides.len(), hard.len()), (0, objects, objects));
        for (object, guide) in guides.iter().enumerate() {
            assert!(!guide.phrase.is_empty() && case.prompt.contains(&guide.phrase), "{}", case.prompt);
            for (frame, found) in guide.boxes.iter().enumerate() {
                let (found, at_end) = (found.unwrap(), frame == 0 || frame == LAST);
                assert_eq!(found.kind == BoxKind::Hard, at_end);
                assert_eq!(hard[object].boxes[frame], Some(found).filter(|_| at_end));
                let (truth, asked) = (case.real.tracks[object].boxes[frame], case.asked(object, frame));
                assert!(!at_end || Some(asked) == truth, "{truth:?}");
                assert!(found.place.iou(&asked) >= asked.area() / found.place.area() * 0.999);
            }
        }
    }
}

#[test]
fn crossings_begin_and_end_apart_and_meet() {
    let pack = Pack::embedded();
    for index in 0..10 {
        let case = Case::crossing(&pack, SEED, index);
        let iou = |frame: usize| {
            let [a, b]: [UnitBox; 2] = [0, 1].map(|object| case.real.tracks[object].boxes[frame].unwrap());
            a.iou(&b)
        };
        assert_eq!((iou(0), iou(LAST)), (0.0, 0.0));
        assert!((1..LAST).any(|frame| iou(frame) > 0.0), "{index}");
    }
}

#[test]
fn what_comes_and_goes_is_seen_while_it_is_there_and_no_longer() {
    let (pack, judge) = parts();
    let passed = |show: fn(&Case, &Pack) -> Frames| {
        let looks = (0..30).map(|index| {
            let case = Case::passing(&pack, SEED, index);
            LookAtPassing::at(&judge, &case, &show(&case, &pack))
        });
        Passed::of(&looks.collect::<Vec<_>>())
    };
    let real = passed(Case::frames);
    assert!(real.iou > 0.85 && real.absent.share > 0.95 && real.named.share > 0.9, "{real:?}");
    // It stands at the border, as it does where it is seen first, or last.
    let stands = passed(|case, _| {
        let mut frames = case.real.frames.clone();
        let seen = |frame: &usize| case.real.tracks[0].boxes[*frame].is_some();
        for frame in (0..=LAST).filter(|frame| !seen(frame)) {
            let nearest = (0..=LAST).filter(seen).min_by_key(|other| other.abs_diff(frame)).unwrap();
            let whole = if nearest < frame { nearest - LAST / 6 } else { nearest + LAST / 6 };
            let shown = case.real.frames.frame(whole).to_vec();
            frames.frame_mut(frame).copy_from_slice(&shown);
        }
        frames
    });
    assert!(stands.absent.share < 0.1, "{stands:?}");
    let mut ends = [0, 0];
    for index in 0..30 {
        let case = Case::passing(&pack, SEED, index);
        assert!(case.scene.is_held_out(&pack, case.scene.language));
        let asked = [0, LAST].map(|frame| case.guides[0].boxes[frame].unwrap().place.area() == 0.0);
        assert!(asked[0] || asked[1], "a line along the border");
        ends = [0, 1].map(|end| ends[end] + usize::from(asked[end]));
    }
    assert!(ends[0] > 5 && ends[1] > 5, "{ends:?}");
}

/// The suite, made by `make`.
fn run(make: Make, second: Option<Make>, limit: usize, stop: &AtomicBool) -> Result<BoxesReport, EvalError> {
    let (pack, judge) = parts();
    let options = EvalOptions { limit: Some(limit), seed: SEED };
    let (mut last, mut total) = (0, 0);
    let mut on_progress = |progress: EvalProgress| (last, total) = (progress.done, progress.total);
    let request = Request { steps: 7, ..Request::new("") };
    let mut again = |frames: &Frames| Ok(frames.clone());
    let makers = Makers { make, again: &mut again };
    let report = evaluate_boxes(&pack, &judge, &request, makers, second, &options, stop, &mut on_progress);
    if report.is_ok() {
        assert_eq!(last, total, "every generation was counted beforehand");
    }
    report
}

#[test]
fn every_column_is_of_its_own_generations() {
    const CASES: usize = 3;
    let pack = Pack::embedded();
    let mut cases: Vec<Case> = (0..CASES).map(|index| Case::alone(&pack, SEED, index)).collect();
    cases.extend((0..CASES).map(|index| Case::crossing(&pack, SEED, index)));
    cases.extend((0..CASES).map(|index| Case::passing(&pack, SEED, index)));
    cases.extend((0..CASES).map(|index| Case::crowd(&pack, SEED, index)));
    let drawn = std::cell::Cell::new(0);
    // Real clips where all boxes are asked for, black ones elsewhere.
    let mut make = |request: Request| {
        let case = cases.iter().find(|case| case.prompt == request.prompt).expect("a case of the suite");
        assert_eq!((request.seed, request.shape, request.steps), (Some(case.seed), DEFAULT_SHAPE, 7));
        drawn.set(drawn.get() + 1);
        Ok(if request.guides == case.guides { case.frames(&pack) } else { Frames::black(DEFAULT_SHAPE) })
    };
    let mut black = |request: Request| {
        assert!(!request.guides.is_empty());
        Ok(Frames::black(DEFAULT_SHAPE))
    };
    let go_on = AtomicBool::new(false);
    let report = run(&mut make, Some(&mut black), CASES, &go_on).unwrap();
    assert_eq!(drawn.get(), 9 * CASES);
    let Compared { text, boxes, without_soft, without_self_tracking, rebuilt, real } = report.alone;
    assert_eq!((boxes, rebuilt), (real, real));
    assert!(real.iou_at_keyframes > 0.9, "{report}");
    let (without_soft, without_self_tracking) = (without_soft.unwrap(), without_self_tracking.unwrap());
    assert!([text, without_soft, without_self_tracking].iter().all(|one| one.iou == 0.0), "{report}");
    assert_eq!((text.named.clips, text.named.share), (CASES, 0.0));
    let crossing = &report.crossing;
    assert_eq!((crossing.boxes, crossing.without_soft), (crossing.real, None));
    assert!(crossing.real.iou_at_keyframes > 0.8 && crossing.text.iou_at_keyframes == 0.0, "{report}");
    assert_eq!(crossing.without_self_tracking.unwrap().both, Share { clips: CASES, share: 0.0 });
    let passing = &report.passing;
    assert_eq!((passing.boxes, passing.rebuilt), (passing.real, passing.real));
    assert!(
        passing.real.iou > 0.8 && passing.text.iou == 0.0 && passing.text.absent.share == 1.0,
        "{report}"
    );
    let words = report.to_string();
    assert!(
        words.contains("3 cases of each") && words.contains("mAP") && words.contains("100.0 %"),
        "{words}"
    );
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<BoxesReport>(&json).unwrap().exchanged, report.exchanged);
    let one = run(&mut make, None, 1, &go_on).unwrap();
    assert_eq!((one.alone.without_self_tracking, one.crossing.without_self_tracking), (None, None));
}

#[test]
fn errors_and_interruptions_end_the_suite() {
    let go_on = AtomicBool::new(false);
    let mut fail = |_: Request| Err("no luck".into());
    let error = run(&mut fail, None, 1, &go_on).unwrap_err().to_string();
    assert!(error.contains("no luck"), "{error}");
    assert!(matches!(run(&mut fail, None, 0, &go_on), Err(EvalError::NoPrompts)));
    let stopped = AtomicBool::new(true);
    let interrupted = run(&mut fail, None, 1, &stopped);
    assert!(matches!(interrupted, Err(EvalError::Interrupted { done: 0, total: 9 })));
    // A generation that is told to stop fails; that is no failure of the suite.
    let stop = AtomicBool::new(false);
    let mut cancelled = |_: Request| {
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        Err("cancelled".into())
    };
    let interrupted = run(&mut cancelled, None, 1, &stop);
    assert!(matches!(interrupted, Err(EvalError::Interrupted { done: 0, total: 9 })));
}
