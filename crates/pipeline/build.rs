//! Embeds the weights of `mini` when they are there, so that a tree without them still builds and says so at run time.
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
    let weights = chosen.clone().unwrap_or_else(|| assets.join("mini/mini.safetensors"));
    let source = match fs::canonicalize(&weights) {
        Ok(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            format!("Some(include_bytes!({path:?}))")
        }
        Err(error) => {
            assert!(chosen.is_none(), "VIDIT_EMBED names `{}`: {error}", weights.display());
            // Not the absent file itself: cargo would take that for a change at every build.
            println!("cargo::rerun-if-changed={}", assets.display());
            "None".to_owned()
        }
    };
    let text = format!("/// The weights file of `mini`.\npub(crate) const MINI: Option<&[u8]> = {source};\n");
    fs::write(out_folder.join("embedded.rs"), text).expect("cargo's output folder takes files");
}
