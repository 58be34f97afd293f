//! What a run records about a generation: sources, quality, proof, tables.
//!
//! The manifest is written to the lake last: it is the commit point of a generation. The serving
//! store that publishes the generation stores it again.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::de::IgnoredAny;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::account::Account;
use super::data_set::{DataSet, Layout, PerDataSet};
use super::schema::Table;
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

/// Rows in, rows out and why rows were rejected, for one data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetQuality {
    /// Names of the files read, in reading order.
    pub files: Vec<String>,
    /// Data rows read; always `rows_valid` plus all of `rejected` and `set_aside`.
    pub rows_read: u64,
    /// Rows that reached silver.
    pub rows_valid: u64,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Rows that are neither valid nor errors, by reason: repeats, earlier versions, rows of totals.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<String, u64>,
}

impl DataSetQuality {
    /// The number of rejected rows.
    #[must_use]
    pub fn rows_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// The share of rejected rows, `[0, 1]`; 0 when nothing was read.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn reject_ratio(&self) -> f64 {
        if self.rows_read == 0 { 0.0 } else { self.rows_rejected() as f64 / self.rows_read as f64 }
    }
}

/// `quality_report.json`: what silver found in the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityReport {
    /// The counts of each data set.
    #[serde(flatten)]
    pub data_sets: PerDataSet<DataSetQuality>,
    /// Rows that look wrong but are not rejected, by warning.
    pub warnings: BTreeMap<String, u64>,
    /// The earliest instant at which a row rejected for lying in the future would be accepted.
    pub earliest_future: Option<Timestamp>,
    /// Where the money of each file went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// Sentences about what is not served as it stands in the sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// One comparison of the proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofCheck {
    /// What was compared.
    pub what: String,
    /// The expected value.
    pub expected: String,
    /// The value found.
    pub found: String,
    /// Whether they agree.
    pub holds: bool,
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
        of_data_sets.chain([&self.report])
    }
}

/// What precedes the name of a data set in the key of its rejected rows.
const REJECTED: &str = "rejected_";
const REPORT: &str = "report";

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
        map.end()
    }
}

impl<'de> Deserialize<'de> for SilverFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Entry {
            File(TableFile),
            Files(Vec<TableFile>),
            /// Of a later version.
            Unknown(IgnoredAny),
        }

        let mut entries = BTreeMap::<String, Entry>::deserialize(deserializer)?;
        let mut take = |key: &str| match entries.remove(key) {
            Some(Entry::File(file)) => Some(vec![file]),
            Some(Entry::Files(files)) => Some(files),
            Some(Entry::Unknown(_)) | None => None,
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
        Ok(Self { data_sets, report })
    }
}

/// The totals of purchases that a table repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of the revenue column as written, EUR.
    pub revenue: f64,
    /// Number of purchases; `None` if the table does not state it.
    pub purchases: Option<i64>,
}

impl Totals {
    /// Half a cent, EUR: revenues closer than this are equal to the cent.
    pub const HALF_CENT: f64 = 0.005;

    /// Whether the revenues differ by less than `tolerance`, and the numbers of purchases, if both
    /// are known, are equal.
    #[must_use]
    pub fn agrees_with(self, other: Self, tolerance: f64) -> bool {
        let same_purchases = match (self.purchases, other.purchases) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        same_purchases && (self.revenue - other.revenue).abs() < tolerance
    }
}

/// One gold table of a generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableEntry {
    /// The table's name.
    pub name: String,
    /// Its number of rows.
    pub rows: u64,
    /// SHA-256 over its schema and its files, hexadecimal: tables with equal hashes are equal.
    pub content_hash: String,
    /// Its files, in row order.
    pub files: Vec<TableFile>,
    /// Its totals, if it has a tally.
    pub totals: Option<Totals>,
    /// Its columns; `None` for generations older than this list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    #[serde(skip)]
    physical_name: Cached<String>,
}

impl TableEntry {
    /// An entry for a table that was written.
    #[must_use]
    pub fn new(
        table: &Table,
        rows: u64,
        content_hash: String,
        files: Vec<TableFile>,
        totals: Option<Totals>,
    ) -> Self {
        let name = table.name.to_owned();
        let columns = table.columns.iter().map(|column| column.name.to_owned()).collect();
        let columns = Some(columns);
        Self { name, rows, content_hash, files, totals, columns, physical_name: Cached::default() }
    }

    /// The immutable name under which a store holds these rows.
    #[must_use]
    pub fn physical_name(&self) -> &str {
        self.physical_name.0.get_or_init(|| {
            let hash = self.content_hash.get(..HASH_CHARS).unwrap_or(&self.content_hash);
            format!("{}_{hash}{PHYSICAL_SUFFIX}", self.name)
        })
    }
}

/// Hexadecimal characters of the hash in a physical name: 64 bits, enough to rule out collisions
/// between contents of one table.
const HASH_CHARS: usize = 16;
/// The end of every physical name.
const PHYSICAL_SUFFIX: &str = "_revision";

/// The name of the table in a [`TableEntry::physical_name`]; `None` for any other name.
#[must_use]
pub fn table_in_physical_name(name: &str) -> Option<&str> {
    let (table, hash) = name.strip_suffix(PHYSICAL_SUFFIX)?.rsplit_once('_')?;
    let is_hex = hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && hash.len() == HASH_CHARS && !table.is_empty()).then_some(table)
}

