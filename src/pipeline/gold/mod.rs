//! Gold: every table of [`crate::catalogue`] from silver, and the proof that they agree.
//!
//! One file per family of tables; `exact` holds the arithmetic they share; `registry` pairs each
//! table with the function that builds it. Start reading at [`aggregate`] and [`complete`].

mod build;
mod cohorts;
mod conform;
mod context;
mod customers;
mod exact;
mod kpis;
mod lines;
mod proof;
mod registry;
mod sales;
mod scores;
mod statistics;
mod streaming;

pub use build::{Aggregates, Gold, GoldTable, aggregate, complete};
