use vidit_media::ReadLimits;
use vidit_video::{Frames, PixelShape};

use super::*;
use crate::pixels::{FrameStream, Reader, RgbFrame};
use crate::{
    Dimension, DimensionResult, Mode, Network, VideoResult, WeightsOrigin, WeightsUsed, golden, published_row,
};

fn results(dimensions: &[Dimension]) -> Results {
    let mut results = Results::default();
    for &dimension in dimensions {
        let score = |index: usize| match dimension.is_boolean() {
            true => VideoResult::new(format!("v/a <cat>-{index}.mp4"), index % 2 == 0),
            false => VideoResult::new(
                format!("v/a <cat>-{index}.mp4"),
                dimension.video_scale() * index as f64 / 10.0,
            ),
        };
        let videos: Vec<_> = (0..10).map(score).collect();
        let sum: f64 = videos.iter().map(|video| video.score.value() / dimension.video_scale()).sum();
        results
            .dimensions
            .insert(dimension, DimensionResult { overall: sum / 10.0, videos, ..DimensionResult::default() });
    }
    results
}

fn weights(network: Network, origin: WeightsOrigin) -> WeightsUsed {
    WeightsUsed { network, file: Some("w.safetensors".to_owned()), sha256: Some("ab".repeat(32)), origin }
}

/// Elements opened and closed, in order; fails on what is left open.
fn check_nesting(html: &str) {
    const VOID: [&str; 2] = ["meta", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.split_once("</style>").unwrap().1;
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            // `html` and `head` were opened before.
            let opened = open.pop();
            assert!(
                opened == Some(name) || matches!((name, opened), ("head" | "html", None)),
                "</{name}> closes {opened:?}"
            );
        } else if !tag.ends_with('/') && !VOID.contains(&name) && !tag.starts_with('!') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_whole_page_has_everything_and_fetches_nothing() {
    let manifest = Manifest {
        program: "vidit 0.1.0".to_owned(),
        complete: true,
        weights: vec![weights(Network::Dino, WeightsOrigin::Published)],
        videos: [("v/a.mp4".to_owned(), "cd".repeat(32))].into(),
        pictures: [("p/<a>.png".to_owned(), "ef".repeat(32))].into(),
        ..Manifest::default()
    };
    let picture = Frames::from_rgb(PixelShape::new(1, 2, 3), (0..18).collect());
    let report = Report {
        title: "mine & \"theirs\"".to_owned(),
        results: results(&Dimension::ALL),
        manifest: Some(manifest),
        beside: vec![published_row("sora").unwrap(), published_row("goku").unwrap()],
        thumbnails: [("v/a <cat>-0.mp4".to_owned(), picture)].into(),
        ..Report::default()
    };
    let html = report.html().unwrap();
    check_nesting(&html);
    let totals = Totals::new(&report.results.raw(), Mode::Fixed);
    assert!(html.contains(&format!("<b>{:.2}</b>", totals.total.unwrap())));
    assert!(html.contains("<h1>mine &amp; &quot;theirs&quot;</h1>"));
    assert!(
        html.contains("Sora (480p 5 s, 2025-01) (published)")
            && html.contains("<td class=\"number\">84.85</td>")
    );
    assert!(!html.contains("<div class=\"banner"), "nothing to warn of");
    assert_eq!(html.matches("url(data:image/png;base64,").count(), 1, "each picture is there once");
    assert!(html.matches("class=\"thumb t0\"").count() > 16);
    assert!(!html.contains("<cat>") && html.contains("&lt;cat&gt;"));
    for fetched in ["<script", "<link", "@import", "http://", "https://", " src=", "url(http", "NaN"] {
        assert!(!html.contains(fetched), "{fetched}");
    }
    assert_eq!(html.matches("class=\"dimension\"").count(), 16);
    assert!(html.contains("VBench, 16 of 16 dimensions, mode"));
    assert!(html.contains("SHA-256 of 1 videos") && html.contains("SHA-256 of 1 given pictures"));
    assert!(html.contains("<td>p/&lt;a&gt;.png</td>"));
    assert_eq!(html.matches("<h4>Worst</h4>").count(), 14);
    assert_eq!((html.matches("<h4>Failed</h4>").count(), html.matches("<h4>Passed</h4>").count()), (2, 2));
}

#[test]
fn what_is_not_the_published_way_is_said_first() {
    let manifest = Manifest {
        weights: vec![
            weights(Network::Dino, WeightsOrigin::Random),
            weights(Network::ClipB32, WeightsOrigin::Other),
        ],
        ..Manifest::default()
    };
    let some = [Dimension::SubjectConsistency, Dimension::DynamicDegree];
    let mut report = Report { results: results(&some), manifest: Some(manifest), ..Report::default() };
    let html = report.html().unwrap();
    check_nesting(&html);
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text:?} is missing"));
    assert!(place("<strong>Random weights</strong>dino") < place("<div class=\"points\">"));
    assert!(
        place("<strong>Weights that are not the published ones</strong>clip_b32")
            < place("<div class=\"points\">")
    );
    place("Not a standard score: the suite is incomplete");
    assert_eq!(html.matches("<b class=\"none\">not given</b>").count(), 3);
    place("missing: object_class, multiple_objects");
    // A run by the reference's rules gives no sum of a part of them, either.
    report.mode = Mode::Compat;
    assert_eq!(report.html().unwrap().matches("<b class=\"none\">not given</b>").count(), 3);
    report.sums = Mode::Compat;
    assert!(report.html().unwrap().contains("partial: missing scores count as raw 0"));
    report.manifest = None;
    let unknown = report.html().unwrap();
    assert!(unknown.contains("Of unknown origin") && !unknown.contains("<h2>Manifest</h2>"));
    check_nesting(&Report::default().html().unwrap());
}