/// Everything a run decided and produced. A generation exists once its manifest is in the lake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of the generation, increased by one by each run that builds gold.
    pub generation: u64,
    /// The program and version that built it.
    pub engine: String,
    /// SHA-256 over sources, settings and engine: equal fingerprints give equal gold.
    pub fingerprint: String,
    /// The reference instant of the run.
    pub as_of: Timestamp,
    /// When the run started.
    pub started_at: Timestamp,
    /// When the manifest was written.
    pub committed_at: Timestamp,
    /// The source files, by data set and in the order they are read.
    pub sources: Vec<SourceFile>,
    /// Files that lay beside them and were not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadFile>,
    /// Whether the sources are the generated sample. A later run on real files is not compared with
    /// it.
    #[serde(default)]
    pub is_sample: bool,
    /// The quality report.
    pub quality: QualityReport,
    /// Purchases left out because they are later than `as_of`.
    pub purchases_after_as_of: u64,
    /// The proof.
    pub proof: Vec<ProofCheck>,
    /// The gold tables.
    pub tables: Vec<TableEntry>,
    /// The trained models; `None` for generations older than models.
    #[serde(default)]
    pub models: Option<TableFile>,
    /// The files of silver; `None` for generations older than this list.
    #[serde(default)]
    pub silver: Option<SilverFiles>,
}

impl Manifest {
    /// Every file in gold that it refers to.
    pub fn gold_files(&self) -> impl Iterator<Item = &TableFile> {
        self.tables.iter().flat_map(|table| &table.files).chain(&self.models)
    }

    /// Whether a version of before the last change of the catalogue wrote it: it may lack tables and
    /// columns.
    #[must_use]
    pub fn is_of_earlier_version(&self) -> bool {
        self.tables.iter().any(|table| table.columns.is_none())
    }

    /// The entry of a table, by the table's name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&TableEntry> {
        self.tables.iter().find(|table| table.name == name)
    }
}

/// A generation as a store serves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The manifest it was published from.
    pub manifest: Manifest,
    /// When it was first published.
    pub published_at: Timestamp,
    #[serde(skip)]
    shown_instants: Cached<(String, String)>,
}

impl Published {
    /// A generation published at this instant.
    #[must_use]
    pub fn new(manifest: Manifest, published_at: Timestamp) -> Self {
        Self { manifest, published_at, shown_instants: Cached::default() }
    }

    /// `as_of` (UTC without offset) and `published_at` (UTC with a `Z`) as answers show them.
    #[must_use]
    pub fn shown_instants(&self) -> &(String, String) {
        self.shown_instants
            .0
            .get_or_init(|| (self.manifest.as_of.to_string(), format!("{}Z", self.published_at)))
    }
}

/// A text derived from the fields beside it, formatted once: every request needs it. It does not
/// count when values are compared.
#[derive(Debug, Clone)]
struct Cached<T>(OnceLock<T>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> PartialEq for Cached<T> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_content_hash_are_physical_names() {
        assert_eq!(table_in_physical_name("kpis_0123456789abcdef_revision"), Some("kpis"));
        for other in [
            "budget_revision",
            "_0123456789abcdef_revision",
            "kpis_0123456789abcdeg_revision",
            "kpis_0123456789abcde_revision",
            "kpis_0123456789abcdef",
        ] {
            assert_eq!(table_in_physical_name(other), None, "{other}");
        }
    }

    fn file(path: &str) -> TableFile {
        TableFile { path: path.to_owned(), size_bytes: 1, sha256: "a".to_owned() }
    }

    /// Documents as version 0.1 wrote them.
    #[test]
    fn silver_files_and_quality_reports_keep_their_persisted_form() {
        let report = r#"{"clients":{"files":["clients.csv"],"rows_read":3,"rows_valid":2,"rejected":{"invalid_id":1}},"achats":{"files":["achats.csv"],"rows_read":5,"rows_valid":5,"rejected":{}},"warnings":{"unreadable_prix":4},"earliest_future":"2030-01-01T00:00:00"}"#;
        let read: QualityReport = serde_json::from_str(report).unwrap();
        assert_eq!(read.data_sets[DataSet::Customers].rows_rejected(), 1);
        assert_eq!(read.data_sets[DataSet::Purchases].rows_valid, 5);
        assert_eq!(serde_json::to_string(&read).unwrap(), report);

        let files = r#"{"clients":{"path":"c","size_bytes":1,"sha256":"a"},"achats":[{"path":"p1","size_bytes":1,"sha256":"a"},{"path":"p2","size_bytes":1,"sha256":"a"}],"rejected_clients":{"path":"rc","size_bytes":1,"sha256":"a"},"rejected_achats":{"path":"rp","size_bytes":1,"sha256":"a"},"report":{"path":"q","size_bytes":1,"sha256":"a"}}"#;
        let read: SilverFiles = serde_json::from_str(files).unwrap();
        let purchases = &read.data_sets[DataSet::Purchases];
        assert_eq!(purchases.valid, [file("p1"), file("p2")]);
        assert_eq!(purchases.rejected, Some(file("rp")));
        assert_eq!(read.all().count(), 6);
        assert_eq!(serde_json::to_string(&read).unwrap(), files);

        let incomplete = files.replace("rejected_achats", "rejected_other");
        let error = serde_json::from_str::<SilverFiles>(&incomplete).unwrap_err();
        assert!(error.to_string().contains("rejected_achats"), "{error}");

        let source = r#"{"kind":"achats","name":"achats.csv","size_bytes":1,"sha256":"a","arrived_at":"2024-01-01T00:00:00","bronze":"achats/a.csv"}"#;
        let read: SourceFile = serde_json::from_str(source).unwrap();
        assert_eq!(read.data_set, DataSet::Purchases);
        assert_eq!(serde_json::to_string(&read).unwrap(), source);
    }
}
