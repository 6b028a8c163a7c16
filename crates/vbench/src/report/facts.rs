//! How scores came about, and what the reader must know before all else.

use super::markup::escape;
use crate::{Manifest, Mode, Totals, WeightsOrigin};

/// What stands above the numbers.
pub fn banners(manifest: Option<&Manifest>, totals: &Totals) -> String {
    let mut html = String::new();
    let mut banner = |class: &str, head: &str, text: String| {
        html += &format!("<div class=\"banner {class}\"><strong>{head}</strong>{}</div>\n", escape(&text));
    };
    let Some(manifest) = manifest else {
        banner("", "Of unknown origin", "There is no manifest: with which weights, decoder and videos these scores were measured is not known.".to_owned());
        return html;
    };
    let names = |origin| -> Vec<&str> {
        manifest
            .weights
            .iter()
            .filter(|weights| weights.origin == origin)
            .map(|weights| weights.network.name())
            .collect()
    };
    let (random, other) = (names(WeightsOrigin::Random), names(WeightsOrigin::Other));
    if !random.is_empty() {
        let text = format!(
            "{}. Scores that need them say nothing about the videos, and compare with no published row.",
            random.join(", ")
        );
        banner("bad", "Random weights", text);
    }
    if !other.is_empty() {
        let text = format!(
            "{}. Their files are not those that VBench uses; scores need not compare with published rows.",
            other.join(", ")
        );
        banner("bad", "Weights that are not the published ones", text);
    }
    let unverified = names(WeightsOrigin::Unverified);
    if !unverified.is_empty() {
        let text = format!(
            "{}. What was published of the hashes of their files is not enough to say that these are those that VBench uses.",
            unverified.join(", ")
        );
        banner("", "Weights that cannot be verified", text);
    }
    if totals.is_partial() || !manifest.complete {
        let (head, text) = why_not_standard(manifest, totals);
        banner("", head, text);
    }
    html
}

/// What keeps scores from being standard ones: a head and sentences.
fn why_not_standard(manifest: &Manifest, totals: &Totals) -> (&'static str, String) {
    let mut reasons = Vec::new();
    if manifest.mode == Mode::Fixed.name() {
        reasons.push("It was measured in mode fixed.".to_owned());
    }
    if let Some(failed) = manifest.notes.get("failed") {
        reasons.push(format!("{failed} measurements failed."));
    }
    if manifest.weights.iter().any(|weights| weights.origin == WeightsOrigin::Random) {
        reasons.push("Weights were drawn at random.".to_owned());
    }
    if manifest.notes.contains_key("clips") {
        reasons.push("Long videos were measured in clips.".to_owned());
    }
    if !matches!(manifest.suite.as_str(), "" | "standard") {
        reasons.push("The suite is not VBench's own.".to_owned());
    }
    let incomplete = match (totals.is_partial(), reasons.is_empty()) {
        (true, _) => format!("Not measured: {}.", totals.missing_of(None)),
        (false, true) => "Videos of the suite are missing.".to_owned(),
        (false, false) => return ("Not a standard score", reasons.join(" ")),
    };
    reasons.insert(0, incomplete);
    ("Not a standard score: the suite is incomplete", reasons.join(" "))
}

/// The manifest at the end.
pub fn manifest(manifest: Option<&Manifest>) -> String {
    let Some(manifest) = manifest else { return String::new() };
    let mut html = String::from("<h2>Manifest</h2>\n<dl>\n");
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            html += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(text));
        }
    };
    line("program", &manifest.program);
    line("mode", &manifest.mode);
    line("reference", &manifest.reference);
    line("imitated processes", &manifest.ranks.map(|ranks| ranks.to_string()).unwrap_or_default());
    line("suite", &manifest.suite);
    line("suite, sha256", manifest.suite_sha256.as_deref().unwrap_or_default());
    line("a standard score", if manifest.complete { "yes" } else { "no" });
    line("decoder", &manifest.decoder);
    line("colours", &manifest.colour_rule);
    line("device", &manifest.device);
    line("encoder of the videos", manifest.encoder.as_deref().unwrap_or_default());
    line("generated from", manifest.generation_prompts.as_deref().unwrap_or_default());
    line("seeds", manifest.seeds.as_deref().unwrap_or_default());
    for (name, text) in &manifest.notes {
        line(name, text);
    }
    html += "</dl>\n";
    if !manifest.weights.is_empty() {
        html += "<h4>Weights</h4>\n<div class=\"scroll\"><table>\n<tr><th>network</th><th>weights</th><th>file</th><th>sha256</th></tr>\n";
        for weights in &manifest.weights {
            let origin = match weights.origin {
                WeightsOrigin::Published => "published",
                WeightsOrigin::Unverified => "not verified",
                WeightsOrigin::Other => "<strong>not the published ones</strong>",
                WeightsOrigin::Random => "<strong>random</strong>",
            };
            html += &format!(
                "<tr><td>{}</td><td>{origin}</td><td>{}</td><td class=\"mono\">{}</td></tr>\n",
                weights.network.name(),
                escape(weights.file.as_deref().unwrap_or("–")),
                escape(weights.sha256.as_deref().unwrap_or("–"))
            );
        }
        html += "</table></div>\n";
    }
    for (what, hashes) in [("videos", &manifest.videos), ("given pictures", &manifest.pictures)] {
        if hashes.is_empty() {
            continue;
        }
        let summary = format!("SHA-256 of {} {what}", hashes.len());
        html += &format!("<details><summary>{summary}</summary>\n<div class=\"scroll\"><table>\n");
        for (path, sha256) in hashes {
            html +=
                &format!("<tr><td>{}</td><td class=\"mono\">{}</td></tr>\n", escape(path), escape(sha256));
        }
        html += "</table></div></details>\n";
    }
    html
}
