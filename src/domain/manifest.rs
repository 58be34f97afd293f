//! What a run records about a generation: sources, quality, proof, tables.
//!
//! The manifest is written to the lake last: it is the commit point of a generation. The serving
//! store that publishes the generation stores it again.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::files::{CorrectionFile, SilverFiles, SourceFile, TableFile, UnreadFile};
use super::quality::QualityReport;
use super::schema::Table;
use super::time::Timestamp;
use super::zone::Zone;

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
    /// The reference instant of the data.
    pub as_of: Timestamp,
    /// Where the clocks are that show the instants of its data; UTC in generations older than this.
    #[serde(default)]
    pub timezone: Zone,
    /// When the run started.
    pub started_at: Timestamp,
    /// When the manifest was written.
    pub committed_at: Timestamp,
    /// The source files, by data set and in the order they are read.
    pub sources: Vec<SourceFile>,
    /// Files that lay beside them and were not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadFile>,
    /// Files of corrected rows, in the order in which they count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<CorrectionFile>,
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

    /// `as_of` (without offset, as the shop's clocks show it) and `published_at` (UTC with a `Z`) as answers show them.
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
}
