//! Cohorts: customers by the month of their first purchase, and their retention.

use polars::prelude::*;

use super::exact::{MICRO_EUR, distinct, to_eur};
use super::lines::{BUYER, SOLD_AT};
use super::streaming::collect;
use crate::domain::time::Timestamp;
use crate::pipeline::Result;

/// Months as consecutive numbers.
fn month_number(date: Expr) -> Expr {
    date.clone().dt().year().cast(DataType::Int64) * lit(12)
        + date.dt().month().cast(DataType::Int64)
}

/// The lines of customers who bought, with their cohort: first_purchase_month and `cohort`, its
/// month number.
fn with_cohort(fact: &DataFrame) -> LazyFrame {
    let first = fact
        .clone()
        .lazy()
        .group_by([col("id_client")])
        .agg([col(SOLD_AT).min().cast(DataType::Date).alias("first_day")])
        .filter(col("first_day").is_not_null())
        .with_columns([
            col("first_day").dt().strftime("%Y-%m").alias("first_purchase_month"),
            month_number(col("first_day")).alias("cohort"),
        ]);
    fact.clone()
        .lazy()
        .select([col("id_client"), col(BUYER), col("jour"), col(MICRO_EUR)])
        .inner_join(first, col("id_client"), col("id_client"))
}

/// `cohort_first_purchase`: customers and all their net spend to date by month of the first purchase.
pub(super) fn first_purchase(fact: &DataFrame) -> Result<DataFrame> {
    collect(
        with_cohort(fact).group_by([col("first_purchase_month")]).agg([
            distinct("id_client").alias("clients"),
            to_eur(col(MICRO_EUR).sum()).alias("ca"),
        ]),
    )
}

/// `cohort_retention`: active customers of each cohort by months since the first purchase, up to
/// the month of `as_of`. A refund before the first purchase counts in its month.
pub(super) fn retention(fact: &DataFrame, as_of: Timestamp) -> Result<DataFrame> {
    let tagged = collect(with_cohort(fact))?.lazy();
    let months_since = (month_number(col("jour")) - col("cohort")).clip(lit(0_i64), lit(i64::MAX));
    let lines = tagged.clone().with_column(months_since.alias("month_offset"));
    let active = collect(
        lines
            .group_by([col("cohort"), col("month_offset")])
            .agg([distinct(BUYER).alias("active_clients"), col(MICRO_EUR).sum().alias("micros")]),
    )?;
    let cohorts = collect(
        tagged
            .group_by([col("cohort"), col("first_purchase_month")])
            .agg([distinct("id_client").alias("clients")]),
    )?;

    let last_month = {
        let day = Column::new("day".into(), [as_of.day().0]).cast(&DataType::Date)?;
        let month = DataFrame::new_infer_height(vec![day])?
            .lazy()
            .select([month_number(col("day")).alias("month")])
            .collect()?;
        month.column("month")?.i64()?.get(0).unwrap_or(0)
    };
    let mut grid_cohorts: Vec<i64> = Vec::new();
    let mut offsets: Vec<i64> = Vec::new();
    for cohort in cohorts.column("cohort")?.i64()?.iter().flatten() {
        for offset in 0..=(last_month - cohort) {
            grid_cohorts.push(cohort);
            offsets.push(offset);
        }
    }
    let grid = DataFrame::new_infer_height(vec![
        Column::new("cohort".into(), grid_cohorts),
        Column::new("month_offset".into(), offsets),
    ])?;
    let rate =
        col("active_clients").cast(DataType::Float64) / col("clients").cast(DataType::Float64);
    let on = [col("cohort"), col("month_offset")];
    Ok(grid
        .lazy()
        .inner_join(cohorts.lazy(), col("cohort"), col("cohort"))
        .join(active.lazy(), on.clone(), on, JoinArgs::new(JoinType::Left))
        .with_columns([
            col("active_clients").fill_null(lit(0_i64)),
            col("micros").fill_null(lit(0_i64)),
        ])
        .with_columns([rate.alias("retention_rate"), to_eur(col("micros")).alias("ca")])
        .collect()?)
}
