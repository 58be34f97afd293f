//! The headline KPIs, from the tables of customers.

use polars::prelude::*;

use super::exact::{eur_per, purchases, sum_amount, sum_in_order, to_micros};
use crate::domain::time::Timestamp;
use crate::pipeline::Result;
use crate::pipeline::types::INSTANT;

/// The number of `churn_predictions` with a high risk.
pub(super) fn high_risk(predictions: &DataFrame) -> Result<i64> {
    let levels = predictions.column("churn_risk_level")?.str()?;
    let high = levels.iter().filter(|level| *level == Some("High")).count();
    Ok(i64::try_from(high).unwrap_or(i64::MAX))
}

/// `kpis`: one row of totals over all customers.
pub(super) fn kpis(
    metrics: &DataFrame,
    scores: &DataFrame,
    high_risk: i64,
    as_of: Timestamp,
) -> Result<DataFrame> {
    let total = |name: &str| -> Result<Expr> {
        Ok(lit(sum_in_order(scores.column(name)?.f64()?)).alias(name))
    };
    let count_where = |condition: Expr| condition.cast(DataType::Int64).sum();
    let headline = metrics
        .clone()
        .lazy()
        .select([
            sum_amount(col("total_spent")).alias("total_revenue"),
            col("purchase_count").sum().alias("total_purchases"),
            purchases().alias("total_customers"),
            count_where(col("purchase_count").gt(lit(0))).alias("purchasing_customers"),
            count_where(col("is_active")).alias("active_customers"),
            col("first_purchase").min(),
            col("last_purchase").max(),
        ])
        .with_columns([
            eur_per(to_micros(col("total_revenue")), col("total_purchases")).alias("avg_basket"),
            lit(high_risk).alias("high_risk_customers"),
            lit(as_of.0).cast(INSTANT).alias("as_of"),
            total("expected_value_12m")?,
            total("value_at_risk_12m")?,
        ])
        .collect()?;
    Ok(headline)
}
