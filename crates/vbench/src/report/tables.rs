//! All scores beside published ones, and all videos with all their scores.

use std::collections::BTreeMap;

use super::clips::{Pictures, told};
use super::markup::escape;
use crate::{Dimension, Published, Results, Score, Totals};

/// Dimensions, their weights, and how far the published rows are.
pub fn scores(raw: &BTreeMap<Dimension, f64>, totals: &Totals, beside: &[&Published]) -> String {
    let mut html = String::from(
        "<div class=\"scroll\"><table>\n<tr><th>in percent</th><th class=\"number\">raw</th><th class=\"number\">normalised</th><th class=\"number\">weight</th>",
    );
    for row in beside {
        html += &format!("<th class=\"number\">{}</th>", escape(&row.name));
    }
    html += "</tr>\n";
    let cell = |value: Option<f64>| {
        let text = value.map_or("–".to_owned(), |value| format!("{value:.2}"));
        format!("<td class=\"number\">{text}</td>")
    };
    for dimension in Dimension::ALL {
        let own = raw.get(&dimension).copied();
        // The first of semantics.
        let first = dimension == Dimension::ObjectClass;
        html += if first { "<tr class=\"group\">" } else { "<tr>" };
        html += &format!("<td class=\"name\">{}</td>", dimension.title());
        html += &cell(own.map(|raw| 100.0 * raw));
        html += &cell(own.map(|raw| 100.0 * dimension.normalise(raw)));
        html += &format!("<td class=\"number\">{}</td>", dimension.weight());
        for row in beside {
            html += &cell(row.dimensions.get(&dimension).copied());
        }
        html += "</tr>\n";
    }
    let sums = [
        ("Quality", totals.quality, (|row| row.quality) as fn(&Published) -> Option<f64>),
        ("Semantic", totals.semantic, |row| row.semantic),
        ("Total", totals.total, |row| row.total),
    ];
    for (index, (name, own, published)) in sums.into_iter().enumerate() {
        html += if index == 0 { "<tr class=\"group\">" } else { "<tr>" };
        html += &format!("<td class=\"name\"><strong>{name}</strong></td><td></td>");
        html += &cell(own);
        html += "<td></td>";
        for row in beside {
            html += &cell(published(row));
        }
        html += "</tr>\n";
    }
    html + "</table></div>\n"
}

/// Every video with its scores.
pub fn videos(results: &Results, pictures: &Pictures) -> String {
    let mut by_path: BTreeMap<&str, Vec<(Dimension, Score)>> = BTreeMap::new();
    for (&dimension, result) in &results.dimensions {
        for video in &result.videos {
            by_path.entry(&video.path).or_default().push((dimension, video.score));
        }
    }
    if by_path.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<h2>Videos</h2>\n<details><summary>All {} videos and their scores</summary>\n<div class=\"scroll\"><table>\n",
        by_path.len()
    );
    for (path, scores) in by_path {
        html += "<tr>";
        if !pictures.is_empty() {
            html += &format!("<td>{}</td>", pictures.of(path));
        }
        let scores: Vec<String> = scores
            .iter()
            .map(|(dimension, score)| format!("{} {}", dimension.title(), told(*score)))
            .collect();
        html += &format!("<td class=\"path\">{}</td><td>{}</td></tr>\n", escape(path), scores.join("<br>"));
    }
    html + "</table></div></details>\n"
}
