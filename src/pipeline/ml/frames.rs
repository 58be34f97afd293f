//! What models say, as frames of the model tables of [`crate::catalogue`].

use std::collections::BTreeMap;

use polars::prelude::*;

use super::report::{Candidate, Metrics, Task};
use super::tasks::{churn, clv};
use super::{LastSegments, Score, Trained, TrainingOptions};
use crate::domain::time::Timestamp;
use crate::pipeline::Result;
use crate::pipeline::ml::metrics::{BINS, ClassificationMetrics, RegressionMetrics};
use crate::pipeline::ml::tasks::segmentation::{NAMES, PROSPECT};
use crate::pipeline::types::INSTANT;

/// Who was not there in the last published run.
const NEW: &str = "New";
/// Who is not there any more.
const GONE: &str = "Gone";

fn ints<T>(name: &str, rows: &[T], value: impl Fn(&T) -> i64) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<i64>>())
}
fn floats<T>(name: &str, rows: &[T], value: impl Fn(&T) -> Option<f64>) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<Option<f64>>>())
}
fn texts<'a, T>(name: &str, rows: &'a [T], value: impl Fn(&'a T) -> &'a str) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<&str>>())
}
fn same<T>(name: &str, rows: &[T], text: &str) -> Column {
    Column::new(name.into(), vec![text; rows.len()])
}
fn lists<T, S: AsRef<str>>(name: &str, rows: &[T], value: impl Fn(&T) -> Vec<S>) -> Column {
    let mut builder = ListStringChunkedBuilder::new(name.into(), rows.len(), rows.len());
    for row in rows {
        builder.append_values_iter(value(row).iter().map(AsRef::as_ref));
    }
    builder.finish().into_column()
}
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
#[allow(clippy::cast_precision_loss)]
fn mean(sum: f64, rows: i64) -> f64 {
    sum / rows as f64
}

/// `churn_predictions`: one row per customer with a purchase.
///
/// # Errors
/// Whatever the frame engine says.
pub fn churn_predictions(scores: &[Score], method: &str) -> Result<DataFrame> {
    Ok(DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            ints("days_since_last", scores, |score| score.recency),
            ints("frequency", scores, |score| score.frequency),
            floats("avg_basket", scores, |score| Some(mean(score.monetary, score.frequency))),
            ints("tenure", scores, |score| score.age),
            floats("churn_probability", scores, |score| Some(score.churn_probability)),
            texts("churn_risk_level", scores, |score| churn::risk_level(score.churn_probability)),
            lists("top_factors", scores, |score| score.top_factors.clone()),
            lists("factors", scores, |score| score.factors.clone()),
            same("method", scores, method),
        ],
    )?)
}

/// `clv_predictions`: one row per customer with a purchase.
///
/// # Errors
/// Whatever the frame engine says.
pub fn clv_predictions(scores: &[Score], method: &str) -> Result<DataFrame> {
    Ok(DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            floats("avg_purchase", scores, |score| Some(mean(score.monetary, score.frequency))),
            ints("frequency", scores, |score| score.frequency),
            ints("customer_age", scores, |score| score.age),
            floats("historical_clv", scores, |score| Some(score.monetary)),
            floats("predicted_clv_12m", scores, |score| Some(score.predicted_clv_12m)),
            texts("clv_segment", scores, |score| clv::segment(score.predicted_clv_12m)),
            floats("p_alive", scores, |score| score.expected.p_alive),
            floats("expected_purchases_12m", scores, |score| score.expected.purchases_12m),
            floats("expected_spend_12m", scores, |score| score.expected.spend_12m),
            same("method", scores, method),
        ],
    )?)
}

/// `customer_segments`: one row per client, those without a purchase as prospects.
///
/// # Errors
/// Whatever the frame engine says.
pub fn customer_segments(clients: &DataFrame, scores: &[Score], method: &str) -> Result<DataFrame> {
    let buyers = DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            ints("recency", scores, |score| score.recency),
            ints("frequency", scores, |score| score.frequency),
            floats("monetary", scores, |score| Some(score.monetary)),
            ints("segment_id", scores, |score| count(score.segment)),
            texts("segment_name", scores, |score| NAMES[score.segment]),
        ],
    )?;
    Ok(clients
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
/// Whatever the frame engine says.
pub fn customer_segment_summary(segments: &DataFrame) -> Result<DataFrame> {
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

/// `segment_migration`: who moved from which segment to which since the last published run.
///
/// # Errors
/// Whatever the frame engine says.
pub fn segment_migration(segments: &DataFrame, last: &LastSegments) -> Result<DataFrame> {
    let mut moves: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut met = 0;
    let ids = segments.column("id_client")?.i64()?;
    let names = segments.column("segment_name")?.str()?;
    for (id, name) in ids.iter().zip(names.iter()) {
        let (Some(id), Some(now)) = (id, name) else { continue };
        let before = last.get(&id).map_or(NEW, String::as_str);
        met += usize::from(before != NEW);
        *moves.entry((before, now)).or_insert(0) += 1;
    }
    if met < last.len() {
        let present: std::collections::HashSet<i64> = ids.iter().flatten().collect();
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
            ints("clients", &moves, |(_, clients)| *clients),
        ],
    )?)
}

