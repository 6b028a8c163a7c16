//! Embeds the weights of the judge when they are there, so that a tree without them still builds and says so at run time.

use std::env;
use std::fs;
use std::path::PathBuf;

fn main() {
    let crate_folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out_folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let assets = crate_folder.join("../../assets");
    println!("cargo::rerun-if-changed=build.rs");
    let source = match fs::canonicalize(assets.join("mini/judge.safetensors")) {
        Ok(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            format!("Some(include_bytes!({path:?}))")
        }
        Err(_) => {
            // Not the absent file itself: cargo would take that for a change at every build.
            println!("cargo::rerun-if-changed={}", assets.display());
            "None".to_owned()
        }
    };
    let text =
        format!("/// The weights file of the judge.\npub(crate) const JUDGE: Option<&[u8]> = {source};\n");
    fs::write(out_folder.join("embedded.rs"), text).expect("cargo's output folder takes files");
}
