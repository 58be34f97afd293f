//! goldsmith: CSV files in, a refined lake, served figures out.
//!
//! ```text
//! clients*.csv ┐            lake (files)                        store            HTTP
//! achats*.csv  ┴▶ sources ▶ bronze ▶ silver ▶ gold ─ publish ▶ MongoDB or SQLite ─ query ▶ /kpis …
//!                              pipeline::silver  pipeline::gold
//! ```
//!
//! Reading order: [`pipeline::tables`] (what there is), [`jobs::refresh`] (how it comes about),
//! [`store`] (how it is served), [`api`] (how it is asked for). `docs/ARCHITECTURE.md` walks one
//! refresh and one request through all of it.

pub mod api;
pub mod cli;
pub mod dictionary;
pub mod domain;
pub mod jobs;
pub mod lake;
pub mod lock;
pub mod pipeline;
pub mod sample;
pub mod screen;
pub mod settings;
pub mod startup;
pub mod store;
pub mod telemetry;
