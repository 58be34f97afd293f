//! A data set is declared in one place: nothing else may name one.

use std::path::{Path, PathBuf};

use goldsmith::domain::data_set::DataSet;
use goldsmith::domain::files::SilverFiles;
use goldsmith::domain::quality::QualityReport;
use goldsmith::runs::RunQuality;
use mongodb::bson::{deserialize_from_bson, serialize_to_bson};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The declaration, the headers, the rules, what computes gold from the rows, and the fields of API responses,
/// which are a contract of their own.
const MAY_NAME_DATA_SETS: &[&str] =
    &["domain/data_set.rs", "sources/", "pipeline/", "api/admin/", "api/quality.rs"];

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

/// Reads a document as version 0.1 wrote it and writes it again, as JSON and as BSON.
#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned>(json: &str) -> T {
    let read: T = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    let stored = serialize_to_bson(&read).unwrap();
    let read: T = deserialize_from_bson(stored).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    read
}

#[test]
fn documents_by_data_set_keep_their_persisted_form() {
    let quality: RunQuality = round_trip(
        r#"{"clients":{"read":5,"valid":3,"rejected":2},"achats":{"read":7,"valid":7,"rejected":0},"rejected":{"invalid_id":2},"warnings":{"unreadable_prix":1}}"#,
    );
    assert_eq!(quality.data_sets[DataSet::Customers].rejected, 2);
    assert_eq!(quality.data_sets[DataSet::Purchases].valid, 7);
    let report: QualityReport = round_trip(
        r#"{"clients":{"files":["clients.csv"],"rows_read":3,"rows_valid":2,"rejected":{"invalid_id":1}},"achats":{"files":["achats.csv"],"rows_read":5,"rows_valid":5,"rejected":{}},"warnings":{},"earliest_future":"2030-01-01T00:00:00"}"#,
    );
    assert_eq!(report.data_sets[DataSet::Customers].rows_rejected(), 1);
    let files: SilverFiles = round_trip(
        r#"{"clients":{"path":"c","size_bytes":1,"sha256":"a"},"achats":[{"path":"p1","size_bytes":1,"sha256":"a"},{"path":"p2","size_bytes":1,"sha256":"a"}],"rejected_clients":{"path":"rc","size_bytes":1,"sha256":"a"},"rejected_achats":{"path":"rp","size_bytes":1,"sha256":"a"},"report":{"path":"q","size_bytes":1,"sha256":"a"}}"#,
    );
    assert_eq!(files.data_sets[DataSet::Purchases].valid.len(), 2);
}