#[test]
fn a_suite_that_is_there_can_be_no_standard_score_all_the_same() {
    let of = |manifest: Manifest| {
        let results = results(&Dimension::ALL);
        Report { results, manifest: Some(manifest), ..Report::default() }.html().unwrap()
    };
    let standard =
        || Manifest { suite: "standard".to_owned(), mode: "compat".to_owned(), ..Manifest::default() };
    let failed = Manifest { notes: [("failed".to_owned(), "2".to_owned())].into(), ..standard() };
    let fixed = Manifest { mode: "fixed".to_owned(), ..standard() };
    let random = Manifest { weights: vec![weights(Network::Dino, WeightsOrigin::Random)], ..standard() };
    for (manifest, part) in [
        (failed, "<strong>Not a standard score</strong>2 measurements failed."),
        (fixed, "<strong>Not a standard score</strong>It was measured in mode fixed."),
        (random, "<strong>Not a standard score</strong>Weights were drawn at random."),
        (standard(), "<strong>Not a standard score: the suite is incomplete</strong>"),
    ] {
        let html = of(manifest);
        assert!(html.contains(part), "{part:?} is not in {html}");
    }
}

#[test]
fn what_is_of_vbench_i2v_is_none_of_the_sixteen() {
    let some = [Dimension::SubjectConsistency, Dimension::I2vSubject];
    let html = Report { results: results(&some), ..Report::default() }.html().unwrap();
    check_nesting(&html);
    assert!(html.contains("VBench, 1 of 16 dimensions, i2v subject of VBench-I2V, mode"), "{html}");
    assert_eq!(html.matches("class=\"dimension\"").count(), 2);
    assert!(html.contains("<div>VBench-I2V: total<b class=\"none\">not given</b>"), "{html}");
    let members = crate::I2V_MEMBERS.map(|member| member.name.parse().unwrap());
    let html = Report { results: results(&members), ..Report::default() }.html().unwrap();
    let totals = I2vTotals::of(&results(&members).raw(), Mode::Fixed).unwrap();
    assert!(html.contains(&format!("<div>VBench-I2V: total<b>{:.2}</b>", totals.total.unwrap())), "{html}");
    let html = Report { results: results(&Dimension::ALL), ..Report::default() }.html().unwrap();
    assert!(!html.contains("VBench-I2V"), "{html}");
}

#[test]
fn thumbnails_are_small_frames_of_the_middle() {
    let limits = ReadLimits::default();
    for name in ["earth.mp4", "earth.gif"] {
        let path = golden::path(name);
        let stream = FrameStream::open(&path, &limits, Reader::Decord, Mode::Fixed).unwrap();
        let frames: Vec<RgbFrame> = stream.collect::<Result<_, _>>().unwrap();
        let RgbFrame { height, width, rgb } = &frames[frames.len() / 2];
        let small = thumbnail(&path, &limits).unwrap();
        if *width > 200 {
            assert_eq!((small.shape().frames, small.shape().width), (1, 200), "{name}");
            let mean = |rgb: &[u8]| rgb.iter().map(|byte| f64::from(*byte)).sum::<f64>() / rgb.len() as f64;
            assert!((mean(small.rgb()) - mean(rgb)).abs() < 1.0, "{name}");
        } else {
            let expected = Frames::from_rgb(PixelShape::new(1, *height, *width), rgb.clone());
            assert_eq!(small, expected, "{name}");
        }
    }
    assert!(thumbnail(&golden::path("none.mp4"), &limits).is_err());
}
