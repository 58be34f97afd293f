//! What a run leaves behind about itself: sources, quality, proof, tables.
//!
//! The manifest is written to the lake last, as the commit point of a generation, and is stored
//! again by the serving store that publishes it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The two kinds of source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// `clients*.csv`: one row per customer.
    Clients,
    /// `achats*.csv`, `purchases*.csv`: one row per purchase.
    Achats,
}

impl SourceKind {
    /// Which kind a file name says it is, regardless of case; `None` for any other file.
    #[must_use]
    #[allow(clippy::case_sensitive_file_extension_comparisons)] // lower-cased on the first line
    pub fn of_file(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        if !name.ends_with(".csv") {
            None
        } else if name.starts_with("clients") {
            Some(Self::Clients)
        } else if name.starts_with("achats") || name.starts_with("purchases") {
            Some(Self::Achats)
        } else {
            None
        }
    }

    /// The name of the data set in paths and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Achats => "achats",
        }
    }
}

/// One source file as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Which data set it belongs to.
    pub kind: SourceKind,
    /// Its name in the sources layer.
    pub name: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// When this run first saw it.
    pub arrived_at: Timestamp,
    /// Its name in the bronze layer.
    pub bronze: String,
}

/// Rows in, rows out and why rows were rejected, for one data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetQuality {
    /// Names of the files read, in reading order.
    pub files: Vec<String>,
    /// Data rows read; always `rows_valid` plus all of `rejected`.
    pub rows_read: u64,
    /// Rows that reached silver.
    pub rows_valid: u64,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl DatasetQuality {
    /// How many rows were rejected, whatever the reason.
    #[must_use]
    pub fn rows_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Share of rejected rows in `[0, 1]`; 0 when nothing was read.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn reject_ratio(&self) -> f64 {
        if self.rows_read == 0 { 0.0 } else { self.rows_rejected() as f64 / self.rows_read as f64 }
    }
}

/// `quality_report.json`: what silver found in the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityReport {
    /// The customers.
    pub clients: DatasetQuality,
    /// The purchases.
    pub achats: DatasetQuality,
    /// Oddities by name that reject nothing.
    pub warnings: BTreeMap<String, u64>,
    /// The earliest instant at which a row rejected for lying in the future would be accepted.
    pub earliest_future: Option<Timestamp>,
}

/// One comparison of the proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofCheck {
    /// What was compared, in words.
    pub what: String,
    /// What it had to be.
    pub expected: String,
    /// What it was.
    pub found: String,
    /// Whether they agree.
    pub holds: bool,
}

/// One object that a manifest refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// Path within its layer.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// Where silver of a generation lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilverFiles {
    /// The customers.
    pub clients: TableFile,
    /// The purchases, a file per month, months ascending.
    pub achats: Vec<TableFile>,
    /// The rejected rows of the customers.
    pub rejected_clients: TableFile,
    /// The rejected rows of the purchases.
    pub rejected_achats: TableFile,
    /// The quality report.
    pub report: TableFile,
}

impl SilverFiles {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &TableFile> {
        [&self.clients, &self.rejected_clients, &self.rejected_achats, &self.report]
            .into_iter()
            .chain(&self.achats)
    }
}

/// A text made from its neighbours when first asked for; says nothing of its own, so any two are
/// equal.
#[derive(Debug, Clone)]
pub struct Memo<T>(OnceLock<T>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> PartialEq for Memo<T> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// Totals of a table that repeat the purchases it came from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of the revenue column as written, EUR.
    pub revenue: f64,
    /// Number of purchases; `None` where the table does not tell.
    pub purchases: Option<i64>,
}

impl Totals {
    /// Half a cent, EUR: revenues closer than this are the same to the cent.
    pub const HALF_CENT: f64 = 0.005;

