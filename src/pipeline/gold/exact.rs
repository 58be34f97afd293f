//! Arithmetic whose results do not depend on the order of rows or the number of threads.
//!
//! Amounts are summed as whole millionths of a euro: integer addition is associative,
//! floating-point addition is not. Elapsed days are rounded down, quantiles interpolate linearly.

use polars::prelude::*;

use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::orders::MICROS;
use crate::pipeline::{PipelineError, Result};

/// The column of `fact_achats` that holds montant in millionths.
pub(super) const MICRO_EUR: &str = "~micro_eur";

/// Days that count as a month where the contract divides days by 30.
pub(super) const MONTH_DAYS: f64 = 30.0;

/// An amount in whole millionths.
pub(super) fn to_micros(amount: Expr) -> Expr {
    (amount * lit(MICROS)).round(0, RoundMode::HalfToEven).cast(DataType::Int64)
}

/// Whole millionths as an amount, EUR.
pub(super) fn to_eur(micros: Expr) -> Expr {
    divided(micros, MICROS)
}

/// Whole millionths divided by a count, EUR, correctly rounded; null where the count is 0.
pub(super) fn eur_per(micros: Expr, count: Expr) -> Expr {
    let quotient =
        micros.cast(DataType::Float64) / (count.clone().cast(DataType::Float64) * lit(MICROS));
    when(count.gt(lit(0))).then(quotient).otherwise(lit(NULL))
}

/// A column divided by a constant, correctly rounded. The division of Polars multiplies by the
/// reciprocal, which is off by one unit in the last place for some values.
pub(super) fn divided(values: Expr, by: f64) -> Expr {
    values.cast(DataType::Float64).map(
        move |column| {
            let quotients = column.f64()?.apply_values(|value| value / by);
            Ok(quotients.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Float64)),
    )
}

/// The share of a group in the total of all groups, 0 to 100, from exact sums; 0 where there is no
/// total.
pub(super) fn share_pct(micros: Expr) -> Expr {
    let part = micros.clone().cast(DataType::Float64);
    let whole = micros.sum().cast(DataType::Float64);
    when(whole.clone().gt(lit(0.0))).then(lit(100.0) * part / whole).otherwise(lit(0.0))
}

/// The exact sum of an amount column, EUR.
pub(super) fn sum_amount(amount: Expr) -> Expr {
    to_eur(to_micros(amount).sum())
}

/// The number of rows in a group.
pub(super) fn rows() -> Expr {
    len().cast(DataType::Int64)
}

/// The number of distinct values in a group, null not being one.
pub(super) fn distinct(name: &str) -> Expr {
    let nulls = col(name).null_count().gt(lit(0)).cast(DataType::Int64);
    col(name).n_unique().cast(DataType::Int64) - nulls
}

/// The sum of floats in row order with Neumaier's compensation, for values that have no exact unit,
/// unlike amounts. Rows are in key order, so the sum is reproducible too.
///
/// Source: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen",
/// ZAMM 54 (1974).
pub(super) fn sum_in_order(values: &Float64Chunked) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for value in values.iter().flatten() {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}

/// Whole days from one instant to another, rounded down.
pub(super) fn days_until(instant: Expr, later: Timestamp) -> Expr {
    (lit(later.0) - instant.to_physical().cast(DataType::Int64)).floor_div(lit(DAY_MICROS))
}

/// The quantile of a column with linear interpolation.
pub(super) fn quantile(values: Expr, share: f64) -> Expr {
    values.cast(DataType::Float64).quantile(lit(share), QuantileMethod::Linear)
}

/// `(x - min) / (max - min)`, and 0 everywhere when max = min.
pub(super) fn minmax(values: Expr) -> Expr {
    let values = values.cast(DataType::Float64);
    let (min, max) = (values.clone().min(), values.clone().max());
    when(max.clone().gt(min.clone())).then((values - min.clone()) / (max - min)).otherwise(lit(0.0))
}

/// Checks that the sum of all amounts stays in the exact range.
///
/// # Errors
/// [`PipelineError::Overflow`].
pub(super) fn check_sums_fit(purchases: &DataFrame) -> Result<()> {
    /// Well below the maximum of an `i64`.
    const LIMIT: f64 = 9e18;
    let amounts = purchases.column("montant")?.f64()?;
    let max = amounts.max().unwrap_or(0.0).max(-amounts.min().unwrap_or(0.0));
    #[allow(clippy::cast_precision_loss)]
    let bound = max * MICROS * purchases.height() as f64;
    if bound > LIMIT {
        return Err(PipelineError::Overflow { rows: purchases.height(), max });
    }
    Ok(())
}
