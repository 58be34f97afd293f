//! Gold: every table of [`crate::catalogue`] from silver, and the proof that they agree.
//!
//! One file per family; [`exact`] holds the arithmetic they share. [`refine`] makes what needs no
//! model, [`complete`] adds what models say and proves the whole. Frames come out conforming to
//! their table entry: columns, types, cents and order, so that equal input gives equal bytes.

pub mod cohorts;
pub mod customers;
pub mod exact;
pub mod kpis;
pub mod proof;
pub mod sales;
pub mod scores;

use polars::prelude::*;

use crate::catalogue;
use crate::catalogue::{
    CHURN_PREDICTIONS, CLV_PREDICTIONS, CUSTOMER_SEGMENT_SUMMARY, CUSTOMER_SEGMENTS,
    ML_CALIBRATION, ML_MODEL_METRICS, SEGMENT_MIGRATION,
};
use crate::domain::manifest::{ProofCheck, Totals};
use crate::domain::schema::{ColumnType, Direction, Table};
use crate::domain::time::Timestamp;
use crate::pipeline::ml::report::Task;
use crate::pipeline::ml::{self, LastSegments, Trained, TrainingOptions};
use crate::pipeline::{PipelineError, Result};

/// One gold table, ready to be written.
#[derive(Debug)]
pub struct GoldTable {
    /// Its entry.
    pub table: &'static Table,
    /// Its rows, conforming to the entry.
    pub frame: DataFrame,
    /// Its totals, where the entry has a tally.
    pub totals: Option<Totals>,
}

/// The gold layer of one run.
#[derive(Debug)]
pub struct Gold {
    /// In the order of [`catalogue::ALL`].
    pub tables: Vec<GoldTable>,
    /// Every check of the proof; all of them hold.
    pub proof: Vec<ProofCheck>,
    /// The reference instant.
    pub as_of: Timestamp,
    /// Purchases left out because they are later than `as_of`.
    pub purchases_after_as_of: u64,
}