/// What [`read_segments`] needs of `customer_segments`.
pub const SEGMENT_COLUMNS: [&str; 2] = ["id_client", "segment_name"];

/// Who is in which segment, from `customer_segments`.
///
/// # Errors
/// When a column is not there.
pub fn read_segments(segments: &DataFrame) -> PolarsResult<LastSegments> {
    let ids = segments.column("id_client")?.i64()?;
    let names = segments.column("segment_name")?.str()?;
    let pairs = ids.iter().zip(names.iter());
    Ok(pairs.filter_map(|(id, name)| Some((id?, name?.to_owned()))).collect())
}

/// What `customers` shows of the models: one row per customer with a purchase.
///
/// # Errors
/// Whatever the frame engine says.
pub fn for_customers(scores: &[Score], entries: &[Candidate]) -> Result<DataFrame> {
    let method = |task| serving_method(entries, task);
    Ok(DataFrame::new(
        scores.len(),
        vec![
            ints("id_client", scores, |score| score.id_client),
            texts("segment_name", scores, |score| NAMES[score.segment]),
            same("segment_method", scores, method(Task::Segmentation)),
            floats("churn_probability", scores, |score| Some(score.churn_probability)),
            texts("churn_risk_level", scores, |score| churn::risk_level(score.churn_probability)),
            lists("churn_factors", scores, |score| score.factors.clone()),
            same("churn_method", scores, method(Task::Churn)),
            floats("predicted_clv_12m", scores, |score| Some(score.predicted_clv_12m)),
            texts("clv_segment", scores, |score| clv::segment(score.predicted_clv_12m)),
            same("clv_method", scores, method(Task::Clv)),
            floats("p_alive", scores, |score| score.expected.p_alive),
            floats("expected_purchases_12m", scores, |score| score.expected.purchases_12m),
            floats("expected_spend_12m", scores, |score| score.expected.spend_12m),
        ],
    )?)
}

/// The word for the method that serves a task; empty when none does.
#[must_use]
pub fn serving_method(entries: &[Candidate], task: Task) -> &'static str {
    let serving = entries.iter().find(|entry| entry.task == task && entry.serves);
    serving.map_or("", |entry| entry.method.as_str())
}

/// The entries with their names: what serves under the name of its task, every method tried for a
/// task that knows several under task and method.
fn named(entries: &[Candidate]) -> Vec<(String, &Candidate)> {
    let mut named = Vec::new();
    for entry in entries {
        let task = entry.task.as_str();
        if entry.serves || !entry.task.has_contest() {
            named.push((task.to_owned(), entry));
        }
        if entry.task.has_contest() {
            named.push((format!("{task}_{}", entry.method.as_str()), entry));
        }
    }
    named
}

/// A figure of churn probabilities, a figure of amounts, whose figures, an entry by its name.
type OfChurn = fn(&ClassificationMetrics) -> Option<f64>;
type OfClv = fn(&RegressionMetrics) -> Option<f64>;
type Side = fn(&Candidate) -> Option<&Metrics>;
type Row<'a> = (String, &'a Candidate);

