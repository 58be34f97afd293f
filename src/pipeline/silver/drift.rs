//! What changed since the last published run, as checks.

use std::collections::BTreeSet;

use super::gate::Gate;
use crate::domain::data_set::DataSet;
use crate::domain::quality::{Amounts, Categories, Check, QualityReport, Statistics};

/// With fewer lines in either run amounts are not compared.
const MIN_LINES: u64 = 100;
/// Groups that amounts are compared by, of about equal size in the earlier run.
const GROUPS: u64 = 10;
/// The least share that a group counts with, so that an empty one does not decide alone.
const LEAST_SHARE: f64 = 1e-4;

/// Compares a run with the last published one; nothing where either has no statistics.
pub(super) fn checks(report: &QualityReport, last: &QualityReport, gate: &Gate) -> Vec<Check> {
    let (Some(now), Some(then)) = (&report.statistics, &last.statistics) else { return Vec::new() };
    let mut checks = Vec::new();
    for set in DataSet::ALL {
        let rows = (report.data_sets[*set].rows_valid, last.data_sets[*set].rows_valid);
        checks.extend(null_shares(*set, now, then, rows, gate));
    }
    for (column, categories) in &now.categories {
        let earlier = then.categories.get(column);
        checks
            .extend(earlier.and_then(|earlier| new_categories(column, categories, earlier, gate)));
    }
    if let (Some(now), Some(then)) = (&now.amounts, &then.amounts)
        && now.lines.min(then.lines) >= MIN_LINES
    {
        checks.extend([mean_change(now, then, gate), drift(now, then, gate)]);
    }
    checks
}

/// The column whose share of rows without a value rose most.
fn null_shares(
    set: DataSet,
    now: &Statistics,
    then: &Statistics,
    (rows, rows_then): (u64, u64),
    gate: &Gate,
) -> Option<Check> {
    if rows == 0 || rows_then == 0 {
        return None;
    }
    let rises = now.nulls[set].iter().filter_map(|(column, nulls)| {
        let then = *then.nulls[set].get(column)?;
        Some((share(*nulls, rows) - share(then, rows_then), column, share(*nulls, rows)))
    });
    let (rise, column, missing) = rises.max_by(|(a, ..), (b, ..)| a.total_cmp(b))?;
    let detail = if rise > 0.0 {
        format!(
            "{column} is missing in {:.1} % of the {}, {:.1} points more than in the last published run",
            100.0 * missing,
            set.noun(),
            100.0 * rise
        )
    } else {
        format!("no column of the {} has more gaps than in the last published run", set.noun())
    };
    Some(gate.check("null_share", Some(set), (rise.max(0.0), gate.max_null_rise), detail))
}

/// The share of lines with a text that the last published run did not have; `None` where that run had more
/// texts than are stored.
fn new_categories(column: &str, now: &Categories, then: &Categories, gate: &Gate) -> Option<Check> {
    let all: u64 = now.texts.iter().map(|(_, rows)| rows).sum();
    if then.others > 0 || now.others > 0 || all == 0 {
        return None;
    }
    let earlier: BTreeSet<&String> = then.texts.iter().map(|(text, _)| text).collect();
    let new = || now.texts.iter().filter(|(text, _)| !earlier.contains(text));
    let lines: u64 = new().map(|(_, rows)| rows).sum();
    let example = new().max_by_key(|(_, rows)| *rows).map(|(text, _)| text);
    let detail = match example {
        None => format!("{column} has no text that the last published run did not have"),
        Some(example) => format!(
            "{:.1} % of the lines have a {column} that the last published run did not have, for example {example:?}",
            100.0 * share(lines, all)
        ),
    };
    let value = share(lines, all);
    Some(gate.check(
        "new_categories",
        Some(DataSet::Purchases),
        (value, gate.max_new_share),
        detail,
    ))
}

fn mean_change(now: &Amounts, then: &Amounts, gate: &Gate) -> Check {
    let change = (now.mean / then.mean - 1.0).abs();
    let detail = format!(
        "the mean amount of a line is {:.2}, it was {:.2} in the last published run",
        now.mean, then.mean
    );
    gate.check("amount_mean", Some(DataSet::Purchases), (change, gate.max_mean_change), detail)
}

/// The population stability index of amounts: the sum of (a - e) ln(a / e) over groups of amounts, where e
/// and a are the earlier and the present share of lines in the group (Siddiqi 2006, "Credit Risk Scorecards").
fn drift(now: &Amounts, then: &Amounts, gate: &Gate) -> Check {
    let index = stability_index(&now.classes, &then.classes);
    let [.., now_median, _, _] = now.percentiles;
    let [.., then_median, _, _] = then.percentiles;
    let detail = format!(
        "the population stability index of amounts is {index:.3}; half of the lines are below {now_median:.2}, it \
         was {then_median:.2} in the last published run"
    );
    gate.check("amount_drift", Some(DataSet::Purchases), (index, gate.max_drift), detail)
}

fn stability_index(now: &[(i16, u64)], then: &[(i16, u64)]) -> f64 {
    let all = |classes: &[(i16, u64)]| classes.iter().map(|(_, lines)| lines).sum::<u64>();
    // The last class of each group, by about equal numbers of earlier lines.
    let (mut ends, mut lines) = (Vec::new(), 0);
    for (class, rows) in then {
        lines += rows;
        if lines * GROUPS >= (ends.len() as u64 + 1) * all(then) {
            ends.push(*class);
        }
    }
    ends.pop();
    let group = |class: i16| ends.partition_point(|end| *end < class);
    let shares = |classes: &[(i16, u64)]| {
        let mut lines = vec![0; ends.len() + 1];
        for (class, rows) in classes {
            lines[group(*class)] += rows;
        }
        let shares = lines.into_iter().map(|lines| share(lines, all(classes)).max(LEAST_SHARE));
        shares.collect::<Vec<f64>>()
    };
    let pairs = shares(now).into_iter().zip(shares(then));
    pairs.map(|(now, then)| (now - then) * (now / then).ln()).sum()
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stability_index_is_that_of_the_formula() {
        let then = [(0, 500), (1, 500)];
        assert!(stability_index(&then, &then).abs() < 1e-12);
        // 0.3 and 0.7 beside 0.5 and 0.5: -0.2 ln 0.6 + 0.2 ln 1.4.
        let now = [(0, 300), (1, 700)];
        let by_hand = -0.2 * 0.6_f64.ln() + 0.2 * 1.4_f64.ln();
        assert!((stability_index(&now, &then) - by_hand).abs() < 1e-12);
        // Amounts beyond all earlier ones belong to the last group.
        let beyond = [(0, 300), (9, 700)];
        assert!((stability_index(&beyond, &then) - by_hand).abs() < 1e-12);
    }
}
