//! One data set: the rules that it is cleaned by, and what they make of it.

use std::collections::BTreeMap;

use polars::prelude::{DataFrame, PlHashMap};

use super::found::FoundCustomers;
use super::layer::CleaningOptions;
use super::raw_table::RawTable;
use crate::domain::account::Account;
use crate::domain::data_set::PerDataSet;
use crate::domain::file_rows::FileRows;
use crate::domain::time::Timestamp;
use crate::pipeline::Result;

/// One data set after its rules were applied.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// The typed rows.
    pub valid: DataFrame,
    /// The raw rows with source_file, line_number and reason.
    pub rejected: DataFrame,
    /// The earliest rejected instant after the start of the run.
    pub earliest_future: Option<Timestamp>,
    /// Rows that look wrong but are not rejected, by warning.
    pub warnings: Vec<(&'static str, u64)>,
    /// Rows that are neither valid nor rejected, by reason.
    pub set_aside: BTreeMap<String, u64>,
    /// What became of the rows of each file.
    pub files: Vec<FileRows>,
    /// Where the money of its files went.
    pub accounts: Vec<Account>,
    /// Sentences about what is not served as it stands.
    pub findings: Vec<String>,
    /// What its rows say of customers; `None` when they say nothing of them.
    pub found: Option<FoundCustomers>,
    /// The numbers of customers by telephone number.
    pub phones: PlHashMap<String, i64>,
}

/// What the data sets before another one hold.
pub(super) struct Earlier {
    /// Their valid rows.
    pub(super) valid: PerDataSet<DataFrame>,
    /// The numbers of customers by telephone number.
    pub(super) phones: PlHashMap<String, i64>,
}

/// How a data set is read and cleaned.
pub(super) struct Rules {
    /// Reads the values of every row, whatever other data sets hold.
    pub(super) read: fn(RawTable, &CleaningOptions) -> Result<Box<dyn ReadRows>>,
}

/// A data set whose values have been read.
pub(super) trait ReadRows: Send {
    /// Validates every row.
    fn clean(self: Box<Self>, options: &CleaningOptions, earlier: &Earlier) -> Result<Cleaned>;
}