/// `ml_model_metrics`: one row per model that serves and per method tried.
///
/// # Errors
/// Whatever the frame engine says.
pub fn ml_model_metrics(
    trained: &Trained,
    rules: &TrainingOptions,
    trained_at: Timestamp,
) -> Result<DataFrame> {
    let rows: Vec<Row<'_>> = named(&trained.entries);
    let instants =
        |name: &str, value: &dyn Fn(&Candidate) -> Option<Timestamp>| -> Result<Column> {
            let micros: Vec<Option<i64>> =
                rows.iter().map(|(_, entry)| value(entry).map(|instant| instant.0)).collect();
            Ok(Column::new(name.into(), micros).cast(&INSTANT)?)
        };
    let as_of = trained.artefact.as_of;
    let mut columns = vec![
        texts("model", &rows, |(name, _)| name),
        texts("task", &rows, |(_, entry)| entry.task.as_str()),
        texts("method", &rows, |(_, entry)| entry.method.as_str()),
        Column::new(
            "serves".into(),
            rows.iter().map(|(_, entry)| entry.serves).collect::<Vec<bool>>(),
        ),
        texts("algorithm", &rows, |(_, entry)| &entry.algorithm),
        texts("library", &rows, |(_, entry)| entry.library),
        texts("note", &rows, |(_, entry)| &entry.note),
        instants("trained_at", &|_| Some(trained_at))?,
        instants("as_of", &|_| Some(as_of))?,
        instants("cut_off", &|entry| entry.cut_off)?,
        Column::new(
            "horizon_days".into(),
            rows.iter().map(|(_, entry)| entry.horizon_days).collect::<Vec<Option<i64>>>(),
        ),
        ints("n_samples", &rows, |(_, entry)| count(entry.customers)),
        ints("n_fitted", &rows, |(_, entry)| count(entry.fitted)),
        ints("n_held_out", &rows, |(_, entry)| count(entry.held_out)),
        ints("n_features", &rows, |(_, entry)| count(entry.features.len())),
        lists("features", &rows, |(_, entry)| entry.features.clone()),
        texts("hyper_parameters", &rows, |(_, entry)| &entry.hyper_parameters),
        lists("parameters", &rows, |(_, entry)| entry.parameters.clone()),
        floats("log_likelihood", &rows, |(_, entry)| entry.log_likelihood),
        ints("seed", &rows, |_| i64::try_from(rules.seed).unwrap_or(i64::MAX)),
        lists("feature_importances", &rows, |(_, entry)| {
            let told = |(name, share): &(&str, f64)| format!("{name}: {share:.3}");
            entry.importances.iter().map(told).collect()
        }),
        lists("segment_sizes", &rows, |(_, entry)| {
            let sizes = entry.segments.iter().flat_map(|segments| &segments.sizes);
            sizes.map(|(name, size)| format!("{name}: {size}")).collect()
        }),
    ];
    let of_segments = |name: &str, value: &dyn Fn(&super::SegmentationMetrics) -> Option<f64>| {
        floats(name, &rows, |(_, entry)| entry.segments.as_ref().and_then(value))
    };
    columns.push(of_segments("silhouette", &|figures| figures.silhouette));
    columns.push(of_segments("inertia", &|figures| figures.inertia));
    columns.push(of_segments("adjusted_rand_index", &|figures| figures.adjusted_rand_index));

    let of_churn: [(&str, OfChurn); 8] = [
        ("accuracy", |figures| Some(figures.accuracy)),
        ("precision", |figures| figures.precision),
        ("recall", |figures| figures.recall),
        ("f1_score", |figures| figures.f1_score),
        ("roc_auc", |figures| figures.roc_auc),
        ("brier", |figures| Some(figures.brier)),
        ("log_loss", |figures| Some(figures.log_loss)),
        ("lift_10pct", |figures| figures.lift_10pct),
    ];
    let of_clv: [(&str, OfClv); 5] = [
        ("mae", |figures| Some(figures.mae)),
        ("rmse", |figures| Some(figures.rmse)),
        ("r2", |figures| figures.r2),
        ("spearman", |figures| figures.spearman),
        ("total_ratio", |figures| figures.total_ratio),
    ];
    let sides: [(&str, Side); 2] =
        [("", |entry| entry.figures.as_ref()), ("baseline_", |entry| entry.baseline.as_ref())];
    let churn_of = |value: OfChurn, side: Side| {
        move |(_, entry): &Row<'_>| match side(entry) {
            Some(Metrics::Churn(figures)) => value(figures),
            _ => None,
        }
    };
    columns.push(floats(
        "base_rate",
        &rows,
        churn_of(|figures| Some(figures.base_rate), sides[0].1),
    ));
    for (prefix, side) in sides {
        for (name, value) in of_churn {
            columns.push(floats(&format!("{prefix}{name}"), &rows, churn_of(value, side)));
        }
        for (name, value) in of_clv {
            columns.push(floats(&format!("{prefix}{name}"), &rows, |(_, entry)| {
                match side(entry) {
                    Some(Metrics::Clv(figures)) => value(figures),
                    _ => None,
                }
            }));
        }
    }
    Ok(DataFrame::new(rows.len(), columns)?)
}

/// `ml_calibration`: the calibration tables of all methods that give churn probabilities.
///
/// # Errors
/// Whatever the frame engine says.
#[allow(clippy::cast_precision_loss)]
pub fn ml_calibration(entries: &[Candidate]) -> Result<DataFrame> {
    let named = named(entries);
    let rows: Vec<_> = named
        .iter()
        .flat_map(|(name, entry)| {
            entry.calibration.iter().enumerate().map(move |(bin, figures)| (name, bin, figures))
        })
        .collect();
    let edge = |bin: usize| Some(bin as f64 / BINS as f64);
    Ok(DataFrame::new(
        rows.len(),
        vec![
            texts("model", &rows, |(name, _, _)| name),
            ints("bin", &rows, |(_, bin, _)| count(*bin)),
            floats("probability_low", &rows, |(_, bin, _)| edge(*bin)),
            floats("probability_high", &rows, |(_, bin, _)| edge(bin + 1)),
            ints("clients", &rows, |(_, _, figures)| count(figures.count)),
            floats("mean_probability", &rows, |(_, _, figures)| figures.foretold),
            floats("churn_rate", &rows, |(_, _, figures)| figures.happened),
        ],
    )?)
}
