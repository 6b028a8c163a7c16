//! Embeds the weights of `mini` and of its box adapter when they are there, so that a tree without them still builds and says so at run time.
//!
//! `VIDIT_EMBED`, set while building, names another weights file to embed.

use std::env;
use std::fs;
use std::path::PathBuf;

fn main() {
    let crate_folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out_folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let assets = crate_folder.join("../../assets");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=VIDIT_EMBED");
    let chosen = env::var_os("VIDIT_EMBED").map(PathBuf::from);
    // Bytes of a file, or nothing. Not the absent file itself is watched: cargo would take that for a change at every build.
    let embedded = |path: PathBuf, required: bool| match fs::canonicalize(&path) {
        Ok(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            format!("Some(include_bytes!({path:?}))")
        }
        Err(error) => {
            assert!(!required, "VIDIT_EMBED names `{}`: {error}", path.display());
            println!("cargo::rerun-if-changed={}", assets.display());
            "None".to_owned()
        }
    };
    // The adapter is for the weights beside it.
    let boxes = match &chosen {
        None => embedded(assets.join("mini/boxes.safetensors"), false),
        Some(_) => "None".to_owned(),
    };
    let required = chosen.is_some();
    let weights = embedded(chosen.unwrap_or_else(|| assets.join("mini/mini.safetensors")), required);
    let text = format!(
        "/// The weights file of `mini`.\n\
         pub(crate) const MINI: Option<&[u8]> = {weights};\n\
         /// The file of its box adapter.\n\
         pub(crate) const BOXES: Option<&[u8]> = {boxes};\n"
    );
    fs::write(out_folder.join("embedded.rs"), text).expect("cargo's output folder takes files");
}
