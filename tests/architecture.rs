//! Arrows point down only, and each layer stays away from its neighbours' tools.

use std::path::{Path, PathBuf};

/// Folders or files of `src`, what they may not mention and why.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "crate::api",
            "crate::store",
            "crate::lake",
            "crate::pipeline",
            "crate::jobs",
            "crate::settings",
            "polars",
            "actix_web",
            "rusqlite",
            "mongodb",
            "object_store",
            "tokio",
        ],
    ),
    (
        "pipeline",
        &[
            "crate::api",
            "crate::store",
            "crate::lake",
            "crate::jobs",
            "crate::settings",
            "actix_web",
            "rusqlite",
            "mongodb",
            "object_store",
            "tokio",
            "std::env",
        ],
    ),
    (
        "lake",
        &[
            "crate::api",
            "crate::store",
            "crate::pipeline",
            "crate::jobs",
            "crate::settings",
            "actix_web",
            "rusqlite",
            "mongodb",
        ],
    ),
    (
        "store",
        &[
            "crate::api",
            "crate::lake",
            "crate::pipeline",
            "crate::jobs",
            "crate::settings",
            "actix_web",
            "polars",
            "object_store",
        ],
    ),
    (
        "sample",
        &[
            "crate::api",
            "crate::store",
            "crate::lake",
            "crate::pipeline",
            "crate::jobs",
            "crate::settings",
            "polars",
            "actix_web",
            "mongodb",
        ],
    ),
    (
        "jobs",
        &[
            "crate::api",
            "crate::startup",
            "crate::cli",
            "crate::settings",
            "actix_web",
            "rusqlite",
            "mongodb",
        ],
    ),
    (
        "api",
        &[
            "crate::jobs",
            "crate::lake",
            "crate::startup",
            "crate::cli",
            "crate::settings",
            "polars",
            "object_store",
            "rusqlite",
            "mongodb",
        ],
    ),
    (
        "settings",
        &[
            "crate::api",
            "crate::store",
            "crate::lake",
            "crate::pipeline",
            "crate::jobs",
            "crate::cli",
        ],
    ),
    ("lock.rs", &["crate::"]),
];

fn source_files(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            source_files(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        files.push(path.to_owned());
    }
}

fn all_under(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    source_files(path, &mut files);
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The code of a file: its tests and comments may mention anything.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn arrows_point_down_only() {
    for (layer, forbidden) in FORBIDDEN {
        let files = all_under(&src().join(layer));
        assert!(!files.is_empty(), "{layer} is not there");
        for file in files {
            let code = code(&file);
            for word in *forbidden {
                assert!(!code.contains(word), "{} mentions {word}", file.display());
            }
        }
    }
}

#[test]
fn only_settings_read_the_environment() {
    for file in all_under(&src()) {
        let reads = code(&file).contains("env::var");
        assert!(
            !reads || file.ends_with("settings/mod.rs"),
            "{} reads the environment",
            file.display()
        );
    }
}

#[test]
fn every_file_opens_with_what_it_owns_and_none_is_a_drawer() {
    for file in all_under(&src()) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not say what it owns", file.display());
        let header = text.lines().take_while(|line| line.starts_with("//!")).count();
        let is_diagram = text.contains("//! ```text");
        assert!(header <= 8 || is_diagram, "{} opens with {header} lines", file.display());
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(!["utils", "helpers", "common", "misc"].contains(&name), "{}", file.display());
    }
}
