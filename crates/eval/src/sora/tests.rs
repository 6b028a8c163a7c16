use super::*;
use burn::tensor::Device;

/// The suite with a maker that gives back what it is given, and real clips of nothing in particular elsewhere.
fn run(make: Make, limit: usize, stop: bool) -> Result<SoraReport, EvalError> {
    let pack = Pack::embedded();
    let judge = Judge::embedded(&pack, &Device::flex())?;
    let options = EvalOptions { limit: Some(limit), seed: 3 };
    let stop = AtomicBool::new(stop);
    let (mut last, mut total) = (0, 0);
    let report = evaluate_sora(
        &pack,
        &judge,
        &Request::new("anything"),
        Makers { make, again: &mut |frames| Ok(frames.clone()) },
        &options,
        &stop,
        &mut |progress| (last, total) = (progress.done, progress.total),
    );
    if report.is_ok() {
        assert_eq!(last, total, "every generation was counted beforehand");
    }
    report
}

/// Given frames where they are, between them their neighbours crossfaded.
fn fade(request: Request) -> Frames {
    let shape = request.shape;
    let mut known: Vec<Option<Vec<u8>>> = vec![None; shape.frames];
    for given in &request.given {
        let count = given.frames.shape().frames;
        for frame in 0..if given.at > 0 && count == 1 { 4 } else { count } {
            known[given.at + frame] = Some(given.frames.frame(frame.min(count - 1)).to_vec());
        }
    }
    let mut made = Frames::black(shape);
    for frame in 0..shape.frames {
        let before = (0..=frame).rev().find(|f| known[*f].is_some());
        let after = (frame..shape.frames).find(|f| known[*f].is_some());
        let pixels = match (before, after) {
            (None, None) => continue,
            (Some(one), None) | (None, Some(one)) => known[one].clone().unwrap_or_default(),
            (Some(a), Some(b)) => {
                let share = (frame - a) as f32 / (b - a).max(1) as f32;
                let (a, b) = (known[a].as_ref().unwrap(), known[b].as_ref().unwrap());
                let mix =
                    |(a, b): (&u8, &u8)| (f32::from(*a) + (f32::from(*b) - f32::from(*a)) * share) as u8;
                a.iter().zip(b).map(mix).collect()
            }
        };
        made.frame_mut(frame).copy_from_slice(&pixels);
    }
    made
}

#[test]
fn what_is_given_back_unchanged_has_no_seams_and_no_changes() {
    let report = run(&mut |request| Ok(fade(request)), 4, false).unwrap();
    assert!(report.animated.first_frame_db > 40.0, "{report}");
    assert!(report.extended.join_error < 1.5 && report.extended.object.share >= 0.75, "{report}");
    assert!(report.extended.drift_levels < 1.0, "{report}");
    assert!(report.connected.join_errors.iter().all(|error| *error < 3.0), "{report}");
    assert!(report.connected.both.share >= 0.5, "{report}");
    // A fade shows both clips at its ends, and goes on evenly.
    assert!(report.blended.both.share >= 0.5 && report.blended.largest_step < 5.0, "{report}");
    // Nothing was remixed, and the track is what it was.
    assert_eq!(report.remixed.changed.share, 0.0);
    assert!(report.remixed.track_correlation > 0.99, "{report}");
    // Black pictures show no object.
    assert_eq!((report.pairs.both.share, report.sizes[1].object.share), (0.0, 0.0));
    assert!(report.pairs.real.share >= 0.5 && report.animated.real.share >= 0.75, "{report}");
    assert_eq!(report.sizes.len(), 1 + SIZES.len());
    // Nothing can be said relative to nothing.
    assert!(report.sizes.iter().all(|size| size.relative.is_none()), "{report}");
    // Black pictures stand still; what is real moves evenly.
    let [least, most] =
        [f64::min, f64::max].map(|of| report.paced.real_levels.into_iter().reduce(of).unwrap());
    assert!(report.paced.steps_levels == [0.0; 4] && least > 0.5 && most < 1.3 * least, "{report}");
    let text = report.to_string();
    assert!(text.contains("loop of 48 frames") && text.contains("object at 160x96, 25 frames"), "{text}");
    let json = serde_json::to_string(&report).unwrap();
    assert!(text.contains(" –") && json.contains(r#""relative":null"#), "{text}{json}");
    assert_eq!(serde_json::from_str::<SoraReport>(&json).unwrap().sizes.len(), report.sizes.len());
}

#[test]
fn errors_and_interruptions_end_the_suite() {
    let error = run(&mut |_| Err("no luck".into()), 1, false).unwrap_err().to_string();
    assert!(error.contains("no luck"), "{error}");
    assert!(matches!(run(&mut |r| Ok(fade(r)), 1, true), Err(EvalError::Interrupted { done: 0, .. })));
    assert!(matches!(run(&mut |r| Ok(fade(r)), 0, false), Err(EvalError::NoPrompts)));
}

/// Looks at the suite, which makes nothing for it.
fn look(at: impl FnOnce(&Verbs)) {
    let pack = Pack::embedded();
    let judge = Judge::embedded(&pack, &Device::flex()).unwrap();
    let suite = Suite {
        pack: &pack,
        judge: &judge,
        request: &Request::new("x"),
        make: &mut |request| Ok(fade(request)),
        seed: 1,
        stop: &AtomicBool::new(false),
        on_progress: &mut |_| (),
        done: 0,
        total: 0,
    };
    at(&Verbs { suite, again: &mut |frames| Ok(frames.clone()) });
}

#[test]
fn the_judge_knows_pairs_of_real_clips() {
    look(|suite| {
        let right = (0..100)
            .filter(|case| {
                let (scene, _) = suite.pair(*case);
                let wanted = [scene.actors[0].object, scene.actors[1].object];
                suite.two(&render(suite.pack, &scene, DEFAULT_SHAPE).frames, wanted) == 2
            })
            .count();
        assert!(right >= 80, "{right} of 100");
    });
}

#[test]
fn all_that_prompts_name_is_held_out() {
    look(|suite| {
        let held_out = |scene: &Scene| {
            let combinations = scene.combinations(scene.language);
            combinations.iter().all(|one| one.is_held_out(suite.pack.objects()))
        };
        for case in 0..40 {
            let (pair, _) = suite.pair(case);
            assert!(pair.actors.len() == 2 && held_out(&pair), "{pair:?}");
            let (still, _) = suite.still(case);
            assert!(still.actors[0].motion == Motion::Still && held_out(&still), "{still:?}");
            let (from, to, _) = suite.change(case);
            assert!(held_out(&from) && held_out(&to), "{from:?} {to:?}");
            let [a, b] = [from, to].map(|scene| scene.combinations(scene.language)[0]);
            assert_eq!((a.motion, a.language), (b.motion, b.language));
            assert_eq!((a.object == b.object, a.colour == b.colour), (case % 2 == 0, case % 2 == 1));
        }
    });
}
