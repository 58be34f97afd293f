//! The proof: the checks that must hold before a run publishes anything.
//!
//! [`agreement`] compares totals to the cent, before rounding; [`shape`] checks tables as they will
//! be written.

use polars::prelude::*;

use super::exact::{MICRO_EUR, sum_amount, to_eur, to_micros};
use super::lines::{SOLD, orders};
use crate::catalogue;
use crate::domain::manifest::{ProofCheck, Totals};
use crate::domain::schema::{Column as Declared, ColumnType, Purchases, Scope, Table, Tally};
use crate::pipeline::Result;

fn check(what: String, expected: &str, found: &str, holds: bool) -> ProofCheck {
    ProofCheck { what, expected: expected.to_owned(), found: found.to_owned(), holds }
}

/// Compares the totals of every table that has a tally with those of the lines that the table was
/// aggregated from, and net revenue with its parts.
pub(super) fn agreement(
    fact: &DataFrame,
    frames: &[(&'static Table, DataFrame)],
) -> Result<Vec<ProofCheck>> {
    let mut checks = Vec::new();
    for (table, frame) in frames {
        if let (Some(tally), Some(found)) = (table.tally, totals(table, frame)?) {
            let expected = of_lines(fact, tally)?;
            let shown = |totals: Totals| match totals.purchases {
                Some(counted) => {
                    format!("{:.2} EUR, {counted} {}", totals.revenue, tally.purchases.noun())
                }
                None => format!("{:.2} EUR", totals.revenue),
            };
            checks.push(check(
                format!("totals of {} against {}", table.name, described(tally.scope)),
                &shown(expected),
                &shown(found),
                found.agrees_with(expected, Totals::HALF_CENT),
            ));
        }
        checks.extend(parts_of_net(table, frame)?);
    }
    checks.extend(customers_and_guests(fact, frames)?);
    Ok(checks)
}

fn described(scope: Scope) -> &'static str {
    match scope {
        Scope::All => "fact_achats",
        Scope::Customers => "known customers in fact_achats",
        Scope::Buyers => "customers with a sale in fact_achats",
    }
}

/// The totals of the lines that a tally is about.
fn of_lines(fact: &DataFrame, tally: Tally) -> Result<Totals> {
    let known = fact.clone().lazy().filter(col("id_client").is_not_null());
    let lines = match tally.scope {
        Scope::All => fact.clone().lazy(),
        Scope::Customers => known,
        Scope::Buyers => {
            let buyers = known
                .clone()
                .filter(col(SOLD).is_not_null())
                .select([col("id_client")])
                .unique(None, UniqueKeepStrategy::Any);
            known.join(
                buyers,
                [col("id_client")],
                [col("id_client")],
                JoinArgs::new(JoinType::Semi),
            )
        }
    };
    let counted = match tally.purchases {
        Purchases::Lines => len().cast(DataType::Int64),
        Purchases::Orders(_) => orders(),
        Purchases::SaleLines(_) => col(SOLD).count().cast(DataType::Int64),
        Purchases::Unknown => lit(NULL).cast(DataType::Int64),
    };
    let revenue = to_eur(col(MICRO_EUR).sum());
    let sums = lines.select([revenue.alias("revenue"), counted.alias("purchases")]).collect()?;
    read_totals(&sums)
}

fn read_totals(sums: &DataFrame) -> Result<Totals> {
    Ok(Totals {
        revenue: sums.column("revenue")?.f64()?.get(0).unwrap_or(0.0),
        purchases: sums.column("purchases")?.i64()?.get(0),
    })
}

/// Whether gross revenue less refunds is net revenue in every row, for a table that has all three.
fn parts_of_net(table: &Table, frame: &DataFrame) -> Result<Option<ProofCheck>> {
    let Some(tally) = table.tally else { return Ok(None) };
    if ["gross_revenue", "refunds"].iter().any(|name| table.column(name).is_none()) {
        return Ok(None);
    }
    let micros = |name: &str| to_micros(col(name));
    let differs = (micros("gross_revenue") - micros("refunds")).neq(micros(tally.revenue));
    let rows = frame
        .clone()
        .lazy()
        .select([differs.cast(DataType::Int64).sum().alias("rows")])
        .collect()?;
    let rows = rows.column("rows")?.i64()?.get(0).unwrap_or(0);
    let what =
        format!("rows of {} where gross_revenue less refunds is not {}", table.name, tally.revenue);
    Ok(Some(check(what, "0", &rows.to_string(), rows == 0)))
}

/// Whether the net revenue of customers and of guests is that of all lines.
fn customers_and_guests(
    fact: &DataFrame,
    frames: &[(&'static Table, DataFrame)],
) -> Result<Option<ProofCheck>> {
    let sum = |table: &Table, column: &str| -> Result<Option<f64>> {
        let built = frames.iter().find(|(built, _)| built.name == table.name);
        let Some((_, frame)) = built else { return Ok(None) };
        let sums = frame.clone().lazy().select([sum_amount(col(column)).alias("sum")]).collect()?;
        Ok(sums.column("sum")?.f64()?.get(0))
    };
    let customers = sum(&catalogue::CUSTOMER_METRICS, "total_spent")?;
    let guests = sum(&catalogue::KPIS, "guest_revenue")?;
    let (Some(customers), Some(guests), Some(tally)) =
        (customers, guests, catalogue::FACT_ACHATS.tally)
    else {
        return Ok(None);
    };
    let all = of_lines(fact, tally)?.revenue;
    let found = customers + guests;
    Ok(Some(check(
        "customer_metrics and guest_revenue against fact_achats".to_owned(),
        &format!("{all:.2} EUR"),
        &format!("{found:.2} EUR"),
        (found - all).abs() < Totals::HALF_CENT,
    )))
}

/// The totals that a table repeats; `None` for a table without a tally.
pub(super) fn totals(table: &Table, frame: &DataFrame) -> Result<Option<Totals>> {
    let Some(tally) = table.tally else { return Ok(None) };
    let counted = match tally.purchases {
        Purchases::Orders(column) | Purchases::SaleLines(column) => {
            col(column).sum().cast(DataType::Int64)
        }
        Purchases::Lines => len().cast(DataType::Int64),
        Purchases::Unknown => lit(NULL).cast(DataType::Int64),
    };
    let sums = frame
        .clone()
        .lazy()
        .select([sum_amount(col(tally.revenue)).alias("revenue"), counted.alias("purchases")])
        .collect()?;
    read_totals(&sums).map(Some)
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
