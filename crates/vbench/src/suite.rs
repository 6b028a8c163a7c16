//! What is asked of a model: prompts, what each is made for, and what its video should hold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::naming::{NAME_BYTES_MAX, composed, video_stem};
use crate::results::parse_json;
use crate::{Dimension, VbenchError};

/// Videos that VBench takes of each prompt.
pub const SAMPLES: usize = 5;

/// The file of the standard suite, as VBench gives it out; its licence is in `assets/vbench/NOTICE.md`.
pub const STANDARD_JSON: &str = include_str!("../../../assets/vbench/VBench_full_info.json");

/// A list of prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// The prompts in order. The standard suite has two of them twice, for different dimensions.
    pub entries: Vec<Entry>,
}

/// A prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What the model is asked for, and what its videos are called.
    pub prompt: String,
    /// What its videos are measured for.
    pub dimensions: Vec<Dimension>,
    /// What a dimension looks for in them.
    pub auxiliary: BTreeMap<Dimension, Auxiliary>,
    /// The same, as it stands in the file.
    pub auxiliary_info: Option<Value>,
    /// VBench-I2V: the name of the picture that its videos begin with.
    pub image_name: Option<String>,
    /// What else the file says of it.
    pub others: Map<String, Value>,
}

/// What a video should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auxiliary {
    /// `object_class`: a name of COCO.
    Object(String),
    /// `multiple_objects`: two names of COCO.
    Objects(String, String),
    /// `color`.
    Color(String),
    /// `spatial_relationship`: two names of COCO, and how the first lies to the second.
    Relation(String, String, Relation),
    /// `scene`: words.
    Scene(String),
    /// `appearance_style`: a phrase.
    Style(String),
    /// `human_action`: a label of Kinetics-400. The standard suite leaves it to the prompt.
    Action(String),
}

/// How one object lies to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// On the left of it.
    Left,
    /// On the right of it.
    Right,
    /// On the top of it.
    Top,
    /// On the bottom of it.
    Bottom,
}

/// A video that a suite asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteVideo {
    /// Its prompt.
    pub prompt: String,
    /// Which of the prompt's samples, from 0.
    pub index: usize,
    /// What it is measured for.
    pub dimensions: Vec<Dimension>,
}

impl SuiteVideo {
    /// Its file name without the ending.
    pub fn stem(&self) -> String {
        video_stem(&self.prompt, self.index)
    }
}

