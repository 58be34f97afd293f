//! The quality counts and the gate that stops runs on bad sources.

use std::collections::BTreeMap;

use super::cleaned::Cleaned;
use super::columns::REASON;
use crate::domain::data_set::DataSet;
use crate::domain::manifest::{DataSetQuality, QualityReport};
use crate::pipeline::{PipelineError, Result};

/// The thresholds of the quality gate.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Greatest acceptable share of rejected rows of a data set, `[0, 1]`.
    pub max_reject_ratio: f64,
    /// Greatest acceptable fall of the valid rows of a data set since the last published run,
    /// `[0, 1]`.
    pub max_row_drop: f64,
}

/// Counts the valid and rejected rows of a data set. The caller adds the file names.
pub(super) fn counts(cleaned: &Cleaned) -> Result<DataSetQuality> {
    let mut rejected = BTreeMap::new();
    for reason in cleaned.rejected.column(REASON)?.str()?.iter().flatten() {
        *rejected.entry(reason.to_owned()).or_insert(0) += 1;
    }
    let rows_valid = cleaned.valid.height() as u64;
    let set_aside = cleaned.set_aside.clone();
    Ok(DataSetQuality {
        files: Vec::new(),
        rows_read: rows_valid + cleaned.rejected.height() as u64 + set_aside.values().sum::<u64>(),
        rows_valid,
        rejected,
        set_aside,
    })
}

/// Stops a run whose sources look broken, unless the operator forces it. `last` is the report of
/// the last published run.
///
/// # Errors
/// [`PipelineError::NoPurchases`], forced or not; [`PipelineError::Gate`] unless forced.
pub fn check_gate(
    report: &QualityReport,
    last: Option<&QualityReport>,
    gate: Gate,
    is_forced: bool,
) -> Result<()> {
    let purchases = &report.data_sets[DataSet::Purchases];
    if purchases.rows_valid == 0 {
        return Err(PipelineError::NoPurchases(format!(
            "{} rows of {} were rejected{}",
            purchases.rows_rejected(),
            purchases.rows_read,
            reasons(purchases),
        )));
    }
    if is_forced {
        return Ok(());
    }
    for (set, quality) in report.data_sets.iter() {
        check_data_set(set, quality, last.map(|last| &last.data_sets[set]), gate)?;
    }
    Ok(())
}

fn check_data_set(
    set: DataSet,
    quality: &DataSetQuality,
    last: Option<&DataSetQuality>,
    gate: Gate,
) -> Result<()> {
    if quality.reject_ratio() > gate.max_reject_ratio {
        return Err(PipelineError::Gate(format!(
            "{:.1} % of the {} were rejected{}, more than quality.max_reject_ratio = {}",
            100.0 * quality.reject_ratio(),
            set.noun(),
            reasons(quality),
            gate.max_reject_ratio,
        )));
    }
    let Some(last) = last.filter(|last| last.rows_valid > 0) else { return Ok(()) };
    #[allow(clippy::cast_precision_loss)]
    let drop = 1.0 - quality.rows_valid as f64 / last.rows_valid as f64;
    if drop > gate.max_row_drop {
        return Err(PipelineError::Gate(format!(
            "the valid {} fell from {} to {}, by more than quality.max_row_drop = {}",
            set.noun(),
            last.rows_valid,
            quality.rows_valid,
            gate.max_row_drop,
        )));
    }
    Ok(())
}

fn reasons(quality: &DataSetQuality) -> String {
    let reasons: Vec<String> =
        quality.rejected.iter().map(|(reason, rows)| format!("{reason}: {rows}")).collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}
