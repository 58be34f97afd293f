//! Where objects lie within their layer. Every path is made here.

use crate::domain::manifest::SourceKind;

/// The folder of a generation: `gen-000007`.
#[must_use]
pub fn generation(number: u64) -> String {
    format!("gen-{number:06}")
}

/// The number of a generation's folder; `None` for any other folder.
#[must_use]
pub fn generation_number(folder: &str) -> Option<u64> {
    /// More than a run a second for 30 000 years; keeps arithmetic on numbers far from its limits.
    const MOST: u64 = 1_000_000_000_000;
    folder.strip_prefix("gen-")?.parse().ok().filter(|number| *number < MOST)
}

/// A source file in bronze, by its content: `clients/<sha256>.csv`.
#[must_use]
pub fn bronze(kind: SourceKind, sha256: &str) -> String {
    format!("{}/{sha256}.csv", kind.word())
}

/// A gold table of a generation.
#[must_use]
pub fn gold_table(number: u64, table: &str) -> String {
    format!("{}/{table}.parquet", generation(number))
}

/// The manifest of a generation, in gold: its commit point.
#[must_use]
pub fn manifest(number: u64) -> String {
    format!("{}/manifest.json", generation(number))
}

/// The models of a generation, in gold.
#[must_use]
pub fn models(number: u64) -> String {
    format!("{}/models.json", generation(number))
}

/// The customers of a generation, in silver.
#[must_use]
pub fn silver_clients(number: u64) -> String {
    format!("{}/clients.parquet", generation(number))
}

/// The folder of a generation's purchases, in silver.
#[must_use]
pub fn silver_achats_folder(number: u64) -> String {
    format!("{}/achats", generation(number))
}

/// A month (`YYYY-MM`) of purchases of a generation, in silver.
#[must_use]
pub fn silver_achats(number: u64, month: &str) -> String {
    format!("{}/mois={month}/part-0.parquet", silver_achats_folder(number))
}

/// The folder of a generation's rejected rows, in silver.
#[must_use]
pub fn rejects_folder(number: u64) -> String {
    format!("{}/rejects", generation(number))
}

/// The rejected rows of a data set of a generation, in silver.
#[must_use]
pub fn rejects(number: u64, kind: SourceKind) -> String {
    format!("{}/{}.parquet", rejects_folder(number), kind.word())
}

/// The quality report of a generation, in silver.
#[must_use]
pub fn quality_report(number: u64) -> String {
    format!("{}/quality_report.json", generation(number))
}
