//! Scores: features over the last 12 months, the repurchase score and its segments.
//!
//! Formulas: data contract, section 4, `customer_scores`.

use polars::prelude::*;

use super::exact::{
    MICRO_EUR, MONTH_DAYS, days_until, distinct, divided, eur_per, minmax, quantile, rows,
    sum_amount, sum_in_order, to_eur,
};
use super::lines::{REFUND, SOLD_AT, SOLD_PRODUCT, orders};
use super::streaming::collect;
use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::Result;

/// The window of the 12-month features, days.
const YEAR_DAYS: i64 = 365;
/// Weights of frequency, recency, spend and diversity in the score.
const WEIGHTS: [f64; 4] = [0.45, 0.30, 0.15, 0.10];
/// Minimum score of a VIP.
const VIP_SCORE: f64 = 0.65;
/// Minimum score of an active customer.
const ACTIVE_SCORE: f64 = 0.55;

/// `customer_features`: one row per valid customer with what they bought in
/// `[as_of - 365 days, as_of]` and ever, ascending id_client.
pub(super) fn customer_features(
    customers: &DataFrame,
    fact: &DataFrame,
    as_of: Timestamp,
) -> Result<DataFrame> {
    let window_start = as_of.0 - YEAR_DAYS * DAY_MICROS;
    let recent = collect(
        fact.clone()
            .lazy()
            .filter(col("date_achat").to_physical().gt_eq(lit(window_start)))
            .group_by([col("id_client")])
            .agg([
                orders().alias("freq_12m"),
                to_eur(col(MICRO_EUR).sum()).alias("monetary_12m"),
                sold_per_order().alias("monetary_avg_12m"),
                distinct(SOLD_PRODUCT).alias("product_diversity_12m"),
            ]),
    )?;
    let ever = collect(fact.clone().lazy().group_by([col("id_client")]).agg([
        col(SOLD_AT).max().alias("last_purchase"),
        col(SOLD_AT).min().alias("first_purchase"),
        orders().alias("total_orders_all"),
        to_eur(col(MICRO_EUR).sum()).alias("total_spend_all"),
        sold_per_order().alias("avg_order_value_all"),
    ]))?;
    let or_zero = |name: &str| col(name).fill_null(lit(0));
    Ok(customers
        .clone()
        .lazy()
        .select([col("id_client")])
        .left_join(recent.lazy(), col("id_client"), col("id_client"))
        .left_join(ever.lazy(), col("id_client"), col("id_client"))
        .sort(["id_client"], SortMultipleOptions::default())
        .with_columns([
            or_zero("freq_12m"),
            or_zero("monetary_12m"),
            or_zero("monetary_avg_12m"),
            or_zero("product_diversity_12m"),
            or_zero("total_orders_all"),
            or_zero("total_spend_all"),
            or_zero("avg_order_value_all"),
            days_until(col("last_purchase"), as_of).fill_null(lit(YEAR_DAYS)).alias("recency_days"),
            days_until(col("first_purchase"), as_of).fill_null(lit(0_i64)).alias("tenure_days"),
            lit(as_of.day().0).cast(DataType::Date).alias("reference_date"),
        ])
        .collect()?)
}

/// What was sold on an order of a group on average, EUR; null without an order.
fn sold_per_order() -> Expr {
    eur_per(col(MICRO_EUR).sum() + col(REFUND).sum(), orders())
}

/// What a customer spent in the window; 0 where refunds exceed it.
fn spent_12m() -> Expr {
    col("monetary_12m").clip(lit(0.0), lit(f64::MAX))
}

/// `customer_scores`: features with score, expected value, value at risk and segment.
#[allow(clippy::cast_precision_loss)] // 365 is exact
pub(super) fn customer_scores(features: &DataFrame) -> Result<DataFrame> {
    let at_most = |values: Expr, bound: Expr| {
        when(values.clone().gt(bound.clone())).then(bound).otherwise(values)
    };
    let number = |name: &str| col(name).cast(DataType::Float64);

    let frequency = minmax(at_most(number("freq_12m"), quantile(col("freq_12m"), 0.95)));
    let recency = lit(1.0) - minmax(at_most(number("recency_days"), lit(YEAR_DAYS as f64)));
    let monetary = minmax(spent_12m());
    let diversity = minmax(col("product_diversity_12m"));
    let [wf, wr, wm, wd] = WEIGHTS.map(lit);
    let score =
        (wf * frequency + wr * recency + wm * monetary + wd * diversity).clip(lit(0.0), lit(1.0));

    let max_months = YEAR_DAYS as f64 / MONTH_DAYS;
    let at_least_a_day = number("tenure_days").clip(lit(1.0), lit(f64::MAX));
    let months_active = divided(at_least_a_day, MONTH_DAYS).clip(lit(1.0), lit(max_months));
    let expected = spent_12m() / months_active * lit(12.0) * col("prob_reachat_12m");
    let at_risk = spent_12m() * (lit(1.0) - col("prob_reachat_12m"));
    Ok(features
        .clone()
        .lazy()
        .with_column(score.alias("prob_reachat_12m"))
        .with_columns([
            expected.alias("expected_value_12m"),
            at_risk.alias("value_at_risk_12m"),
            segment_label().alias("segment_label"),
        ])
        .collect()?)
}

/// The first segment whose condition holds.
fn segment_label() -> Expr {
    let score = || col("prob_reachat_12m");
    let is_high_spender = || spent_12m().gt_eq(quantile(spent_12m(), 0.75));
    let is_late = || col("recency_days").gt(quantile(col("recency_days"), 0.75));
    let half_frequency = divided(quantile(col("freq_12m"), 0.75), 2.0);
    let max_rare_frequency =
        when(half_frequency.clone().gt(lit(1.0))).then(half_frequency).otherwise(lit(1.0));
    when(score().gt_eq(lit(VIP_SCORE)).and(is_high_spender()))
        .then(lit("VIP"))
        .when(
            score()
                .gt_eq(lit(ACTIVE_SCORE))
                .and(col("recency_days").lt_eq(quantile(col("recency_days"), 0.25))),
        )
        .then(lit("Actifs"))
        .when(is_high_spender().and(is_late()))
        .then(lit("À relancer"))
        .when(col("freq_12m").lt_eq(max_rare_frequency).and(is_late()))
        .then(lit("Dormants"))
        .otherwise(lit("À potentiel"))
}

/// `segment_summary`: totals and medians by segment.
pub(super) fn segment_summary(scores: &DataFrame) -> Result<DataFrame> {
    let summary = collect(scores.clone().lazy().group_by([col("segment_label")]).agg([
        rows().alias("clients"),
        sum_amount(col("monetary_12m")).alias("ca_12m"),
        col("freq_12m").cast(DataType::Float64).median().alias("freq_med"),
        col("recency_days").cast(DataType::Float64).median().alias("recency_med"),
    ]))?;
    let mut columns = summary.columns().to_vec();
    for name in ["expected_value_12m", "value_at_risk_12m"] {
        let totals = summary
            .column("segment_label")?
            .str()?
            .iter()
            .map(|segment| {
                let members = col("segment_label").eq(lit(segment.unwrap_or_default()));
                let members = scores.clone().lazy().filter(members).collect()?;
                Ok(sum_in_order(members.column(name)?.f64()?))
            })
            .collect::<Result<Vec<f64>>>()?;
        columns.push(Column::new(name.into(), totals));
    }
    Ok(DataFrame::new_infer_height(columns)?)
}
