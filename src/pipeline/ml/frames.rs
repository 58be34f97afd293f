//! Predictions and segments as frames of the tables in [`crate::catalogue`].

use std::collections::{BTreeMap, HashSet};

use polars::prelude::*;

use super::artefact::Score;
use super::columns::{constant, floats, ints, lists, texts, to_int};
use super::report::{Candidate, Task, serving_method};
use super::tasks::segmentation::{LastSegments, PROSPECT};
use super::tasks::{churn, clv};
use crate::pipeline::Result;

/// Segment before this run of a customer who was not in the last published run.
const NEW: &str = "New";
/// Segment after this run of a customer who is not in it any more.
const GONE: &str = "Gone";

/// A customer's mean spend on an order, EUR.
#[allow(clippy::cast_precision_loss)]
fn mean_spend(score: &Score) -> f64 {
    score.monetary.max(0.0) / score.frequency.max(1) as f64
}

/// `churn_predictions`: one row per customer with a purchase.
///
/// # Errors
/// The errors of Polars.
pub(crate) fn churn_predictions(scores: &[Score], method: &str) -> Result<DataFrame> {
    Ok(DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            ints("days_since_last", scores, |score| score.recency),
            ints("frequency", scores, |score| score.frequency),
            floats("avg_basket", scores, |score| Some(mean_spend(score))),
            ints("tenure", scores, |score| score.age),
            floats("churn_probability", scores, |score| Some(score.churn_probability)),
            texts("churn_risk_level", scores, |score| churn::risk_level(score.churn_probability)),
            lists("top_factors", scores, |score| score.top_factors.clone()),
            lists("factors", scores, |score| score.factors.clone()),
            constant("method", scores, method),
        ],
    )?)
}

/// `clv_predictions`: one row per customer with a purchase.
///
/// # Errors
/// The errors of Polars.
pub(crate) fn clv_predictions(scores: &[Score], method: &str) -> Result<DataFrame> {
    Ok(DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            floats("avg_purchase", scores, |score| Some(mean_spend(score))),
            ints("frequency", scores, |score| score.frequency),
            ints("customer_age", scores, |score| score.age),
            floats("historical_clv", scores, |score| Some(score.monetary)),
            floats("predicted_clv_12m", scores, |score| Some(score.predicted_clv_12m)),
            texts("clv_segment", scores, |score| clv::segment(score.predicted_clv_12m)),
            floats("p_alive", scores, |score| score.forecast.p_alive),
            floats("expected_purchases_12m", scores, |score| score.forecast.purchases_12m),
            floats("expected_spend_12m", scores, |score| score.forecast.spend_12m),
            constant("method", scores, method),
        ],
    )?)
}

/// `customer_segments`: one row per customer, those without a purchase as prospects.
///
/// # Errors
/// The errors of Polars.
pub(crate) fn customer_segments(
    customers: &DataFrame,
    scores: &[Score],
    method: &str,
) -> Result<DataFrame> {
    let buyers = DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            ints("recency", scores, |score| score.recency),
            ints("frequency", scores, |score| score.frequency),
            floats("monetary", scores, |score| Some(score.monetary)),
            ints("segment_id", scores, |score| to_int(score.segment)),
            texts("segment_name", scores, |score| score.segment_name()),
        ],
    )?;
    Ok(customers
        .clone()
        .lazy()
        .select([col("id_client")])
        .left_join(buyers.lazy(), col("id_client"), col("id_client"))
        .sort(["id_client"], SortMultipleOptions::default())
        .with_columns([
            col("frequency").fill_null(lit(0_i64)),
            col("monetary").fill_null(lit(0.0)),
            col("segment_name").fill_null(lit(PROSPECT)),
            when(col("segment_id").is_not_null())
                .then(lit(method))
                .otherwise(lit(NULL))
                .alias("method"),
        ])
        .collect()?)
}

