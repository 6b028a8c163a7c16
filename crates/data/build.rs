//! Lists the sprite strips of `assets/emoji` as `include_bytes!`, so that the binary works from any folder.

use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let emoji = Path::new(&root).join("../../assets/emoji");
    println!("cargo:rerun-if-changed={}", emoji.join("objects.json").display());
    println!("cargo:rerun-if-changed={}", emoji.join("sprites").display());

    let mut strips: Vec<_> = fs::read_dir(emoji.join("sprites"))
        .expect("assets/emoji/sprites is part of the repository")
        .map(|entry| entry.expect("a readable folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "webp"))
        .collect();
    strips.sort();

    let mut source = format!("const OBJECTS: &str = include_str!({:?});\n", emoji.join("objects.json"));
    source += "const STRIPS: &[(&str, &[u8])] = &[\n";
    for path in &strips {
        let id = path.file_stem().expect("a file name").to_str().expect("ids are ASCII");
        source += &format!("    ({id:?}, include_bytes!({path:?})),\n");
    }
    source += "];\n";
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("embedded.rs"), source).expect("OUT_DIR is writable");
}
