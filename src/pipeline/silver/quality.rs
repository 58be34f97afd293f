//! The quality counts and the gate that stops runs on bad sources.

use std::collections::BTreeMap;

use super::cleaned::Cleaned;
use super::columns::REASON;
use super::drift;
use super::gate::Gate;
use crate::domain::data_set::DataSet;
use crate::domain::quality::{Check, DataSetQuality, QualityReport, Severity};
use crate::domain::text::counted;
use crate::pipeline::{PipelineError, Result};

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

/// Checks a report against the thresholds and against that of the last published run.
#[must_use]
pub fn checks(report: &QualityReport, last: Option<&QualityReport>, gate: &Gate) -> Vec<Check> {
    let mut checks = Vec::new();
    for (set, quality) in report.data_sets.iter() {
        let detail = format!(
            "{:.1} % of the {} were rejected{}",
            100.0 * quality.reject_ratio(),
            set.noun(),
            reasons(quality)
        );
        let value = (quality.reject_ratio(), gate.max_reject_ratio);
        checks.push(gate.check("reject_ratio", Some(set), value, detail));
        let last = last.map(|last| last.data_sets[set].rows_valid).filter(|rows| *rows > 0);
        checks.extend(
            last.into_iter().flat_map(|last| row_counts(set, quality.rows_valid, last, gate)),
        );
    }
    checks.extend(left_out(report, gate));
    for (warning, rows) in &report.warnings {
        let name = if warning.starts_with("unreadable_") { "unreadable_value" } else { warning };
        #[allow(clippy::cast_precision_loss)]
        let value = (*rows as f64, 0.0);
        let detail = format!("{warning}: {}", counted(*rows, "row"));
        checks.push(gate.check(name, None, value, detail));
    }
    checks.extend(last.into_iter().flat_map(|last| drift::checks(report, last, gate)));
    checks
}

#[allow(clippy::cast_precision_loss)]
fn row_counts(set: DataSet, now: u64, last: u64, gate: &Gate) -> [Check; 2] {
    let growth = now as f64 / last as f64 - 1.0;
    let detail = |changed: &str| format!("the valid {} {changed} from {last} to {now}", set.noun());
    let (fell, rose) = if growth < 0.0 { ("fell", "fell") } else { ("rose", "rose") };
    [
        gate.check("row_drop", Some(set), ((-growth).max(0.0), gate.max_row_drop), detail(fell)),
        gate.check("row_growth", Some(set), (growth.max(0.0), gate.max_row_growth), detail(rose)),
    ]
}

/// The money that is left out, of what is sold, in the currency in which that is most.
#[allow(clippy::cast_precision_loss)]
fn left_out(report: &QualityReport, gate: &Gate) -> Option<Check> {
    let mut sums: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
    for account in &report.accounts {
        let sum = sums.entry(account.currency.as_deref().unwrap_or_default()).or_default();
        sum.0 += account.left_out.values().map(|entry| entry.sum.unsigned_abs()).sum::<u64>();
        sum.1 += account.sales;
    }
    // Of a currency of which nothing is served all is left out.
    let share = |(left_out, sold): (u64, i64)| match left_out {
        0 => 0.0,
        left_out if sold > 0 => left_out as f64 / sold as f64,
        _ => 1.0,
    };
    let shares = sums.into_iter().map(|(currency, sums)| (currency, share(sums)));
    let (currency, share) = shares.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let of = if currency.is_empty() { String::new() } else { format!(" in {currency}") };
    let detail = format!("rows with {:.2} % of what is sold{of} are left out", 100.0 * share);
    Some(gate.check("left_out", Some(DataSet::Purchases), (share, gate.max_left_out), detail))
}

/// Stops a run whose sources look broken, unless the operator forces it. `last` is the report of
/// the last published run.
///
/// # Errors
/// [`PipelineError::NoPurchases`], forced or not; [`PipelineError::Gate`] unless forced.
pub fn check_gate(
    report: &QualityReport,
    last: Option<&QualityReport>,
    gate: &Gate,
    is_forced: bool,
) -> Result<()> {
    let purchases = &report.data_sets[DataSet::Purchases];
    if purchases.rows_valid == 0 {
        return Err(PipelineError::NoPurchases(format!(
            "{} rows of {} were rejected{}{}",
            purchases.rows_rejected(),
            purchases.rows_read,
            reasons(purchases),
            example(report, purchases),
        )));
    }
    let checks = checks(report, last, gate);
    let closes = |check: &&Check| !check.holds && check.severity == Severity::Block;
    match checks.iter().find(closes).filter(|_| !is_forced) {
        None => Ok(()),
        Some(check) => Err(PipelineError::Gate(format!("{}, {}", check.detail, limit_of(check)))),
    }
}

/// What a check that does not hold exceeds, and the setting that says so.
fn limit_of(check: &Check) -> String {
    let setting = match check.name.as_str() {
        "reject_ratio" => "max_reject_ratio",
        "row_drop" => "max_row_drop",
        "row_growth" => "max_row_growth",
        "left_out" => "max_left_out",
        "null_share" => "max_null_rise",
        "new_categories" => "max_new_share",
        "amount_mean" => "max_mean_change",
        "amount_drift" => "max_drift",
        name => return format!("and quality.severity.{name} is \"block\""),
    };
    let verb = if check.name == "row_drop" { "by more than" } else { "more than" };
    format!("{verb} quality.{setting} = {}", check.limit)
}

/// What was found about the most frequent reason.
fn example(report: &QualityReport, quality: &DataSetQuality) -> String {
    let most = quality.rejected.iter().max_by_key(|(_, rows)| **rows);
    let found = most.and_then(|(reason, _)| {
        let of_reason = format!(" left out as {reason}");
        report.findings.iter().find(|finding| finding.contains(&of_reason))
    });
    found.map(|finding| format!("; {finding}")).unwrap_or_default()
}

fn reasons(quality: &DataSetQuality) -> String {
    let reasons: Vec<String> =
        quality.rejected.iter().map(|(reason, rows)| format!("{reason}: {rows}")).collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}
