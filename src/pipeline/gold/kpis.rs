//! The headline KPIs, from the lines and the tables of customers.

use polars::prelude::*;

use super::exact::{MICRO_EUR, rows, sum_amount, sum_in_order, to_eur};
use super::lines::{KNOWN, SOLD_AT, net, orders, parts, sums};
use crate::domain::time::Timestamp;
use crate::pipeline::Result;
use crate::pipeline::types::INSTANT;

/// The currency of amounts whose source names none.
const DEFAULT_CURRENCY: &str = "EUR";

/// The number of `churn_predictions` with a high risk.
pub(super) fn high_risk(predictions: &DataFrame) -> Result<i64> {
    let levels = predictions.column("churn_risk_level")?.str()?;
    let high = levels.iter().filter(|level| *level == Some("High")).count();
    Ok(i64::try_from(high).unwrap_or(i64::MAX))
}

/// What headline figures sum over customers.
pub(super) struct CustomerTables<'a> {
    /// `customer_metrics`.
    pub(super) metrics: &'a DataFrame,
    /// `customer_scores`.
    pub(super) scores: &'a DataFrame,
    /// Predictions of every customer with a purchase.
    pub(super) predicted: &'a DataFrame,
    /// The number of customers at high risk.
    pub(super) high_risk: i64,
}

/// `kpis`: one row of totals over all lines and all customers.
pub(super) fn kpis(
    fact: &DataFrame,
    customers: &CustomerTables<'_>,
    as_of: Timestamp,
) -> Result<DataFrame> {
    let CustomerTables { metrics, scores, predicted, high_risk } = *customers;
    let total = |name: &str| -> Result<Expr> {
        Ok(lit(sum_in_order(scores.column(name)?.f64()?)).alias(name))
    };
    let count_where = |condition: Expr| condition.cast(DataType::Int64).sum();
    let counts = metrics
        .clone()
        .lazy()
        .select([
            rows().alias("total_customers"),
            count_where(col("purchase_count").gt(lit(0))).alias("purchasing_customers"),
            count_where(col("is_active")).alias("active_customers"),
        ])
        .collect()?;
    let guests = col(MICRO_EUR) - col(KNOWN);
    let headline = fact
        .clone()
        .lazy()
        .select(sums([
            orders().alias("total_purchases"),
            col(KNOWN).sum(),
            col(SOLD_AT).min().alias("first_purchase"),
            col(SOLD_AT).max().alias("last_purchase"),
        ]))
        .with_columns(parts("total_purchases"))
        .with_columns([
            net().alias("total_revenue"),
            to_eur(guests).alias("guest_revenue"),
            lit(high_risk).alias("high_risk_customers"),
            lit(as_of.0).cast(INSTANT).alias("as_of"),
            total("expected_value_12m")?,
            total("value_at_risk_12m")?,
            currency(fact)?.alias("currency"),
            predicted_spend(predicted)?.alias("predicted_clv_12m"),
            predicted_purchases(predicted)?.alias("expected_purchases_12m"),
        ])
        .collect()?;
    Ok(headline.hstack(counts.columns())?)
}

/// The only currency that lines name; null where they name several.
fn currency(fact: &DataFrame) -> Result<Expr> {
    let named = fact.column("devise")?.str()?;
    if named.null_count() == named.len() {
        return Ok(lit(DEFAULT_CURRENCY));
    }
    let distinct = named.drop_nulls().unique()?;
    Ok(match (distinct.len(), distinct.get(0)) {
        (1, Some(only)) => lit(only.to_owned()),
        _ => lit(NULL).cast(DataType::String),
    })
}

/// The sum of predicted_clv_12m; null without a prediction.
fn predicted_spend(predicted: &DataFrame) -> Result<Expr> {
    let sum = predicted
        .clone()
        .lazy()
        .select([sum_amount(col("predicted_clv_12m")).alias("sum")])
        .collect()?;
    let has_none = predicted.column("predicted_clv_12m")?.null_count() == predicted.height();
    let sum = sum.column("sum")?.f64()?.get(0).filter(|_| !has_none);
    Ok(number_or_null(sum))
}

/// The sum of expected_purchases_12m; null without a prediction.
fn predicted_purchases(predicted: &DataFrame) -> Result<Expr> {
    let values = predicted.column("expected_purchases_12m")?.f64()?;
    let has_none = values.null_count() == values.len();
    Ok(number_or_null((!has_none).then(|| sum_in_order(values))))
}

fn number_or_null(number: Option<f64>) -> Expr {
    number.map_or_else(|| lit(NULL).cast(DataType::Float64), lit)
}
