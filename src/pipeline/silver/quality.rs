//! The quality report and the gate that reads it.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::Refined;
use super::checks::REASON;
use crate::domain::manifest::{DatasetQuality, QualityReport};
use crate::pipeline::types::INSTANT;
use crate::pipeline::{PipelineError, Result};

/// Where the gate closes.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Greatest acceptable share of rejected rows of a data set, `[0, 1]`.
    pub max_reject_ratio: f64,
    /// Greatest acceptable fall of a data set's valid rows against the last published run, `[0, 1]`.
    pub max_row_drop: f64,
}

/// Counts what both data sets kept and rejected, and the warnings. File names are the caller's.
///
/// # Errors
/// Whatever the frame engine says.
pub fn report(clients: &Refined, achats: &Refined) -> Result<QualityReport> {
    let mut warnings: BTreeMap<String, u64> =
        achats.warnings.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
    warnings.insert(
        "purchases_before_signup".to_owned(),
        purchases_before_signup(&clients.valid, &achats.valid)?,
    );
    warnings.insert("customers_sharing_email".to_owned(), customers_sharing_email(&clients.valid)?);
    Ok(QualityReport {
        clients: dataset(clients)?,
        achats: dataset(achats)?,
        warnings,
        earliest_future: [clients.earliest_future, achats.earliest_future]
            .into_iter()
            .flatten()
            .min(),
    })
}

fn dataset(refined: &Refined) -> Result<DatasetQuality> {
    let mut rejected = BTreeMap::new();
    for reason in refined.rejected.column(REASON)?.str()?.iter().flatten() {
        *rejected.entry(reason.to_owned()).or_insert(0) += 1;
    }
    let rows_valid = refined.valid.height() as u64;
    Ok(DatasetQuality {
        files: Vec::new(),
        rows_read: rows_valid + refined.rejected.height() as u64,
        rows_valid,
        rejected,
    })
}

fn purchases_before_signup(clients: &DataFrame, achats: &DataFrame) -> Result<u64> {
    let early = achats
        .clone()
        .lazy()
        .select([col("id_client"), col("date_achat")])
        .inner_join(
            clients.clone().lazy().select([col("id_client"), col("date_inscription")]),
            col("id_client"),
            col("id_client"),
        )
        .filter(col("date_achat").lt(col("date_inscription").cast(INSTANT)))
        .select([len().cast(DataType::Int64).alias("rows")])
        .collect()?;
    Ok(count(early.column("rows")?.i64()?.get(0)))
}

fn customers_sharing_email(clients: &DataFrame) -> Result<u64> {
    let shared = clients
        .clone()
        .lazy()
        .group_by([col("email")])
        .agg([len().cast(DataType::Int64).alias("clients")])
        .filter(col("clients").gt(lit(1_i64)))
        .select([col("clients").sum()])
        .collect()?;
    Ok(count(shared.column("clients")?.i64()?.get(0)))
}

fn count(rows: Option<i64>) -> u64 {
    rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0)
}

/// Stops a run whose sources look broken, unless an operator forces it. `last` is the report of
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
    if report.achats.rows_valid == 0 {
        return Err(PipelineError::NoPurchases(format!(
            "{} rows of {} were rejected{}",
            report.achats.rows_rejected(),
            report.achats.rows_read,
            reasons(&report.achats),
        )));
    }
    if is_forced {
        return Ok(());
    }
    let datasets = [
        ("clients", &report.clients, last.map(|last| &last.clients)),
        ("achats", &report.achats, last.map(|last| &last.achats)),
    ];
    for (name, dataset, last) in datasets {
        if dataset.reject_ratio() > gate.max_reject_ratio {
            return Err(PipelineError::Gate(format!(
                "{:.1} % of the rows of {name} were rejected{}, more than quality.max_reject_ratio = {}",
                100.0 * dataset.reject_ratio(),
                reasons(dataset),
                gate.max_reject_ratio,
            )));
        }
        let Some(last) = last.filter(|last| last.rows_valid > 0) else {
            continue;
        };
        #[allow(clippy::cast_precision_loss)]
        let drop = 1.0 - dataset.rows_valid as f64 / last.rows_valid as f64;
        if drop > gate.max_row_drop {
            return Err(PipelineError::Gate(format!(
                "the valid rows of {name} fell from {} to {}, by more than quality.max_row_drop = {}",
                last.rows_valid, dataset.rows_valid, gate.max_row_drop,
            )));
        }
    }
    Ok(())
}

fn reasons(dataset: &DatasetQuality) -> String {
    let reasons: Vec<String> =
        dataset.rejected.iter().map(|(reason, rows)| format!("{reason}: {rows}")).collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}
