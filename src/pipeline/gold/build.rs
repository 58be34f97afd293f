//! Builds every table of the catalogue in two steps, around the training of models, and proves that
//! they agree.

use polars::prelude::*;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use rayon::join;

use super::conform::conform;
use super::context::{Base, Modelled};
use super::registry::{BUILDERS, Builder, builder_of, check};
use super::{customers, proof, registry, sales, scores};
use crate::catalogue;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::manifest::{ProofCheck, Totals};
use crate::domain::schema::Table;
use crate::domain::time::Timestamp;
use crate::pipeline::ml::report::{Task, serving_method};
use crate::pipeline::ml::{self, LastSegments, Trained, TrainingOptions};
use crate::pipeline::{PipelineError, Result};

/// One gold table, ready to be written.
#[derive(Debug)]
pub struct GoldTable {
    /// Its entry in the catalogue.
    pub table: &'static Table,
    /// Its rows, conforming to the entry.
    pub frame: DataFrame,
    /// Its totals, if the entry has a tally.
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

/// The tables that need no model, and what models are trained on.
#[derive(Debug)]
pub struct Aggregates {
    /// What tables are built from.
    pub base: Base,
    frames: Frames,
    purchases_after_as_of: u64,
}

type Frames = Vec<(&'static Table, DataFrame)>;

/// Builds the tables that need no model from the valid rows of silver, as they stood at `as_of`, or
/// at the last purchase when `None`.
///
/// Purchases after the reference instant are left out, so that a past day gives the figures of that
/// day.
///
/// # Errors
/// [`PipelineError::BeforeHistory`] when no purchase is left, [`PipelineError::Overflow`],
/// [`PipelineError::NoBuilder`], [`PipelineError::UnlistedTable`].
pub fn aggregate(silver: &PerDataSet<DataFrame>, as_of: Option<Timestamp>) -> Result<Aggregates> {
    check(catalogue::ALL, BUILDERS)?;
    let (customers, purchases) = (&silver[DataSet::Customers], &silver[DataSet::Purchases]);
    let as_of = reference_instant(purchases, as_of)?;

    let fact = sales::fact_achats(customers, purchases, as_of)?;
    let (metrics, features) = join(
        || customers::customer_metrics(customers, &fact, as_of),
        || scores::customer_features(customers, &fact, as_of),
    );
    let features = features?;
    let base = Base {
        metrics: metrics?,
        scores: scores::customer_scores(&features)?,
        customer_ids: customers.select(["id_client"])?,
        features,
        fact,
        as_of,
    };
    let frames = base_frames(catalogue::ALL, BUILDERS, &base)?;
    let purchases_after_as_of = (purchases.height() - base.fact.height()) as u64;
    Ok(Aggregates { base, frames, purchases_after_as_of })
}

fn base_frames(
    tables: &[&'static Table],
    builders: &[registry::Entry],
    base: &Base,
) -> Result<Frames> {
    // Several at a time: what one does on one thread leaves time for another.
    let frame = |table: &&'static Table| match builder_of(table, builders)? {
        Builder::Base(build) => Ok(Some((*table, build(base)?))),
        Builder::Modelled(_) => Ok(None),
    };
    let built: Vec<Result<_>> = tables.par_iter().map(frame).collect();
    // Of several errors the first table's.
    let built = built.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(built.into_iter().flatten().collect())
}

fn reference_instant(purchases: &DataFrame, as_of: Option<Timestamp>) -> Result<Timestamp> {
    let dates = purchases.column("date_achat")?.to_physical_repr();
    let (first, last) = (dates.i64()?.min(), dates.i64()?.max());
    let (Some(first), Some(last)) = (first, last) else {
        return Err(PipelineError::NoPurchases("silver is empty".to_owned()));
    };
    let as_of = as_of.unwrap_or(Timestamp(last));
    if as_of.0 < first {
        return Err(PipelineError::BeforeHistory {
            as_of: as_of.to_string(),
            first: Timestamp(first).to_string(),
        });
    }
    Ok(as_of)
}

/// Builds the tables that need models, and proves that all tables agree. `last_segments` are those
/// of the last published run.
///
/// # Errors
/// [`PipelineError::Proof`] when the tables contradict each other.
pub fn complete(
    aggregates: Aggregates,
    trained: &Trained,
    options: &TrainingOptions,
    last_segments: &LastSegments,
    trained_at: Timestamp,
) -> Result<Gold> {
    let Aggregates { base, mut frames, purchases_after_as_of } = aggregates;
    let method = |task| serving_method(&trained.candidates, task);
    let scores = &trained.scores;
    let modelled = Modelled {
        base: &base,
        trained,
        options,
        last_segments,
        trained_at,
        segments: ml::frames::customer_segments(
            &base.customer_ids,
            scores,
            method(Task::Segmentation),
        )?,
        churn: ml::frames::churn_predictions(scores, method(Task::Churn))?,
        by_customer: ml::frames::for_customers(scores, &trained.candidates)?,
    };
    for table in catalogue::ALL {
        if let Builder::Modelled(build) = builder_of(table, BUILDERS)? {
            frames.push((*table, build(&modelled)?));
        }
    }
    let (tables, proof) = prove(catalogue::ALL, &base.fact, &frames)?;
    Ok(Gold { tables, proof, as_of: base.as_of, purchases_after_as_of })
}

/// The listed tables as they are written, and the checks that hold for them.
fn prove(
    listed: &[&'static Table],
    fact: &DataFrame,
    frames: &[(&'static Table, DataFrame)],
) -> Result<(Vec<GoldTable>, Vec<ProofCheck>)> {
    let mut proof = proof::agreement(fact, frames)?;
    let mut tables = Vec::with_capacity(frames.len());
    for table in listed {
        let built = frames.iter().find(|(built, _)| built.name == table.name);
        let (_, frame) = built.ok_or(PipelineError::NoBuilder { table: table.name })?;
        let frame = conform(table, frame)?;
        proof.extend(proof::shape(table, &frame)?);
        let totals = proof::totals(table, &frame)?;
        tables.push(GoldTable { table, frame, totals });
    }
    match proof.iter().find(|check| !check.holds) {
        None => Ok((tables, proof)),
        Some(ProofCheck { what, expected, found, .. }) => {
            Err(PipelineError::Proof(format!("{what}: expected {expected}, found {found}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schema::{Access, Column, ColumnType, Purchases, Scope, Tally};
    use crate::pipeline::gold::lines::{net, orders, sums};
    use crate::pipeline::silver::{self, CleaningOptions, CleaningRules};
    use crate::sources::{SourceOptions, read_in_memory};

    // What adding a table takes: its entry in the catalogue,
    static REVENUE_BY_QUARTER: Table = Table {
        name: "revenue_by_quarter",
        grain: "one row per quarter with a sale",
        key: &["trimestre"],
        columns: &[
            Column::new("trimestre", ColumnType::Text, "quarter"),
            Column::new("total_revenue", ColumnType::Money, "sum of montant, EUR"),
            Column::new("total_purchases", ColumnType::Int, "number of purchases"),
        ],
        order: &[],
        tally: Some(Tally {
            revenue: "total_revenue",
            purchases: Purchases::Orders("total_purchases"),
            scope: Scope::All,
        }),
        access: Access::Any,
    };

    // its line in the list of tables,
    const TABLES: &[&Table] = &[&catalogue::FACT_ACHATS, &REVENUE_BY_QUARTER];

    // the function that builds it,
    fn revenue_by_quarter(fact: &DataFrame) -> Result<DataFrame> {
        let quarters = fact.clone().lazy().group_by([col("trimestre")]);
        let totals = sums([orders().alias("total_purchases")]);
        Ok(quarters.agg(totals).with_column(net().alias("total_revenue")).collect()?)
    }

    // and its line in the registry of builders.
    const BUILDERS: &[registry::Entry] = &[
        (&catalogue::FACT_ACHATS, Builder::Base(|base| Ok(base.fact.clone()))),
        (&REVENUE_BY_QUARTER, Builder::Base(|base| revenue_by_quarter(&base.fact))),
    ];

    const CUSTOMERS: &str =
        "id_client,nom,email,date_inscription,pays\n1,Ann,ann@x.io,2024-01-01,France\n";
    const PURCHASES: &str = "id_achat,id_client,date_achat,montant,produit\n\
        1,1,2024-05-01,10.5,Tea\n2,1,2024-02-01,20,Tea\n3,1,2024-04-01,1.25,Mug\n";

    #[test]
    fn a_table_is_built_and_proven_from_its_entry_and_its_builder() {
        let files = [("clients.csv", CUSTOMERS), ("achats.csv", PURCHASES)];
        let raw = read_in_memory(&files, &SourceOptions::default()).unwrap();
        let run_start = Timestamp::parse("2025-01-01").unwrap();
        let options = CleaningOptions { run_start, rules: CleaningRules::default() };
        let silver = silver::clean(raw, &options).unwrap();
        let base = aggregate(&silver.valid, None).unwrap().base;

        check(TABLES, BUILDERS).unwrap();
        let frames = base_frames(TABLES, BUILDERS, &base).unwrap();
        let (tables, proof) = prove(TABLES, &base.fact, &frames).unwrap();
        let expected = df!(
            "trimestre" => ["2024-Q1", "2024-Q2"],
            "total_revenue" => [20.0, 11.75],
            "total_purchases" => [1_i64, 2],
        );
        assert!(tables[1].frame.equals(&expected.unwrap()), "{}", tables[1].frame);
        let compared = "totals of revenue_by_quarter against fact_achats";
        assert!(proof.iter().any(|check| check.what == compared));

        let error = base_frames(TABLES, &BUILDERS[..1], &base).unwrap_err();
        assert!(matches!(error, PipelineError::NoBuilder { table: "revenue_by_quarter" }));
    }
}
