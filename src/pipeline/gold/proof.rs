//! The proof: the checks that must hold before a run publishes anything.
//!
//! [`agreement`] compares totals to the cent, before rounding; [`shape`] checks tables as they will
//! be written.

use polars::prelude::*;

use super::exact::sum_amount;
use crate::catalogue;
use crate::domain::manifest::{ProofCheck, Totals};
use crate::domain::schema::{Column as Declared, ColumnType, Purchases, Table};
use crate::pipeline::Result;

fn check(what: String, expected: &str, found: &str, holds: bool) -> ProofCheck {
    ProofCheck { what, expected: expected.to_owned(), found: found.to_owned(), holds }
}

/// Compares the totals of every table that has a tally with those of fact_achats.
pub(super) fn agreement(
    fact: &DataFrame,
    frames: &[(&'static Table, DataFrame)],
) -> Result<Vec<ProofCheck>> {
    let mut checks = Vec::new();
    let Some(expected) = totals(&catalogue::FACT_ACHATS, fact)? else { return Ok(checks) };
    for (table, frame) in frames {
        let Some(found) = totals(table, frame)? else { continue };
        let shown = |totals: Totals| match totals.purchases {
            Some(purchases) => format!("{:.2} EUR, {purchases} purchases", totals.revenue),
            None => format!("{:.2} EUR", totals.revenue),
        };
        checks.push(check(
            format!("totals of {} against fact_achats", table.name),
            &shown(expected),
            &shown(found),
            found.agrees_with(expected, Totals::HALF_CENT),
        ));
    }
    Ok(checks)
}

/// The totals that a table repeats; `None` for a table without a tally.
pub(super) fn totals(table: &Table, frame: &DataFrame) -> Result<Option<Totals>> {
    let Some(tally) = table.tally else { return Ok(None) };
    let counted = match tally.purchases {
        Purchases::Column(column) => col(column).sum().cast(DataType::Int64),
        Purchases::Rows => len().cast(DataType::Int64),
        Purchases::Unknown => lit(NULL).cast(DataType::Int64),
    };
    let sums = frame
        .clone()
        .lazy()
        .select([sum_amount(col(tally.revenue)).alias("revenue"), counted.alias("purchases")])
        .collect()?;
    Ok(Some(Totals {
        revenue: sums.column("revenue")?.f64()?.get(0).unwrap_or(0.0),
        purchases: sums.column("purchases")?.i64()?.get(0),
    }))
}

/// Checks that keys are unique, that a single-row table has one row, and that no value is null or
/// out of range where its declaration forbids it.
pub(super) fn shape(table: &Table, frame: &DataFrame) -> Result<Vec<ProofCheck>> {
    let rows = frame.height();
    let mut checks = Vec::new();
    if table.is_single() {
        checks.push(check(format!("rows of {}", table.name), "1", &rows.to_string(), rows == 1));
    } else {
        let key: Vec<Expr> = table.key.iter().map(|name| col(*name)).collect();
        let distinct = frame
            .clone()
            .lazy()
            .select(key)
            .unique(None, UniqueKeepStrategy::Any)
            .collect()?
            .height();
        checks.push(check(
            format!("distinct keys of {}", table.name),
            &rows.to_string(),
            &distinct.to_string(),
            rows == distinct,
        ));
    }
    for column in table.columns {
        let invalid = count_invalid(column, frame)?;
        if invalid > 0 || (column.range.is_some() && column.ty == ColumnType::Float) {
            checks.push(check(
                format!("values of {}.{} that are null or out of range", table.name, column.name),
                "0",
                &invalid.to_string(),
                invalid == 0,
            ));
        }
    }
    Ok(checks)
}

/// Rows whose value in this column violates its declaration.
fn count_invalid(column: &Declared, frame: &DataFrame) -> Result<i64> {
    let value = col(column.name);
    let mut invalid = if column.nullable { lit(false) } else { value.clone().is_null() };
    if matches!(column.ty, ColumnType::Float | ColumnType::Money) {
        invalid = invalid.or(value.clone().is_finite().not().fill_null(lit(false)));
    }
    if let Some((low, high)) = column.range {
        let number = value.cast(DataType::Float64);
        let outside = number.clone().lt(lit(low)).or(number.gt(lit(high)));
        invalid = invalid.or(outside.fill_null(lit(false)));
    }
    let counted = frame
        .clone()
        .lazy()
        .select([invalid.cast(DataType::Int64).sum().alias("invalid")])
        .collect()?;
    Ok(counted.column("invalid")?.i64()?.get(0).unwrap_or(0))
}
