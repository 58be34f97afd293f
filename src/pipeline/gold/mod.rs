//! Gold: every table of [`crate::pipeline::tables`] from silver, and the proof that they agree.
//!
//! One file per family; [`exact`] holds the arithmetic they share. Frames come out conforming to
//! their table entry: columns, types, cents and order, so that equal input gives equal bytes.

pub mod cohorts;
pub mod customers;
pub mod exact;
pub mod kpis;
pub mod proof;
pub mod sales;
pub mod scores;

use polars::prelude::*;

use crate::domain::manifest::{ProofCheck, Totals};
use crate::domain::schema::{ColumnType, Direction, Table};
use crate::domain::time::Timestamp;
use crate::pipeline::{PipelineError, Result, tables};

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
    /// In the order of [`tables::ALL`].
    pub tables: Vec<GoldTable>,
    /// Every check of the proof; all of them hold.
    pub proof: Vec<ProofCheck>,
    /// The reference instant.
    pub as_of: Timestamp,
    /// Purchases left out because they are later than `as_of`.
    pub purchases_after_as_of: u64,
}

/// Builds all tables as they stood at `asked`, or at the last purchase when `None`.
///
/// Purchases after the reference instant are left out, so that asking for a past day gives the
/// figures of that day.
///
/// # Errors
/// [`PipelineError::BeforeHistory`] when no purchase is left, [`PipelineError::Proof`] when the
/// tables contradict each other, [`PipelineError::Overflow`].
pub fn build(clients: &DataFrame, achats: &DataFrame, asked: Option<Timestamp>) -> Result<Gold> {
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
    let segments = scores::segment_summary(&scored)?;
    let wide = customers::customers(&metrics, &scored)?;
    let headline = kpis::kpis(&metrics, &scored, as_of)?;

    let frames = vec![
        (&tables::REVENUE_BY_COUNTRY, sales::revenue_by_country(&fact)?),
        (&tables::REVENUE_BY_PRODUCT, sales::revenue_by_product(&fact)?),
        (&tables::MONTHLY_REVENUE, sales::monthly_revenue(&fact)?),
        (&tables::WEEKLY_REVENUE, sales::weekly_revenue(&fact)?),
        (&tables::DAILY_REVENUE, sales::daily_revenue(&fact)?),
        (&tables::BASKET_DISTRIBUTION, sales::basket_distribution(&fact)?),
        (&tables::STATISTICS, sales::statistics(&fact)?),
        (&tables::COHORT_FIRST_PURCHASE, cohorts::first_purchase(&fact)?),
        (&tables::COHORT_RETENTION, cohorts::retention(&fact, as_of)?),
        (&tables::CUSTOMER_METRICS, metrics),
        (&tables::CUSTOMER_FEATURES, features),
        (&tables::CUSTOMER_SCORES, scored),
        (&tables::SEGMENT_SUMMARY, segments),
        (&tables::CUSTOMERS, wide),
        (&tables::KPIS, headline),
        (&tables::FACT_ACHATS, fact),
    ];
    let mut proof = proof::agreement(&frames)?;
    let mut built = Vec::with_capacity(frames.len());
    for table in tables::ALL {
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
    let kept = built.first().map_or(0, |fact| fact.frame.height());
    Ok(Gold { tables: built, proof, as_of, purchases_after_as_of: (achats.height() - kept) as u64 })
}

/// The columns of the entry, in its types, money in cents, rows in its order.
fn conform(table: &Table, frame: &DataFrame) -> Result<DataFrame> {
    let columns: Vec<Expr> = table
        .columns
        .iter()
        .map(|column| {
            let value = col(column.name).strict_cast(tables::data_type(column.ty));
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
