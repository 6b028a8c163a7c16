//! Sixteen scores of several models around a point.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::Write;

use super::markup::escape;
use crate::Dimension;

/// A model's raw scores under a name.
pub struct Series {
    pub name: String,
    pub raw: BTreeMap<Dimension, f64>,
}

/// Models that can be told apart: so many colours has the style.
pub const SERIES_MAX: usize = 6;
const DASHES: [&str; SERIES_MAX] = ["", "7 4", "2 4", "10 3 2 3", "4 2", "1 3"];

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 560.0;
const RADIUS: f64 = 205.0;

/// Where a normalised score lies on the spoke of a dimension; what is off the scale lies at its end.
fn point(index: usize, share: f64) -> (f64, f64) {
    let angle = TAU * index as f64 / Dimension::ALL.len() as f64;
    let radius = RADIUS * share.clamp(0.0, 1.0);
    (WIDTH / 2.0 + radius * angle.sin(), HEIGHT / 2.0 - radius * angle.cos())
}

/// A path through the known scores; a missing one is a gap, not a zero.
fn path(raw: &BTreeMap<Dimension, f64>) -> String {
    let count = Dimension::ALL.len();
    let at = |index: usize| {
        let dimension = Dimension::ALL[index % count];
        raw.get(&dimension).map(|&score| point(index % count, dimension.normalise(score)))
    };
    let mut path = String::new();
    for index in 0..count {
        let (Some((x, y)), Some((next_x, next_y))) = (at(index), at(index + 1)) else { continue };
        if index == 0 || at(index - 1).is_none() {
            let _ = write!(path, "M{x:.1} {y:.1}");
        }
        let _ = write!(path, "L{next_x:.1} {next_y:.1}");
    }
    path
}

/// The plot, without its legend.
pub fn radar(series: &[Series]) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Normalised scores of sixteen dimensions\">\n"
    );
    for ring in 1..=4 {
        let share = f64::from(ring) / 4.0;
        let corners: Vec<String> =
            (0..16).map(|index| point(index, share)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polygon class=\"grid\" points=\"{}\"/>", corners.join(" "));
    }
    for (index, dimension) in Dimension::ALL.into_iter().enumerate() {
        let (x, y) = point(index, 1.0);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{} {}L{x:.1} {y:.1}\"/>", WIDTH / 2.0, HEIGHT / 2.0);
        let angle = TAU * index as f64 / 16.0;
        let (x, y) =
            (WIDTH / 2.0 + (RADIUS + 14.0) * angle.sin(), HEIGHT / 2.0 - (RADIUS + 14.0) * angle.cos());
        let anchor = match angle.sin() {
            sine if sine > 0.1 => "start",
            sine if sine < -0.1 => "end",
            _ => "middle",
        };
        // Two lines: above the spoke's end at the top, below it at the bottom, around it at the sides.
        let y = y - 1.0 - 8.0 * angle.cos();
        let own = series.first().and_then(|series| series.raw.get(&dimension));
        let value = own.map_or("not measured".to_owned(), |raw| format!("{:.2} %", 100.0 * raw));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}<tspan class=\"soft\" x=\"{x:.1}\" dy=\"14\">{value}</tspan></text>",
            dimension.title()
        );
    }
    // The first is drawn last, over the others.
    for (index, series) in series.iter().enumerate().take(SERIES_MAX).rev() {
        let path = path(&series.raw);
        if index == 0 && series.raw.len() == Dimension::ALL.len() {
            let _ = writeln!(svg, "<path class=\"area\" d=\"{path}Z\"/>");
        }
        let _ = writeln!(
            svg,
            "<path class=\"series s{index}\" stroke-dasharray=\"{}\" d=\"{path}\"><title>{}</title></path>",
            DASHES[index],
            escape(&series.name)
        );
        for (place, dimension) in Dimension::ALL.into_iter().enumerate() {
            let Some(&raw) = series.raw.get(&dimension).filter(|_| index == 0) else { continue };
            let (x, y) = point(place, dimension.normalise(raw));
            let _ = writeln!(
                svg,
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}: {:.4}, normalised {:.4}</title></circle>",
                dimension.title(),
                raw,
                dimension.normalise(raw)
            );
        }
    }
    for ring in 1..=4 {
        let y = HEIGHT / 2.0 - RADIUS * f64::from(ring) / 4.0 + 12.0;
        let _ = writeln!(
            svg,
            "<text class=\"soft\" x=\"{}\" y=\"{y:.1}\">{}</text>",
            WIDTH / 2.0 + 4.0,
            25 * ring
        );
    }
    svg += "</svg>\n";
    svg
}

/// Names beside their lines.
pub fn legend(series: &[Series]) -> String {
    let mut html = String::from("<ul class=\"legend\">\n");
    for (index, series) in series.iter().enumerate().take(SERIES_MAX) {
        let _ = writeln!(
            html,
            "<li><svg viewBox=\"0 0 34 10\" aria-hidden=\"true\"><path class=\"series s{index}\" stroke-dasharray=\"{}\" d=\"M1 5L33 5\"/></svg>{}</li>",
            DASHES[index],
            escape(&series.name)
        );
    }
    html + "</ul>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_on_their_spokes() {
        assert_eq!(point(0, 1.0), (WIDTH / 2.0, HEIGHT / 2.0 - RADIUS));
        let (x, y) = point(4, 0.5);
        assert!((x - WIDTH / 2.0 - RADIUS / 2.0).abs() < 1e-9 && (y - HEIGHT / 2.0).abs() < 1e-9);
        assert_eq!(point(3, 7.0), point(3, 1.0));
        assert_eq!(point(3, -7.0), point(9, 0.0));
    }

    #[test]
    fn what_is_missing_is_a_gap() {
        let mut raw: BTreeMap<_, _> = Dimension::ALL.iter().map(|&d| (d, d.max())).collect();
        assert_eq!(path(&raw).matches('M').count(), 1);
        assert_eq!(path(&raw).matches('L').count(), 16);
        raw.remove(&Dimension::ALL[5]);
        raw.remove(&Dimension::ALL[9]);
        // Four lines are gone, and of three runs the last goes on over the top into the first.
        assert_eq!(path(&raw).matches('L').count(), 12);
        assert_eq!(path(&raw).matches('M').count(), 3);
        assert_eq!(path(&BTreeMap::new()), "");
    }
}
