//! What goes into silver and what comes out of it.

use polars::prelude::DataFrame;

use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::manifest::QualityReport;
use crate::domain::time::Timestamp;
use crate::pipeline::Result;

/// What cleaning depends on besides the rows.
#[derive(Debug, Clone, Copy)]
pub struct CleaningOptions {
    /// Greatest acceptable amount of one purchase, EUR.
    pub max_amount: f64,
    /// Start of the run: later dates lie in the future.
    pub run_start: Timestamp,
}

/// The silver layer of one run.
#[derive(Debug)]
pub struct Silver {
    /// The typed rows of each data set, ascending by its key.
    pub valid: PerDataSet<DataFrame>,
    /// The rejected rows of each data set: raw texts, source_file, line_number, reason.
    pub rejected: PerDataSet<DataFrame>,
    /// The counts.
    pub report: QualityReport,
}

impl Silver {
    /// The valid customers: id_client, nom, email, date_inscription, pays.
    #[must_use]
    pub fn customers(&self) -> &DataFrame {
        &self.valid[DataSet::Customers]
    }

    /// The valid purchases: id_achat, id_client, date_achat, montant, produit, quantite, prix.
    #[must_use]
    pub fn purchases(&self) -> &DataFrame {
        &self.valid[DataSet::Purchases]
    }
}

/// One data set after its rules were applied.
#[derive(Debug)]
pub struct Cleaned {
    /// The typed rows.
    pub valid: DataFrame,
    /// The raw rows with source_file, line_number and reason.
    pub rejected: DataFrame,
    /// The earliest rejected instant after the start of the run.
    pub earliest_future: Option<Timestamp>,
    /// Rows that look wrong but are not rejected, by warning.
    pub warnings: Vec<(&'static str, u64)>,
}

/// How a data set is read and cleaned.
pub(super) struct Rules {
    /// Validates every raw row. The third argument holds the valid rows of the data sets before
    /// this one.
    pub(super) clean: fn(DataFrame, &CleaningOptions, &PerDataSet<DataFrame>) -> Result<Cleaned>,
}
