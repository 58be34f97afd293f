//! From raw text to silver: applies the rules of every data set.

use polars::prelude::*;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::cleaned::{Cleaned, Earlier, Rules};
use super::customer::Listed;
use super::layer::{CleaningOptions, Silver};
use super::raw_table::RawTable;
use super::{customers, purchases, quality};
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::quality::QualityReport;
use crate::pipeline::Result;

fn rules_of(set: DataSet) -> &'static Rules {
    match set {
        DataSet::Customers => &customers::RULES,
        DataSet::Purchases => &purchases::RULES,
    }
}

/// Cleans the raw rows of every data set, as `sources::read` gives them. The report does not name files.
///
/// # Errors
/// Any error of the query engine.
pub fn clean(raw: PerDataSet<RawTable>, options: &CleaningOptions) -> Result<Silver> {
    let mut earlier = Earlier {
        valid: PerDataSet::from_fn(|_| DataFrame::empty()),
        phones: PlHashMap::default(),
    };
    let mut rejected = PerDataSet::from_fn(|_| DataFrame::empty());
    let mut report = QualityReport::default();
    // Beside one another.
    let read = |(set, raw): (DataSet, RawTable)| (set, (rules_of(set).read)(raw, options));
    let read: Vec<_> = raw.into_iter().collect::<Vec<_>>().into_par_iter().map(read).collect();
    for (set, rows) in read {
        let mut cleaned = rows?.clean(options, &earlier)?;
        report.data_sets[set] = quality::counts(&cleaned)?;
        if let Some(found) = cleaned.found.take() {
            found.complete(&mut earlier.valid)?;
        }
        report.accounts.append(&mut cleaned.accounts);
        report.file_rows.append(&mut cleaned.files);
        report.findings.append(&mut cleaned.findings);
        let warnings = cleaned.warnings.iter().map(|(name, rows)| ((*name).to_owned(), *rows));
        report.warnings.extend(warnings);
        report.earliest_future =
            [report.earliest_future, cleaned.earliest_future].into_iter().flatten().min();
        earlier.phones.extend(cleaned.phones);
        earlier.valid[set] = cleaned.valid;
        rejected[set] = cleaned.rejected;
    }
    Ok(Silver { valid: earlier.valid, rejected, report })
}

/// Cleans purchases without a list of customers: every customer that they name is accepted.
///
/// # Errors
/// As [`clean`].
pub fn clean_purchases(raw: RawTable, options: &CleaningOptions) -> Result<Cleaned> {
    purchases::clean(raw, options, &Listed::default())
}
