//! The quality of sources as a run found it: counts, money, sentences and checks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::data_set::{DataSet, PerDataSet};
use super::file_rows::FileRows;
use super::time::Timestamp;

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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    /// The counts of each data set.
    #[serde(flatten)]
    pub data_sets: PerDataSet<DataSetQuality>,
    /// Rows that look wrong but are not rejected, by warning.
    pub warnings: BTreeMap<String, u64>,
    /// The earliest instant at which a row rejected for lying in the future would be accepted.
    pub earliest_future: Option<Timestamp>,
    /// How each file was read and what became of its rows; none in reports older than it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_rows: Vec<FileRows>,
    /// Where the money of each file went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// Sentences about what is not served as it stands in the sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// What files of corrected rows did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<CorrectionOutcome>,
    /// What was checked, and whether it held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// What later runs are compared with; `None` in reports older than it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
}

/// How much it matters that a check does not hold.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// It is worth knowing.
    Info,
    /// It should be looked into.
    Warn,
    /// The run stops, unless it is forced.
    Block,
}

/// A check of the sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, one of [`CHECKS`].
    pub name: String,
    /// The data set that it is about.
    #[serde(rename = "kind", default, skip_serializing_if = "Option::is_none")]
    pub data_set: Option<DataSet>,
    /// How much it matters when it does not hold.
    pub severity: Severity,
    /// Whether it holds.
    pub holds: bool,
    /// What was measured.
    pub value: f64,
    /// The greatest value with which it holds.
    pub limit: f64,
    /// What was found, in a sentence.
    pub detail: String,
}

/// Every check, with the severity it has unless the settings say otherwise.
pub const CHECKS: [(&str, Severity); 17] = [
    ("reject_ratio", Severity::Block),
    ("row_drop", Severity::Block),
    ("row_growth", Severity::Info),
    ("left_out", Severity::Warn),
    ("null_share", Severity::Warn),
    ("new_categories", Severity::Info),
    ("amount_mean", Severity::Warn),
    ("amount_drift", Severity::Warn),
    ("customers_sharing_email", Severity::Info),
    ("doubtful_email", Severity::Warn),
    ("missing_nom", Severity::Info),
    ("missing_email", Severity::Info),
    ("missing_pays", Severity::Info),
    ("missing_produit", Severity::Info),
    ("purchases_before_signup", Severity::Info),
    ("unlisted_customer", Severity::Warn),
    ("unreadable_value", Severity::Warn),
];

/// What the rows of a run look like, for comparisons with later runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Rows without a value, by column of silver.
    pub nulls: PerDataSet<BTreeMap<String, u64>>,
    /// Rows by category, by column of purchases.
    pub categories: BTreeMap<String, Categories>,
    /// The amounts of sale lines; `None` where there is no sale.
    pub amounts: Option<Amounts>,
}

/// How often the texts of a column occur.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    /// The most frequent texts with their rows, by text; a list, since a database may not take every text as a key.
    pub texts: Vec<(String, u64)>,
    /// The texts beyond them.
    pub others: u64,
}

/// How amounts are distributed, in units of the currency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Amounts {
    /// Number of sale lines.
    pub lines: u64,
    /// Their mean.
    pub mean: f64,
    /// The 5th, 25th, 50th, 75th and 95th percentile.
    pub percentiles: [f64; 5],
    /// Lines by size: the class of an amount is four times its binary logarithm, rounded down.
    pub classes: Vec<(i16, u64)>,
}

/// What a file of corrected rows did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionOutcome {
    /// Its name in the sources layer.
    pub file: String,
    /// Its rows.
    pub rows: u64,
    /// Records of source files that its rows replaced.
    pub corrected: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::data_set::DataSet;

    /// A document as version 0.1 wrote it.
    #[test]
    fn a_quality_report_keeps_its_persisted_form() {
        let report = r#"{"clients":{"files":["clients.csv"],"rows_read":3,"rows_valid":2,"rejected":{"invalid_id":1}},"achats":{"files":["achats.csv"],"rows_read":5,"rows_valid":5,"rejected":{}},"warnings":{"unreadable_prix":4},"earliest_future":"2030-01-01T00:00:00"}"#;
        let read: QualityReport = serde_json::from_str(report).unwrap();
        assert_eq!(read.data_sets[DataSet::Customers].rows_rejected(), 1);
        assert_eq!(read.data_sets[DataSet::Purchases].rows_valid, 5);
        assert_eq!(serde_json::to_string(&read).unwrap(), report);
    }
}
