//! The proof: what every run shows to hold before anything is published.
//!
//! [`agreement`] compares totals before anything is rounded, to the cent; [`shape`] looks at the
//! tables as they will be written.

use polars::prelude::*;

use super::exact::sum_amount;
use crate::catalogue;
use crate::domain::manifest::{ProofCheck, Totals};
use crate::domain::schema::{Column as Declared, ColumnType, Purchases, Table};
use crate::pipeline::Result;

fn check(what: String, expected: &str, found: &str, holds: bool) -> ProofCheck {
    ProofCheck { what, expected: expected.to_owned(), found: found.to_owned(), holds }
}

/// The totals of every table with a tally against those of fact_achats.
///
/// # Errors
/// Whatever the frame engine says.
pub fn agreement(frames: &[(&'static Table, DataFrame)]) -> Result<Vec<ProofCheck>> {
    let mut checks = Vec::new();
    let fact = frames.iter().find(|(table, _)| table.name == catalogue::FACT_ACHATS.name);
    let Some(expected) = fact.map(|(table, frame)| totals(table, frame)).transpose()?.flatten()
    else {
        return Ok(checks);
    };
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

/// The totals a table repeats; `None` for a table without a tally.
///
/// # Errors
/// Whatever the frame engine says.
pub fn totals(table: &Table, frame: &DataFrame) -> Result<Option<Totals>> {
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

/// Keys unique and present, one row where one is declared, no null and no value out of range
/// where the entry allows none.
///
/// # Errors
/// Whatever the frame engine says.
pub fn shape(table: &Table, frame: &DataFrame) -> Result<Vec<ProofCheck>> {
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
        let wrong = count_wrong(column, frame)?;
        if wrong > 0 || (column.range.is_some() && column.ty == ColumnType::Float) {
            checks.push(check(
                format!(
                    "values of {}.{} that are missing or out of range",
                    table.name, column.name
                ),
                "0",
                &wrong.to_string(),
                wrong == 0,
            ));
        }
    }
    Ok(checks)
}

/// Rows whose value in this column its declaration does not allow.
fn count_wrong(column: &Declared, frame: &DataFrame) -> Result<i64> {
    let value = col(column.name);
    let mut wrong = if column.nullable { lit(false) } else { value.clone().is_null() };
    if matches!(column.ty, ColumnType::Float | ColumnType::Money) {
        wrong = wrong.or(value.clone().is_finite().not().fill_null(lit(false)));
    }
    if let Some((low, high)) = column.range {
        let number = value.cast(DataType::Float64);
        let outside = number.clone().lt(lit(low)).or(number.gt(lit(high)));
        wrong = wrong.or(outside.fill_null(lit(false)));
    }
    let counted = frame
        .clone()
        .lazy()
        .select([wrong.cast(DataType::Int64).sum().alias("wrong")])
        .collect()?;
    Ok(counted.column("wrong")?.i64()?.get(0).unwrap_or(0))
}
