//! The files that a manifest refers to: those of sources, silver and gold.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::data_set::{DataSet, Layout, PerDataSet};
use super::time::Timestamp;
use super::verdict::Verdict;

/// One source file as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The data set it belongs to.
    #[serde(rename = "kind")]
    pub data_set: DataSet,
    /// Its name in the sources layer.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// When the run found it.
    pub arrived_at: Timestamp,
    /// Its name in the bronze layer.
    pub bronze: String,
    /// How it is read; `None` in manifests older than verdicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// A file of the sources layer that no run reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadFile {
    /// Its name in the sources layer.
    pub name: String,
    /// Why it is not read: a sentence that follows the name, and perhaps, after an empty line, lines for
    /// the settings file that would map it.
    pub problem: String,
}

impl UnreadFile {
    /// The sentence alone.
    #[must_use]
    pub fn sentence(&self) -> &str {
        self.problem.split_once("\n\n").map_or(&self.problem, |(sentence, _)| sentence)
    }

    /// The lines for the settings file.
    #[must_use]
    pub fn mapping(&self) -> Option<&str> {
        self.problem.split_once("\n\n").map(|(_, mapping)| mapping.trim_end())
    }
}

/// A file of corrected rows, beside the source files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionFile {
    /// Its name in the sources layer.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its name in the bronze layer.
    pub bronze: String,
}

/// An object of the lake that a manifest refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// Path within its layer.
    pub path: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// Where the silver layer of a generation lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilverFiles {
    /// The files of each data set.
    pub data_sets: PerDataSet<DataSetFiles>,
    /// The quality report.
    pub report: TableFile,
    /// Rejected rows as CSV, by source file; none in manifests older than these.
    pub rejects: Vec<RejectsFile>,
    /// What corrections replaced, as CSV; `None` where nothing was corrected.
    pub changes: Option<TableFile>,
}

/// The rejected rows of a source file as CSV, with the columns of that file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectsFile {
    /// The source file's name.
    pub source: String,
    /// The data set it belongs to.
    #[serde(rename = "kind")]
    pub data_set: DataSet,
    /// Number of rejected records.
    pub rows: u64,
    /// Where the CSV lies in silver.
    #[serde(flatten)]
    pub file: TableFile,
}

/// The silver files of one data set; none for a data set that the generation's version did not
/// know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSetFiles {
    /// The valid rows: one file, or one per month, ascending, as [`DataSet::layout`] says.
    pub valid: Vec<TableFile>,
    /// The rejected rows.
    pub rejected: Option<TableFile>,
}

impl SilverFiles {
    /// Every file.
    pub fn all(&self) -> impl Iterator<Item = &TableFile> {
        let of_data_sets =
            self.data_sets.values().flat_map(|files| files.valid.iter().chain(&files.rejected));
        let rejects = self.rejects.iter().map(|rejects| &rejects.file);
        of_data_sets.chain([&self.report]).chain(rejects).chain(&self.changes)
    }
}

/// What precedes the name of a data set in the key of its rejected rows.
const REJECTED: &str = "rejected_";
const REPORT: &str = "report";
/// Beside `rejected_<name>`, which no data set is called.
const REJECTS: &str = "rejects";
const CHANGES: &str = "corrections";

