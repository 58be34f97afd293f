//! The shape of the source tree: arrows point down, no two files import each other in a circle, and no
//! file holds two rooms.
//!
//! Imports are read from the text: `use` trees, and paths that begin with `crate`, `self`, `super` or a child
//! module. They are followed from file to file, so a layer is judged by all that it reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest source or test file, lines.
const MAX_LINES: usize = 500;

/// Files or folders of `src`, and the modules and crates that they may not reach, by however many imports; `*`
/// stands for every other module.
const UNREACHABLE: &[(&str, &str)] = &[
    ("domain", "* actix_web mongodb object_store polars rusqlite tokio"),
    (
        "catalogue",
        "api blocking cli jobs lake logging metrics pipeline runs settings sources startup store \
         actix_web mongodb object_store polars rusqlite tokio",
    ),
    (
        "runs",
        "api cli jobs lake logging pipeline settings sources startup store \
         actix_web mongodb object_store polars rusqlite",
    ),
    (
        "pipeline",
        "api blocking cli jobs lake logging metrics settings sources startup store \
         actix_web mongodb object_store rusqlite tokio",
    ),
    (
        "sources",
        "api blocking cli jobs lake logging metrics settings startup store \
         actix_web mongodb object_store rusqlite tokio",
    ),
    (
        "sample",
        "api blocking cli jobs lake logging metrics pipeline settings sources startup store \
         actix_web mongodb object_store polars rusqlite tokio",
    ),
    (
        "lake",
        "api cli jobs logging pipeline settings sources startup store actix_web mongodb rusqlite",
    ),
    (
        "store",
        "api cli jobs lake logging pipeline settings sources startup actix_web object_store polars",
    ),
    ("jobs", "api cli settings startup actix_web mongodb rusqlite"),
    ("api", "cli jobs lake pipeline settings sources startup mongodb object_store polars rusqlite"),
    ("settings", "api cli startup actix_web"),
    ("startup.rs", "cli"),
    ("blocking.rs", "*"),
    ("error_chain.rs", "*"),
    ("lock.rs", "*"),
    ("logging.rs", "*"),
    ("metrics.rs", "*"),
];

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Code without comments, texts and what follows `#[cfg(test)]`.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if next == '"' {
            rest = after_text(&rest[1..]);
            code.push_str("\"\"");
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            rest = raw.find("\"#").map_or("", |end| &raw[end + 2..]);
            code.push_str("\"\"");
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            let end = rest[2..].find('\'').map_or(rest.len(), |end| end + 3);
            rest = &rest[end..];
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    code
}

/// What follows the end of a text that has just begun.
fn after_text(mut rest: &str) -> &str {
    while let Some(at) = rest.find(['"', '\\']) {
        if rest.as_bytes()[at] == b'"' {
            return &rest[at + 1..];
        }
        let escaped = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        rest = &rest[at + 1 + escaped..];
    }
    ""
}

/// The paths of a `use` tree: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn expand(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        if !name.is_empty() {
            paths.push(format!("{prefix}{name}"));
        }
        return;
    };
    let close = tree.rfind('}').unwrap_or(tree.len());
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let (mut depth, mut start) = (0, open + 1);
    for (at, sign) in tree.char_indices().skip_while(|(at, _)| *at <= open) {
        match sign {
            '{' => depth += 1,
            '}' if at < close => depth -= 1,
            ',' if depth == 0 => {
                expand(&tree[start..at], &prefix, paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&tree[start..close], &prefix, paths);
}

/// Every path that code mentions: those of `use` declarations, and those written in place.
fn mentioned(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let starts_item = rest[..at].ends_with(['\n', ' ', '{', ';']) || at == 0;
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        if starts_item {
            expand(&rest[at + 4..end].replace('\n', " "), "", &mut paths);
            rest = &rest[end..];
        } else {
            rest = &rest[at + 4..];
        }
    }
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let in_place = code.split(|c| !is_path(c)).map(|path| path.trim_matches(':'));
    paths.extend(in_place.filter(|path| path.contains("::")).map(str::to_owned));
    paths
}

/// The imports of every file of `src`: modules that are files, and crates.
struct Imports {
    /// From the module of each file to its path below `src`.
    files: BTreeMap<Vec<String>, String>,
    /// From each file to the files it imports.
    edges: BTreeMap<String, BTreeSet<String>>,
    /// From each file to the crates it imports.
    crates: BTreeMap<String, BTreeSet<String>>,
}

impl Imports {
    fn read() -> Self {
        let src = manifest_dir().join("src");
        let cargo = std::fs::read_to_string(manifest_dir().join("Cargo.toml")).unwrap();
        let dependencies: BTreeSet<String> = cargo
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, _)| name.trim().replace('-', "_"))
            .collect();
        let mut files = BTreeMap::new();
        for path in rust_files(&src) {
            let below = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            let module = below.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = module.split('/').map(str::to_owned);
            let module = module.filter(|part| part != "lib" && part != "main").collect();
            if below != "main.rs" {
                files.insert(module, below);
            }
        }
        let mut imports = Self { files, edges: BTreeMap::new(), crates: BTreeMap::new() };
        for (module, file) in imports.files.clone() {
            let code = code(&std::fs::read_to_string(src.join(&file)).unwrap());
            let (mut to, mut crates) = (BTreeSet::new(), BTreeSet::new());
            for path in mentioned(&code) {
                match imports.resolve(&module, &path) {
                    Some(target) if target != file => drop(to.insert(target)),
                    Some(_) => {}
                    None => {
                        let root = path.split("::").next().unwrap_or_default();
                        if dependencies.contains(root) {
                            crates.insert(root.to_owned());
                        }
                    }
                }
            }
            imports.edges.insert(file.clone(), to);
            imports.crates.insert(file, crates);
        }
        imports
    }

    /// The file that a path written in a module leads to; `None` when it leads out of the crate.
    fn resolve(&self, module: &[String], path: &str) -> Option<String> {
        let mut parts = path.split("::").peekable();
        let mut base: Vec<String> = match *parts.peek()? {
            "crate" => {
                parts.next();
                Vec::new()
            }
            "self" => {
                parts.next();
                module.to_vec()
            }
            "super" => {
                let mut base = module.to_vec();
                while parts.peek() == Some(&"super") {
                    parts.next();
                    base.pop();
                }
                base
            }
            first => {
                let mut child = module.to_vec();
                child.push(first.to_owned());
                if !self.files.contains_key(&child) {
                    return None;
                }
                module.to_vec()
            }
        };
        for part in parts {
            base.push(part.to_owned());
            if !self.files.contains_key(&base) {
                base.pop();
                break;
            }
        }
        // The root lists modules and holds nothing to import.
        self.files.get(&base).filter(|file| *file != "lib.rs").cloned()
    }

    /// Every file that these files import, directly or by way of others, each with the file it came by.
    fn reached(&self, from: &[String]) -> BTreeMap<String, String> {
        let mut reached: BTreeMap<String, String> = BTreeMap::new();
        let mut open: Vec<String> = from.to_vec();
        while let Some(file) = open.pop() {
            for next in &self.edges[&file] {
                if !reached.contains_key(next) {
                    reached.insert(next.clone(), file.clone());
                    open.push(next.clone());
                }
            }
        }
        reached
    }

    /// A circle through this file: the shortest way from it back to itself.
    fn circle(&self, file: &str) -> Option<Vec<String>> {
        let mut ways = std::collections::VecDeque::from([vec![file.to_owned()]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for next in &self.edges[way.last()?] {
                let mut longer = way.clone();
                longer.push(next.clone());
                if next == file {
                    return Some(longer);
                }
                if seen.insert(next.clone()) {
                    ways.push_back(longer);
                }
            }
        }
        None
    }
}

