//! How the scores of a dimension's videos lie.

use std::fmt::Write;

use super::markup::escape;
use crate::naming::stem_of;
use crate::{Dimension, DimensionResult};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 96.0;
const LEFT: f64 = 12.0;
const RIGHT: f64 = 948.0;
const BASE: f64 = 70.0;
/// More videos are bars, fewer are dots.
const DOTS_MAX: usize = 80;
const BARS: usize = 60;

/// A strip of dots, a histogram, or a bar of passed and failed.
pub fn spread(dimension: Dimension, result: &DimensionResult) -> String {
    if result.videos.is_empty() {
        return String::new();
    }
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Scores of the videos in {}\">\n",
        dimension.title()
    );
    svg += &match dimension.is_boolean() {
        true => passed(result),
        false => numbers(dimension, result),
    };
    svg + "</svg>\n"
}

fn passed(result: &DimensionResult) -> String {
    let all = result.videos.len();
    let passed = result.videos.iter().filter(|video| video.score.value() > 0.5).count();
    let edge = LEFT + (RIGHT - LEFT) * passed as f64 / all as f64;
    format!(
        "<rect class=\"bar\" x=\"{LEFT}\" y=\"30\" width=\"{:.1}\" height=\"32\"/>\n\
         <rect class=\"bar rest\" x=\"{edge:.1}\" y=\"30\" width=\"{:.1}\" height=\"32\"/>\n\
         <text x=\"{LEFT}\" y=\"22\">passed: {passed} of {all}</text>\n\
         <text class=\"soft\" x=\"{RIGHT}\" y=\"22\" text-anchor=\"end\">failed: {}</text>\n",
        edge - LEFT,
        RIGHT - edge,
        all - passed
    )
}

fn numbers(dimension: Dimension, result: &DimensionResult) -> String {
    let scores: Vec<f64> = result.videos.iter().map(|video| video.score.value()).collect();
    let (low, high) = scores
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &score| (low.min(score), high.max(score)));
    let mean = result.overall * dimension.video_scale();
    let (low, high) = (low.min(mean), high.max(mean));
    // All alike: a little room on both sides.
    let room = if high > low { 0.04 * (high - low) } else { 0.01 * dimension.video_scale() };
    let (start, end) = (low - room, high + room);
    let place = |score: f64| LEFT + (RIGHT - LEFT) * (score - start) / (end - start);
    let mut svg = format!("<path class=\"grid\" d=\"M{LEFT} {BASE}L{RIGHT} {BASE}\"/>\n");
    if scores.len() <= DOTS_MAX {
        for (index, (video, &score)) in result.videos.iter().zip(&scores).enumerate() {
            // The golden ratio spreads neighbours in a list evenly over the height.
            let height = 10.0 + 52.0 * (index as f64 * 0.618_033_988_75).fract();
            let _ = writeln!(
                svg,
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{height:.1}\" r=\"4.5\"><title>{}: {score:.4}</title></circle>",
                place(score),
                escape(stem_of(&video.path))
            );
        }
    } else {
        let mut counts = [0usize; BARS];
        for &score in &scores {
            let bar = ((score - start) / (end - start) * BARS as f64) as usize;
            counts[bar.min(BARS - 1)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        let width = (RIGHT - LEFT) / BARS as f64;
        for (index, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let height = 60.0 * count as f64 / most as f64;
            let from = start + (end - start) * index as f64 / BARS as f64;
            let _ = writeln!(
                svg,
                "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{count} from {from:.4}</title></rect>",
                LEFT + width * index as f64,
                BASE - height,
                width - 1.0
            );
        }
    }
    let x = place(mean);
    // Near an edge the words would be cut off in the middle, and stand where that edge's own score would.
    let share = (x - LEFT) / (RIGHT - LEFT);
    let anchor = match share {
        share if share < 0.1 => "start",
        share if share > 0.9 => "end",
        _ => "middle",
    };
    let y = BASE + 20.0;
    let _ = writeln!(svg, "<path class=\"mean\" d=\"M{x:.1} 4L{x:.1} {}\"/>", BASE + 4.0);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">overall {mean:.4}</text>");
    if share > 0.2 {
        let _ = writeln!(svg, "<text class=\"soft\" x=\"{LEFT}\" y=\"{y}\">{low:.4}</text>");
    }
    if share < 0.8 {
        let _ = writeln!(
            svg,
            "<text class=\"soft\" x=\"{RIGHT}\" y=\"{y}\" text-anchor=\"end\">{high:.4}</text>"
        );
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VideoResult;

    fn result(scores: impl IntoIterator<Item = f64>) -> DimensionResult {
        let videos: Vec<_> = scores
            .into_iter()
            .enumerate()
            .map(|(i, score)| VideoResult::new(format!("{i}.mp4"), score))
            .collect();
        let overall =
            videos.iter().map(|video| video.score.value()).sum::<f64>() / videos.len().max(1) as f64;
        DimensionResult { overall, videos, ..DimensionResult::default() }
    }

    #[test]
    fn few_are_dots_and_many_are_bars() {
        let few = spread(Dimension::Scene, &result([0.1, 0.5, 0.9]));
        assert_eq!(few.matches("<circle").count(), 3);
        assert!(few.contains("<title>1: 0.5000</title>") && few.contains("overall 0.5000"), "{few}");
        let many = spread(Dimension::Scene, &result((0..400).map(|i| f64::from(i) / 400.0)));
        assert_eq!(many.matches("<circle").count(), 0);
        let counted: usize = many
            .split("<title>")
            .skip(1)
            .filter_map(|rest| rest.split_once(" from ")?.0.parse::<usize>().ok())
            .sum();
        assert_eq!(counted, 400);
        assert_eq!(spread(Dimension::Scene, &result([])), "");
    }

    #[test]
    fn nothing_is_not_a_number() {
        for scores in [vec![0.5], vec![0.5; 90], vec![0.0, 0.0], vec![-0.1, 1.2]] {
            let svg = spread(Dimension::Scene, &result(scores));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn passes_are_counted() {
        let videos =
            vec![VideoResult::new("a", true), VideoResult::new("b", false), VideoResult::new("c", true)];
        let svg = spread(
            Dimension::HumanAction,
            &DimensionResult { overall: 2.0 / 3.0, videos, ..DimensionResult::default() },
        );
        assert!(svg.contains("passed: 2 of 3") && svg.contains("failed: 1"), "{svg}");
    }
}
