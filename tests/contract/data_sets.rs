//! A data set is declared in one place: nothing else may name one.

use std::path::{Path, PathBuf};

/// The declaration, the rules, what computes gold from the rows, and the fields of API responses,
/// which are a contract of their own.
const MAY_NAME_DATA_SETS: &[&str] = &["domain/data_set.rs", "pipeline/", "api/admin/"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The code of a file without its unit tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

#[test]
fn a_new_data_set_needs_edits_in_its_declaration_and_its_rules_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src).iter().filter(|path| path.extension().is_some_and(|end| end == "rs"))
    {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
        if MAY_NAME_DATA_SETS.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        let code = code(path);
        for variant in ["DataSet::Customers", "DataSet::Purchases"] {
            assert!(!code.contains(variant), "{name} names {variant}");
        }
    }
    // In the declaration each variant occurs as a variant and in the line of its definition; in
    // silver in the table of rules and where one data set refers to another.
    let declared = code(&src.join("domain/data_set.rs"));
    assert_eq!(declared.matches("Customers").count(), 2);
    let rules = code(&src.join("pipeline/silver/clean.rs"));
    assert_eq!(rules.matches("DataSet::Customers").count(), 1);
}