#[test]
fn arrows_point_down_along_every_path_of_imports() {
    let imports = Imports::read();
    let mut wrong = Vec::new();
    for (layer, forbidden) in UNREACHABLE {
        let is_within = |file: &str| file == *layer || file.starts_with(&format!("{layer}/"));
        let own: Vec<String> =
            imports.files.values().filter(|file| is_within(file)).cloned().collect();
        assert!(!own.is_empty(), "src/{layer} does not exist");
        let reached = imports.reached(&own);
        let is_forbidden = |name: &str| forbidden.split_whitespace().any(|other| other == name);
        for (file, by) in reached.iter().filter(|(file, _)| !is_within(file)) {
            let top = file.split(['/', '.']).next().unwrap_or_default();
            if is_forbidden(top) || is_forbidden("*") {
                wrong.push(format!("{layer} reaches {file} (imported by {by})"));
            }
        }
        for file in reached.keys().chain(&own) {
            for name in imports.crates[file].iter().filter(|name| is_forbidden(name)) {
                wrong.push(format!("{layer} reaches the crate {name} in {file}"));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = Imports::read();
    let circles: BTreeSet<String> = imports
        .edges
        .keys()
        .filter_map(|file| imports.circle(file))
        .map(|circle| circle.join(" -> "))
        .collect();
    let circles: Vec<String> = circles.into_iter().collect();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

/// The two tests above are only worth something if imports are found.
#[test]
fn imports_of_every_spelling_are_found() {
    let text = "use crate::a::{self, b::C, d::{E, F as G}};\nfn f() { super::x::y(); child::z(); }\n// use crate::no;\nconst T: &str = \"crate::no\";\n";
    let found = mentioned(&code(text));
    for path in ["crate::a::self", "crate::a::b::C", "crate::a::d::E", "crate::a::d::F"] {
        assert!(found.iter().any(|found| found == path), "{path} is not among {found:?}");
    }
    for path in ["super::x::y", "child::z"] {
        assert!(found.iter().any(|found| found == path), "{path} is not among {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("no")), "{found:?}");

    let imports = Imports::read();
    assert!(imports.edges["startup.rs"].contains("store/mod.rs"));
    assert!(imports.crates["catalogue/mod.rs"].is_empty());
    assert!(imports.crates["startup.rs"].contains("actix_web"));
}

#[test]
fn only_settings_read_the_environment() {
    for file in rust_files(&manifest_dir().join("src")) {
        let reads = code(&std::fs::read_to_string(&file).unwrap()).contains("env::var");
        assert!(
            !reads || file.ends_with("settings/load.rs"),
            "{} reads the environment",
            file.display()
        );
    }
}

#[test]
fn every_file_opens_with_what_it_owns_and_holds_one_room() {
    let dirs = ["src", "tests", "benches"].map(|dir| manifest_dir().join(dir));
    let mut wrong = Vec::new();
    for file in dirs.iter().flat_map(|dir| rust_files(dir)) {
        let shown = file.strip_prefix(manifest_dir()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.starts_with("//!") {
            wrong.push(format!("{shown} does not say what it owns"));
        }
        let header = text.lines().take_while(|line| line.starts_with("//!")).count();
        if header > 8 && !text.contains("//! ```text") {
            wrong.push(format!("{shown} opens with {header} lines"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{shown} has {lines} lines"));
        }
        let name = file.file_stem().unwrap().to_str().unwrap();
        if ["utils", "helpers", "common", "misc"].contains(&name) {
            wrong.push(format!("{shown} is a drawer"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