    /// Whether revenues differ by less than `tolerance` and purchases, where both tell them, not at
    /// all.
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
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 over its schema and its files, hexadecimal: equal hashes mean equal tables.
    pub content_hash: String,
    /// Its files, in row order.
    pub files: Vec<TableFile>,
    /// Its totals, where it has a tally.
    pub totals: Option<Totals>,
    /// [`Self::physical_name`], once it has been asked for.
    #[serde(skip)]
    pub physical: Memo<String>,
}

impl TableEntry {
    /// The immutable name under which a store keeps these rows.
    #[must_use]
    pub fn physical_name(&self) -> &str {
        self.physical.0.get_or_init(|| {
            let hash = self.content_hash.get(..HASH_CHARS).unwrap_or(&self.content_hash);
            format!("{}_{hash}{PHYSICAL_SUFFIX}", self.name)
        })
    }
}

/// Hexadecimal characters of the hash in a physical name: 64 bits, enough that two contents of one
/// table never meet.
const HASH_CHARS: usize = 16;
/// What physical names end in.
const PHYSICAL_SUFFIX: &str = "_revision";

/// The table's name in a name that [`TableEntry::physical_name`] gives; `None` for any other name.
#[must_use]
pub fn table_in_physical_name(name: &str) -> Option<&str> {
    let (table, hash) = name.strip_suffix(PHYSICAL_SUFFIX)?.rsplit_once('_')?;
    let is_hex = hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && hash.len() == HASH_CHARS && !table.is_empty()).then_some(table)
}

/// Everything a run decided and produced; its presence in the lake makes the generation real.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The generation number, increasing by one with each run that builds gold.
    pub generation: u64,
    /// What built it, with version.
    pub engine: String,
    /// SHA-256 over sources, settings and engine: equal fingerprints give equal gold.
    pub fingerprint: String,
    /// The reference instant of the run.
    pub as_of: Timestamp,
    /// When the run started.
    pub started_at: Timestamp,
    /// When the manifest was written.
    pub committed_at: Timestamp,
    /// The sources read, by kind and name.
    pub sources: Vec<SourceFile>,
    /// Whether the sources are the generated sample, which a shop's own files need not resemble.
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
    /// What scores without training; `None` for generations older than models.
    #[serde(default)]
    pub models: Option<TableFile>,
    /// Where silver lies; `None` for generations older than this list.
    #[serde(default)]
    pub silver: Option<SilverFiles>,
}

impl Manifest {
    /// Everything in gold that it refers to.
    pub fn gold_files(&self) -> impl Iterator<Item = &TableFile> {
        self.tables.iter().flat_map(|table| &table.files).chain(&self.models)
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
    /// When it was published first.
    pub published_at: Timestamp,
    /// [`Self::shown_instants`], once they have been asked for.
    #[serde(skip)]
    pub shown: Memo<(String, String)>,
}

impl Published {
    /// A generation published at this instant.
    #[must_use]
    pub fn new(manifest: Manifest, published_at: Timestamp) -> Self {
        Self { manifest, published_at, shown: Memo::default() }
    }

    /// `as_of` (UTC without offset) and `published_at` (UTC with a `Z`) as answers show them.
    #[must_use]
    pub fn shown_instants(&self) -> &(String, String) {
        self.shown
            .0
            .get_or_init(|| (self.manifest.as_of.to_string(), format!("{}Z", self.published_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::{SourceKind, table_in_physical_name};

    #[test]
    fn only_names_with_a_hash_in_them_are_ours() {
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

    #[test]
    fn file_names_tell_their_kind_regardless_of_case() {
        assert_eq!(SourceKind::of_file("clients.csv"), Some(SourceKind::Clients));
        assert_eq!(SourceKind::of_file("Clients-2024.CSV"), Some(SourceKind::Clients));
        assert_eq!(SourceKind::of_file("purchases_q1.csv"), Some(SourceKind::Achats));
        assert_eq!(SourceKind::of_file("achats.csv"), Some(SourceKind::Achats));
        for other in ["clients.txt", "mes_clients.csv", "achats.csv.bak", "ground_truth.json"] {
            assert_eq!(SourceKind::of_file(other), None, "{other}");
        }
    }
}
