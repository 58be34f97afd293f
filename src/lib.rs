//! goldsmith: CSV files in, a data lake and served analytics out.
//!
//! ```text
//!  CSV files               lake: directories or S3                serving store         HTTP
//! clients*.csv ┐                                  ┌ gold ┐
//! achats*.csv  ┴▶ sources ▶ bronze ▶ silver ──────┤      ├ publish ▶ MongoDB or ▶ GET /kpis …
//!                                                 └ models ┘         SQLite
//!              └──────────── jobs::refresh ───────────────────────┘          └──── api ────┘
//! ```
//!
//! Reading order: [`catalogue`] (the tables that are served), [`jobs::refresh`] (one run from
//! sources to publish), [`pipeline`] (what it computes), [`store`] (where answers come from), `api`
//! (how requests are answered). `docs/ARCHITECTURE.md` walks one refresh and one request through
//! all of it.
//!
//! Imports point down only: `main → cli → startup → api, jobs → store, lake → pipeline →
//! runs, catalogue → domain`; `tests/architecture.rs` enforces it. Modules are public where the
//! binary, the integration tests or the benchmarks need them.

mod api;
mod blocking;
pub mod catalogue;
pub mod cli;
mod dictionary;
pub mod domain;
pub mod error_chain;
mod failpoint;
pub mod jobs;
pub mod lake;
pub mod lock;
pub mod logging;
mod metrics;
pub mod pipeline;
mod retry;
pub mod runs;
pub mod sample;
pub mod settings;
pub mod sources;
pub mod startup;
pub mod store;
