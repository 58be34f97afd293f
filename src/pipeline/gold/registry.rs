//! Which function builds which table of the catalogue.
//!
//! A table without a builder is an error, and so is a builder of a table that the catalogue does
//! not list: [`check`].

use polars::prelude::DataFrame;

use super::context::{Base, Modelled};
use super::{cohorts, customers, kpis, sales, scores, statistics};
use crate::catalogue;
use crate::domain::schema::Table;
use crate::pipeline::ml::report::{Task, serving_method};
use crate::pipeline::ml::{frames, metrics_frames};
use crate::pipeline::{PipelineError, Result};

/// What computes the rows of a table.
#[derive(Clone, Copy)]
pub(super) enum Builder {
    /// Needs no model.
    Base(fn(&Base) -> Result<DataFrame>),
    /// Needs the trained models.
    Modelled(fn(&Modelled<'_>) -> Result<DataFrame>),
}

/// A table and what builds it.
pub(super) type Entry = (&'static Table, Builder);

/// One entry per table of [`catalogue::ALL`].
pub(super) static BUILDERS: &[Entry] = &[
    (&catalogue::FACT_ACHATS, Builder::Base(|base| Ok(base.fact.clone()))),
    (
        &catalogue::REVENUE_BY_COUNTRY,
        Builder::Base(|base| sales::revenue_by_country(&base.fact, &base.metrics)),
    ),
    (&catalogue::REVENUE_BY_PRODUCT, Builder::Base(|base| sales::revenue_by_product(&base.fact))),
    (&catalogue::MONTHLY_REVENUE, Builder::Base(|base| sales::monthly_revenue(&base.fact))),
    (&catalogue::WEEKLY_REVENUE, Builder::Base(|base| sales::weekly_revenue(&base.fact))),
    (&catalogue::DAILY_REVENUE, Builder::Base(|base| sales::daily_revenue(&base.fact))),
    (
        &catalogue::BASKET_DISTRIBUTION,
        Builder::Base(|base| statistics::basket_distribution(&base.fact)),
    ),
    (&catalogue::STATISTICS, Builder::Base(|base| statistics::statistics(&base.fact))),
    (&catalogue::STATISTICS_BY_PRODUCT, Builder::Base(|base| statistics::by_product(&base.fact))),
    (&catalogue::STATISTICS_BY_COUNTRY, Builder::Base(|base| statistics::by_country(&base.fact))),
    (&catalogue::COHORT_FIRST_PURCHASE, Builder::Base(|base| cohorts::first_purchase(&base.fact))),
    (
        &catalogue::COHORT_RETENTION,
        Builder::Base(|base| cohorts::retention(&base.fact, base.as_of)),
    ),
    (&catalogue::CUSTOMER_METRICS, Builder::Base(|base| Ok(base.metrics.clone()))),
    (&catalogue::CUSTOMER_FEATURES, Builder::Base(|base| Ok(base.features.clone()))),
    (&catalogue::CUSTOMER_SCORES, Builder::Base(|base| Ok(base.scores.clone()))),
    (&catalogue::SEGMENT_SUMMARY, Builder::Base(|base| scores::segment_summary(&base.scores))),
    (&catalogue::CUSTOMER_SEGMENTS, Builder::Modelled(|run| Ok(run.segments.clone()))),
    (
        &catalogue::CUSTOMER_SEGMENT_SUMMARY,
        Builder::Modelled(|run| frames::customer_segment_summary(&run.segments)),
    ),
    (
        &catalogue::SEGMENT_MIGRATION,
        Builder::Modelled(|run| frames::segment_migration(&run.segments, run.last_segments)),
    ),
    (&catalogue::CHURN_PREDICTIONS, Builder::Modelled(|run| Ok(run.churn.clone()))),
    (
        &catalogue::CLV_PREDICTIONS,
        Builder::Modelled(|run| {
            let method = serving_method(&run.trained.candidates, Task::Clv);
            frames::clv_predictions(&run.trained.scores, method)
        }),
    ),
    (
        &catalogue::ML_MODEL_METRICS,
        Builder::Modelled(|run| {
            metrics_frames::ml_model_metrics(run.trained, run.options, run.trained_at)
        }),
    ),
    (
        &catalogue::ML_CALIBRATION,
        Builder::Modelled(|run| metrics_frames::ml_calibration(&run.trained.candidates)),
    ),
    (
        &catalogue::CUSTOMERS,
        Builder::Modelled(|run| {
            customers::customers(&run.base.metrics, &run.base.scores, &run.by_customer)
        }),
    ),
    (
        &catalogue::KPIS,
        Builder::Modelled(|run| {
            let customers = kpis::CustomerTables {
                metrics: &run.base.metrics,
                scores: &run.base.scores,
                predicted: &run.by_customer,
                high_risk: kpis::high_risk(&run.churn)?,
            };
            kpis::kpis(&run.base.fact, &customers, run.trained.artefact.as_of)
        }),
    ),
];

/// The builder of a table.
///
/// # Errors
/// [`PipelineError::NoBuilder`].
pub(super) fn builder_of(table: &Table, builders: &[Entry]) -> Result<Builder> {
    let entry = builders.iter().find(|(built, _)| built.name == table.name);
    entry.map(|(_, builder)| *builder).ok_or(PipelineError::NoBuilder { table: table.name })
}

/// Checks that tables and builders pair exactly.
///
/// # Errors
/// [`PipelineError::NoBuilder`], [`PipelineError::UnlistedTable`].
pub(super) fn check(tables: &[&Table], builders: &[Entry]) -> Result<()> {
    for table in tables {
        builder_of(table, builders)?;
    }
    for (index, (table, _)) in builders.iter().enumerate() {
        let is_listed = tables.iter().any(|listed| listed.name == table.name);
        let is_repeated = builders[..index].iter().any(|(earlier, _)| earlier.name == table.name);
        if !is_listed || is_repeated {
            return Err(PipelineError::UnlistedTable { table: table.name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_builders_pair_exactly() {
        check(catalogue::ALL, BUILDERS).unwrap();
        assert_eq!(catalogue::ALL.len(), BUILDERS.len());
    }

    #[test]
    fn a_table_without_a_builder_is_an_error() {
        let error = check(catalogue::ALL, &BUILDERS[1..]).unwrap_err();
        assert!(matches!(error, PipelineError::NoBuilder { table: "fact_achats" }), "{error}");
    }

    #[test]
    fn a_builder_of_an_unlisted_table_is_an_error() {
        let error = check(&catalogue::ALL[1..], BUILDERS).unwrap_err();
        assert!(matches!(error, PipelineError::UnlistedTable { table: "fact_achats" }), "{error}");
    }
}
