//! What is it trained on? Clips composed of moving sprites with exact captions and boxes, and folders of the user's own.
//!
//! ```
//! use vidit_data::{Pack, Scene, Split, caption, render};
//! use vidit_video::PixelShape;
//!
//! let pack = Pack::embedded();
//! let scene = Scene::sample(&pack, 0, 42, Split::Train); // sample 42 of seed 0, the same everywhere
//! let clip = render(&pack, &scene, PixelShape::new(25, 128, 128));
//! let text = caption(&pack, &scene, scene.language, 42);
//! assert_eq!(clip.tracks.len(), scene.actors.len());
//! assert!(!text.is_empty());
//! ```

mod caption;
mod colour;
mod error;
mod export;
mod folder;
mod language;
mod motion;
mod pack;
mod random;
mod render;
mod scene;
#[cfg(test)]
mod scratch;
mod split;
mod sprite;
mod story;

pub use caption::{
    Added, Description, Expansion, caption, caption_corpus, describe, expand, knows_a_word, language_of,
    prompt, prompt_with_phrases,
};
pub use colour::{Background, Colour, Gradient};
pub use error::DataError;
pub use export::{Compose, compose_to_folder};
pub use folder::{ClipFolder, FolderClip};
pub use language::Language;
pub use motion::{Motion, Path, Region, Swing};
pub use pack::{Gender, Object, Pack, Side, Travel};
pub use random::Random;
pub use render::{Composite, render};
pub use scene::{Actor, Scene};
pub use split::{Combination, HeldOutPrompt, Split, held_out_prompts};
pub use sprite::SPRITE_FRAMES;
pub use story::{Story, Told};