/// `customer_segment_summary`: one row per segment with a customer.
///
/// # Errors
/// The errors of Polars.
pub(crate) fn customer_segment_summary(segments: &DataFrame) -> Result<DataFrame> {
    let all = lit(segments.height() as u64).cast(DataType::Float64);
    Ok(segments
        .clone()
        .lazy()
        .group_by_stable([col("segment_name")])
        .agg([
            col("segment_id").first(),
            len().cast(DataType::Int64).alias("clients"),
            col("recency").mean().alias("recency_avg"),
            col("frequency").mean().alias("frequency_avg"),
            col("monetary").mean().alias("monetary_avg"),
            col("monetary").sum().alias("monetary_total"),
        ])
        .with_column((col("clients").cast(DataType::Float64) * lit(100.0) / all).alias("share_pct"))
        .collect()?)
}

/// `segment_migration`: how many customers moved between which segments since the last published
/// run.
///
/// # Errors
/// The errors of Polars.
pub(crate) fn segment_migration(segments: &DataFrame, last: &LastSegments) -> Result<DataFrame> {
    let mut moves: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut known = 0;
    let ids = segments.column("id_client")?.i64()?;
    let names = segments.column("segment_name")?.str()?;
    for (id, name) in ids.iter().zip(names.iter()) {
        let (Some(id), Some(now)) = (id, name) else { continue };
        let before = last.get(&id).map_or(NEW, String::as_str);
        known += usize::from(before != NEW);
        *moves.entry((before, now)).or_insert(0) += 1;
    }
    if known < last.len() {
        let present: HashSet<i64> = ids.iter().flatten().collect();
        for (id, before) in last {
            if !present.contains(id) {
                *moves.entry((before, GONE)).or_insert(0) += 1;
            }
        }
    }
    let moves: Vec<((&str, &str), i64)> = moves.into_iter().collect();
    Ok(DataFrame::new(
        moves.len(),
        vec![
            texts("from_segment", &moves, |((from, _), _)| from),
            texts("to_segment", &moves, |((_, to), _)| to),
            ints("clients", &moves, |(_, customers)| *customers),
        ],
    )?)
}

/// The columns of `customer_segments` that [`read_segments`] needs.
pub(crate) const SEGMENT_COLUMNS: [&str; 2] = ["id_client", "segment_name"];

/// The segment of each customer, from `customer_segments`.
///
/// # Errors
/// When a column is missing.
pub(crate) fn read_segments(segments: &DataFrame) -> PolarsResult<LastSegments> {
    let ids = segments.column("id_client")?.i64()?;
    let names = segments.column("segment_name")?.str()?;
    let pairs = ids.iter().zip(names.iter());
    Ok(pairs.filter_map(|(id, name)| Some((id?, name?.to_owned()))).collect())
}

/// The columns of `customers` that come from models: one row per customer with a purchase.
///
/// # Errors
/// The errors of Polars.
pub(crate) fn for_customers(scores: &[Score], candidates: &[Candidate]) -> Result<DataFrame> {
    let method = |task| serving_method(candidates, task);
    Ok(DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            texts("segment_name", scores, |score| score.segment_name()),
            constant("segment_method", scores, method(Task::Segmentation)),
            floats("churn_probability", scores, |score| Some(score.churn_probability)),
            texts("churn_risk_level", scores, |score| churn::risk_level(score.churn_probability)),
            lists("churn_factors", scores, |score| score.factors.clone()),
            constant("churn_method", scores, method(Task::Churn)),
            floats("predicted_clv_12m", scores, |score| Some(score.predicted_clv_12m)),
            texts("clv_segment", scores, |score| clv::segment(score.predicted_clv_12m)),
            constant("clv_method", scores, method(Task::Clv)),
            floats("p_alive", scores, |score| score.forecast.p_alive),
            floats("expected_purchases_12m", scores, |score| score.forecast.purchases_12m),
            floats("expected_spend_12m", scores, |score| score.forecast.spend_12m),
        ],
    )?)
}