impl Suite {
    /// VBench's own 946 prompts.
    pub fn standard() -> &'static Self {
        static STANDARD: LazyLock<Suite> = LazyLock::new(|| {
            Suite::from_json(Path::new("VBench_full_info.json"), STANDARD_JSON)
                .expect("VBench's own suite is whole")
        });
        &STANDARD
    }

    /// A suite of one's own, in the layout of `VBench_full_info.json`.
    ///
    /// # Errors
    /// If the file cannot be read, or an entry lacks what its dimensions look for.
    pub fn read(path: &Path) -> Result<Self, VbenchError> {
        let text = std::fs::read_to_string(path).map_err(|error| VbenchError::reading(path, error))?;
        Self::from_json(path, &text)
    }

    /// [`Self::read`] of a text; `path` is for errors.
    ///
    /// # Errors
    /// As there.
    pub fn from_json(path: &Path, text: &str) -> Result<Self, VbenchError> {
        let none = |found| VbenchError::NoSuite { path: path.to_owned(), found };
        let list = match parse_json(path, text)? {
            Value::Array(list) if list.is_empty() => return Err(none("an empty one")),
            Value::Array(list) => list,
            Value::Object(_) => return Err(none("an object")),
            _ => return Err(none("a single value")),
        };
        let entries = list.iter().enumerate().map(|(index, value)| {
            entry(value).map_err(|(problem, hint)| VbenchError::Suite { index, problem, hint })
        });
        let suite = Self { entries: entries.collect::<Result<_, _>>()? };
        suite.check_once()?;
        Ok(suite)
    }

    /// Entries of one prompt have the same videos: for one dimension they must look for one thing.
    fn check_once(&self) -> Result<(), VbenchError> {
        let mut seen = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let name = composed(&entry.prompt);
            for dimension in &entry.dimensions {
                let wanted = entry.auxiliary.get(dimension);
                if *seen.entry((name.clone(), *dimension)).or_insert(wanted) != wanted {
                    let problem =
                        format!("is there twice for `{dimension}`, which looks for two things then");
                    let hint = "say the two in other words: a prompt has one set of videos";
                    return Err(VbenchError::Suite { index, problem, hint });
                }
            }
        }
        Ok(())
    }

    /// The dimensions that it has prompts for.
    pub fn dimensions(&self) -> Vec<Dimension> {
        let all = Dimension::ALL.into_iter().chain(Dimension::GIVEN);
        all.filter(|dimension| self.entries_of(*dimension).next().is_some()).collect()
    }

    /// Whether it is VBench's own.
    pub fn is_standard(&self) -> bool {
        self == Self::standard()
    }

    /// The entries that a dimension measures.
    pub fn entries_of(&self, dimension: Dimension) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.dimensions.contains(&dimension))
    }

    /// The name of the picture that a prompt's videos begin with.
    pub fn image_name(&self, prompt: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.prompt == prompt)?.image_name.as_deref()
    }

    /// The videos that these dimensions need, each once, in order of the prompts. A prompt that is there twice has one
    /// set of videos.
    pub fn videos(&self, dimensions: &[Dimension], samples: usize) -> Vec<SuiteVideo> {
        let mut videos: Vec<SuiteVideo> = Vec::new();
        let mut first: HashMap<String, usize> = HashMap::new();
        for entry in &self.entries {
            let wanted: Vec<_> =
                entry.dimensions.iter().copied().filter(|d| dimensions.contains(d)).collect();
            if wanted.is_empty() {
                continue;
            }
            let start = *first.entry(composed(&entry.prompt)).or_insert_with(|| {
                let prompt = &entry.prompt;
                let video = |index| SuiteVideo { prompt: prompt.clone(), index, dimensions: Vec::new() };
                videos.extend((0..samples).map(video));
                videos.len() - samples
            });
            for video in &mut videos[start..start + samples] {
                let known: HashSet<_> = video.dimensions.iter().copied().collect();
                video
                    .dimensions
                    .extend(wanted.iter().copied().filter(|dimension| !known.contains(dimension)));
            }
        }
        videos
    }
}

impl Entry {
    /// What a person should be seen doing, in small letters: what the entry says, or what follows "person is" in its prompt.
    pub fn action(&self) -> String {
        match self.auxiliary.get(&Dimension::HumanAction) {
            Some(Auxiliary::Action(action)) => action.to_lowercase(),
            _ => action_of_prompt(&self.prompt),
        }
    }
}

