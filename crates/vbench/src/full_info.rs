//! The reference's `…_full_info.json`: which file was measured for which prompt.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value};

use crate::naming::composed;
use crate::{Dimension, Located, Suite};

#[derive(Serialize)]
struct Line<'a> {
    prompt_en: &'a str,
    dimension: &'a [Dimension],
    #[serde(skip_serializing_if = "Option::is_none")]
    auxiliary_info: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_name: Option<&'a str>,
    #[serde(flatten)]
    others: &'a Map<String, Value>,
    video_list: Vec<&'a PathBuf>,
}

/// The text of the file, for entries that any of these dimensions measures.
///
/// # Panics
/// If a path is no UTF-8: results have none, either.
pub fn full_info_json(suite: &Suite, dimensions: &[Dimension], located: &[Located]) -> String {
    let mut by_prompt: HashMap<String, Vec<&Located>> = HashMap::new();
    for one in located {
        by_prompt.entry(composed(&one.video.prompt)).or_default().push(one);
    }
    let measured =
        suite.entries.iter().filter(|entry| entry.dimensions.iter().any(|d| dimensions.contains(d)));
    let lines: Vec<Line<'_>> = measured
        .map(|entry| {
            let own = by_prompt.get(&composed(&entry.prompt)).into_iter().flatten();
            let path = |located: &Located| {
                entry.dimensions.iter().find(|&dimension| located.paths.contains_key(dimension)).copied()
            };
            Line {
                prompt_en: &entry.prompt,
                dimension: &entry.dimensions,
                auxiliary_info: entry.auxiliary_info.as_ref(),
                image_name: entry.image_name.as_deref(),
                others: &entry.others,
                video_list: own.filter_map(|located| path(located).map(|d| &located.paths[&d])).collect(),
            }
        })
        .collect();
    let mut bytes = Vec::new();
    let mut writer =
        serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    lines.serialize(&mut writer).expect("paths of videos are UTF-8");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::SuiteVideo;

    #[test]
    fn the_file_is_the_reference_s() {
        let expected = include_str!("golden/reference_full_info.json").replace("\\u00e7", "ç");
        let suite = Suite::from_json(Path::new("suite.json"), &expected).unwrap();
        let dimension = Dimension::TemporalFlickering;
        // There each of the three files is an entry of its own.
        let lines: Vec<String> = [1, 0, 2]
            .into_iter()
            .zip(&suite.entries)
            .map(|(index, entry)| {
                let prompt = entry.prompt.clone();
                let path = PathBuf::from(format!("videos/{prompt}-{index}.mp4"));
                let video = SuiteVideo { prompt, index, dimensions: vec![dimension] };
                let one = Suite { entries: vec![entry.clone()] };
                let text = full_info_json(
                    &one,
                    &[dimension],
                    &[Located { video, paths: [(dimension, path)].into() }],
                );
                text.trim_start_matches("[\n").trim_end_matches("\n]").to_owned()
            })
            .collect();
        assert_eq!(format!("[\n{}\n]", lines.join(",\n")), expected);
    }

    #[test]
    fn entries_keep_what_they_are_told() {
        let suite = Suite::standard();
        let text = full_info_json(suite, &[Dimension::Color], &[]);
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(list.len(), 85);
        assert_eq!(list[0]["auxiliary_info"]["color"]["color"], "red");
        assert_eq!(list[0]["video_list"], serde_json::json!([]));
    }
}
