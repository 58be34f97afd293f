//! Candidates and their metrics as frames of the tables in [`crate::catalogue`].

use polars::prelude::*;

use super::artefact::Trained;
use super::columns::{floats, ints, lists, texts, to_int};
use super::metrics::{BINS, ClassificationMetrics, RegressionMetrics};
use super::options::TrainingOptions;
use super::report::{Candidate, Metrics, SegmentationMetrics};
use crate::domain::time::Timestamp;
use crate::pipeline::Result;
use crate::pipeline::types::INSTANT;

/// A row of the metrics: a candidate under one of its names.
type Row<'a> = (String, &'a Candidate);

/// The rows of the metrics: a model that serves under the name of its task, and every method of a
/// task with a selection under task and method.
fn rows(candidates: &[Candidate]) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for candidate in candidates {
        let task = candidate.task.as_str();
        if candidate.serves || !candidate.task.has_selection() {
            rows.push((task.to_owned(), candidate));
        }
        if candidate.task.has_selection() {
            rows.push((format!("{task}_{}", candidate.method), candidate));
        }
    }
    rows
}

/// `ml_model_metrics`: one row per model that serves and per method tried.
///
/// # Errors
/// The errors of Polars.
pub(crate) fn ml_model_metrics(
    trained: &Trained,
    options: &TrainingOptions,
    trained_at: Timestamp,
) -> Result<DataFrame> {
    let rows = rows(&trained.candidates);
    let mut columns = description(&rows, trained.artefact.as_of, options, trained_at)?;
    columns.extend(segmentation_metrics(&rows));
    columns.push(churn_metric("base_rate", &rows, |metrics| Some(metrics.base_rate), own));
    columns.extend(prediction_metrics("", &rows, own));
    columns.extend(prediction_metrics("baseline_", &rows, baseline));
    Ok(DataFrame::new(rows.len(), columns)?)
}

