//! `score`: applies the models of the active generation to purchases from a file, without training.

use std::path::Path;

use polars::prelude::DataFrame;

use crate::blocking::spawn_blocking;
use crate::domain::time::Timestamp;
use crate::lake::{Lake, LakeError, Layer};
use crate::pipeline::ml::history::History;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::tasks::{churn, clv};
use crate::pipeline::ml::{self, Artefact};
use crate::pipeline::silver::{self, CleaningOptions, CleaningRules};
use crate::pipeline::{PipelineError, Result as PipelineResult};
use crate::sources::read_purchases;
use crate::store::{GoldStore, StoreError};

/// Why the file was not scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// No models are published.
    #[error("there are no models to score with: {0}; run goldsmith refresh")]
    NoModels(String),
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The models were written by another version.
    #[error(
        "{path} was written by another version; run goldsmith refresh to train the models again"
    )]
    Models {
        /// Where they lie.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The models are missing or damaged.
    #[error("{0}; run goldsmith refresh to train the models again")]
    Damaged(LakeError),
    /// The file has no valid row.
    #[error("{path} has no valid purchase up to {as_of}; {rejected} rows were rejected")]
    Empty {
        /// The file.
        path: String,
        /// The instant.
        as_of: Timestamp,
        /// Rejected rows.
        rejected: usize,
    },
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The file cannot be parsed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The serving store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The result cannot be written as CSV.
    #[error("the scores cannot be written as CSV")]
    Csv(#[from] csv::Error),
}

/// The scores of the customers in a file.
#[derive(Debug)]
pub struct Scored {
    /// CSV with a header, a row per customer, ascending id_client.
    pub csv: Vec<u8>,
    /// Number of customers.
    pub customers: usize,
    /// Rejected rows by reason.
    pub rejected: Vec<(String, usize)>,
    /// The generation of the models.
    pub generation: u64,
    /// The instant the scores are for.
    pub as_of: Timestamp,
}

/// Scores the customers who made the purchases in a CSV file with the columns of `achats*.csv`; they need
/// not be known. The scores are for `as_of`, or, without it, for the later of the training instant
/// and the file's last purchase.
///
/// # Errors
/// [`ScoreError`].
pub async fn score(
    lake: &Lake,
    store: &dyn GoldStore,
    file: &Path,
    rules: &CleaningRules,
    as_of: Option<Timestamp>,
) -> Result<Scored, ScoreError> {
    let Some(active) = store.active().await? else {
        return Err(ScoreError::NoModels("nothing is published".to_owned()));
    };
    let generation = active.manifest.generation;
    let Some(models) = &active.manifest.models else {
        return Err(ScoreError::NoModels(format!(
            "generation {generation} was published without models"
        )));
    };
    let json = lake.get_file(Layer::Gold, models).await.map_err(|error| match error {
        LakeError::Damaged { .. } => ScoreError::Damaged(error),
        other => ScoreError::Lake(other),
    })?;
    let models_path = lake.locate(Layer::Gold, &models.path);
    let (file, rules) = (file.to_owned(), rules.clone());
    spawn_blocking(move || {
        let artefact: Artefact = serde_json::from_slice(&json)
            .map_err(|source| ScoreError::Models { path: models_path, source })?;
        let path = file.display().to_string();
        // That it cannot be opened at all is the clearer error.
        std::fs::File::open(&file)
            .map_err(|source| ScoreError::File { path: path.clone(), source })?;
        let options = CleaningOptions::new(rules, Timestamp::now());
        let raw = read_purchases(&path, || {
            Ok(Box::new(std::io::BufReader::new(std::fs::File::open(&file)?)))
        })?;
        let refined = silver::clean_purchases(raw, &options)?;
        let rejected = count_reasons(&refined.rejected)?;
        let history = History::new(&refined.valid)?;
        let last = history.last().unwrap_or(artefact.as_of);
        let as_of = as_of.unwrap_or(artefact.as_of.max(last));
        let scores = ml::score(&artefact, &CustomerSnapshot::of(history.up_to(as_of)));
        if scores.is_empty() {
            let rejected = refined.rejected.height();
            return Err(ScoreError::Empty { path, as_of, rejected });
        }
        let csv = to_csv(&artefact, &scores)?;
        Ok(Scored { csv, customers: scores.len(), rejected, generation, as_of })
    })
    .await
}

fn count_reasons(rejected: &DataFrame) -> PipelineResult<Vec<(String, usize)>> {
    let mut counts = std::collections::BTreeMap::new();
    for reason in rejected.column("reason")?.str()?.iter().flatten() {
        *counts.entry(reason.to_owned()).or_insert(0) += 1;
    }
    Ok(counts.into_iter().collect())
}

fn to_csv(artefact: &Artefact, scores: &[ml::Score]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "id_client",
        "segment_name",
        "churn_probability",
        "churn_risk_level",
        "churn_factors",
        "churn_method",
        "predicted_clv_12m",
        "clv_segment",
        "clv_method",
        "p_alive",
        "expected_purchases_12m",
        "expected_spend_12m",
    ])?;
    let or_empty = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let cents = |value: f64| format!("{value:.2}");
    for score in scores {
        writer.write_record([
            score.id_client.to_string(),
            score.segment_name().to_owned(),
            score.churn_probability.to_string(),
            churn::risk_level(score.churn_probability).to_owned(),
            score.factors.join("; "),
            artefact.churn_method().to_owned(),
            cents(score.predicted_clv_12m),
            clv::segment(score.predicted_clv_12m).to_owned(),
            artefact.clv_method().to_owned(),
            or_empty(score.forecast.p_alive),
            or_empty(score.forecast.purchases_12m),
            score.forecast.spend_12m.map_or_else(String::new, cents),
        ])?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}
