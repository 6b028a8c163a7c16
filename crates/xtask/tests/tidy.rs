//! The invariants of ARCHITECTURE.md and STYLE.md. Each failure lists every place.

use std::collections::BTreeMap;
use std::path::Path;

use vidit_xtask::{files, root, text};

/// Crates from the ground up: each may depend on earlier ones alone.
const ORDER: [&str; 18] = [
    "kernels",
    "ops",
    "weights",
    "backbones",
    "video",
    "motion",
    "media",
    "diffusion",
    "data",
    "language",
    "models",
    "pipeline",
    "train",
    "eval",
    "vbench",
    "testkit",
    "bench",
    "cli",
];
const LINES_MAX: usize = 1000;

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn crate_of(path: &Path) -> String {
    relative(path).split('/').nth(1).unwrap_or_default().to_owned()
}

fn rust_files() -> Vec<std::path::PathBuf> {
    files(&root().join("crates"), &[".rs"])
}

/// Fails with every offence.
fn check(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn no_file_is_too_long_and_names_say_what_is_inside() {
    let mut offences = Vec::new();
    for path in files(&root(), &[".rs", ".py", ".sh", ".md"]) {
        let lines = text(&path).lines().count();
        if lines > LINES_MAX {
            offences.push(format!(
                "{} has {lines} lines, at most {LINES_MAX} are read with pleasure",
                relative(&path)
            ));
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder =
            path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        for name in [stem, folder] {
            if matches!(name.as_str(), "utils" | "util" | "helpers" | "helper" | "common" | "base" | "misc") {
                offences.push(format!("{} is called `{name}`, which says nothing", relative(&path)));
            }
        }
    }
    check("length and names", offences);
}

#[test]
fn unsafe_lives_in_kernels_and_ops_and_says_why() {
    let mut offences = Vec::new();
    for path in rust_files() {
        if crate_of(&path) == "xtask" {
            continue;
        }
        let allowed = matches!(crate_of(&path).as_str(), "kernels" | "ops");
        let source = text(&path);
        let lines: Vec<&str> = source.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let block = code.contains("unsafe {") || code.contains("unsafe impl");
            if block && !allowed {
                offences.push(format!("{}:{} unsafe outside kernels and ops", relative(&path), i + 1));
            }
            // A few lines may lie between: attributes, the head of a multi-line statement.
            let explained = lines[i.saturating_sub(6)..=i].iter().any(|l| l.contains("// SAFETY:"));
            if block && allowed && !explained {
                offences.push(format!("{}:{} unsafe without `// SAFETY:`", relative(&path), i + 1));
            }
        }
    }
    check("unsafe", offences);
}

#[test]
fn dependencies_point_one_way() {
    let rank: BTreeMap<&str, usize> = ORDER.iter().enumerate().map(|(i, name)| (*name, i)).collect();
    let mut offences = Vec::new();
    for name in ORDER {
        let manifest = text(&root().join("crates").join(name).join("Cargo.toml"));
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in dependencies.lines().filter_map(|line| line.strip_prefix("vidit-")) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            match rank.get(dependency) {
                Some(other) if *other < rank[name] => {}
                _ => offences.push(format!("{name} depends on {dependency}")),
            }
        }
    }
    check("order of crates", offences);
    let kernels = text(&root().join("crates/kernels/Cargo.toml"));
    assert!(!kernels.contains("burn"), "kernels know no tensor library");
}

#[test]
fn each_outside_concern_has_one_place() {
    let mut offences = Vec::new();
    for path in rust_files() {
        let (name, place) = (crate_of(&path), relative(&path));
        if name == "xtask" {
            continue;
        }
        let source = text(&path);
        let tests = place.contains("/tests/") || place.ends_with("tests.rs") || place.contains("/examples/");
        if source.contains("use clap") && name != "cli" {
            offences.push(format!("{place} knows clap"));
        }
        // The kernels read which instruction sets are hidden, so that every test of the workspace can run without them.
        let may_read = ["crates/cli/src/settings.rs", "crates/kernels/src/isa.rs"].contains(&&*place);
        let environment = source.contains("env::var");
        if environment && !tests && !may_read && !place.ends_with("build.rs") {
            offences.push(format!("{place} reads the environment, which `settings.rs` alone does"));
        }
        if source.contains("use vidit_diffusion") && name == "models" {
            offences.push(format!("{place}: models never run a sampler"));
        }
        if source.contains("use vidit_models") && name == "diffusion" {
            offences.push(format!("{place}: diffusion never sees a model"));
        }
    }
    check("one place a concern", offences);
}

#[test]
fn no_package_registry_is_named() {
    // Split so that this file does not name them itself.
    let hosts = [["crates", "io"], ["pypi", "org"], ["npmjs", "org"], ["npmjs", "com"], ["debian", "org"]];
    let mut offences = Vec::new();
    for path in files(&root(), &[".rs", ".toml", ".md", ".sh", ".py", ".json", "run"]) {
        let source = text(&path);
        for host in hosts.map(|parts| parts.join(".")) {
            if source.contains(&host) {
                offences.push(format!("{} names {host}", relative(&path)));
            }
        }
    }
    check("registries", offences);
}

#[test]
fn the_standing_documents_exist_and_their_links_lead_somewhere() {
    let mut offences = Vec::new();
    for name in
        ["README.md", "ARCHITECTURE.md", "STYLE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/mini.md"]
    {
        if !root().join(name).exists() {
            offences.push(format!("{name} is missing"));
        }
    }
    for path in files(&root(), &[".md"]) {
        let source = text(&path);
        for target in source.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !path.parent().unwrap_or(Path::new(".")).join(target).exists() {
                offences.push(format!("{} links to `{target}`, which does not exist", relative(&path)));
            }
        }
    }
    check("documents", offences);
}