/// `{"<name>": file or files, ..., "rejected_<name>": file, ..., "report": file}`.
impl Serialize for SilverFiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (set, files) in self.data_sets.iter() {
            match (set.layout(), &files.valid[..]) {
                (Layout::SingleFile, [file]) => map.serialize_entry(set.name(), file)?,
                (Layout::SingleFile, []) => {}
                (_, files) => map.serialize_entry(set.name(), files)?,
            }
        }
        for (set, files) in self.data_sets.iter() {
            if let Some(file) = &files.rejected {
                map.serialize_entry(&format!("{REJECTED}{set}"), file)?;
            }
        }
        map.serialize_entry(REPORT, &self.report)?;
        if !self.rejects.is_empty() {
            map.serialize_entry(REJECTS, &self.rejects)?;
        }
        if let Some(changes) = &self.changes {
            map.serialize_entry(CHANGES, changes)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for SilverFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Entry {
            File(TableFile),
            Rejects(Vec<RejectsFile>),
            Files(Vec<TableFile>),
            /// Of a later version.
            Unknown(IgnoredAny),
        }

        let mut entries = BTreeMap::<String, Entry>::deserialize(deserializer)?;
        let rejects = match entries.remove(REJECTS) {
            Some(Entry::Rejects(rejects)) => rejects,
            _ => Vec::new(),
        };
        let mut take = |key: &str| match entries.remove(key) {
            Some(Entry::File(file)) => Some(vec![file]),
            Some(Entry::Files(files)) => Some(files),
            // An empty list is one of either.
            Some(Entry::Rejects(none)) if none.is_empty() => Some(Vec::new()),
            Some(Entry::Rejects(_) | Entry::Unknown(_)) | None => None,
        };
        let missing = |key: &str| serde::de::Error::custom(format!("missing field `{key}`"));
        let data_sets = PerDataSet::try_from_fn(|set| {
            let rejected_key = format!("{REJECTED}{set}");
            let (valid, rejected) = (take(set.name()), take(&rejected_key));
            if set.is_required() && valid.is_none() {
                return Err(missing(set.name()));
            }
            if set.is_required() && rejected.is_none() {
                return Err(missing(&rejected_key));
            }
            let rejected = rejected.and_then(|mut files| files.pop());
            Ok(DataSetFiles { valid: valid.unwrap_or_default(), rejected })
        })?;
        let report = take(REPORT).and_then(|mut files| files.pop());
        let report = report.ok_or_else(|| missing(REPORT))?;
        let changes = take(CHANGES).and_then(|mut files| files.pop());
        Ok(Self { data_sets, report, rejects, changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> TableFile {
        TableFile { path: path.to_owned(), size_bytes: 1, sha256: "a".to_owned() }
    }

    /// Documents as version 0.1 wrote them.
    #[test]
    fn files_keep_their_persisted_form() {
        let files = r#"{"clients":{"path":"c","size_bytes":1,"sha256":"a"},"achats":[{"path":"p1","size_bytes":1,"sha256":"a"},{"path":"p2","size_bytes":1,"sha256":"a"}],"rejected_clients":{"path":"rc","size_bytes":1,"sha256":"a"},"rejected_achats":{"path":"rp","size_bytes":1,"sha256":"a"},"report":{"path":"q","size_bytes":1,"sha256":"a"}}"#;
        let read: SilverFiles = serde_json::from_str(files).unwrap();
        let purchases = &read.data_sets[DataSet::Purchases];
        assert_eq!(purchases.valid, [file("p1"), file("p2")]);
        assert_eq!(purchases.rejected, Some(file("rp")));
        assert_eq!(read.all().count(), 6);
        assert_eq!(serde_json::to_string(&read).unwrap(), files);

        let newer = files.replace(
            r#","report""#,
            r#","report":{"path":"q","size_bytes":1,"sha256":"a"},"rejects":[{"source":"a.csv","kind":"achats","rows":2,"path":"r","size_bytes":1,"sha256":"a"}],"corrections""#,
        );
        let read: SilverFiles = serde_json::from_str(&newer).unwrap();
        assert_eq!((read.rejects[0].rows, read.all().count()), (2, 8));
        assert_eq!(serde_json::to_string(&read).unwrap(), newer);

        let incomplete = files.replace("rejected_achats", "rejected_other");
        let error = serde_json::from_str::<SilverFiles>(&incomplete).unwrap_err();
        assert!(error.to_string().contains("rejected_achats"), "{error}");

        let source = r#"{"kind":"achats","name":"achats.csv","size_bytes":1,"sha256":"a","arrived_at":"2024-01-01T00:00:00","bronze":"achats/a.csv"}"#;
        let read: SourceFile = serde_json::from_str(source).unwrap();
        assert_eq!(read.data_set, DataSet::Purchases);
        assert_eq!(serde_json::to_string(&read).unwrap(), source);
    }
}
