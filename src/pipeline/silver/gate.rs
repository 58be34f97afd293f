//! The thresholds that sources are checked against, and how much each check matters.

use std::collections::BTreeMap;

use crate::domain::data_set::DataSet;
use crate::domain::quality::{CHECKS, Check, Severity};

/// What sources are checked against.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Greatest acceptable share of rejected rows of a data set, `[0, 1]`.
    pub max_reject_ratio: f64,
    /// Greatest acceptable fall of the valid rows of a data set since the last published run,
    /// `[0, 1]`.
    pub max_row_drop: f64,
    /// Greatest expected growth of the valid rows of a data set: 1 is twice as many.
    pub max_row_growth: f64,
    /// Greatest expected share of money that is left out, of what is sold, `[0, 1]`.
    pub max_left_out: f64,
    /// Greatest expected rise of the share of rows without a value, `[0, 1]`.
    pub max_null_rise: f64,
    /// Greatest expected share of lines with new products, countries or currencies, `[0, 1]`.
    pub max_new_share: f64,
    /// Greatest expected change of the mean amount of a line: 0.25 is a quarter up or down.
    pub max_mean_change: f64,
    /// Greatest expected population stability index of amounts.
    pub max_drift: f64,
    /// Severities that differ from those of [`CHECKS`].
    pub severities: BTreeMap<String, Severity>,
}

impl Gate {
    /// A check that holds when the value is not above the limit.
    pub(super) fn check(
        &self,
        name: &str,
        data_set: Option<DataSet>,
        (value, limit): (f64, f64),
        detail: String,
    ) -> Check {
        let severity = self.severities.get(name).copied().or_else(|| severity_of(name));
        let severity = severity.unwrap_or(Severity::Warn);
        Check {
            name: name.to_owned(),
            data_set,
            severity,
            holds: value <= limit,
            value,
            limit,
            detail,
        }
    }
}

fn severity_of(name: &str) -> Option<Severity> {
    CHECKS.iter().find(|(other, _)| *other == name).map(|(_, severity)| *severity)
}