/// The action that a prompt asks for: what follows "person is", or all of it.
pub(crate) fn action_of_prompt(prompt: &str) -> String {
    let prompt = prompt.to_lowercase();
    prompt.rsplit("person is ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

type Flaw = (String, &'static str);

const LAYOUT: &str = "an entry is `{\"prompt_en\": \"a red cat\", \"dimension\": [\"color\"], \"auxiliary_info\": {\"color\": {\"color\": \"red\"}}}`";

/// What is read of an entry, or written anew.
const KEYS: [&str; 5] = ["prompt_en", "dimension", "auxiliary_info", "image_name", "video_list"];

fn entry(value: &Value) -> Result<Entry, Flaw> {
    let flaw = |problem: &str| (problem.to_owned(), LAYOUT);
    let prompt =
        value.get("prompt_en").and_then(Value::as_str).ok_or_else(|| flaw("has no text `prompt_en`"))?;
    if prompt.trim().is_empty() {
        return Err(flaw("is empty"));
    }
    let name = format!("{}.mp4", video_stem(prompt, SAMPLES - 1));
    if name.len() > NAME_BYTES_MAX {
        let problem =
            format!("makes file names of `{}` bytes, at most {NAME_BYTES_MAX} are possible", name.len());
        return Err((problem, "give the videos a shorter prompt to be named by and measured with"));
    }
    let list =
        value.get("dimension").and_then(Value::as_array).ok_or_else(|| flaw("has no list `dimension`"))?;
    let mut dimensions = Vec::with_capacity(list.len());
    for name in list {
        let found = name.as_str().unwrap_or_default();
        let dimension = Dimension::from_name(found)
            .ok_or_else(|| (format!("is made for `{found}`, which is no dimension of VBench"), LAYOUT))?;
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    let mut auxiliaries = BTreeMap::new();
    let auxiliary_info = value.get("auxiliary_info").cloned();
    let all = auxiliary_info.as_ref().and_then(Value::as_object);
    for &dimension in &dimensions {
        let told = all.and_then(|all| all.get(dimension.name()));
        match told.and_then(|told| auxiliary(dimension, told)) {
            Some(found) => {
                auxiliaries.insert(dimension, found);
            }
            None if dimension.takes_custom_videos() => {}
            None => {
                let problem = format!("must say in `auxiliary_info` what `{dimension}` looks for");
                return Err((
                    problem,
                    "see `assets/vbench/VBench_full_info.json` for how each dimension is told",
                ));
            }
        }
    }
    let image_name = value.get("image_name").and_then(Value::as_str).map(str::to_owned);
    let mut others = value.as_object().cloned().unwrap_or_default();
    others.retain(|key, _| !KEYS.contains(&key.as_str()));
    let prompt = prompt.to_owned();
    Ok(Entry { prompt, dimensions, auxiliary: auxiliaries, auxiliary_info, image_name, others })
}

/// What a dimension is told. The layout nests a name in itself up to three times; any depth will do.
fn auxiliary(dimension: Dimension, told: &Value) -> Option<Auxiliary> {
    let mut innermost = told;
    while let Some(inner) = innermost.get(dimension.name()) {
        innermost = inner;
    }
    let text = |key: &str| match innermost {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Object(map) => member(map, key),
        _ => None,
    };
    match dimension {
        Dimension::ObjectClass => text("object").map(Auxiliary::Object),
        Dimension::MultipleObjects => {
            let both = text("object")?;
            let mut names = both.split(" and ").map(|name| name.trim().to_owned());
            match (names.next(), names.next(), names.next()) {
                (Some(a), Some(b), None) if !a.is_empty() && !b.is_empty() => Some(Auxiliary::Objects(a, b)),
                _ => None,
            }
        }
        Dimension::Color => text("color").map(Auxiliary::Color),
        Dimension::Scene => text("scene").map(Auxiliary::Scene),
        Dimension::AppearanceStyle => text("appearance_style").map(Auxiliary::Style),
        Dimension::HumanAction => text("action").map(Auxiliary::Action),
        Dimension::SpatialRelationship => {
            let map = innermost.as_object()?;
            let relation = Relation::from_words(&member(map, "relationship")?)?;
            Some(Auxiliary::Relation(member(map, "object_a")?, member(map, "object_b")?, relation))
        }
        _ => None,
    }
}

fn member(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Relation {
    /// `on the left of` and its like, or a part of it that names the side: the reference knows no other words, and scores them 0.
    pub fn from_words(words: &str) -> Option<Self> {
        let named =
            [("left", Self::Left), ("right", Self::Right), ("top", Self::Top), ("bottom", Self::Bottom)];
        named
            .into_iter()
            .find(|(word, _)| words.contains(word) && format!("on the {word} of").contains(words))
            .map(|(_, side)| side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(text: &str) -> Result<Suite, VbenchError> {
        Suite::from_json(Path::new("mine.json"), text)
    }

    #[test]
    fn what_would_be_looked_for_in_vain_is_refused() {
        let entry = |dimension: &str, told: &str| {
            custom(&format!(
                r#"[{{"prompt_en": "x", "dimension": ["{dimension}"], "auxiliary_info": {{"{dimension}": {told}}}}}]"#
            ))
        };
        let relation = |words: &str| {
            entry(
                "spatial_relationship",
                &format!(
                    r#"{{"spatial_relationship": {{"object_a": "cat", "object_b": "dog", "relationship": "{words}"}}}}"#
                ),
            )
        };
        for words in ["on the left of", "left of", "left", "on the top of", "the bottom"] {
            assert!(relation(words).is_ok(), "{words}");
        }
        for words in ["to the left of", "on the left side of", "on top of", "on the", "above"] {
            assert!(relation(words).is_err(), "{words}");
        }
        assert!(entry("multiple_objects", r#"{"object": "a bird and a cat"}"#).is_ok());
        assert!(entry("multiple_objects", r#"{"object": "a bird and a cat and a dog"}"#).is_err());
        for (dimension, told) in
            [("scene", r#""""#), ("color", r#"" ""#), ("multiple_objects", r#"" and cat""#)]
        {
            assert!(entry(dimension, told).is_err(), "{dimension}");
        }
    }

    #[test]
    fn the_standard_suite_has_what_its_paper_counts() {
        let suite = Suite::standard();
        assert_eq!(suite.entries.len(), 946);
        for dimension in Dimension::ALL {
            assert_eq!(suite.entries_of(dimension).count(), dimension.prompts(), "{dimension}");
            let told =
                suite.entries_of(dimension).filter(|entry| entry.auxiliary.contains_key(&dimension)).count();
            let needed = if dimension.takes_custom_videos() { 0 } else { dimension.prompts() };
            assert_eq!(told, needed, "{dimension}");
        }
        assert!(suite.is_standard());
        let videos = suite.videos(&Dimension::ALL, SAMPLES);
        assert_eq!(videos.len(), 4720);
        let stems: HashSet<String> = videos.iter().map(SuiteVideo::stem).collect();
        assert_eq!(stems.len(), 4720);
        for dimension in Dimension::ALL {
            assert_eq!(suite.videos(&[dimension], SAMPLES).len(), 5 * dimension.prompts(), "{dimension}");
        }
    }

    #[test]
    fn its_hazards_are_where_they_were_found() {
        let suite = Suite::standard();
        let videos = suite.videos(&Dimension::ALL, 1);
        let shared = videos.iter().find(|video| video.prompt == "The bund Shanghai, oil painting").unwrap();
        let expected = [
            Dimension::AppearanceStyle,
            Dimension::OverallConsistency,
            Dimension::AestheticQuality,
            Dimension::ImagingQuality,
        ];
        assert_eq!(shared.dimensions, expected);
        let longest = videos.iter().map(|video| video.stem().len() + ".mp4".len()).max();
        assert_eq!(longest, Some(216));
        let mut small: HashMap<String, Vec<&str>> = HashMap::new();
        for video in &videos {
            small.entry(video.prompt.to_lowercase()).or_default().push(&video.prompt);
        }
        let mut pairs: Vec<_> = small.values().filter(|prompts| prompts.len() > 1).cloned().collect();
        pairs.iter_mut().for_each(|pair| pair.sort_unstable());
        assert_eq!(pairs, [["A fantasy landscape", "a fantasy landscape"]]);
        let foreign: Vec<_> = videos.iter().filter(|video| !video.prompt.is_ascii()).collect();
        assert!(foreign.len() == 1 && foreign[0].prompt.contains("fa\u{e7}ades"));
        assert!(
            videos
                .iter()
                .all(|video| !video.prompt.contains(['/', '\\', ':', '?', '"', '*', '<', '>', '|', '\0']))
        );
    }

    #[test]
    fn nests_of_auxiliary_info_are_opened() {
        let of = |prompt: &str, dimension| {
            let mut entries = Suite::standard().entries_of(dimension);
            entries.find(|entry| entry.prompt == prompt).unwrap().auxiliary[&dimension].clone()
        };
        assert_eq!(
            of("a bird and a cat", Dimension::MultipleObjects),
            Auxiliary::Objects("bird".into(), "cat".into())
        );
        assert_eq!(of("a person", Dimension::ObjectClass), Auxiliary::Object("person".into()));
        assert_eq!(of("a red bicycle", Dimension::Color), Auxiliary::Color("red".into()));
        assert_eq!(of("alley", Dimension::Scene), Auxiliary::Scene("alley".into()));
        assert_eq!(
            of("The bund Shanghai, oil painting", Dimension::AppearanceStyle),
            Auxiliary::Style("oil painting".into())
        );
        let beside = of("a bicycle on the left of a car, front view", Dimension::SpatialRelationship);
        assert_eq!(beside, Auxiliary::Relation("bicycle".into(), "car".into(), Relation::Left));
        let mut sides = [0; 4];
        for entry in Suite::standard().entries_of(Dimension::SpatialRelationship) {
            let Auxiliary::Relation(_, _, relation) = entry.auxiliary[&Dimension::SpatialRelationship] else {
                panic!()
            };
            sides[relation as usize] += 1;
        }
        assert_eq!(sides, [27, 23, 17, 17]);
    }

    #[test]
    fn actions_are_told_or_read() {
        let mut entries = Suite::standard().entries_of(Dimension::HumanAction);
        assert_eq!(entries.next().unwrap().action(), "riding a bike");
        assert!(entries.all(|entry| entry.prompt.starts_with("A person is ")));
        let told = custom(
            r#"[{"prompt_en": "my aunt on wheels", "dimension": ["human_action"], "auxiliary_info": {"human_action": {"action": "Riding a Bike"}}}]"#,
        );
        assert_eq!(told.unwrap().entries[0].action(), "riding a bike");
    }

    #[test]
    fn suites_of_one_s_own_are_flat_or_nested() {
        let suite = custom(r#"[{"prompt_en": "a/b", "dimension": ["scene", "scene", "dynamic degree"], "auxiliary_info": {"scene": "barn"}, "video_list": []}]"#).unwrap();
        assert_eq!(suite.entries[0].auxiliary[&Dimension::Scene], Auxiliary::Scene("barn".into()));
        assert_eq!(suite.videos(&Dimension::ALL, 2)[1].stem(), "a_b-1");
        assert_eq!(
            suite.videos(&Dimension::ALL, 2)[0].dimensions,
            [Dimension::Scene, Dimension::DynamicDegree]
        );
        assert!(!suite.is_standard());
        assert!(suite.videos(&[Dimension::Color], 5).is_empty());
    }

    #[test]
    fn flaws_are_named() {
        let long = format!(r#"[{{"prompt_en": "{}", "dimension": []}}]"#, "x".repeat(260));
        for (text, part) in [
            ("{}", "is no suite: expected a list of prompts, found an object"),
            ("[]", "found an empty one"),
            ("[{}]", "prompt 0 of the suite has no text `prompt_en`"),
            (r#"[{"prompt_en": " ", "dimension": []}]"#, "is empty"),
            (r#"[{"prompt_en": "a"}]"#, "has no list `dimension`"),
            (r#"[{"prompt_en": "a", "dimension": ["colour"]}]"#, "is made for `colour`"),
            (r#"[{"prompt_en": "a", "dimension": ["color"]}]"#, "what `color` looks for"),
            (
                r#"[{"prompt_en": "a", "dimension": ["multiple_objects"], "auxiliary_info": {"multiple_objects": {"object": "cat"}}}]"#,
                "what `multiple_objects` looks for",
            ),
            (long.as_str(), "makes file names of `266` bytes, at most 255"),
        ] {
            let error = custom(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("hint:"), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn suites_of_vbench_i2v_name_pictures_and_what_is_measured_elsewhere() {
        let suite = custom(
            r#"[{"prompt_en": "a cat, camera pans left", "dimension": ["camera_motion"], "image_name": "a cat.jpg"},
                {"prompt_en": "a cat", "dimension": ["i2v_background", "i2v_subject"], "image_type": "animal", "image_name": "a cat.jpg"}]"#,
        )
        .unwrap();
        assert_eq!(suite.image_name("a cat"), Some("a cat.jpg"));
        assert_eq!(suite.entries[0].dimensions, [Dimension::CameraMotion]);
        assert_eq!(suite.entries[1].dimensions, [Dimension::I2vBackground, Dimension::I2vSubject]);
        let videos = suite.videos(&Dimension::i2v().collect::<Vec<_>>(), 1);
        assert_eq!(
            videos.iter().map(SuiteVideo::stem).collect::<Vec<_>>(),
            ["a cat, camera pans left-0", "a cat-0"]
        );
    }
}
