//! goldsmith: CSV files in, a refined lake, served figures out.
//!
//! ```text
//! clients*.csv ┐            lake (files)                        store            HTTP
//! achats*.csv  ┴▶ sources ▶ bronze ▶ silver ▶ gold ─ publish ▶ MongoDB or SQLite ─ query ▶ /kpis …
//!                              pipeline::silver  pipeline::gold
//! ```
//!
//! Reading order: [`catalogue`] (what there is), [`jobs::refresh`] (how it comes about),
//! [`store`] (how it is served), [`api`] (how it is asked for). `docs/ARCHITECTURE.md` walks one
//! refresh and one request through all of it.

pub mod api;
pub mod blocking;
pub mod catalogue;
pub mod cli;
pub mod dictionary;
pub mod domain;
pub mod error_chain;
pub mod jobs;
pub mod lake;
pub mod lock;
pub mod logging;
pub mod metrics;
pub mod pipeline;
pub mod runs;
pub mod sample;
pub mod settings;
pub mod startup;
pub mod store;
