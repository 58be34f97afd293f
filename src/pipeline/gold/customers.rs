//! Customers: metrics over all purchases, and the wide table that lists read.

use polars::prelude::*;

use super::exact::{MICRO_EUR, MONTH_DAYS, days_until, distinct, divided, quantile};
use super::lines::{BASKET, REFUND, SOLD_AT, SOLD_PRODUCT, net, orders, parts, sums};
use super::streaming::collect;
use crate::domain::time::Timestamp;
use crate::pipeline::Result;
use crate::pipeline::ml::tasks::segmentation::PROSPECT;
use crate::pipeline::types::INSTANT;

/// A customer is active for this many days after a purchase.
const ACTIVE_DAYS: i64 = 90;

/// `customer_metrics`: one row per valid customer, buyers or not, ascending id_client.
pub(super) fn customer_metrics(
    customers: &DataFrame,
    fact: &DataFrame,
    as_of: Timestamp,
) -> Result<DataFrame> {
    let bought = collect(fact.clone().lazy().group_by([col("id_client")]).agg(sums([
        orders().alias("purchase_count"),
        col(BASKET).min().alias("min_basket"),
        col(BASKET).max().alias("max_basket"),
        col(SOLD_AT).min().alias("first_purchase"),
        col(SOLD_AT).max().alias("last_purchase"),
        distinct(SOLD_PRODUCT).alias("product_count"),
    ])))?;
    let months = divided(days_until(col("first_purchase"), as_of), MONTH_DAYS);
    let months_at_least_one = when(months.clone().gt(lit(1.0))).then(months).otherwise(lit(1.0));
    let frequency = col("purchase_count").cast(DataType::Float64) / months_at_least_one;
    Ok(customers
        .clone()
        .lazy()
        .left_join(bought.lazy(), col("id_client"), col("id_client"))
        .sort(["id_client"], SortMultipleOptions::default())
        .with_columns([cols([MICRO_EUR, REFUND, "purchase_count", "product_count"])
            .as_expr()
            .fill_null(lit(0_i64))])
        .with_columns(parts("purchase_count"))
        .with_columns([
            net().alias("total_spent"),
            days_until(col("last_purchase"), as_of).alias("recency_days"),
            days_until(col("date_inscription").cast(INSTANT), as_of).alias("tenure_days"),
        ])
        .with_columns([
            frequency.alias("purchase_frequency_per_month"),
            col("recency_days").lt_eq(lit(ACTIVE_DAYS)).fill_null(lit(false)).alias("is_active"),
            col("total_spent").gt(quantile(col("total_spent"), 0.5)).alias("is_high_value"),
        ])
        .collect()?)
}

/// `customers`: metrics, scores and predictions side by side; `predicted` has a row per customer
/// with a purchase.
pub(super) fn customers(
    metrics: &DataFrame,
    scores: &DataFrame,
    predicted: &DataFrame,
) -> Result<DataFrame> {
    let scores = scores.clone().lazy().select([
        col("id_client"),
        col("prob_reachat_12m"),
        col("expected_value_12m"),
        col("value_at_risk_12m"),
        col("segment_label"),
    ]);
    Ok(metrics
        .clone()
        .lazy()
        .inner_join(scores, col("id_client"), col("id_client"))
        .left_join(predicted.clone().lazy(), col("id_client"), col("id_client"))
        .with_column(col("segment_name").fill_null(lit(PROSPECT)))
        .collect()?)
}
