//! The sprite pack: which objects there are, what they are called, and their moving pictures.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;
use std::{borrow::Cow, fs};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::sprite::Sprite;
use crate::{Colour, Combination, DataError, Language};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// One object of the catalogue `objects.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Stable name: file name of the sprite, id of the track, key of the held-out split.
    pub id: String,
    /// The emoji that the sprite shows.
    pub emoji: String,
    /// File name of the source clip: its code points in hexadecimal.
    pub clip: String,
    /// English names, the main one first, each with its article (may be empty).
    pub en: Vec<(String, String)>,
    /// Chinese names, the main one first.
    pub zh: Vec<String>,
    /// Chinese measure word, as in 一`只`猫.
    pub measure: String,
    /// Arabic names, the main one first.
    pub ar: Vec<String>,
    /// Grammatical gender of the Arabic names.
    pub gender: Gender,
    /// The colour that dominates the sprite, where one does.
    #[serde(default)]
    pub colour: Option<Colour>,
    /// Which way the unmirrored sprite looks, where it looks to a side.
    #[serde(default)]
    pub faces: Option<Side>,
    /// How it usually gets about, where it has a verb of its own.
    #[serde(default)]
    pub travel: Option<Travel>,
}

impl Object {
    /// All names in a language, the main one first, without articles.
    pub fn names(&self, language: Language) -> Vec<&str> {
        match language {
            Language::En => self.en.iter().map(|(_, noun)| noun.as_str()).collect(),
            Language::Zh => self.zh.iter().map(String::as_str).collect(),
            Language::Ar => self.ar.iter().map(String::as_str).collect(),
        }
    }

    /// The main name in a language.
    pub fn name(&self, language: Language) -> &str {
        self.names(language)[0]
    }
}

/// Grammatical gender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Gender {
    Masculine,
    Feminine,
}

/// A side of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Side {
    Left,
    Right,
}

/// How an object gets about: it picks the verb of a caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Travel {
    Walk,
    Crawl,
    Fly,
    Swim,
    Drive,
    Sail,
}

impl Travel {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Walk, Self::Crawl, Self::Fly, Self::Swim, Self::Drive, Self::Sail];
}

/// Objects with their sprites.
pub struct Pack {
    objects: Vec<Object>,
    strips: Vec<Strip>,
    held_out: Vec<Combination>,
}

/// A strip of sprite frames, decoded when it is first drawn.
struct Strip {
    webp: Cow<'static, [u8]>,
    sprite: OnceLock<Sprite>,
}

impl Pack {
    /// The pack inside the binary. Sprites are decoded when they are first drawn.
    pub fn embedded() -> Self {
        let strips: HashMap<_, _> = STRIPS.iter().copied().collect();
        let pack = Self::assemble(OBJECTS, Path::new("assets/emoji/objects.json"), |id| {
            let webp = strips.get(id).ok_or_else(|| missing(id))?;
            Ok(Cow::Borrowed(*webp))
        });
        pack.expect("the embedded pack is complete: its tests say so")
    }

    /// A pack from a folder with `objects.json` and `sprites/<id>.webp`; every sprite is decoded at once.
    ///
    /// # Errors
    /// If a file is missing, the catalogue is malformed or ambiguous, or a sprite has the wrong size.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self, DataError> {
        let dir = dir.as_ref();
        let path = dir.join("objects.json");
        let catalogue = fs::read_to_string(&path).map_err(DataError::reading(&path))?;
        let pack = Self::assemble(&catalogue, &path, |id| {
            let path = dir.join("sprites").join(format!("{id}.webp"));
            Ok(Cow::Owned(fs::read(&path).map_err(DataError::reading(&path))?))
        })?;
        pack.objects.par_iter().zip(&pack.strips).try_for_each(|(object, strip)| {
            let sprite = Sprite::decode(&object.id, &strip.webp)?;
            strip.sprite.get_or_init(|| sprite);
            Ok(())
        })?;
        Ok(pack)
    }

    fn assemble(
        catalogue: &str,
        path: &Path,
        read_strip: impl Fn(&str) -> Result<Cow<'static, [u8]>, DataError>,
    ) -> Result<Self, DataError> {
        let refuse = |reason: String| DataError::Catalogue { path: path.to_owned(), reason };
        let objects: Vec<Object> =
            serde_json::from_str(catalogue).map_err(|error| refuse(error.to_string()))?;
        check_names(&objects).map_err(refuse)?;
        let held_out: Vec<_> =
            Combination::all(&objects).filter(|combination| combination.is_held_out(&objects)).collect();
        if held_out.is_empty() {
            return Err(refuse(format!("{} objects are too few to hold any prompt out", objects.len())));
        }
        let strip = |object: &Object| Ok(Strip { webp: read_strip(&object.id)?, sprite: OnceLock::new() });
        let strips = objects.iter().map(strip).collect::<Result<_, DataError>>()?;
        Ok(Self { objects, strips, held_out })
    }

    /// All objects; an object is named by its position here.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The position of the object with this id or with this name in any language.
    pub fn find(&self, name: &str) -> Option<usize> {
        let is_called = |object: &Object| {
            object.id == name || Language::ALL.iter().any(|&language| object.names(language).contains(&name))
        };
        self.objects.iter().position(is_called)
    }

    /// Every combination that training never sees, in a fixed order.
    pub fn held_out(&self) -> &[Combination] {
        &self.held_out
    }

    /// The moving picture of object `index`.
    pub(crate) fn sprite(&self, index: usize) -> &Sprite {
        let strip = &self.strips[index];
        strip.sprite.get_or_init(|| {
            Sprite::decode(&self.objects[index].id, &strip.webp)
                .expect("embedded sprites decode (tested), loaded ones were decoded on loading")
        })
    }
}

fn missing(id: &str) -> DataError {
    DataError::Sprite { id: id.to_owned(), reason: "it is in the catalogue but has no strip".to_owned() }
}

/// Each object has a name in each language, and no name means two objects.
fn check_names(objects: &[Object]) -> Result<(), String> {
    for language in Language::ALL {
        let mut owners: HashMap<&str, &str> = HashMap::new();
        for object in objects {
            let names = object.names(language);
            if names.is_empty() {
                return Err(format!("object `{}` has no name in `{}`", object.id, language.code()));
            }
            for name in names {
                if let Some(other) = owners.insert(name, &object.id) {
                    return Err(format!("`{other}` and `{}` are both called `{name}`", object.id));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_pack_is_whole() {
        let pack = Pack::embedded();
        assert!(pack.objects().len() >= 120);
        for index in 0..pack.objects().len() {
            pack.sprite(index);
        }
        assert_eq!(pack.find("automobile"), pack.find("car"));
        assert_eq!(pack.find("猫"), pack.find("cat"));
        assert_eq!(pack.find("a thing without a name"), None);
    }

    #[test]
    fn a_name_for_two_objects_is_refused() {
        let pack = Pack::embedded();
        let mut objects = pack.objects()[..2].to_vec();
        objects[1].zh = objects[0].zh.clone();
        let reason = check_names(&objects).unwrap_err();
        assert!(reason.contains("both called"), "{reason}");
    }

    #[test]
    fn a_folder_without_catalogue_is_named() {
        let error = Pack::load("/nowhere/at/all").err().expect("there is no such folder").to_string();
        assert!(error.contains("/nowhere/at/all/objects.json") && error.contains("hint:"), "{error}");
    }
}