/// The tables that need no model, and what models learn from.
#[derive(Debug)]
pub struct Refined {
    /// Every purchase up to `as_of`.
    pub fact: DataFrame,
    /// The reference instant.
    pub as_of: Timestamp,
    clients: DataFrame,
    metrics: DataFrame,
    scored: DataFrame,
    frames: Vec<(&'static Table, DataFrame)>,
    purchases_after_as_of: u64,
}

/// Builds the tables that need no model, as they stood at `asked`, or at the last purchase when
/// `None`.
///
/// Purchases after the reference instant are left out, so that asking for a past day gives the
/// figures of that day.
///
/// # Errors
/// [`PipelineError::BeforeHistory`] when no purchase is left, [`PipelineError::Overflow`].
pub fn refine(
    clients: &DataFrame,
    achats: &DataFrame,
    asked: Option<Timestamp>,
) -> Result<Refined> {
    let dates = achats.column("date_achat")?.to_physical_repr();
    let (first, last) = (dates.i64()?.min(), dates.i64()?.max());
    let (Some(first), Some(last)) = (first, last) else {
        return Err(PipelineError::NoPurchases("silver is empty".to_owned()));
    };
    let as_of = asked.unwrap_or(Timestamp(last));
    if as_of.0 < first {
        return Err(PipelineError::BeforeHistory {
            as_of: as_of.to_string(),
            first: Timestamp(first).to_string(),
        });
    }

    let fact = sales::fact_achats(clients, achats, as_of)?;
    let metrics = customers::customer_metrics(clients, &fact, as_of)?;
    let features = scores::customer_features(clients, &fact, as_of)?;
    let scored = scores::customer_scores(&features)?;
    let frames = vec![
        (&catalogue::REVENUE_BY_COUNTRY, sales::revenue_by_country(&fact)?),
        (&catalogue::REVENUE_BY_PRODUCT, sales::revenue_by_product(&fact)?),
        (&catalogue::MONTHLY_REVENUE, sales::monthly_revenue(&fact)?),
        (&catalogue::WEEKLY_REVENUE, sales::weekly_revenue(&fact)?),
        (&catalogue::DAILY_REVENUE, sales::daily_revenue(&fact)?),
        (&catalogue::BASKET_DISTRIBUTION, sales::basket_distribution(&fact)?),
        (&catalogue::STATISTICS, sales::statistics(&fact)?),
        (&catalogue::COHORT_FIRST_PURCHASE, cohorts::first_purchase(&fact)?),
        (&catalogue::COHORT_RETENTION, cohorts::retention(&fact, as_of)?),
        (&catalogue::CUSTOMER_FEATURES, features),
        (&catalogue::SEGMENT_SUMMARY, scores::segment_summary(&scored)?),
    ];
    let purchases_after_as_of = (achats.height() - fact.height()) as u64;
    let clients = clients.select(["id_client"])?;
    Ok(Refined { fact, as_of, clients, metrics, scored, frames, purchases_after_as_of })
}

/// Adds what models say, and proves that all tables agree.
///
/// # Errors
/// [`PipelineError::Proof`] when the tables contradict each other.
pub fn complete(
    refined: Refined,
    trained: &Trained,
    rules: &TrainingOptions,
    last: &LastSegments,
    trained_at: Timestamp,
) -> Result<Gold> {
    let Refined { fact, as_of, clients, metrics, scored, mut frames, purchases_after_as_of } =
        refined;
    let Trained { artefact, scores, entries } = trained;
    let method = |task| ml::frames::serving_method(entries, task);
    let segments = ml::frames::customer_segments(&clients, scores, method(Task::Segmentation))?;
    let predicted = ml::frames::for_customers(scores, entries)?;
    let predictions = ml::frames::churn_predictions(scores, method(Task::Churn))?;
    let high_risk = kpis::high_risk(&predictions)?;
    frames.extend([
        (&CUSTOMER_SEGMENT_SUMMARY, ml::frames::customer_segment_summary(&segments)?),
        (&SEGMENT_MIGRATION, ml::frames::segment_migration(&segments, last)?),
        (&CUSTOMER_SEGMENTS, segments),
        (&CHURN_PREDICTIONS, predictions),
        (&CLV_PREDICTIONS, ml::frames::clv_predictions(scores, method(Task::Clv))?),
        (&ML_MODEL_METRICS, ml::frames::ml_model_metrics(trained, rules, trained_at)?),
        (&ML_CALIBRATION, ml::frames::ml_calibration(entries)?),
        (&catalogue::CUSTOMERS, customers::customers(&metrics, &scored, &predicted)?),
        (&catalogue::KPIS, kpis::kpis(&metrics, &scored, high_risk, artefact.as_of)?),
        (&catalogue::CUSTOMER_METRICS, metrics),
        (&catalogue::CUSTOMER_SCORES, scored),
        (&catalogue::FACT_ACHATS, fact),
    ]);
    let mut proof = proof::agreement(&frames)?;
    let mut built = Vec::with_capacity(frames.len());
    for table in catalogue::ALL {
        for (_, frame) in frames.iter().filter(|(entry, _)| entry.name == table.name) {
            let frame = conform(table, frame)?;
            proof.extend(proof::shape(table, &frame)?);
            let totals = proof::totals(table, &frame)?;
            built.push(GoldTable { table, frame, totals });
        }
    }
    if let Some(broken) = proof.iter().find(|check| !check.holds) {
        return Err(PipelineError::Proof(format!(
            "{}: expected {}, found {}",
            broken.what, broken.expected, broken.found
        )));
    }
    Ok(Gold { tables: built, proof, as_of, purchases_after_as_of })
}

/// The columns of the entry, in its types, money in cents, rows in its order.
fn conform(table: &Table, frame: &DataFrame) -> Result<DataFrame> {
    let columns: Vec<Expr> = table
        .columns
        .iter()
        .map(|column| {
            let value = col(column.name).strict_cast(catalogue::data_type(column.ty));
            let value = match column.ty {
                ColumnType::Money => {
                    let cents = value.round(2, RoundMode::HalfToEven);
                    // A fall of less than half a cent is 0, not -0.
                    when(cents.clone().eq(lit(0.0))).then(lit(0.0)).otherwise(cents)
                }
                _ => value,
            };
            value.alias(column.name)
        })
        .collect();
    let key = table.key.iter().map(|name| (*name, Direction::Ascending));
    let (names, descending): (Vec<&str>, Vec<bool>) = table
        .order
        .iter()
        .copied()
        .chain(key)
        .map(|(name, direction)| (name, direction == Direction::Descending))
        .unzip();
    let selected = frame.clone().lazy().select(columns);
    let ordered = if names.is_empty() {
        selected
    } else {
        selected.sort(names, SortMultipleOptions::default().with_order_descending_multi(descending))
    };
    let mut frame = ordered.collect()?;
    frame.rechunk_mut();
    Ok(frame)
}

/// Runs a query on the streaming engine.
///
/// # Errors
/// Whatever the frame engine says.
pub(crate) fn collect(query: LazyFrame) -> Result<DataFrame> {
    Ok(query.collect_with_engine(Engine::Streaming)?.unwrap_single())
}
