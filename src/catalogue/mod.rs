//! The registry of gold tables: name, grain, key, columns, order. The only source of schema truth.
//!
//! Pure data: storage, publishing, indexes, routes, the data dictionary and the OpenAPI document
//! follow from these entries, and `pipeline::gold` pairs each with the function that builds it.
//! Formulas are those of the data contract.

mod columns;
mod customers;
pub mod legacy;
mod models;
mod sales;
mod scores;

pub use customers::*;
pub use models::*;
pub use sales::*;
pub use scores::*;

use crate::domain::schema::{Catalogue, Table};

/// Every gold table, in the order they are built and published.
pub static ALL: &[&Table] = &[
    &FACT_ACHATS,
    &REVENUE_BY_COUNTRY,
    &REVENUE_BY_PRODUCT,
    &MONTHLY_REVENUE,
    &WEEKLY_REVENUE,
    &DAILY_REVENUE,
    &BASKET_DISTRIBUTION,
    &STATISTICS,
    &STATISTICS_BY_PRODUCT,
    &STATISTICS_BY_COUNTRY,
    &COHORT_FIRST_PURCHASE,
    &COHORT_RETENTION,
    &CUSTOMER_METRICS,
    &CUSTOMER_FEATURES,
    &CUSTOMER_SCORES,
    &SEGMENT_SUMMARY,
    &CUSTOMER_SEGMENTS,
    &CUSTOMER_SEGMENT_SUMMARY,
    &SEGMENT_MIGRATION,
    &CHURN_PREDICTIONS,
    &CLV_PREDICTIONS,
    &ML_MODEL_METRICS,
    &ML_CALIBRATION,
    &CUSTOMERS,
    &KPIS,
];

/// Everything that a store serves.
pub static CATALOGUE: Catalogue = Catalogue { tables: ALL, legacy_views: legacy::ALL };

/// The table of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Table> {
    ALL.iter().copied().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::schema::Fields;

    #[test]
    fn keys_orders_tallies_and_fields_name_real_columns() {
        for table in ALL {
            let names: BTreeSet<_> = table.columns.iter().map(|c| c.name).collect();
            assert_eq!(names.len(), table.columns.len(), "{} repeats a column", table.name);
            let order = table.order.iter().map(|(name, _)| name);
            for name in table.key.iter().chain(order) {
                let column = table.column(name).unwrap_or_else(|| panic!("{}.{name}", table.name));
                assert!(
                    !column.nullable,
                    "{}.{name} is a key or an order and nullable",
                    table.name
                );
            }
            if let Some(tally) = table.tally {
                for name in tally.columns() {
                    assert!(table.column(name).is_some(), "{}.{name}", table.name);
                }
            }
        }
        for view in legacy::ALL {
            if let Fields::Renamed(fields) = view.fields {
                assert_eq!(view.columns().len(), fields.len(), "{}", view.name);
            }
        }
    }
}