fn instants(
    name: &str,
    rows: &[Row<'_>],
    value: impl Fn(&Candidate) -> Option<Timestamp>,
) -> Result<Column> {
    let micros: Vec<Option<i64>> =
        rows.iter().map(|(_, candidate)| value(candidate).map(|instant| instant.0)).collect();
    Ok(Column::new(name.into(), micros).cast(&INSTANT)?)
}

/// What the candidates are, and how they were fitted.
fn description(
    rows: &[Row<'_>],
    as_of: Timestamp,
    options: &TrainingOptions,
    trained_at: Timestamp,
) -> Result<Vec<Column>> {
    let serves: Vec<bool> = rows.iter().map(|(_, candidate)| candidate.serves).collect();
    let horizons: Vec<Option<i64>> =
        rows.iter().map(|(_, candidate)| candidate.horizon_days).collect();
    Ok(vec![
        texts("model", rows, |(name, _)| name),
        texts("task", rows, |(_, candidate)| candidate.task.as_str()),
        texts("method", rows, |(_, candidate)| candidate.method),
        Column::new("serves".into(), serves),
        texts("algorithm", rows, |(_, candidate)| &candidate.algorithm),
        texts("library", rows, |(_, candidate)| candidate.library),
        texts("note", rows, |(_, candidate)| &candidate.note),
        instants("trained_at", rows, |_| Some(trained_at))?,
        instants("as_of", rows, |_| Some(as_of))?,
        instants("cut_off", rows, |candidate| candidate.cut_off)?,
        Column::new("horizon_days".into(), horizons),
        ints("n_samples", rows, |(_, candidate)| to_int(candidate.customers)),
        ints("n_fitted", rows, |(_, candidate)| to_int(candidate.fitted)),
        ints("n_held_out", rows, |(_, candidate)| to_int(candidate.held_out)),
        ints("n_features", rows, |(_, candidate)| to_int(candidate.features.len())),
        lists("features", rows, |(_, candidate)| candidate.features.clone()),
        texts("hyper_parameters", rows, |(_, candidate)| &candidate.hyper_parameters),
        lists("parameters", rows, |(_, candidate)| candidate.parameters.clone()),
        floats("log_likelihood", rows, |(_, candidate)| candidate.log_likelihood),
        ints("seed", rows, |_| i64::try_from(options.seed).unwrap_or(i64::MAX)),
        lists("feature_importances", rows, |(_, candidate)| {
            let importances = candidate.importances.iter();
            importances.map(|(name, share)| format!("{name}: {share:.3}")).collect()
        }),
    ])
}

fn segmentation_metrics(rows: &[Row<'_>]) -> Vec<Column> {
    let metric = |name: &str, value: fn(&SegmentationMetrics) -> Option<f64>| {
        floats(name, rows, |(_, candidate)| candidate.segments.as_ref().and_then(value))
    };
    vec![
        lists("segment_sizes", rows, |(_, candidate)| {
            let sizes = candidate.segments.iter().flat_map(|segments| &segments.sizes);
            sizes.map(|(name, size)| format!("{name}: {size}")).collect()
        }),
        metric("silhouette", |metrics| metrics.silhouette),
        metric("inertia", |metrics| metrics.inertia),
        metric("adjusted_rand_index", |metrics| metrics.adjusted_rand_index),
    ]
}

type ChurnMetric = fn(&ClassificationMetrics) -> Option<f64>;
type ClvMetric = fn(&RegressionMetrics) -> Option<f64>;

/// Whose metrics a column shows: the candidate's own, or those of its baseline.
type Side = fn(&Candidate) -> Option<&Metrics>;

fn own(candidate: &Candidate) -> Option<&Metrics> {
    candidate.metrics.as_ref()
}

fn baseline(candidate: &Candidate) -> Option<&Metrics> {
    candidate.baseline.as_ref()
}

fn churn_metric(name: &str, rows: &[Row<'_>], value: ChurnMetric, side: Side) -> Column {
    floats(name, rows, |(_, candidate)| match side(candidate) {
        Some(Metrics::Churn(metrics)) => value(metrics),
        _ => None,
    })
}

fn clv_metric(name: &str, rows: &[Row<'_>], value: ClvMetric, side: Side) -> Column {
    floats(name, rows, |(_, candidate)| match side(candidate) {
        Some(Metrics::Clv(metrics)) => value(metrics),
        _ => None,
    })
}

/// The metrics of churn and lifetime value, under names with a prefix.
fn prediction_metrics(prefix: &str, rows: &[Row<'_>], side: Side) -> Vec<Column> {
    let of_churn: [(&str, ChurnMetric); 8] = [
        ("accuracy", |metrics| Some(metrics.accuracy)),
        ("precision", |metrics| metrics.precision),
        ("recall", |metrics| metrics.recall),
        ("f1_score", |metrics| metrics.f1_score),
        ("roc_auc", |metrics| metrics.roc_auc),
        ("brier", |metrics| Some(metrics.brier)),
        ("log_loss", |metrics| Some(metrics.log_loss)),
        ("lift_10pct", |metrics| metrics.lift_10pct),
    ];
    let of_clv: [(&str, ClvMetric); 5] = [
        ("mae", |metrics| Some(metrics.mae)),
        ("rmse", |metrics| Some(metrics.rmse)),
        ("r2", |metrics| metrics.r2),
        ("spearman", |metrics| metrics.spearman),
        ("total_ratio", |metrics| metrics.total_ratio),
    ];
    let of_churn =
        of_churn.map(|(name, value)| churn_metric(&format!("{prefix}{name}"), rows, value, side));
    let of_clv =
        of_clv.map(|(name, value)| clv_metric(&format!("{prefix}{name}"), rows, value, side));
    of_churn.into_iter().chain(of_clv).collect()
}

/// `ml_calibration`: the calibration tables of all methods that predict churn probabilities.
///
/// # Errors
/// The errors of Polars.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn ml_calibration(candidates: &[Candidate]) -> Result<DataFrame> {
    let models = rows(candidates);
    let rows: Vec<_> = models
        .iter()
        .flat_map(|(name, candidate)| {
            candidate.calibration.iter().enumerate().map(move |(index, bin)| (name, index, bin))
        })
        .collect();
    let edge = |index: usize| Some(index as f64 / BINS as f64);
    Ok(DataFrame::new(
        rows.len(),
        vec![
            texts("model", &rows, |(name, _, _)| name),
            ints("bin", &rows, |(_, index, _)| to_int(*index)),
            floats("probability_low", &rows, |(_, index, _)| edge(*index)),
            floats("probability_high", &rows, |(_, index, _)| edge(index + 1)),
            ints("clients", &rows, |(_, _, bin)| to_int(bin.count)),
            floats("mean_probability", &rows, |(_, _, bin)| bin.mean_predicted),
            floats("churn_rate", &rows, |(_, _, bin)| bin.observed_rate),
        ],
    )?)
}
